//! Signals that ask the program to end.

use std::thread;

use super::sink::Sink;
use crate::error::Failure;

/// SIGINT, SIGTERM and SIGHUP end the run with its record closed; a second one
/// ends the program at once.
pub(super) fn watch(sink: Sink) -> Result<(), Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in &mut signals {
                if asked {
                    std::process::exit(128 + signal);
                }
                asked = true;
                // There are 64 at the most.
                sink.ask_to_end(u8::try_from(signal).unwrap_or(u8::MAX));
            }
        })?;
    Ok(())
}
