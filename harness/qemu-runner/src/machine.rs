//! A virtual machine as QEMU's command line: which devices it has, and why.

mod preflight;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::CpuLevel;

/// How to start QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// The program to execute: QEMU itself, or the dynamic loader that comes with
    /// it.
    pub program: PathBuf,
    /// Arguments before QEMU's own: for a loader, its library path and QEMU;
    /// `-L` folders for the firmware.
    pub prefix_arguments: Vec<OsString>,
    /// Its version: `7.2.22`.
    pub version: String,
}

/// Why a program could not be taken for QEMU.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It could not be started.
    #[error("start {program} to ask for its version: {source}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It answered something else.
    #[error("{program} --version gave no QEMU version but {said:?}", program = program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
        /// What it said instead, or its exit status.
        said: String,
    },
}

impl Qemu {
    /// Asks an installed QEMU for its version.
    ///
    /// # Errors
    /// When it cannot be started or does not answer as QEMU does.
    pub fn installed(program: &Path) -> Result<Self, QemuError> {
        Self::with(program.to_owned(), Vec::new())
    }

    /// Asks a QEMU that needs a loader or arguments of its own for its version.
    ///
    /// # Errors
    /// As [`Qemu::installed`].
    pub fn with(program: PathBuf, prefix_arguments: Vec<OsString>) -> Result<Self, QemuError> {
        let mut qemu = Self {
            program,
            prefix_arguments,
            version: String::new(),
        };
        let output =
            qemu.command()
                .arg("--version")
                .output()
                .map_err(|source| QemuError::Start {
                    program: qemu.program.clone(),
                    source,
                })?;
        let said = String::from_utf8_lossy(&output.stdout);
        match parse_version(&said) {
            Some(version) if output.status.success() => qemu.version = version.to_owned(),
            _ => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let said = [said.trim(), stderr.trim(), &output.status.to_string()]
                    .into_iter()
                    .find(|text| !text.is_empty())
                    .unwrap_or_default()
                    .to_owned();
                return Err(QemuError::NoVersion {
                    program: qemu.program,
                    said,
                });
            }
        }
        Ok(qemu)
    }

    /// The program with what comes before QEMU's own arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.prefix_arguments);
        command
    }
}

/// The version in `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`.
fn parse_version(said: &str) -> Option<&str> {
    said.split_once("QEMU emulator version ")?
        .1
        .split_whitespace()
        .next()
}

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acceleration {
    /// The processor, through /dev/kvm.
    Kvm,
    /// QEMU's own translator: slower, everywhere.
    Tcg,
}

impl Acceleration {
    /// QEMU's name for it, which is also ours.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// A root file system image, read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The image on the host.
    pub path: PathBuf,
    /// What the guest finds it by: /sys/block/*/serial. virtio-blk has room for
    /// 20 bytes.
    pub serial: String,
}

/// How a machine comes to where its guest waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It boots.
    Cold,
    /// It boots with its memory in a file, so that it can be kept
    /// ([`crate::Vm::keep`]).
    Template {
        /// Made by QEMU; as large as the memory, with holes where nothing was
        /// written.
        memory: PathBuf,
    },
    /// It goes on where a template was kept.
    Warm {
        /// The template's memory; it is not written to.
        memory: PathBuf,
        /// What [`crate::Vm::keep`] wrote.
        state: PathBuf,
    },
}

/// All that a virtual machine is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The QEMU to start.
    pub qemu: Qemu,
    /// What executes the guest.
    pub acceleration: Acceleration,
    /// QEMU's CPU model. `max` is the most that the acceleration can show; under
    /// KVM that is spelled `host`. `x86-64-v1` to `x86-64-v4` are a model of
    /// exactly that level.
    pub cpu: String,
    /// MiB.
    pub memory: u32,
    /// Number of CPUs. One is fastest under TCG; [`crate::base_words`] leaves out
    /// what only holds for one.
    pub cpus: u32,
    /// A bzImage, or a vmlinux with a PVH entry.
    pub kernel: PathBuf,
    /// What [`crate::initramfs`] gave.
    pub initramfs: PathBuf,
    /// The whole kernel command line.
    pub command_line: String,
    /// The images; at most [`MAX_DISKS`].
    pub disks: Vec<Disk>,
    /// Disk devices at the least: those beyond the images are empty. A template
    /// and its clones must have the same number.
    pub slots: usize,
    /// Where the whole console is kept; created or emptied, but of a warm start
    /// what is there already stays, and its own follows.
    pub console: PathBuf,
    /// How it starts.
    pub start: Start,
}

/// Size of a disk without an image, bytes: 1 TiB. A kernel reads a disk's size when
/// its driver takes the device, which in a clone was when the template booted; so an
/// empty disk is larger than any image, and a clone need not make its driver look
/// again. No file system reads past the size that it says it has itself.
pub const EMPTY_DISK: u64 = 1 << 40;

/// As many disks as fit: slots 3 to 31 of the PCI bus, eight functions each.
pub const MAX_DISKS: usize = (31 - FIRST_DISK_SLOT + 1) * 8;

/// Slots 0 and 1 hold the chipset, 2 the channel and the random device.
const FIRST_DISK_SLOT: usize = 3;

impl Machine {
    /// Everything that a template of this machine depends on, but for the content
    /// of kernel and initramfs: equal words, exchangeable templates.
    #[must_use]
    pub fn template_words(&self) -> Vec<OsString> {
        let mut words = Machine {
            kernel: "kernel".into(),
            initramfs: "initramfs".into(),
            disks: Vec::new(),
            slots: self.slots.max(self.disks.len()),
            start: Start::Template {
                memory: "memory".into(),
            },
            ..self.clone()
        }
        .arguments(0, 0);
        words.push(self.qemu.program.clone().into_os_string());
        words.extend(self.qemu.prefix_arguments.iter().cloned());
        words.push(self.qemu.version.clone().into());
        words
    }

    /// QEMU's arguments; `channel` and `monitor` are the numbers of the file
    /// descriptors it inherits for the channel and, unless it starts cold, for its
    /// monitor.
    pub(crate) fn arguments(&self, channel: i32, monitor: i32) -> Vec<OsString> {
        let mut arguments = Arguments(Vec::new());
        arguments
            // Nothing that a build or a user's configuration adds by itself.
            .add("-nodefaults")
            .add("-no-user-config")
            .add("-display")
            .add("none")
            // i440fx: its virtio devices are transitional and sit on the root
            // bus, so kernels down to 3.10 see them.
            .add("-machine")
            .add(match self.start {
                Start::Cold => BOARD.to_owned(),
                Start::Template { .. } | Start::Warm { .. } => {
                    format!("{BOARD},memory-backend=memory")
                }
            })
            .add("-accel")
            .add(self.acceleration.name())
            .add("-cpu")
            .add(self.cpu_model())
            .add("-m")
            .add(format!("{}M", self.memory))
            .add("-smp")
            .add(self.cpus.to_string())
            // A panic reboots (panic=-1), and a reboot ends QEMU.
            .add("-no-reboot")
            // The kernel's console, on the pipe that is QEMU's stdout.
            .add("-chardev")
            .add("stdio,id=console,signal=off,mux=off")
            .add("-serial")
            .add("chardev:console")
            // The channel: a socket that was connected before QEMU started, so
            // there is no path, no listening and no waiting.
            .add("-chardev")
            .add(format!("socket,id=channel,fd={channel}"))
            .add("-device")
            .add("virtio-serial-pci,id=serial,max_ports=2,addr=0x2.0x0,multifunction=on")
            .add("-device")
            .add(format!(
                "virtserialport,bus=serial.0,chardev=channel,name={}",
                wire::PORT
            ))
            // Without it 4.9 waits for minutes in getrandom.
            .add("-object")
            .add("rng-builtin,id=random")
            .add("-device")
            .add("virtio-rng-pci,rng=random,addr=0x2.0x1")
            .add("-kernel")
            .add(&self.kernel)
            .add("-initrd")
            .add(&self.initramfs)
            .add("-append")
            .add(&self.command_line);
        match &self.start {
            Start::Cold => {}
            Start::Template { memory } => {
                self.memory_file(&mut arguments, memory, "on");
                add_monitor(&mut arguments, monitor);
            }
            Start::Warm { memory, .. } => {
                self.memory_file(&mut arguments, memory, "off");
                add_monitor(&mut arguments, monitor);
                // The state comes over the monitor.
                arguments.add("-incoming").add("defer");
            }
        }
        for index in 0..self.slots.max(self.disks.len()) {
            let disk = self.disks.get(index);
            let (slot, function) = (FIRST_DISK_SLOT + index / 8, index % 8);
            let multifunction = if function == 0 {
                ",multifunction=on"
            } else {
                ""
            };
            let node = match disk {
                Some(disk) => {
                    let mut node = OsString::from(format!(
                        "driver=raw,node-name=disk{index},read-only=on,file.driver=file,\
                         file.read-only=on,file.filename="
                    ));
                    node.push(escape_commas(disk.path.as_os_str()));
                    node
                }
                None => OsString::from(format!(
                    "driver=null-co,node-name=disk{index},read-only=on,read-zeroes=on,\
                     size={EMPTY_DISK}"
                )),
            };
            // Without MSI-X: a table less to map for each, which is a third of the
            // boot with 64 disks, and no vectors to run out of. A queue of 64: the
            // guest keeps memory for all of it, and with QEMU's 256 two hundred
            // disks leave 512 MiB of memory empty.
            let mut device = OsString::from(format!(
                "virtio-blk-pci,drive=disk{index},vectors=0,queue-size=64,\
                 addr={slot:#x}.{function:#x}{multifunction},serial="
            ));
            match disk {
                Some(disk) => device.push(escape_commas(OsStr::new(&disk.serial))),
                None => device.push(format!("empty{index}")),
            }
            arguments
                .add("-blockdev")
                .add(node)
                .add("-device")
                .add(device);
        }
        arguments.0
    }

    fn memory_file(&self, arguments: &mut Arguments, path: &Path, share: &str) {
        let mut object = OsString::from(format!(
            "memory-backend-file,id=memory,size={}M,share={share},mem-path=",
            self.memory
        ));
        object.push(escape_commas(path.as_os_str()));
        arguments.add("-object").add(object);
    }

    fn cpu_model(&self) -> &str {
        // Under KVM `max` also asks for what only QEMU could emulate.
        if let Some(level) = CpuLevel::of(&self.cpu) {
            return level.model(self.acceleration);
        }
        match self.acceleration {
            Acceleration::Kvm if self.cpu == "max" => "host",
            Acceleration::Tcg if self.cpu == "max" => TRANSLATED_MAX,
            _ => &self.cpu,
        }
    }
}

/// i440fx, without what no guest of ours uses, and without an HPET: a kernel that has no
/// local APIC to take its time from (see [`crate::base_words`]) sets it anew for each
/// tick in three accesses that QEMU answers one by one, a twelfth of a boot and of a
/// cell; the i8254 takes two. What a userland sees of it is a clock source less in
/// /sys/devices/system/clocksource, as on any machine without one; the TSC is the one
/// in use.
const BOARD: &str = "pc,hpet=off,usb=off,vmport=off,dump-guest-core=off";

/// `max` for the translator, without the promise that `rep movsb` is fast: it goes
/// byte by byte here, and a kernel or libc that believes the promise copies and clears
/// memory with it. They use wider steps without it; no level and no program asks for
/// the two flags but to choose its memcpy.
const TRANSLATED_MAX: &str = "max,-erms,-fsrm";

fn add_monitor(arguments: &mut Arguments, descriptor: i32) {
    arguments
        .add("-chardev")
        .add(format!("socket,id=monitor,fd={descriptor}"))
        .add("-mon")
        .add("chardev=monitor,mode=control");
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.0.push(argument.as_ref().to_owned());
        self
    }
}

/// In a value of QEMU's `key=value,…` lists a comma is written twice.
fn escape_commas(text: &OsStr) -> OsString {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte == b',' {
            escaped.push(b',');
        }
        escaped.push(byte);
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests;
