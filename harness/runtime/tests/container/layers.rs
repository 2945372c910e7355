//! Writable layers. They are mounted in the test's own namespace, and gone when
//! it ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use runtime::layer::{self, Kind};
use serde_json::json;

use crate::on_all_kernels;
use crate::rig::Rig;

on_all_kernels![
    a_container_leaves_the_lower_tree_alone,
    a_layer_too_deep_is_a_copy,
];

fn mounted(path: &Path) -> bool {
    fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .contains(path.to_str().unwrap())
}

/// Runs a container on `root` that writes a file and removes another.
fn change(rig: &Rig, root: &Path) {
    let mut config = rig.config(&["probe", "write", "/etc/new"]);
    config["root"]["path"] = json!(root);
    assert_eq!(rig.run_config(&config).said(), "written");
    config["process"]["args"] = json!(["probe", "remove", "/etc/old"]);
    assert_eq!(rig.run_config(&config).said(), "removed");
    assert!(root.join("etc/new").exists());
    assert!(!root.join("etc/old").exists());
}

fn lower(rig: &Rig) {
    fs::create_dir(rig.inside("etc")).unwrap();
    fs::write(rig.inside("etc/old"), "old").unwrap();
    fs::hard_link(rig.inside("bin/probe"), rig.inside("bin/again")).unwrap();
    symlink("probe", rig.inside("bin/link")).unwrap();
    std::os::unix::fs::chown(rig.inside("etc/old"), Some(12), Some(13)).unwrap();
}

fn a_container_leaves_the_lower_tree_alone(rig: &Rig) {
    lower(rig);
    let scratch = rig.outside("scratch");
    let layer = layer::make(&rig.inside(""), &scratch).unwrap();
    change(rig, &layer.path);
    layer.remove().unwrap();
    assert!(!mounted(&scratch));
    assert_eq!(fs::read_to_string(rig.inside("etc/old")).unwrap(), "old");
    assert!(!rig.inside("etc/new").exists());
    // Nor does it leave the mount points of /proc and /dev there.
    assert!(!rig.inside("proc").exists());
}

/// The kernel stacks two overlays and says EINVAL to a third.
fn a_layer_too_deep_is_a_copy(rig: &Rig) {
    lower(rig);
    let one = layer::make(&rig.inside(""), &rig.outside("one")).unwrap();
    let two = layer::make(&one.path, &rig.outside("two")).unwrap();
    let three = layer::make(&two.path, &rig.outside("three")).unwrap();
    if two.kind == Kind::Overlay {
        let (errno, lost) = (libc::EINVAL, Vec::new());
        assert_eq!(three.kind, Kind::Copy { errno, lost });
    }
    let at = |path: &str| fs::symlink_metadata(three.path.join(path)).unwrap();
    assert_eq!((at("etc/old").uid(), at("etc/old").gid()), (12, 13));
    assert_eq!(at("bin/again").ino(), at("bin/probe").ino());
    assert!(at("bin/link").is_symlink());
    change(rig, &three.path);
    for layer in [three, two, one] {
        let path = layer.path.clone();
        layer.remove().unwrap();
        assert!(!mounted(&path), "{path:?}");
    }
    assert_eq!(fs::read_to_string(rig.inside("etc/old")).unwrap(), "old");
}
