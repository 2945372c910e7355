//! Starting a program without a copy of the guest's memory.
//!
//! `Command` forks where anything is to be done between fork and exec, and a cell's
//! runtime has to join its control groups there: the guest's page tables are copied, each
//! page it writes to afterwards is, and all of that is thrown away at the exec. Here the
//! child shares the memory and the guest stands still until it has gone
//! (CLONE_VM and CLONE_VFORK), as in posix_spawn, which knows no control groups.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::ptr;

use rustix::process::Pid;

/// Bytes of the child's stack: it calls nothing but system calls.
const STACK: usize = 64 << 10;

/// What becomes of the child.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// The program's path.
    pub(super) path: &'a CStr,
    /// Its arguments, its name first.
    pub(super) arguments: &'a [CString],
    /// What it has as descriptors 0, 1 and 2. They are above 2 here, see
    /// [`crate::boot`].
    pub(super) streams: [RawFd; 3],
    /// Descriptors it keeps.
    pub(super) kept: &'a [RawFd],
    /// Files it writes a `0` to: the control groups it joins.
    pub(super) doors: &'a [CString],
}

/// What parent and child share.
struct Shared<'a> {
    start: &'a Start<'a>,
    /// Ends in a null.
    arguments: Vec<*const c_char>,
    /// Why it did not become the program; 0: it did.
    errno: c_int,
}

/// Starts it with an empty environment in `/`, in a session of its own, with no signal
/// blocked and SIGPIPE at its default.
///
/// # Errors
/// The child's, where it could not become the program.
pub(super) fn start(start: &Start<'_>) -> io::Result<Pid> {
    let mut arguments: Vec<_> = start.arguments.iter().map(|word| word.as_ptr()).collect();
    arguments.push(ptr::null());
    let mut shared = Shared {
        start,
        arguments,
        errno: 0,
    };
    // Of 16 bytes each, which is what its end must be aligned to; the kernel gives pages
    // only where they are written to.
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK / size_of::<u128>());
    // No handler of the guest's may run in the child, in the guest's memory.
    let before = Signals::blocked()?;
    // SAFETY: the stack grows down from its end; it and `shared` outlive the child's use
    // of them, since CLONE_VFORK returns here only when the child has begun the program
    // or ended.
    let child = unsafe {
        libc::clone(
            become_program,
            stack.as_mut_ptr_range().end.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut shared).cast(),
        )
    };
    let cloned = match child {
        -1 => Err(io::Error::last_os_error()),
        child => Ok(child),
    };
    before.restore()?;
    let child = cloned?;
    // SAFETY: written by the child, which is done.
    match unsafe { (&raw const shared.errno).read_volatile() } {
        0 => Pid::from_raw(child).ok_or_else(|| io::Error::other("clone gave no process")),
        errno => {
            // SAFETY: a child of this process that has ended.
            unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

extern "C" fn become_program(argument: *mut c_void) -> c_int {
    // SAFETY: start() gives it, and stands still.
    let shared = unsafe { &mut *argument.cast::<Shared<'_>>() };
    // SAFETY: system calls on what start() keeps alive.
    if let Err(errno) = unsafe { go(shared.start, &shared.arguments) } {
        // SAFETY: as above.
        unsafe { (&raw mut shared.errno).write_volatile(errno) };
    }
    // SAFETY: ends the child alone.
    unsafe { libc::_exit(127) }
}

/// Returns only when it failed.
///
/// # Safety
/// In a child that shares the guest's memory: nothing is allocated here.
unsafe fn go(start: &Start<'_>, arguments: &[*const c_char]) -> Result<(), c_int> {
    // SAFETY: the paths end in a zero, the buffers are as long as is said, and what is
    // changed by the calls is the child's own.
    unsafe {
        for (number, stream) in (0..).zip(start.streams) {
            check(libc::dup2(stream, number))?;
        }
        check(libc::chdir(c"/".as_ptr()))?;
        for door in start.doors {
            let descriptor = check(libc::open(door.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
            // 0 is whoever writes it.
            match libc::write(descriptor, c"0".as_ptr().cast(), 1) {
                1 => {}
                0 => return Err(libc::EIO),
                _ => check(-1).map(drop)?,
            }
            libc::close(descriptor);
        }
        check(libc::setsid())?;
        for kept in start.kept {
            check(libc::fcntl(*kept, libc::F_SETFD, 0))?;
        }
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null_mut(),
        ))?;
        let environment = [ptr::null::<c_char>()];
        check(libc::execve(
            start.path.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
        ))?;
    }
    Ok(())
}

fn check(answer: c_int) -> Result<c_int, c_int> {
    match answer {
        // SAFETY: the calling thread's own errno.
        -1 => Err(unsafe { *libc::__errno_location() }),
        answer => Ok(answer),
    }
}

/// The signals that were blocked before.
struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks all.
    fn blocked() -> io::Result<Self> {
        // SAFETY: all zeros is a valid set, and the calls write to and read from sets.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
                0 => Ok(Self(before)),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    fn restore(&self) -> io::Result<()> {
        // SAFETY: the set was written by blocked().
        match unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut())
        } {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    /// What a script writes as descriptor 1, and its exit status.
    fn run(script: &str, doors: &[CString]) -> io::Result<(String, Option<i32>)> {
        let null = File::open("/dev/null")?;
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let arguments = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
        let child = start(&Start {
            path: c"/bin/sh",
            arguments: &arguments,
            streams: [null.as_raw_fd(), writer.as_raw_fd(), null.as_raw_fd()],
            kept: &[],
            doors,
        })?;
        drop(writer);
        let mut said = String::new();
        File::from(reader).read_to_string(&mut said)?;
        let (_, status) = waitpid(Some(child), WaitOptions::empty())?.unwrap();
        Ok((said, status.exit_status()))
    }

    #[test]
    fn the_program_stands_where_it_should() {
        let script = "pwd; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=; \
                      cut -d ' ' -f 6 /proc/$$/stat; echo $$; \
                      exec grep -E '^Sig(Blk|Ign)' /proc/self/status";
        let (said, status) = run(script, &[]).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "/");
        assert_eq!(lines[1], lines[2], "its session is its own: {said}");
        assert_eq!(lines[3], "SigBlk:\t0000000000000000");
        let ignored = lines[4].strip_prefix("SigIgn:\t").unwrap();
        // SIGPIPE is 13: the test's own process ignores it.
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1 << 12, 0);
        assert_eq!((lines.len(), status), (5, Some(0)));
        assert_eq!(run("exit 3", &[]).unwrap(), (String::new(), Some(3)));
    }

    #[test]
    fn doors_are_gone_through_first() {
        let folder = std::env::temp_dir().join(format!("matrix-spawn-{}", std::process::id()));
        std::fs::write(&folder, "").unwrap();
        let door = CString::new(folder.to_str().unwrap()).unwrap();
        let (said, _) = run(&format!("cat {}", folder.display()), &[door]).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(said, "0");
        let gone = CString::new("/nowhere/cgroup.procs").unwrap();
        let error = run("echo never", &[gone]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_program_is_an_error_and_leaves_no_child() {
        let null = File::open("/dev/null").unwrap();
        let error = start(&Start {
            path: c"/dev/null",
            arguments: &[],
            streams: [null.as_raw_fd(); 3],
            kept: &[],
            doors: &[],
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
