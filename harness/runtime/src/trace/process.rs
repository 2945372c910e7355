//! ptrace(2), a request a function. A process that is gone meanwhile (it was
//! killed) answers ESRCH to all of them.

use std::ptr;

use rustix::io::Errno;

use super::call::Call;
use crate::descriptor::last_errno;

/// Not in every libc's headers: ptrace.h of Linux 5.3.
const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;

/// The longest path that is read, bytes.
const LONGEST_PATH: usize = 256;

/// i386 code runs in this segment.
const COMPAT_SEGMENT: u64 = 0x23;

/// What is followed from the program's start on.
pub(super) const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;

/// How a stopped process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Up to its next system call, with this signal; 0 for none.
    ToCall(libc::c_int),
    /// As it is, with this signal; 0 for none.
    Free(libc::c_int),
    /// It stays stopped, as its own job control wants it.
    Listen,
}

/// Where in a system call a process has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Entry,
    Exit,
}

/// The registers at a system call.
#[derive(Clone, Debug)]
pub(super) struct AtCall {
    pub(super) call: Call,
    /// What the call answered; on entry -ENOSYS, always.
    pub(super) answer: i64,
    /// As the kernel says (Linux 5.3).
    pub(super) phase: Option<Phase>,
}

/// A signal on its way.
#[derive(Clone, Debug)]
pub(super) struct Signalled {
    pub(super) code: i32,
    pub(super) address: Option<u64>,
    /// Of SIGSYS.
    pub(super) call: Option<(u64, bool)>,
}

fn request(
    request: libc::c_uint,
    process: libc::pid_t,
    address: usize,
    data: usize,
) -> Result<libc::c_long, Errno> {
    // SAFETY: the callers give what the request wants: a number, or a buffer of
    // at least the size the kernel writes.
    match unsafe { libc::ptrace(request, process, address, data) } {
        -1 => Err(last_errno()),
        answer => Ok(answer),
    }
}

/// Becomes the tracer of a process, which is not stopped by it; it will stop when
/// it executes a program.
pub(super) fn seize(process: libc::pid_t) -> Result<(), Errno> {
    let options = usize::try_from(libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_TRACESYSGOOD);
    request(libc::PTRACE_SEIZE, process, 0, options.unwrap_or(0)).map(drop)
}

/// Follows calls and children from here on.
pub(super) fn follow(process: libc::pid_t) -> Result<(), Errno> {
    let options = usize::try_from(OPTIONS).unwrap_or(0);
    request(libc::PTRACE_SETOPTIONS, process, 0, options).map(drop)
}

/// Lets a stopped process go on.
pub(super) fn resume(process: libc::pid_t, how: Resume) -> Result<(), Errno> {
    let (what, signal) = match how {
        Resume::ToCall(signal) => (libc::PTRACE_SYSCALL, signal),
        Resume::Free(signal) => (libc::PTRACE_CONT, signal),
        Resume::Listen => (libc::PTRACE_LISTEN, 0),
    };
    request(what, process, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

/// The number of the child a fork event is about; with an exec event, the one the
/// thread that called had before.
pub(super) fn event_message(process: libc::pid_t) -> Result<libc::pid_t, Errno> {
    let mut message: libc::c_ulong = 0;
    request(
        libc::PTRACE_GETEVENTMSG,
        process,
        0,
        &raw mut message as usize,
    )?;
    libc::pid_t::try_from(message).map_err(|_| Errno::RANGE)
}

fn registers(process: libc::pid_t) -> Result<libc::user_regs_struct, Errno> {
    // SAFETY: all zeroes are registers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    request(
        libc::PTRACE_GETREGS,
        process,
        0,
        &raw mut registers as usize,
    )?;
    Ok(registers)
}

/// The instruction pointer of a stopped process.
pub(super) fn instruction(process: libc::pid_t) -> Result<u64, Errno> {
    registers(process).map(|registers| registers.rip)
}

/// A process stopped at a system call.
pub(super) fn at_call(process: libc::pid_t) -> Result<AtCall, Errno> {
    let registers = registers(process)?;
    let compat = registers.cs == COMPAT_SEGMENT;
    let narrow = |value: u64| value & 0xffff_ffff;
    let (arguments, answer) = if compat {
        let order = [
            registers.rbx,
            registers.rcx,
            registers.rdx,
            registers.rsi,
            registers.rdi,
            registers.rbp,
        ];
        // The low half, with its sign.
        (order.map(narrow), i64::from(registers.rax as u32 as i32))
    } else {
        let order = [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ];
        (order, registers.rax.cast_signed())
    };
    Ok(AtCall {
        call: Call {
            number: narrow(registers.orig_rax),
            compat,
            arguments,
        },
        answer,
        phase: phase(process),
    })
}

/// None where the kernel does not say: before Linux 5.3.
fn phase(process: libc::pid_t) -> Option<Phase> {
    const SIZE: usize = 128;
    let mut info = [0_u8; SIZE];
    request(
        PTRACE_GET_SYSCALL_INFO,
        process,
        SIZE,
        info.as_mut_ptr() as usize,
    )
    .ok()?;
    // struct ptrace_syscall_info begins with its op.
    match info[0] {
        1 => Some(Phase::Entry),
        2 => Some(Phase::Exit),
        _ => None,
    }
}

/// What is known of the signal a process has stopped with.
pub(super) fn signal(process: libc::pid_t, number: i32) -> Result<Signalled, Errno> {
    // SAFETY: all zeroes are a siginfo.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETSIGINFO, process, 0, &raw mut info as usize)?;
    let from_kernel = info.si_code > 0;
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    // SAFETY: the kernel has filled in what these signals carry when it sent them.
    let address =
        (from_kernel && faults.contains(&number)).then(|| unsafe { info.si_addr() } as u64);
    let call = (from_kernel && number == libc::SIGSYS).then(|| refused_call(&info));
    Ok(Signalled {
        code: info.si_code,
        address,
        call,
    })
}

/// `struct { void *_call_addr; int _syscall; unsigned int _arch; }` behind
/// siginfo's head of 16 bytes; libc has no accessor for it.
fn refused_call(info: &libc::siginfo_t) -> (u64, bool) {
    const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    const NUMBER: usize = 24;
    const ARCHITECTURE: usize = 28;
    let base: *const u8 = ptr::from_ref(info).cast();
    let word = |offset: usize| {
        // SAFETY: a siginfo has 128 bytes, and any bytes are a u32.
        unsafe { base.add(offset).cast::<u32>().read_unaligned() }
    };
    (
        u64::from(word(NUMBER)),
        word(ARCHITECTURE) == AUDIT_ARCH_I386,
    )
}

/// The zero-terminated bytes at an address of a stopped process, at most
/// [`LONGEST_PATH`]; none where nothing is mapped there.
pub(super) fn text(process: libc::pid_t, address: u64) -> Option<String> {
    let mut bytes = Vec::new();
    let mut at = usize::try_from(address).ok()?;
    while bytes.len() < LONGEST_PATH {
        // PEEKDATA answers with the word, and -1 is one.
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = 0 };
        // SAFETY: reads the other process's memory and none of this one's.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA, process, at, 0) };
        // SAFETY: as above.
        if word == -1 && unsafe { *libc::__errno_location() } != 0 {
            return None;
        }
        let word = word.to_ne_bytes();
        match word.iter().position(|byte| *byte == 0) {
            Some(end) => {
                bytes.extend_from_slice(&word[..end]);
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            None => bytes.extend_from_slice(&word),
        }
        at = at.checked_add(word.len())?;
    }
    Some(format!("{}…", String::from_utf8_lossy(&bytes)))
}
