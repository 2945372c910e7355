//! Errors in a word: outside compares names, not numbers.

use std::io;

/// `EROFS`; of an error without a number, its kind; the number where it has no
/// name here.
pub(crate) fn word(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return format!("{:?}", error.kind());
    };
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| format!("errno-{number}"), |(_, name)| (*name).to_owned())
}

/// Those that probes meet.
const NAMES: [(i32, &str); 25] = [
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ESRCH, "ESRCH"),
    (libc::EIO, "EIO"),
    (libc::ENXIO, "ENXIO"),
    (libc::ECHILD, "ECHILD"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::EINVAL, "EINVAL"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::ETXTBSY, "ETXTBSY"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EROFS, "EROFS"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
    (libc::EOVERFLOW, "EOVERFLOW"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_words() {
        assert_eq!(word(&io::Error::from_raw_os_error(libc::EROFS)), "EROFS");
        assert_eq!(word(&io::Error::from_raw_os_error(4095)), "errno-4095");
        assert_eq!(word(&io::ErrorKind::InvalidInput.into()), "InvalidInput");
    }
}
