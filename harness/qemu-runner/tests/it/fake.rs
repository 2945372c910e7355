//! A stand-in for QEMU: a shell script that gets QEMU's arguments, inherits its
//! channel, and does what a test says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use qemu_runner::{Acceleration, Machine, Qemu, Spawner, Vm};
use tempfile::TempDir;
use wire::FromGuest;

/// Finds the channel's file descriptor as QEMU would, and defines what the
/// scripts use.
const PRELUDE: &str = r#"
for argument in "$@"; do
    case $argument in socket,id=channel,fd=*) channel=${argument##*fd=} ;; esac
done
say() { printf '%s\r\n' "$1"; }
hear() { head -c 1 <&"$channel" >/dev/null; }
send() { cat "$FRAMES/$1" >&"$channel"; }
"#;

pub(crate) struct Fake {
    pub(crate) directory: TempDir,
    pub(crate) machine: Machine,
    pub(crate) spawner: Spawner,
}

impl Fake {
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let frame = |message: &FromGuest| {
            let mut bytes = Vec::new();
            wire::write(&mut bytes, message).unwrap();
            bytes
        };
        let ready = FromGuest::Ready {
            spin: 5_000_000,
            uptime: 900,
        };
        let fatal = FromGuest::Fatal {
            reason: "no CONFIG_NET_NS".into(),
        };
        file("ready", &frame(&ready));
        file("fatal", &frame(&fatal));
        file("cut", &frame(&ready)[..5]);
        file("garbage", &[0xff; 64]);
        let frames = format!("FRAMES='{}'\n", directory.path().display());
        let machine = Machine {
            qemu: Qemu {
                program: "bash".into(),
                prefix_arguments: ["-c", &format!("{frames}{PRELUDE}{script}"), "qemu"]
                    .map(OsString::from)
                    .to_vec(),
                version: "7.2.22".into(),
            },
            acceleration: Acceleration::Tcg,
            cpu: "max".into(),
            memory: 512,
            cpus: 1,
            kernel: file("kernel", b"kernel"),
            initramfs: file("initramfs", b"initramfs"),
            command_line: "quiet".into(),
            disks: Vec::new(),
            slots: 0,
            start: qemu_runner::Start::Cold,
            console: directory.path().join("console.log"),
        };
        Self {
            directory,
            machine,
            spawner: Spawner::new().unwrap(),
        }
    }

    pub(crate) fn start(&self) -> Vm {
        Vm::start(&self.spawner, &self.machine).unwrap()
    }

    pub(crate) fn console(&self) -> String {
        std::fs::read_to_string(&self.machine.console).unwrap()
    }
}

/// Whether a process is there and not merely waiting to be reaped.
pub(crate) fn is_alive(process: u32) -> bool {
    let path = Path::new("/proc").join(process.to_string()).join("stat");
    match std::fs::read_to_string(path) {
        // The state follows the name, which may hold anything but ends in `)`.
        Ok(stat) => !stat.rsplit_once(')').unwrap().1.starts_with(" Z"),
        Err(_) => false,
    }
}
