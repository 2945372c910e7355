//! Trees → tar streams, for tools that make images of them.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use tar::{EntryType, Header};

use super::{ContentError, Device, Entry, Kind, Tree, pax, path};

/// Why a tar stream could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The other end does not take it.
    #[error("writing the tar stream: {0}")]
    Write(#[from] io::Error),
    /// A file's content cannot be read.
    #[error("{}: {source}", path.display())]
    Content {
        /// In the tree.
        path: PathBuf,
        /// Why.
        source: ContentError,
    },
}

/// Either failure of copying content, told apart again once the path is known.
enum CopyError {
    Write(io::Error),
    Content(ContentError),
}

impl From<ContentError> for CopyError {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

/// Writes all of the tree as a ustar archive, with PAX headers for long names,
/// extended attributes and times before 1970. The first name of a file brings its
/// content, the others are hard links to that one.
///
/// # Errors
/// When `output` fails or a file's content cannot be read.
pub fn write_tar(tree: &Tree, output: &mut impl Write) -> Result<(), WriteError> {
    let mut first_names = std::collections::HashMap::new();
    let mut written = HashSet::new();
    for entry in tree.entries() {
        first_names.entry(entry.number).or_insert(entry.path);
        let again = !written.insert(entry.number);
        write_entry(&entry, again.then(|| first_names[&entry.number]), output)?;
    }
    output.write_all(&[0; 1024])?;
    output.flush()?;
    Ok(())
}

fn write_entry(entry: &Entry<'_>, link_to: Option<&[u8]>, output: &mut impl Write) -> Result<(), WriteError> {
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    let mut name = b"./".to_vec();
    name.extend_from_slice(entry.path);
    let metadata = &entry.inode.metadata;
    header.set_mode(metadata.mode);
    header.set_uid(metadata.uid.into());
    header.set_gid(metadata.gid.into());
    if let Ok(mtime) = u64::try_from(metadata.mtime) {
        header.set_mtime(mtime);
    } else {
        header.set_mtime(0);
        pax::append(&mut records, b"mtime", metadata.mtime.to_string().as_bytes());
    }
    header.set_size(0);
    let mut content = None;
    let mut link = None;
    if let Some(target) = link_to {
        header.set_entry_type(EntryType::Link);
        link = Some([b"./", target].concat());
    } else {
        for (key, value) in &metadata.xattrs {
            pax::append(&mut records, &[pax::XATTR, key].concat(), value);
        }
        match &entry.inode.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                if !entry.path.is_empty() {
                    name.push(b'/');
                }
            }
            Kind::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(bytes.length());
                content = Some(bytes);
            }
            Kind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                link = Some(target.clone());
            }
            Kind::CharacterDevice(device) => set_device(&mut header, EntryType::Char, *device)?,
            Kind::BlockDevice(device) => set_device(&mut header, EntryType::Block, *device)?,
            Kind::Fifo => header.set_entry_type(EntryType::Fifo),
        }
    }
    set_name(&mut header.as_old_mut().name, &name, b"path", &mut records);
    if let Some(target) = link {
        set_name(&mut header.as_old_mut().linkname, &target, b"linkpath", &mut records);
    }
    if !records.is_empty() {
        write_records(&records, output)?;
    }
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    if let Some(content) = content {
        content
            .read(|piece| output.write_all(piece).map_err(CopyError::Write))
            .map_err(|error| match error {
                CopyError::Write(error) => WriteError::Write(error),
                CopyError::Content(source) => WriteError::Content {
                    path: path::display(entry.path),
                    source,
                },
            })?;
        pad(content.length(), output)?;
    }
    Ok(())
}

fn set_device(header: &mut Header, kind: EntryType, device: Device) -> io::Result<()> {
    header.set_entry_type(kind);
    header.set_device_major(device.major)?;
    header.set_device_minor(device.minor)
}

/// A name goes into its field, or into a record where it does not fit.
fn set_name(field: &mut [u8; 100], name: &[u8], key: &[u8], records: &mut Vec<u8>) {
    let fits = name.len().min(field.len());
    field[..fits].copy_from_slice(&name[..fits]);
    if name.len() > field.len() {
        pax::append(records, key, name);
    }
}

fn write_records(records: &[u8], output: &mut impl Write) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.as_old_mut().name[..8].copy_from_slice(b"./pax/xh");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(records.len() as u64);
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    output.write_all(records)?;
    pad(records.len() as u64, output)
}

fn pad(length: u64, output: &mut impl Write) -> io::Result<()> {
    let rest = (512 - length % 512) % 512;
    output.write_all(&[0; 512][..rest as usize])
}
