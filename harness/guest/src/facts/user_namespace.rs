//! Whether a user namespace can be made: with root's privileges, and without,
//! which is what a program in a container has.

use runtime::user_namespace::explain;
use rustix::io::Errno;

use super::fork::{Ended, in_child};
use crate::error::Result;
use crate::kernel_log::last_errno;

/// An unprivileged user: nobody.
const NOBODY: libc::uid_t = 65534;

/// Whether root can make one, and if root or nobody cannot, why.
///
/// # Errors
/// When no child can be made.
pub(super) fn probe() -> Result<(bool, Option<String>)> {
    let root = refusal(in_child(unshare_user)?);
    if let Some(errno) = root {
        return Ok((false, Some(explain(errno, false))));
    }
    let nobody = refusal(in_child(|| {
        become_nobody()?;
        unshare_user()
    })?);
    Ok((true, nobody.map(|errno| explain(errno, true))))
}

fn unshare_user() -> std::result::Result<(), Errno> {
    // SAFETY: takes no pointer; the child has one thread.
    match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
        0 => {}
        _ => return Err(last_errno()),
    }
    // AppArmor's restriction (Ubuntu 24.04) lets the namespace be made but gives
    // it no privileges; making another kind of namespace needs them.
    // SAFETY: as above.
    match unsafe { libc::unshare(libc::CLONE_NEWUTS) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn become_nobody() -> std::result::Result<(), Errno> {
    // SAFETY: no pointer but the null of an empty list.
    let results = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(NOBODY, NOBODY, NOBODY),
            libc::setresuid(NOBODY, NOBODY, NOBODY),
        ]
    };
    if results == [0; 3] {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// The errno of a child that did not succeed.
fn refusal(ended: Ended) -> Option<Errno> {
    match ended {
        Ended::Status(0) => None,
        Ended::Status(errno) => Some(Errno::from_raw_os_error(i32::from(errno))),
        // No probe ends by a signal of its own; the kernel killed it.
        Ended::Signal(_) => Some(Errno::FAULT),
    }
}
