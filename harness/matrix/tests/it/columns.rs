//! What a column is started with, and what it is found to be, by real boots.

use std::path::{Path, PathBuf};

use report::{ColumnStatus, Run};

use crate::project::Project;

/// The real mirror's kernel, with variants of its own.
fn project(variants: &str) -> Project {
    let project = Project::new();
    project.file(
        "kernels.toml",
        format!(
            "[[kernel]]\nversion = \"6.1\"\n\
             source = {{ apt = \"debian\", suite = \"bookworm\", package = \"linux-image-cloud-amd64\" }}\n\
             [kernel.variants]\n{variants}"
        ),
    );
    project.repository_image("vsyscall.toml");
    project
}

fn reason<'a>(run: &'a Run, kernel: &str) -> &'a str {
    let column = run.kernel(kernel).unwrap();
    assert_eq!(column.status, ColumnStatus::Unavailable);
    column.reason.as_deref().unwrap()
}

#[test]
fn a_level_asked_for_is_the_level_the_guest_sees_or_the_column_says_why_not() {
    let project = project(
        "v1 = { cpu = \"x86-64-v1\" }\nv2 = { cpu = \"x86-64-v2\", cpus = 2 }\n\
         v3 = { cpu = \"x86-64-v3\", memory = \"512MiB\" }\nv4 = { cpu = \"x86-64-v4\" }\n",
    );
    let run = project.run(
        3,
        &["--accel", "tcg", "--kernels", "6.1+v1,6.1+v2,6.1+v3,6.1+v4"],
    );
    for (level, cpus) in [(1, 1), (2, 2), (3, 1)] {
        let column = run.kernel(&format!("6.1+v{level}")).unwrap();
        let facts = column.facts.as_ref().unwrap();
        assert_eq!((facts.cpu_level, facts.cpus), (level, cpus));
        let line = column.command_line.as_deref().unwrap();
        assert_eq!(line.contains("acpi=noirq"), cpus == 1, "{line}");
        assert_eq!(facts.flavour, "cloud");
        assert_eq!(facts.config["USER_NS"], "y");
        assert!(facts.sysctls.contains_key("vm.overcommit_memory"));
        // 6.1 has up to set_mempolicy_home_node.
        let missing = |name: &str| facts.syscalls_missing.iter().any(|other| other == name);
        assert!(
            missing("cachestat") && missing("statmount"),
            "{:?}",
            facts.syscalls_missing
        );
        for there in [
            "set_mempolicy_home_node",
            "clone3",
            "futex",
            "fork",
            "modify_ldt",
        ] {
            assert!(!missing(there), "{there}");
        }
    }
    assert!(
        run.kernel("6.1+v3")
            .unwrap()
            .facts
            .as_ref()
            .unwrap()
            .memory_kib
            < 512 << 10
    );
    let why = reason(&run, "6.1+v4");
    assert!(why.contains("no x86-64-v4 processor under tcg"), "{why}");
}

/// The kernel a run would take, and a copy of its modules without some.
fn without(project: &Project, withheld: &[&str]) -> (PathBuf, PathBuf) {
    let supply = supply::Supply::new(supply::Options {
        cache_root: std::env::var_os("MATRIX_CACHE").map(PathBuf::from),
        offline: false,
        progress: std::sync::Arc::new(supply::Silent),
        qemu: None,
    })
    .unwrap();
    let loaded = plan::load(project.root()).unwrap();
    let files = supply.kernel(&loaded.kernels[0].kernel.sources).unwrap();
    let modules = project.root().join("modules");
    copy(&files.modules.unwrap(), &modules, withheld);
    let kernel = project.root().join("vmlinuz");
    fs_err::copy(files.image, &kernel).unwrap();
    (kernel, modules)
}

/// Those parts of the tree that a boot takes modules from.
fn copy(from: &Path, to: &Path, withheld: &[&str]) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let (entry, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name().into_string().unwrap())
        };
        if entry.is_dir() {
            copy(&entry, &to.join(&name), withheld);
        } else if !withheld.iter().any(|module| name.starts_with(module)) {
            std::os::unix::fs::symlink(&entry, to.join(&name)).unwrap();
        }
    }
}

#[test]
fn a_kernel_without_its_disk_driver_says_so_before_it_is_started() {
    let project = project("");
    let (kernel, modules) = without(&project, &["virtio_blk.ko"]);
    let entry = |folder: &Path| {
        format!(
            "[[kernel]]\nversion = \"6.1\"\nsource = {{ path = '{}', modules = '{}' }}\n",
            kernel.display(),
            folder.display()
        )
    };
    project.file("kernels.toml", entry(&modules));
    let run = project.run(3, &["--accel", "tcg"]);
    let why = reason(&run, "6.1").to_owned();
    assert!(
        why.contains("no virtio_blk: neither built in nor a module"),
        "{why}"
    );

    // Its configuration beside it says the same in the kernel's own terms.
    project.file("modules/config", "CONFIG_VIRTIO_BLK=m\nCONFIG_64BIT=y\n");
    let run = project.run(3, &["--accel", "tcg"]);
    let why = reason(&run, "6.1").to_owned();
    assert!(
        why.contains("no virtio_blk: CONFIG_VIRTIO_BLK is m, and there is no such module"),
        "{why}"
    );

    // Without a list of what is built in only the running kernel can tell.
    fs_err::remove_file(modules.join("config")).unwrap();
    fs_err::remove_file(modules.join("modules.builtin")).unwrap();
    let run = project.run(3, &["--accel", "tcg"]);
    let why = reason(&run, "6.1").to_owned();
    assert!(
        why.contains("no virtio_blk: neither built in nor loaded (CONFIG_VIRTIO_BLK)"),
        "{why}"
    );
}
