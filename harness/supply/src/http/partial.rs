//! A file on its way: what came so far, and whether it is what was wanted.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::HttpError;
use super::{Fetched, Validators, Want};
use crate::cache::{CacheError, hex};

/// A file being written, with the digest of what is in it.
pub(super) struct Partial<'a> {
    want: &'a Want<'a>,
    path: PathBuf,
    file: std::fs::File,
    hasher: Sha256,
    len: u64,
    resumed: bool,
    resumable: bool,
    /// Of the version of which the bytes so far are.
    pub(super) validators: Validators,
}

impl<'a> Partial<'a> {
    pub(super) fn create(path: &Path, want: &'a Want<'a>) -> Result<Partial<'a>, HttpError> {
        if let Some(error) = want.size.and_then(|size| CacheError::no_room(path, size)) {
            return Err(error.into());
        }
        let file = std::fs::File::create(path).map_err(|source| CacheError::io(path, source))?;
        Ok(Partial {
            want,
            path: path.to_owned(),
            file,
            hasher: Sha256::new(),
            len: 0,
            resumed: false,
            resumable: true,
            validators: Validators::default(),
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn resume(&mut self) {
        self.resumed = true;
    }

    pub(super) fn never_resume(&mut self) {
        self.resumable = false;
    }

    /// Whether the rest can be asked for by itself: the digest will show whether the
    /// parts belong together, or the server can tell.
    pub(super) fn is_resumable(&self) -> bool {
        self.resumable && self.len > 0 && (self.want.sha256.is_some() || self.if_range().is_some())
    }

    /// What tells a server which version the first part is of. A weak ETag must not
    /// be used for that (RFC 9110, 13.1.5).
    pub(super) fn if_range(&self) -> Option<&str> {
        match &self.validators.etag {
            Some(etag) if !etag.starts_with("W/") => Some(etag),
            _ => self.validators.last_modified.as_deref(),
        }
    }

    /// The most bytes it may have.
    pub(super) fn limit(&self) -> u64 {
        self.want.size.unwrap_or(self.want.limit)
    }

    /// Forgets what came so far.
    pub(super) fn restart(&mut self) -> Result<(), HttpError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|source| CacheError::io(&self.path, source))?;
        self.hasher = Sha256::new();
        self.len = 0;
        self.resumed = false;
        Ok(())
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let url = || self.want.url.to_owned();
        if self.len == 0 && is_html(bytes) {
            return Err(HttpError::Html { url: url() });
        }
        let len = self.len + bytes.len() as u64;
        if len > self.limit() {
            return Err(match self.want.size {
                Some(expected) => HttpError::WrongSize {
                    url: url(),
                    expected,
                    actual: len,
                },
                None => HttpError::TooLarge {
                    url: url(),
                    limit: self.limit(),
                },
            });
        }
        self.file
            .write_all(bytes)
            .map_err(|source| CacheError::io(&self.path, source))?;
        self.hasher.update(bytes);
        self.len = len;
        Ok(())
    }

    fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Whether its size and digest are the wanted ones.
    pub(super) fn fits(&self) -> bool {
        self.want.size.is_none_or(|size| size == self.len)
            && self
                .want
                .sha256
                .is_none_or(|sha256| sha256 == self.sha256())
    }

    /// The whole file, if it is what was wanted.
    pub(super) fn finish(&self) -> Result<Fetched, HttpError> {
        let url = || self.want.url.to_owned();
        let sha256 = self.sha256();
        match (self.want.size, self.want.sha256) {
            (Some(expected), _) if expected != self.len => Err(HttpError::WrongSize {
                url: url(),
                expected,
                actual: self.len,
            }),
            (_, Some(expected)) if expected != sha256 => Err(HttpError::WrongDigest {
                url: url(),
                expected: expected.to_owned(),
                actual: sha256,
            }),
            _ => Ok(Fetched {
                bytes: self.len,
                sha256,
                validators: self.validators.clone(),
            }),
        }
    }
}

/// Whether a file begins as web pages do; none of an archive's files does.
fn is_html(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    ["<!doctype html", "<html"].iter().any(|tag| {
        start
            .get(..tag.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::is_html;

    #[test]
    fn web_pages_are_known() {
        assert!(is_html(b"\n  <!DOCTYPE html>\n<html>"));
        assert!(is_html(b"<HTML><body>"));
        assert!(!is_html(b"-----BEGIN PGP SIGNED MESSAGE-----"));
        assert!(!is_html(b"!<arch>\n"));
        assert!(!is_html(b"<h"));
    }
}
