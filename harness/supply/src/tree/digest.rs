//! A tree's digest: equal for equal trees, whatever order they were made in and
//! wherever their content lies.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::{ContentError, Kind, Tree};

/// `sha256:…` over every name, what it carries and what it holds.
///
/// # Errors
/// When content cannot be read.
pub fn digest(tree: &Tree) -> Result<String, ContentError> {
    let mut hash = Sha256::new();
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (place, entry) in tree.entries().enumerate() {
        field(&mut hash, entry.path);
        let original = *first.entry(entry.number).or_insert(place);
        if original != place {
            hash.update([b'h']);
            hash.update((original as u64).to_le_bytes());
            continue;
        }
        match &entry.inode.kind {
            Kind::Directory => hash.update([b'd']),
            Kind::File(content) => {
                hash.update([b'f']);
                hash.update(content.length().to_le_bytes());
                content.read(|piece| {
                    hash.update(piece);
                    Ok::<_, ContentError>(())
                })?;
            }
            Kind::Symlink(target) => {
                hash.update([b'l']);
                field(&mut hash, target);
            }
            Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
                let block = matches!(entry.inode.kind, Kind::BlockDevice(_));
                hash.update([if block { b'b' } else { b'c' }]);
                hash.update(device.major.to_le_bytes());
                hash.update(device.minor.to_le_bytes());
            }
            Kind::Fifo => hash.update([b'p']),
        }
        let metadata = &entry.inode.metadata;
        hash.update(metadata.mode.to_le_bytes());
        hash.update(metadata.uid.to_le_bytes());
        hash.update(metadata.gid.to_le_bytes());
        hash.update(metadata.mtime.to_le_bytes());
        hash.update((metadata.xattrs.len() as u64).to_le_bytes());
        for (name, value) in &metadata.xattrs {
            field(&mut hash, name);
            field(&mut hash, value);
        }
    }
    Ok(format!("sha256:{}", hexadecimal(&hash.finalize())))
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// Lower case, as digests are written everywhere.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
