//! The Debian mirror this machine uses, seen through a server on the loopback that
//! counts what is asked of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use supply::http::{Answer, Want};
use supply::{Http, HttpError, HttpOptions, Mirrors, Silent};

use crate::loopback::{Server, found, not_found};

/// What the mirror has at a path; none: nothing.
type Content = Option<Arc<Vec<u8>>>;

/// The mirror, with what was asked of it already, for all tests.
struct Upstream {
    url: String,
    http: Http,
    files: Mutex<HashMap<String, Arc<OnceLock<Content>>>>,
}

impl Upstream {
    fn of_this_machine() -> &'static Upstream {
        static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
        UPSTREAM.get_or_init(|| {
            for url in Mirrors::of_this_machine().unwrap().debian {
                let upstream = Upstream {
                    url,
                    http: Http::new(HttpOptions::default(), Arc::new(Silent)),
                    files: Mutex::default(),
                };
                let known = upstream.get("/dists/bookworm/InRelease");
                if known.is_some_and(|text| text.starts_with(b"-----BEGIN PGP SIGNED")) {
                    return upstream;
                }
            }
            panic!("no Debian mirror is to be reached");
        })
    }

    fn get(&self, path: &str) -> Content {
        let mut files = self.files.lock().unwrap();
        let file = Arc::clone(files.entry(path.to_owned()).or_default());
        drop(files);
        file.get_or_init(|| {
            let url = format!("{}{path}", self.url);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("file");
            let want = Want {
                url: &url,
                what: path,
                size: None,
                limit: 1 << 30,
                sha256: None,
                validators: None,
            };
            match self.http.fetch(&want, &file) {
                Ok(Answer::Fetched(_)) => Some(Arc::new(fs_err::read(file).unwrap())),
                Ok(Answer::NotModified) => panic!("no validators were given"),
                // A mirror of another vendor may not even be there.
                Err(HttpError::NotFound { .. } | HttpError::Connect { .. }) => None,
                Err(HttpError::Status { .. } | HttpError::Html { .. }) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .clone()
    }
}

/// A mirror at `http://127.0.0.1:PORT/debian` that has what this machine's has.
pub(crate) struct Mirror {
    server: Server,
}

impl Mirror {
    pub(crate) fn start() -> Mirror {
        let upstream = Upstream::of_this_machine();
        let server = Server::start(None, |line, stream| {
            let path = line
                .strip_prefix("GET /debian")
                .and_then(|rest| rest.split(' ').next());
            match path.and_then(|path| upstream.get(path)) {
                Some(content) => found(stream, &content),
                None => not_found(stream),
            }
        });
        Mirror { server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/debian", self.server.port())
    }

    /// How often each file was asked for, by the end of its path.
    pub(crate) fn requests(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for line in self.server.requests() {
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            *count.entry(path).or_default() += 1;
        }
        count
    }
}
