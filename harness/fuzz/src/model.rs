//! Layers once more, as plainly as they can be: every name knows in which layer it was
//! last written. Slow, and without links on the way: where a path leads through one,
//! the model does not know.

use std::collections::BTreeMap;

use supply::tree::{Kind, Tree};

use crate::layer::{Before, Entry, EntryKind, path};

/// Why the model does not lay a layer over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The layer is one that is refused.
    Refused,
    /// A path leads through a symbolic link, or there is very much.
    Unknown,
}

/// The most names the model goes along with.
const MOST: usize = 4000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Device(bool, u32, u32),
    Fifo,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    what: What,
    mode: u32,
    attribute: Option<(u8, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    file: usize,
    layer: usize,
}

/// A path, name by name.
type Place = Vec<Vec<u8>>;

/// A tree by the model.
#[derive(Debug)]
pub struct Model {
    files: Vec<File>,
    names: BTreeMap<Place, Name>,
    layer: usize,
    named: usize,
}

impl Default for Model {
    fn default() -> Self {
        let root = File {
            what: What::Directory,
            mode: 0o755,
            attribute: None,
        };
        Self {
            files: vec![root],
            names: BTreeMap::from([(Place::new(), Name { file: 0, layer: 0 })]),
            layer: 0,
            named: 0,
        }
    }
}

impl Model {
    /// Lays a layer over.
    ///
    /// # Errors
    /// When it is refused, or the model does not know.
    pub fn apply(&mut self, entries: &[Entry]) -> Result<(), Stop> {
        self.layer += 1;
        let below = self.names.clone();
        for entry in entries {
            self.entry(entry, &below)?;
            if self.named > MOST {
                return Err(Stop::Unknown);
            }
        }
        let links: Place = vec![b".wh..wh.plnk".to_vec()];
        self.names.retain(|place, _| !place.starts_with(&links));
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, below: &BTreeMap<Place, Name>) -> Result<(), Stop> {
        let place = place(&path(&entry.path), entry.spelling.before)?;
        if let Some((name, folder)) = place.split_last() {
            if name == b".wh..wh..opq" {
                self.walk(folder)?;
                self.not_through_a_link(folder)?;
                self.remove(|inside| inside.len() > folder.len() && inside.starts_with(folder));
                return Ok(());
            }
            if name.starts_with(b".wh..wh.") {
                return Ok(());
            }
            if let Some(gone) = name.strip_prefix(b".wh.") {
                if matches!(gone, b"" | b"." | b"..") {
                    return Err(Stop::Refused);
                }
                self.walk(folder)?;
                self.not_through_a_link(folder)?;
                let mut target = folder.to_vec();
                target.push(gone.to_vec());
                self.remove(|inside| inside.starts_with(&target));
                return Ok(());
            }
        }
        let above = place.split_last().map_or(&[][..], |(_, folder)| folder);
        let what = match &entry.kind {
            EntryKind::Link(target) => return self.link(&place, &path(target), below),
            EntryKind::File(content) => What::File(content.clone()),
            EntryKind::Directory => What::Directory,
            EntryKind::Symlink(target, absolute) => {
                let mut to = if *absolute { b"/".to_vec() } else { Vec::new() };
                to.extend(path(target));
                if to.is_empty() {
                    // Refused, unless its path is before.
                    self.through(above)?;
                    return Err(Stop::Refused);
                }
                What::Symlink(to)
            }
            EntryKind::Device(block, major, minor) => {
                What::Device(*block, (*major).into(), (*minor).into())
            }
            EntryKind::Fifo => What::Fifo,
        };
        self.through(above)?;
        let file = File {
            what,
            mode: u32::from(entry.mode) & 0o7777,
            attribute: entry
                .attribute
                .clone()
                .map(|(name, value)| (name % 4, value)),
        };
        if place.is_empty() && file.what != What::Directory {
            return Err(Stop::Refused);
        }
        let layer = self.layer;
        if file.what == What::Directory
            && let Some(name) = self.names.get_mut(&place)
            && self.files[name.file].what == What::Directory
        {
            name.layer = layer;
            self.files[name.file] = file;
            return Ok(());
        }
        self.parents(&place);
        self.files.push(file);
        self.put(place, self.files.len() - 1);
        Ok(())
    }

    fn link(
        &mut self,
        place: &Place,
        target: &[u8],
        below: &BTreeMap<Place, Name>,
    ) -> Result<(), Stop> {
        let target = self::place(target, Before::Nothing)?;
        for path in [place, &target] {
            if let Some((_, above)) = path.split_last() {
                self.through(above)?;
            }
        }
        let file = match self.names.get(&target) {
            Some(name) => name.file,
            None => match below.get(&target) {
                // What the layers below had there may have been found through a link.
                _ if self.any_link_in(below) => return Err(Stop::Unknown),
                Some(name) => name.file,
                None => return Err(Stop::Refused),
            },
        };
        if self.files[file].what == What::Directory {
            return Err(Stop::Refused);
        }
        if *place == target && self.names.contains_key(place) {
            if let Some(name) = self.names.get_mut(place) {
                name.layer = self.layer;
            }
            return Ok(());
        }
        if place.is_empty() {
            return Err(Stop::Refused);
        }
        self.parents(place);
        self.put(place.clone(), file);
        Ok(())
    }

    fn any_link_in(&self, names: &BTreeMap<Place, Name>) -> bool {
        names
            .values()
            .any(|name| matches!(self.files[name.file].what, What::Symlink(_)))
    }

    /// Whether a folder can be led through, as far as it is there.
    fn through(&self, folder: &[Vec<u8>]) -> Result<(), Stop> {
        for length in 0..=folder.len() {
            match self.names.get(&folder[..length]) {
                None => return Ok(()),
                Some(name) => match self.files[name.file].what {
                    What::Directory => {}
                    What::Symlink(_) => return Err(Stop::Unknown),
                    _ => return Err(Stop::Refused),
                },
            }
        }
        Ok(())
    }

    /// The same for the folder of a mark, which may be no folder itself.
    fn walk(&self, folder: &[Vec<u8>]) -> Result<(), Stop> {
        folder
            .split_last()
            .map_or(Ok(()), |(_, above)| self.through(above))
    }

    fn not_through_a_link(&self, folder: &[Vec<u8>]) -> Result<(), Stop> {
        match self.names.get(folder) {
            Some(name) if matches!(self.files[name.file].what, What::Symlink(_)) => {
                Err(Stop::Unknown)
            }
            _ => Ok(()),
        }
    }

    fn parents(&mut self, place: &Place) {
        for length in 1..place.len() {
            if !self.names.contains_key(&place[..length]) {
                self.files.push(File {
                    what: What::Directory,
                    mode: 0o755,
                    attribute: None,
                });
                self.put(place[..length].to_vec(), self.files.len() - 1);
            }
        }
    }

    fn put(&mut self, place: Place, file: usize) {
        self.names.retain(|name, _| !name.starts_with(&place));
        self.named += 1;
        let layer = self.layer;
        self.names.insert(place, Name { file, layer });
    }

    /// Takes out what layers below brought, but not folders that something is left in.
    fn remove(&mut self, gone: impl Fn(&Place) -> bool) {
        let own: Vec<Place> = self
            .names
            .iter()
            .filter(|(place, name)| name.layer == self.layer && gone(place))
            .map(|(place, _)| place.clone())
            .collect();
        self.names
            .retain(|place, _| !gone(place) || own.iter().any(|kept| kept.starts_with(place)));
    }

    /// Panics where a tree is another.
    pub fn hold(&self, tree: &Tree) {
        let mut firsts: BTreeMap<usize, Place> = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        let mut entries = tree.entries();
        // In the order of their bytes with slashes, as a tree has them.
        let mut names: Vec<(Vec<u8>, &Place, usize)> = self
            .names
            .iter()
            .map(|(place, name)| (place.join(&b'/'), place, name.file))
            .collect();
        names.sort();
        for (joined, place, number) in names {
            let entry = entries.next().expect("as many names as the model has");
            assert_eq!(
                String::from_utf8_lossy(entry.path),
                String::from_utf8_lossy(&joined)
            );
            let first = firsts.entry(number).or_insert_with(|| place.clone());
            let same = numbers.entry(entry.number).or_insert_with(|| place.clone());
            assert_eq!(first, same, "the names of one file");
            let file = &self.files[number];
            let what = match &entry.inode.kind {
                Kind::Directory => What::Directory,
                Kind::File(content) => What::File(content.to_vec().expect("content")),
                Kind::Symlink(target) => What::Symlink(target.clone()),
                Kind::CharacterDevice(device) => What::Device(false, device.major, device.minor),
                Kind::BlockDevice(device) => What::Device(true, device.major, device.minor),
                Kind::Fifo => What::Fifo,
            };
            assert_eq!(file.what, what, "{:?}", String::from_utf8_lossy(&joined));
            assert_eq!(file.mode, entry.inode.metadata.mode);
            let attributes: Vec<(Vec<u8>, Vec<u8>)> = file
                .attribute
                .iter()
                .map(|(name, value)| (format!("user.{name}").into_bytes(), value.clone()))
                .collect();
            let found: Vec<(Vec<u8>, Vec<u8>)> =
                entry.inode.metadata.xattrs.clone().into_iter().collect();
            assert_eq!(attributes, found);
        }
        assert!(entries.next().is_none(), "more names than the model has");
    }
}

/// A path, name by name; refused where it climbs or is too long.
fn place(path: &[u8], before: Before) -> Result<Place, Stop> {
    let longest = 4095 - if before == Before::Dot { 2 } else { 0 };
    let place: Place = path
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
        .map(<[u8]>::to_vec)
        .collect();
    let bad = place.iter().any(|name| name == b".." || name.len() > 255);
    if bad || path.len() > longest {
        return Err(Stop::Refused);
    }
    Ok(place)
}
