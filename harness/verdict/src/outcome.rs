//! What happened in a cell. One enum owns everything that is said of an
//! outcome; no other room matches on its words.

/// What happened in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status 0, and the output the check demands.
    Pass,
    /// Exit status 0, but not the output the check demands.
    Mismatch {
        /// What was demanded and what came, one line.
        detail: String,
    },
    /// Another exit status.
    Exit {
        /// 1 to 255.
        code: u8,
    },
    /// A signal ended it.
    Signal {
        /// Its number in x86-64's numbering.
        signal: u8,
        /// The kernel would have dumped core.
        core: bool,
    },
    /// It did not end within its limit, also when run alone.
    Timeout {
        /// The limit, milliseconds, after scaling.
        limit: u64,
    },
    /// The kernel's out-of-memory killer ended it.
    Oom,
    /// execve failed.
    Exec {
        /// The errno.
        errno: i32,
        /// The path tried.
        path: String,
    },
    /// The kernel panicked, or the machine reset, while the cell ran.
    Panic {
        /// The console's line.
        message: String,
    },
    /// The kernel stopped answering while the cell ran.
    Lockup {
        /// What was seen, one line.
        message: String,
    },
    /// This kernel cannot give what the cell needs.
    Unsupported {
        /// What is missing.
        what: String,
    },
    /// There is no result.
    NotRun {
        /// Why.
        reason: String,
    },
}
