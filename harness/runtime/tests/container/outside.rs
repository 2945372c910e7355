//! What a container's mounts can and cannot reach outside its root.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::on_all_kernels;
use crate::rig::{Rig, bind, push};

on_all_kernels![
    links_in_an_image_lead_nowhere_outside,
    binds_are_as_asked,
    nothing_stays_mounted,
];

/// An image whose /dev, /proc and volume are links to a folder of the machine.
fn links_in_an_image_lead_nowhere_outside(rig: &Rig) {
    let host = rig.outside("host");
    fs::create_dir_all(host.join("proc")).unwrap();
    symlink(&host, rig.inside("dev")).unwrap();
    symlink(host.join("proc"), rig.inside("proc")).unwrap();
    symlink("../../../../../../../..", rig.inside("up")).unwrap();
    symlink(host.join("volume"), rig.inside("volume")).unwrap();
    let volume = rig.outside("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("mine"), "here").unwrap();
    let mut config = rig.config(&["probe", "look", "/dev/null"]);
    let up = format!("/up{}/second", host.display());
    push(&mut config, "mounts", bind(&volume, "/volume", &["bind"]));
    push(&mut config, "mounts", bind(&volume, &up, &["bind"]));
    assert_eq!(rig.run_config(&config).said(), "char 666 1:3");
    for path in [
        "/volume/mine".to_owned(),
        format!("{}/second/mine", host.display()),
    ] {
        config["process"]["args"] = json!(["probe", "read", path]);
        assert_eq!(rig.run_config(&config).said(), "4 bytes\nhere", "{path}");
    }
    let names: Vec<_> = fs::read_dir(&host)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["proc"]);
    assert!(fs::read_dir(host.join("proc")).unwrap().next().is_none());
}

fn binds_are_as_asked(rig: &Rig) {
    let source = rig.outside("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "here").unwrap();
    let mut config = rig.config(&["probe", "exit", "0"]);
    for (destination, options) in [
        ("/rw", &["rbind", "rprivate"][..]),
        ("/ro", &["rbind", "ro", "rprivate"]),
    ] {
        push(&mut config, "mounts", bind(&source, destination, options));
    }
    let file = bind(&source.join("file"), "/etc/made/file", &["bind", "ro"]);
    push(&mut config, "mounts", file);
    // Relative to the bundle.
    push(
        &mut config,
        "mounts",
        bind("source".as_ref(), "/relative", &["bind"]),
    );
    for (words, said) in [
        (["probe", "read", "/ro/file"], "4 bytes\nhere"),
        (["probe", "read", "/etc/made/file"], "4 bytes\nhere"),
        (["probe", "read", "/relative/file"], "4 bytes\nhere"),
        (["probe", "write", "/ro/file"], "EROFS"),
        (["probe", "write", "/etc/made/file"], "EROFS"),
        (["probe", "write", "/rw/new"], "written"),
    ] {
        config["process"]["args"] = json!(words);
        assert_eq!(rig.run_config(&config).said(), said, "{words:?}");
    }
    assert_eq!(fs::read_to_string(source.join("new")).unwrap(), "x");
    assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "here");
}

fn nothing_stays_mounted(rig: &Rig) {
    rig.run(&["probe", "exit", "0"]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let bundle = rig.outside("");
    let bundle = bundle.to_str().unwrap().trim_end_matches('/');
    assert!(!mounts.contains(bundle), "{mounts}");
}
