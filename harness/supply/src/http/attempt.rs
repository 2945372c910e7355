//! One attempt at a transfer, from where the last one broke off.

use std::io::Read;
use std::time::Instant;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE,
};

use super::error::{HttpError, certificate_fault, reason};
use super::partial::Partial;
use super::{Http, Validators, Want};

/// Fewer bytes than this within the time a server may stall count as none: a
/// trickle that would take days is a server that hangs.
const TRICKLE: u64 = 1024;

/// How an attempt ended, if not in an error.
pub(super) enum Done {
    /// All there is has come.
    Complete,
    /// Nothing changed since the validators were given out.
    NotModified,
}

impl Http {
    pub(super) fn attempt(
        &self,
        client: &Client,
        want: &Want<'_>,
        partial: &mut Partial<'_>,
    ) -> Result<Done, HttpError> {
        let url = || want.url.to_owned();
        let mut request = client.get(want.url);
        if partial.is_resumable() {
            request = request.header(RANGE, format!("bytes={}-", partial.len()));
            if let Some(version) = partial.if_range() {
                request = request.header(IF_RANGE, version);
            }
        } else if let Some(validators) = want.validators {
            if let Some(etag) = &validators.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(last_modified) = &validators.last_modified {
                request = request.header(IF_MODIFIED_SINCE, last_modified);
            }
        }
        let response = request
            .send()
            .map_err(|error| self.failed(want, partial.len(), &error))?;
        match response.status() {
            StatusCode::OK => {
                if partial.len() > 0 {
                    partial.restart()?;
                }
                partial.validators = Validators {
                    etag: header(&response, &ETAG),
                    last_modified: header(&response, &LAST_MODIFIED),
                };
            }
            StatusCode::PARTIAL_CONTENT if continues(&response, partial.len()) => partial.resume(),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                let bytes = partial.len();
                partial.restart()?;
                let reason = "the server did not go on where it stopped".to_owned();
                return Err(HttpError::Interrupted {
                    url: url(),
                    bytes,
                    reason,
                });
            }
            StatusCode::NOT_MODIFIED if want.validators.is_some() && partial.len() == 0 => {
                return Ok(Done::NotModified);
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(HttpError::NotFound { url: url() });
            }
            status => {
                return Err(HttpError::Status {
                    url: url(),
                    status: status.as_u16(),
                });
            }
        }
        check_length(want, &response, partial)?;
        self.receive(want, response, partial)
    }

    fn receive(
        &self,
        want: &Want<'_>,
        mut response: Response,
        partial: &mut Partial<'_>,
    ) -> Result<Done, HttpError> {
        let stall = self.options.stall_timeout;
        let (mut since, mut until_then) = (Instant::now(), partial.len());
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match response.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                    return Err(match inner {
                        Some(inner) => self.failed(want, partial.len(), inner),
                        None => HttpError::Interrupted {
                            url: want.url.to_owned(),
                            bytes: partial.len(),
                            reason: error.to_string(),
                        },
                    });
                }
            };
            partial.push(&buffer[..read])?;
            self.progress.advanced(want.what, partial.len());
            if since.elapsed() >= stall {
                if partial.len() - until_then < TRICKLE {
                    return Err(self.stalled(want));
                }
                (since, until_then) = (Instant::now(), partial.len());
            }
        }
        match want.size {
            // A server that gives no length and hangs up early looks like the end.
            Some(size) if partial.len() < size => Err(HttpError::Interrupted {
                url: want.url.to_owned(),
                bytes: partial.len(),
                reason: format!("{size} were expected"),
            }),
            _ => Ok(Done::Complete),
        }
    }

    fn failed(&self, want: &Want<'_>, bytes: u64, error: &reqwest::Error) -> HttpError {
        let url = want.url.to_owned();
        if error.is_redirect() {
            HttpError::Redirects {
                url,
                limit: self.options.redirects,
            }
        } else if let Some(reason) = certificate_fault(error) {
            HttpError::Certificate { url, reason }
        } else if error.is_connect() {
            HttpError::Connect {
                url,
                reason: reason(error),
            }
        } else if error.is_timeout() {
            self.stalled(want)
        } else if error.is_builder() {
            // No URL, or one of another scheme.
            HttpError::Connect {
                url,
                reason: reason(error),
            }
        } else {
            HttpError::Interrupted {
                url,
                bytes,
                reason: reason(error),
            }
        }
    }

    fn stalled(&self, want: &Want<'_>) -> HttpError {
        let seconds = self.options.stall_timeout.as_secs_f64();
        HttpError::Stalled {
            url: want.url.to_owned(),
            seconds,
        }
    }
}

/// Refuses by what the headers promise, before the first byte.
fn check_length(
    want: &Want<'_>,
    response: &Response,
    partial: &Partial<'_>,
) -> Result<(), HttpError> {
    let Some(rest) = response.content_length() else {
        return Ok(());
    };
    let url = || want.url.to_owned();
    let actual = partial.len() + rest;
    match want.size {
        Some(expected) if actual != expected => {
            let page = header(response, &CONTENT_TYPE)
                .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
            if page {
                return Err(HttpError::Html { url: url() });
            }
            Err(HttpError::WrongSize {
                url: url(),
                expected,
                actual,
            })
        }
        None if actual > want.limit => Err(HttpError::TooLarge {
            url: url(),
            limit: want.limit,
        }),
        _ => Ok(()),
    }
}

/// Whether a partial answer starts where the last one stopped: `bytes 100-199/200`.
fn continues(response: &Response, len: u64) -> bool {
    header(response, &CONTENT_RANGE)
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .and_then(|(start, _)| start.parse::<u64>().ok())
        .is_some_and(|start| start == len)
}

fn header(response: &Response, name: &HeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}
