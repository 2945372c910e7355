//! The initramfs: PID 1, the modules it loads and the runtime of its cells, as an
//! uncompressed newc archive (compression makes no difference to the boot).
//!
//! The guest reads [`LIST`]: one file name per line, in the order to load. The
//! runtime comes along because the kernel unpacks two megabytes in a tenth of the
//! time that an emulated guest needs to take them from the channel.

use std::io::{self, Write};

use cpio::newc::Builder;

use crate::ModulePlan;

/// The guest's list of modules.
const LIST: &str = "modules/list";

/// Why no initramfs was made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// The archive could not be written.
    #[error("write {path} into the initramfs: {source}")]
    Write {
        /// The path inside.
        path: String,
        /// What happened.
        source: io::Error,
    },
    /// A file is longer than the format can tell.
    #[error("{path} has {length} bytes, more than an initramfs can hold")]
    TooLong {
        /// The path inside.
        path: String,
        /// Its length.
        length: usize,
    },
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Packs PID 1, the modules, and the runtime as [`wire::RUNTIME_PATH`] unless it is
/// empty. The same input gives the same bytes.
///
/// # Errors
/// When a file is longer than 4 GiB.
pub fn initramfs(
    guest: &[u8],
    runtime: &[u8],
    plan: &ModulePlan,
) -> Result<Vec<u8>, InitramfsError> {
    let mut archive = Archive::default();
    for directory in ["dev", "modules", "proc", "run", "sys"] {
        archive.add(directory, DIRECTORY | 0o755, (0, 0), &[])?;
    }
    // The kernel opens /dev/console for PID 1 before anything is mounted.
    archive.add("dev/console", CHARACTER_DEVICE | 0o600, (5, 1), &[])?;
    archive.add("dev/null", CHARACTER_DEVICE | 0o666, (1, 3), &[])?;
    archive.add("init", REGULAR | 0o755, (0, 0), guest)?;
    if !runtime.is_empty() {
        let path = wire::RUNTIME_PATH.trim_start_matches('/');
        if let Some((folder, _)) = path.rsplit_once('/') {
            archive.add(folder, DIRECTORY | 0o755, (0, 0), &[])?;
        }
        archive.add(path, REGULAR | 0o755, (0, 0), runtime)?;
    }
    let mut list = String::new();
    for module in &plan.modules {
        let file = format!("{}.ko", module.name);
        archive.add(
            &format!("modules/{file}"),
            REGULAR | 0o644,
            (0, 0),
            &module.content,
        )?;
        list += &file;
        list += "\n";
    }
    archive.add(LIST, REGULAR | 0o644, (0, 0), list.as_bytes())?;
    archive.finish()
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> Result<(), InitramfsError> {
        let length = u32::try_from(content.len()).map_err(|_| InitramfsError::TooLong {
            path: path.to_owned(),
            length: content.len(),
        })?;
        let write = |source| InitramfsError::Write {
            path: path.to_owned(),
            source,
        };
        self.entries += 1;
        let builder = Builder::new(path)
            .ino(self.entries)
            .mode(mode)
            .nlink(1)
            .rdev_major(device.0)
            .rdev_minor(device.1);
        let mut writer = builder.write(&mut self.bytes, length);
        writer.write_all(content).map_err(write)?;
        writer.finish().map_err(write)?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, InitramfsError> {
        cpio::newc::trailer(self.bytes).map_err(|source| InitramfsError::Write {
            path: "the trailer".to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::Module;

    #[test]
    fn pid_1_and_the_modules_are_there_in_order() {
        let module = |name: &str, content: &[u8]| Module {
            name: name.into(),
            source: "/x".into(),
            content: content.into(),
        };
        let plan = ModulePlan {
            modules: vec![module("virtio", b"first!"), module("virtio_pci", b"second")],
            ..ModulePlan::default()
        };
        let bytes = initramfs(b"\x7fELF guest", b"\x7fELF runtime", &plan).unwrap();
        assert_eq!(
            bytes,
            initramfs(b"\x7fELF guest", b"\x7fELF runtime", &plan).unwrap()
        );

        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let entry = reader.entry();
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            let device = (entry.rdev_major(), entry.rdev_minor());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            rest = reader.finish().unwrap();
            entries.push((name, mode, device, content));
        }
        let find = |path: &str| entries.iter().find(|entry| entry.0 == path).unwrap();
        assert_eq!(find("init").1, 0o100_755);
        assert_eq!(find("init").3, b"\x7fELF guest");
        assert_eq!(find("dev/console").1, 0o020_600);
        assert_eq!(find("dev/console").2, (5, 1));
        assert_eq!(find("dev/null").2, (1, 3));
        assert_eq!(find("modules/virtio_pci.ko").3, b"second");
        assert_eq!(find("modules/list").3, b"virtio.ko\nvirtio_pci.ko\n");
        for directory in ["dev", "modules", "proc", "run", "sys"] {
            assert_eq!(find(directory).1, 0o040_755);
        }
    }
}
