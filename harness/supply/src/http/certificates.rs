//! The certificates that HTTPS servers are checked against: the platform's, and
//! those that SSL_CERT_FILE and SSL_CERT_DIR name, as a company's proxy needs.
//!
//! Plain HTTP works where there are none at all, as in a bare container.

use std::path::{Path, PathBuf};

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::error::HttpError;

/// Where distributions keep their bundle: Debian, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// All certificates to trust. A file that the environment names must be readable.
pub(super) fn trusted() -> Result<Vec<Certificate>, HttpError> {
    let mut found = Vec::new();
    if let Some(bundle) = BUNDLES.iter().map(Path::new).find(|path| path.is_file()) {
        // Not named by the user, and plain HTTP does without.
        found.extend(read_file(bundle).unwrap_or_default());
    }
    if let Some(file) = variable("SSL_CERT_FILE") {
        found.extend(read_file(&file)?);
    }
    if let Some(folders) = variable("SSL_CERT_DIR") {
        for folder in std::env::split_paths(&folders) {
            found.extend(read_folder(&folder)?);
        }
    }
    found.sort_unstable();
    found.dedup();
    // One certificate that cannot be read would make the client refuse them all.
    let usable = |der: &Vec<u8>| {
        RootCertStore::empty()
            .add(CertificateDer::from_slice(der))
            .is_ok()
    };
    Ok(found
        .iter()
        .filter(|der| usable(der))
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect())
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn read_file(path: &Path) -> Result<Vec<Vec<u8>>, HttpError> {
    let failed = |reason: String| HttpError::Certificates {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    CertificateDer::pem_slice_iter(&pem)
        .map(|der| {
            der.map(|der| der.as_ref().to_vec())
                .map_err(|error| failed(error.to_string()))
        })
        .collect()
}

/// The certificates of a folder; files in it that hold none are passed over, as
/// OpenSSL does.
fn read_folder(path: &Path) -> Result<Vec<Vec<u8>>, HttpError> {
    let entries = std::fs::read_dir(path).map_err(|error| HttpError::Certificates {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| read_file(&entry.path()).ok())
        .flatten()
        .collect())
}
