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
    /// Follow no redirect from https to plain http.
    pub secure_redirects: bool,
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
            secure_redirects: false,
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

/// What a request says besides its URL, and who is told of what comes.
#[derive(Clone, Copy, Default)]
pub struct Asking<'a> {
    /// The Authorization header. Not sent on to another host by a redirect.
    pub authorization: Option<&'a str>,
    /// The Accept header.
    pub accept: Option<&'a str>,
    /// Called with the number of bytes that are in the file, after each piece; less
    /// than before means that the transfer began anew.
    pub landed: Option<&'a (dyn Fn(u64) + Sync)>,
    /// The server's own words are wanted of a refusal ([`HttpError::Denied`],
    /// [`HttpError::Unauthorized`]).
    pub words: bool,
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
    /// The Docker-Content-Digest header, which registries send.
    pub content_digest: Option<String>,
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
        self.fetch_asking(want, &Asking::default(), path)
    }

    /// As [`Http::fetch`], with more in the request.
    pub fn fetch_asking(
        &self,
        want: &Want<'_>,
        asking: &Asking<'_>,
        path: &Path,
    ) -> Result<Answer, HttpError> {
        let local = want.url.strip_prefix("file://");
        if self.options.offline && local.is_none() {
            return Err(HttpError::Offline {
                url: want.url.to_owned(),
            });
        }
        // What is told to have started must be told to have ended: nothing returns
        // in between.
        let mut partial = Partial::create(path, want, asking.landed)?;
        self.progress.started(want.what, want.size);
        let answer = match local {
            Some(source) => local::fetch(Path::new(source), &mut partial),
            None => self.fetch_patiently(want, asking, &mut partial),
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
        asking: &Asking<'_>,
        partial: &mut Partial<'_>,
    ) -> Result<attempt::Done, HttpError> {
        let client = self.client()?;
        let mut attempts = 1;
        loop {
            let error = match self.attempt(client, want, asking, partial) {
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
            let backoff = self.options.backoff * 2u32.saturating_pow(attempts - 1);
            std::thread::sleep(error.retry_after().unwrap_or_default().max(backoff));
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
            .redirect(self.redirects())
            .tls_certs_only(certificates::trusted()?);
        if !self.options.proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| HttpError::Client {
            reason: error::reason(&error),
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    fn redirects(&self) -> Policy {
        let most = self.options.redirects;
        if !self.options.secure_redirects {
            return Policy::limited(most);
        }
        Policy::custom(move |attempt| {
            let begun_secure = attempt
                .previous()
                .first()
                .is_some_and(|url| url.scheme() == "https");
            if attempt.previous().len() > most {
                attempt.error("too many redirects")
            } else if begun_secure && attempt.url().scheme() != "https" {
                let to = attempt.url().host_str().unwrap_or("nowhere").to_owned();
                attempt.error(format!("redirected from https to plain http at {to}"))
            } else {
                attempt.follow()
            }
        })
    }

    /// Whether a server answers at this URL at all, whatever it says. One attempt.
    ///
    /// # Errors
    /// When there is no connection, its certificate is refused, or fetching is
    /// forbidden.
    pub(crate) fn answers(&self, url: &str) -> Result<(), HttpError> {
        if self.options.offline {
            return Err(HttpError::Offline {
                url: url.to_owned(),
            });
        }
        match self.client()?.get(url).send() {
            Ok(_) => Ok(()),
            Err(error) => Err(match error::certificate_fault(&error) {
                Some(reason) => HttpError::Certificate {
                    url: url.to_owned(),
                    reason,
                },
                None => HttpError::Connect {
                    url: url.to_owned(),
                    reason: error::reason(&error),
                },
            }),
        }
    }

    /// Posts a form, already encoded, and gives the answer: at most `limit` bytes.
    ///
    /// # Errors
    /// When there is no connection or the server refuses.
    pub(crate) fn post_form(
        &self,
        url: &str,
        form: String,
        limit: u64,
    ) -> Result<Vec<u8>, HttpError> {
        use std::io::Read as _;
        if self.options.offline {
            return Err(HttpError::Offline {
                url: url.to_owned(),
            });
        }
        let broken = |reason: String| HttpError::Interrupted {
            url: url.to_owned(),
            bytes: 0,
            reason,
        };
        let response = self
            .client()?
            .post(url)
            .header(
                reqwest::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .body(form)
            .send()
            .map_err(|error| broken(error::reason(&error)))?;
        if !response.status().is_success() {
            return Err(attempt::denied(url, response));
        }
        let mut body = Vec::new();
        response
            .take(limit + 1)
            .read_to_end(&mut body)
            .map_err(|error| broken(error.to_string()))?;
        if body.len() as u64 > limit {
            return Err(HttpError::TooLarge {
                url: url.to_owned(),
                limit,
            });
        }
        Ok(body)
    }
}
