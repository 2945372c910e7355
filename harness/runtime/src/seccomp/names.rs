//! Names of system calls to their numbers.

use std::str::FromStr;

use oci_spec::runtime::Arch;
use syscalls::{x86, x86_64};

/// What a process's calls are numbered by. x32 shares x86-64's AUDIT_ARCH and
/// sets a bit in the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// x86-64.
    X86_64,
    /// x86-64 with 32-bit pointers.
    X32,
    /// i386.
    X86,
}

/// __X32_SYSCALL_BIT.
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Table {
    /// None for an architecture no process here can have.
    pub(super) fn of(architecture: Arch) -> Option<Self> {
        match architecture {
            Arch::ScmpArchNative | Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchX86 => Some(Self::X86),
            _ => None,
        }
    }

    /// The number of the call `name`, if there is one.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let wide = || {
            x86_64::Sysno::from_str(name)
                .ok()
                .and_then(|call| u32::try_from(call.id()).ok())
        };
        match self {
            Self::X86_64 => wide(),
            Self::X32 => wide().map(|number| number | X32_BIT),
            Self::X86 => x86::Sysno::from_str(name)
                .ok()
                .and_then(|call| u32::try_from(call.id()).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (table, name, number) in [
            (Table::X86_64, "execve", Some(59)),
            (Table::X86_64, "clone3", Some(435)),
            (Table::X32, "read", Some(0x4000_0000)),
            (Table::X86, "execve", Some(11)),
            (Table::X86, "socketcall", Some(102)),
            (Table::X86_64, "socketcall", None),
            (Table::X86, "no_such_call", None),
        ] {
            assert_eq!(table.number(name), number, "{table:?} {name}");
        }
        let ours = x86_64::Sysno::openat2.id();
        assert_eq!(i64::from(ours), libc::SYS_openat2);
    }
}
