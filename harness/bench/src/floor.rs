//! The floor: how long QEMU and a kernel take by themselves, to a first process
//! that says one line.
//!
//! Two floors are told apart. *Stock* is what someone gets who starts the
//! distribution's vmlinuz with the words everybody uses. *Best* is the best that is
//! known of this kernel and this QEMU, with words that a harness may not use because
//! a userland sees them: it is there to be compared with, not to be run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qemu_runner::ModulePlan;

use crate::bed::{Bed, BenchError, Kernel};

/// What the first process says.
const WORD: &str = "floor: up";

/// No kernel takes this long; one that does has not come up.
const LIMIT: Duration = Duration::from_secs(120);

/// A way to start a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// vmlinuz, the words everybody uses.
    Stock,
    /// The uncompressed kernel through its PVH entry, and every word that helps.
    Tuned,
    /// The same on QEMU's smallest machine, which has no PCI.
    MicroVm,
}

impl Floor {
    pub(crate) const ALL: [Floor; 3] = [Floor::Stock, Floor::Tuned, Floor::MicroVm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Floor::Stock => "stock",
            Floor::Tuned => "tuned",
            Floor::MicroVm => "microvm",
        }
    }

    fn machine(self) -> &'static str {
        match self {
            Floor::Stock => "pc",
            Floor::Tuned => "pc,usb=off,vmport=off",
            // Its own firmware; what else a PC has is not needed to say a word.
            Floor::MicroVm => "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Floor::Stock => "console=ttyS0 quiet panic=-1",
            // mitigations, audit and apparmor can be seen from a userland.
            Floor::Tuned => {
                "console=ttyS0 quiet loglevel=0 panic=-1 cryptomgr.notests mitigations=off \
                 audit=0 apparmor=0 random.trust_cpu=on noreplace-smp nolapic_timer \
                 no_timer_check acpi=noirq"
            }
            // Without the last, which this machine does not come up with.
            Floor::MicroVm => {
                "console=ttyS0 quiet loglevel=0 panic=-1 cryptomgr.notests mitigations=off \
                 audit=0 apparmor=0 random.trust_cpu=on noreplace-smp nolapic_timer \
                 no_timer_check"
            }
        }
    }

    fn kernel(self, kernel: &Kernel) -> &Path {
        match self {
            Floor::Stock => &kernel.image,
            Floor::Tuned | Floor::MicroVm => &kernel.uncompressed,
        }
    }

    fn cpu(self) -> &'static str {
        match self {
            Floor::Stock => "max",
            Floor::Tuned | Floor::MicroVm => "max,-erms,-fsrm",
        }
    }
}

/// Starts the kernel and waits for its word; the time from QEMU's start.
pub(crate) fn boot(bed: &Bed, kernel: &Kernel, floor: Floor) -> Result<Duration, BenchError> {
    let mut command: Command = bed.qemu.command();
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-accel", "tcg", "-m", "1024M", "-smp", "1", "-no-reboot"])
        .args(["-serial", "stdio"])
        .args(["-machine", floor.machine(), "-cpu", floor.cpu()])
        .arg("-kernel")
        .arg(floor.kernel(kernel))
        .arg("-initrd")
        .arg(&bed.floor_initramfs)
        .args(["-append", floor.words()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let what = || format!("{} floor of {}", floor.name(), kernel.id);
    let begun = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|source| BenchError::start(what(), source))?;
    let stdout = child.stdout.take();
    let said = match stdout {
        Some(stdout) => wait_for_word(stdout, begun),
        None => None,
    };
    // Its end is nobody's affair.
    let _ = child.kill();
    child
        .wait()
        .map_err(|source| BenchError::start(what(), source))?;
    said.ok_or_else(|| BenchError::NotDone {
        what: what(),
        said: format!("it did not say `{WORD}` within {} s", LIMIT.as_secs()),
    })
}

/// Reads in a thread of its own, so that a kernel that says nothing ends too.
fn wait_for_word(stdout: std::process::ChildStdout, begun: Instant) -> Option<Duration> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line.contains(WORD) {
                // The other side may have given up.
                let _ = sender.send(begun.elapsed());
                return;
            }
        }
    });
    receiver.recv_timeout(LIMIT).ok()
}

/// Writes the initramfs with the first process.
pub(crate) fn initramfs(folder: &Path) -> Result<PathBuf, BenchError> {
    let archive = qemu_runner::initramfs(&first_process(), &[], &ModulePlan::default())
        .map_err(|error| BenchError::prepare("the floor's initramfs", error))?;
    let path = folder.join("floor.cpio");
    fs_err::write(&path, archive)?;
    Ok(path)
}

/// An ELF program that writes [`WORD`] to its standard output, the console, and
/// waits for ever: as little as a first process can be.
fn first_process() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let text = format!("{WORD}\n");
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.push(0xbe); // mov esi, text
    let patch = code.len();
    code.extend([0; 4]);
    code.push(0xba); // mov edx, length
    code.extend((text.len() as u32).to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 34, 0, 0, 0]); // mov eax, 34 (pause)
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xeb, 0xf7]); // jmp to the mov before
    let address = BASE + HEADERS + code.len() as u64;
    code[patch..patch + 4].copy_from_slice(&(address as u32).to_le_bytes());
    code.extend(text.as_bytes());

    let size = HEADERS + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend(2_u16.to_le_bytes()); // an executable
    elf.extend(62_u16.to_le_bytes()); // for x86-64
    elf.extend(1_u32.to_le_bytes());
    elf.extend((BASE + HEADERS).to_le_bytes()); // its entry
    elf.extend(64_u64.to_le_bytes()); // program headers behind this one
    elf.extend(0_u64.to_le_bytes());
    elf.extend(0_u32.to_le_bytes());
    for number in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes()); // to be loaded
    elf.extend(5_u32.to_le_bytes()); // to be read and executed
    for number in [0, BASE, BASE, size, size, 4096] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_says_its_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("init");
        fs_err::write(&path, first_process()).unwrap();
        let mut mode = fs_err::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs_err::set_permissions(&path, mode).unwrap();
        let mut child = Command::new(&path).stdout(Stdio::piped()).spawn().unwrap();
        let said = wait_for_word(child.stdout.take().unwrap(), Instant::now());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said.is_some());
    }
}
