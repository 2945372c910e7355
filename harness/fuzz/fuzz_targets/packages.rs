//! Debian and RPM packages, as files.
//!
//! What must hold: memory is bounded, whatever counts and sizes a header tells; what
//! is extracted stays below its folder.

#![no_main]

use fuzz::Memory;
use libfuzzer_sys::fuzz_target;
use supply::rpm::RpmFile;
use supply::tree::{Spool, Tree};
use supply::{deb, tree};

fuzz_target!(|bytes: &[u8]| {
    let outer = tempfile::tempdir().expect("a folder");
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).expect("a folder");
    let path = outer.path().join("package");
    std::fs::write(&path, bytes).expect("a file");
    let place = |path: &str| (path.len() < 200).then(|| path.to_owned());

    let memory = Memory::watch();
    if bytes.starts_with(b"!<arch>") {
        let spool = Spool::new(outer.path()).expect("a spool");
        if let Ok(package) = deb::read(&path, &spool) {
            let mut all = Tree::bounded(5000);
            for member in package.members {
                let put = match member {
                    tree::Member::Inode { path, inode } => all.insert(&path, inode),
                    tree::Member::Link { path, target } => all.link(&path, &target),
                };
                if put.is_err() {
                    break;
                }
            }
            fuzz::sound(&all, 5000);
        }
        let _ = deb::identity(&path);
        let _ = deb::extract(&path, &inner, &place);
    } else if let Ok(package) = RpmFile::open(&path) {
        let _ = package.name();
        let _ = package.evr();
        let _ = package.extract(&inner, &place, false);
    }
    memory.at_most(128 << 20);
    let beside = std::fs::read_dir(outer.path()).expect("a folder").count();
    assert_eq!(beside, 2);
});
