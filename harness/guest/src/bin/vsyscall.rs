//! Calls into the vsyscall page, as userlands built against glibc 2.13 and
//! older do: `vsyscall time`, `gettimeofday`, `getcpu`; `vsyscall read` reads a
//! byte of the page.
//!
//! It exits with 0 where the kernel answers and is ended by SIGSEGV where it
//! does not. No libc function stands between: the call is made at the page's
//! fixed address.

use std::arch::asm;
use std::process::ExitCode;

/// Where x86-64 kernels have kept the page since 2.6.
const PAGE: usize = 0xffff_ffff_ff60_0000;

/// gettimeofday, time and getcpu: one kilobyte apart.
const GETTIMEOFDAY: usize = PAGE;
const TIME: usize = PAGE + 0x400;
const GETCPU: usize = PAGE + 0x800;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = match words.as_slice() {
        ["time"] => time(),
        ["gettimeofday"] => gettimeofday(),
        ["getcpu"] => getcpu(),
        ["read"] => Ok(read()),
        _ => Err("usage: vsyscall time|gettimeofday|getcpu|read".to_owned()),
    };
    // The two streams are what this program is for.
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "a command's output"
    )]
    match said {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("vsyscall: {line}");
            ExitCode::FAILURE
        }
    }
}

/// `mov $ADDRESS, %rax; call *%rax`, which is what glibc 2.12's time() is.
///
/// # Safety
/// The arguments are what the entry at `entry` expects.
unsafe fn call(entry: usize, first: usize, second: usize, third: usize) -> i64 {
    let result: i64;
    // SAFETY: the three entries follow the C calling convention and use no
    // stack beyond the return address; the caller vouches for the arguments.
    unsafe {
        asm!(
            "call rax",
            inlateout("rax") entry => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            clobber_abi("C"),
        );
    }
    result
}

/// Seconds since 1970.
fn time() -> Result<String, String> {
    // SAFETY: a null pointer is allowed: the time is returned.
    let seconds = unsafe { call(TIME, 0, 0, 0) };
    close_to_the_clock(seconds)?;
    Ok(seconds.to_string())
}

/// Seconds and microseconds since 1970.
fn gettimeofday() -> Result<String, String> {
    let mut value = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: the first argument points to a timeval, the second may be null.
    let result = unsafe { call(GETTIMEOFDAY, &raw mut value as usize, 0, 0) };
    if result != 0 {
        return Err(format!("gettimeofday answered {result}"));
    }
    close_to_the_clock(value.tv_sec)?;
    Ok(format!("{}.{:06}", value.tv_sec, value.tv_usec))
}

/// The CPU this runs on.
fn getcpu() -> Result<String, String> {
    let mut cpu: u32 = u32::MAX;
    let mut node: u32 = u32::MAX;
    // SAFETY: two pointers to u32, the third may be null.
    let result = unsafe { call(GETCPU, &raw mut cpu as usize, &raw mut node as usize, 0) };
    if result != 0 || cpu == u32::MAX {
        return Err(format!("getcpu answered {result}"));
    }
    Ok(format!("cpu {cpu} node {node}"))
}

/// A byte of the page. Under `vsyscall=xonly` calls work and this does not.
fn read() -> String {
    let page: *const u8 = std::ptr::with_exposed_provenance(PAGE);
    // SAFETY: on purpose none: whether the address can be read is the question,
    // and SIGSEGV the answer no.
    let byte = unsafe { page.read_volatile() };
    format!("{byte:#04x}")
}

/// An answer that is no time is no answer.
fn close_to_the_clock(seconds: i64) -> Result<(), String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let now = i64::try_from(now.as_secs()).map_err(|error| error.to_string())?;
    if (now - seconds).abs() <= 2 {
        Ok(())
    } else {
        Err(format!("the page says {seconds}, the clock {now}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_far_from_the_clock_is_no_answer() {
        assert!(close_to_the_clock(0).is_err());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(close_to_the_clock(now.as_secs().cast_signed()), Ok(()));
    }
}
