//! Debian binary packages: deb(5), format 2.0.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

pub use crate::tree::Link;
use crate::tree::{
    ContentError, ExtractError, Kind, Member, Spool, TarError, Visited, extract_tar, read_members,
    visit_tar,
};

/// The largest control file taken, bytes; real ones are below 1 MiB.
const MAX_CONTROL: u64 = 16 << 20;

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct DebError {
    /// The package.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub reason: DebReason,
}

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum DebReason {
    /// It cannot be opened or read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is no ar archive, or its first member is not `debian-binary`.
    #[error("not a Debian package")]
    NotDeb,
    /// A format other than 2.x.
    #[error("Debian package format {version:?}; only 2.0 is read")]
    Format {
        /// As it says.
        version: String,
    },
    /// A part is not there.
    #[error("it has no {part}")]
    Missing {
        /// `control.tar`, `data.tar` or `control`.
        part: &'static str,
    },
    /// A part is no sound tar archive.
    #[error("its {part}: {source}")]
    Tar {
        /// The ar member.
        part: String,
        /// Why.
        source: TarError,
    },
    /// A control file could not be read.
    #[error("its control file {name}: {source}")]
    Control {
        /// Which.
        name: String,
        /// Why.
        source: ContentError,
    },
    /// The control file is not text.
    #[error("its control file is not UTF-8")]
    ControlText,
    /// A part could not be unpacked.
    #[error("its {part}: {source}")]
    Extract {
        /// The ar member.
        part: String,
        /// Why.
        source: ExtractError,
    },
}

/// A file of a package's control archive: `md5sums`, `conffiles`, `postinst`, …
#[derive(Clone, Debug)]
pub struct ControlFile {
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A package, read.
#[derive(Debug)]
pub struct Deb {
    /// The control file: one stanza.
    pub control: String,
    /// The other files of the control archive, by name.
    pub control_files: BTreeMap<String, ControlFile>,
    /// What it brings, in its order, unchecked: [`crate::tree::Tree`] refuses what
    /// climbs out.
    pub members: Vec<Member>,
}

impl Deb {
    /// A field of the control file, its first line.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.control, name)
    }
}

/// Name and version of a package.
///
/// # Errors
/// When it is no sound package of format 2.0, or does not say.
pub fn identity(path: &Path) -> Result<(String, String), DebError> {
    let mut control = None;
    parts(path, &mut |name, part| {
        if !name.starts_with("control.tar") {
            return Ok(());
        }
        visit_tar(part, &mut |head: Visited<'_>, data| {
            if matches!(head.path, b"control" | b"./control") {
                let mut bytes = Vec::new();
                data.take(MAX_CONTROL)
                    .read_to_end(&mut bytes)
                    .map_err(TarError::Read)?;
                control = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            Ok(())
        })
        .map_err(|source| tar(name, source))
    })?;
    let missing = |part| DebError {
        path: path.to_path_buf(),
        reason: DebReason::Missing { part },
    };
    let control = control.ok_or_else(|| missing("control file"))?;
    let field = |name| field(&control, name).map(str::to_owned);
    Ok((
        field("Package").ok_or_else(|| missing("name in its control file"))?,
        field("Version").ok_or_else(|| missing("version in its control file"))?,
    ))
}

/// A field of a control file, its first line.
fn field<'control>(control: &'control str, name: &str) -> Option<&'control str> {
    control.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Reads a package; file content goes to the spool.
///
/// # Errors
/// When it is no sound package of format 2.0.
pub fn read(path: &Path, spool: &Arc<Spool>) -> Result<Deb, DebError> {
    let mut control = None;
    let mut control_files = BTreeMap::new();
    let mut members = None;
    parts(path, &mut |name, part| {
        if name.starts_with("control.tar") {
            let files = control_archive(part, spool, name)?;
            for (name, file) in files {
                if name == "control" {
                    control =
                        Some(String::from_utf8(file.bytes).map_err(|_| DebReason::ControlText)?);
                } else {
                    control_files.insert(name, file);
                }
            }
        } else if name.starts_with("data.tar") {
            let mut list = Vec::new();
            read_members(part, spool, |member| {
                list.push(member);
                Ok(())
            })
            .map_err(|source| tar(name, source))?;
            members = Some(list);
        }
        Ok(())
    })?;
    let missing = |part| DebError {
        path: path.to_path_buf(),
        reason: DebReason::Missing { part },
    };
    Ok(Deb {
        control: control.ok_or_else(|| missing("control file"))?,
        control_files,
        members: members.ok_or_else(|| missing("data.tar"))?,
    })
}

fn control_archive(
    part: &mut dyn Read,
    spool: &Arc<Spool>,
    name: &str,
) -> Result<Vec<(String, ControlFile)>, DebReason> {
    let mut files = Vec::new();
    let mut failed = None;
    read_members(part, spool, |member| {
        let Member::Inode { path, inode } = member else {
            return Ok(());
        };
        let Kind::File(content) = &inode.kind else {
            return Ok(());
        };
        let name = String::from_utf8_lossy(path.strip_prefix(b"./").unwrap_or(&path)).into_owned();
        // Control files are all in one folder; the name becomes part of a path.
        if name.contains('/') || content.length() > MAX_CONTROL {
            return Ok(());
        }
        match content.to_vec() {
            Ok(bytes) => files.push((
                name,
                ControlFile {
                    mode: inode.metadata.mode,
                    bytes,
                },
            )),
            Err(source) => failed = Some(DebReason::Control { name, source }),
        }
        Ok(())
    })
    .map_err(|source| tar(name, source))?;
    failed.map_or(Ok(files), Err)
}

/// Writes some of a package's files below `destination`, which holds no symbolic
/// links yet. `place` says where a member's path (`usr/bin/x`) goes, none: nowhere.
/// Owners, devices and attributes are left out; links are not followed and not
/// written through: they are given back, to be made when all files are written.
///
/// # Errors
/// When it is no sound package, or a file cannot be written.
pub fn extract(
    path: &Path,
    destination: &Path,
    place: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Link>, DebError> {
    let mut links = Vec::new();
    let mut found = false;
    parts(path, &mut |name, part| {
        if name.starts_with("data.tar") {
            found = true;
            links = extract_tar(part, destination, place).map_err(|source| DebReason::Extract {
                part: name.to_owned(),
                source,
            })?;
        }
        Ok(())
    })?;
    if !found {
        return Err(DebError {
            path: path.to_path_buf(),
            reason: DebReason::Missing { part: "data.tar" },
        });
    }
    Ok(links)
}

fn tar(part: &str, source: TarError) -> DebReason {
    DebReason::Tar {
        part: part.to_owned(),
        source,
    }
}

/// Gives each member of the ar archive after `debian-binary`.
fn parts(
    path: &Path,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> Result<(), DebReason>,
) -> Result<(), DebError> {
    let mut inner = || -> Result<(), DebReason> {
        let file = fs::File::open(path)?;
        let mut archive = ar::Archive::new(BufReader::with_capacity(128 << 10, file));
        let mut first = true;
        while let Some(entry) = archive.next_entry() {
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(_) if first => return Err(DebReason::NotDeb),
                Err(error) => return Err(error.into()),
            };
            let name = String::from_utf8_lossy(entry.header().identifier())
                .trim_end_matches('/')
                .to_owned();
            if first {
                first = false;
                if name != "debian-binary" {
                    return Err(DebReason::NotDeb);
                }
                let mut version = String::new();
                (&mut entry).take(16).read_to_string(&mut version)?;
                let version = version.trim();
                // deb(5): a greater minor number is still readable.
                if !version.starts_with("2.") {
                    return Err(DebReason::Format {
                        version: version.to_owned(),
                    });
                }
                continue;
            }
            take(&name, &mut entry)?;
        }
        if first {
            Err(DebReason::NotDeb)
        } else {
            Ok(())
        }
    };
    inner().map_err(|reason| DebError {
        path: path.to_path_buf(),
        reason,
    })
}

#[cfg(test)]
pub(crate) mod tests;
