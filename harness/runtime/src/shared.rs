//! A first process that borrows the runtime's memory up to execve, as vfork's child
//! does, while the runtime stands still.
//!
//! fork copies the runtime's page tables, each of the two then copies every page it
//! writes to, and execve throws the copy away: for a short program that is more than
//! the program itself does. Go's runtime starts processes in namespaces this way; on a
//! kernel that refuses, the runtime forks.
//!
//! The child is on a stack of its own. All else is the runtime's, whose heap the
//! child works in; but descriptors, signals' actions, the folders it is in and its
//! credentials are the child's alone, as after fork. Should somebody kill it in the
//! middle of an allocation, the runtime may end with it and without a status line:
//! trouble to who started it, never a container's end.

use std::ffi::{c_int, c_void};
use std::ptr;

use rustix::process::Pid;

/// Far more than the making of a container needs: no path in it is recursive.
const STACK: usize = 512 * 1024;

/// What is below it, so that an overflow is a fault.
const GUARD: usize = 4096;

/// Runs `first` in a process of a new PID namespace, and returns when that has
/// executed a program or has ended; none where there is no such process. `first`'s
/// result is the exit code. The caller must have one thread.
pub(crate) fn first_process<F: FnMut() -> c_int>(mut first: F) -> Option<Pid> {
    let stack = Stack::new()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_NEWPID | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone and outlives it, or its time in this
    // memory; so does `first`, which nobody else looks at meanwhile: the only other
    // thread is this one, which the kernel lets go on when the child has left.
    let child = unsafe {
        let top = stack.0.byte_add(GUARD + STACK);
        libc::clone(begin::<F>, top, flags, (&raw mut first).cast())
    };
    Pid::from_raw(child.max(0))
}

extern "C" fn begin<F: FnMut() -> c_int>(first: *mut c_void) -> c_int {
    // SAFETY: it is the one `first_process` gave, which waits.
    let code = unsafe { (*first.cast::<F>())() };
    // SAFETY: ends the process without running what the runtime will run.
    unsafe { libc::_exit(code) }
}

/// Memory with a guard below it.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> Option<Self> {
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: the kernel chooses where.
        let address = unsafe {
            let length = GUARD + STACK;
            libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, kind, -1, 0)
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        let stack = Self(address);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: of the mapping just made.
        let answer = unsafe { libc::mprotect(address.byte_add(GUARD), STACK, access) };
        (answer == 0).then_some(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nothing refers to it any more.
        unsafe { libc::munmap(self.0, GUARD + STACK) };
    }
}
