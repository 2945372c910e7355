//! A bundle with one program in it, and the runtime run on it.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use runtime::config::Container;
use runtime::status::{Line, Status};
use serde_json::{Value, json};

use crate::kernel::{Filter, Kernel};

/// The descriptor the status line goes to: far from those tests have open, one
/// of which a child may still need.
const STATUS_FD: i32 = 700;
/// One the runtime gets and must not hand on.
pub(crate) const STRAY_FD: i32 = 701;

/// Why containers cannot be made here, found out once.
fn obstacle() -> Option<&'static str> {
    static OBSTACLE: OnceLock<Option<String>> = OnceLock::new();
    OBSTACLE
        .get_or_init(|| {
            // SAFETY: geteuid cannot fail.
            if unsafe { libc::geteuid() } != 0 {
                return Some("not root".to_owned());
            }
            let mut trial = Command::new("/proc/self/exe");
            // SAFETY: unshare is async-signal-safe.
            unsafe {
                trial.pre_exec(
                    || match libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    },
                );
            }
            match trial.arg("--list").stdout(Stdio::null()).status() {
                Ok(_) => None,
                Err(error) => Some(format!("unshare: {error}")),
            }
        })
        .as_deref()
}

/// The probe, compiled once; `None` where a static program cannot be made.
fn probe() -> Result<&'static Path, &'static str> {
    static PROBE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = PROBE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/container/probe.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join("probe");
        let new = folder.join(format!("probe-{}", std::process::id()));
        let object = new.with_extension("o");
        let cc = |arguments: &[&str], from: &Path, to: &Path| {
            let mut cc = Command::new("cc");
            cc.args(arguments).arg("-o").args([to, from]);
            cc.output().map_err(|error| format!("cc: {error}"))
        };
        let compiled = cc(&["-c", "-O1", "-Wall", "-Werror"], &source, &object)?;
        // A mistake in it is no reason to skip every test.
        assert!(compiled.status.success(), "{compiled:?}");
        let linked = cc(&["-static"], &object, &new)?;
        fs::remove_file(&object).map_err(|error| format!("{}: {error}", object.display()))?;
        if !linked.status.success() {
            return Err(String::from_utf8_lossy(&linked.stderr).into_owned());
        }
        fs::rename(&new, &program).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(program)
    });
    match made {
        Ok(path) => Ok(path),
        Err(reason) => Err(reason),
    }
}

/// Says why a test does nothing here.
#[expect(clippy::print_stderr, reason = "a test has nothing else to tell it by")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// A bundle in a folder of its own.
pub(crate) struct Rig {
    pub(crate) kernel: Kernel,
    /// The container's ID.
    pub(crate) id: String,
    /// What the kernel is made to lack besides.
    pub(crate) lacks: Filter,
    /// What is done to the runtime's surroundings, in a mount namespace of its
    /// own, before it starts.
    pub(crate) surroundings: Option<fn() -> std::io::Result<()>>,
    folder: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) line: Line,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Standard output, once it is sure that the program ran and said 0.
    pub(crate) fn said(&self) -> &str {
        assert_eq!(self.line.status, Status::Exited { code: 0 }, "{self:?}");
        self.stdout.trim_end()
    }

    /// What follows `key ` in a report.
    pub(crate) fn value(&self, key: &str) -> Vec<&str> {
        let lines = self.said().lines();
        lines
            .filter_map(|line| line.strip_prefix(key))
            .map(|rest| rest.trim_start_matches([':', ' ', '\t']))
            .collect()
    }
}

/// Copies a program, by another process: while this one has a file open for
/// writing, a child that another test's thread just forked has it open too, and
/// until that executes its own program the file is busy (ETXTBSY).
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let copy = Command::new("cp").arg("-p").args([from, to]).status();
    assert!(copy.unwrap().success());
}

impl Rig {
    /// `None`, and a message, where there can be no containers.
    pub(crate) fn new(kernel: Kernel) -> Option<Self> {
        if let Some(reason) = obstacle() {
            skip(reason);
            return None;
        }
        let probe = match probe() {
            Ok(probe) => probe,
            Err(reason) => {
                skip(&format!("no static program: {reason}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        copy_program(probe, &bin.join("probe"));
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        // tempfile's names begin with a dot.
        let id = format!("test{name}");
        Some(Self {
            kernel,
            id,
            lacks: kernel.lacks(),
            surroundings: None,
            folder,
        })
    }

    /// A path outside the root.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A path inside the root.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(path)
    }

    /// Docker's defaults for `words`.
    pub(crate) fn container(&self, words: &[&str]) -> Container {
        Container {
            rootfs: PathBuf::from("rootfs"),
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: vec![("PATH".to_owned(), "/sbin:/bin".to_owned())],
            directory: PathBuf::from("/"),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            hostname: "box".to_owned(),
            cgroup_namespace: true,
            network: None,
            seccomp: None,
            added: Vec::new(),
        }
    }

    /// config.json of docker's defaults for `words`, to be changed.
    pub(crate) fn config(&self, words: &[&str]) -> Value {
        serde_json::to_value(self.container(words).spec()).unwrap()
    }

    /// Runs `words` in a container of docker's defaults.
    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        self.run_config(&self.config(words))
    }

    /// Runs a bundle of this configuration.
    pub(crate) fn run_config(&self, config: &Value) -> Outcome {
        self.start(config).finish()
    }

    /// Runs it with a descriptor of `folder` the runtime was not told of.
    pub(crate) fn leaking(&self, config: &Value, folder: &Path) -> Outcome {
        fs::write(self.outside("config.json"), config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
        command.arg("run").arg("--bundle").arg(self.folder.path());
        let folder = fs::File::open(folder).unwrap();
        self.start_with(command, Some(folder)).finish()
    }

    /// Runs it by somebody without rights, whose the bundle has become: nobody.
    pub(crate) fn run_by_nobody(&self, config: &Value) -> Outcome {
        fs::write(self.outside("config.json"), config.to_string()).unwrap();
        // The build's own may be in a folder private to somebody else.
        let program = self.outside("runtime");
        copy_program(env!("CARGO_BIN_EXE_runtime").as_ref(), &program);
        give(&self.outside(""), NOBODY);
        let mut command = Command::new(&program);
        command.arg("run").arg("--bundle").arg(self.folder.path());
        self.start_by(command, None, Some(NOBODY)).finish()
    }

    /// Runs it, if its surroundings can be had.
    pub(crate) fn try_config(&self, config: &Value) -> std::io::Result<Outcome> {
        fs::write(self.outside("config.json"), config.to_string())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
        command.arg("run").arg("--bundle").arg(self.folder.path());
        self.try_start(command, None, None).map(Running::finish)
    }

    /// Starts it and does not wait.
    pub(crate) fn start(&self, config: &Value) -> Running {
        fs::write(self.outside("config.json"), config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
        command.arg("run").arg("--bundle").arg(self.folder.path());
        self.start_command(command)
    }

    /// Starts `command`, the rest of whose line is given to it here.
    pub(crate) fn start_command(&self, command: Command) -> Running {
        self.start_with(command, None)
    }

    fn start_with(&self, command: Command, stray: Option<fs::File>) -> Running {
        self.start_by(command, stray, None)
    }

    fn start_by(&self, command: Command, stray: Option<fs::File>, user: Option<u32>) -> Running {
        self.try_start(command, stray, user).unwrap()
    }

    fn try_start(
        &self,
        mut command: Command,
        stray: Option<fs::File>,
        user: Option<u32>,
    ) -> std::io::Result<Running> {
        let (status, writer) = std::io::pipe().unwrap();
        let descriptor = writer.as_raw_fd();
        let mut lacks = self.lacks.clone().finished();
        let surroundings = self.surroundings;
        let stray_from = stray.as_ref().map_or(descriptor, AsRawFd::as_raw_fd);
        command
            .args(["--status-fd", &STATUS_FD.to_string(), &self.id])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: dup2 and prctl are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                for (from, target) in [(descriptor, STATUS_FD), (stray_from, STRAY_FD)] {
                    if libc::dup2(from, target) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                if let Some(change) = surroundings {
                    apart()?;
                    change()?;
                }
                lacks.enter()?;
                // After the filter, which takes root.
                if let Some(user) = user
                    && [
                        libc::setgroups(0, std::ptr::null()),
                        libc::setresgid(user, user, user),
                        libc::setresuid(user, user, user),
                    ] != [0; 3]
                {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = spawn(&mut command)?;
        drop(writer);
        Ok(Running { child, status })
    }
}

/// Into a mount namespace whose changes nobody else sees.
fn apart() -> std::io::Result<()> {
    // SAFETY: no pointer but to a string that outlives the call.
    let answers = unsafe {
        [
            libc::unshare(libc::CLONE_NEWNS),
            libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ),
        ]
    };
    if answers == [0, 0] {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// A program that was just written can be open in a child another test is about
/// to start, for a moment.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..250 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            other => return other,
        }
    }
    panic!("busy for five seconds: {command:?}");
}

/// A runtime at work.
pub(crate) struct Running {
    pub(crate) child: Child,
    status: std::io::PipeReader,
}

impl Running {
    /// Like [`Running::finish`], for a command that may end before the runtime
    /// starts: its exit code where no line came.
    pub(crate) fn finish_or_code(mut self) -> Result<Outcome, i32> {
        let mut text = String::new();
        self.status.read_to_string(&mut text).unwrap();
        if text.is_empty() {
            return Err(self.child.wait().unwrap().code().unwrap());
        }
        Ok(self.conclude(&text))
    }

    /// Waits for it. Exactly one line must have come over the status pipe.
    pub(crate) fn finish(mut self) -> Outcome {
        let mut text = String::new();
        self.status.read_to_string(&mut text).unwrap();
        self.conclude(&text)
    }

    fn conclude(mut self, text: &str) -> Outcome {
        let mut stdout = self.child.stdout.take();
        let mut stderr = self.child.stderr.take();
        let (said, complaint) = std::thread::scope(|scope| {
            let said = scope.spawn(|| read_all(stdout.as_mut()));
            let complaint = read_all(stderr.as_mut());
            (said.join().unwrap(), complaint)
        });
        let (status, stderr) = (self.child.wait().unwrap(), complaint);
        let line = text
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("{status}: no status line but {text:?}, {stderr:?}"));
        assert!(!line.contains('\n'), "{text:?}");
        Outcome {
            line: serde_json::from_str(line).unwrap(),
            code: status
                .code()
                .unwrap_or_else(|| panic!("the runtime died of signal {:?}", status.signal())),
            stdout: said,
            stderr,
        }
    }

    /// Kills the runtime itself, with no chance to do anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    /// A test that fails leaves no container behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What is left of a stream that no test has taken.
fn read_all(stream: Option<&mut impl Read>) -> String {
    let mut text = String::new();
    if let Some(stream) = stream {
        stream.read_to_string(&mut text).unwrap();
    }
    text
}

/// Processes of the machine with `token` in their command line, waited for to
/// become `count`, five seconds long.
pub(crate) fn processes(token: &str, count: usize) -> usize {
    let mut seen = 0;
    for _ in 0..100 {
        seen = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
            .filter(|line| {
                line.split(|byte| *byte == 0)
                    .any(|word| word == token.as_bytes())
            })
            .count();
        if seen == count {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    seen
}

/// A bind mount for `mounts`.
pub(crate) fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({"type": "bind", "source": source, "destination": destination, "options": options})
}

/// Adds an element to the list `name` of `object`, made where it is missing.
pub(crate) fn push(object: &mut Value, name: &str, element: Value) {
    let list = object
        .as_object_mut()
        .unwrap()
        .entry(name)
        .or_insert(json!([]));
    list.as_array_mut().unwrap().push(element);
}

/// Nobody's id.
pub(crate) const NOBODY: u32 = 65_534;

/// Gives a folder and all in it away.
pub(crate) fn give(path: &Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), owner);
        }
    }
}

/// Puts a container into a user namespace: `size` ids from 0 on are those from
/// `first` on.
pub(crate) fn map_users(config: &mut Value, first: u32, size: u32) {
    let map = json!([{"containerID": 0, "hostID": first, "size": size}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    push(&mut config["linux"], "namespaces", json!({"type": "user"}));
}
