//! What is wrong with a machine that QEMU would say late, or not at all.

use std::collections::HashSet;

use super::{MAX_DISKS, Machine};
use crate::{CpuLevel, StartError, cpu_level};

/// Room virtio-blk has for a serial, bytes; QEMU cuts a longer one.
const MAX_SERIAL: usize = 20;

impl Machine {
    /// What QEMU would only say after it was started, or not at all.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if let Some(level) = CpuLevel::of(&self.cpu)
            && let Some(reason) = level.refusal(self.acceleration, cpu_level::host_level())
        {
            return Err(StartError::CpuLevel {
                cpu: self.cpu.clone(),
                acceleration: self.acceleration.name(),
                reason,
            });
        }
        if self.disks.len() > MAX_DISKS {
            return Err(StartError::TooManyDisks {
                count: self.disks.len(),
            });
        }
        let mut serials = HashSet::new();
        for disk in &self.disks {
            let serial = disk.serial.clone();
            if serial.len() > MAX_SERIAL {
                return Err(StartError::SerialTooLong { serial });
            }
            if !serials.insert(&disk.serial) {
                return Err(StartError::SerialTwice { serial });
            }
        }
        let disks = self.disks.iter().map(|disk| &disk.path);
        for path in [&self.kernel, &self.initramfs].into_iter().chain(disks) {
            std::fs::File::open(path).map_err(|source| StartError::File {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }
}
