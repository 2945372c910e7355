//! The files of an image, as rules and predictions ask for them.

use std::fmt::Debug;
use std::io;

/// How far a chain of symbolic links or `#!` lines is followed.
const DEPTH: usize = 8;

/// Where docker looks for programs where nothing else is said.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image's files. Asked only when something is to be explained, so that an image
/// whose cells pass is never opened.
pub trait Userland: Debug {
    /// What a process with this root finds at an absolute path, links followed.
    ///
    /// # Errors
    /// When the image cannot be read: that says nothing of what is in it.
    fn find(&self, path: &str) -> io::Result<Found>;

    /// The paths of all regular files, absolute, each under its own names only.
    ///
    /// # Errors
    /// When the image cannot be read.
    fn files(&self) -> io::Result<Vec<String>>;

    /// A regular file's bytes; the path is one of [`Userland::files`] or of
    /// [`Found::File`].
    ///
    /// # Errors
    /// When the image cannot be read, or has no such file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file, and its path with all links resolved.
    File {
        /// Absolute.
        path: String,
        /// Somebody may execute it.
        executable: bool,
    },
    /// A folder, a device, a FIFO.
    Other,
    /// Nothing.
    Missing,
}

/// The files of this base name, as the kernel's log names what was mapped.
///
/// # Errors
/// Those of [`Userland::files`].
pub fn named(image: &dyn Userland, name: &str) -> io::Result<Vec<String>> {
    let mut files = image.files()?;
    files.retain(|path| path.rsplit('/').next() == Some(name));
    Ok(files)
}

/// Where a program is: as it is where it has a slash, else as PATH has it. None
/// where the image has none.
///
/// # Errors
/// Those of [`Userland::find`].
pub fn program(image: &dyn Userland, word: &str, path: &str) -> io::Result<Option<String>> {
    if word.contains('/') {
        return Ok(match image.find(word)? {
            Found::Missing => None,
            _ => Some(word.to_owned()),
        });
    }
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        let candidate = format!("{}/{word}", folder.trim_end_matches('/'));
        if let Found::File {
            executable: true, ..
        } = image.find(&candidate)?
        {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// What a program needs before its first instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// An ELF program, with its path and bytes' description.
    Elf {
        /// Links resolved.
        path: String,
        /// What it says of itself.
        elf: Box<crate::elf::Elf>,
    },
    /// A file on the way is missing: the program's, or one it names.
    Missing {
        /// What names it: the program itself where that is missing.
        named_by: Option<String>,
        /// The path that leads nowhere.
        path: String,
    },
    /// Something that is neither ELF nor a script.
    NoProgram {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Follows `#!` lines from a program to the ELF file that is executed in the end,
/// and looks whether that one's interpreter is there.
///
/// # Errors
/// Those of [`Userland`].
pub fn start(image: &dyn Userland, program: &str) -> io::Result<Start> {
    let start = executed(image, program)?;
    if let Start::Elf { path, elf } = &start
        && let Some(interpreter) = &elf.interpreter
        && image.find(interpreter)? == Found::Missing
    {
        return Ok(Start::Missing {
            named_by: Some(path.clone()),
            path: interpreter.clone(),
        });
    }
    Ok(start)
}

/// The same without a look for the ELF file's interpreter: what the kernel knows when
/// it decides whether it can execute the file at all.
///
/// # Errors
/// Those of [`Userland`].
pub fn executed(image: &dyn Userland, program: &str) -> io::Result<Start> {
    let mut named_by = None;
    let mut path = program.to_owned();
    for _ in 0..DEPTH {
        let real = match image.find(&path)? {
            Found::Missing => return Ok(Start::Missing { named_by, path }),
            Found::Other => {
                let reason = "it is no regular file".to_owned();
                return Ok(Start::NoProgram { path, reason });
            }
            Found::File { path, .. } => path,
        };
        let bytes = image.read(&real)?;
        if let Some(interpreter) = script_interpreter(&bytes) {
            named_by = Some(path);
            path = interpreter;
            continue;
        }
        return Ok(match crate::elf::Elf::parse(&bytes) {
            None => Start::NoProgram {
                path: real,
                reason: "it is neither an ELF file nor a script with a #! line".to_owned(),
            },
            Some(Err(error)) => Start::NoProgram {
                path: real,
                reason: error.to_string(),
            },
            Some(Ok(elf)) => Start::Elf {
                path: real,
                elf: Box::new(elf),
            },
        });
    }
    Ok(Start::NoProgram {
        path,
        reason: "its #! lines lead in circles".to_owned(),
    })
}

/// The program a `#!` line names.
fn script_interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    text.split_whitespace().next().map(str::to_owned)
}

/// An image in memory: for tests, here and in other rooms.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    files: std::collections::BTreeMap<String, Vec<u8>>,
    links: std::collections::BTreeMap<String, String>,
}

impl InMemory {
    /// With this file, executable.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into());
        self
    }

    /// With this symbolic link to an absolute path.
    #[must_use]
    pub fn with_link(mut self, path: &str, target: &str) -> Self {
        self.links.insert(path.to_owned(), target.to_owned());
        self
    }
}

impl Userland for InMemory {
    fn find(&self, path: &str) -> io::Result<Found> {
        let mut path = path;
        for _ in 0..DEPTH {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        Ok(match self.files.contains_key(path) {
            true => Found::File {
                path: path.to_owned(),
                executable: true,
            },
            false => Found::Missing,
        })
    }

    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.files.keys().cloned().collect())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_lead_to_their_interpreter() {
        let image = InMemory::default()
            .with("/bin/a", "#! /bin/b -x\n")
            .with("/bin/c", "#!/bin/c")
            .with("/bin/text", "text");
        assert_eq!(
            start(&image, "/bin/a").unwrap(),
            Start::Missing {
                named_by: Some("/bin/a".into()),
                path: "/bin/b".into()
            }
        );
        for (path, why) in [("/bin/c", "circles"), ("/bin/text", "neither")] {
            let Start::NoProgram { reason, .. } = start(&image, path).unwrap() else {
                panic!("{path} is a program")
            };
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let image = InMemory::default()
            .with("/usr/bin/ls", "")
            .with_link("/sbin/ls", "/usr/bin/ls");
        let found = |word| program(&image, word, "/sbin:relative:/usr/bin").unwrap();
        assert_eq!(found("ls").as_deref(), Some("/sbin/ls"));
        assert_eq!(found("/usr/bin/ls").as_deref(), Some("/usr/bin/ls"));
        assert_eq!(found("nosuch"), None);
        assert_eq!(found("/nosuch"), None);
        assert_eq!(named(&image, "ls").unwrap(), ["/usr/bin/ls"]);
    }
}
