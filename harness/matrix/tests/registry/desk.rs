//! A project with a cache of its own, whose tools are the user's, and `matrix fetch`
//! in it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use supply::{Peer, Supply};

use crate::project::Project;

/// One that is not there, and need not be: images are what is fetched.
const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
optional = true
source = { path = "none" }
"#;

/// What the environment can say of registries, and of the way there.
const VARIABLES: [&str; 18] = [
    "ALL_PROXY",
    "DOCKER_CONFIG",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "MATRIX_IMAGE_ENTRIES",
    "MATRIX_IMAGE_MIB",
    "MATRIX_REGISTRY_HOST",
    "MATRIX_REGISTRY_MIRRORS",
    "MATRIX_REGISTRY_PASSWORD",
    "MATRIX_REGISTRY_USERNAME",
    "NO_PROXY",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
];

/// The user's own cache: `$MATRIX_CACHE`, or where the program has it.
pub(crate) fn user_cache() -> PathBuf {
    supply::Cache::default_root().unwrap()
}

fn of(cache: PathBuf, offline: bool) -> Supply {
    Supply::new(supply::Options {
        cache_root: Some(cache),
        offline,
        progress: Arc::new(supply::Silent),
        qemu: None,
    })
    .unwrap()
}

fn users() -> &'static Supply {
    static SUPPLY: OnceLock<Supply> = OnceLock::new();
    SUPPLY.get_or_init(|| of(user_cache(), false))
}

/// Starts a program of others.
pub(crate) fn peer(peer: Peer) -> Command {
    users().tools().peer(peer).unwrap().command()
}

/// Ends it badly unless the command ends well; what it says.
#[track_caller]
pub(crate) fn done(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// A project, and a cache that has nothing but tools.
pub(crate) struct Desk {
    pub(crate) project: Project,
}

/// What came of `matrix fetch`.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: Option<i32>,
    /// All it said.
    pub(crate) said: String,
    /// The most memory the program itself had resident, bytes.
    pub(crate) peak: u64,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let project = Project::new();
        project.file("kernels.toml", KERNELS);
        project.file("images/checks.toml", "");
        let tools = user_cache().join("tool");
        // Both are needed whatever is fetched.
        users().qemu().unwrap();
        users().tools().mksquashfs().unwrap();
        fs_err::create_dir_all(&tools).unwrap();
        let cache = project.root().join("cache");
        for folder in ["cache", "home", "tmp"] {
            fs_err::create_dir_all(project.root().join(folder)).unwrap();
        }
        fs_err::os::unix::fs::symlink(tools, cache.join("tool")).unwrap();
        Desk { project }
    }

    pub(crate) fn root(&self) -> &Path {
        self.project.root()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    /// An image with this source and a check that nobody runs here.
    pub(crate) fn image(&self, name: &str, source: &str) {
        self.project.file(
            &format!("images/{name}.toml"),
            format!(
                "name = \"{name}\"\nsource = {source}\n\n[[check]]\nname = \"none\"\n\
                 command = [\"/none\"]\n"
            ),
        );
    }

    /// `matrix fetch` of all images, with these variables set and none that the
    /// machine's own environment says of registries.
    pub(crate) fn command(&self, environment: &[(&str, &str)]) -> Command {
        let mut command = self.project.command(&["fetch", "--cache"]);
        command.arg(self.cache());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
            .current_dir(self.root())
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .envs(environment.iter().copied());
        command
    }

    pub(crate) fn fetch(&self, environment: &[(&str, &str)]) -> Fetched {
        watched(&mut self.command(environment))
    }

    /// The same, which must end well.
    #[track_caller]
    pub(crate) fn fetched(&self, environment: &[(&str, &str)]) -> Fetched {
        let fetched = self.fetch(environment);
        assert_eq!(fetched.status, Some(0), "{}", fetched.said);
        fetched
    }

    /// The same, which must end with an image that cannot be had; what is said of it.
    #[track_caller]
    pub(crate) fn refused(&self, environment: &[(&str, &str)]) -> String {
        let fetched = self.fetch(environment);
        assert_eq!(fetched.status, Some(3), "{}", fetched.said);
        fetched.said
    }

    /// The disk of an image that is in the cache.
    pub(crate) fn disk(&self, source: &plan::ImageSource) -> supply::ImageDisk {
        let supply = of(self.cache(), true);
        let sources = std::slice::from_ref(source);
        supply.image(sources, &Default::default()).unwrap()
    }

    /// The files of the cache but its tools, from its top.
    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        files(&self.cache())
    }
}

/// All but folders below one, from it; links are not followed.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                _ if entry.path() == folder.join("tool") => {}
                _ => all.push(entry.path().strip_prefix(folder).unwrap().to_path_buf()),
            }
        }
    }
    all.sort();
    all
}

/// Runs a command and looks at its memory meanwhile. The kernel's figure is the most
/// there ever was, so that only what comes in the last milliseconds is missed.
pub(crate) fn watched(command: &mut Command) -> Fetched {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        said
    });
    let printed = std::thread::spawn(move || {
        let mut printed = String::new();
        stdout.read_to_string(&mut printed).unwrap();
        printed
    });
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        peak = peak.max(most_resident(&status_file).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        sleep(Duration::from_millis(2));
    };
    Fetched {
        status: status.code(),
        said: printed.join().unwrap() + &said.join().unwrap(),
        peak,
    }
}

fn most_resident(status_file: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status_file).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The reference of an image at a port of the loopback, as a source in Rust.
pub(crate) fn oci(reference: &str, architecture: &str) -> plan::ImageSource {
    plan::ImageSource::Oci(plan::OciSource {
        reference: plan::ImageReference::parse(reference).unwrap(),
        architecture: architecture.to_owned(),
        insecure: false,
    })
}

/// For who watches: what a test measured, or why it was left out.
#[expect(clippy::print_stderr, reason = "a test's own words")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
