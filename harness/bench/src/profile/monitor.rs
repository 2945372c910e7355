//! Asking QEMU's monitor, in a thread of its own, what the processor is at.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest an answer may take: a machine that is kept stops for a while.
const PATIENCE: Duration = Duration::from_secs(60);
const PROMPT: &[u8] = b"(qemu) ";

/// Where the processor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for an interrupt.
    Halted,
    Kernel,
    /// The guest's first process, or the runtime.
    Own,
    Image,
}

/// The questions, from when QEMU listens to when it is gone.
pub(super) struct Watch {
    flags: Arc<Flags>,
    thread: JoinHandle<Watched>,
}

#[derive(Default)]
struct Flags {
    over: AtomicBool,
    count: AtomicBool,
}

/// The answers, in order.
#[derive(Debug, Default)]
pub(super) struct Watched {
    states: Vec<(Instant, State)>,
    blocks: Vec<(Instant, u64)>,
}

impl Watch {
    /// Asks whatever comes to listen on `socket`.
    pub(super) fn begin(socket: &Path) -> Self {
        let flags = Arc::new(Flags::default());
        let (socket, own) = (socket.to_owned(), Arc::clone(&flags));
        Self {
            flags,
            thread: thread::spawn(move || watch(&socket, &own)),
        }
    }

    /// The blocks that have been translated are asked for at once.
    pub(super) fn count_blocks(&self) {
        self.flags.count.store(true, Ordering::Relaxed);
    }

    pub(super) fn end(self) -> Watched {
        self.flags.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

impl Watched {
    /// From one moment to another.
    pub(super) fn states(&self, from: Instant, to: Instant) -> impl Iterator<Item = State> {
        self.states
            .iter()
            .filter(move |(at, _)| (from..to).contains(at))
            .map(|(_, state)| *state)
    }

    /// How many blocks had been translated by then: the first answer after it, or the
    /// last of all where the machine was gone. None where nothing was answered.
    pub(super) fn blocks(&self, by: Instant) -> Option<u64> {
        let after = self.blocks.iter().find(|(at, _)| *at >= by);
        after.or(self.blocks.last()).map(|(_, blocks)| *blocks)
    }

    /// When the processor was first seen in a process.
    pub(super) fn first_process(&self, from: Instant, to: Instant) -> Option<Instant> {
        self.states
            .iter()
            .find(|(at, state)| (from..to).contains(at) && *state == State::Own)
            .map(|(at, _)| *at)
    }
}

fn watch(socket: &PathBuf, flags: &Flags) -> Watched {
    let mut watched = Watched::default();
    while !flags.over.load(Ordering::Relaxed) {
        // Not there yet, or one that is gone: QEMU may be started more than once.
        if let Ok(stream) = UnixStream::connect(socket) {
            // It ends with the machine.
            let _ = converse(stream, flags, &mut watched);
        }
        thread::sleep(PAUSE);
    }
    watched
}

fn converse(mut stream: UnixStream, flags: &Flags, watched: &mut Watched) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    answer(&mut stream)?;
    // Before anything has run.
    flags.count.store(true, Ordering::Relaxed);
    let mut process = false;
    while !flags.over.load(Ordering::Relaxed) {
        if flags.count.swap(false, Ordering::Relaxed) {
            stream.write_all(b"info jit\n")?;
            if let Some(blocks) = blocks(&answer(&mut stream)?) {
                watched.blocks.push((Instant::now(), blocks));
            }
        }
        stream.write_all(b"info registers\n")?;
        if let Some(state) = state(&answer(&mut stream)?) {
            watched.states.push((Instant::now(), state));
            if state == State::Own && !process {
                process = true;
                flags.count.store(true, Ordering::Relaxed);
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Up to the next prompt.
fn answer(stream: &mut UnixStream) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while !answer.ends_with(PROMPT) {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// `RIP=ffffffff81a0b0c1 RFL=… [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1`.
fn state(registers: &str) -> Option<State> {
    let field = |name: &str| {
        let (_, rest) = registers.split_once(name)?;
        rest.split(|character: char| !character.is_ascii_hexdigit())
            .next()
    };
    let address = u64::from_str_radix(field("RIP=")?, 16).ok()?;
    Some(match (field("HLT=")?, field("CPL=")?) {
        ("1", _) => State::Halted,
        (_, "0") => State::Kernel,
        _ if address < 16 << 20 => State::Own,
        _ => State::Image,
    })
}

/// `TB count            14412` of `info jit`.
fn blocks(jit: &str) -> Option<u64> {
    let (_, rest) = jit.split_once("TB count ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTERS: &str = "info registers\r\n\r\nCPU#0\r\nRAX=0000000000000000 \
        RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000\r\n\
        RIP=ffffffff81a0b0c1 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n\
        ES =0000 0000000000000000 00000000 00000000\r\n(qemu) ";

    #[test]
    fn what_the_processor_is_at() {
        assert_eq!(state(REGISTERS), Some(State::Kernel));
        let halted = REGISTERS.replace("HLT=0", "HLT=1");
        assert_eq!(state(&halted), Some(State::Halted));
        let user = |address: &str| {
            let registers = REGISTERS.replace("CPL=0", "CPL=3");
            state(&registers.replace("ffffffff81a0b0c1", address))
        };
        assert_eq!(user("00000000004521f0"), Some(State::Own));
        assert_eq!(user("00007f1dc1a521f0"), Some(State::Image));
        assert_eq!(state("unknown command\r\n(qemu) "), None);
    }

    #[test]
    fn how_many_blocks() {
        let jit = "Accelerator settings:\r\none-insn-per-tb: off\r\n\r\nTranslation buffer \
            state:\r\ngen code size       8429075/1073736704\r\nTB count            14412\r\n\
            TB avg target size  19 max=656 bytes\r\n(qemu) ";
        assert_eq!(blocks(jit), Some(14412));
        assert_eq!(blocks("(qemu) "), None);
    }
}
