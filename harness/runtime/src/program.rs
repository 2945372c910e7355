//! The container's program: found in the container's own PATH, and started.

use std::ffi::{CStr, CString};
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::failure::Failure;

/// What execvp takes where the environment has no PATH (confstr _CS_PATH).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Ready for execve.
#[derive(Debug)]
pub(crate) struct Program {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// In the order they are tried.
    candidates: Vec<CString>,
    searched: bool,
}

impl Program {
    /// Checks `process.args` and `process.env` and lists where the program can
    /// be.
    pub(crate) fn new(arguments: &[String], environment: &[String]) -> Result<Self, Failure> {
        let Some(name) = arguments.first() else {
            return Err(Failure::invalid("process.args", "no program is named"));
        };
        let searched = !name.contains('/');
        let candidates = if searched {
            candidates(name, search_path(environment))
        } else {
            vec![name.clone()]
        };
        Ok(Self {
            arguments: c_strings("process.args", arguments)?,
            environment: c_strings("process.env", environment)?,
            candidates: c_strings("process.args", &candidates)?,
            searched,
        })
    }

    /// Becomes the program; returns only what kept it from that. As execvp
    /// does, but never hands a file without a magic number to /bin/sh: ENOEXEC
    /// is a result here.
    pub(crate) fn start(&self) -> Failure {
        self.start_with(
            |path| self.execve(path),
            |path| access(path, Access::EXISTS).is_ok(),
        )
    }

    /// The search, with execve and the look for a file in the caller's hands.
    fn start_with(
        &self,
        mut execve: impl FnMut(&CStr) -> Errno,
        exists: impl Fn(&CStr) -> bool,
    ) -> Failure {
        let failed = |errno, path: &CStr| Failure::Exec {
            errno,
            path: path.to_string_lossy().into_owned(),
        };
        let mut denied: Option<&CStr> = None;
        // A file that is there and yet ENOENT lacks its interpreter or loader:
        // the search goes on, but this is what is told.
        let mut hollow: Option<&CStr> = None;
        for path in &self.candidates {
            match execve(path) {
                Errno::ACCESS if self.searched => denied = denied.or(Some(path)),
                Errno::NOENT if self.searched => {
                    if hollow.is_none() && exists(path) {
                        hollow = Some(path);
                    }
                }
                Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT if self.searched => {}
                errno => return failed(errno, path),
            }
        }
        match (denied, hollow, self.arguments.first()) {
            (Some(path), _, _) => failed(Errno::ACCESS, path),
            (None, Some(path), _) => failed(Errno::NOENT, path),
            (None, None, Some(name)) => failed(Errno::NOENT, name),
            (None, None, None) => failed(Errno::NOENT, c""),
        }
    }

    fn execve(&self, path: &CStr) -> Errno {
        let arguments = pointers(&self.arguments);
        let environment = pointers(&self.environment);
        // SAFETY: both arrays end in a null pointer and their strings outlive
        // the call.
        unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        crate::descriptor::last_errno()
    }
}

/// The first PATH counts, as it does for getenv.
fn search_path(environment: &[String]) -> &str {
    environment
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
}

/// An empty component is the working directory.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    path.split(':')
        .map(|folder| match folder {
            "" => name.to_owned(),
            folder => Path::new(folder).join(name).display().to_string(),
        })
        .collect()
}

fn c_strings(field: &str, texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts
        .iter()
        .map(|text| {
            CString::new(text.as_str())
                .map_err(|_nul| Failure::invalid(field, "a null byte inside a string"))
        })
        .collect()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the search against a table of answers; what is not in it is ENOENT.
    fn search(
        arguments: &[&str],
        path: Option<&str>,
        files: &[(&str, Errno)],
    ) -> (Vec<String>, Errno, String) {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let environment: Vec<String> = path.iter().map(|path| format!("PATH={path}")).collect();
        let program = Program::new(&arguments, &environment).unwrap();
        let mut tried = Vec::new();
        let find = |path: &CStr| {
            let path = path.to_str().unwrap();
            files
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(_, errno)| *errno)
        };
        let failure = program.start_with(
            |path| {
                tried.push(path.to_str().unwrap().to_owned());
                find(path).unwrap_or(Errno::NOENT)
            },
            |path| find(path).is_some(),
        );
        match failure {
            Failure::Exec { errno, path } => (tried, errno, path),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_whole_path_is_searched() {
        let (tried, errno, path) = search(&["ls"], Some("/a:/b/:"), &[]);
        assert_eq!(tried, ["/a/ls", "/b/ls", "ls"]);
        assert_eq!((errno, path.as_str()), (Errno::NOENT, "ls"));
        let (tried, ..) = search(&["ls"], None, &[]);
        assert_eq!(tried, ["/bin/ls", "/usr/bin/ls"]);
    }

    #[test]
    fn a_refusal_is_remembered_past_what_is_missing() {
        let files = [("/a/ls", Errno::ACCESS)];
        let (tried, errno, path) = search(&["ls"], Some("/a:/b"), &files);
        assert_eq!(tried, ["/a/ls", "/b/ls"]);
        assert_eq!((errno, path.as_str()), (Errno::ACCESS, "/a/ls"));
    }

    #[test]
    fn a_wrong_format_ends_the_search() {
        let files = [("/a/ls", Errno::NOEXEC), ("/b/ls", Errno::ACCESS)];
        let (tried, errno, path) = search(&["ls"], Some("/a:/b"), &files);
        assert_eq!(tried, ["/a/ls"]);
        assert_eq!((errno, path.as_str()), (Errno::NOEXEC, "/a/ls"));
    }

    #[test]
    fn a_missing_interpreter_is_told_from_a_missing_program() {
        let files = [("/b/ls", Errno::NOENT)];
        let (tried, errno, path) = search(&["ls"], Some("/a:/b:/c"), &files);
        assert_eq!(tried, ["/a/ls", "/b/ls", "/c/ls"]);
        assert_eq!((errno, path.as_str()), (Errno::NOENT, "/b/ls"));
    }

    #[test]
    fn a_slash_means_no_search() {
        let (tried, errno, path) = search(&["./ls"], Some("/a"), &[("./ls", Errno::ACCESS)]);
        assert_eq!(tried, ["./ls"]);
        assert_eq!((errno, path.as_str()), (Errno::ACCESS, "./ls"));
        let (tried, errno, _) = search(&[""], Some("/a"), &[]);
        assert_eq!((tried.len(), errno), (0, Errno::NOENT));
    }

    #[test]
    fn what_execve_cannot_be_given_is_refused() {
        assert!(Program::new(&[], &[]).is_err());
        assert!(Program::new(&["a\0b".to_owned()], &[]).is_err());
    }
}
