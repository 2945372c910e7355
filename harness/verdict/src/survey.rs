//! What can be told of an image without running anything of it.

mod packages;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::elf::{Elf, KernelVersion, Machine, PageEntry};
use crate::userland::{Found, Userland};

pub use packages::Packages;

/// An image, read.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Its C libraries.
    pub libcs: Vec<Libc>,
    /// Every ELF program and library, by path.
    pub files: BTreeMap<String, Elf>,
    /// Files that begin as ELF does and are damaged, with what is wrong.
    pub damaged: BTreeMap<String, String>,
    /// The interpreters that programs and scripts name, and by how many.
    pub interpreters: BTreeMap<String, Interpreter>,
    /// What is installed, as the package manager's own records have it.
    pub packages: Vec<Packages>,
    /// Libraries' base names → their paths.
    libraries: BTreeMap<String, String>,
}

/// A C library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libc {
    /// `glibc` or `musl`.
    pub name: &'static str,
    /// `2.36`, `1.2.5`.
    pub version: String,
    /// Where it is.
    pub path: String,
    /// What machine it is for.
    pub machine: Machine,
}

/// A loader, or a script's interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interpreter {
    /// How many files name it.
    pub users: usize,
    /// The image has it.
    pub present: bool,
}

/// Reads an image.
///
/// # Errors
/// When it cannot be read.
pub fn survey(image: &dyn Userland) -> io::Result<Survey> {
    let mut survey = Survey::default();
    for path in image.files()? {
        let bytes = image.read(&path)?;
        if let Some(interpreter) = script(image, &path, &bytes)? {
            survey.interpreters.entry(interpreter).or_default().users += 1;
            continue;
        }
        match Elf::parse(&bytes) {
            None => {}
            Some(Err(error)) => {
                survey.damaged.insert(path, error.reason);
            }
            Some(Ok(elf)) if !elf.loadable => {}
            Some(Ok(elf)) => {
                if let Some(interpreter) = &elf.interpreter {
                    let entry = survey.interpreters.entry(interpreter.clone());
                    entry.or_default().users += 1;
                }
                survey.libcs.extend(libc(&path, &bytes, &elf));
                survey.files.insert(path, elf);
            }
        }
    }
    for (path, interpreter) in &mut survey.interpreters {
        interpreter.present = image.find(path)? != Found::Missing;
    }
    survey.libraries = libraries(image, &survey.files)?;
    survey.packages = packages::read(image)?;
    Ok(survey)
}

impl Survey {
    /// The ABI note that asks for the newest kernel, and whose it is.
    pub fn least_kernel(&self) -> Option<(&str, KernelVersion)> {
        self.files
            .iter()
            .filter_map(|(path, elf)| Some((path.as_str(), elf.least_kernel?)))
            .max_by_key(|(_, least)| *least)
    }

    /// The highest x86-64 level a note asks for, and whose it is. Variants for
    /// better CPUs, which ld.so takes only there, are passed over.
    pub fn level(&self) -> Option<(&str, u8)> {
        self.files
            .iter()
            .filter(|(path, _)| !path.contains("/glibc-hwcaps/"))
            .filter_map(|(path, elf)| Some((path.as_str(), elf.level?)))
            .max_by_key(|(_, level)| *level)
    }

    /// Files with the page's addresses in their code.
    pub fn page_files(&self) -> impl Iterator<Item = (&str, &[PageEntry])> {
        self.files
            .iter()
            .filter(|(_, elf)| !elf.page.is_empty())
            .map(|(path, elf)| (path.as_str(), elf.page.as_slice()))
    }

    /// Programs: what has an interpreter, or is static and no library.
    pub fn programs(&self) -> impl Iterator<Item = (&str, &Elf)> {
        self.files
            .iter()
            .filter(|(path, elf)| is_program(path, elf))
            .map(|(path, elf)| (path.as_str(), elf))
    }

    /// The entries of the page that a file can come to: by its own code, or by a
    /// function that it or a library it loads takes from a C library that calls the
    /// page for it. That it can does not say that it does.
    pub fn reaches(&self, path: &str) -> Vec<PageEntry> {
        let loaded = self.loaded(path);
        let mut reached = BTreeSet::new();
        for file in &loaded {
            let Some(elf) = self.files.get(*file) else {
                continue;
            };
            let is_libc = self.libcs.iter().any(|libc| libc.path == *file);
            for entry in &elf.page {
                let called = |other: &&str| {
                    self.files.get(*other).is_some_and(|other| {
                        entry
                            .functions()
                            .iter()
                            .any(|function| other.time_calls.iter().any(|call| call == function))
                    })
                };
                // A C library's own code counts where something calls it; so does
                // that of a library which wraps it.
                let direct = !is_libc && (*file == path || elf.time_calls.is_empty());
                if (direct && *file == path) || loaded.iter().any(called) {
                    reached.insert(*entry);
                }
            }
        }
        reached.into_iter().collect()
    }

    /// A library that a file, or one it loads, names and that is nowhere in the image.
    pub fn missing_library(&self, path: &str) -> Option<(&str, &str)> {
        self.loaded(path).into_iter().find_map(|file| {
            let (file, elf) = self.files.get_key_value(file)?;
            let name = elf
                .needed
                .iter()
                .find(|name| !self.libraries.contains_key(*name))?;
            Some((file.as_str(), name.as_str()))
        })
    }

    /// The file, and all that ld.so loads for it.
    pub fn loaded<'a>(&'a self, path: &'a str) -> Vec<&'a str> {
        let mut loaded = vec![path];
        let mut at = 0;
        while let Some(file) = loaded.get(at) {
            at += 1;
            let Some(elf) = self.files.get(*file) else {
                continue;
            };
            for name in &elf.needed {
                if let Some(library) = self.libraries.get(name)
                    && !loaded.contains(&library.as_str())
                {
                    loaded.push(library);
                }
            }
        }
        loaded
    }
}

fn is_program(path: &str, elf: &Elf) -> bool {
    let library = path.contains(".so");
    !library && (elf.interpreter.is_some() || elf.needed.is_empty())
}

/// The interpreter of an executable script.
fn script(image: &dyn Userland, path: &str, bytes: &[u8]) -> io::Result<Option<String>> {
    let Some(line) = bytes.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let executable = matches!(
        image.find(path)?,
        Found::File {
            executable: true,
            ..
        }
    );
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let word = text.split_whitespace().next().filter(|_| executable);
    Ok(word.filter(|word| word.starts_with('/')).map(str::to_owned))
}

/// Base names, and those of links beside them: `libc.so.6` → `/lib/libc-2.31.so`.
fn libraries(
    image: &dyn Userland,
    files: &BTreeMap<String, Elf>,
) -> io::Result<BTreeMap<String, String>> {
    let mut libraries = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for path in files.keys() {
        if let Some((folder, name)) = path.rsplit_once('/') {
            if !folder.contains("glibc-hwcaps") {
                libraries
                    .entry(name.to_owned())
                    .or_insert_with(|| path.clone());
            }
            folders.insert(folder.to_owned());
        }
    }
    let needed: BTreeSet<&String> = files.values().flat_map(|elf| &elf.needed).collect();
    for name in needed {
        if libraries.contains_key(name) {
            continue;
        }
        for folder in &folders {
            if let Found::File { path, .. } = image.find(&format!("{folder}/{name}"))? {
                libraries.insert(name.clone(), path);
                break;
            }
        }
    }
    Ok(libraries)
}

/// What a C library says its version is.
fn libc(path: &str, bytes: &[u8], elf: &Elf) -> Option<Libc> {
    static GLIBC: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?-u)(?:GNU|Embedded GNU) C Library [^\x00]*?version (\d+\.\d+(?:\.\d+)?)")
    });
    static MUSL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?-u)\x00(\d+\.\d+\.\d+)(?:[-_.+][0-9A-Za-z.+-]*)?\x00"));
    let base = path.rsplit('/').next()?;
    let (name, found) = if base.starts_with("libc.so") || base.starts_with("libc-2") {
        ("glibc", GLIBC.captures(bytes)?)
    } else if base.starts_with("ld-musl-") || base == "libc.musl-x86_64.so.1" {
        ("musl", MUSL.captures(bytes)?)
    } else {
        return None;
    };
    Some(Libc {
        name,
        version: String::from_utf8_lossy(&found[1]).into_owned(),
        path: path.to_owned(),
        machine: elf.machine,
    })
}

fn pattern(pattern: &str) -> Regex {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and each is used by a test"
    )]
    Regex::new(pattern).expect("a pattern of ours is a regular expression")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Made;
    use crate::userland::InMemory;

    /// `mov $0xffffffffff600400,%rax; call *%rax`.
    const TIME: [u8; 9] = [0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0];

    #[test]
    fn an_image_is_read_without_running() {
        let glibc = [
            Made::x86_64().bytes(),
            b"\0GNU C Library (Debian EGLIBC 2.13-38) stable release version 2.13, by Roland\0"
                .to_vec(),
        ]
        .concat();
        let image = InMemory::default()
            .with("/lib/libc-2.13.so", glibc)
            .with(
                "/bin/direct",
                Made {
                    code: TIME.to_vec(),
                    least_kernel: Some([2, 6, 26]),
                    ..Made::x86_64()
                }
                .bytes(),
            )
            .with("/bin/narrow", Made::i386().bytes())
            .with("/bin/script", "#!/usr/bin/perl -w\n")
            .with("/bin/broken", "\x7fELF\x02")
            .with(
                "/var/lib/dpkg/status",
                "Package: bash\nStatus: install ok installed\nVersion: 4.2\n\nPackage: gone\nStatus: \
                 deinstall ok config-files\nVersion: 1\n",
            );
        let survey = survey(&image).unwrap();
        assert_eq!(survey.libcs[0].name, "glibc");
        assert_eq!(survey.libcs[0].version, "2.13");
        assert_eq!(
            survey.least_kernel(),
            Some(("/bin/direct", KernelVersion([2, 6, 26])))
        );
        assert_eq!(survey.reaches("/bin/direct"), [PageEntry::Time]);
        assert_eq!(survey.reaches("/bin/narrow"), []);
        assert_eq!(
            survey.interpreters["/usr/bin/perl"],
            Interpreter {
                users: 1,
                present: false
            }
        );
        assert!(survey.damaged.contains_key("/bin/broken"));
        assert_eq!(survey.packages[0].manager, "dpkg");
        assert_eq!(survey.packages[0].installed, ["bash 4.2"]);
        let programs: Vec<&str> = survey.programs().map(|(path, _)| path).collect();
        assert_eq!(programs, ["/bin/direct", "/bin/narrow"]);
    }
}
