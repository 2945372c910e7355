//! matrix.lock: what each source came to when it was last looked at, so that a
//! table can be made again from the same kernels and userlands.
//!
//! `matrix update` writes it, `--locked` holds a plan against it. Each entry says
//! which source it was resolved from, in the words of the project's files: an entry
//! whose source has changed since is no lock of it.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use crate::{ImageSource, KernelSource, LockedPackage, Pin, Plan, base_of};

/// The file's name, beside kernels.toml.
pub const LOCK: &str = "matrix.lock";

/// The one form of the file that is read.
const FORM: u32 = 1;

const HEAD: &str = "\
# What `matrix update` found the kernels and images to be. `matrix run --locked` uses
# just these, and refuses what is not in here. Written by the program: to change it,
# run `matrix update` again. Packages of the Debian mirror are written with the
# address of Debian's own server and fetched from the mirror.
";

/// What a lock file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Sorted by name.
    pub kernels: Vec<LockedKernel>,
    /// Sorted by name.
    pub images: Vec<LockedImage>,
}

/// An entry of kernels.toml; its variants are the same kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedKernel {
    /// The entry's name.
    pub name: String,
    /// The source it was resolved from, in words.
    pub source: String,
    /// What that was.
    pub pin: Pin,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedImage {
    /// Its name.
    pub name: String,
    /// The source it was resolved from, in words.
    pub source: String,
    /// What that was.
    pub pin: Pin,
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none, or it cannot be read.
    #[error("{source}\nhint: `matrix update` writes it")]
    Read {
        /// With the path.
        source: std::io::Error,
    },
    /// It is none.
    #[error("{path}: {reason}\nhint: `matrix update` writes it anew")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A plan asks for what is not locked. Never empty.
    #[error("{LOCK} has {}\nhint: `matrix update` with the same selection adds what is missing", .0.join("; "))]
    Lacks(Vec<String>),
}

/// The file as serde reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    form: u32,
    #[serde(default, rename = "kernel")]
    kernels: Vec<Entry>,
    #[serde(default, rename = "image")]
    images: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    source: String,
    version: Option<String>,
    digest: Option<String>,
    packages: Option<Vec<Package>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    name: String,
    version: String,
    url: String,
    sha256: String,
}

impl Lock {
    /// Reads a project's lock file.
    ///
    /// # Errors
    /// [`LockError::Read`] and [`LockError::Malformed`].
    pub fn read(project: &Path) -> Result<Lock, LockError> {
        let path = project.join(LOCK);
        let text = fs_err::read_to_string(&path).map_err(|source| LockError::Read { source })?;
        Lock::parse(&text).map_err(|reason| LockError::Malformed {
            path: path.display().to_string(),
            reason,
        })
    }

    /// Reads the text of a lock file; the error is what is wrong with it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Lock, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.form != FORM {
            return Err(format!(
                "it is of form {}, this program reads form {FORM}",
                file.form
            ));
        }
        let kernels = file.kernels.into_iter().map(|entry| {
            let (name, source, pin) = entry.read()?;
            Ok::<_, String>(LockedKernel { name, source, pin })
        });
        let images = file.images.into_iter().map(|entry| {
            let (name, source, pin) = entry.read()?;
            Ok::<_, String>(LockedImage { name, source, pin })
        });
        let mut lock = Lock {
            kernels: kernels.collect::<Result<_, _>>()?,
            images: images.collect::<Result<_, _>>()?,
        };
        lock.sort();
        Ok(lock)
    }

    /// The text of the file: the same lock gives the same bytes.
    pub fn to_text(&self) -> String {
        let mut lock = self.clone();
        lock.sort();
        let mut text = format!("{HEAD}\nform = {FORM}\n");
        for kernel in &lock.kernels {
            entry(
                &mut text,
                "kernel",
                &kernel.name,
                &kernel.source,
                &kernel.pin,
            );
        }
        for image in &lock.images {
            entry(&mut text, "image", &image.name, &image.source, &image.pin);
        }
        text
    }

    fn sort(&mut self) {
        self.kernels.sort_by(|a, b| a.name.cmp(&b.name));
        self.images.sort_by(|a, b| a.name.cmp(&b.name));
        for pin in self
            .kernels
            .iter_mut()
            .map(|it| &mut it.pin)
            .chain(self.images.iter_mut().map(|it| &mut it.pin))
        {
            if let Pin::Packages(packages) = pin {
                packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
            }
        }
    }

    /// Puts a kernel in, in place of what there is under its name.
    pub fn put_kernel(&mut self, kernel: LockedKernel) {
        self.kernels.retain(|other| other.name != kernel.name);
        self.kernels.push(kernel);
    }

    /// Puts an image in, in place of what there is under its name.
    pub fn put_image(&mut self, image: LockedImage) {
        self.images.retain(|other| other.name != image.name);
        self.images.push(image);
    }

    /// Holds a plan to what is locked: each source becomes the one that was, at what
    /// it was.
    ///
    /// # Errors
    /// [`LockError::Lacks`] with all that is not locked, or locked otherwise.
    pub fn apply(&self, plan: &mut Plan) -> Result<(), LockError> {
        let mut lacks = Vec::new();
        for kernel in &mut plan.kernels {
            match self.kernel(&kernel.id, &kernel.sources) {
                Ok(source) => kernel.sources = vec![source],
                Err(why) => lacks.push(why),
            }
        }
        for image in &mut plan.images {
            match self.image(&image.name, &image.sources) {
                Ok(source) => image.sources = vec![source],
                Err(why) => lacks.push(why),
            }
        }
        lacks.dedup();
        if lacks.is_empty() {
            Ok(())
        } else {
            Err(LockError::Lacks(lacks))
        }
    }

    fn kernel(&self, id: &str, sources: &[KernelSource]) -> Result<KernelSource, String> {
        let name = lock_name(id);
        let locked = self
            .kernels
            .iter()
            .find(|kernel| kernel.name == name)
            .ok_or_else(|| format!("no kernel {name}"))?;
        let source = sources
            .iter()
            .find(|source| source.to_string() == locked.source)
            .ok_or_else(|| other_source("kernel", name, &locked.source))?;
        Ok(KernelSource::Locked {
            source: Box::new(source.clone()),
            pin: locked.pin.clone(),
        })
    }

    fn image(&self, name: &str, sources: &[ImageSource]) -> Result<ImageSource, String> {
        let locked = self
            .images
            .iter()
            .find(|image| image.name == name)
            .ok_or_else(|| format!("no image {name}"))?;
        let source = sources
            .iter()
            .find(|source| source.to_string() == locked.source)
            .ok_or_else(|| other_source("image", name, &locked.source))?;
        Ok(ImageSource::Locked {
            source: Box::new(source.clone()),
            pin: locked.pin.clone(),
        })
    }
}

/// The name an entry is locked under: variants are the same kernel, a version or a
/// moment asked for by name is another.
pub fn lock_name(id: &str) -> &str {
    if id.contains('/') || base_of(id) != id {
        return id;
    }
    id.split('+').next().unwrap_or(id)
}

fn other_source(kind: &str, name: &str, source: &str) -> String {
    format!("{kind} {name} from another source ({source})")
}

impl Entry {
    fn read(self) -> Result<(String, String, Pin), String> {
        if self.version.is_some() && self.digest.is_none() {
            return Err(format!("{}: `version` without a `digest`", self.name));
        }
        let pin = match (self.packages, self.digest) {
            (Some(packages), None) => {
                let packages = packages.into_iter().map(|package| {
                    if !is_sha256(&package.sha256) {
                        return Err(format!(
                            "{}: {}: `{}` is no SHA-256",
                            self.name, package.name, package.sha256
                        ));
                    }
                    Ok(LockedPackage {
                        name: package.name,
                        version: package.version,
                        url: package.url,
                        sha256: package.sha256,
                    })
                });
                Pin::Packages(packages.collect::<Result<_, _>>()?)
            }
            (None, Some(digest)) => {
                if !digest.strip_prefix("sha256:").is_some_and(is_sha256) {
                    return Err(format!("{}: `{digest}` is no digest", self.name));
                }
                match self.version {
                    Some(version) => Pin::Version { version, digest },
                    None => Pin::Digest(digest),
                }
            }
            (None, None) => Pin::Program,
            (Some(_), Some(_)) => {
                return Err(format!("{}: both `packages` and `digest`", self.name));
            }
        };
        Ok((self.name, self.source, pin))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn entry(text: &mut String, kind: &str, name: &str, source: &str, pin: &Pin) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n[[{kind}]]\nname = {}\nsource = {}\n",
        quoted(name),
        quoted(source)
    );
    match pin {
        Pin::Digest(digest) => {
            let _ = writeln!(text, "digest = {}", quoted(digest));
        }
        Pin::Version { version, digest } => {
            let _ = writeln!(
                text,
                "version = {}\ndigest = {}",
                quoted(version),
                quoted(digest)
            );
        }
        Pin::Packages(packages) => {
            text.push_str("packages = [\n");
            for package in packages {
                let _ = writeln!(
                    text,
                    "    {{ name = {}, version = {}, url = {}, sha256 = {} }},",
                    quoted(&package.name),
                    quoted(&package.version),
                    quoted(&package.url),
                    quoted(&package.sha256)
                );
            }
            text.push_str("]\n");
        }
        Pin::Program => {}
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: "6.1.170-1~bpo11+1".to_owned(),
            url: format!("http://ftp.debian.org/debian/pool/{name}.deb"),
            sha256: "0a".repeat(32),
        }
    }

    fn lock() -> Lock {
        Lock {
            kernels: vec![
                LockedKernel {
                    name: "mine".to_owned(),
                    source: "/a \"path\"\\with\tall".to_owned(),
                    pin: Pin::Digest(format!("sha256:{}", "1b".repeat(32))),
                },
                LockedKernel {
                    name: "rpm".to_owned(),
                    source: "https://example.org/el9: kernel-core".to_owned(),
                    pin: Pin::Version {
                        version: "5.14.0-362.el9".to_owned(),
                        digest: format!("sha256:{}", "2c".repeat(32)),
                    },
                },
                LockedKernel {
                    name: "6.1".to_owned(),
                    source: "debian bookworm: linux-image-cloud-amd64".to_owned(),
                    pin: Pin::Packages(vec![package("b"), package("a")]),
                },
            ],
            images: vec![LockedImage {
                name: "vsyscall".to_owned(),
                source: "program vsyscall".to_owned(),
                pin: Pin::Program,
            }],
        }
    }

    #[test]
    fn what_is_written_is_read_and_sorted() {
        let text = lock().to_text();
        let read = Lock::parse(&text).unwrap();
        assert_eq!(read.kernels[0].name, "6.1");
        assert_eq!(
            read.kernels[0].pin,
            Pin::Packages(vec![package("a"), package("b")])
        );
        assert_eq!(read.kernels[1], lock().kernels[0]);
        assert_eq!(read.kernels[2], lock().kernels[1]);
        assert_eq!(read.images, lock().images);
        assert_eq!(read.to_text(), text);
        assert!(text.starts_with("# What `matrix update` found"));
    }

    #[test]
    fn what_is_no_lock_is_told() {
        for (text, told) in [
            ("", "form"),
            ("form = 2\n", "form 2"),
            ("form = 1\n[[kernel]]\nname = \"a\"\n", "source"),
            (
                "form = 1\n[[kernel]]\nname = \"a\"\nsource = \"b\"\ndigest = \"sha256:1\"\n",
                "no digest",
            ),
            (
                "form = 1\n[[image]]\nname = \"a\"\nsource = \"b\"\nextra = 1\n",
                "extra",
            ),
        ] {
            let error = Lock::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn variants_share_their_entrys_lock_and_a_version_has_none() {
        assert_eq!(lock_name("6.1+vsyscall=emulate"), "6.1");
        assert_eq!(lock_name("6.1@6.1.170-1"), "6.1@6.1.170-1");
        assert_eq!(lock_name("./a+b/bzImage"), "./a+b/bzImage");
    }
}
