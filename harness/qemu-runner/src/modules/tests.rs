//! Trees of hand-made modules.

use std::io::Write;

use super::*;

/// An ELF file with a `.modinfo` section.
fn module(modinfo: &str) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
    let info = modinfo.replace('|', "\0").into_bytes();
    let (info_start, names_start) = (64, 64 + info.len());
    let headers = (names_start + NAMES.len()).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(1_u16.to_le_bytes()); // relocatable
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for word in [0, 0, headers as u64] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 0, 0, 64, 3, 2] {
        file.extend(half.to_le_bytes());
    }
    file.extend(&info);
    file.extend(NAMES);
    file.resize(headers, 0);
    let sections = [
        (0_u32, 0_u32, 0, 0),
        (1, 1, info_start, info.len()),
        (10, 3, names_start, NAMES.len()),
    ];
    for (name, kind, start, length) in sections {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for word in [0, 0, start as u64, length as u64] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0; 8]); // link, info
        for word in [1_u64, 0] {
            file.extend(word.to_le_bytes());
        }
    }
    file
}

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(built_in: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        let list: String = built_in.iter().map(|path| format!("{path}\n")).collect();
        tree.add("modules.builtin", list.as_bytes());
        tree
    }

    fn add(&self, path: &str, content: &[u8]) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn select(&self, wanted: &[&str]) -> ModulePlan {
        select_modules(Some(self.0.path()), wanted).unwrap()
    }
}

fn names(plan: &ModulePlan) -> Vec<&str> {
    plan.modules.iter().map(|module| &*module.name).collect()
}

#[test]
fn dependencies_come_first_once_and_decompressed() {
    let tree = Tree::new(&["kernel/drivers/char/hw_random/rng-core.ko"]);
    let ring = module("depends=");
    let pci = module("license=GPL|depends=virtio,virtio_ring|");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&pci).unwrap();
    tree.add("kernel/drivers/virtio/virtio_ring.ko", &ring);
    tree.add(
        "kernel/drivers/virtio/virtio.ko.zst",
        &zstd::encode_all(&*module("depends=virtio_ring"), 1).unwrap(),
    );
    tree.add(
        "kernel/drivers/virtio/virtio-pci.ko.xz",
        &xz.finish().unwrap(),
    );
    tree.add(
        "kernel/drivers/char/hw_random/virtio-rng.ko",
        &module("depends=rng-core,virtio"),
    );
    tree.add("kernel/drivers/unrelated/broken.ko", b"never opened");
    let plan = tree.select(&["virtio_pci", "virtio_rng", "rng_core", "squashfs"]);
    assert_eq!(
        names(&plan),
        ["virtio_ring", "virtio", "virtio_pci", "virtio_rng"]
    );
    assert_eq!(plan.modules[2].content, pci);
    assert_eq!(plan.built_in, ["rng_core"]);
    assert_eq!(plan.missing, ["squashfs"]);
}

#[test]
fn a_dependency_that_is_nowhere_is_missing_and_a_soft_one_is_not() {
    let tree = Tree::new(&[]);
    tree.add(
        "kernel/fs/a.ko",
        &module("depends=gone|softdep=pre: nowhere post: elsewhere"),
    );
    let plan = tree.select(&["a"]);
    assert_eq!(names(&plan), ["a"]);
    assert_eq!(plan.missing, ["gone"]);
}

#[test]
fn soft_dependencies_are_found_by_name_and_by_alias_and_may_go_in_circles() {
    let tree = Tree::new(&[]);
    tree.add(
        "kernel/fs/ext4.ko",
        &module("softdep=pre: crc32c post: helper|depends="),
    );
    tree.add("kernel/fs/helper.ko", &module("softdep=pre: ext4"));
    let crypto = "kernel/arch/x86/crypto/crc32c-intel.ko";
    tree.add(crypto, &module("alias=crc32c|alias=crypto-crc32c"));
    tree.add("kernel/crypto/crc32c_generic.ko", &module("alias=crc32c"));
    assert_eq!(
        names(&tree.select(&["ext4"])),
        ["crc32c_generic", "ext4", "helper"]
    );
    // Built in, the alias is answered by the list of what is.
    tree.add("modules.builtin", b"kernel/crypto/crc32c_fast.ko\n");
    tree.add(
        "modules.builtin.modinfo",
        b"crc32c_fast.alias=crc32c\0crc32c_fast.license=GPL\0",
    );
    assert_eq!(names(&tree.select(&["ext4"])), ["ext4", "helper"]);
}

#[test]
fn an_alias_outside_of_the_ciphers_is_found_too() {
    let tree = Tree::new(&[]);
    tree.add("kernel/fs/a.ko", &module("softdep=pre: char-major-10-1"));
    tree.add("kernel/drivers/b.ko", &module("alias=char-major-10-1"));
    assert_eq!(names(&tree.select(&["a"])), ["b", "a"]);
}

#[test]
fn updates_come_before_what_the_kernel_brought() {
    let tree = Tree::new(&[]);
    tree.add("kernel/fs/a.ko", &module("depends=old"));
    tree.add("updates/dkms/a.ko", &module("depends="));
    let plan = tree.select(&["a"]);
    assert!(plan.modules[0].source.ends_with("updates/dkms/a.ko"));
    assert!(plan.missing.is_empty());
}

#[test]
fn a_kernel_without_modules_has_all_built_in() {
    let plan = select_modules(None, &["virtio-blk"]).unwrap();
    assert_eq!(plan.built_in, ["virtio_blk"]);
    assert!(plan.modules.is_empty() && plan.missing.is_empty());
}

#[test]
fn without_a_list_what_is_no_file_is_taken_to_be_built_in() {
    let tree = Tree::new(&[]);
    std::fs::remove_file(tree.0.path().join("modules.builtin")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&module("depends=virtio_ring")).unwrap();
    tree.add("kernel/virtio-pci.ko.gz", &gzip.finish().unwrap());
    let plan = tree.select(&["virtio_pci", "squashfs"]);
    assert_eq!(names(&plan), ["virtio_pci"]);
    assert_eq!(plan.built_in, ["squashfs"]);
    assert!(plan.missing.is_empty());
}

#[test]
fn broken_trees_are_told_with_their_path() {
    let error = |tree: &Tree| select_modules(Some(tree.0.path()), &["a"]).unwrap_err();
    let tree = Tree::new(&[]);
    tree.add("kernel/a.ko", b"not ELF");
    assert!(
        matches!(error(&tree), ModulesError::NotAModule { path, .. } if path.ends_with("a.ko"))
    );
    let tree = Tree::new(&[]);
    tree.add("kernel/a.ko.xz", b"\xfd7zXZ\0 and no more");
    assert!(
        matches!(error(&tree), ModulesError::Decompress { path, .. } if path.ends_with("a.ko.xz"))
    );
}
