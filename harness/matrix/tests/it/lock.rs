//! matrix.lock, from `matrix update` to a run that is held to it: with an archive made
//! here, whose one package is a real kernel, and which moves on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use report::ColumnStatus;
use sha2::{Digest as _, Sha256};
use supply::{Apt, Cache, Http, HttpOptions, Silent};

use crate::loopback::{Server, found, not_found};
use crate::project::{Project, stderr};
use crate::signer::Signer;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// An archive at `http://127.0.0.1:PORT/apt` with the suite `made`.
struct Archive {
    server: Server,
    files: Files,
    signer: Signer,
}

impl Archive {
    fn start() -> Archive {
        let files = Files::default();
        let served = Arc::clone(&files);
        let server = Server::start(None, move |line, stream| {
            let path = line
                .strip_prefix("GET /apt/")
                .and_then(|it| it.split(' ').next());
            let content = path.and_then(|path| served.lock().unwrap().get(path).cloned());
            match content {
                Some(content) => found(stream, &content),
                None => not_found(stream),
            }
        });
        Archive {
            server,
            files,
            signer: Signer::good(),
        }
    }

    /// The index has this version alone; what was in the pool stays there.
    fn publish(&self, version: &str, deb: &[u8]) {
        let pool = format!("pool/linux-image-made_{version}_amd64.deb");
        let packages = format!(
            "Package: linux-image-made\nVersion: {version}\nArchitecture: amd64\n\
             Filename: {pool}\nSize: {}\nSHA256: {}\n\n",
            deb.len(),
            sha256(deb)
        );
        let release = format!(
            "Origin: Somebody\nSuite: stable\nCodename: made\nArchitectures: amd64\n\
             Components: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            sha256(packages.as_bytes()),
            packages.len()
        );
        let mut files = self.files.lock().unwrap();
        files.insert(pool, deb.to_vec());
        files.insert(
            "dists/made/main/binary-amd64/Packages".to_owned(),
            packages.into_bytes(),
        );
        files.insert(
            "dists/made/InRelease".to_owned(),
            self.signer.clear(&release),
        );
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Debian's 6.1 as its package, from the cache the tests share.
fn real_kernel() -> Vec<u8> {
    let root = std::env::var_os("MATRIX_CACHE").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Cache::default_root().unwrap());
    let http = Http::new(HttpOptions::default(), Arc::new(Silent));
    let cache = Arc::new(Cache::open(&root).unwrap());
    let apt = Apt::new(cache, Arc::new(http), Arc::new(Silent));
    let source = plan::AptSource {
        suites: vec![plan::AptSuite {
            archive: plan::Archive::Debian,
            suite: "bookworm".to_owned(),
            allow_expired: false,
        }],
        packages: Vec::new(),
        architecture: "amd64".to_owned(),
        pinned: Vec::new(),
    };
    let universe = apt.open(&source).unwrap();
    let packages = universe.kernel("linux-image-cloud-amd64").unwrap();
    fs_err::read(apt.fetch(packages[0]).unwrap()).unwrap()
}

#[test]
fn a_locked_run_takes_what_was_and_refuses_what_is_not_locked() {
    let archive = Archive::start();
    let deb = real_kernel();
    archive.publish("1-1", &deb);
    let project = Project::new();
    project.file("keys/made.asc", archive.signer.armoured_keyring());
    project.repository_image("vsyscall.toml");
    let url = format!("http://127.0.0.1:{}/apt", archive.server.port());
    let entry = format!(
        "[[kernel]]\nversion = \"6.1\"\nsource = {{ apt = \"{url}\", suite = \"made\", \
         key = \"keys/made.asc\", package = \"linux-image-made\" }}\n"
    );
    project.file("kernels.toml", &entry);
    let lock = project.root().join("matrix.lock");

    // Nothing is locked yet, and it is said how it would be.
    let output = project.matrix(&["run", "--locked"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("hint: `matrix update`"),
        "{}",
        stderr(&output)
    );

    let output = project.matrix(&["update"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let locked = fs_err::read_to_string(&lock).unwrap();
    let package = format!(
        "{{ name = \"linux-image-made\", version = \"1-1\", \
         url = \"{url}/pool/linux-image-made_1-1_amd64.deb\", sha256 = \"{}\" }}",
        sha256(&deb)
    );
    assert!(locked.contains(&package), "{locked}");
    assert!(
        locked.starts_with("# What `matrix update` found"),
        "{locked}"
    );

    // The index moves on, to what is no kernel at all.
    archive.publish("2-1", b"no package");
    let output = project.matrix(&["update", "--dry-run"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("linux-image-made 2-1 (was linux-image-made 1-1)"),
        "{told}"
    );
    assert_eq!(fs_err::read_to_string(&lock).unwrap(), locked);

    let run = project.run(0, &["--locked", "--accel", "tcg"]);
    let column = run.kernel("6.1").unwrap();
    assert_eq!(column.status, ColumnStatus::Ran);
    assert_eq!(column.package["version"], "1-1");
    assert!(run.run.settings.contains_key("lock"));
    let run = project.run(3, &["--accel", "tcg"]);
    assert_eq!(run.kernel("6.1").unwrap().status, ColumnStatus::Unavailable);

    // A kernel that is not in it is named, and nothing is run.
    project.file(
        "kernels.toml",
        format!("{entry}\n[[kernel]]\nversion = \"9.9\"\nsource = {{ path = \"vmlinuz\" }}\n"),
    );
    let runs = fs_err::read_dir(project.root().join("results/runs"))
        .unwrap()
        .count();
    let output = project.matrix(&["run", "--locked"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("no kernel 9.9"),
        "{}",
        stderr(&output)
    );
    let after = fs_err::read_dir(project.root().join("results/runs"))
        .unwrap()
        .count();
    assert_eq!(runs, after);

    // Another digest is another package, whatever it is called.
    let other = sha256(b"another");
    fs_err::write(&lock, locked.replace(&sha256(&deb), &other)).unwrap();
    let run = project.run(3, &["--locked", "--accel", "tcg", "--kernels", "6.1"]);
    let reason = run.kernel("6.1").unwrap().reason.clone().unwrap();
    assert!(
        reason.contains("linux-image-made 1-1 is not what matrix.lock has"),
        "{reason}"
    );
}
