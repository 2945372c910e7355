//! From the kernel's hand to "ready": only what is needed to say so.

mod channel;
mod modules;
mod requirements;
mod root;
mod standard;

use std::fs;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::kernel_log;

pub(crate) use channel::Channel;
pub(crate) use root::device_node;

/// What boot leaves to the session.
pub(crate) struct Booted {
    /// Open, and the harness has been told [`wire::FromGuest::Ready`].
    pub(crate) channel: Channel,
    /// Modules loaded, in order.
    pub(crate) modules: Vec<String>,
}

/// Makes the root, loads modules, opens the channel and reports.
///
/// # Errors
/// When the root or the channel cannot be had. Modules that failed are named in
/// the error only if the channel is what was missing; otherwise they are noted
/// in the kernel's log, which the harness is sent.
pub(crate) fn boot() -> Result<Booted> {
    // First the modules: they lie in the initramfs, which the new root covers.
    let load = modules::load("/modules");
    root::make()?;
    standard::open()?;
    for failure in &load.failures {
        kernel_log::note(&failure.to_string());
    }
    let mut channel = channel::open(&load.failures)?;
    requirements::check(&load.failures)?;
    let started = Instant::now();
    wire::spin(wire::SPIN_ITERATIONS);
    let spin = nanoseconds(started.elapsed());
    channel.send(&wire::FromGuest::Ready {
        spin,
        uptime: uptime()?,
    })?;
    Ok(Booted {
        channel,
        modules: load.loaded,
    })
}

/// A span as whole nanoseconds; 584 years fit.
fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since the kernel started.
fn uptime() -> Result<u64> {
    let path = "/proc/uptime";
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    parse_uptime(&text).ok_or_else(|| {
        Error::file("read", path)(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("{text:?} is no uptime"),
        ))
    })
}

/// `12.34 56.78` → 12340.
fn parse_uptime(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + hundredths.parse::<u64>().ok()? * 10)
}

#[cfg(test)]
mod tests {
    use super::parse_uptime;

    #[test]
    fn uptime_is_the_first_number_in_milliseconds() {
        assert_eq!(parse_uptime("1.07 0.31\n"), Some(1070));
        assert_eq!(parse_uptime("350735.47 234388.90\n"), Some(350_735_470));
        assert_eq!(parse_uptime(""), None);
    }
}
