//! A project of a test's own: a folder with kernels.toml and images/, and runs
//! of `matrix` in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use report::{Cell, Run};

/// The kernels of this repository that the tests boot, as the repository's own
/// kernels.toml has them.
const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
notes = "Debian 12"
variants = { "vsyscall=emulate" = { cmdline = "vsyscall=emulate" } }
"#;

/// See [`Project::debian`].
const DEBIAN: &str = "images/debian-12.toml";

const DEBIAN_HEAD: &str = r#"
name = "debian:12"
source = { apt = "debian", suite = "bookworm", packages = ["bash", "coreutils", "dpkg", "apt", "libc-bin"] }
"#;

const CHECKS: &str = r#"
[[check]]
name = "ls"
command = ["ls", "/"]
"#;

/// Longer than any boot; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// A project in a folder that goes away with it.
#[derive(Debug)]
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// One kernel, one check, no image.
    pub(crate) fn new() -> Self {
        let project = Project {
            folder: tempfile::tempdir().unwrap(),
        };
        project.file("kernels.toml", KERNELS);
        project.file("images/checks.toml", CHECKS);
        project
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        path
    }

    /// An image of the repository, as it stands there.
    pub(crate) fn repository_image(&self, name: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../images")
            .join(name);
        self.file(&format!("images/{name}"), fs_err::read(source).unwrap());
    }

    /// A small Debian 12 that is called `debian:12`, with these checks and no others.
    pub(crate) fn debian(&self, checks: &str) {
        self.file(DEBIAN, format!("{DEBIAN_HEAD}{checks}"));
        self.file("images/checks.toml", "");
    }

    /// The same with a word of its file changed.
    pub(crate) fn change_debian(&self, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.root().join(DEBIAN)).unwrap();
        assert!(text.contains(from), "no {from} in\n{text}");
        self.file(DEBIAN, text.replace(from, to));
    }

    /// The checks of the repository, as they stand there.
    pub(crate) fn repository_checks(&self) {
        self.repository_image("checks.toml");
    }

    /// Lets an image have every check of checks.toml, not those its file lists and
    /// expects something of.
    pub(crate) fn every_check(&self, name: &str) {
        let path = format!("images/{name}");
        let text = fs_err::read_to_string(self.root().join(&path)).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .take_while(|line| !line.starts_with("[[expect]]"))
            .filter(|line| !line.starts_with("checks"))
            .collect();
        self.file(&path, kept.join("\n"));
    }

    /// The QEMU that a run would use, behind a script that adds a monitor.
    pub(crate) fn qemu_with_monitor(&self) -> PathBuf {
        let supply = supply::Supply::new(supply::Options {
            cache_root: std::env::var_os("MATRIX_CACHE").map(PathBuf::from),
            offline: false,
            progress: std::sync::Arc::new(supply::Silent),
            qemu: None,
        })
        .unwrap();
        let tool = supply.qemu().unwrap();
        let mut script = "#!/bin/sh\n".to_owned();
        script += &format!("exec '{}'", tool.program.display());
        for argument in &tool.prefix_arguments {
            script += &format!(" '{}'", argument.to_str().unwrap());
        }
        let monitor = self.root().join("monitor");
        script += &format!(
            " \"$@\" -monitor unix:{},server=on,wait=off\n",
            monitor.display()
        );
        self.program("qemu", &script)
    }

    /// Writes a program, by another process: what this one has open for writing is
    /// busy (ETXTBSY) as long as a child that another test just forked has it open
    /// too.
    pub(crate) fn program(&self, path: &str, content: &str) -> PathBuf {
        let written = self.file(&format!("{path}.written"), content);
        fs_err::set_permissions(
            &written,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let path = self.root().join(path);
        let mut copy = Command::new("cp");
        copy.arg("-p").args([&written, &path]);
        assert!(copy.status().unwrap().success());
        path
    }

    /// Sends the machine an NMI.
    pub(crate) fn strike(&self) {
        use std::io::Write as _;
        let path = self.root().join("monitor");
        let mut monitor = std::os::unix::net::UnixStream::connect(path).unwrap();
        monitor.write_all(b"nmi\n").unwrap();
        // The monitor acts on what it has read; it reads until this end closes.
        sleep(Duration::from_millis(300));
    }

    /// Waits until this text is in the newest run's events; its folder.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, child: &mut Child, text: &str) -> PathBuf {
        let begun = Instant::now();
        loop {
            if let Some(run) = self.newest_run()
                && let Ok(events) = fs_err::read_to_string(run.join("events.jsonl"))
                && events.contains(text)
            {
                return run;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("matrix ended before `{text}` was seen: {status}");
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no `{text}` within {PATIENCE:?}"
            );
            sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_matrix"));
        command
            .arg("-C")
            .arg(self.root())
            .args(arguments)
            .env("CI", "true")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn matrix(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts it and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// `matrix run …`, which must end with this status; its record.
    #[track_caller]
    pub(crate) fn run(&self, status: i32, arguments: &[&str]) -> Run {
        let output = self.matrix(&[&["run"], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(status),
            "stdout:\n{}\nstderr:\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Run::load(&self.newest_run().expect("a run was recorded")).unwrap()
    }

    pub(crate) fn newest_run(&self) -> Option<PathBuf> {
        let runs = self.root().join("results/runs");
        let mut runs: Vec<PathBuf> = fs_err::read_dir(runs)
            .ok()?
            .map(|entry| entry.unwrap().path())
            .collect();
        runs.sort();
        runs.pop()
    }
}

/// Waits until something that ends by itself is gone.
#[track_caller]
pub(crate) fn wait_until_gone(what: &str, gone: impl Fn() -> bool) {
    let begun = Instant::now();
    while !gone() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{what} outlived the program"
        );
        sleep(Duration::from_millis(20));
    }
}

/// The one cell of this name.
#[track_caller]
pub(crate) fn cell<'a>(run: &'a Run, kernel: &str, image: &str, check: &str) -> &'a Cell {
    run.cells
        .iter()
        .find(|cell| cell.kernel == kernel && cell.image == image && cell.check == check)
        .unwrap_or_else(|| panic!("no cell {kernel} {image} {check}"))
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
