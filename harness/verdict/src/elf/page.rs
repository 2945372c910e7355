//! Addresses of the vsyscall page in code.
//!
//! C libraries up to glibc 2.13 call its entries by absolute address, which stands
//! in the code: `mov $0xffffffffff600400,%rax; call *%rax`. An address that is
//! compared with, as profilers and unwinders do, is no call.

use std::fmt;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// A function of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageEntry {
    /// At 0xffffffffff600000.
    GetTimeOfDay,
    /// At 0xffffffffff600400.
    Time,
    /// At 0xffffffffff600800.
    GetCpu,
}

impl PageEntry {
    /// The C functions that old C libraries carry out through it.
    pub fn functions(self) -> &'static [&'static str] {
        match self {
            Self::GetTimeOfDay => &["gettimeofday"],
            Self::Time => &["time"],
            Self::GetCpu => &["sched_getcpu"],
        }
    }
}

impl fmt::Display for PageEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GetTimeOfDay => "gettimeofday",
            Self::Time => "time",
            Self::GetCpu => "getcpu",
        })
    }
}

/// `REX.W mov $imm32,%reg`, the immediate extended by its sign, and `REX.W mov
/// $imm64,%reg`, with one of the three addresses.
static MOVED: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and used by a test"
    )]
    Regex::new(
        r"(?s-u)[\x48\x49](?:\xc7[\xc0-\xc7]\x00([\x00\x04\x08])\x60\xff|[\xb8-\xbf]\x00([\x00\x04\x08])\x60\xff{5})",
    )
    .expect("a pattern of ours is a regular expression")
});

/// Adds the entries whose address is moved into a register in this code.
pub(super) fn find(code: &[u8], found: &mut Vec<PageEntry>) {
    for moved in MOVED.captures_iter(code) {
        let second = moved
            .get(1)
            .or(moved.get(2))
            .and_then(|byte| byte.as_bytes().first());
        let entry = match second {
            Some(0x00) => PageEntry::GetTimeOfDay,
            Some(0x04) => PageEntry::Time,
            _ => PageEntry::GetCpu,
        };
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    found.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(code: &[u8]) -> Vec<PageEntry> {
        let mut found = Vec::new();
        find(code, &mut found);
        found
    }

    #[test]
    fn moves_are_calls_and_comparisons_are_not() {
        // As objdump shows eglibc 2.13's time(): mov $0xffffffffff600400,%rax.
        let time = [0x90, 0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0];
        assert_eq!(entries(&time), [PageEntry::Time]);
        let wide = [0x48, 0xb8, 0x00, 0x08, 0x60, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(entries(&wide), [PageEntry::GetCpu]);
        // cmp $0xffffffffff600000,%rax; the same four bytes by chance.
        for code in [
            &[0x48, 0x3d, 0x00, 0x00, 0x60, 0xff][..],
            &[0x00, 0x00, 0x60, 0xff],
            &[0x48, 0xb8, 0x00, 0x08, 0x60, 0xff, 0x00, 0x00, 0x00, 0x00],
        ] {
            assert_eq!(entries(code), []);
        }
    }
}
