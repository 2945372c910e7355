//! A running virtual machine: started, talked to, ended.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wire::{FrameError, FromGuest, Moment, ToGuest};

use crate::console::{self, Tail};
use crate::machine::Start;
use crate::monitor::Monitor;
use crate::spawner::SpawnError;
use crate::stderr::Stderr;
use crate::template::{self, TemplateError};
use crate::{ConsoleLine, LineKind, Machine, Spawner, StartError, VmEnd};

/// How long a kernel that panicked may take to reboot, and QEMU whose channel or
/// console closed to end.
const GRACE: Duration = Duration::from_secs(10);

/// How long QEMU may take to end by itself after it could not be restored.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long the guest may leave bytes of a message unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What the guest said when it came up, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Nanoseconds [`wire::spin`] took in the guest.
    pub spin: u64,
    /// The guest's uptime, milliseconds.
    pub uptime: u64,
    /// From QEMU's start to this message, by the host's clock.
    pub boot: Duration,
}

/// A virtual machine. Dropping it kills it.
#[derive(Debug)]
pub struct Vm {
    child: Child,
    channel: UnixStream,
    /// QEMU's monitor, not spoken to yet; none of a machine that starts cold.
    monitor: Option<UnixStream>,
    events: Receiver<Event>,
    tail: Arc<Tail>,
    stderr: Arc<Stderr>,
    threads: Vec<JoinHandle<()>>,
    started: Instant,
    seen: Seen,
    end: Option<VmEnd>,
    /// Keeps the spawning thread, whose end would kill QEMU.
    _spawner: Spawner,
}

/// What the threads of a machine report.
#[derive(Debug)]
enum Event {
    Message(FromGuest),
    ChannelEnded(FrameError),
    Console(ConsoleLine),
    ConsoleEnded,
    Stopped(String),
}

/// What was heard so far that tells how the machine ended.
#[derive(Debug, Default)]
struct Seen {
    panic: Option<String>,
    lockup: Option<String>,
    reboot: Option<String>,
    channel: Option<String>,
    console_ended: bool,
}

impl Vm {
    /// Starts QEMU.
    ///
    /// # Errors
    /// When the machine cannot be as described, or QEMU not be executed. What
    /// QEMU itself finds wrong comes from [`Vm::ready`].
    pub fn start(spawner: &Spawner, machine: &Machine) -> Result<Self, StartError> {
        machine.check()?;
        let warm = matches!(machine.start, Start::Warm { .. });
        let console_file = std::fs::File::options()
            .write(true)
            .create(true)
            .append(warm)
            .truncate(!warm)
            .open(&machine.console)
            .map_err(|source| StartError::Console {
                path: machine.console.clone(),
                source,
            })?;
        let resources = |what| move |source| StartError::Resources { what, source };
        let (channel, theirs) = UnixStream::pair().map_err(resources("channel"))?;
        channel
            .set_write_timeout(Some(WRITE_TIMEOUT))
            .map_err(resources("channel"))?;
        let reader = channel.try_clone().map_err(resources("channel"))?;

        let (monitor, monitors_other_end) = UnixStream::pair().map_err(resources("monitor"))?;

        let mut command = machine.qemu.command();
        command
            .args(machine.arguments(theirs.as_raw_fd(), monitors_other_end.as_raw_fd()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        inherit(&mut command, theirs.as_raw_fd());
        let monitor = match machine.start {
            Start::Cold => None,
            Start::Template { .. } | Start::Warm { .. } => {
                inherit(&mut command, monitors_other_end.as_raw_fd());
                Some(monitor)
            }
        };
        let started = Instant::now();
        let mut child = spawner.spawn(command).map_err(|error| match error {
            SpawnError::Gone => StartError::SpawnerGone,
            SpawnError::System(source) => StartError::Spawn {
                program: machine.qemu.program.clone(),
                source,
            },
        })?;
        // QEMU holds the only other ends now: its end closes channel and monitor.
        drop((theirs, monitors_other_end));

        let (stdout, stderr_pipe) = (child.stdout.take(), child.stderr.take());
        let (sender, events) = mpsc::channel();
        let mut vm = Self {
            child,
            channel,
            monitor,
            events,
            tail: Arc::default(),
            stderr: Arc::default(),
            threads: Vec::new(),
            started,
            seen: Seen::default(),
            end: None,
            _spawner: spawner.clone(),
        };
        // From here on a failure drops `vm`, which kills QEMU.
        let (tail, stderr) = (Arc::clone(&vm.tail), Arc::clone(&vm.stderr));
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            vm.thread("console", move || {
                console::copy(stdout, console_file, &tail, |line| {
                    report(&sender, Event::Console(line));
                });
                report(&sender, Event::ConsoleEnded);
            })?;
        }
        if let Some(pipe) = stderr_pipe {
            let sender = sender.clone();
            vm.thread("stderr", move || {
                stderr.collect(pipe, |line| report(&sender, Event::Stopped(line)));
            })?;
        }
        vm.thread("channel", move || read_channel(reader, &sender))?;
        Ok(vm)
    }

    fn thread(
        &mut self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let thread = thread::Builder::new()
            .name(format!("vm-{name}"))
            .spawn(work)
            .map_err(|source| StartError::Resources { what: name, source })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Waits until the guest is up.
    ///
    /// # Errors
    /// How it ended instead; [`VmEnd::BootDeadline`] after `deadline`, counted
    /// from now.
    pub fn ready(&mut self, deadline: Duration) -> Result<Ready, VmEnd> {
        let message = self.next(deadline).map_err(|end| match end {
            VmEnd::Silent { last_line, .. } => self.finish(VmEnd::BootDeadline {
                deadline,
                last_line,
            }),
            end => end,
        })?;
        match message {
            FromGuest::Ready { spin, uptime } => Ok(Ready {
                spin,
                uptime,
                boot: self.started.elapsed(),
            }),
            FromGuest::Facts { .. }
            | FromGuest::Awake
            | FromGuest::Settled
            | FromGuest::Log(_)
            | FromGuest::Finished(_)
            | FromGuest::Probed(_)
            | FromGuest::Fatal { .. } => Err(self.finish(VmEnd::Channel {
                message: "the guest's first message was not that it is ready".to_owned(),
            })),
        }
    }

    /// Keeps a machine that was started to be a template: its guest must wait for a
    /// message. Its state is written to `state`, and it is ended.
    ///
    /// # Errors
    /// When QEMU cannot be asked or refuses, or the file cannot be written.
    pub fn keep(mut self, state: &Path) -> Result<(), TemplateError> {
        let monitor = self.monitor.take().ok_or(TemplateError::NoMonitor)?;
        template::keep(&mut Monitor::open(monitor)?, state)
    }

    /// Leaves a guest that is to be kept to its kernel for a while, and waits for its
    /// word that it is done.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn settle(&mut self, wait: Duration) -> Result<(), VmEnd> {
        let milliseconds = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.send(&ToGuest::Settle { wait: milliseconds })?;
        // An emulated machine's second can be a long one.
        match self.receive(wait.saturating_mul(20))? {
            FromGuest::Settled => Ok(()),
            other => Err(self.finish(VmEnd::Channel {
                message: format!("the guest was to settle and said {other:?}"),
            })),
        }
    }

    /// Brings a machine that was started warm to where its template was kept, wakes
    /// its guest, and waits for its answer. Gives the time from QEMU's start to that.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn wake(
        &mut self,
        state: &Path,
        moment: Moment,
        deadline: Duration,
    ) -> Result<Duration, VmEnd> {
        let restored = match self.monitor.take() {
            Some(monitor) => Monitor::open(monitor)
                .map_err(TemplateError::from)
                .and_then(|mut monitor| template::restore(&mut monitor, state)),
            None => Err(TemplateError::NoMonitor),
        };
        if let Err(error) = restored {
            // QEMU's own end, with its last words, is the better reason.
            let end = match self.drain(LAST_WORDS) {
                VmEnd::Silent { .. } => VmEnd::NotRestored {
                    message: error.to_string(),
                },
                end => end,
            };
            return Err(self.finish(end));
        }
        self.send(&ToGuest::Wake(moment))?;
        match self.receive(deadline)? {
            FromGuest::Awake => Ok(self.started.elapsed()),
            other => Err(self.finish(VmEnd::Channel {
                message: format!("the guest was woken and said {other:?}"),
            })),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// How the machine ended; [`VmEnd::Silent`] when the guest leaves the message
    /// unread.
    pub fn send(&mut self, message: &ToGuest) -> Result<(), VmEnd> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        let started = Instant::now();
        match wire::write(&mut self.channel, message) {
            Ok(()) => Ok(()),
            Err(FrameError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // A panic may be why nobody reads.
                let end = self.last_words(Duration::ZERO, started.elapsed());
                Err(self.finish(end))
            }
            Err(FrameError::Io(error)) => {
                self.seen.channel.get_or_insert(error.to_string());
                let end = self.last_words(GRACE, started.elapsed());
                Err(self.finish(end))
            }
            Err(error) => Err(self.finish(VmEnd::Channel {
                message: error.to_string(),
            })),
        }
    }

    /// Waits for the guest's next message.
    ///
    /// # Errors
    /// How the machine ended; [`VmEnd::Silent`] after `deadline`. The machine is
    /// gone then, and every later call gives the same end.
    pub fn receive(&mut self, deadline: Duration) -> Result<FromGuest, VmEnd> {
        self.next(deadline)
    }

    /// Asks the guest to stop and waits for QEMU's end; kills it after
    /// `deadline`.
    ///
    /// # Errors
    /// When it did not go down by itself and cleanly.
    pub fn power_off(mut self, deadline: Duration) -> Result<(), VmEnd> {
        self.send(&ToGuest::PowerOff)?;
        match self.drain(deadline) {
            // What ended is what was asked for.
            VmEnd::Reset { .. } => {
                self.finish(VmEnd::Reset { said: None });
                Ok(())
            }
            end => Err(self.finish(end)),
        }
    }

    /// Kills it. Dropping does the same.
    pub fn kill(self) {}

    /// The last `count` lines of the console, at most 400, oldest first.
    #[must_use]
    pub fn console_tail(&self, count: usize) -> Vec<String> {
        self.tail.last(count)
    }

    /// How many lines the console has had so far.
    #[must_use]
    pub fn console_lines(&self) -> u64 {
        self.tail.count()
    }

    /// The console since it had so many lines, at most 400 of them, the last.
    #[must_use]
    pub fn console_since(&self, lines: u64) -> Vec<String> {
        self.tail.since(lines)
    }

    /// QEMU's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The next message, or the end.
    fn next(&mut self, deadline: Duration) -> Result<FromGuest, VmEnd> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        match self.wait(deadline) {
            Ok(FromGuest::Fatal { reason }) => Err(self.finish(VmEnd::GuestFatal { reason })),
            Ok(message) => Ok(message),
            Err(end) => Err(self.finish(end)),
        }
    }

    /// Waits for the machine's end, whatever else it says.
    fn drain(&mut self, deadline: Duration) -> VmEnd {
        let until = Instant::now() + deadline;
        loop {
            match self.wait(until.saturating_duration_since(Instant::now())) {
                Ok(FromGuest::Fatal { reason }) => return VmEnd::GuestFatal { reason },
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    }

    /// Why a message could not be sent.
    fn last_words(&mut self, grace: Duration, waited: Duration) -> VmEnd {
        match self.drain(grace) {
            VmEnd::Silent {
                lockup, last_line, ..
            } => VmEnd::Silent {
                waited,
                lockup,
                last_line,
            },
            end => end,
        }
    }

    fn wait(&mut self, deadline: Duration) -> Result<FromGuest, VmEnd> {
        let begun = Instant::now();
        let mut until = begun + deadline;
        if self.seen.channel.is_some() || self.seen.panic.is_some() {
            until = until.min(begun + GRACE);
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Message(message)) => {
                    // A kernel that panicked says nothing any more: someone wrote
                    // such a line to the console.
                    self.seen.panic = None;
                    return Ok(message);
                }
                Ok(Event::Console(line)) => match line.kind {
                    LineKind::Panic => {
                        self.seen.panic.get_or_insert(line.text);
                        until = until.min(Instant::now() + GRACE);
                    }
                    LineKind::Fatal => return Err(VmEnd::GuestFatal { reason: line.text }),
                    LineKind::Lockup => self.seen.lockup = Some(line.text),
                    LineKind::Reboot => self.seen.reboot = Some(line.text),
                    LineKind::NotKept => return Err(VmEnd::ConsoleLost { message: line.text }),
                },
                Ok(Event::Stopped(message)) => return Err(VmEnd::Stopped { message }),
                // QEMU is ending, and its console tells why: wait for that.
                Ok(Event::ChannelEnded(FrameError::Closed | FrameError::Io(_))) => {
                    self.seen
                        .channel
                        .get_or_insert_with(|| "closed by QEMU".to_owned());
                    until = until.min(Instant::now() + GRACE);
                }
                Ok(Event::ChannelEnded(error)) => {
                    return Err(VmEnd::Channel {
                        message: error.to_string(),
                    });
                }
                Ok(Event::ConsoleEnded) | Err(RecvTimeoutError::Disconnected) => {
                    self.seen.console_ended = true;
                    return Err(self.gone());
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.timed_out(begun.elapsed())),
            }
        }
    }

    fn timed_out(&self, waited: Duration) -> VmEnd {
        if let Some(message) = &self.seen.panic {
            return self.panicked(message);
        }
        if let Some(message) = &self.seen.channel {
            return VmEnd::Channel {
                message: message.clone(),
            };
        }
        VmEnd::Silent {
            waited,
            lockup: self.seen.lockup.clone(),
            last_line: self.tail.last(1).pop(),
        }
    }

    /// QEMU closed its stdout: it has ended, or is about to.
    fn gone(&mut self) -> VmEnd {
        let Some(status) = self.exit_status(GRACE) else {
            return VmEnd::Channel {
                message: "QEMU closed its console and runs on".to_owned(),
            };
        };
        if let Some(message) = &self.seen.panic {
            return self.panicked(message);
        }
        if status.success() {
            return VmEnd::Reset {
                said: self.seen.reboot.clone(),
            };
        }
        // Its last words may still be on their way through the other thread,
        // which ends with the pipe.
        self.join();
        VmEnd::QemuExited {
            status,
            stderr: self.stderr.text(),
        }
    }

    fn panicked(&self, message: &str) -> VmEnd {
        VmEnd::Panic {
            message: message.to_owned(),
            lines: self.tail.last(usize::MAX),
        }
    }

    /// Waits for QEMU, which is expected to end at once.
    fn exit_status(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Ends what is left of the machine and remembers how it ended.
    fn finish(&mut self, end: VmEnd) -> VmEnd {
        self.stop();
        self.end = Some(end.clone());
        end
    }

    /// Kills QEMU and everything in its process group, reaps it, and waits until
    /// its console is written.
    fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && let Some(group) = i32::try_from(self.child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw)
        {
            // It can fail only because the group is gone. It is ours: its leader
            // is our child and has not been reaped.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        drop(self.child.wait());
        drop(self.channel.shutdown(std::net::Shutdown::Both));
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so, and has no result to lose.
            drop(thread.join());
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.stop();
    }
}

fn report(sender: &Sender<Event>, event: Event) {
    // The machine may have been dropped; then nobody is left to tell.
    drop(sender.send(event));
}

fn read_channel(mut channel: UnixStream, sender: &Sender<Event>) {
    loop {
        let event = match wire::read(&mut channel) {
            Ok(message) => Event::Message(message),
            Err(error) => Event::ChannelEnded(error),
        };
        let ended = matches!(event, Event::ChannelEnded(_));
        report(sender, event);
        if ended {
            return;
        }
    }
}

/// Lets the child have a file descriptor under the number it has here.
fn inherit(command: &mut Command, descriptor: RawFd) {
    let clear = move || {
        // SAFETY: F_SETFD takes flags and touches no memory; the number is that
        // of a socket the parent keeps open until the child has been started.
        match unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call; no
    // allocation, no locks.
    unsafe {
        command.pre_exec(clear);
    }
}
