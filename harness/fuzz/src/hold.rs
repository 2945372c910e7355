//! What must hold of a tree, and of the memory it took to make it.

use std::collections::HashMap;

use peak_alloc::PeakAlloc;
use supply::tree::{Budget, Kind, Spool, Tree, check_path, digest, read_tar, write_tar};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most memory that was in use at once since [`Memory::watch`].
#[derive(Debug)]
pub struct Memory {
    before: usize,
}

impl Memory {
    /// From here on.
    pub fn watch() -> Self {
        ALLOCATOR.reset_peak_usage();
        Self {
            before: ALLOCATOR.current_usage(),
        }
    }

    /// Panics when more than `bytes` were in use beyond what was before.
    pub fn at_most(&self, bytes: usize) {
        let peak = ALLOCATOR.peak_usage();
        let used = peak.saturating_sub(self.before);
        assert!(used <= bytes, "{used} bytes were in use, more than {bytes}");
    }
}

/// Panics when something is in a tree that no file system has: a path that leads out,
/// an entry whose folder is none, a root that is none, more than `entries`.
pub fn sound(tree: &Tree, entries: u64) {
    assert!(matches!(tree.root().kind, Kind::Directory));
    let mut kinds: HashMap<&[u8], bool> = HashMap::new();
    let mut count = 0;
    for entry in tree.entries() {
        count += 1;
        let directory = matches!(entry.inode.kind, Kind::Directory);
        if entry.path.is_empty() {
            assert!(directory, "the root is no directory");
            kinds.insert(entry.path, true);
            continue;
        }
        check_path(entry.path).expect("a path that is in a tree");
        let names: Vec<&[u8]> = entry.path.split(|byte| *byte == b'/').collect();
        assert!(
            names
                .iter()
                .all(|name| !matches!(*name, b"" | b"." | b"..")),
            "a path that is not normal: {:?}",
            String::from_utf8_lossy(entry.path)
        );
        let folder = match entry.path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => &entry.path[..slash],
            None => b"",
        };
        assert_eq!(
            kinds.get(folder),
            Some(&true),
            "no folder has {:?}",
            String::from_utf8_lossy(entry.path)
        );
        kinds.insert(entry.path, directory);
        assert!(entry.inode.metadata.mode <= 0o7777);
    }
    assert!(count <= entries + 1, "{count} entries, more than {entries}");
}

/// The same tree from its own tar, which must be the same to its last byte.
pub fn same_tree(tree: &Tree, spool: &std::sync::Arc<Spool>) -> Tree {
    let mut tar = Vec::new();
    write_tar(tree, &mut tar).expect("a tree that is written");
    let mut again = Tree::new();
    let budget = Budget::new(u64::MAX, u64::MAX);
    read_tar(tar.as_slice(), spool, &budget, &mut again).expect("a tar of our own");
    assert_eq!(
        digest(tree).expect("a digest"),
        digest(&again).expect("a digest"),
        "a tree and what is read from its own tar"
    );
    let mut twice = Vec::new();
    write_tar(&again, &mut twice).expect("a tree that is written");
    assert!(tar == twice, "the tar of a tree and that of its tar");
    again
}
