//! How a download or an unpacking tells the world how far it is. Nothing in this
//! crate prints: the command shows these as bars or as lines of a log.

/// Told of work as it goes. `what` names one piece of work from its start to its
/// end, as a person would (`linux-image-6.1.0-50-cloud-amd64 6.1.170-1`); several
/// can be under way at once, on several threads.
pub trait Progress: Send + Sync {
    /// Work began; `total` bytes are expected, if that is known.
    fn started(&self, what: &str, total: Option<u64>);
    /// `done` bytes so far, counted from the start of `what`.
    fn advanced(&self, what: &str, done: u64);
    /// What this thread works for, its [`purpose`](crate::purpose), needs so many
    /// files of so many bytes in all that are not in the cache. Each is told as
    /// it starts, too. `noun` says what they are: `package`.
    fn planned(&self, files: usize, noun: &'static str, bytes: u64) {
        let _ = (files, noun, bytes);
    }
    /// Work ended after `bytes` bytes; with the error's text if it failed.
    fn finished(&self, what: &str, bytes: u64, error: Option<&str>);
    /// Something a person should know that is no failure: a damaged file of the
    /// cache fetched again, an archive past its Valid-Until.
    fn note(&self, message: &str);
}

/// Hears nothing: for tests, and for callers that show nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _what: &str, _total: Option<u64>) {}
    fn advanced(&self, _what: &str, _done: u64) {}
    fn finished(&self, _what: &str, _bytes: u64, _error: Option<&str>) {}
    fn note(&self, _message: &str) {}
}
