//! The kernel's console: all of it into a file, the end of it in memory, and the
//! lines that say how the kernel is told on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use crate::{ConsoleLine, LineKind};

/// Lines kept in memory.
const TAIL_LINES: usize = 200;

/// Bytes of a line that are looked at; the file has the rest.
const MAX_LINE: usize = 4096;

/// The end of a console, shared between the thread that copies and the machine.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    fn push(&self, line: String) {
        // A poisoned lock holds whole lines all the same.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last `count` lines, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = lines.len().saturating_sub(count);
        lines.iter().skip(skip).cloned().collect()
    }
}

/// Copies a console to `keep` until it ends, and tells what its lines say.
///
/// A file that cannot be written to (a full disk) does not stop the reading: QEMU
/// would block on its pipe, and the kernel with it. The first such error is given
/// back at the end.
pub(crate) fn copy(
    mut console: impl Read,
    mut keep: impl Write,
    tail: &Tail,
    mut notable: impl FnMut(ConsoleLine),
) -> io::Result<()> {
    let mut result = Ok(());
    let mut lines = Lines::default();
    let mut buffer = [0; 8192];
    loop {
        let count = match console.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                result = result.and(Err(error));
                break;
            }
        };
        if result.is_ok() {
            result = keep.write_all(&buffer[..count]);
        }
        lines.feed(&buffer[..count], |line| tell(line, tail, &mut notable));
    }
    lines.end(|line| tell(line, tail, &mut notable));
    result
}

fn tell(line: String, tail: &Tail, notable: &mut impl FnMut(ConsoleLine)) {
    let said = classify(&line);
    // In this order: who hears of the line finds it in the tail.
    tail.push(line);
    if let Some(said) = said {
        notable(said);
    }
}

/// Cuts a stream into lines of bounded length.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            line(self.take());
        }
        self.extend(bytes);
    }

    fn end(&mut self, mut line: impl FnMut(String)) {
        if !self.partial.is_empty() {
            line(self.take());
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.partial);
        String::from_utf8_lossy(&bytes)
            .trim_end_matches('\r')
            .to_owned()
    }
}

const PANIC: &str = "Kernel panic - not syncing: ";

/// What a line says about the kernel, where it says anything.
fn classify(line: &str) -> Option<ConsoleLine> {
    let text = without_stamp(line);
    let found = |kind, text: &str| {
        Some(ConsoleLine {
            kind,
            text: text.to_owned(),
        })
    };
    // Not at the start only: what the guest wrote before may lack its newline.
    if let Some((before, message)) = text.split_once(PANIC) {
        // `---[ end Kernel panic - not syncing: … ]---` says it a second time.
        return (!before.ends_with("---[ end "))
            .then(|| found(LineKind::Panic, message))
            .flatten();
    }
    if let Some((_, reason)) = text.split_once(wire::FATAL_MARK) {
        return found(LineKind::Fatal, reason);
    }
    let lockup = text.contains("BUG: soft lockup")
        || text.contains("detected hard LOCKUP")
        || (text.contains("rcu") && text.contains("detected stall"))
        || (text.contains("rcu") && text.contains("self-detected stall"))
        || (text.contains("INFO: task ") && text.contains(" blocked for more than "));
    if lockup {
        return found(LineKind::Lockup, text);
    }
    // 3.10 has no `reboot: ` before these.
    let reboot = text.starts_with("reboot: ")
        || ["Restarting system.", "Power down.", "System halted."].contains(&text);
    if reboot {
        return found(LineKind::Reboot, text);
    }
    None
}

/// A line without `[    1.234567] ` and, where the kernel says which task spoke,
/// `[    T1] `.
fn without_stamp(line: &str) -> &str {
    let mut text = line;
    while let Some(rest) = text.strip_prefix('[') {
        let Some((stamp, after)) = rest.split_once(']') else {
            break;
        };
        let stamp = stamp.trim_start();
        let is_stamp = !stamp.is_empty()
            && stamp
                .trim_start_matches(['T', 'C'])
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_stamp {
            break;
        }
        text = after.strip_prefix(' ').unwrap_or(after);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(console: &str) -> Vec<(LineKind, String)> {
        let mut said = Vec::new();
        let tail = Tail::default();
        copy(console.as_bytes(), io::sink(), &tail, |line| {
            said.push((line.kind, line.text));
        })
        .unwrap();
        said
    }

    #[test]
    fn the_panic_of_a_real_console_is_found_once_and_without_its_stamp() {
        let console = "[    0.731415] Run /init as init process\r\n\
            [    0.735544] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n\
            [    0.736066] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-50-cloud-amd64 #1  Debian 6.1.176-1\r\n\
            [    0.738415] Kernel Offset: 0x2200000 from 0xffffffff81000000\r\n\
            [    0.739415] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100 ]---\r\n";
        assert_eq!(
            kinds(console),
            [(
                LineKind::Panic,
                "Attempted to kill init! exitcode=0x00000100".to_owned()
            )]
        );
    }

    #[test]
    fn lockups_stalls_and_reboots_are_told_apart_from_other_lines() {
        use LineKind::{Fatal, Lockup, Reboot};
        let cases = [
            (
                "[   28.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:1]",
                Some(Lockup),
            ),
            (
                "[   28.0] BUG: soft lockup - CPU#0 stuck for 23s! [a:77]",
                Some(Lockup),
            ),
            (
                "[   28.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
                Some(Lockup),
            ),
            (
                "[   21.0] rcu: INFO: rcu_sched self-detected stall on CPU",
                Some(Lockup),
            ),
            (
                "[   21.0] INFO: rcu_preempt detected stalls on CPUs/tasks:",
                Some(Lockup),
            ),
            (
                "[  242.0] INFO: task x:42 blocked for more than 120 seconds.",
                Some(Lockup),
            ),
            ("[    1.2][    T1] reboot: Power down", Some(Reboot)),
            ("[    1.2] reboot: Restarting system", Some(Reboot)),
            ("Restarting system.", Some(Reboot)),
            (
                "matrix-guest: fatal: no /sys/class/virtio-ports",
                Some(Fatal),
            ),
            ("[    0.1] rcu: Hierarchical RCU implementation.", None),
            ("[    0.1] audit: initializing netlink subsys", None),
            ("[not a stamp] reboot: no", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(classify(line).map(|said| said.kind), expected, "{line}");
        }
    }

    #[test]
    fn the_file_keeps_all_and_the_memory_is_bounded() {
        let mut console = "x".repeat(3 * MAX_LINE) + "\n";
        for number in 0..3 * TAIL_LINES {
            console += &format!("line {number}\r\n");
        }
        console += "no newline";
        let (mut file, tail) = (Vec::new(), Tail::default());
        copy(console.as_bytes(), &mut file, &tail, |_| {}).unwrap();
        assert_eq!(file, console.as_bytes());
        let lines = tail.last(usize::MAX);
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().unwrap(), "no newline");
        assert_eq!(tail.last(2)[0], format!("line {}", 3 * TAIL_LINES - 1));
        let mut lines = Vec::new();
        let mut cutter = Lines::default();
        cutter.feed(&vec![b'x'; 3 * MAX_LINE], |_| panic!("no newline yet"));
        cutter.end(|line| lines.push(line));
        assert_eq!(lines[0].len(), MAX_LINE);
    }

    #[test]
    fn a_full_disk_does_not_stop_the_reading() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let tail = Tail::default();
        let result = copy(&b"a\nb\n"[..], Full, &tail, |_| {});
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tail.last(9), ["a", "b"]);
    }
}
