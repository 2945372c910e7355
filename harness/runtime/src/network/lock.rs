//! One runtime at a time changes a network: the lock's file is named after the
//! network namespace, and nobody but root can open it. It is there as long as
//! somebody holds or awaits it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::state::Turn;

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held as long as it is there")] Turn);

impl Lock {
    /// Waits for whoever has it, as [`Turn::take`] does.
    pub(super) fn take() -> Result<Self, Failure> {
        let path = Path::new("/proc/self/ns/net");
        let status = fs::metadata(path).map_err(errno_of).on("stat", path)?;
        Turn::take(&format!("network-{}.lock", status.ino())).map(Self)
    }
}
