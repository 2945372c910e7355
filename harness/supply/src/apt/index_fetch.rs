//! A suite's indices: fetched, verified, unpacked, and kept.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::AptError;
use super::client::Apt;
use super::index::{self, Index};
use super::release::IndexFile;
use super::suite::Suite;
use crate::cache::{CacheError, Key, hex};
use crate::http::{HttpError, Want};

/// The most an index may unpack to whose unpacked size the Release does not tell.
const LIMIT: u64 = 1 << 30;
/// The most memory xz may take: its strongest setting needs 65 MB.
const XZ_MEMORY: u64 = 256 << 20;

/// How an index is packed; the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Xz,
    Gzip,
    Plain,
}

impl Packing {
    const ALL: [Packing; 3] = [Packing::Xz, Packing::Gzip, Packing::Plain];

    fn extension(self) -> &'static str {
        match self {
            Packing::Xz => ".xz",
            Packing::Gzip => ".gz",
            Packing::Plain => "",
        }
    }
}

impl Apt {
    /// The index of one folder of a suite with its SHA-256, from the cache if it is
    /// there; none if the Release lists none.
    pub(super) fn index(
        &self,
        suite: &Suite,
        folder: &str,
    ) -> Result<Option<(Arc<Index>, String)>, AptError> {
        let plain = suite.release.file(&format!("{folder}/Packages"));
        let packed: Vec<(Packing, &IndexFile)> = Packing::ALL
            .into_iter()
            .filter_map(|packing| {
                let path = format!("{folder}/Packages{}", packing.extension());
                suite.release.file(&path).map(|file| (packing, file))
            })
            .collect();
        let Some((_, first)) = packed.first() else {
            return Ok(None);
        };
        let sha256 = plain.unwrap_or(first).sha256.clone();
        if let Some(index) = self.loaded_index(&sha256) {
            return Ok(Some((index, sha256)));
        }
        let key = Key::new(index::FORMAT).with("sha256", &sha256);
        let make = |path: &Path| -> Result<(), AptError> {
            let text = self.fetch_index(suite, folder, &packed, plain)?;
            let built = index::build(&text).map_err(|source| AptError::MalformedIndex {
                url: suite.file(&format!("{folder}/Packages")),
                source,
            })?;
            std::fs::write(path, built).map_err(|source| CacheError::io(path, source).into())
        };
        let mut path = self.cache.build("index", &key, make)?;
        let mut index = load(&path)?;
        if index.is_none() {
            let damaged = path.display();
            self.progress.note(&format!(
                "{damaged}: damaged (its checksum differs), made again"
            ));
            self.cache.forget("index", &key)?;
            path = self.cache.build("index", &key, make)?;
            index = load(&path)?;
        }
        let index = Arc::new(index.ok_or(AptError::CachedIndex { path })?);
        self.keep_index(&sha256, &index);
        Ok(Some((index, sha256)))
    }

    /// The text of an index, from the smallest packing that the archive has.
    fn fetch_index(
        &self,
        suite: &Suite,
        folder: &str,
        packed: &[(Packing, &IndexFile)],
        plain: Option<&IndexFile>,
    ) -> Result<String, AptError> {
        let staging = self.cache.staging()?;
        let path = staging.path().join("index");
        let mut missing = None;
        for (packing, file) in packed {
            match self.fetch_packed(suite, folder, *packing, file, &path) {
                Ok(url) => return unpack(&path, &url, *packing, plain),
                // A Release lists indices that mirrors need not have.
                Err(AptError::Http(error @ HttpError::NotFound { .. })) => {
                    missing = missing.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        let url = || suite.file(&format!("{folder}/Packages"));
        Err(missing
            .unwrap_or_else(|| HttpError::NotFound { url: url() })
            .into())
    }

    /// Fetches one packing, by its digest where the archive offers that.
    fn fetch_packed(
        &self,
        suite: &Suite,
        folder: &str,
        packing: Packing,
        file: &IndexFile,
        path: &Path,
    ) -> Result<String, AptError> {
        let named = suite.file(&format!("{folder}/Packages{}", packing.extension()));
        let by_hash = suite.file(&format!("{folder}/by-hash/SHA256/{}", file.sha256));
        let urls = if suite.release.by_hash {
            vec![by_hash, named]
        } else {
            vec![named]
        };
        let what = format!("{} {folder}/Packages{}", suite.name, packing.extension());
        let mut result = Ok(String::new());
        for url in urls {
            let want = Want {
                url: &url,
                what: &what,
                size: Some(file.size),
                limit: file.size,
                sha256: Some(&file.sha256),
                validators: None,
            };
            result = match self.http.fetch(&want, path) {
                Ok(_) => return Ok(url),
                Err(error @ HttpError::NotFound { .. }) => Err(error.into()),
                Err(HttpError::WrongDigest {
                    url,
                    expected,
                    actual,
                }) => {
                    return Err(AptError::TamperedIndex {
                        url,
                        expected,
                        actual,
                    });
                }
                Err(HttpError::WrongSize {
                    url,
                    expected,
                    actual,
                }) => {
                    return Err(AptError::WrongSize {
                        url,
                        expected,
                        actual,
                    });
                }
                Err(error) => return Err(error.into()),
            };
        }
        result
    }
}

fn load(path: &Path) -> Result<Option<Index>, AptError> {
    let bytes = std::fs::read(path).map_err(|source| CacheError::io(path, source))?;
    Ok(Index::load(bytes))
}

/// Unpacks a verified file, to no more than the Release says it holds.
fn unpack(
    path: &Path,
    url: &str,
    packing: Packing,
    plain: Option<&IndexFile>,
) -> Result<String, AptError> {
    let failed = |source: io::Error| AptError::Unpack {
        url: url.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(|source| CacheError::io(path, source))?;
    let file = io::BufReader::with_capacity(1 << 16, file);
    let reader: Box<dyn Read> = match packing {
        Packing::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )
            .map_err(|error| failed(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
        }
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packing::Plain => Box::new(file),
    };
    let limit = plain.map_or(LIMIT, |plain| plain.size);
    let mut bytes = Vec::with_capacity(usize::try_from(limit.min(64 << 20)).unwrap_or_default());
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let actual = bytes.len() as u64;
    if actual > limit {
        return Err(AptError::Bomb {
            url: url.to_owned(),
            limit,
        });
    }
    if let Some(plain) = plain {
        if actual != plain.size {
            let expected = plain.size;
            return Err(AptError::WrongSize {
                url: url.to_owned(),
                expected,
                actual,
            });
        }
        let sha256 = hex(&Sha256::digest(&bytes));
        if sha256 != plain.sha256 {
            return Err(AptError::TamperedIndex {
                url: url.to_owned(),
                expected: plain.sha256.clone(),
                actual: sha256,
            });
        }
    }
    // Old indices hold names of people in other encodings, in fields not used here.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
