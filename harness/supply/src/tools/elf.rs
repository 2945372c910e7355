//! What a program or library says it needs.

use std::path::Path;

use fs_err as fs;
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::FileHeader as _;

use super::ToolError;

/// What starts dynamic programs; the libc's package has it.
pub(super) const LOADER: &str = "ld-linux-x86-64.so.2";

/// The DT_NEEDED entries of an x86-64 ELF file.
pub(super) fn needed(path: &Path, tool: &'static str) -> Result<Vec<String>, ToolError> {
    let bytes = fs::read(path).map_err(|source| ToolError::Unpack { tool, source })?;
    parse(&bytes).map_err(|error| ToolError::Elf {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })
}

fn parse(bytes: &[u8]) -> object::read::Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let table = sections.dynamic_table(endian, bytes)?;
    let mut names = Vec::new();
    for entry in &table {
        if entry.tag == DT_NEEDED {
            names.push(String::from_utf8_lossy(table.string(entry)?).into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_needs_its_libc() {
        // This test itself is one.
        let own = std::env::current_exe().unwrap();
        let names = needed(&own, "test").unwrap();
        assert!(names.iter().any(|name| name == "libc.so.6"), "{names:?}");
    }

    #[test]
    fn what_is_no_elf_is_an_error() {
        assert!(parse(b"#!/bin/sh\n").is_err());
    }
}
