//! PID 1 of the virtual machine.
//!
//! It makes a root, loads modules, opens the channel and says it is ready
//! ([`boot`]); then it does what it is told ([`session`]): prepares the host
//! side of the containers ([`begin`], [`cgroup`]), looks at the kernel
//! ([`facts`]), runs cells ([`cell`]) and probes ([`probe`]), and stops the machine
//! ([`power`]).
//!
//! One thread, no shell, no other program but the runtime that the harness
//! sends. What an old kernel lacks is met where it is met, with a comment that
//! names the version.

// The standard library's own start opens /dev/null when a standard stream is
// closed, and aborts when it cannot: in an initramfs without /dev/null, under a
// kernel without a console driver, that would be a panic without a word.
#![cfg_attr(not(test), no_main)]

mod begin;
mod boot;
mod cell;
mod cgroup;
mod console;
mod disk;
mod error;
mod facts;
mod kernel_log;
mod power;
mod probe;
mod session;

/// What the kernel starts.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> libc::c_int {
    if std::process::id() != 1 {
        // PID 1 starts this program again for each probe.
        return probe::main();
    }
    console::report_panics();
    match boot::boot() {
        Ok(channel) => session::serve(channel),
        Err(error) => power::fatal(&error.to_string()),
    }
}
