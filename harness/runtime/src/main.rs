//! The bundled container runtime's command.
//!
//! Its `main` is the C library's, not Rust's: what Rust does before and after its
//! own is half of what a short container's runtime does at all (it reads its memory
//! map to find the end of its stack, makes another for the signal of its overflow
//! and takes both down again). What of it is needed is done here.

#![no_main]

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// The process's beginning.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    if !standard_descriptors_are_open() {
        // Perhaps this one is.
        let _ = writeln!(
            std::io::stderr(),
            "runtime: no /dev/null for a closed stream"
        );
        return 125;
    }
    // A reader that has gone is an error to who writes, not a death.
    // SAFETY: no handler is installed, and the process has one thread.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let code = match runtime::command::main(arguments(count, words)) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere is left to complain about a closed stderr.
            let _ = writeln!(std::io::stderr(), "runtime: {error}");
            error.exit_code()
        }
    };
    // SAFETY: ends the process. Nothing is registered to run at its end: what is
    // written to stdout has been flushed by who wrote it.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// The program's name left out.
fn arguments(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    (1..usize::try_from(count).unwrap_or(0))
        .map(|index| {
            // SAFETY: the C library gives so many pointers to strings that stay.
            let word = unsafe { CStr::from_ptr(*words.add(index)) };
            OsStr::from_bytes(word.to_bytes()).to_owned()
        })
        .collect()
}

/// Gives a process that was started without one of the descriptors 0, 1 and 2 a
/// /dev/null there: the first file it opens would be the container's otherwise.
fn standard_descriptors_are_open() -> bool {
    [0, 1, 2]
        .into_iter()
        // SAFETY: takes no pointer; fails only for what is not open.
        .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } == -1)
        // SAFETY: the path ends in a zero. The lowest number free is the one asked
        // about, as those below it are open by now.
        .all(|fd| unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } == fd)
}
