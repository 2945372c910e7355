//! What can go wrong with a fetch.

use std::error::Error;
use std::path::PathBuf;

use crate::cache::CacheError;

/// What can go wrong with a fetch.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not in the cache, and fetching is forbidden.
    #[error(
        "{url}: not in the cache, and --offline forbids fetching it\nhint: `matrix fetch` without --offline fills the cache"
    )]
    Offline {
        /// What is missing.
        url: String,
    },
    /// No connection.
    #[error("{url}: no connection: {reason}")]
    Connect {
        /// What was asked for.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The server, or who stands in between, is not who it says it is.
    #[error(
        "{url}: its certificate is refused: {reason}\nhint: where a proxy or a mirror of your own is meant, SSL_CERT_FILE names the certificates to trust besides"
    )]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server stopped sending.
    #[error("{url}: the server sent nothing, or next to nothing, for {seconds} s")]
    Stalled {
        /// What was asked for.
        url: String,
        /// The limit.
        seconds: f64,
    },
    /// The transfer broke off.
    #[error("{url}: the transfer broke off after {bytes} bytes: {reason}")]
    Interrupted {
        /// What was asked for.
        url: String,
        /// How much had come.
        bytes: u64,
        /// Why.
        reason: String,
    },
    /// Too many redirects, or a loop.
    #[error("{url}: redirected more than {limit} times")]
    Redirects {
        /// What was asked for.
        url: String,
        /// How many are followed.
        limit: usize,
    },
    /// The server has no such file.
    #[error("{url}: not found on the server")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The server refused.
    #[error("{url}: the server answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The code.
        status: u16,
    },
    /// A web page came in place of the file.
    #[error(
        "{url}: a web page came in place of the file\nhint: a proxy or a login page of the network may stand in between"
    )]
    Html {
        /// What was asked for.
        url: String,
    },
    /// More bytes than are sensible.
    #[error("{url}: larger than the {limit} bytes it may have")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The most it may have.
        limit: u64,
    },
    /// Another size than is known of it.
    #[error("{url}: {actual} bytes where {expected} were expected")]
    WrongSize {
        /// What was asked for.
        url: String,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        actual: u64,
    },
    /// Another content than is known of it.
    #[error("{url}: its SHA-256 is {actual} where {expected} was expected")]
    WrongDigest {
        /// What was asked for.
        url: String,
        /// The digest it should have.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// What came could not be written.
    #[error(transparent)]
    Write(#[from] CacheError),
    /// A `file://` archive's file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of certificates named in the environment could not be used.
    #[error("{}: no certificates could be read from it: {reason}\nhint: SSL_CERT_FILE or SSL_CERT_DIR names it", path.display())]
    Certificates {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The client could not be set up.
    #[error(
        "no HTTP client could be set up: {reason}\nhint: look at the proxy settings in the environment"
    )]
    Client {
        /// Why.
        reason: String,
    },
}

impl HttpError {
    /// How often in all to try what ends so, given how often a broken transfer is
    /// tried. Waiting for a server that does not answer takes long: twice is enough.
    pub(super) fn attempts(&self, most: u32) -> u32 {
        match self {
            HttpError::Interrupted { .. } => most,
            HttpError::Status {
                status: 408 | 429 | 500 | 502 | 503 | 504,
                ..
            } => most,
            HttpError::Connect { .. } | HttpError::Stalled { .. } => most.min(2),
            _ => 1,
        }
    }

    /// Whether another server may do better, as for a mirror that is down.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            HttpError::Connect { .. } | HttpError::Stalled { .. } | HttpError::Interrupted { .. }
        )
    }
}

/// What is wrong with a server's certificate, where that is why a request failed.
pub(super) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return Some(certificate_words(fault));
        }
        // An I/O error passes over what it wraps when it is asked for its source.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(error) => error
                .get_ref()
                .map(|wrapped| wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn certificate_words(fault: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Fault;
    match fault {
        // The latter: by someone who only bears the name of one it trusts.
        Fault::UnknownIssuer | Fault::BadSignature => {
            "nobody this machine trusts has signed it".to_owned()
        }
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired".to_owned(),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".to_owned()
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "it is another host's".to_owned()
        }
        other => other.to_string(),
    }
}

/// The innermost cause: reqwest's own words only repeat the URL.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
