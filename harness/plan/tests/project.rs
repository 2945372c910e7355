//! This repository's own kernels.toml and images/.

use std::path::{Path, PathBuf};

use plan::{AptSource, Archive, ImageSource, KernelSource, Selection};
use snapbox::{assert_data_eq, str};

fn root() -> PathBuf {
    plan::find_project(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn project() -> plan::Project {
    plan::load(&root()).unwrap_or_else(|error| panic!("{error}"))
}

fn planned(kernels: &str, images: &str, checks: &str) -> plan::Plan {
    let list = |text: &str| {
        let given = Some(text.to_owned()).filter(|text| !text.is_empty());
        given.into_iter().collect::<Vec<String>>()
    };
    let selection = Selection {
        kernels: list(kernels),
        images: list(images),
        checks: list(checks),
        directory: root(),
    };
    plan::plan(&project(), &selection).unwrap_or_else(|error| panic!("{error}"))
}

fn kernel_ids(plan: &plan::Plan) -> Vec<&str> {
    plan.kernels
        .iter()
        .map(|kernel| kernel.id.as_str())
        .collect()
}

#[test]
fn every_entry_says_what_it_is() {
    let project = project();
    for entry in &project.kernels {
        assert!(entry.kernel.notes.is_some(), "{}", entry.kernel.id);
    }
    for entry in &project.images {
        assert!(entry.notes.is_some(), "{}", entry.image.name);
    }
    for entry in &project.checks {
        assert!(entry.notes.is_some(), "{}", entry.check.name);
    }
}

/// Mirrors come from the machine's own configuration; only public archives that no
/// mirror carries are named.
#[test]
fn no_mirror_is_named() {
    let project = project();
    let apt = |source: &AptSource| -> Vec<Archive> {
        source
            .suites
            .iter()
            .map(|suite| suite.archive.clone())
            .collect()
    };
    let kernels = project
        .kernels
        .iter()
        .flat_map(|entry| &entry.kernel.sources);
    let mut archives: Vec<Archive> = kernels
        .flat_map(|source| match source {
            KernelSource::Apt(source) => apt(source),
            KernelSource::Rpm(source) => vec![Archive::Url(source.base.clone())],
            KernelSource::Download(source) => panic!("{} has no mirror", source.url),
            KernelSource::Oci(source) => panic!("{} has no mirror", source.reference),
            KernelSource::Path { kernel, .. } => panic!("{} is on one machine", kernel.display()),
            KernelSource::Locked { .. } => panic!("no file says what a lock does"),
            KernelSource::Archive(source) => panic!("{} is on one machine", source.path.display()),
        })
        .collect();
    let images = project.images.iter().flat_map(|entry| &entry.image.sources);
    archives.extend(images.flat_map(|source| match source {
        ImageSource::Apt(source) => apt(source),
        ImageSource::Program(_) => Vec::new(),
        ImageSource::Directory(path) | ImageSource::Tarball(path) => {
            panic!("{} is on one machine", path.display())
        }
        // A reference's registry is docker.io for everybody; MATRIX_REGISTRY_MIRRORS
        // is where a mirror of it is named.
        ImageSource::Oci(oci) => {
            assert_eq!(oci.reference.registry, "docker.io", "{}", oci.reference);
            Vec::new()
        }
        ImageSource::Download(download) => panic!("{} has no mirror", download.url),
        ImageSource::Archive(_) | ImageSource::Daemon(_) => {
            panic!("an image of one machine")
        }
        ImageSource::Locked { .. } => panic!("no file says what a lock does"),
    }));
    for archive in archives {
        if let Archive::Url(url) = archive {
            let host = url.split('/').nth(2).unwrap();
            let public = [
                "archive.debian.org",
                "archive.ubuntu.com",
                "dl.rockylinux.org",
                "security.ubuntu.com",
                "vault.centos.org",
            ];
            assert!(public.contains(&host), "{url}");
        }
    }
}

#[test]
fn what_is_run_by_default_is_a_few_minutes_work() {
    let plan = planned("", "", "");
    assert_eq!(
        kernel_ids(&plan),
        ["5.10", "6.1", "6.1+vsyscall=emulate", "6.12"]
    );
    let images: Vec<&str> = plan
        .images
        .iter()
        .map(|image| image.name.as_str())
        .collect();
    assert_eq!(images, ["debian:11", "debian:12", "debian:13", "vsyscall"]);
}

/// Under each profile it names, and expected to fail under one of them.
#[test]
fn a_check_under_several_profiles_is_several_checks() {
    let names = |selector: &str| -> Vec<(String, verdict::Seccomp)> {
        let plan = planned("6.1", "debian:12", selector);
        let checks = plan.images[0].checks.iter();
        checks
            .map(|check| (check.name.clone(), check.seccomp))
            .collect()
    };
    let plain = ("test-x".to_owned(), verdict::Seccomp::None);
    let eperm = ("test-x+seccomp=eperm".to_owned(), verdict::Seccomp::Eperm);
    let enosys = ("test-x+seccomp=enosys".to_owned(), verdict::Seccomp::Enosys);
    assert_eq!(
        names("test-x"),
        [plain.clone(), eperm.clone(), enosys.clone()]
    );
    let unpack = ("unpack+seccomp=eperm".to_owned(), verdict::Seccomp::Eperm);
    assert_eq!(names("*=eperm"), [eperm, unpack]);
    assert_eq!(names("test-x+"), [plain]);
}

/// Words to select by, and for what is foreseen a reason.
#[test]
fn images_say_of_what_family_they_are_and_why_they_fail() {
    for entry in &project().images {
        let image = &entry.image;
        let tagged = ["family", "libc", "eol"]
            .iter()
            .all(|tag| entry.tags.contains_key(*tag));
        // Ours is of no distribution.
        assert!(tagged || image.name == "vsyscall", "{}", image.name);
        for expectation in &image.expectations {
            assert!(expectation.because.is_some(), "{}", image.name);
            assert_ne!(expectation.when.to_string(), "", "{}", image.name);
        }
    }
}

/// The first expectation that applies counts: what ends every program comes before what
/// one check meets.
#[test]
fn what_ends_every_program_is_foreseen_first() {
    let plan = planned("6.1", "rockylinux:10", "");
    let foreseen: Vec<String> = plan.images[0]
        .expectations
        .iter()
        .map(|expectation| {
            let check = expectation.check.as_deref().unwrap_or("any");
            format!("{check} when {}: {}", expectation.when, expectation.outcome)
        })
        .collect();
    assert_data_eq!(
        foreseen.join("\n"),
        str![[r#"
any when cpu_level is <3: exit 127
test-x when seccomp is eperm: exit 1
"#]]
    );
}

/// The command people come for shows one kernel with two settings.
#[test]
fn naming_kernels_brings_the_variant_that_shows_the_difference() {
    let plan = planned("5.10,6.1,6.12", "vsyscall", "time");
    assert_eq!(
        kernel_ids(&plan),
        ["5.10", "6.1", "6.1+vsyscall=emulate", "6.12"]
    );
    assert_eq!(plan.kernels[2].settings.command_line, ["vsyscall=emulate"]);
    assert_eq!(plan.kernels[1].sources, plan.kernels[2].sources);
}

#[test]
fn old_kernels_and_the_newest_of_a_series() {
    assert_eq!(
        kernel_ids(&planned("3.10,4.9,4.19,6.x", "", "")),
        ["3.10", "4.9", "4.19", "4.19+vsyscall=emulate", "6.19"]
    );
}

#[test]
fn kernels_that_no_mirror_carries_are_optional() {
    for entry in &project().kernels {
        let of_mirror = |source: &KernelSource| match source {
            KernelSource::Apt(apt) => apt
                .suites
                .iter()
                .all(|suite| matches!(suite.archive, Archive::Debian | Archive::DebianSecurity)),
            _ => false,
        };
        let elsewhere = !entry.kernel.sources.iter().any(of_mirror);
        assert_eq!(entry.kernel.optional, elsewhere, "{}", entry.kernel.id);
        assert!(!(elsewhere && entry.default), "{}", entry.kernel.id);
    }
}

/// So that a run without any choice asks no registry, and one that cannot be reached
/// does not spoil a run.
#[test]
fn images_of_registries_run_when_named_and_are_optional() {
    for entry in &project().images {
        let image = &entry.image;
        let of_registry = matches!(image.sources[0], ImageSource::Oci(_));
        assert_eq!(image.optional, of_registry, "{}", image.name);
        assert!(!(of_registry && entry.default), "{}", image.name);
        assert!(
            entry.tags.len() >= 3 || image.name == "vsyscall",
            "{}",
            image.name
        );
    }
}

#[test]
fn the_vsyscall_program_is_foreseen_to_die_without_the_page() {
    let plan = planned("", "vsyscall", "");
    let image = &plan.images[0];
    let checks: Vec<&str> = image
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(checks, ["time", "gettimeofday", "getcpu", "read"]);
    let foreseen: Vec<String> = image
        .expectations
        .iter()
        .map(|expectation| {
            format!(
                "{} when {}: {}",
                expectation.check.as_deref().unwrap_or("any"),
                expectation.when,
                expectation.outcome
            )
        })
        .collect();
    assert_data_eq!(
        foreseen.join("\n"),
        str![[r#"
any when vsyscall is none: SIGSEGV
read when vsyscall is xonly: SIGSEGV
"#]]
    );
}

#[test]
fn the_dry_run_says_what_would_be_done() {
    let plan = planned(
        "6.1,3.10+user-namespaces",
        "debian:12,vsyscall",
        "bash,time,sort",
    );
    assert_data_eq!(
        plan::describe_plan(&plan),
        str![[r#"
KERNEL                SOURCE                                                        SETTINGS
6.1                   debian bookworm + bookworm-security: linux-image-cloud-amd64  cgroup v2
6.1+vsyscall=emulate  debian bookworm + bookworm-security: linux-image-cloud-amd64  cgroup v2, cmdline vsyscall=emulate
3.10+user-namespaces  https://vault.centos.org/7.9.2009/os/x86_64: kernel           cgroup v1, cmdline user_namespace.enable=1, sysctl user.max_user_namespaces=15000

IMAGE      SOURCE                                                                           CHECKS
debian:12  debian bookworm + bookworm-security: bash coreutils dpkg apt libc-bin perl-base  bash sort
vsyscall   program vsyscall                                                                 time

3 kernels, 2 images, 3 checks: 9 cells

"#]]
    );
}
