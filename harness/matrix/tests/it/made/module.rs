//! Kernel modules that do harm: no kernel whose configuration was looked at has LKDTM
//! or TEST_LOCKUP, and building a module takes the kernel's headers.
//!
//! A small module of the kernel's own package is taken, and the beginning of its
//! initialisation is written over with a few bytes of machine code; the relocations
//! that fall into them become none. What the kernel itself patches at load lies
//! before them: `endbr64`, and the call of `__fentry__`. The signature goes, since a
//! wrong one is refused where none is only a taint.

use std::path::Path;

use object::elf::{R_X86_64_NONE, Rela64};
use object::{LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, pod};

/// What stands in for `register_nls`: long enough in every kernel, without an import
/// of its own that another module would have to give.
const NAME: &str = "nls_utf8";

/// What a module does while the kernel initialises it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// Writes to address 0.
    Oops,
    /// Keeps the CPU for four to five times 2³² ticks of its clock, some seconds,
    /// and comes to an end.
    Spin,
    /// The same with interrupts turned off.
    Deaf,
    /// Keeps the CPU for ever.
    Wedged,
    /// Turns interrupts off before it does.
    Dead,
}

impl Harm {
    /// The file's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Oops => "oops",
            Self::Spin => "spin",
            Self::Deaf => "deaf",
            Self::Wedged => "wedged",
            Self::Dead => "dead",
        }
    }

    fn code(self) -> &'static [u8] {
        match self {
            // xor %eax,%eax; mov %eax,(%rax)
            Self::Oops => b"\x31\xc0\x89\x00",
            // rdtsc; mov %edx,%ecx; add $5,%ecx; again: rdtsc; cmp %ecx,%edx; jl again;
            // xor %eax,%eax; ret
            Self::Spin => b"\x0f\x31\x89\xd1\x83\xc1\x05\x0f\x31\x39\xca\x7c\xfa\x31\xc0\xc3",
            // cli; the same; sti
            Self::Deaf => {
                b"\xfa\x0f\x31\x89\xd1\x83\xc1\x05\x0f\x31\x39\xca\x7c\xfa\xfb\x31\xc0\xc3"
            }
            // again: jmp again
            Self::Wedged => b"\xeb\xfe",
            // cli; again: jmp again
            Self::Dead => b"\xfa\xeb\xfe",
        }
    }
}

/// The module of a /lib/modules/RELEASE that does this.
pub(crate) fn harmful(modules: &Path, harm: Harm) -> Vec<u8> {
    let plan = qemu_runner::select_modules(Some(modules), &[NAME]).unwrap();
    let [module] = &*plan.modules else {
        panic!("{NAME} alone, not {plan:?}")
    };
    let unsigned = without_signature(&module.content).to_vec();
    written_over(unsigned, harm.code())
}

/// The signature, a `struct module_signature` with its length in the last four bytes,
/// big-endian, and the mark.
fn without_signature(module: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"~Module signature appended~\n";
    const INFO: usize = 12;
    let Some(signed) = module.strip_suffix(MARK) else {
        return module;
    };
    let (rest, length) = signed.split_last_chunk::<4>().unwrap();
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
    &rest[..rest.len() + 4 - INFO - length]
}

/// The module with `code` where its initialisation begins.
fn written_over(mut module: Vec<u8>, code: &[u8]) -> Vec<u8> {
    let (place, emptied) = {
        let file = object::File::parse(&*module).unwrap();
        let text = file.section_by_name(".init.text").unwrap();
        let entry = file.symbol_by_name("init_module").unwrap();
        assert_eq!(entry.section_index(), Some(text.index()));
        let bytes = text.data().unwrap();
        let mut start = usize::try_from(entry.address()).unwrap();
        for patched in [&b"\xf3\x0f\x1e\xfa"[..], b"\xe8\0\0\0\0"] {
            if bytes[start..].starts_with(patched) {
                start += patched.len();
            }
        }
        let end = start + code.len();
        assert!(
            u64::try_from(end).unwrap() <= entry.address() + entry.size(),
            "{NAME}'s initialisation is too short"
        );
        // The relocations of .init.text itself, four bytes wide each.
        let relocations = file.section_by_name(".rela.init.text").unwrap();
        let (offset, _) = relocations.file_range().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let (entries, _) = pod::slice_from_bytes::<Rela64<LittleEndian>>(
            relocations.data().unwrap(),
            relocations.data().unwrap().len() / size_of::<Rela64<LittleEndian>>(),
        )
        .unwrap();
        let emptied: Vec<usize> = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| {
                let at = usize::try_from(entry.r_offset.get(LittleEndian)).unwrap();
                at + 4 > start && at < end
            })
            .map(|(number, _)| offset + number * size_of::<Rela64<LittleEndian>>())
            .collect();
        let (section, _) = text.file_range().unwrap();
        (usize::try_from(section).unwrap() + start, emptied)
    };
    module[place..place + code.len()].copy_from_slice(code);
    for relocation in emptied {
        // r_info: the symbol in the upper half, the type in the lower.
        module[relocation + 8..relocation + 16]
            .copy_from_slice(&u64::from(R_X86_64_NONE.0).to_le_bytes());
    }
    module
}
