//! Rules for devices as a BPF program, which the kernel runs for each access to
//! a device node by a process of the group (`BPF_PROG_TYPE_CGROUP_DEVICE`,
//! Linux 4.15).
//!
//! Version 2 has no files for devices. The program is attached beside what the
//! groups above have: all of them must allow.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::rules::{Access, Rules};
use crate::descriptor::last_errno;
use crate::failure::Failure;

/// What a kernel lacks that does not know such programs.
const LACKING: &str = "device control in cgroup v2 (Linux 4.15, CONFIG_CGROUP_BPF)";

/// The kernel's `struct bpf_insn`, on a little-endian machine.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// BPF_LDX | BPF_MEM | BPF_W.
const LOAD: u8 = 0x61;
/// BPF_ALU (32 bits, the upper half becomes zero) with an immediate.
const MOVE: u8 = 0xb4;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
/// BPF_ALU | BPF_MOV | BPF_X.
const COPY: u8 = 0xbc;
/// BPF_JMP with an immediate.
const IF_EQUAL: u8 = 0x15;
const IF_OTHER: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The answer, and the context at the beginning.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
/// After the loads the context's register is free.
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const fn step(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

/// The context is `struct bpf_cgroup_dev_ctx`: access (upper half) and kind
/// (lower half), major, minor.
pub(crate) fn assemble(rules: &Rules) -> Vec<Instruction> {
    let mut program = vec![
        step(LOAD, KIND, CONTEXT, 0, 0),
        step(COPY, ACCESS, KIND, 0, 0),
        step(AND, KIND, 0, 0, 0xffff),
        step(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        step(LOAD, MAJOR, CONTEXT, 4, 0),
        step(LOAD, MINOR, CONTEXT, 8, 0),
    ];
    let default = i32::from(rules.allowed_by_default);
    for (devices, access) in &rules.exceptions {
        let mut tests = vec![(KIND, IF_OTHER, devices.kind as i32)];
        for (register, number) in [(MAJOR, devices.major), (MINOR, devices.minor)] {
            tests.extend(number.map(|number| (register, IF_OTHER, number.cast_signed())));
        }
        let mut exception = Vec::new();
        // What an exception allows it must allow whole; what it denies may be
        // any part of what is asked for.
        if rules.allowed_by_default {
            exception.push(step(COPY, SCRATCH, ACCESS, 0, 0));
            exception.push(step(AND, SCRATCH, 0, 0, i32::from(access.0)));
            tests.push((SCRATCH, IF_EQUAL, 0));
        } else if *access != Access::ALL {
            exception.push(step(COPY, SCRATCH, ACCESS, 0, 0));
            exception.push(step(
                AND,
                SCRATCH,
                0,
                0,
                i32::from(Access::ALL.0 & !access.0),
            ));
            tests.push((SCRATCH, IF_OTHER, 0));
        }
        // Each test that fails leads past the two instructions of the answer.
        let mut ahead = i16::try_from(tests.len()).unwrap_or(i16::MAX) + 1;
        for (register, code, number) in tests {
            exception.push(step(code, register, 0, ahead, number));
            ahead -= 1;
        }
        exception.push(step(MOVE, ANSWER, 0, 0, 1 - default));
        exception.push(step(EXIT, 0, 0, 0, 0));
        program.extend(exception);
    }
    program.push(step(MOVE, ANSWER, 0, 0, default));
    program.push(step(EXIT, 0, 0, 0, 0));
    program
}

/// `union bpf_attr` for BPF_PROG_LOAD, as far as Linux 4.15 has it.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The same for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Attaches `program` to a group; it goes with it.
pub(super) fn attach(program: &[Instruction], group: &File, folder: &Path) -> Result<(), Failure> {
    let loaded = load(program).map_err(|errno| refused(errno, "load", folder))?;
    let descriptor = |number: RawFd| number.cast_unsigned();
    let attributes = Attach {
        target: descriptor(group.as_raw_fd()),
        program: descriptor(loaded.as_raw_fd()),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attributes)
        .map(drop)
        .map_err(|errno| refused(errno, "attach", folder))
}

/// ENOSYS without CONFIG_BPF_SYSCALL, EINVAL where the kind of program or of
/// attachment is unknown.
fn refused(errno: Errno, verb: &str, folder: &Path) -> Failure {
    match errno {
        Errno::NOSYS | Errno::INVAL => Failure::Unsupported {
            what: LACKING.to_owned(),
        },
        errno => Failure::System {
            step: format!("{verb} the program for devices of {}", folder.display()),
            errno,
        },
    }
}

fn load(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let license = c"Apache-2.0";
    let attributes = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_range| Errno::TOOBIG)?,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let answer = match bpf(BPF_PROG_LOAD, &attributes) {
        // Before Linux 5.11 a program counts against the memory its user may
        // lock, all users' programs together. The container's first process has
        // been forked or will set its own limits: this is the runtime's.
        Err(Errno::PERM) => {
            let unlimited = Rlimit {
                current: None,
                maximum: None,
            };
            setrlimit(Resource::Memlock, unlimited)?;
            bpf(BPF_PROG_LOAD, &attributes)?
        }
        answer => answer?,
    };
    // SAFETY: BPF_PROG_LOAD gives a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> Result<RawFd, Errno> {
    // SAFETY: the kernel reads as many bytes of the attributes as it is told
    // there are, and the memory they point to, which outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    match RawFd::try_from(answer) {
        Ok(answer @ 0..) => Ok(answer),
        _ => Err(last_errno()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rules::Kind;
    use super::super::rules::tests::parsed;
    use super::*;

    /// What the kernel's interpreter would answer.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: Access) -> u64 {
        let context = [u32::from(access.0) << 16 | kind as u32, major, minor];
        let mut registers = [0_u64; 11];
        let mut at = 0_usize;
        loop {
            let Instruction {
                code,
                registers: pair,
                offset,
                immediate,
            } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let number = u64::from(immediate.cast_unsigned());
            at += 1;
            let jump = |taken: bool| {
                if taken {
                    usize::try_from(offset).unwrap()
                } else {
                    0
                }
            };
            match code {
                LOAD => {
                    assert_eq!(from, 1, "loads are from the context");
                    registers[to] = u64::from(context[usize::try_from(offset).unwrap() / 4]);
                }
                MOVE => registers[to] = number,
                AND => registers[to] &= number,
                SHIFT_RIGHT => registers[to] >>= number,
                COPY => registers[to] = registers[from],
                IF_EQUAL => at += jump(registers[to] == number),
                IF_OTHER => at += jump(registers[to] != number),
                EXIT => return registers[0],
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_answers_as_version_1_would() {
        for rules in [
            json!([{"allow": false}]),
            json!([{"allow": true}]),
            json!([
                {"allow": false},
                {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
                {"allow": true, "type": "c", "major": 1, "minor": 5},
                {"allow": true, "type": "b", "major": 8},
                {"allow": true, "type": "c", "minor": 7, "access": "r"},
            ]),
            json!([
                {"allow": true},
                {"allow": false, "type": "c", "major": 1, "minor": 3, "access": "w"},
                {"allow": false, "type": "b", "access": "rw"},
                {"allow": false, "type": "c", "major": 5},
            ]),
        ] {
            let rules = parsed(rules).unwrap();
            let program = assemble(&rules);
            for kind in [Kind::Block, Kind::Char] {
                for major in [0, 1, 5, 8, 4095] {
                    for minor in [0, 3, 5, 7, 0xf_ffff] {
                        for access in (1..8).map(Access) {
                            let answer = run(&program, kind, major, minor, access);
                            let wanted = rules.allows(kind, major, minor, access);
                            assert_eq!(
                                answer,
                                u64::from(wanted),
                                "{kind:?} {major}:{minor} {access} under {rules:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// The kernel's own sizes.
    #[test]
    fn structures_are_the_kernels() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!(size_of::<Load>(), 48);
        assert_eq!(size_of::<Attach>(), 16);
    }
}
