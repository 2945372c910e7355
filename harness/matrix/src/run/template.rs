//! Warm starts: a kernel's guest is kept where it waits for work, and each machine
//! after that begins there.
//!
//! What the guest told of itself (its facts, the log of its boot, how slow it is)
//! is kept with it and holds for every clone: the key has in it all that it can
//! depend on. What must differ, clock and randomness, is set when a clone wakes.
//! Disks and the runtime may differ and make no new template: a template's disks are
//! devices without content and as large as any ([`qemu_runner::EMPTY_DISK`]), and
//! where the runtime has changed it is sent after the clone has woken.
//!
//! A template lies in the cache, not in /dev/shm: the page cache serves it as fast,
//! and a small /dev/shm, as containers have it, is no matter.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plan::Kernel;
use qemu_runner::{Acceleration, Machine, Start, Vm};
use serde::{Deserialize, Serialize};
use supply::Key;
use wire::{Facts, KernelLine};

use super::boot::{ANSWER, BootError, Bootery, Prepared};
use crate::programs;

/// Kind of the cache's entries.
pub(crate) const KIND: &str = "template";

/// How many disk devices a template has. Few sizes, so that one template serves
/// runs of different numbers of images; a clone per image needs one.
const SLOTS: [usize; 5] = [1, 8, 32, 96, qemu_runner::MAX_DISKS];

/// How long a guest that is to be kept is left to its kernel. What a kernel puts off
/// at its boot (it refines the clock's rate for a second, and then changes to it) each
/// clone would do again.
const SETTLING: Duration = Duration::from_millis(1500);

/// Left free on the disk beside what the guest's memory can grow to, bytes.
const SPARE: u64 = 256 << 20;

/// What is known of a waiting guest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    /// As in [`wire::FromGuest::Ready`].
    pub(super) spin: u64,
    pub(super) facts: Facts,
    pub(super) boot_log: Vec<KernelLine>,
    /// Identity of the runtime in it.
    pub(super) runtime: String,
}

/// A machine that goes on where its template was kept.
#[derive(Debug)]
pub(super) struct Clone {
    pub(super) machine: Machine,
    state: PathBuf,
    pub(super) known: Known,
}

impl Clone {
    /// Starts it.
    ///
    /// # Errors
    /// When QEMU cannot be started or does not restore it.
    pub(super) fn wake(&self, bootery: &Bootery<'_>) -> Result<(Vm, Duration), BootError> {
        let mut vm = Vm::start(bootery.spawner, &self.machine)?;
        let slowest = ANSWER.mul_f64(2.0);
        let boot = vm.wake(&self.state, super::boot::moment()?, slowest)?;
        Ok((vm, boot))
    }
}

impl Bootery<'_> {
    /// The clone that `cold` would be: its template is found, or made by a boot.
    /// None where no template can be kept here; that has been told.
    ///
    /// # Errors
    /// When the kernel does not come up, as in a cold boot.
    pub(super) fn warm(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
        cold: &Machine,
    ) -> Result<Option<(Key, Clone)>, BootError> {
        let Some(slots) = SLOTS.into_iter().find(|slots| *slots >= cold.disks.len()) else {
            return Ok(None);
        };
        let machine = Machine {
            slots,
            ..cold.clone()
        };
        let key = template_key(kernel, prepared, &machine)?;
        let cache = self.supply.cache();
        let folder = match cache.get(KIND, &key) {
            Some(folder) => {
                // The boot's console, before what this start adds to it.
                fs_err::copy(folder.join("console"), &machine.console)?;
                folder
            }
            None => {
                if let Some(reason) = self.no_room(&machine) {
                    self.note_once(&reason);
                    return Ok(None);
                }
                let mut unkept = None;
                let made = cache.build(KIND, &key, |staging| {
                    self.make(kernel, &machine, staging).inspect_err(|error| {
                        if let BootError::Template(error) = error {
                            unkept = Some(error.to_string());
                        }
                    })
                });
                match (made, unkept) {
                    (Ok(folder), _) => {
                        self.make_room(&folder);
                        folder
                    }
                    (Err(_), Some(reason)) => {
                        self.note_once(&format!(
                            "{}: no template could be kept: {reason}",
                            kernel.id
                        ));
                        return Ok(None);
                    }
                    (Err(error), None) => return Err(error),
                }
            }
        };
        let mut known = File::open(folder.join("known"))?;
        let known = match wire::read(&mut known) {
            Ok(known) => known,
            Err(error) => {
                self.drop_template(
                    &key,
                    &format!("{}: {error}", folder.join("known").display()),
                );
                return Ok(None);
            }
        };
        let clone = Clone {
            machine: Machine {
                start: Start::Warm {
                    memory: folder.join("memory"),
                    state: folder.join("state"),
                },
                ..machine
            },
            state: folder.join("state"),
            known,
        };
        Ok(Some((key, clone)))
    }

    /// Boots the machine without its disks and keeps it.
    fn make(&self, kernel: &Kernel, machine: &Machine, staging: &Path) -> Result<(), BootError> {
        fs_err::create_dir(staging)?;
        let machine = Machine {
            disks: Vec::new(),
            start: Start::Template {
                memory: staging.join("memory"),
            },
            ..machine.clone()
        };
        let mut vm = Vm::start(self.spawner, &machine)?;
        let introduced = self.introduce(&mut vm, kernel, machine.acceleration)?;
        vm.settle(SETTLING)?;
        vm.keep(&staging.join("state"))?;
        let known = Known {
            spin: introduced.spin,
            facts: introduced.facts,
            boot_log: introduced.boot_log,
            runtime: introduced.runtime,
        };
        let mut frame = Vec::new();
        wire::write(&mut frame, &known).map_err(std::io::Error::other)?;
        fs_err::write(staging.join("known"), frame)?;
        fs_err::copy(&machine.console, staging.join("console"))?;
        Ok(())
    }

    /// A template that is of no use is removed, and the reason told.
    pub(super) fn drop_template(&self, key: &Key, reason: &str) {
        let removed = match self.supply.cache().forget(KIND, key) {
            Ok(()) => "removed".to_owned(),
            Err(error) => format!("could not be removed ({error})"),
        };
        self.sink.note(format!(
            "a template did not start and was {removed}: {reason}"
        ));
    }

    /// Why no template can be kept here.
    fn no_room(&self, machine: &Machine) -> Option<String> {
        let memory = u64::from(machine.memory) << 20;
        if memory > self.options.template_space {
            return Some(format!(
                "no warm starts: {} MiB of memory are more than --template-space allows for all templates",
                machine.memory
            ));
        }
        let root = self.supply.cache().root();
        let free = match rustix::fs::statvfs(root) {
            Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
            // What cannot be told is found out by trying.
            Err(_) => return None,
        };
        (free < memory + SPARE).then(|| {
            format!(
                "no warm starts: a template can need {} MiB, and {} has {} MiB free",
                (memory + SPARE) >> 20,
                root.display(),
                free >> 20
            )
        })
    }

    /// Removes the templates used longest ago until what is left keeps within what
    /// templates may take.
    fn make_room(&self, kept: &Path) {
        let collected = self
            .supply
            .cache()
            .shrink(KIND, self.options.template_space, kept);
        if let Err(error) = collected {
            self.sink.note(format!("old templates: {error}"));
        }
    }
}

/// Which kernel waits in a template, and how it was started, for a list.
pub(crate) fn words(template: &Path) -> String {
    let known: Option<Known> = File::open(template.join("known"))
        .ok()
        .and_then(|mut file| wire::read(&mut file).ok());
    match known {
        Some(known) => format!(
            "  {}, {}",
            known.facts.release,
            known.facts.command_line.trim()
        ),
        None => "  of another version of this program".to_owned(),
    }
}

/// All that a template depends on.
fn template_key(kernel: &Kernel, prepared: &Prepared, machine: &Machine) -> Result<Key, BootError> {
    let mut key = Key::new("template-3")
        .with("kernel", prepared.digest())
        .with("guest", programs::GUEST_IDENTITY)
        .with("modules", qemu_runner::BOOT_MODULES.join(" "))
        .with("cgroup", format!("{:?}", kernel.settings.cgroup))
        .with("program", qemu_identity(&machine.qemu.program)?);
    for (name, value) in &kernel.settings.sysctl {
        key = key.with("sysctl", name).with("value", value);
    }
    for word in machine.template_words() {
        key = key.with("word", word.as_encoded_bytes());
    }
    if machine.acceleration == Acceleration::Kvm {
        // The guest sees the host's processor.
        key = key.with(
            "processor",
            processor(&fs_err::read_to_string("/proc/cpuinfo")?),
        );
        // What KVM offers of it is the host's kernel's doing.
        key = key.with(
            "host",
            fs_err::read_to_string("/proc/sys/kernel/osrelease")?,
        );
    }
    Ok(key)
}

/// A package's update can leave the version as it was.
fn qemu_identity(program: &Path) -> std::io::Result<String> {
    let metadata = match std::fs::metadata(program) {
        Ok(metadata) => metadata,
        // A name that is looked up on PATH.
        Err(_) => return Ok(String::new()),
    };
    let modified = metadata.modified()?;
    Ok(format!("{} {modified:?}", metadata.len()))
}

/// What of /proc/cpuinfo stays the same from one look to the next.
fn processor(cpuinfo: &str) -> String {
    cpuinfo
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| {
            [
                "vendor_id",
                "cpu family",
                "model",
                "stepping",
                "microcode",
                "flags",
                "bugs",
            ]
            .iter()
            .any(|name| line.starts_with(name))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_processor_the_speed_of_the_moment_does_not_count() {
        let one = "processor\t: 0\nmodel name\t: Xeon\ncpu MHz\t\t: 2100.1\nflags\t\t: sse avx\n\nprocessor\t: 1\n";
        let other = one.replace("2100.1", "2900.7");
        assert_eq!(processor(one), processor(&other));
        assert_ne!(processor(one), processor(&one.replace("avx", "avx2")));
        assert_eq!(processor(one), "model name\t: Xeon\nflags\t\t: sse avx");
    }

    #[test]
    fn few_sizes_serve_every_number_of_disks() {
        let slots = |disks: usize| SLOTS.into_iter().find(|slots| *slots >= disks);
        assert_eq!(slots(0), Some(1));
        assert_eq!(slots(2), Some(8));
        assert_eq!(slots(qemu_runner::MAX_DISKS), Some(qemu_runner::MAX_DISKS));
        assert_eq!(slots(qemu_runner::MAX_DISKS + 1), None);
    }
}
