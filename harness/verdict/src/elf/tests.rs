//! ELF files made here, as small as they may be.

use super::*;

/// What a made file is to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) machine: u16,
    pub(crate) narrow: bool,
    pub(crate) interpreter: Option<&'static str>,
    pub(crate) least_kernel: Option<[u32; 3]>,
    /// Bits of GNU_PROPERTY_X86_ISA_1_NEEDED.
    pub(crate) level: Option<u32>,
    pub(crate) code: Vec<u8>,
}

impl Made {
    pub(crate) fn x86_64() -> Self {
        Self {
            machine: 62,
            ..Self::default()
        }
    }

    pub(crate) fn i386() -> Self {
        Self {
            machine: 3,
            narrow: true,
            ..Self::default()
        }
    }

    /// The file: a header, program headers, and what they name.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut parts: Vec<(u32, u32, Vec<u8>)> = Vec::new();
        const LOAD: u32 = 1;
        const INTERP: u32 = 3;
        const NOTE: u32 = 4;
        if let Some(path) = self.interpreter {
            parts.push((INTERP, 4, [path.as_bytes(), &[0]].concat()));
        }
        if let Some(version) = self.least_kernel {
            let words: Vec<u8> = [&[0], &version[..]]
                .concat()
                .iter()
                .flat_map(|word: &u32| word.to_le_bytes())
                .collect();
            parts.push((NOTE, 4, note(1, &words)));
        }
        if let Some(bits) = self.level {
            let mut words: Vec<u8> = [0xc000_8002_u32, 4, bits]
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            words.extend([0; 4]);
            parts.push((NOTE, 8, note(5, &words)));
        }
        parts.push((LOAD, 5, self.code.clone()));
        if self.narrow {
            self.narrow_bytes(&parts)
        } else {
            self.wide_bytes(&parts)
        }
    }

    fn wide_bytes(&self, parts: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
        let (head, entry) = (64_u64, 56_u64);
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(2_u16.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(head.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(64_u16.to_le_bytes());
        file.extend(56_u16.to_le_bytes());
        file.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
        file.extend([0; 6]);
        let mut offset = head + entry * parts.len() as u64;
        for (kind, flags, bytes) in parts {
            offset = offset.next_multiple_of(8);
            let align: u64 = if *flags == 8 { 8 } else { 4 };
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            for word in [
                offset,
                offset,
                offset,
                bytes.len() as u64,
                bytes.len() as u64,
                align,
            ] {
                file.extend(word.to_le_bytes());
            }
            offset += bytes.len() as u64;
        }
        place(&mut file, parts);
        file
    }

    fn narrow_bytes(&self, parts: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
        let (head, entry) = (52_u32, 32_u32);
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(2_u16.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(head.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        file.extend(52_u16.to_le_bytes());
        file.extend(32_u16.to_le_bytes());
        file.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
        file.extend([0; 6]);
        let mut offset = head + entry * u32::try_from(parts.len()).unwrap();
        for (kind, flags, bytes) in parts {
            offset = offset.next_multiple_of(8);
            let length = u32::try_from(bytes.len()).unwrap();
            for word in [*kind, offset, offset, offset, length, length, *flags, 4] {
                file.extend(word.to_le_bytes());
            }
            offset += length;
        }
        place(&mut file, parts);
        file
    }
}

fn place(file: &mut Vec<u8>, parts: &[(u32, u32, Vec<u8>)]) {
    for (_, _, bytes) in parts {
        file.resize(file.len().next_multiple_of(8), 0);
        file.extend(bytes);
    }
}

fn note(kind: u32, words: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    note.extend(4_u32.to_le_bytes());
    note.extend(u32::try_from(words.len()).unwrap().to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(b"GNU\0");
    note.extend(words);
    note
}

fn parsed(made: &Made) -> Elf {
    Elf::parse(&made.bytes()).unwrap().unwrap()
}

#[test]
fn notes_and_the_interpreter_are_read() {
    let elf = parsed(&Made {
        interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
        least_kernel: Some([3, 2, 0]),
        level: Some(0b111),
        ..Made::x86_64()
    });
    assert_eq!(elf.machine, Machine::X86_64);
    assert!(!elf.narrow && elf.loadable);
    assert_eq!(
        elf.words(),
        "x86-64, interpreter /lib64/ld-linux-x86-64.so.2, for Linux 3.2.0 and later, for x86-64-v3"
    );
    let narrow = parsed(&Made {
        least_kernel: Some([2, 6, 32]),
        ..Made::i386()
    });
    assert!(narrow.narrow);
    assert_eq!(
        narrow.words(),
        "32-bit x86, static, for Linux 2.6.32 and later"
    );
    let other = parsed(&Made {
        machine: 183,
        ..Made::x86_64()
    });
    assert_eq!(other.words(), "ARM64, static");
}

#[test]
fn what_is_no_elf_is_told_from_a_damaged_one() {
    assert_eq!(Elf::parse(b"#!/bin/sh\n"), None);
    assert!(matches!(Elf::parse(b"\x7fELF\x02\x01\x01"), Some(Err(_))));
    let mut cut = Made::x86_64().bytes();
    cut.truncate(70);
    assert!(matches!(Elf::parse(&cut), Some(Err(_))));
}

#[test]
fn this_test_program_is_known_to_itself() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Elf::parse(&bytes).unwrap().unwrap();
    assert_eq!(elf.machine, Machine::X86_64);
    assert!(elf.page.is_empty(), "{:?}", elf.page);
}

#[test]
fn versions_of_releases() {
    for (release, version) in [
        ("6.1.0-50-cloud-amd64", Some([6, 1, 0])),
        ("3.10.0-1160.el7.x86_64", Some([3, 10, 0])),
        ("7.3-rc1", Some([7, 3, 0])),
        ("next", None),
    ] {
        assert_eq!(KernelVersion::of_release(release).map(|it| it.0), version);
    }
}
