//! The one thread that starts every QEMU.
//!
//! A QEMU asks the kernel to be killed when its parent ends (PR_SET_PDEATHSIG).
//! That signal fires when the *thread* that spawned ends, not the process: were
//! machines started by the workers that use them, the end of a worker would take
//! a machine that was handed on with it. So one thread spawns them all, and lives
//! as long as anything that it started.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::StartError;

/// A handle on the spawning thread, which ends with its last handle. Each
/// [`crate::Vm`] keeps one.
#[derive(Clone, Debug)]
pub struct Spawner {
    requests: Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new() -> Result<Self, StartError> {
        let (requests, queue) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for mut request in queue {
                    // Who asked may be gone; the child is then dropped here, and
                    // must not be left running.
                    if let Err(mpsc::SendError(Ok(mut child))) =
                        request.reply.send(request.command.spawn())
                    {
                        reap(&mut child);
                    }
                }
            })
            .map_err(|source| StartError::Resources {
                what: "spawning thread",
                source,
            })?;
        Ok(Self { requests })
    }

    /// Starts a process that dies when this program does, in a process group of
    /// its own, so that an interrupt typed at the terminal reaches this program
    /// alone.
    ///
    /// # Errors
    /// What spawning said.
    pub(crate) fn spawn(&self, mut command: Command) -> Result<Child, SpawnError> {
        tie_to_this_process(&mut command);
        let (reply, answer) = mpsc::channel();
        self.requests
            .send(Request { command, reply })
            .map_err(|_| SpawnError::Gone)?;
        answer
            .recv()
            .map_err(|_| SpawnError::Gone)?
            .map_err(SpawnError::System)
    }
}

/// Why [`Spawner::spawn`] gave nothing.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The thread is gone.
    Gone,
    /// The system refused.
    System(io::Error),
}

fn reap(child: &mut Child) {
    // Neither can fail for a child that was never waited for but by its having
    // ended already, which is what is wanted.
    drop(child.kill());
    drop(child.wait());
}

fn tie_to_this_process(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    command.process_group(0);
    let parent = std::process::id();
    let tie = move || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes a signal number and touches
        // no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have ended between fork and prctl; then the signal never
        // comes, and this child belongs to someone else by now.
        // SAFETY: getppid has no preconditions.
        if unsafe { libc::getppid() }.cast_unsigned() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and builds
    // errors from numbers: no allocation, no locks.
    unsafe {
        command.pre_exec(tie);
    }
}
