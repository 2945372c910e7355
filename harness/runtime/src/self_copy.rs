//! The runtime's program out of the container's reach. A container's first
//! process is the runtime until execve: what it starts as `/proc/self/exe`, or
//! opens as `/proc/1/exe`, is the machine's own runtime, and writable to root
//! once it has ended (CVE-2019-5736). So the runtime starts itself again from a
//! sealed copy in memory, or, where there is no memfd_create (before Linux
//! 3.17), from a read-only bind mount of its file that nobody else sees. To a
//! caller without root's rights mounting is refused: its runtime starts from a
//! copy without a name, which can be written to and is nobody else's.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{
    MemfdFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatvfs,
    memfd_create, readlink,
};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use rustix::process::{geteuid, getpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::confined::by_handle;
use crate::descriptor::{errno_of, last_errno};
use crate::failure::{Failure, Step};
use crate::fallback::{Fallback, Fallbacks};
use crate::mount::flags_of;

const OWN: &str = "/proc/self/exe";

const SEALS: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// How long a page of the copy may be held by somebody else.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// Returns where the program is out of reach already, and starts it again
/// otherwise, with the same arguments, environment and descriptors.
pub(crate) fn ensure() -> Result<(), Failure> {
    let own = File::open(OWN)
        .map_err(errno_of)
        .on("open", Path::new(OWN))?;
    if is_sealed(&own) || is_readonly(&own)? || is_nameless(&own)? {
        return Ok(());
    }
    match sealed(&own) {
        Ok(copy) => start_again(&copy),
        Err(Errno::NOSYS) if geteuid().is_root() => {
            bind_readonly()?;
            // Resolved anew, over the mount.
            let path = readlink(OWN, Vec::new()).on("read", Path::new(OWN))?;
            exec(path)
        }
        Err(Errno::NOSYS) => start_again(&nameless(&own)?),
        Err(errno) => Err(errno).step(|| "copy the runtime's program into memory".to_owned()),
    }
}

/// Records that this is not a sealed copy because there can be none.
pub(crate) fn note(fallbacks: &Fallbacks) {
    // Flags there are none of: where the call is there it says so, and makes nothing.
    let unknown = MemfdFlags::from_bits_retain(u32::MAX);
    if memfd_create(c"", unknown).err() != Some(Errno::NOSYS) {
        return;
    }
    if !File::open(OWN).is_ok_and(|own| is_sealed(&own)) {
        fallbacks.record(Fallback::MemfdCreate);
    }
}

fn is_sealed(file: &File) -> bool {
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS))
}

fn is_readonly(file: &File) -> Result<bool, Failure> {
    fstatvfs(file)
        .map(|status| status.f_flag.contains(StatVfsMountFlags::RDONLY))
        .on("statvfs", Path::new(OWN))
}

fn is_nameless(file: &File) -> Result<bool, Failure> {
    fstat(file)
        .map(|status| status.st_nlink == 0 && status.st_uid == geteuid().as_raw())
        .on("stat", Path::new(OWN))
}

/// A file of the caller's whose name is gone before anything is in it.
fn nameless(mut own: &File) -> Result<OwnedFd, Failure> {
    let path = std::env::temp_dir().join(format!("runtime-{}", getpid().as_raw_nonzero()));
    let mut made = || -> std::io::Result<OwnedFd> {
        let mut options = OpenOptions::new();
        let mut copy = options
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&path)?;
        // What is written to cannot be started.
        let handle = File::open(&path)?;
        std::fs::remove_file(&path)?;
        own.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut own, &mut copy)?;
        Ok(handle.into())
    };
    made()
        .map_err(errno_of)
        .on("copy the runtime's program to", &path)
}

fn sealed(mut own: &File) -> Result<OwnedFd, Errno> {
    let copy = memfd_create("runtime", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(copy);
    own.seek(SeekFrom::Start(0)).map_err(errno_of)?;
    std::io::copy(&mut own, &mut file).map_err(errno_of)?;
    seal(&file, PATIENCE)?;
    Ok(file.into())
}

/// Seals a copy nobody else writes to. The kernel answers EBUSY while anything
/// holds a reference to one of its pages, as the kernel's own reclaim and
/// compaction do for a moment, and it waits 150 ms at most itself
/// (`memfd_wait_for_pins`), which is too little on a machine with much to do.
fn seal(file: &File, patience: Duration) -> Result<(), Errno> {
    let end = Instant::now() + patience;
    loop {
        match fcntl_add_seals(file, SEALS) {
            Err(Errno::BUSY) if Instant::now() < end => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

fn bind_readonly() -> Result<(), Failure> {
    // SAFETY: the process has one thread, and this unshares no table of
    // descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .step(|| "unshare the mount namespace".to_owned())?;
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .step(|| "set the propagation of /".to_owned())?;
    let path = readlink(OWN, Vec::new()).on("read", Path::new(OWN))?;
    let step = "make read-only for the runtime's own use";
    let shown = path.to_string_lossy().into_owned();
    mount_bind(&path, &path).on(step, Path::new(&shown))?;
    let mounted: OwnedFd = File::open(&shown)
        .map_err(errno_of)
        .on(step, Path::new(&shown))?
        .into();
    let flags = flags_of(&mounted).on(step, Path::new(&shown))?;
    let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
    mount_remount(by_handle(&mounted), flags, c"").on(step, Path::new(&shown))
}

fn start_again(copy: &OwnedFd) -> Result<(), Failure> {
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let path = CString::new(path).map_err(|_nul| Failure::invalid("argv", "a null byte"))?;
    exec(path)
}

/// argv from /proc: what a loader that was started by name has been given
/// comes before our own.
fn exec(path: CString) -> Result<(), Failure> {
    let name = Path::new("/proc/self/cmdline");
    let words = std::fs::read(name).map_err(errno_of).on("read", name)?;
    let words: Vec<CString> = words
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|word| CString::from_vec_with_nul(word.to_vec()).ok())
        .collect();
    let arguments: Vec<*const libc::c_char> = words
        .iter()
        .map(|word| word.as_ptr())
        .chain([std::ptr::null()])
        .collect();
    // SAFETY: the array ends in a null pointer, its strings outlive the call,
    // and `environ` is the C library's, which no other thread changes.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environ.cast()) };
    Err(last_errno()).step(|| "start the runtime's copy of itself".to_owned())
}

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shared writable mapping keeps a file from being sealed until it goes,
    /// with the same error as a page the kernel holds for a moment.
    /// It is let go of after this time, or else once `seal` has returned.
    fn held_for(time: Option<Duration>, patience: Duration) -> Result<(), Errno> {
        let copy = memfd_create("", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let file = File::from(copy);
        file.set_len(4096).map_err(errno_of)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (shared, own) = (libc::MAP_SHARED, file.as_raw_fd());
        // SAFETY: the kernel chooses where, and nothing is read or written there.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, shared, own, 0) };
        if address == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let address = address.expose_provenance();
        std::thread::scope(|scope| {
            let (returned, over) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                // Either way only the end of the wait is of interest.
                let _ = match time {
                    Some(time) => over.recv_timeout(time).ok(),
                    None => over.recv().ok(),
                };
                // SAFETY: the mapping made above, which nothing refers to.
                unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(address), 4096) }
            });
            let sealed = seal(&file, patience);
            drop(returned);
            sealed
        })
    }

    #[test]
    fn a_page_held_for_a_moment_is_waited_for() {
        assert_eq!(
            held_for(Some(Duration::from_millis(300)), Duration::from_secs(60)),
            Ok(())
        );
    }

    #[test]
    fn a_page_that_stays_held_is_an_error() {
        assert_eq!(held_for(None, Duration::ZERO), Err(Errno::BUSY));
    }
}
