//! The kernel's console: all of it into a file, the end of it in memory, and the
//! lines that say how the kernel is told on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{ConsoleLine, LineKind};

/// Lines kept in memory. An oops takes 60 to 100 of them, a stall with the stacks of what
/// stalled twice as many, and what they are about is told in the first.
const TAIL_LINES: usize = 400;

/// Bytes of a line that are looked at; the file has the rest.
const MAX_LINE: usize = 4096;

/// The end of a console, shared between the thread that copies and the machine.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<End>);

#[derive(Debug, Default)]
struct End {
    lines: VecDeque<String>,
    /// All there ever were.
    count: u64,
}

impl Tail {
    fn push(&self, line: String) {
        let mut end = self.end();
        if end.lines.len() == TAIL_LINES {
            end.lines.pop_front();
        }
        end.lines.push_back(line);
        end.count += 1;
    }

    fn end(&self) -> MutexGuard<'_, End> {
        // A poisoned lock holds whole lines all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines there were so far.
    pub(crate) fn count(&self) -> u64 {
        self.end().count
    }

    /// Those that came after the first `count`, oldest first.
    pub(crate) fn since(&self, count: u64) -> Vec<String> {
        let new = self.count().saturating_sub(count);
        self.last(usize::try_from(new).unwrap_or(usize::MAX))
    }

    /// The last `count` lines, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let end = self.end();
        let skip = end.lines.len().saturating_sub(count);
        end.lines.iter().skip(skip).cloned().collect()
    }
}

/// Copies a console to `keep` until it ends, and tells what its lines say.
///
/// A file that cannot be written to (a full disk) does not stop the reading: QEMU
/// would block on its pipe, and the kernel with it. It is told at once, and once.
pub(crate) fn copy(
    mut console: impl Read,
    mut keep: impl Write,
    tail: &Tail,
    mut notable: impl FnMut(ConsoleLine),
) {
    let mut is_kept = true;
    let mut lines = Lines::default();
    let mut buffer = [0; 8192];
    loop {
        let count = match console.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                notable(ConsoleLine::not_kept(&error));
                break;
            }
        };
        if is_kept && let Err(error) = keep.write_all(&buffer[..count]) {
            is_kept = false;
            notable(ConsoleLine::not_kept(&error));
        }
        lines.feed(&buffer[..count], |line| tell(line, tail, &mut notable));
    }
    lines.end(|line| tell(line, tail, &mut notable));
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

    #[test]
    fn what_came_since_a_line_is_told_and_the_oldest_go() {
        let tail = Tail::default();
        copy(&b"one\ntwo\n"[..], io::sink(), &tail, |_| {});
        let mark = tail.count();
        assert_eq!((mark, tail.since(mark)), (2, Vec::new()));
        copy(&b"three\nfour\n"[..], io::sink(), &tail, |_| {});
        assert_eq!(tail.since(mark), ["three", "four"]);
        assert_eq!(tail.since(0).len(), 4);
        for _ in 0..TAIL_LINES {
            tail.push("more".to_owned());
        }
        assert_eq!(tail.since(mark).len(), TAIL_LINES);
        assert_eq!(tail.since(0)[0], "more");
    }

    fn kinds(console: &str) -> Vec<(LineKind, String)> {
        let mut said = Vec::new();
        let tail = Tail::default();
        copy(console.as_bytes(), io::sink(), &tail, |line| {
            said.push((line.kind, line.text));
        });
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
        copy(console.as_bytes(), &mut file, &tail, |_| {});
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
        let mut kinds = Vec::new();
        // Larger than one read, so that there is a second write to fail.
        let console = "a\n".repeat(8192) + "b\n";
        copy(console.as_bytes(), Full, &tail, |line| {
            kinds.push(line.kind)
        });
        assert_eq!(kinds, [LineKind::NotKept]);
        assert_eq!(tail.last(2), ["a", "b"]);
    }
}
