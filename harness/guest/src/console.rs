//! The console: the only way to speak before there is a channel, and after it
//! broke.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;

/// Prints one line that the harness looks for on the console, and waits until
/// it has left the machine.
pub(crate) fn fatal(reason: &str) {
    // A leading newline: the kernel may have stopped in the middle of a line.
    let line = format!("\n{}{}\n", wire::FATAL_MARK, one_line(reason));
    let console = OpenOptions::new().write(true).open("/dev/console");
    match console {
        Ok(mut console) => say(&mut console, &line),
        // Before /dev is there, the kernel's own descriptor is all there is.
        Err(_) => say(&mut std::io::stderr(), &line),
    }
}

/// Writes and drains. There is nobody left to tell when the console itself
/// fails.
fn say(console: &mut (impl Write + AsFd), line: &str) {
    if console.write_all(line.as_bytes()).is_ok() {
        // A power-off cuts what the serial driver still buffers.
        let _ = rustix::termios::tcdrain(console.as_fd());
    }
}

/// A panic of this program says where it happened on the console and stops the
/// machine; without this the kernel would only say that init was killed.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // Panics of this program's own code carry one of these two.
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {place}"));
        crate::power::fatal(&format!("the guest program panicked{place}: {message}"));
    }));
}

/// The harness reads one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(super::one_line("a\n  b\r\nc "), "a b c");
    }
}
