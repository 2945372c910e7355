//! What ELF files say of themselves: the kernel and CPU they need, what they load,
//! and which function an address belongs to.

mod page;
mod symbol;

use std::fmt;

use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, ELF_NOTE_OS_LINUX, EM_386, EM_X86_64, ET_DYN, ET_EXEC,
    FileHeader32, FileHeader64, GNU_PROPERTY_X86_ISA_1_NEEDED, NT_GNU_ABI_TAG, PF_X, PT_LOAD,
};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _, Sym as _};
use object::{Endianness, read};

pub use page::PageEntry;
pub use symbol::{Mapping, Symbol, symbol};

/// A file that begins as ELF does and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a damaged ELF file: {reason}")]
pub struct ElfError {
    /// What is wrong with it.
    pub reason: String,
}

impl From<read::Error> for ElfError {
    fn from(error: read::Error) -> Self {
        Self {
            reason: error.to_string(),
        }
    }
}

/// The machine a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// x86-64; x32 as well.
    X86_64,
    /// 32-bit x86.
    I386,
    /// Any other, by its number in the ELF header.
    Other(u16),
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86_64 => formatter.write_str("x86-64"),
            Self::I386 => formatter.write_str("32-bit x86"),
            // The commonest by name.
            Self::Other(40) => formatter.write_str("32-bit ARM"),
            Self::Other(183) => formatter.write_str("ARM64"),
            Self::Other(243) => formatter.write_str("RISC-V"),
            Self::Other(21) => formatter.write_str("PowerPC 64"),
            Self::Other(22) => formatter.write_str("S/390"),
            Self::Other(number) => write!(formatter, "ELF machine {number}"),
        }
    }
}

/// The kernel version of an ABI note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub [u32; 3]);

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

impl KernelVersion {
    /// The first three numbers of a release: `6.1.0-50-cloud-amd64` is 6.1.0.
    pub fn of_release(release: &str) -> Option<Self> {
        let head = release
            .split(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
            .next()?;
        let mut numbers = head.split('.').map(|digits| digits.parse().ok());
        let major = numbers.next()??;
        let mut next = || numbers.next().flatten().unwrap_or(0);
        Some(Self([major, next(), next()]))
    }
}

/// What an ELF program or library says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// Whose instructions it has.
    pub machine: Machine,
    /// Words of 32 bits.
    pub narrow: bool,
    /// It can be executed or loaded: no object file, no core.
    pub loadable: bool,
    /// PT_INTERP: the loader that the kernel starts in its place.
    pub interpreter: Option<String>,
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// DT_RUNPATH, or the older DT_RPATH.
    pub search_path: Option<String>,
    /// The least kernel by its NT_GNU_ABI_TAG.
    pub least_kernel: Option<KernelVersion>,
    /// The x86-64 level it needs by its GNU property, 1 to 4.
    pub level: Option<u8>,
    /// Entries of the vsyscall page that its code has the addresses of.
    pub page: Vec<PageEntry>,
    /// Functions it takes from libraries, of those that old C libraries carry out
    /// through the vsyscall page.
    pub time_calls: Vec<String>,
}

/// What old C libraries carry out through the page.
const TIME_CALLS: [&str; 3] = ["gettimeofday", "time", "sched_getcpu"];

impl Elf {
    /// Reads a file; none where it does not begin as ELF does.
    pub fn parse(bytes: &[u8]) -> Option<Result<Self, ElfError>> {
        const CLASS: usize = 4;
        const BITS_64: u8 = 2;
        if !bytes.starts_with(b"\x7fELF") {
            return None;
        }
        Some(match bytes.get(CLASS) {
            Some(&BITS_64) => read::<FileHeader64<Endianness>>(bytes),
            _ => read::<FileHeader32<Endianness>>(bytes),
        })
    }

    /// A dynamic program or a static one; a library where it has no interpreter.
    pub fn words(&self) -> String {
        let mut words = format!("{}", self.machine);
        match &self.interpreter {
            Some(interpreter) => words.push_str(&format!(", interpreter {interpreter}")),
            None if self.needed.is_empty() => words.push_str(", static"),
            None => {}
        }
        if let Some(least) = self.least_kernel {
            words.push_str(&format!(", for Linux {least} and later"));
        }
        if let Some(level) = self.level {
            words.push_str(&format!(", for x86-64-v{level}"));
        }
        words
    }
}

fn read<Header: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Elf, ElfError> {
    let file = ElfFile::<Header>::parse(bytes)?;
    let endian = file.endian();
    let header = file.elf_header();
    let machine = match header.e_machine(endian) {
        EM_X86_64 => Machine::X86_64,
        EM_386 => Machine::I386,
        other => Machine::Other(other.0),
    };
    let kind = header.e_type(endian);
    let mut elf = Elf {
        machine,
        narrow: !header.is_type_64(),
        loadable: kind == ET_EXEC || kind == ET_DYN,
        interpreter: None,
        needed: Vec::new(),
        search_path: None,
        least_kernel: None,
        level: None,
        page: Vec::new(),
        time_calls: Vec::new(),
    };
    for segment in file.elf_program_headers() {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            elf.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
        if let Some(mut notes) = segment.notes(endian, bytes)? {
            while let Some(note) = notes.next()? {
                if note.name() == b"GNU" && note.n_type(endian) == NT_GNU_ABI_TAG {
                    elf.least_kernel = elf.least_kernel.or(least_kernel(note.desc()));
                }
                let Some(mut properties) = note.gnu_properties(endian) else {
                    continue;
                };
                while let Some(property) = properties.next()? {
                    if property.pr_type() == GNU_PROPERTY_X86_ISA_1_NEEDED {
                        elf.level = level(property.data_u32(endian)?);
                    }
                }
            }
        }
        if segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_X) {
            // A segment that reaches past the file's end is loaded as far as it goes.
            if let Ok(code) = segment.data(endian, bytes) {
                page::find(code, &mut elf.page);
            }
        }
    }
    dynamic(&file, bytes, &mut elf)?;
    Ok(elf)
}

/// The dynamic section's words; a file stripped of its sections has none that can
/// be read here.
fn dynamic<Header: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Header>,
    bytes: &[u8],
    elf: &mut Elf,
) -> Result<(), ElfError> {
    let endian = file.endian();
    let table = file.elf_section_table().dynamic_table(endian, bytes)?;
    for entry in &table {
        let text = || {
            table
                .string(entry)
                .map(|text| String::from_utf8_lossy(text).into_owned())
        };
        match entry.tag {
            DT_NEEDED => elf.needed.push(text()?),
            DT_RUNPATH | DT_RPATH => elf.search_path = Some(text()?),
            _ => {}
        }
    }
    let symbols = file.elf_dynamic_symbol_table();
    for symbol in symbols.iter() {
        if !symbol.is_undefined(endian) {
            continue;
        }
        if let Ok(name) = symbol.name(endian, symbols.strings())
            && let Some(known) = TIME_CALLS.iter().find(|known| known.as_bytes() == name)
            && !elf.time_calls.iter().any(|call| call == known)
        {
            elf.time_calls.push((*known).to_owned());
        }
    }
    Ok(())
}

/// `u32 os, major, minor, patch`; the note is aligned by 4 in both classes, and
/// x86 has one order of bytes.
fn least_kernel(note: &[u8]) -> Option<KernelVersion> {
    let word = |index: usize| {
        let bytes = note.get(index * 4..index * 4 + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    (word(0)? == ELF_NOTE_OS_LINUX).then_some(())?;
    Some(KernelVersion([word(1)?, word(2)?, word(3)?]))
}

/// The highest level among the bits: baseline, v2, v3, v4.
fn level(bits: u32) -> Option<u8> {
    (1..=4).rev().find(|level| bits & 1 << (level - 1) != 0)
}

#[cfg(test)]
pub(crate) mod tests;
