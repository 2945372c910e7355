//! Volumes: what is mounted into a container from outside.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use runtime::fallback::Fallback;
use serde_json::json;

use crate::kernel::Kernel;
use crate::on_all_kernels;
use crate::rig::{Rig, bind, push};

on_all_kernels![
    readonly_is_readonly_all_the_way_down,
    mounts_made_inside_stay_inside,
    a_volume_cannot_cover_proc,
];

/// Mounts one on a new folder, to be unmounted at the test's end.
pub(crate) fn mount_tmpfs_with(path: &Path, flags: libc::c_ulong) -> Mounted<'_> {
    fs::create_dir_all(path).unwrap();
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the strings outlive the call.
    let answer = unsafe {
        libc::mount(
            c"tmpfs".as_ptr(),
            name.as_ptr(),
            c"tmpfs".as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    Mounted(path)
}

/// Unmounts it when the test ends, also by a panic.
pub(crate) struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let path = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: the string outlives the call.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

fn readonly_is_readonly_all_the_way_down(rig: &Rig) {
    let source = rig.outside("a volume");
    fs::create_dir(&source).unwrap();
    let below = source.join("be low");
    let _below = mount_tmpfs_with(&below, 0);
    let mut config = rig.config(&["probe", "exit", "0"]);
    for (destination, options) in [
        ("/rro", &["rbind", "rro"][..]),
        ("/ro", &["rbind", "ro"]),
        ("/rw", &["rbind"]),
    ] {
        push(&mut config, "mounts", bind(&source, destination, options));
    }
    for (path, said) in [
        ("/rro/x", "EROFS"),
        ("/rro/be low/x", "EROFS"),
        ("/ro/x", "EROFS"),
        ("/ro/be low/x", "written"),
        ("/rw/be low/x", "written"),
    ] {
        config["process"]["args"] = json!(["probe", "write", path]);
        let outcome = rig.run_config(&config);
        assert_eq!(outcome.said(), said, "{path}");
        if rig.kernel != Kernel::This {
            assert!(outcome.line.fallbacks.contains(&Fallback::MountSetattr));
        }
    }
    // The machine's own mounts are as they were.
    fs::write(below.join("mine"), "x").unwrap();
}

fn mounts_made_inside_stay_inside(rig: &Rig) {
    let source = rig.outside("volume");
    let _source = mount_tmpfs_with(&source, 0);
    fs::create_dir(source.join("place")).unwrap();
    let mut config = rig.config(&["probe", "mount", "/volume/place"]);
    for set in ["bounding", "effective", "permitted"] {
        push(
            &mut config["process"]["capabilities"],
            set,
            json!("CAP_SYS_ADMIN"),
        );
    }
    push(&mut config, "mounts", bind(&source, "/volume", &["rbind"]));
    assert_eq!(rig.run_config(&config).said(), "mounted");
    let place = source.join("place");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(place.to_str().unwrap()), "{mounts}");
}

/// CVE-2019-16884: what is masked below /proc would be the volume's.
fn a_volume_cannot_cover_proc(rig: &Rig) {
    let source = rig.outside("volume");
    fs::create_dir(&source).unwrap();
    std::os::unix::fs::symlink("/proc", rig.inside("link")).unwrap();
    for destination in ["/proc", "/proc/sys", "/link", "/bin/../proc/1"] {
        let mut config = rig.config(&["probe", "exit", "0"]);
        push(&mut config, "mounts", bind(&source, destination, &["bind"]));
        let outcome = rig.run_config(&config);
        let told = format!("{:?}", outcome.line.status);
        assert!(told.contains("would cover /proc"), "{destination}: {told}");
    }
    let file = rig.outside("cpuinfo");
    fs::write(&file, "made up").unwrap();
    let mut config = rig.config(&["probe", "read", "/proc/cpuinfo"]);
    push(
        &mut config,
        "mounts",
        bind(&file, "/proc/cpuinfo", &["bind"]),
    );
    assert_eq!(rig.run_config(&config).said(), "7 bytes\nmade up");
}
