//! The kernel's lines about a process that faulted.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::cause::rule;

/// A page fault or a trap of a process, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    /// The whole line.
    pub(super) line: &'a str,
    /// comm, at most 15 bytes.
    pub(super) process: &'a str,
    /// PID, as seen from the initial namespace.
    pub(super) pid: &'a str,
    /// What it was.
    pub(super) kind: FaultKind,
    /// Where the instruction was.
    pub(super) instruction: u64,
    /// The file mapped there.
    pub(super) object: Option<Object<'a>>,
}

/// What a process did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// `segfault at …`.
    Page {
        /// The address it wanted.
        address: u64,
        /// x86's page fault error code.
        error: u64,
    },
    /// `general protection`.
    GeneralProtection,
    /// `invalid opcode`.
    InvalidOpcode,
}

/// `in NAME[START+SIZE]`, from 6.10 on `in NAME[OFFSET,START+SIZE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object<'a> {
    /// The file's name without its folder.
    pub(super) name: &'a str,
    /// Where the mapping begins.
    pub(super) start: u64,
    /// How long it is, bytes.
    pub(super) size: u64,
    /// The instruction's offset in the file, where it is told.
    pub(super) offset: Option<u64>,
}

/// `bash[2018]: segfault at 0 ip 000055… sp 00007f… error 6 in bash[55…+1000]`.
/// Kernels around 4.15 print a null pointer as `(null)`; before 2.6.26 the words were
/// `rip` and `rsp`.
static PAGE: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^(?P<process>.{1,15})\[(?P<pid>\d+)\]: segfault at (?P<address>[0-9a-f]+) r?ip +(?P<ip>\(null\)|[0-9a-f]+) r?sp +(?:\(null\)|[0-9a-f]+) error (?P<error>[0-9a-f]+)(?P<object> in .*)?",
    )
});

/// `traps: sh[7] trap invalid opcode ip:55… sp:7f… error:0 in sh[55…+1000]`; the
/// word `trap` is there before some of the names, `fault` after some, and
/// `traps: ` was not always there.
static TRAP: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^(?:traps: )?(?P<process>.{1,15})\[(?P<pid>\d+)\] (?:trap )?(?P<name>invalid opcode|general protection)(?: fault)? ip:(?P<ip>[0-9a-f]+) sp:[0-9a-f]+ error:[0-9a-f]+(?P<object> in .*)?",
    )
});

static OBJECT: LazyLock<Regex> = LazyLock::new(|| {
    rule(
        r"^ in (?P<name>.+?)\[(?:(?P<offset>[0-9a-f]+),)?(?P<start>[0-9a-f]+)\+(?P<size>[0-9a-f]+)\]",
    )
});

/// Reads a line without its time stamp; none where it tells of no fault.
pub(super) fn parse(line: &str) -> Option<Fault<'_>> {
    if let Some(found) = PAGE.captures(line) {
        let kind = FaultKind::Page {
            address: hexadecimal(found.name("address")?.as_str())?,
            error: hexadecimal(found.name("error")?.as_str())?,
        };
        return fault(line, &found, kind);
    }
    let found = TRAP.captures(line)?;
    let kind = match found.name("name")?.as_str() {
        "invalid opcode" => FaultKind::InvalidOpcode,
        _ => FaultKind::GeneralProtection,
    };
    fault(line, &found, kind)
}

fn fault<'a>(line: &'a str, found: &Captures<'a>, kind: FaultKind) -> Option<Fault<'a>> {
    let instruction = match found.name("ip")?.as_str() {
        "(null)" => 0,
        digits => hexadecimal(digits)?,
    };
    let object = found.name("object").and_then(|text| {
        let found = OBJECT.captures(text.as_str())?;
        Some(Object {
            name: found.name("name")?.as_str(),
            start: hexadecimal(found.name("start")?.as_str())?,
            size: hexadecimal(found.name("size")?.as_str())?,
            offset: match found.name("offset") {
                Some(digits) => Some(hexadecimal(digits.as_str())?),
                None => None,
            },
        })
    });
    Some(Fault {
        line,
        process: found.name("process")?.as_str(),
        pid: found.name("pid")?.as_str(),
        kind,
        instruction,
        object,
    })
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

impl Fault<'_> {
    /// Where the instruction was: ` in libc.so.6, 0x131 into its mapping`; empty
    /// where nothing is mapped there.
    pub(super) fn place(&self) -> String {
        match &self.object {
            None => String::new(),
            Some(Object {
                name,
                offset: Some(offset),
                ..
            }) => format!(" in {name}+{offset:#x}"),
            Some(Object { name, start, .. }) => match self.instruction.checked_sub(*start) {
                Some(into) => format!(" in {name}, {into:#x} into its mapping"),
                None => format!(" in {name}"),
            },
        }
    }
}

/// What an access of these error bits was: `a write to`.
pub(super) fn access(error: u64) -> &'static str {
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 4;
    if error & FETCH != 0 {
        "executing"
    } else if error & WRITE != 0 {
        "writing to"
    } else {
        "reading from"
    }
}

/// What stood in its way.
pub(super) fn obstacle(error: u64) -> &'static str {
    const PRESENT: u64 = 1 << 0;
    const RESERVED: u64 = 1 << 3;
    const PROTECTION_KEY: u64 = 1 << 5;
    const SHADOW_STACK: u64 = 1 << 6;
    if error & RESERVED != 0 {
        "whose page table has reserved bits set"
    } else if error & PROTECTION_KEY != 0 {
        "which a protection key forbids"
    } else if error & SHADOW_STACK != 0 {
        "against the rules of the shadow stack"
    } else if error & PRESENT != 0 {
        "which its protection forbids"
    } else {
        "where nothing is mapped"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_kernels_old_and_new() {
        let fault = parse(
            "bash[2018]: segfault at ffffffffff600400 ip ffffffffff600400 sp 00007ffc1d3e5d78 \
             error 15",
        )
        .unwrap();
        assert_eq!((fault.process, fault.pid), ("bash", "2018"));
        assert_eq!(
            fault.kind,
            FaultKind::Page {
                address: 0xffff_ffff_ff60_0400,
                error: 0x15
            }
        );
        assert_eq!(fault.object, None);

        let fault = parse(
            "a.out[77]: segfault at 0 ip 0000555555555131 sp 00007fffffffe0d0 error 6 in \
             a.out[555555555000+1000] likely on CPU 0 (core 0, socket 0)",
        )
        .unwrap();
        assert_eq!(fault.place(), " in a.out, 0x131 into its mapping");

        let fault = parse(
            "my prog[1][77]: segfault at 8 ip 00007f12ab3d1131 sp 00007fffffffe0d0 error 4 in \
             libc.so.6[28131,7f12ab3d0000+155000] likely on CPU 0 (core 0, socket 0)",
        )
        .unwrap();
        assert_eq!((fault.process, fault.pid), ("my prog[1]", "77"));
        assert_eq!(fault.place(), " in libc.so.6+0x28131");

        // RHEL 5's 2.6.18.
        let fault = parse(
            "fmg[6335]: segfault at 00000000ffffd2dc rip 00000000ffffd2dc rsp 00000000ffffd1bc \
             error 15",
        )
        .unwrap();
        assert_eq!(fault.instruction, 0xffff_d2dc);

        let fault =
            parse("x[9]: segfault at 0 ip           (null) sp 00007fffffffe0d0 error 14").unwrap();
        assert_eq!(fault.instruction, 0);
    }

    #[test]
    fn traps() {
        let fault =
            parse("traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]")
                .unwrap();
        assert_eq!(fault.kind, FaultKind::InvalidOpcode);
        assert_eq!(fault.place(), " in sh, 0x136 into its mapping");
        for line in [
            "traps: sh[7] general protection ip:401136 sp:7ffd error:0",
            "traps: sh[7] general protection fault ip:401136 sp:7ffd error:0 in sh[400000+1000]",
            "sh[7] general protection ip:401136 sp:7ffd error:0",
        ] {
            assert_eq!(
                parse(line).map(|fault| fault.kind),
                Some(FaultKind::GeneralProtection),
                "{line}"
            );
        }
    }

    #[test]
    fn lines_that_tell_of_no_fault() {
        for line in [
            "show_signal_msg: 12 callbacks suppressed",
            "bash[2018] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33",
            "audit: type=1701 audit(1.0:1): comm=\"bash\" exe=\"/bin/bash\" sig=11 res=1",
            "Code: 48 89 e5 b8 00 00 00 00 <c7> 00 01 00",
            "segfault at 0",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn error_bits_in_words() {
        for (error, words) in [
            (0x4, "reading from where nothing is mapped"),
            (0x5, "reading from which its protection forbids"),
            (0x6, "writing to where nothing is mapped"),
            (0x7, "writing to which its protection forbids"),
            (0x14, "executing where nothing is mapped"),
            (0x15, "executing which its protection forbids"),
            (0x25, "reading from which a protection key forbids"),
        ] {
            assert_eq!(format!("{} {}", access(error), obstacle(error)), words);
        }
    }
}
