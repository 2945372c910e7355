//! Layers: archives that change the tree below them, as the OCI image specification
//! says.
//!
//! `.wh.NAME` takes NAME out of the layers below, `.wh..wh..opq` all that its folder
//! has from below; neither touches what its own layer brings, wherever in the archive
//! it stands. Members are put in in the archive's order, each through the links as
//! they are by then. A hard link can name a file of a layer below that this layer
//! takes out: so what links name is looked up before anything is removed.
//!
//! A member of any kind that is called so is a whiteout: the specification has no
//! other names that begin with `.wh.`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{Inode, Member, Tree, TreeError, path};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself begins so, and is nothing of an image's.
const AUFS: &[u8] = b".wh..wh.";
/// Where aufs kept files that hard links of the same layer name. Docker's layers made
/// on aufs have it: the links count, the folder does not.
const AUFS_LINKS: &[u8] = b".wh..wh.plnk";

/// Why a layer cannot be laid over a tree.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A whiteout of nothing, of its own folder or of the one above.
    #[error("{}: a whiteout of no name", path.display())]
    Whiteout {
        /// As the archive has it.
        path: PathBuf,
    },
    /// The tree refuses a member.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The members of one layer, in the archive's order.
#[derive(Debug, Default)]
pub struct Layer {
    members: Vec<Member>,
}

impl Layer {
    /// Adds the next member.
    pub fn push(&mut self, member: Member) {
        self.members.push(member);
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Lays it over `tree`. After an error the tree is worthless.
    ///
    /// # Errors
    /// When a path climbs out of the tree or leads through a file, or a hard link
    /// names what is in no layer.
    pub fn apply(self, tree: &mut Tree) -> Result<(), LayerError> {
        let below = links_below(&self.members, tree);
        let mut own = Own {
            first: tree.inodes.len(),
            names: HashSet::new(),
        };
        for member in self.members {
            if mark(tree, &own, relative(member.path()))? {
                continue;
            }
            match member {
                Member::Inode { path, inode } => put(tree, &mut own, relative(&path), inode)?,
                Member::Link { path, target } => {
                    let (path, target) = (relative(&path), relative(&target));
                    match tree.link(path, target) {
                        // Taken out by this layer, or never there.
                        Err(TreeError::LinkTarget { .. }) if below.contains_key(target) => {
                            let place = tree.place(path)?;
                            tree.link_place(place, below[target])?;
                        }
                        other => other?,
                    }
                    own.names.insert(tree.place(path)?);
                }
            }
        }
        tree.remove(AUFS_LINKS)?;
        Ok(())
    }
}

/// What this layer brought.
struct Own {
    /// Files from this number on are its own.
    first: usize,
    /// Names it gave to files of layers below, and folders of theirs it brings again.
    names: HashSet<Vec<u8>>,
}

/// A layer's names are relative to the image's root, whatever they begin with; some
/// builders write a slash.
fn relative(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/');
    start.map_or(b"", |start| &path[start..])
}

/// The files of layers below that hard links name, by the names they use.
fn links_below(members: &[Member], tree: &Tree) -> HashMap<Vec<u8>, usize> {
    let targets = members.iter().filter_map(|member| match member {
        Member::Link { target, .. } => Some(relative(target)),
        Member::Inode { .. } => None,
    });
    targets
        .filter_map(|target| {
            let number = *tree.names.get(&tree.place(target).ok()?)?;
            (!tree.inodes[number].is_directory()).then(|| (target.to_vec(), number))
        })
        .collect()
}

/// Does what a member called so marks, if it is no file of the image but a mark.
fn mark(tree: &mut Tree, own: &Own, path: &[u8]) -> Result<bool, LayerError> {
    path::check(path).map_err(TreeError::from)?;
    let (folder, name) = split(path);
    if name == OPAQUE {
        let folder = tree.place_of_folder(folder)?;
        tree.remove_below(&folder, own.first, &own.names);
        return Ok(true);
    }
    if name.starts_with(AUFS) {
        return Ok(true);
    }
    let Some(gone) = name.strip_prefix(WHITEOUT) else {
        return Ok(false);
    };
    if matches!(gone, b"" | b"." | b"..") {
        return Err(LayerError::Whiteout {
            path: path::display(path),
        });
    }
    let mut place = tree.place_of_folder(folder)?;
    if !place.is_empty() {
        place.push(b'/');
    }
    place.extend_from_slice(gone);
    tree.remove_from_below(&place, own.first, &own.names);
    Ok(true)
}

fn put(tree: &mut Tree, own: &mut Own, path: &[u8], inode: Inode) -> Result<(), LayerError> {
    let again = inode.is_directory();
    tree.insert(path, inode)?;
    if again {
        // A folder that is there already keeps its number.
        let place = tree.place(path)?;
        if tree
            .names
            .get(&place)
            .is_some_and(|number| *number < own.first)
        {
            own.names.insert(place);
        }
    }
    Ok(())
}

/// A path's folder and its last name; slashes and dots at its end are of neither.
fn split(mut path: &[u8]) -> (&[u8], &[u8]) {
    while let [before @ .., b'/'] | [before @ .., b'/', b'.'] = path {
        path = before;
    }
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

impl Tree {
    /// Where a folder's content is: a link to it is followed, as the links on the way.
    fn place_of_folder(&self, path: &[u8]) -> Result<Vec<u8>, TreeError> {
        path::check(path)?;
        Ok(path::resolve(self, path, path::Last::Followed)?)
    }

    /// Takes out what has this place and all below it, but what the layer at hand
    /// brought and the folders that is in.
    fn remove_from_below(&mut self, place: &[u8], first: usize, names: &HashSet<Vec<u8>>) {
        let kept = self.remove_below(place, first, names);
        if !kept && self.is_from_below(place, first, names) {
            self.names.remove(place);
        }
    }

    /// The same without the place itself; whether anything below it is left.
    fn remove_below(&mut self, place: &[u8], first: usize, names: &HashSet<Vec<u8>>) -> bool {
        let mut start = place.to_vec();
        let mut end = place.to_vec();
        if !place.is_empty() {
            start.push(b'/');
            // The byte after the slash: the end of all that begins with `place/`.
            end.push(b'/' + 1);
        }
        let inside: Vec<Vec<u8>> = if place.is_empty() {
            self.names
                .keys()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect()
        } else {
            self.names
                .range(start..end)
                .map(|(name, _)| name.clone())
                .collect()
        };
        let mut kept = false;
        // The folders that something is left in.
        let mut holders: HashSet<Vec<u8>> = HashSet::new();
        // From the end: what is in a folder comes after the folder.
        for name in inside.into_iter().rev() {
            if !holders.contains(&name) && self.is_from_below(&name, first, names) {
                self.names.remove(&name);
                continue;
            }
            let mut above = name.as_slice();
            while let Some(slash) = above.iter().rposition(|byte| *byte == b'/') {
                above = &above[..slash];
                if above.len() < place.len() || !holders.insert(above.to_vec()) {
                    break;
                }
            }
            kept = true;
        }
        kept
    }

    fn is_from_below(&self, place: &[u8], first: usize, names: &HashSet<Vec<u8>>) -> bool {
        self.names
            .get(place)
            .is_some_and(|number| *number < first && !names.contains(place))
    }
}

#[cfg(test)]
mod tests;
