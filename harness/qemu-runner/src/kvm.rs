//! Whether /dev/kvm really runs a machine.
//!
//! It can exist and refuse (`failed to set MSR 0x10a`), crawl (minutes for a
//! second of boot), or end in an emulation error with QEMU stopped but alive: on
//! nested hosts all three are met. `-accel kvm:tcg` notices none of them. Only a
//! boot with a deadline tells.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Acceleration, Machine, Qemu, Spawner, StartError, Vm, VmEnd};

/// Why KVM is not used; one line each.
#[derive(Debug, thiserror::Error)]
pub enum KvmRefusal {
    /// The device is not there, or not ours to open.
    #[error("/dev/kvm: {source}")]
    Device {
        /// What the system said.
        source: std::io::Error,
    },
    /// No machine could be started.
    #[error("start a machine under KVM: {0}")]
    Start(#[from] StartError),
    /// The machine did not come up.
    #[error("a machine under KVM did not come up: {0}")]
    Boot(VmEnd),
}

/// Boots `machine` under KVM until the guest is ready. Gives how long that took.
///
/// # Errors
/// Why KVM cannot be relied on.
pub fn prove_kvm(
    spawner: &Spawner,
    machine: &Machine,
    deadline: Duration,
) -> Result<Duration, KvmRefusal> {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|source| KvmRefusal::Device { source })?;
    let machine = Machine {
        acceleration: Acceleration::Kvm,
        ..machine.clone()
    };
    let mut vm = Vm::start(spawner, &machine)?;
    let ready = vm.ready(deadline).map_err(KvmRefusal::Boot)?;
    Ok(ready.boot)
}

/// What an answer of [`prove_kvm`] can be remembered under: it holds for one boot
/// of this host and one QEMU.
///
/// # Errors
/// When the host's boot id cannot be read; the path comes with the error.
pub fn kvm_answer_key(qemu: &Qemu) -> Result<String, (PathBuf, std::io::Error)> {
    let path = PathBuf::from("/proc/sys/kernel/random/boot_id");
    match std::fs::read_to_string(&path) {
        Ok(boot) => Ok(format!("{} qemu-{}", boot.trim(), qemu.version)),
        Err(error) => Err((path, error)),
    }
}
