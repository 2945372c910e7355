//! Whether the kernel runs 32-bit x86 programs (CONFIG_IA32_EMULATION, and
//! since Linux 6.7 `ia32_emulation=`): by running one.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::io::Errno;

use super::fork::{Ended, in_child};
use crate::error::{Error, Result};
use crate::kernel_log::{self, last_errno};

/// What the program exits with.
const STATUS: u8 = 42;

/// Where it is loaded.
const BASE: u32 = 0x0804_8000;

/// `mov eax, 1; mov ebx, STATUS; int 0x80`: exit(STATUS).
const CODE: [u8; 12] = [0xb8, 1, 0, 0, 0, 0xbb, STATUS, 0, 0, 0, 0xcd, 0x80];

/// Length of an ELF32 header and two program headers.
const HEADERS: u32 = 52 + 2 * 32;

/// A whole static program: ELF header, PT_LOAD, PT_GNU_STACK, [`CODE`].
///
/// Without PT_GNU_STACK the stack would be executable, and the kernel would
/// spend on this program the one warning it gives of that per boot (Linux 5.6).
fn program() -> Vec<u8> {
    let length = HEADERS + CODE.len() as u32;
    let mut file = Vec::with_capacity(length as usize);
    // e_ident: class 32, little-endian, version 1, System V.
    file.extend_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let half = |value: u16| value.to_le_bytes();
    let word = |value: u32| value.to_le_bytes();
    file.extend_from_slice(&half(2)); // e_type: ET_EXEC
    file.extend_from_slice(&half(3)); // e_machine: EM_386
    file.extend_from_slice(&word(1)); // e_version
    file.extend_from_slice(&word(BASE + HEADERS)); // e_entry
    file.extend_from_slice(&word(52)); // e_phoff
    file.extend_from_slice(&word(0)); // e_shoff
    file.extend_from_slice(&word(0)); // e_flags
    for value in [52, 32, 2, 40, 0, 0] {
        // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
        file.extend_from_slice(&half(value));
    }
    // p_type PT_LOAD, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_flags
    // R+X, p_align
    for value in [1, 0, BASE, BASE, length, length, 5, 0x1000] {
        file.extend_from_slice(&word(value));
    }
    // PT_GNU_STACK, R+W
    for value in [0x6474_e551, 0, 0, 0, 0, 0, 6, 16] {
        file.extend_from_slice(&word(value));
    }
    file.extend_from_slice(&CODE);
    file
}

/// Runs it.
///
/// # Errors
/// When it cannot be written or started for a reason other than its format.
pub(super) fn probe() -> Result<bool> {
    let path = std::env::temp_dir().join(format!("ia32-{}", std::process::id()));
    fs::write(&path, program()).map_err(Error::file("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
        .map_err(Error::file("change", &path))?;
    let name = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|nul| Error::file("run", &path)(nul))?;
    let arguments = [name.as_ptr(), std::ptr::null()];
    let ended = in_child(|| {
        // SAFETY: both arrays end in a null pointer and outlive the call.
        unsafe { libc::execve(name.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr()) };
        Err(last_errno())
    });
    fs::remove_file(&path).map_err(Error::file("remove", &path))?;
    match ended? {
        Ended::Status(STATUS) => Ok(true),
        Ended::Status(errno) if i32::from(errno) == Errno::NOEXEC.raw_os_error() => Ok(false),
        Ended::Status(errno) => Err(Error::file("run", &path)(Errno::from_raw_os_error(
            i32::from(errno),
        ))),
        // Loaded, but its system call led nowhere.
        Ended::Signal(signal) => {
            kernel_log::note(&format!("a 32-bit program was ended by signal {signal}"));
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_headers_and_twelve_bytes_of_code() {
        let file = program();
        assert_eq!(file.len(), 52 + 64 + 12);
        // e_entry points at the code, as loaded by the first segment.
        let entry = u32::from_le_bytes(file[24..28].try_into().unwrap());
        let code = (entry - BASE) as usize;
        assert_eq!(file[code..], CODE);
    }

    #[test]
    fn this_kernel_answers_one_way_or_the_other() {
        // Either is right; trouble is not.
        probe().unwrap();
    }
}
