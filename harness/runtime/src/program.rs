//! The container's program: found in the container's own PATH, and started.

use std::ffi::{CStr, CString};
use std::path::Path;

use rustix::fs::{Access, access, stat};
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
    pub(crate) fn new<S: AsRef<str>>(arguments: &[S], environment: &[S]) -> Result<Self, Failure> {
        let Some(name) = arguments.first().map(AsRef::as_ref) else {
            return Err(Failure::invalid("process.args", "no program is named"));
        };
        let searched = !name.contains('/');
        let candidates = if searched {
            candidates(name, search_path(environment))
        } else {
            vec![name.to_owned()]
        };
        Ok(Self {
            arguments: c_strings("process.args", arguments)?,
            environment: c_strings("process.env", environment)?,
            candidates: c_strings("process.args", &candidates)?,
            searched,
        })
    }

    /// Looks where the program is. A failing execve makes an address space and
    /// throws it away, a look costs a fiftieth of it; and it is taken before a
    /// filter for system calls is, which need not allow it.
    pub(crate) fn look(&self) -> Search<'_> {
        let is_missing =
            |path: &&CString| matches!(stat(path.as_c_str()), Err(Errno::NOENT | Errno::NOTDIR));
        Search {
            missing: match self.searched {
                true => self.candidates.iter().take_while(is_missing).count(),
                // execve's own answer is the result.
                false => 0,
            },
            program: self,
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

/// A program, and where it is not.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    program: &'a Program,
    /// So many of the first candidates execve would answer with ENOENT, because there
    /// is nothing, or with ENOTDIR. Of all else execve decides.
    missing: usize,
}

impl Search<'_> {
    /// Becomes the program; returns only what kept it from that. As execvp
    /// does, but never hands a file without a magic number to /bin/sh: ENOEXEC
    /// is a result here.
    pub(crate) fn start(&self) -> Failure {
        self.start_with(
            |path| self.program.execve(path),
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
        let searched = self.program.searched;
        let mut denied: Option<&CStr> = None;
        // A file that is there and yet ENOENT lacks its interpreter or loader:
        // the search goes on, but this is what is told.
        let mut hollow: Option<&CStr> = None;
        for path in self.program.candidates.iter().skip(self.missing) {
            match execve(path) {
                Errno::ACCESS if searched => denied = denied.or(Some(path)),
                Errno::NOENT if searched => {
                    if hollow.is_none() && exists(path) {
                        hollow = Some(path);
                    }
                }
                Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT if searched => {}
                errno => return failed(errno, path),
            }
        }
        match (denied, hollow, self.program.arguments.first()) {
            (Some(path), _, _) => failed(Errno::ACCESS, path),
            (None, Some(path), _) => failed(Errno::NOENT, path),
            (None, None, Some(name)) => failed(Errno::NOENT, name),
            (None, None, None) => failed(Errno::NOENT, c""),
        }
    }
}

/// The first PATH counts, as it does for getenv.
fn search_path<S: AsRef<str>>(environment: &[S]) -> &str {
    environment
        .iter()
        .find_map(|entry| entry.as_ref().strip_prefix("PATH="))
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

fn c_strings(field: &str, texts: &[impl AsRef<str>]) -> Result<Vec<CString>, Failure> {
    texts
        .iter()
        .map(|text| {
            CString::new(text.as_ref())
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
        let everywhere = Search {
            program: &program,
            missing: 0,
        };
        let failure = everywhere.start_with(
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
        assert!(Program::new::<&str>(&[], &[]).is_err());
        assert!(Program::new(&["a\0b".to_owned()], &[]).is_err());
    }
    /// execve in a process of its own: none where the program ran.
    fn execve_apart(program: &Program, path: &CStr) -> Option<Errno> {
        let arguments = pointers(&program.arguments);
        let environment = pointers(&program.environment);
        // SAFETY: the child calls nothing but execve and _exit, whose arguments
        // were made before it was.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as in `execve`, and the number is the C library's own.
            unsafe {
                libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
                libc::_exit(*libc::__errno_location());
            }
        }
        assert!(child > 0, "fork: {}", crate::descriptor::last_errno());
        let mut status = 0;
        // SAFETY: the status outlives the call, which writes nothing else.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(waited, child, "waitpid");
        assert!(libc::WIFEXITED(status), "{status:#x}");
        match libc::WEXITSTATUS(status) {
            0 => None,
            // A process another test has just forked holds it open for writing.
            libc::ETXTBSY => execve_apart(program, path),
            errno => Some(Errno::from_raw_os_error(errno)),
        }
    }

    /// The errno and the path told, EXIST for one that ran; and how often execve
    /// was called.
    fn searched(search: &Search<'_>) -> (Errno, String, usize) {
        let mut calls = 0;
        let failure = search.start_with(
            |path| {
                calls += 1;
                // No errno of the search's: it ends there.
                execve_apart(search.program, path).unwrap_or(Errno::EXIST)
            },
            |path| access(path, Access::EXISTS).is_ok(),
        );
        match failure {
            Failure::Exec { errno, path } => (errno, path, calls),
            other => panic!("{other}"),
        }
    }

    /// Real files, and execve's own answers: who looked before tells what who did
    /// not look tells.
    #[test]
    fn a_look_changes_no_answer() {
        use std::fs::{Permissions, create_dir, set_permissions, write};
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "empty", "plain", "good", "hollow", "text", "folder", "links",
        ] {
            create_dir(at(name)).unwrap();
        }
        for (name, content, mode) in [
            ("plain/x", "#!/bin/sh\nexit 0\n", 0o644),
            ("good/x", "#!/bin/sh\nexit 0\n", 0o755),
            ("hollow/x", "#!/nowhere/at/all\n", 0o755),
            ("text/x", "exit 0\n", 0o755),
            ("file", "", 0o644),
        ] {
            write(at(name), content).unwrap();
            set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        }
        create_dir(at("folder/x")).unwrap();
        symlink("nothing", at("links/x")).unwrap();
        symlink("../good/x", at("links/y")).unwrap();
        symlink("z", at("links/z")).unwrap();
        let long = "n".repeat(300);
        for (name, folders, errno, told, looked, blind) in [
            // Not found, and found behind what is nothing.
            ("x", "empty:gone:file", Errno::NOENT, "x", 0, 3),
            ("x", "empty:gone:file:good", Errno::EXIST, "good/x", 1, 4),
            // Not executable, and executable later.
            ("x", "empty:plain:empty", Errno::ACCESS, "plain/x", 2, 3),
            ("x", "plain:good", Errno::EXIST, "good/x", 2, 2),
            ("x", "plain:hollow", Errno::ACCESS, "plain/x", 2, 2),
            // A folder.
            ("x", "folder", Errno::ACCESS, "folder/x", 1, 1),
            ("x", "folder:good", Errno::EXIST, "good/x", 2, 2),
            // A missing interpreter.
            ("x", "empty:hollow:empty", Errno::NOENT, "hollow/x", 2, 3),
            ("x", "hollow:good", Errno::EXIST, "good/x", 2, 2),
            // No format: the search ends.
            ("x", "empty:text:good", Errno::NOEXEC, "text/x", 1, 2),
            // Links: to nothing, to the program, to themselves.
            ("x", "links:good", Errno::EXIST, "good/x", 1, 2),
            ("x", "links", Errno::NOENT, "x", 0, 1),
            ("y", "empty:links", Errno::EXIST, "links/y", 1, 2),
            ("z", "links:good", Errno::LOOP, "links/z", 1, 1),
            // A name no file can have.
            (&long, "empty:good", Errno::NAMETOOLONG, "empty/N", 1, 1),
        ] {
            let path: Vec<String> = folders
                .split(':')
                .map(|name| at(name).display().to_string())
                .collect();
            let environment = [format!("PATH={}", path.join(":"))];
            let program = Program::new(&[name.to_owned()], &environment).unwrap();
            let everywhere = Search {
                program: &program,
                missing: 0,
            };
            let told = match told.contains('/') {
                true => at(told)
                    .display()
                    .to_string()
                    .replace("/N", &format!("/{long}")),
                false => told.to_owned(),
            };
            let case = format!("{name} in {folders}");
            assert_eq!(
                searched(&everywhere),
                (errno, told.clone(), blind),
                "{case}, not looked for"
            );
            assert_eq!(searched(&program.look()), (errno, told, looked), "{case}");
        }
        // A name with a slash is execve's alone.
        for (name, errno) in [
            ("gone/x", Errno::NOENT),
            ("file/x", Errno::NOTDIR),
            ("plain/x", Errno::ACCESS),
            ("folder/x", Errno::ACCESS),
            ("hollow/x", Errno::NOENT),
            ("text/x", Errno::NOEXEC),
            ("good/x", Errno::EXIST),
        ] {
            let name = at(name).display().to_string();
            let program = Program::new(std::slice::from_ref(&name), &[]).unwrap();
            assert_eq!(searched(&program.look()), (errno, name, 1));
        }
    }

    /// Of a folder that cannot be searched execve says EACCES, which is remembered.
    #[test]
    fn a_folder_that_is_closed_is_a_refusal() {
        use std::fs::{Permissions, create_dir, set_permissions, write};
        use std::os::unix::fs::PermissionsExt;

        use rustix::fs::Uid;
        use rustix::thread::set_thread_res_uid;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, mode) in [("", 0o755), ("closed", 0o000), ("open", 0o755)] {
            if !name.is_empty() {
                create_dir(at(name)).unwrap();
            }
            set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        }
        write(at("open/x"), "#!/bin/sh\nexit 0\n").unwrap();
        set_permissions(at("open/x"), Permissions::from_mode(0o755)).unwrap();
        let told = |name: &str, folders: &[&str]| {
            let path: Vec<String> = folders
                .iter()
                .map(|name| at(name).display().to_string())
                .collect();
            let environment = format!("PATH={}", path.join(":"));
            let program = Program::new(&[name], &[environment.as_str()]).unwrap();
            searched(&program.look())
        };
        let (missing, found) = std::thread::scope(|scope| {
            let search = scope.spawn(|| {
                // To root no folder is closed. The ids are the thread's alone.
                if rustix::process::geteuid().is_root() {
                    let nobody = Uid::from_raw(65_534);
                    set_thread_res_uid(nobody, nobody, nobody).unwrap();
                }
                (
                    told("x", &["closed", "gone"]),
                    told("x", &["gone", "closed", "open"]),
                )
            });
            search.join().unwrap()
        });
        let closed = at("closed/x").display().to_string();
        assert_eq!(missing, (Errno::ACCESS, closed, 2));
        let open = at("open/x").display().to_string();
        assert_eq!(found, (Errno::EXIST, open, 2));
    }
}
