//! Tar archives from bytes as they come, with checksums that are right where the
//! first byte asks for it: few mutations would get past a header otherwise.
//!
//! What must hold: reading is independent of pieces; what is refused when it is put
//! into a tree is an error; the tree is sound and the same from its own tar; what is
//! extracted stays below its folder; memory is bounded.

#![no_main]

use std::path::Path;

use fuzz::{Chunks, Memory, same_tree, sound};
use libfuzzer_sys::fuzz_target;
use supply::tree::{Budget, Spool, Tree, digest, extract_tar, read_tar};

const BLOCK: usize = 512;
const ENTRIES: u64 = 5000;
const BYTES: u64 = 1 << 20;

/// Puts right the checksum of every block that a reader would take for a header.
fn mend(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = archive.get_mut(at..at + BLOCK) {
        if block.iter().any(|byte| *byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let digits = String::from_utf8_lossy(&block[124..136]).into_owned();
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        // Those that have no data: what a header's size says does not matter.
        let bodiless = (b'1'..=b'6').contains(&block[156]);
        let size = if bodiless { 0 } else { size };
        at = at
            .saturating_add(BLOCK)
            .saturating_add(size.next_multiple_of(BLOCK));
    }
}

fn read(archive: &[u8], sizes: &[u8]) -> Result<Tree, String> {
    let spool = Spool::new(&std::env::temp_dir()).expect("a spool");
    let mut tree = Tree::bounded(ENTRIES);
    let budget = Budget::new(BYTES, ENTRIES);
    read_tar(Chunks::new(archive, sizes), &spool, &budget, &mut tree)
        .map_err(|error| error.to_string())?;
    Ok(tree)
}

fuzz_target!(|bytes: &[u8]| {
    let [flags, sizes @ .., _, _, _] = &bytes[..bytes.len().min(8)] else {
        return;
    };
    let mut archive = bytes[bytes.len().min(8)..].to_vec();
    if flags & 1 == 1 {
        mend(&mut archive);
    }
    let memory = Memory::watch();
    let whole = read(&archive, &[]);
    // An xz stream can ask for a dictionary of this size.
    memory.at_most(128 << 20);
    match (whole, read(&archive, sizes)) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(
                digest(&whole).expect("a digest"),
                digest(&pieces).expect("a digest")
            );
            sound(&whole, ENTRIES);
            let spool = Spool::new(&std::env::temp_dir()).expect("a spool");
            same_tree(&whole, &spool);
        }
        (Err(whole), Err(pieces)) => assert_eq!(whole, pieces),
        (whole, pieces) => panic!("{:?} {:?}", whole.map(|_| ()), pieces.map(|_| ())),
    }
    if flags & 2 == 2 {
        extract(&archive);
    }
});

fn extract(archive: &[u8]) {
    let outer = tempfile::tempdir().expect("a folder");
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    // Archives of a gigabyte of nothing are sparse for a reader, not for a disk.
    let small = |path: &str| (path.len() < 200).then(|| path.to_owned());
    let _ = extract_tar(archive, &inner, &small);
    let beside: Vec<_> = std::fs::read_dir(outer.path()).expect("a folder").collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    no_links(&inner);
}

fn no_links(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        assert!(kind.is_file() || kind.is_dir(), "{entry:?}");
        if kind.is_dir() {
            no_links(&entry.path());
        }
    }
}
