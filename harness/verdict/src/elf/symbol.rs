//! From an instruction's address to the function it is in.

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64, PF_X, PT_LOAD, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader as _, Sym as _, SymbolTable};

use super::ElfError;

const PAGE: u64 = 4096;

/// What the kernel's log tells of a mapping and of a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Bytes from the mapping's start to the instruction.
    pub into: u64,
    /// The mapping's length, bytes.
    pub size: u64,
    /// The instruction's offset in the file, which kernels from 6.10 on tell.
    pub offset: Option<u64>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name, without a version.
    pub name: String,
    /// Bytes from its start.
    pub into: u64,
}

/// The function an instruction is in. None where no symbol covers it: the tables
/// that are left in a stripped file have what is exported only.
///
/// # Errors
/// When the file is damaged.
pub fn symbol(bytes: &[u8], mapping: Mapping) -> Result<Option<Symbol>, ElfError> {
    const CLASS: usize = 4;
    match bytes.get(CLASS) {
        Some(2) => find::<FileHeader64<Endianness>>(bytes, mapping),
        _ => find::<FileHeader32<Endianness>>(bytes, mapping),
    }
}

fn find<Header: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
    mapping: Mapping,
) -> Result<Option<Symbol>, ElfError> {
    let file = ElfFile::<Header>::parse(bytes)?;
    let Some(address) = address(&file, mapping) else {
        return Ok(None);
    };
    let full = covering(&file, file.elf_symbol_table(), address);
    Ok(full.or_else(|| covering(&file, file.elf_dynamic_symbol_table(), address)))
}

/// The address the file itself gives the instruction.
fn address<Header: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Header>,
    mapping: Mapping,
) -> Option<u64> {
    let endian = file.endian();
    let executable = file.elf_program_headers().iter().filter(|segment| {
        segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_X)
    });
    let mut found = executable.filter_map(|segment| {
        let start: u64 = segment.p_vaddr(endian).into();
        let (offset, length) = segment.file_range(endian);
        match mapping.offset {
            Some(told) => {
                let into = told.checked_sub(offset)?;
                (into < length).then(|| start + into)
            }
            None => {
                // The kernel maps whole pages.
                let first = start / PAGE * PAGE;
                let end = (start + length).div_ceil(PAGE) * PAGE;
                (end - first == mapping.size).then(|| first + mapping.into)
            }
        }
    });
    let first = found.next();
    // Two that fit say nothing.
    if found.next().is_some() { None } else { first }
}

fn covering<Header: FileHeader<Endian = Endianness>>(
    file: &ElfFile<'_, Header>,
    table: &SymbolTable<'_, Header>,
    address: u64,
) -> Option<Symbol> {
    let endian = file.endian();
    let functions = table.iter().filter(|symbol| {
        matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC) && !symbol.is_undefined(endian)
    });
    let (symbol, into) = functions
        .filter_map(|symbol| {
            let start: u64 = symbol.st_value(endian).into();
            let size: u64 = symbol.st_size(endian).into();
            let into = address.checked_sub(start)?;
            (into < size).then_some((symbol, into))
        })
        // Of those that lie in one another the innermost.
        .min_by_key(|(_, into)| *into)?;
    let name = symbol.name(endian, table.strings()).ok()?;
    Some(Symbol {
        name: String::from_utf8_lossy(name).into_owned(),
        into,
    })
}
