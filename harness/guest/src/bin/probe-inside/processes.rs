//! Verbs on processes.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// How long an orphan waits to be one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The numbers in /proc, sorted.
pub(crate) fn list() -> io::Result<String> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    Ok(words.join(" "))
}

/// Signal 0: whether there is such a process.
pub(crate) fn kill(pid: &str) -> io::Result<String> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::kill(super::number(pid)?, 0) })?;
    Ok("there".to_owned())
}

/// Makes a process whose parent ends before it, waits until it has another one,
/// and until it has ended: `parent=1`. It stays a zombie.
pub(crate) fn orphan() -> io::Result<String> {
    let (reader, writer) = io::pipe()?;
    let parent = fork(|| {
        let own = std::process::id();
        let child = fork(|| {
            let begun = std::time::Instant::now();
            let mut parent = own;
            while parent == own && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
                parent = std::os::unix::process::parent_id();
            }
            let _ = io::Write::write_all(&mut &writer, parent.to_string().as_bytes());
        });
        if child.is_err() {
            let _ = io::Write::write_all(&mut &writer, b"none");
        }
    })?;
    drop(writer);
    // SAFETY: a null pointer is allowed for the status.
    check(unsafe { libc::waitpid(parent, std::ptr::null_mut(), 0) })?;
    // The pipe ends with the orphan.
    let mut parent = String::new();
    io::Read::read_to_string(&mut &reader, &mut parent)?;
    Ok(format!("parent={parent}"))
}

/// Waits for whatever has ended: `reaped=1`.
pub(crate) fn reap() -> io::Result<String> {
    let mut reaped = 0;
    loop {
        // SAFETY: a null pointer is allowed for the status.
        match check(unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) }) {
            Ok(0) => break,
            Ok(_) => reaped += 1,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(format!("reaped={reaped}"))
}

/// Leaves a process running that nobody waits for.
pub(crate) fn leave() -> io::Result<String> {
    fork(sleep_for_ever)?;
    Ok("ok".to_owned())
}

/// Forks until it is refused: `forked=7 then=EAGAIN`.
pub(crate) fn fork_many(most: u32) -> io::Result<String> {
    for forked in 0..most {
        if let Err(error) = fork(sleep_for_ever) {
            let word = super::errno::word(&error);
            return Ok(format!("forked={forked} then={word}"));
        }
    }
    Ok(format!("forked={most} then=no-refusal"))
}

/// Runs another program to its end and gives what it answered to the verb.
pub(crate) fn run(program: &str, words: &[&str]) -> io::Result<String> {
    let verb = words.join(" ");
    let output = Command::new(program).arg0(program).arg(&verb).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.trim().strip_prefix(&format!("{verb} -> "));
    Ok(answer.unwrap_or("no answer").to_owned())
}

fn sleep_for_ever() {
    loop {
        std::thread::sleep(PATIENCE);
    }
}

/// The child does `work` and ends; the parent gets its number.
fn fork(work: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: the process has one thread.
    match check(unsafe { libc::fork() })? {
        0 => {
            work();
            // SAFETY: ends the process without what the parent's copy will run.
            unsafe { libc::_exit(0) }
        }
        child => Ok(child),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}
