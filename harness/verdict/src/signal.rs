//! Signals by name and number, as x86-64 Linux numbers them.

use std::borrow::Cow;

/// signal(7)'s standard signals, from 1.
const STANDARD: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Other names the headers give to some of them.
const ALIASES: [(&str, u8); 4] = [
    ("SIGIOT", 6),
    ("SIGCLD", 17),
    ("SIGPOLL", 29),
    ("SIGUNUSED", 31),
];

/// The first real-time signal as glibc counts: the kernel's own first two, 32
/// and 33, are taken by its threads.
const REALTIME_FIRST: u8 = 34;
const REALTIME_LAST: u8 = 64;

/// The largest number a wait status has room for.
pub(crate) const LARGEST: u8 = 127;

/// SIGILL.
pub const ILL: u8 = 4;
/// SIGKILL.
pub const KILL: u8 = 9;
/// SIGABRT.
pub const ABRT: u8 = 6;
/// SIGSEGV.
pub const SEGV: u8 = 11;
/// SIGSYS.
pub const SYS: u8 = 31;

/// A signal's name: `SIGSEGV`, `SIGRTMIN+3`; `SIG32` for a number that has none.
pub fn name(number: u8) -> Cow<'static, str> {
    match number {
        REALTIME_FIRST => Cow::Borrowed("SIGRTMIN"),
        REALTIME_LAST => Cow::Borrowed("SIGRTMAX"),
        35..REALTIME_LAST => Cow::Owned(format!("SIGRTMIN+{}", number - REALTIME_FIRST)),
        _ => match STANDARD.get(usize::from(number).wrapping_sub(1)) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("SIG{number}")),
        },
    }
}

/// The number of a signal by its name, aliases and `SIGRTMAX-1` included.
pub fn number(name: &str) -> Option<u8> {
    if let Some(index) = STANDARD.iter().position(|standard| *standard == name) {
        return u8::try_from(index + 1).ok();
    }
    if let Some((_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(*number);
    }
    let rest = name.strip_prefix("SIG")?;
    let number = if let Some(offset) = rest.strip_prefix("RTMIN") {
        REALTIME_FIRST.checked_add(distance(offset, '+')?)?
    } else if let Some(offset) = rest.strip_prefix("RTMAX") {
        REALTIME_LAST.checked_sub(distance(offset, '-')?)?
    } else {
        let number = digits(rest)?;
        return (1..=LARGEST).contains(&number).then_some(number);
    };
    (REALTIME_FIRST..=REALTIME_LAST)
        .contains(&number)
        .then_some(number)
}

/// `` is 0, `+3` is 3.
fn distance(text: &str, sign: char) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    digits(text.strip_prefix(sign)?)
}

/// Decimal digits and nothing else: `u8::from_str` would take a `+`.
fn digits(text: &str) -> Option<u8> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// The names a person would write, for suggestions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STANDARD
        .into_iter()
        .chain(["SIGRTMIN", "SIGRTMAX"])
        .chain(ALIASES.into_iter().map(|(alias, _)| alias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_a_wait_status_can_hold_has_a_name_that_leads_back() {
        for signal in 1..=LARGEST {
            assert_eq!(number(&name(signal)), Some(signal), "{}", name(signal));
        }
    }

    #[test]
    fn names_are_those_of_signal_7() {
        for (signal, expected) in [
            (1, "SIGHUP"),
            (4, "SIGILL"),
            (7, "SIGBUS"),
            (9, "SIGKILL"),
            (11, "SIGSEGV"),
            (16, "SIGSTKFLT"),
            (31, "SIGSYS"),
            (32, "SIG32"),
            (34, "SIGRTMIN"),
            (37, "SIGRTMIN+3"),
            (64, "SIGRTMAX"),
        ] {
            assert_eq!(name(signal), expected);
        }
        assert_eq!(number("SIGRTMAX-1"), Some(63));
        assert_eq!(number("SIGIOT"), Some(6));
    }

    #[test]
    fn what_is_no_signal_has_no_number() {
        for no in [
            "SEGV",
            "sigsegv",
            "SIG",
            "SIG0",
            "SIG128",
            "SIG+9",
            "SIGRTMIN+31",
            "SIGRTMIN-1",
            "SIGRTMAX-31",
            "SIGRTMIN+",
            "",
        ] {
            assert_eq!(number(no), None, "{no}");
        }
    }
}
