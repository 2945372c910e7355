//! The kernel's log: /dev/kmsg (readable since Linux 3.5), else syslog(2).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::io::Errno;
use wire::KernelLine;

use crate::error::{Error, Result};

const KMSG: &str = "/dev/kmsg";

/// The longest record the kernel hands out is CONSOLE_EXT_LOG_MAX, 8192 bytes.
const RECORD: usize = 16 << 10;

/// A reader of the log, standing somewhere in it.
#[derive(Debug)]
pub(crate) enum KernelLog {
    /// One record a read, none lost that the ring still has.
    Device(File),
    /// The whole ring each time; what was read before is told by its time.
    Ring {
        /// Microseconds; lines up to here have been read.
        after: Option<u64>,
    },
}

impl KernelLog {
    /// Opens the log at its oldest record.
    ///
    /// # Errors
    /// When /dev/kmsg is there but cannot be opened.
    pub(crate) fn open() -> Result<Self> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(KMSG);
        match opened {
            Ok(device) => Ok(Self::Device(device)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Ring { after: None }),
            Err(error) => Err(Error::file("open", KMSG)(error)),
        }
    }

    /// Everything logged since the last call.
    ///
    /// # Errors
    /// When the log cannot be read; records overwritten before they were read
    /// are no error, a line says so.
    pub(crate) fn read(&mut self) -> Result<Vec<KernelLine>> {
        match self {
            Self::Device(device) => read_device(device),
            Self::Ring { after } => {
                let mut lines = ring().map_err(Error::call("syslog"))?;
                lines.retain(|line| after.is_none_or(|after| line.time > after));
                if let Some(last) = lines.last() {
                    *after = Some(last.time);
                }
                Ok(lines)
            }
        }
    }
}

/// Records up to the newest.
fn read_device(device: &mut File) -> Result<Vec<KernelLine>> {
    let mut lines = Vec::new();
    let mut record = vec![0; RECORD];
    loop {
        match device.read(&mut record) {
            Ok(0) => return Ok(lines),
            Ok(length) => lines.extend(parse_record(&record[..length])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(lines),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The ring went round; the next read starts at the oldest left.
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {
                lines.push(KernelLine {
                    level: 4,
                    time: lines.last().map_or(0, |line| line.time),
                    text: "matrix-guest: older lines were overwritten before they were read"
                        .to_owned(),
                });
            }
            Err(error) => return Err(Error::file("read", KMSG)(error)),
        }
    }
}

/// Writes a line of the guest's own into the kernel's log, where it reaches the
/// harness with the boot log and stands in its order of events.
pub(crate) fn note(text: &str) {
    // Level 4, warning. Where there is no kernel log there is nobody to read it.
    if let Ok(mut device) = OpenOptions::new().write(true).open(KMSG) {
        let _ = device.write_all(format!("<4>matrix-guest: {text}\n").as_bytes());
    }
}

/// A record of /dev/kmsg: `LEVEL,SEQUENCE,TIME,FLAGS[,…];TEXT\n` and lines of
/// fields that begin with a space, which are dropped. None if it is no record.
///
/// The format is the kernel's Documentation/ABI/testing/dev-kmsg.
fn parse_record(record: &[u8]) -> Option<KernelLine> {
    let end = record
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(record.len());
    let separator = record[..end].iter().position(|byte| *byte == b';')?;
    let head = std::str::from_utf8(&record[..separator]).ok()?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let _sequence = fields.next()?;
    let time = fields.next()?.parse().ok()?;
    Some(KernelLine {
        level: u8::try_from(priority & 7).ok()?,
        time,
        text: unescape(&record[separator + 1..end]),
    })
}

/// Undoes `\xNN`, which the kernel writes for what is not printable and for the
/// backslash itself. What is no UTF-8 then is replaced.
fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', b'x', high, low, ..] => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = &rest[4..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The whole ring by syslog(2), which needs neither /dev nor /proc.
pub(crate) fn ring() -> std::result::Result<Vec<KernelLine>, Errno> {
    const SYSLOG_ACTION_READ_ALL: libc::c_int = 3;
    const SYSLOG_ACTION_SIZE_BUFFER: libc::c_int = 10;
    let klogctl = |action, buffer: &mut [u8]| {
        let length = libc::c_int::try_from(buffer.len()).map_err(|_| Errno::INVAL)?;
        // SAFETY: the kernel writes at most `length` bytes into the buffer.
        let result = unsafe { libc::klogctl(action, buffer.as_mut_ptr().cast(), length) };
        usize::try_from(result).map_err(|_| last_errno())
    };
    let size = klogctl(SYSLOG_ACTION_SIZE_BUFFER, &mut [])?;
    let mut buffer = vec![0; size];
    let length = klogctl(SYSLOG_ACTION_READ_ALL, &mut buffer)?;
    Ok(parse_ring(&String::from_utf8_lossy(&buffer[..length])))
}

/// errno of the libc call that just failed.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Lines as syslog(2) gives them: `<6>[    1.234567] text`. A line without the
/// head continues the one before and takes its level and time.
fn parse_ring(text: &str) -> Vec<KernelLine> {
    let mut lines: Vec<KernelLine> = Vec::new();
    for line in text.lines() {
        let parsed = parse_ring_line(line).or_else(|| {
            let before = lines.last()?;
            Some(KernelLine {
                text: line.to_owned(),
                ..before.clone()
            })
        });
        lines.extend(parsed);
    }
    lines
}

fn parse_ring_line(line: &str) -> Option<KernelLine> {
    let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
    let level = u8::try_from(priority.parse::<u32>().ok()? & 7).ok()?;
    let (time, text) = rest.strip_prefix('[')?.split_once(']')?;
    // `[    1.234567]`, and since 5.0 `[    1.234567][  T123]` with a caller.
    let (seconds, micros) = time.trim().split_once('.')?;
    let text = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((caller, text)) if caller.trim_start().starts_with(['T', 'C']) => text,
        _ => text,
    };
    Some(KernelLine {
        level,
        time: seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?,
        text: text.strip_prefix(' ').unwrap_or(text).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: u8, time: u64, text: &str) -> KernelLine {
        KernelLine {
            level,
            time,
            text: text.into(),
        }
    }

    #[test]
    fn records_as_kernels_write_them() {
        // From 6.1 with CONFIG_PRINTK_CALLER, from 6.1 without, from 3.10, and a
        // line written by a program (facility 1, level 4).
        for (record, expected) in [
            (
                "6,339,5140900,-,caller=T88;NET: Registered protocol family 10\n",
                line(6, 5_140_900, "NET: Registered protocol family 10"),
            ),
            (
                "6,412,1804251,-;bash[88] vsyscall attempted with vsyscall=none \
                 ip:ffffffffff600400 cs:33 sp:7ffd2c2ff3f8 ax:ffffffffff600400 si:0 di:0\n",
                line(
                    6,
                    1_804_251,
                    "bash[88] vsyscall attempted with vsyscall=none \
                     ip:ffffffffff600400 cs:33 sp:7ffd2c2ff3f8 ax:ffffffffff600400 si:0 di:0",
                ),
            ),
            (
                "7,160,424069,-;pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] \
                 (ignored)\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n",
                line(
                    7,
                    424_069,
                    "pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)",
                ),
            ),
            (
                "12,500,900001,-;matrix-guest: a; b\n",
                line(4, 900_001, "matrix-guest: a; b"),
            ),
        ] {
            assert_eq!(parse_record(record.as_bytes()), Some(expected), "{record}");
        }
        assert_eq!(parse_record(b"no record"), None);
    }

    #[test]
    fn escapes_are_undone_and_other_backslashes_kept() {
        assert_eq!(unescape(br"a\x5cb\x0ac\xc3\xa4\xzz\"), "a\\b\ncä\\xzz\\");
        assert_eq!(unescape(br"\xff"), "\u{fffd}");
    }

    #[test]
    fn the_ring_as_syslog_gives_it() {
        let text = "<6>[    0.000000] Linux version 3.10.108\n\
                    <4>[   12.345678] a trace:\n  without a head\n\
                    <12>[   13.000001][    T1] with a caller\n";
        assert_eq!(
            parse_ring(text),
            [
                line(6, 0, "Linux version 3.10.108"),
                line(4, 12_345_678, "a trace:"),
                line(4, 12_345_678, "  without a head"),
                line(4, 13_000_001, "with a caller"),
            ]
        );
    }
}
