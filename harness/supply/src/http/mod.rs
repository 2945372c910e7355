//! Fetching over HTTP and from `file://`, as unkind networks need it: with time
//! limits, size limits, a digest taken on the way, and broken transfers resumed.

mod attempt;
mod certificates;
mod error;
mod local;
mod partial;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::redirect::Policy;

pub use error::HttpError;

use crate::progress::Progress;
use partial::Partial;

/// Settings of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Fetch nothing; what would be fetched is an error that names it.
    pub offline: bool,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a server may send nothing, or next to nothing.
    pub stall_timeout: Duration,
    /// How many redirects to follow.
    pub redirects: usize,
    /// How often to try in all, when a transfer breaks or a server is overloaded.
    pub attempts: u32,
    /// How long to wait before the second attempt; doubled before each later one.
    pub backoff: Duration,
    /// Use the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
    pub proxy: bool,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            offline: false,
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            redirects: 10,
            attempts: 4,
            backoff: Duration::from_millis(500),
            proxy: true,
        }
    }
}

/// What to fetch, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// `http://`, `https://` or `file://`.
    pub url: &'a str,
    /// What it is called in progress.
    pub what: &'a str,
    /// Its exact size in bytes, if that is known.
    pub size: Option<u64>,
    /// More bytes than this are refused; `size` counts where it is known.
    pub limit: u64,
    /// Its SHA-256 in lower-case hexadecimal, if that is known.
    pub sha256: Option<&'a str>,
    /// What an earlier answer said, to be told that nothing changed.
    pub validators: Option<&'a Validators>,
}

/// What a server says to recognise a version of a file by.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// The ETag header.
    pub etag: Option<String>,
    /// The Last-Modified header.
    pub last_modified: Option<String>,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The file, whole and with the size and digest that were wanted.
    Fetched(Fetched),
    /// It did not change since the validators were given out.
    NotModified,
}

/// A fetched file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// To ask with next time.
    pub validators: Validators,
}

/// The client. Threads share it; it connects to nothing before it is asked to.
pub struct Http {
    options: HttpOptions,
    progress: Arc<dyn Progress>,
    client: OnceLock<Client>,
}

impl Http {
    /// A client with these settings, which tells `progress` of each transfer.
    pub fn new(options: HttpOptions, progress: Arc<dyn Progress>) -> Http {
        Http {
            options,
            progress,
            client: OnceLock::new(),
        }
    }

    /// Whether fetching is forbidden.
    pub fn is_offline(&self) -> bool {
        self.options.offline
    }

    /// Fetches to `path`, which is created or overwritten. After an error what is
    /// there is worthless.
    pub fn fetch(&self, want: &Want<'_>, path: &Path) -> Result<Answer, HttpError> {
        let local = want.url.strip_prefix("file://");
        if self.options.offline && local.is_none() {
            return Err(HttpError::Offline {
                url: want.url.to_owned(),
            });
        }
        // What is told to have started must be told to have ended: nothing returns
        // in between.
        let mut partial = Partial::create(path, want)?;
        self.progress.started(want.what, want.size);
        let answer = match local {
            Some(source) => local::fetch(Path::new(source), &mut partial),
            None => self.fetch_patiently(want, &mut partial),
        };
        let answer = answer.and_then(|done| match done {
            attempt::Done::NotModified => Ok(Answer::NotModified),
            attempt::Done::Complete => partial.finish().map(Answer::Fetched),
        });
        let error = answer.as_ref().err().map(ToString::to_string);
        self.progress
            .finished(want.what, partial.len(), error.as_deref());
        answer
    }

    /// Tries again what can be mended by trying again, from where it broke off.
    fn fetch_patiently(
        &self,
        want: &Want<'_>,
        partial: &mut Partial<'_>,
    ) -> Result<attempt::Done, HttpError> {
        let client = self.client()?;
        let mut attempts = 1;
        loop {
            let error = match self.attempt(client, want, partial) {
                // A resumed file that does not add up may be two versions of it
                // joined: that deserves one honest attempt in one piece.
                Ok(attempt::Done::Complete) if partial.is_resumed() && !partial.fits() => {
                    partial.restart()?;
                    partial.never_resume();
                    continue;
                }
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if attempts >= error.attempts(self.options.attempts) {
                return Err(error);
            }
            self.progress.note(&format!("{error}; trying again"));
            std::thread::sleep(self.options.backoff * 2u32.saturating_pow(attempts - 1));
            attempts += 1;
        }
    }

    /// Made when it is first needed: a run that finds all in the cache starts no
    /// thread for it and reads no certificates.
    fn client(&self) -> Result<&Client, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // An error means that one is installed already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("matrix/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.options.connect_timeout)
            // Of a blocking client this is the longest wait for the headers, and
            // then for each part of the body; it does not bound the whole.
            .timeout(self.options.stall_timeout)
            .redirect(Policy::limited(self.options.redirects))
            .tls_certs_only(certificates::trusted()?);
        if !self.options.proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| HttpError::Client {
            reason: error::reason(&error),
        })?;
        Ok(self.client.get_or_init(|| client))
    }
}
