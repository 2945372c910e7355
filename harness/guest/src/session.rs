//! Doing what the harness says, until it says stop or is gone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use wire::{FrameError, FromGuest, ToGuest};

use crate::boot::{Booted, Channel};
use crate::cell::Cells;
use crate::error::{Error, Result};
use crate::kernel_log::KernelLog;
use crate::{begin, facts, power, probe};

/// Serves until the machine ends.
pub(crate) fn serve(booted: Booted) -> ! {
    let Booted {
        mut channel,
        modules,
    } = booted;
    match converse(&mut channel, modules) {
        // Told to stop, or there is nobody left to work for.
        Ok(()) | Err(Error::Channel(FrameError::Closed)) => power::off(),
        Err(error) => {
            let reason = error.to_string();
            // If the channel is what failed, the console still says it.
            let _ = channel.send(&FromGuest::Fatal {
                reason: reason.clone(),
            });
            power::fatal(&reason)
        }
    }
}

/// The session: one Begin, then files and cells in any number; in a clone of a
/// template, a Wake between the two.
fn converse(channel: &mut Channel, modules: Vec<String>) -> Result<()> {
    let (mut cells, facts) = match channel.receive()? {
        None | Some(ToGuest::PowerOff) => return Ok(()),
        Some(ToGuest::Begin(settings)) => prepare(&settings, modules)?,
        Some(
            ToGuest::Put { .. }
            | ToGuest::Run(_)
            | ToGuest::Probe(_)
            | ToGuest::Wake(_)
            | ToGuest::Settle { .. },
        ) => {
            return Err(Error::Protocol("work came before Begin"));
        }
    };
    channel.send(&facts)?;
    loop {
        match channel.receive()? {
            None | Some(ToGuest::PowerOff) => return Ok(()),
            Some(ToGuest::Begin(_)) => return Err(Error::Protocol("Begin came twice")),
            Some(ToGuest::Wake(moment)) => {
                begin::at(&moment)?;
                channel.send(&FromGuest::Awake)?;
            }
            Some(ToGuest::Settle { wait }) => {
                cells.make_ahead()?;
                std::thread::sleep(Duration::from_millis(wait.into()));
                channel.send(&FromGuest::Settled)?;
            }
            Some(ToGuest::Put {
                path,
                mode,
                content,
            }) => put_out_of_reach(Path::new(&path), mode, &content)?,
            Some(ToGuest::Run(request)) => {
                let result = cells.run(&request, channel)?;
                channel.send(&FromGuest::Finished(Box::new(result)))?;
            }
            Some(ToGuest::Probe(request)) => {
                let (disks, log) = cells.shared();
                let result = probe::run(&request, disks, log, channel)?;
                channel.send(&FromGuest::Probed(Box::new(result)))?;
            }
        }
    }
}

/// Answers Begin.
fn prepare(settings: &wire::Begin, modules: Vec<String>) -> Result<(Cells, FromGuest)> {
    let cgroup = begin::begin(settings)?;
    let layout = cgroup.layout;
    let facts = facts::gather(modules, cgroup)?;
    // Last, so that what the steps before had to say is in it.
    let mut log = KernelLog::open()?;
    let boot_log = log.read()?;
    let answer = FromGuest::Facts {
        facts: Box::new(facts),
        boot_log,
    };
    Ok((Cells::new(layout, log), answer))
}

/// Writes a file where nothing in the machine can write to it: in a tmpfs of its
/// folder's own that is read-only but for this moment, in place of what the folder had
/// (see [`crate::boot`] of the initramfs's runtime, which is out of reach too).
fn put_out_of_reach(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new("/"))
        .ok_or(Error::Protocol("a file was put into no folder"))?;
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    match unmount(folder, UnmountFlags::DETACH) {
        // EINVAL: nothing was mounted there.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(Error::file("unmount", folder)(errno)),
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", folder, "tmpfs", flags, c"mode=0755").map_err(Error::mount("tmpfs", folder))?;
    put(path, mode, content)?;
    mount_remount(folder, flags | MountFlags::RDONLY, c"").map_err(Error::mount("tmpfs", folder))
}

/// Writes a file whole or not at all.
fn put(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(Error::file("create", &temporary))?;
    file.write_all(content)
        .and_then(|()| file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode)))
        .map_err(Error::file("write", &temporary))?;
    // A file that is open for writing cannot be executed (ETXTBSY).
    drop(file);
    fs::rename(&temporary, path).map_err(Error::file("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_put_with_its_folder_and_its_mode_over_an_older_one() {
        let folder = std::env::temp_dir().join(format!("guest-put-{}", std::process::id()));
        let path = folder.join("a/runtime");
        put(&path, 0o700, b"old and longer").unwrap();
        put(&path, 0o755, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o755
        );
        assert_eq!(fs::read_dir(folder.join("a")).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
