//! An archive made in the test, a mirror that serves it, and a client that asks.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use plan::{AptSource, AptSuite, Archive};
use sha2::{Digest, Sha256};
use supply::{
    Apt, AptError, AptOptions, Cache, Http, HttpOptions, Keyring, Mirrors, Progress, Universe,
};

use crate::server::{Reply, Server};
use crate::signer::Signer;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The content of a .deb: only its digest matters here. Large enough to be cut.
pub(crate) fn deb(name: &str) -> Vec<u8> {
    format!("!<arch>\n{name}\n").repeat(20_000).into_bytes()
}

/// A stanza of a Packages index.
pub(crate) fn stanza(name: &str, version: &str, fields: &str) -> String {
    let deb = deb(name);
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}\
         Filename: pool/{name}_{version}.deb\nSize: {}\nSHA256: {}\n\n",
        deb.len(),
        sha256(&deb)
    )
}

/// A mirror with one suite, `test`, at /debian.
pub(crate) struct Mirror {
    pub(crate) server: Server,
    pub(crate) signer: Signer,
    /// Fields of the Release before its table.
    pub(crate) head: BTreeMap<&'static str, String>,
    /// Files below dists/test/, listed in the Release.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Mirror {
    pub(crate) fn new(packages: &str) -> Mirror {
        let files = BTreeMap::from([
            (
                "main/binary-amd64/Packages".to_owned(),
                packages.as_bytes().to_vec(),
            ),
            (
                "main/binary-amd64/Packages.xz".to_owned(),
                xz(packages.as_bytes()),
            ),
        ]);
        let head = [
            ("Origin", "Debian"),
            ("Label", "Debian"),
            ("Suite", "testing"),
            ("Codename", "test"),
            ("Architectures", "amd64"),
            ("Components", "main contrib"),
        ];
        let mut head: BTreeMap<&str, String> = head
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        head.insert("Date", date(-1));
        Mirror {
            server: Server::start(),
            signer: Signer::good(),
            head,
            files,
        }
    }

    /// With two packages, of which `b` needs `a`.
    pub(crate) fn plain() -> Mirror {
        Mirror::new(&[stanza("a", "1.0", ""), stanza("b", "2.0", "Depends: a\n")].concat())
    }

    pub(crate) fn release(&self) -> String {
        let mut text: String = self
            .head
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        text.push_str("SHA256:\n");
        for (path, bytes) in &self.files {
            text += &format!(" {} {} {path}\n", sha256(bytes), bytes.len());
        }
        text
    }

    /// Serves all, well.
    pub(crate) fn publish(&self) {
        for (path, bytes) in &self.files {
            let path = format!("/debian/dists/test/{path}");
            let by_hash = format!(
                "{}/by-hash/SHA256/{}",
                path.rsplit_once('/').unwrap().0,
                sha256(bytes)
            );
            if self
                .head
                .get("Acquire-By-Hash")
                .is_some_and(|it| it == "yes")
            {
                self.server.on(&by_hash, Reply::File(bytes.clone()));
            } else {
                self.server.on(&path, Reply::File(bytes.clone()));
            }
            if path.ends_with("/Packages") {
                for name in String::from_utf8_lossy(bytes)
                    .lines()
                    .filter_map(|it| it.strip_prefix("Filename: pool/"))
                {
                    let deb = deb(name.split('_').next().unwrap());
                    self.server
                        .on(&format!("/debian/pool/{name}"), Reply::File(deb));
                }
            }
        }
        self.in_release(Reply::File(self.signer.clear(&self.release())));
    }

    pub(crate) fn in_release(&self, reply: Reply) {
        self.server.on("/debian/dists/test/InRelease", reply);
    }

    pub(crate) fn source(&self, suite: &str, allow_expired: bool) -> AptSource {
        let archive = Archive::Url(self.server.url("/debian/"));
        AptSource {
            suites: vec![AptSuite {
                archive,
                suite: suite.to_owned(),
                allow_expired,
            }],
            packages: vec![],
            architecture: "amd64".to_owned(),
            pinned: vec![],
        }
    }

    pub(crate) fn client(&self) -> Client {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        self.client_with(folder, HttpOptions::default(), AptOptions::default())
    }

    pub(crate) fn client_with(
        &self,
        folder: Arc<tempfile::TempDir>,
        http: HttpOptions,
        options: AptOptions,
    ) -> Client {
        let events = Arc::new(Events::default());
        let progress: Arc<dyn Progress> = Arc::clone(&events) as Arc<dyn Progress>;
        let http = HttpOptions {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_millis(1500),
            backoff: Duration::from_millis(1),
            proxy: false,
            ..http
        };
        let cache = Cache::open(folder.path())
            .unwrap()
            .with_progress(Arc::clone(&progress));
        let cache = Arc::new(cache);
        let http = Arc::new(Http::new(http, Arc::clone(&progress)));
        let apt = Apt::new(Arc::clone(&cache), http, progress)
            .with_keyring(Keyring::from_bytes(&self.signer.keyring()).unwrap())
            .with_mirrors(Mirrors::default())
            .with_options(options);
        Client {
            folder,
            cache,
            apt,
            events,
            source: self.source("test", false),
        }
    }
}

/// A date so many days from now, as a Release has it.
pub(crate) fn date(days: i64) -> String {
    let time = Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

pub(crate) struct Client {
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) apt: Apt,
    pub(crate) events: Arc<Events>,
    source: AptSource,
}

impl Client {
    pub(crate) fn open(&self) -> Result<Universe, AptError> {
        self.apt.open(&self.source)
    }

    /// The error of opening the suite, after which nothing of these kinds may be in
    /// the cache.
    pub(crate) fn refused(&self, kinds: &[&str]) -> AptError {
        let error = self.open().err().expect("the suite was opened");
        for kind in kinds {
            assert_eq!(self.kept(kind), 0, "{kind} was kept in spite of: {error}");
        }
        error
    }

    /// How many things of a kind are in the cache.
    pub(crate) fn kept(&self, kind: &str) -> usize {
        self.cache
            .entries()
            .unwrap()
            .iter()
            .filter(|entry| entry.kind == kind)
            .count()
    }
}

/// What was told of on the way.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) finished: Mutex<Vec<(String, u64, Option<String>)>>,
}

impl Progress for Events {
    fn started(&self, _: &str, _: Option<u64>) {}
    fn advanced(&self, _: &str, _: u64) {}
    fn finished(&self, what: &str, bytes: u64, error: Option<&str>) {
        self.finished
            .lock()
            .unwrap()
            .push((what.to_owned(), bytes, error.map(str::to_owned)));
    }
    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }
}
