//! What the container's first process and the runtime say to each other between
//! its birth and execve, over two pipes.
//!
//! The first process does most of its making itself, but not what lies outside
//! of it: its place in the machine's cgroups, the machine's end of its network,
//! the mapping of its ids. At each [`Stage`] where the runtime has such a part
//! the first process stops, says so, and goes on when the runtime has done it.
//! Either side sees the other's end by the end of its pipe.
//!
//! Where the runtime has no such part the first process shares its memory
//! ([`crate::shared`]), and its messages are left there. It has a copy of both ends of
//! the one pipe until it has closed all that is not its own, and sees the runtime's end
//! from then on.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::descriptor::errno_of;
use crate::failure::{Failure, Step};
use crate::fallback::Fallback;
use crate::status::Status;

/// Where the first process stops for the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// It is there, in its PID namespace and in no other of its own; nothing of
    /// the configuration has been done.
    Born,
    /// All its namespaces are made; its root is still the machine's.
    Namespaces,
    /// Its root is made and entered, its devices and mounts are there; it has the
    /// runtime's ids and capabilities still.
    Root,
}

/// What the first process tells the runtime, a line of JSON each. execve closes
/// the pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Message {
    /// It has stopped, and waits for one byte.
    Waiting {
        /// Where.
        at: Stage,
    },
    /// execve comes next. Nothing after it means that the program runs.
    Ready {
        /// What was taken on the way.
        fallbacks: Vec<Fallback>,
    },
    /// There is no container, or no program for it.
    Failed {
        /// Why.
        status: Status,
        /// What was taken on the way.
        fallbacks: Vec<Fallback>,
    },
}

/// The first process's ends of the pipes.
#[derive(Debug)]
pub(crate) struct Inside {
    runtime: PipeWriter,
    way: Hearing,
}

/// How a first process is heard and told to go on.
#[derive(Debug)]
enum Hearing {
    /// By the pipe to the runtime, and by this one.
    Pipes(PipeReader),
    /// Its messages are left in the memory it shares; it never waits.
    Memory(Left),
}

/// Messages of a process that shares this one's memory.
type Left = Arc<Mutex<VecDeque<Message>>>;

/// The runtime's ends.
#[derive(Debug)]
pub(crate) enum Outside {
    /// Of two pipes.
    Pipes {
        /// What it says.
        container: BufReader<PipeReader>,
        /// What lets it go on.
        go: PipeWriter,
    },
    /// Of one, by whose end the first process sees the runtime's.
    Memory {
        /// Nothing comes out of it.
        _alive: PipeReader,
        /// What it has said by the time the runtime goes on.
        left: Left,
    },
}

/// Both, before the fork.
pub(crate) fn pipes() -> Result<(Inside, Outside), Failure> {
    let step = || "pipe".to_owned();
    let (container, runtime) = pipe().map_err(errno_of).step(step)?;
    let (stop, go) = pipe().map_err(errno_of).step(step)?;
    Ok((
        Inside {
            runtime,
            way: Hearing::Pipes(stop),
        },
        Outside::Pipes {
            container: BufReader::new(container),
            go,
        },
    ))
}

/// The same for a first process that shares the runtime's memory.
pub(crate) fn in_memory() -> Result<(Inside, Outside), Failure> {
    let (alive, runtime) = pipe().map_err(errno_of).step(|| "pipe".to_owned())?;
    let left = Left::default();
    Ok((
        Inside {
            runtime,
            way: Hearing::Memory(Arc::clone(&left)),
        },
        Outside::Memory {
            _alive: alive,
            left,
        },
    ))
}

impl Inside {
    /// False when nobody is left to be told.
    pub(crate) fn tell(&mut self, message: Message) -> bool {
        if let Hearing::Memory(left) = &self.way {
            return left.lock().map(|mut left| left.push_back(message)).is_ok();
        }
        let Ok(mut line) = serde_json::to_vec(&message) else {
            return false;
        };
        line.push(b'\n');
        self.runtime.write_all(&line).is_ok()
    }

    /// Stops until the runtime has done its part of `stage`.
    pub(crate) fn wait_at(&mut self, stage: Stage) -> Result<(), Failure> {
        let step = || format!("wait for the runtime's part at {stage:?}");
        if !self.tell(Message::Waiting { at: stage }) {
            return Err(Errno::PIPE).step(step);
        }
        let Hearing::Pipes(go) = &mut self.way else {
            // The runtime stands still.
            return Err(Errno::DEADLK).step(step);
        };
        // At its end the runtime has gone, or could not do its part and tells
        // of that itself.
        go.read_exact(&mut [0])
            .map_err(|_end| Errno::PIPE)
            .step(step)
    }

    /// The descriptors this process needs until execve.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> + use<> {
        let go = match &self.way {
            Hearing::Pipes(go) => Some(go.as_raw_fd()),
            Hearing::Memory(_) => None,
        };
        [self.runtime.as_raw_fd()].into_iter().chain(go)
    }

    /// The container ends when the runtime is killed. The signal is sent when
    /// the runtime ends after this call; whether it has ended before, the pipe
    /// tells: its reader is gone then.
    pub(crate) fn die_with_runtime(&self) -> Result<(), Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .step(|| "prctl PR_SET_PDEATHSIG".to_owned())?;
        let mut reader = [PollFd::new(&self.runtime, PollFlags::empty())];
        poll(&mut reader, Some(&Timespec::default())).step(|| "poll the runtime".to_owned())?;
        if reader[0].revents().contains(PollFlags::ERR) {
            return Err(Errno::PIPE).step(|| "look for the runtime".to_owned());
        }
        Ok(())
    }
}

impl Outside {
    /// The next message; none at the end, which execve is too.
    pub(crate) fn hear(&mut self) -> Result<Option<Message>, Failure> {
        let container = match self {
            Self::Pipes { container, .. } => container,
            // Who was killed while it said something has said nothing.
            Self::Memory { left, .. } => {
                return Ok(left.try_lock().ok().and_then(|mut left| left.pop_front()));
            }
        };
        let mut line = String::new();
        let length = container
            .read_line(&mut line)
            .map_err(errno_of)
            .step(|| "read from the container's first process".to_owned())?;
        if length == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|source| Failure::Json {
                path: "what the container's first process says".into(),
                source,
            })
    }

    /// Lets the first process go on. One that has ended meanwhile says so by
    /// the end of its pipe.
    pub(crate) fn go_on(&mut self) {
        if let Self::Pipes { go, .. } = self {
            let _ = go.write_all(b"g");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_goes_on_when_it_is_told_and_only_then() {
        let (mut inside, mut outside) = pipes().unwrap();
        let waiting = std::thread::spawn(move || {
            let first = inside.wait_at(Stage::Born);
            let second = inside.wait_at(Stage::Namespaces);
            (first, second)
        });
        let at = |message| match message {
            Some(Message::Waiting { at }) => at,
            other => panic!("{other:?}"),
        };
        assert_eq!(at(outside.hear().unwrap()), Stage::Born);
        outside.go_on();
        assert_eq!(at(outside.hear().unwrap()), Stage::Namespaces);
        // The runtime gives up.
        drop(outside);
        let (first, second) = waiting.join().unwrap();
        first.unwrap();
        let message = second.unwrap_err().to_string();
        assert!(
            message.starts_with("wait for the runtime's part"),
            "{message}"
        );
    }

    #[test]
    fn the_end_of_the_first_process_is_no_message() {
        let (mut inside, mut outside) = pipes().unwrap();
        assert!(inside.tell(Message::Ready { fallbacks: vec![] }));
        drop(inside);
        assert!(matches!(
            outside.hear().unwrap(),
            Some(Message::Ready { .. })
        ));
        assert!(outside.hear().unwrap().is_none());
    }
}
