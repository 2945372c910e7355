//! Steps of a trace in words.

use std::fmt::Write as _;

use wire::{Step, Traced};

use crate::{errno, signal};

/// A step on a line, as strace would have it: `[77] openat("/dev/fuse") = EACCES`.
pub fn words(step: &Step) -> String {
    let mut line = format!("[{}] ", step.process);
    // Writing to a String cannot fail.
    let _ = match &step.what {
        Traced::Failed {
            call,
            arguments,
            errno,
        } => write!(line, "{call}({arguments}) = {}", errno::name(*errno)),
        Traced::Started { program } => write!(line, "started {program}"),
        Traced::Signal {
            signal,
            address,
            instruction,
            call,
            ..
        } => {
            let _ = write!(line, "{} at {instruction:#x}", name(*signal));
            match (call, address) {
                (Some(call), _) => write!(line, ": {call} is refused by seccomp"),
                (None, Some(address)) => write!(line, ", address {address:#x}"),
                (None, None) => Ok(()),
            }
        }
        Traced::Waits { call, arguments } => {
            write!(line, "{call}({arguments}) and nothing happens")
        }
        Traced::Exited { code } => write!(line, "exited with status {code}"),
        Traced::Killed { signal } => write!(line, "ended by {}", name(*signal)),
        Traced::Refused { errno } => {
            write!(line, "could not be traced: {}", errno::name(*errno))
        }
    };
    if step.times > 1 {
        let _ = write!(line, ", {} times", step.times);
    }
    line
}

fn name(number: i32) -> String {
    match u8::try_from(number) {
        Ok(number) => signal::name(number).into_owned(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_like_strace() {
        let step = |what, times| {
            words(&Step {
                process: 7,
                what,
                times,
            })
        };
        let failed = Traced::Failed {
            call: "openat".into(),
            arguments: "\"/dev/fuse\"".into(),
            errno: 13,
        };
        assert_eq!(
            step(failed, 3),
            "[7] openat(\"/dev/fuse\") = EACCES, 3 times"
        );
        let signal = |signal, call: Option<&str>| Traced::Signal {
            signal,
            code: 1,
            address: call.is_none().then_some(8),
            instruction: 0x1000,
            call: call.map(str::to_owned),
        };
        assert_eq!(
            step(signal(11, None), 1),
            "[7] SIGSEGV at 0x1000, address 0x8"
        );
        assert_eq!(
            step(signal(31, Some("getppid")), 1),
            "[7] SIGSYS at 0x1000: getppid is refused by seccomp"
        );
        assert_eq!(
            step(Traced::Killed { signal: 6 }, 1),
            "[7] ended by SIGABRT"
        );
    }
}
