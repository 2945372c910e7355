//! The runtime between its own standard streams and the container's terminal,
//! as `docker run --tty` is.
//!
//! Where standard input is a terminal itself it is made raw meanwhile, so that
//! every key is the container's, and its size is handed on. Where it is not, its
//! end is typed as ^D.

use std::fs::File;
use std::io::{Read, stdin, stdout};
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::descriptor::last_errno;
use crate::failure::{Failure, Step};

/// ^D: the end of the input, to a terminal in its usual mode.
const END: u8 = 0x04;

/// Where the handler of SIGWINCH writes a byte; -1 for nowhere.
static RESIZED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_resize(_signal: libc::c_int) {
    let pipe = RESIZED.load(Ordering::Relaxed);
    if pipe >= 0 {
        // SAFETY: write is async-signal-safe and reads one byte. A full pipe has
        // a byte in it already.
        unsafe { libc::write(pipe, c"r".as_ptr().cast(), 1) };
    }
}

/// Standard input as it was, put back at the end.
struct Raw {
    before: Termios,
}

impl Raw {
    fn new() -> Result<Option<Self>, Errno> {
        let before = match tcgetattr(stdin()) {
            Err(Errno::NOTTY) => return Ok(None),
            answer => answer?,
        };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing is left to do about a terminal that has gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Container,
    Input,
    Size,
}

/// Until nobody in the container has the terminal open.
pub(super) fn run(master: &File) -> Result<(), Failure> {
    ioctl_fionbio(master, true).step(|| "serve the terminal".to_owned())?;
    let raw = Raw::new().step(|| "make the terminal raw".to_owned())?;
    let mut resized = None;
    if raw.is_some() {
        resized = Some(watch_size().step(|| "watch the terminal's size".to_owned())?);
        hand_size_on(master);
    }
    // What could not be typed yet; while there is any, no more is read.
    let mut typed: Vec<u8> = Vec::new();
    let mut listening = true;
    loop {
        let hears = listening && typed.is_empty();
        for (source, seen) in wait(master, !typed.is_empty(), hears, resized.as_ref())? {
            match source {
                _ if seen.is_empty() => {}
                Source::Container => {
                    if !output(master)? {
                        return Ok(());
                    }
                }
                Source::Input => listening = input(&mut typed)?,
                Source::Size => {
                    if let Some(pipe) = &mut resized {
                        // However many changes, the last size counts.
                        let _ = pipe.read(&mut [0; 64]);
                    }
                    hand_size_on(master);
                }
            }
        }
        type_out(master, &mut typed)?;
    }
}

/// What each source that is waited for has.
fn wait(
    master: &File,
    types: bool,
    hears: bool,
    resized: Option<&File>,
) -> Result<Vec<(Source, PollFlags)>, Failure> {
    let standard = stdin();
    let mut sources = vec![Source::Container];
    let container = if types {
        PollFlags::IN | PollFlags::OUT
    } else {
        PollFlags::IN
    };
    let mut polled = vec![PollFd::new(master, container)];
    if hears {
        sources.push(Source::Input);
        polled.push(PollFd::new(&standard, PollFlags::IN));
    }
    if let Some(pipe) = resized {
        sources.push(Source::Size);
        polled.push(PollFd::new(pipe, PollFlags::IN));
    }
    match poll(&mut polled, None) {
        // A signal: looked at again at the next call.
        Err(Errno::INTR) => return Ok(Vec::new()),
        answer => answer.step(|| "poll the terminal".to_owned())?,
    };
    let seen = polled.iter().map(PollFd::revents);
    Ok(sources.into_iter().zip(seen).collect())
}

/// As much of what was typed as the terminal takes.
fn type_out(master: &File, typed: &mut Vec<u8>) -> Result<(), Failure> {
    if typed.is_empty() {
        return Ok(());
    }
    let count = match rustix::io::write(master, typed) {
        Ok(count) => count,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        // Nobody is left to read it.
        Err(Errno::IO) => typed.len(),
        Err(errno) => return Err(errno).step(|| "type to the terminal".to_owned()),
    };
    typed.drain(..count);
    Ok(())
}

/// Passes on what the container wrote; false when it has let go.
fn output(master: &File) -> Result<bool, Failure> {
    let mut buffer = [0; 4096];
    match rustix::io::read(master, &mut buffer) {
        // EIO: no other end is open.
        Ok(0) | Err(Errno::IO) => Ok(false),
        Err(Errno::AGAIN | Errno::INTR) => Ok(true),
        Err(errno) => Err(errno).step(|| "read from the terminal".to_owned()),
        Ok(count) => match write_all(stdout(), &buffer[..count]) {
            // Who read it has gone: the container runs on, unheard.
            Ok(()) | Err(Errno::PIPE) => Ok(true),
            Err(errno) => Err(errno).step(|| "write the terminal's output".to_owned()),
        },
    }
}

/// Also to what does not block: others have it open too, and may have made it so.
fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&to, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads what is to be typed; false when that was the last.
fn input(typed: &mut Vec<u8>) -> Result<bool, Failure> {
    let mut buffer = [0; 4096];
    // Not std's buffered handle: what it holds back poll does not see.
    match rustix::io::read(stdin(), &mut buffer) {
        Ok(0) => {
            typed.push(END);
            Ok(false)
        }
        Ok(count) => {
            typed.extend_from_slice(&buffer[..count]);
            Ok(true)
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(true),
        Err(errno) => Err(errno).step(|| "read what is typed".to_owned()),
    }
}

/// The reading end of a pipe that has a byte in it after each change.
fn watch_size() -> Result<File, Errno> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // It stays open to the process's end, as the handler stays.
    RESIZED.store(writer.into_raw_fd(), Ordering::Relaxed);
    let handler = on_resize as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler only loads an atomic and calls write.
    if unsafe { libc::signal(libc::SIGWINCH, handler) } == libc::SIG_ERR {
        return Err(last_errno());
    }
    Ok(reader.into())
}

/// A terminal that has gone has no size any more, and the container's shows its
/// end by itself.
fn hand_size_on(master: &File) {
    if let Ok(size) = tcgetwinsize(stdin()) {
        let _ = tcsetwinsize(master, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_does_not_block_gets_all_of_it() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        ioctl_fionbio(&writer, true).unwrap();
        // More than a pipe holds.
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        std::thread::scope(|scope| {
            let read = scope.spawn(|| {
                let mut got = Vec::new();
                File::from(reader).read_to_end(&mut got).unwrap();
                got
            });
            write_all(&writer, &sent).unwrap();
            drop(writer);
            assert!(read.join().unwrap() == sent);
        });
    }

    #[test]
    fn who_has_gone_is_told() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(reader);
        assert_eq!(write_all(&writer, b"x"), Err(Errno::PIPE));
    }
}
