//! Which x86-64 system calls there are: each called once, with arguments that do
//! nothing, and asked whether it says ENOSYS.
//!
//! The calls are made in a child with namespaces of its own. It writes each answer
//! into shared memory before the next, so a call that ends or stops it costs one
//! more child, not the answers so far: all calls are over in a few milliseconds
//! where a child for each would take seconds under emulation.

use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use wire::SyscallFacts;

use crate::error::{Error, Result};
use crate::kernel_log::last_errno;

/// One more than the last number tried. From 512 on are the x32 variants.
const END: u16 = 512;

/// These end, stop or restart whoever calls them, or wreck its stack; every x86-64
/// kernel has them, whatever its configuration.
const UNTRIED: [libc::c_long; 9] = [
    libc::SYS_rt_sigreturn,
    libc::SYS_pause,
    libc::SYS_clone,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_exit,
    libc::SYS_vhangup,
    libc::SYS_reboot,
    libc::SYS_exit_group,
];

/// What a place in the shared memory says. Any other value is the errno, 0 for
/// success.
const NOT_YET: u16 = u16::MAX;
const BEGUN: u16 = u16::MAX - 1;

/// How long the child may stay with one call.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers, one a call.
struct Answers(*const AtomicU16);

impl Answers {
    fn share() -> Result<Self> {
        // SAFETY: a new anonymous mapping, aligned to a page and zeroed.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<AtomicU16>() * usize::from(END),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(Error::call("mmap")(last_errno()));
        }
        let answers = Self(memory.cast());
        for number in 0..END {
            answers.of(number).store(NOT_YET, Ordering::Relaxed);
        }
        Ok(answers)
    }

    fn of(&self, number: u16) -> &AtomicU16 {
        assert!(number < END, "a place for each call");
        // SAFETY: inside the mapping, which lives as long as self.
        unsafe { &*self.0.add(usize::from(number)) }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `share`; nothing refers to it any more.
        unsafe {
            libc::munmap(
                self.0.cast_mut().cast(),
                size_of::<AtomicU16>() * usize::from(END),
            )
        };
    }
}

/// Tries all.
///
/// # Errors
/// When no child can be made or waited for.
pub(super) fn probe() -> Result<SyscallFacts> {
    let answers = Answers::share()?;
    let untried: Vec<u16> = UNTRIED
        .iter()
        .filter_map(|number| u16::try_from(*number).ok())
        .collect();
    loop {
        let todo: Vec<u16> = (0..END)
            .filter(|number| !untried.contains(number))
            .filter(|number| answers.of(*number).load(Ordering::Acquire) == NOT_YET)
            .collect();
        if todo.is_empty() {
            break;
        }
        in_one_child(&answers, &todo)?;
        // Each child settles at least the call it ended in.
        let settled = todo
            .iter()
            .any(|number| answers.of(*number).load(Ordering::Acquire) != NOT_YET);
        if !settled {
            return Err(Error::call("trying system calls")(Errno::CHILD));
        }
    }
    let missing = u16::try_from(libc::ENOSYS).unwrap_or(NOT_YET);
    Ok(SyscallFacts {
        tried: END,
        missing: (0..END)
            .filter(|number| answers.of(*number).load(Ordering::Acquire) == missing)
            .collect(),
        untried,
    })
}

/// Runs calls until all are made or the child is gone. A call that ended it, or
/// that it had to be killed in, is there: it did something.
fn in_one_child(answers: &Answers, todo: &[u16]) -> Result<()> {
    // SAFETY: this program has one thread, so the child is a whole copy of it.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        isolate();
        for number in todo {
            answers.of(*number).store(BEGUN, Ordering::Release);
            let answer = call(*number);
            answers.of(*number).store(answer, Ordering::Release);
        }
        // SAFETY: ends the child without the parent's buffers and hooks.
        unsafe { libc::_exit(0) }
    }
    let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else {
        return Err(Error::call("fork")(last_errno()));
    };
    let progress = || {
        todo.iter()
            .filter(|number| answers.of(**number).load(Ordering::Acquire) < BEGUN)
            .count()
    };
    let (mut done, mut since) = (progress(), Instant::now());
    loop {
        match waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::call("waitpid")(errno)),
        }
        let now = progress();
        if now != done {
            (done, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            // It may be gone already, which the next look tells.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// What a call could change for others (a queue, a host name, a mount) it changes
/// in namespaces that go with the child; where there are none, its arguments still
/// ask for nothing.
fn isolate() {
    for flag in [
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
    ] {
        // SAFETY: takes no pointer.
        let _ = unsafe { libc::unshare(flag) };
    }
}

/// The errno of a call, 0 for success. All arguments are -1: no descriptor, no
/// address, no known flag. Three calls say ENOSYS to what they do not know, so they
/// are asked for something harmless; one would make a queue.
fn call(number: u16) -> u16 {
    let nothing: libc::c_long = -1;
    let mut word: u32 = 0;
    let address = &raw mut word as libc::c_long;
    let arguments = match libc::c_long::from(number) {
        // FUTEX_WAKE: nobody waits.
        libc::SYS_futex => [address, 1, 0, 0, 0, 0],
        // Read none of the table.
        libc::SYS_modify_ldt => [0, 0, 0, 0, 0, 0],
        // Look for it without making it.
        libc::SYS_msgget => [nothing, 0, 0, 0, 0, 0],
        // An alarm would end the child later.
        libc::SYS_alarm => [0; 6],
        _ => [nothing; 6],
    };
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel checks every argument, and -1 is neither an address nor a
    // descriptor; what the call does to this process ends with it.
    let result = unsafe { libc::syscall(libc::c_long::from(number), a, b, c, d, e, f) };
    if result == -1 {
        u16::try_from(last_errno().raw_os_error()).unwrap_or(0)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_kernel_has_is_there_and_the_unused_numbers_are_not() {
        let facts = probe().unwrap();
        let missing =
            |number: libc::c_long| facts.missing.contains(&u16::try_from(number).unwrap());
        for there in [
            libc::SYS_read,
            libc::SYS_futex,
            libc::SYS_munmap,
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_kill,
        ] {
            assert!(!missing(there), "{there}");
        }
        // afs_syscall was never implemented; 400 was never given out.
        assert!(missing(183) && missing(400));
        assert_eq!(facts.tried, END);
        assert!(!missing(libc::SYS_exit));
    }
}
