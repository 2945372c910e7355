//! Tarballs that are fetched, and the files of checksums beside them.

use std::path::PathBuf;

use super::ImageError;
use crate::cache::{Cache, CacheError, Key};
use crate::http::{Http, HttpError, Want};

/// The most bytes a file of checksums may have.
const LARGEST_CHECKSUMS: u64 = 16 << 20;

/// The most bytes a tarball may have.
const LARGEST_TARBALL: u64 = 16 << 30;

/// The SHA-256 a file of checksums has for the tarball at `tarball`. It is fetched
/// anew each time, as what it lists may change, but where fetching is forbidden.
pub(crate) fn checksum(
    cache: &Cache,
    http: &Http,
    url: &str,
    tarball: &str,
) -> Result<String, ImageError> {
    let key = Key::new("checksums-v1").with("url", url);
    let known = if http.is_offline() {
        cache.get("checksums", &key)
    } else {
        None
    };
    let path = match known {
        Some(path) => path,
        None => cache.replace("checksums", &key, |path| {
            let want = Want {
                url,
                what: &format!("checksums {}", name_of(url)),
                size: None,
                limit: LARGEST_CHECKSUMS,
                sha256: None,
                validators: None,
            };
            http.fetch(&want, path)?;
            Ok::<_, HttpError>(())
        })?,
    };
    let text = std::fs::read(&path).map_err(|source| CacheError::io(&path, source))?;
    let name = name_of(tarball);
    find(&String::from_utf8_lossy(&text), name).ok_or_else(|| ImageError::Checksums {
        url: url.to_owned(),
        name: name.to_owned(),
    })
}

/// The tarball of this digest.
pub(crate) fn tarball(
    cache: &Cache,
    http: &Http,
    url: &str,
    sha256: &str,
) -> Result<PathBuf, ImageError> {
    let path = cache.blob(sha256, |path| {
        let want = Want {
            url,
            what: name_of(url),
            size: None,
            limit: LARGEST_TARBALL,
            sha256: Some(sha256),
            validators: None,
        };
        http.fetch(&want, path)?;
        Ok::<_, HttpError>(())
    })?;
    Ok(path)
}

fn name_of(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    url.rsplit('/').next().unwrap_or(url)
}

/// The line for `name`: `DIGEST  NAME` or `DIGEST *NAME` as sha256sum writes it,
/// `SHA256 (NAME) = DIGEST` as BSD does, or the digest alone where there is no more in
/// the file. Paths before a name do not count.
fn find(text: &str, name: &str) -> Option<String> {
    let good = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    for line in text.lines().map(str::trim) {
        let (digest, file) = match line.strip_prefix("SHA256 (") {
            Some(rest) => match rest.rsplit_once(") = ") {
                Some((file, digest)) => (digest, file),
                None => continue,
            },
            None => match line.split_once(char::is_whitespace) {
                Some((digest, file)) => (digest, file.trim_start().trim_start_matches('*')),
                None => continue,
            },
        };
        if good(digest) && name_of(file) == name {
            return Some(digest.to_ascii_lowercase());
        }
    }
    let only = text.trim();
    good(only).then(|| only.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_checksums_is_read() {
        let digest = "0a".repeat(32);
        let other = "1b".repeat(32);
        for text in [
            format!("{other}  b.tar\n{digest}  a.tar\n"),
            format!("{} *./x/a.tar\n", digest.to_uppercase()),
            format!("SHA256 (a.tar) = {digest}\n"),
            format!("{digest}\n"),
        ] {
            assert_eq!(find(&text, "a.tar").as_deref(), Some(&*digest), "{text}");
        }
        for text in [
            String::new(),
            format!("{digest}  a.tar.gz\n"),
            "12  a.tar\n".to_owned(),
            format!("{digest}  b.tar\n{other}  c.tar\n"),
        ] {
            assert_eq!(find(&text, "a.tar"), None, "{text}");
        }
    }

    #[test]
    fn a_url_ends_in_a_name() {
        assert_eq!(name_of("https://m.example/a/b.tar.gz?x=/y#z"), "b.tar.gz");
    }
}
