//! The end of the machine.

use rustix::system::{RebootCommand, reboot};

use crate::console;

/// Stops the machine, syncing nothing: nothing in it outlives it. Where the
/// kernel cannot power off (no ACPI), a restart ends a QEMU that was started
/// with `-no-reboot`.
pub(crate) fn off() -> ! {
    let refused = match reboot(RebootCommand::PowerOff) {
        Ok(()) => "power-off returned".to_owned(),
        Err(errno) => format!("power-off: {errno}"),
    };
    console::fatal(&refused);
    // A restart that fails too leaves nothing to do but to be killed by the
    // harness; ending PID 1 would turn it into a panic of the kernel.
    let _ = reboot(RebootCommand::Restart);
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

/// Says why on the console, then [`off`].
pub(crate) fn fatal(reason: &str) -> ! {
    console::fatal(reason);
    off()
}
