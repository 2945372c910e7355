//! The descriptors 0, 1 and 2.

use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};

use crate::error::{Error, Result};

/// Gives the guest a /dev/null where the kernel had no console for it: what is opened
/// later would be taken for a standard stream by the programs it starts.
///
/// # Errors
/// When /dev/null cannot be opened.
pub(super) fn open() -> Result<()> {
    let path = "/dev/null";
    loop {
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(Error::file("open", path))?;
        if file.as_raw_fd() > 2 {
            return Ok(());
        }
        // It stays open.
        let _ = file.into_raw_fd();
    }
}
