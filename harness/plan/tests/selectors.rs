//! What selectors select, and what is said where they select nothing.

use std::path::Path;
use std::sync::Arc;

use plan::{ImageSource, KernelSource, Plan, Project, Selection, SourceFile};
use snapbox::{assert_data_eq, str};

const KERNELS: &str = r#"
[[kernel]]
version = "3.10"
default = false
source = { path = "a" }
variants = { "vsyscall=none" = { cmdline = "vsyscall=none" } }

[[kernel]]
version = "6.12"
source = { path = "b" }

[[kernel]]
version = "6.12"
name = "6.12-generic"
default = false
source = { path = "c" }

[[kernel]]
version = "6.1.112"
name = "6.1"
cmdline = "quiet"
sysctl = { "kernel.panic" = 1 }
source = { path = "d" }

[kernel.variants]
"vsyscall=emulate" = { cmdline = "vsyscall=emulate", default = true }
"vsyscall=xonly" = { cmdline = "vsyscall=xonly" }
small = { memory = "512MiB", cpu = "Nehalem", cgroup = "v1", sysctl = { kernel.panic = 2, vm.swappiness = 0 } }

[[kernel]]
version = "5.10"
source = { path = "e" }
variants = { "vsyscall=emulate" = { cmdline = "vsyscall=emulate" } }

[[kernel]]
version = "7.0"
name = "mine"
default = false
source = { path = "../linux/bzImage", modules = "/modules" }
"#;

const CHECKS: &str = r#"
[[check]]
name = "bash"
command = ["bash"]

[[check]]
name = "ls"
command = ["ls"]

[[check]]
name = "apt"
command = ["apt"]
default = false
"#;

const IMAGES: [(&str, &str); 3] = [
    (
        "images/centos-6.toml",
        r#"
name = "centos:6"
source = { tarball = "centos-6.tar" }
"#,
    ),
    (
        "images/centos-7.toml",
        r#"
name = "centos:7"
source = { tarball = "centos-7.tar" }
checks = ["a*", "bash"]
default = false

[[check]]
name = "bash"
command = ["bash", "--version"]
stdout = "version 4"
timeout = "5s"

[[check]]
name = "systemd"
command = ["systemd"]

[[expect]]
check = ["bash", "systemd"]
when = { kernel = "<4.4" }
outcome = "failure"
"#,
    ),
    (
        "images/debian.toml",
        r#"
name = "debian:12"
source = { directory = "debian" }
user = "nobody:nogroup"
directory = "/tmp"
environment = { LANG = "C", PATH = "/bin", COUNT = 3 }
checks = ["ls"]
"#,
    ),
];

fn project() -> Project {
    let file = |name: &str, text: &str| {
        Arc::new(SourceFile {
            name: name.into(),
            text: text.into(),
        })
    };
    let images = IMAGES.map(|(name, text)| file(name, text));
    plan::resolve(
        Path::new("/project"),
        &file("kernels.toml", KERNELS),
        &images,
        Some(&file("images/checks.toml", CHECKS)),
    )
    .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn kernels(selectors: &[&str]) -> Result<String, String> {
    let folder = Path::new("/nowhere");
    let kernels = plan::select_kernels(&project(), &words(selectors), folder);
    let kernels = kernels.map_err(|error| error.to_string())?;
    let ids: Vec<String> = kernels.into_iter().map(|kernel| kernel.id).collect();
    Ok(ids.join(" "))
}

fn planned(images: &[&str], checks: &[&str]) -> Result<Plan, String> {
    let selection = Selection {
        kernels: words(&["5.10"]),
        images: words(images),
        checks: words(checks),
        directory: "/nowhere".into(),
    };
    plan::plan(&project(), &selection).map_err(|error| error.to_string())
}

/// `IMAGE CHECK CHECK, IMAGE CHECK`.
fn rows(images: &[&str], checks: &[&str]) -> String {
    let plan = planned(images, checks).unwrap_or_else(|error| panic!("{error}"));
    let images = plan.images.iter().map(|image| {
        let checks = image.checks.iter().map(|check| check.name.as_str());
        let words: Vec<&str> = std::iter::once(image.name.as_str()).chain(checks).collect();
        words.join(" ")
    });
    images.collect::<Vec<String>>().join(", ")
}

#[test]
fn kernel_selectors() {
    let all = "3.10 6.12 6.12-generic 6.1 6.1+vsyscall=emulate 5.10 mine";
    let cases: [(&[&str], &str); 30] = [
        (&[], "6.12 6.1 6.1+vsyscall=emulate 5.10"),
        (&["5.10"], "5.10"),
        (&["mine"], "mine"),
        // A name brings the variants marked for it; a plus without a name does not.
        (&["6.1"], "6.1 6.1+vsyscall=emulate"),
        (&["6.1+"], "6.1"),
        (&["6.1+vsyscall=xonly"], "6.1+vsyscall=xonly"),
        (
            &["6.1+vsyscall=*"],
            "6.1+vsyscall=emulate 6.1+vsyscall=xonly",
        ),
        (
            &["6.1+*"],
            "6.1+vsyscall=emulate 6.1+vsyscall=xonly 6.1+small",
        ),
        (
            &["*+vsyscall=emulate"],
            "6.1+vsyscall=emulate 5.10+vsyscall=emulate",
        ),
        (&["*"], all),
        // Of two of one version the first in the file; 6.12 is newer than 6.1.112.
        (&["6.x"], "6.12"),
        (&["6.1.x"], "6.1 6.1+vsyscall=emulate"),
        (&["6.x+"], "6.12"),
        // The newest that has such a variant.
        (&["6.x+vsyscall=emulate"], "6.1+vsyscall=emulate"),
        (&["6.*"], "6.12 6.12-generic 6.1 6.1+vsyscall=emulate"),
        (&["6.*+"], "6.12 6.12-generic 6.1"),
        (&["6.12*"], "6.12 6.12-generic"),
        (&["6.12.*"], "6.12 6.12-generic"),
        (&["7.*"], "mine"),
        (&[">=6.12"], "6.12 6.12-generic mine"),
        (&[">6.12"], "mine"),
        (&[">=7"], "mine"),
        (&["<=6.1+"], "3.10 6.1 5.10"),
        (&["<6.1"], "3.10 5.10"),
        (
            &["<6+vsyscall=*"],
            "3.10+vsyscall=none 5.10+vsyscall=emulate",
        ),
        (&["5.10..6.1+"], "6.1 5.10"),
        (&["3..5"], "3.10 5.10"),
        // In the user's order, each once, from lists and repeated options alike.
        (&["5.10,3.10", "6.12"], "5.10 3.10 6.12"),
        (
            &["6.1+,6.1", "5.10 , 6.1+"],
            "6.1 6.1+vsyscall=emulate 5.10",
        ),
        (
            &["mine,*"],
            "mine 3.10 6.12 6.12-generic 6.1 6.1+vsyscall=emulate 5.10",
        ),
    ];
    for (selectors, expected) in cases {
        assert_eq!(kernels(selectors), Ok(expected.to_owned()), "{selectors:?}");
    }
}

#[test]
fn kernel_selectors_that_match_nothing() {
    assert_data_eq!(
        kernels(&["6.2,5.x", "4.19+vsyscall=emulate", "5.10+vsyscall=xonly"]).unwrap_err(),
        str![[r#"
no kernel matches `6.2`
  hint: did you mean `6.12`?
no kernel matches `4.19+vsyscall=emulate`
  hint: did you mean `6.1+vsyscall=emulate`?
no kernel matches `5.10+vsyscall=xonly`
  hint: did you mean `6.1+vsyscall=xonly`?
  hint: the kernels there are: `3.10`, `3.10+vsyscall=none`, `6.12`, `6.12-generic`, `6.1`, `6.1+vsyscall=emulate`, `6.1+vsyscall=xonly`, `6.1+small`, `5.10`, `5.10+vsyscall=emulate` and `mine`
"#]]
    );
    assert_data_eq!(
        kernels(&[">=six", ">8", "1..x", "{3.10", "", "./bzImage"]).unwrap_err(),
        str![[r#"
no kernel matches `>=six`: `six` is not a kernel version such as 6.1, 6.1.112 or 7.3-rc7
no kernel matches `>8`
no kernel matches `1..x`: `x` is not a kernel version such as 6.1, 6.1.112 or 7.3-rc7
no kernel matches `{3.10`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
  hint: did you mean `3.10`?
an empty kernel selector
no kernel matches `./bzImage`: /nowhere/./bzImage is not there
  hint: the kernels there are: `3.10`, `3.10+vsyscall=none`, `6.12`, `6.12-generic`, `6.1`, `6.1+vsyscall=emulate`, `6.1+vsyscall=xonly`, `6.1+small`, `5.10`, `5.10+vsyscall=emulate` and `mine`
"#]]
    );
}

#[test]
fn a_variant_is_the_entry_with_its_settings_on_top() {
    let found = plan::select_kernels(&project(), &words(&["6.1+small"]), Path::new("/")).unwrap();
    assert_eq!(
        found[0].settings.to_string(),
        "cgroup v1, cmdline quiet, cpu Nehalem, memory 512MiB, sysctl kernel.panic=2, sysctl vm.swappiness=0"
    );
    let found = plan::select_kernels(&project(), &words(&["6.1", "3.10"]), Path::new("/")).unwrap();
    let settings: Vec<String> = found
        .iter()
        .map(|kernel| kernel.settings.to_string())
        .collect();
    assert_eq!(
        settings,
        [
            "cgroup v2, cmdline quiet, sysctl kernel.panic=1",
            "cgroup v2, cmdline quiet vsyscall=emulate, sysctl kernel.panic=1",
            "cgroup v1",
        ]
    );
    assert_eq!(found[1].version.as_deref(), Some("6.1.112"));
}

#[test]
fn paths_in_files_are_the_projects_and_those_typed_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let name = "vmlinuz-6.12.117+deb13-cloud-amd64";
    fs_err::write(folder.path().join(name), "").unwrap();
    fs_err::write(folder.path().join("mine"), "").unwrap();
    let select = |selector: &str| {
        let found = plan::select_kernels(&project(), &words(&[selector]), folder.path());
        let mut found = found.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    // Kernels' file names have plus signs in them.
    for selector in [name, &format!("./{name}")] {
        let kernel = select(selector);
        assert_eq!(kernel.id, selector);
        assert_eq!(kernel.version, None);
        let expected = KernelSource::Path {
            kernel: folder.path().join(selector),
            modules: None,
        };
        assert_eq!(kernel.sources, [expected]);
    }
    // A file does not hide an entry of the same name.
    assert_eq!(
        select("mine").sources,
        [KernelSource::Path {
            kernel: "/project/../linux/bzImage".into(),
            modules: Some("/modules".into()),
        }]
    );
}

#[test]
fn image_and_check_selectors() {
    let cases: [(&[&str], &[&str], &str); 8] = [
        (&[], &[], "centos:6 bash ls, debian:12 ls"),
        (
            &["debian:12", "centos:*"],
            &[],
            "debian:12 ls, centos:6 bash ls, centos:7 apt bash systemd",
        ),
        (&["centos:7,centos:7"], &[], "centos:7 apt bash systemd"),
        // An image that does not list its checks has those on demand too.
        (&["centos:6"], &["apt"], "centos:6 apt"),
        // In the image's order; an image without any of them is left out.
        (
            &["*"],
            &["bash,apt"],
            "centos:6 bash apt, centos:7 apt bash",
        ),
        (&["*"], &["sys*"], "centos:7 systemd"),
        (
            &["*"],
            &["*"],
            "centos:6 bash ls apt, centos:7 apt bash systemd, debian:12 ls",
        ),
        (&["debian:12"], &["l?"], "debian:12 ls"),
    ];
    for (images, checks, expected) in cases {
        assert_eq!(rows(images, checks), expected, "{images:?} {checks:?}");
    }
}

#[test]
fn image_and_check_selectors_that_match_nothing() {
    assert_data_eq!(
        planned(&["centos7,ubuntu:*", "./root"], &[]).unwrap_err(),
        str![[r#"
no image matches `centos7`
  hint: did you mean `centos:7`?
no image matches `ubuntu:*`
no image matches `./root`: /nowhere/./root is not there
  hint: the images there are: `centos:6`, `centos:7` and `debian:12`
"#]]
    );
    assert_data_eq!(
        planned(&["debian:12"], &["bash,ls", "lss"]).unwrap_err(),
        str![[r#"
no check matches `bash`
no check matches `lss`
  hint: did you mean `ls`?
  hint: the checks there are: `ls`
"#]]
    );
    let selection = Selection {
        kernels: words(&["6.2"]),
        images: words(&["centos:5"]),
        ..Selection::default()
    };
    let error = plan::plan(&project(), &selection).unwrap_err().to_string();
    assert_eq!(error.matches("matches").count(), 2, "{error}");
}

#[test]
fn an_image_has_its_own_form_of_a_check() {
    let plan = planned(&["centos:7"], &["bash"]).unwrap();
    let check = &plan.images[0].checks[0];
    assert_eq!(check.command, ["bash", "--version"]);
    assert_eq!(check.stdout.as_deref(), Some("version 4"));
    assert_eq!(check.timeout, Some(5000));
    let of: Vec<Option<&str>> = plan.images[0]
        .expectations
        .iter()
        .map(|expectation| expectation.check.as_deref())
        .collect();
    assert_eq!(of, [Some("bash"), Some("systemd")]);
}

#[test]
fn containers_have_a_path_wherever_the_file_puts_it() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let plan = planned(&["debian:12", "centos:6"], &[]).unwrap();
    assert_eq!(
        plan.images[0].environment,
        [pair("LANG", "C"), pair("PATH", "/bin"), pair("COUNT", "3")]
    );
    assert_eq!(plan.images[0].user, "nobody:nogroup");
    assert_eq!(plan.images[0].directory, "/tmp");
    assert_eq!(
        plan.images[1].environment,
        [pair(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        )]
    );
    assert_eq!(plan.images[1].user, "0:0");
}

#[test]
fn a_folder_and_a_tar_file_are_images_without_a_file_about_them() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("rootfs")).unwrap();
    fs_err::write(folder.path().join("a.tar"), "").unwrap();
    let selection = Selection {
        images: words(&["./rootfs/", "a.tar"]),
        directory: folder.path().to_path_buf(),
        ..Selection::default()
    };
    let plan = plan::plan(&project(), &selection).unwrap();
    assert_eq!(plan.images[0].name, "./rootfs/");
    assert_eq!(
        plan.images[0].sources,
        [ImageSource::Directory(folder.path().join("./rootfs/"))]
    );
    assert_eq!(
        plan.images[1].sources,
        [ImageSource::Tarball(folder.path().join("a.tar"))]
    );
    let checks: Vec<&str> = plan.images[0]
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(checks, ["bash", "ls"], "what needs a Debian is on demand");
}

#[test]
fn nothing_by_default_is_an_error() {
    let mut project = project();
    for entry in &mut project.kernels {
        entry.default = false;
    }
    let error = plan::plan(&project, &Selection::default()).unwrap_err();
    assert_data_eq!(
        error.to_string(),
        str![[r#"
no kernel is run by default
  hint: name some with `--kernels`: `3.10`, `3.10+vsyscall=none`, `6.12`, `6.12-generic`, `6.1`, `6.1+vsyscall=emulate`, `6.1+vsyscall=xonly`, `6.1+small`, `5.10`, `5.10+vsyscall=emulate` and `mine`
"#]]
    );
}

#[test]
fn listings() {
    assert_data_eq!(
        plan::describe_kernels(&project()).to_string(),
        str![[r#"
KERNEL                 DEFAULT  SOURCE                     SETTINGS
3.10                            /project/a                 cgroup v1
3.10+vsyscall=none              /project/a                 cgroup v1, cmdline vsyscall=none
6.12                   yes      /project/b                 cgroup v2
6.12-generic                    /project/c                 cgroup v2
6.1                    yes      /project/d                 cgroup v2, cmdline quiet, sysctl kernel.panic=1
6.1+vsyscall=emulate   yes      /project/d                 cgroup v2, cmdline quiet vsyscall=emulate, sysctl kernel.panic=1
6.1+vsyscall=xonly              /project/d                 cgroup v2, cmdline quiet vsyscall=xonly, sysctl kernel.panic=1
6.1+small                       /project/d                 cgroup v1, cmdline quiet, cpu Nehalem, memory 512MiB, sysctl kernel.panic=2, sysctl vm.swappiness=0
5.10                   yes      /project/e                 cgroup v2
5.10+vsyscall=emulate           /project/e                 cgroup v2, cmdline vsyscall=emulate
mine                            /project/../linux/bzImage  cgroup v2

"#]]
    );
    assert_data_eq!(
        plan::describe_images(&project()).to_string(),
        str![[r#"
IMAGE      DEFAULT  SOURCE                 CHECKS
centos:6   yes      /project/centos-6.tar  bash ls (apt)
centos:7            /project/centos-7.tar  apt bash systemd
debian:12  yes      /project/debian        ls

"#]]
    );
    assert_data_eq!(
        plan::describe_checks(&project()).to_string(),
        str![[r#"
CHECK    IMAGES              STDOUT     COMMAND
bash     centos:6                       bash
ls       centos:6 debian:12             ls
apt      centos:6 centos:7              apt
bash     centos:7            version 4  bash --version
systemd  centos:7                       systemd

"#]]
    );
}

/// A project of one kernel from packages and one from a file.
fn packaged() -> Project {
    let file = |name: &str, text: &str| {
        Arc::new(SourceFile {
            name: name.into(),
            text: text.into(),
        })
    };
    let kernels = r#"
[[kernel]]
version = "6.1"
source = [
    { apt = [{ archive = "debian", suite = "bookworm" }, { archive = "debian-security", suite = "bookworm-security" }], package = "linux-image-cloud-amd64" },
    { path = "vmlinuz" },
]
variants = { "vsyscall=emulate" = { cmdline = "vsyscall=emulate", default = true } }

[[kernel]]
version = "6.2"
source = { apt = "https://example.org/apt", suite = "stable", key = "keys/example.asc", package = "linux-image-*" }

[[kernel]]
version = "6.3"
source = { path = "vmlinuz" }
"#;
    plan::resolve(
        Path::new("/project"),
        &file("kernels.toml", kernels),
        &[],
        None,
    )
    .unwrap()
}

fn selected(project: &Project, selector: &str) -> Result<Vec<plan::Kernel>, String> {
    plan::select_kernels(project, &[selector.to_owned()], Path::new("/"))
        .map_err(|error| error.to_string())
}

#[test]
fn a_version_of_an_entry_is_the_same_kernel_with_that_package_and_no_variant() {
    let project = packaged();
    let kernels = selected(&project, "6.1@6.1.170-1~bpo11+1").unwrap();
    assert_eq!(kernels.len(), 1, "a default variant came along");
    assert_eq!(kernels[0].id, "6.1@6.1.170-1~bpo11+1");
    // The file has no versions.
    let [KernelSource::Apt(apt)] = &*kernels[0].sources else {
        panic!("{:?}", kernels[0].sources)
    };
    assert_eq!(apt.packages, ["linux-image-cloud-amd64=6.1.170-1~bpo11+1"]);
    let variant = selected(&project, "6.1+vsyscall=emulate@6.1.170-1").unwrap();
    assert_eq!(variant[0].id, "6.1+vsyscall=emulate@6.1.170-1");
    assert_eq!(variant[0].settings.command_line, ["vsyscall=emulate"]);
    for (selector, told) in [
        ("6.3@1-1", "6.3 comes from no archive of packages"),
        ("6.1@", "is neither a package's version nor a moment"),
        ("6.1@a b", "is neither a package's version nor a moment"),
        ("9.9@1-1", "no kernel matches"),
    ] {
        let error = selected(&project, selector).unwrap_err();
        assert!(error.contains(told), "{selector}: {error}");
    }
}

#[test]
fn a_moment_of_an_entry_is_debians_archive_then() {
    let project = packaged();
    let kernels = selected(&project, "6.1@20260101T000000Z").unwrap();
    let [KernelSource::Apt(apt)] = &*kernels[0].sources else {
        panic!("{:?}", kernels[0].sources)
    };
    for (suite, security) in apt.suites.iter().zip([false, true]) {
        let time = "20260101T000000Z".to_owned();
        assert_eq!(suite.archive, plan::Archive::Snapshot { security, time });
        assert!(suite.allow_expired);
    }
    let error = selected(&project, "6.2@20260101T000000Z").unwrap_err();
    assert!(error.contains("from no archive of Debian's"), "{error}");
}

#[test]
fn a_lock_is_of_the_source_it_was_made_from() {
    use plan::{Lock, LockError, LockedKernel, Pin};
    let project = packaged();
    let kernels = selected(&project, "6.1,6.2").unwrap();
    assert_eq!(kernels.len(), 3);
    let plan = || Plan {
        kernels: kernels.clone(),
        images: Vec::new(),
    };
    let digest = format!("sha256:{}", "0a".repeat(32));
    let mut lock = Lock::default();
    lock.put_kernel(LockedKernel {
        name: "6.1".to_owned(),
        source: kernels[0].sources[1].to_string(),
        pin: Pin::Digest(digest.clone()),
    });
    let Err(LockError::Lacks(lacks)) = lock.apply(&mut plan()) else {
        panic!("6.2 is not locked")
    };
    assert_eq!(lacks, ["no kernel 6.2"]);
    lock.put_kernel(LockedKernel {
        name: "6.2".to_owned(),
        source: "another".to_owned(),
        pin: Pin::Packages(Vec::new()),
    });
    let error = lock.apply(&mut plan()).unwrap_err().to_string();
    assert!(
        error.contains("kernel 6.2 from another source (another)"),
        "{error}"
    );
    lock.put_kernel(LockedKernel {
        name: "6.2".to_owned(),
        source: kernels[2].sources[0].to_string(),
        pin: Pin::Packages(Vec::new()),
    });
    let mut held = plan();
    lock.apply(&mut held).unwrap();
    // The variant is the same kernel; of two sources the locked one is left.
    for kernel in &held.kernels[..2] {
        let [KernelSource::Locked { source, pin }] = &*kernel.sources else {
            panic!("{:?}", kernel.sources)
        };
        assert_eq!(**source, kernels[0].sources[1]);
        assert_eq!(*pin, Pin::Digest(digest.clone()));
    }
}
