//! What images and registries can try, and what becomes of it, through `matrix fetch`
//! with a cache of its own. For each: what is said; that nothing outside of the cache
//! was written; that the cache has no trace of what was refused; how much memory it
//! took. ARCHITECTURE.md has the same table, held to this one.

mod documents;
mod names;
mod sizes;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use supply::oci::Digest;
use supply::{Contents, Place};

use crate::desk::{Desk, Fetched, files, oci, say};
use crate::made::{Image, Pack};
use crate::server::{Reply, Server};
use crate::tar_file::{Member, TarFile};

/// What becomes of it.
enum End {
    /// It is refused with these words.
    Refused(&'static str),
    /// It is harmless, as the words say and the function sees: given the files of the
    /// image's disk.
    Harmless(&'static str, fn(&Contents, &Trial)),
}
use End::{Harmless, Refused};

/// Where one is tried.
struct Trial {
    server: Server,
    /// A folder of this machine's that nothing may come into.
    outside: PathBuf,
}

struct Row {
    /// What is tried.
    tries: &'static str,
    make: fn(&Trial),
    end: End,
    /// Limits, where other than the defaults.
    environment: &'static [(&'static str, &'static str)],
    /// The most the program may have resident, MiB.
    most: u64,
}

/// What it takes for a sound image of a few bytes is some 25 of it.
const USUAL: u64 = 80;

const SMALL: &[(&str, &str)] = &[("MATRIX_IMAGE_MIB", "64"), ("MATRIX_IMAGE_ENTRIES", "1000")];

fn row(tries: &'static str, end: End, make: fn(&Trial)) -> Row {
    Row {
        tries,
        make,
        end,
        environment: &[],
        most: USUAL,
    }
}

fn blob(digest: &str) -> String {
    format!("/v2/a/b/blobs/{digest}")
}

fn manifest(name: &str) -> String {
    format!("/v2/a/b/manifests/{name}")
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

impl Trial {
    fn serve(&self, image: &Image) {
        self.put(&image.config);
        for layer in &image.layers {
            self.put(layer);
        }
        self.tagged(&image.manifest_bytes());
    }

    fn put(&self, bytes: &[u8]) {
        self.server
            .on(&blob(&digest(bytes)), Reply::File(bytes.to_vec()));
    }

    fn tagged(&self, bytes: &[u8]) {
        self.document(bytes);
        self.server.on(&manifest("1"), Reply::File(bytes.to_vec()));
    }

    fn document(&self, bytes: &[u8]) {
        self.server
            .on(&manifest(&digest(bytes)), Reply::File(bytes.to_vec()));
    }

    /// An image of one layer.
    fn layer(&self, plain: &[u8]) {
        self.serve(&Image::new("amd64", &[(plain, Pack::Gzip)]));
    }

    /// An image of one layer that comes out of `write`, which nobody will read to its
    /// end.
    fn endless(&self, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        write(&mut encoder).unwrap();
        self.kept(encoder.finish().unwrap());
    }

    /// An image of one layer that is kept so.
    fn kept(&self, layer: Vec<u8>) {
        let config = Image::new("amd64", &[(b"", Pack::Plain)]).config;
        let kind = Pack::Gzip.media_type();
        self.serve(&Image::of("amd64", config, vec![layer], [kind].into_iter()));
    }

    /// An image of one layer of these members.
    fn members(&self, members: &[(Member<'_>, &[u8])]) {
        let mut tar = TarFile::new();
        for (member, content) in members {
            tar.add(member, content);
        }
        self.layer(&tar.end());
    }

    fn outside(&self, name: &str) -> String {
        format!("{}/{name}", self.outside.display())
    }
}

fn good() -> Image {
    let mut tar = TarFile::new();
    tar.add(&Member::file("etc/good"), b"good");
    Image::new("amd64", &[(&tar.end(), Pack::Gzip)])
}

/// A file of an image, and its content.
fn has(contents: &Contents, path: &str, content: &[u8]) {
    let Place::File { path, .. } = contents.find(path) else {
        panic!("no file {path}");
    };
    assert_eq!(contents.read(&path).unwrap(), content, "{path}");
}

fn rows() -> Vec<Row> {
    [names::rows(), sizes::rows(), documents::rows()]
        .into_iter()
        .flatten()
        .collect()
}

/// A file's name and length: enough to see that it was touched by what writes.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let length = |path: &PathBuf| fs_err::symlink_metadata(folder.join(path)).unwrap().len();
    let all = files(folder).into_iter();
    all.map(|path| (path.clone(), length(&path))).collect()
}

/// What is wrong with how a row ended; none: nothing.
fn tried(row: &Row) -> Result<(), String> {
    let desk = Desk::new();
    let outside = desk.root().join("outside");
    fs_err::create_dir_all(&outside).unwrap();
    fs_err::write(outside.join("canary"), "of this machine").unwrap();
    let trial = Trial {
        server: Server::start(),
        outside,
    };
    (row.make)(&trial);
    let address = trial.server.url("");
    let reference = format!("{}/a/b:1", address.strip_prefix("http://").unwrap());
    desk.image("made", &format!("{{ oci = \"{reference}\" }}"));
    let not_cache = || -> Vec<(PathBuf, u64)> {
        let all = listing(desk.root()).into_iter();
        all.filter(|(path, _)| !path.starts_with("cache")).collect()
    };
    let before = not_cache();
    let Fetched { status, said, peak } = desk.fetch(row.environment);
    let check = |good: bool, what: &str| match good {
        true => Ok(()),
        false => Err(format!("{what}\n{said}")),
    };
    check(
        not_cache() == before,
        "something was written outside of the cache",
    )?;
    check(!Path::new("/tmp/climbed").exists(), "it climbed out")?;
    match &row.end {
        Refused(words) => {
            check(status == Some(3), "it is not refused")?;
            check(said.contains(words), "other words")?;
            let kept = desk.kept();
            check(kept.is_empty(), &format!("the cache has {kept:?}"))?;
        }
        Harmless(_, look) => {
            check(status == Some(0), "it is refused")?;
            let disk = desk.disk(&oci(&reference, "amd64"));
            look(&Contents::open(&disk.path).unwrap(), &trial);
        }
    }
    let peak = peak >> 20;
    say(&format!("{peak:4} MiB  {}", row.tries));
    check(peak > 1, "its memory was not looked at")?;
    check(peak <= row.most, &format!("it took {peak} MiB"))
}

#[test]
fn what_images_try_is_refused_or_harmless_and_leaves_nothing() {
    let rows = rows();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = tried(row) {
                        let mut wrong = wrong.lock().unwrap();
                        wrong.push(format!("{}: {what}", row.tries));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn architecture_has_the_same_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let page = fs_err::read_to_string(page).unwrap();
    let table: String = rows()
        .iter()
        .map(|row| match row.end {
            Refused(words) => format!("| {} | refused: *{words}* |\n", row.tries),
            Harmless(words, _) => format!("| {} | {words} |\n", row.tries),
        })
        .collect();
    assert!(
        page.contains(&format!("| --- | --- |\n{table}\n")),
        "ARCHITECTURE.md lacks this table, or has another:\n\n{table}"
    );
}
