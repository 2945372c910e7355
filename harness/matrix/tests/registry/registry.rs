//! Debian's docker-registry on the loopback, as its own process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use supply::Peer;

use crate::desk::{done, peer};

/// Ends the registry when the other end of its standard input closes, however that
/// comes about.
const KEEPER: &str = r#""$@" </dev/null & child=$!; cat >/dev/null; kill $child; wait $child"#;

/// `auth:` of the configuration, for [`Registry::start`].
pub(crate) fn no_login() -> String {
    String::new()
}

/// Name and password: `somebody` with `correct horse`, as bcrypt.
pub(crate) fn password_file(folder: &Path) -> String {
    let file = folder.join("htpasswd");
    let line = "somebody:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";
    fs_err::write(&file, line).unwrap();
    format!(
        "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
        file.display()
    )
}

/// A server on the loopback, and what it keeps in a folder.
pub(crate) struct Registry {
    keeper: Child,
    port: u16,
    log: Arc<Mutex<String>>,
}

impl Registry {
    /// One that keeps its images below `folder`. `auth` is a part of its
    /// configuration, `tls` the files of a certificate and its key.
    pub(crate) fn start(folder: &Path, auth: &str, tls: Option<(&Path, &Path)>) -> Registry {
        let tls = tls.map_or_else(String::new, |(certificate, key)| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("  tls:\n    certificate: {certificate}\n    key: {key}\n")
        });
        let configuration = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:0\n  secret: test\n{tls}{auth}",
            folder.join("storage").display()
        );
        let file = folder.join("registry.yml");
        fs_err::write(&file, configuration).unwrap();
        let program = peer(Peer::DockerRegistry);
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let before = said.len();
            let count = lines.read_line(&mut said).unwrap();
            assert!(count > 0, "the registry does not listen: {said}");
            if let Some(port) = port(&said[before..]) {
                break port;
            }
        };
        let log = Arc::new(Mutex::new(said));
        let shared = Arc::clone(&log);
        // Read until its end: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                *log += &line;
                log.push('\n');
            }
        });
        Registry { keeper, port, log }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `localhost:PORT`, which a certificate can be for.
    pub(crate) fn name(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Everything it has said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Copies an image of a layout there, all platforms of it, by skopeo. `more` are
    /// further arguments; without any the digests stay what they are.
    pub(crate) fn push(&self, layout: &Path, tag: &str, name: &str, more: &[&str]) {
        let mut command = peer(Peer::Skopeo);
        command
            .args(["--insecure-policy", "--tmpdir"])
            .arg(layout.parent().unwrap())
            .args(["copy", "--dest-tls-verify=false"]);
        match more {
            [] => command.args(["--all", "--preserve-digests"]),
            more => command.args(more),
        };
        command
            .arg(format!("oci:{}:{tag}", layout.display()))
            .arg(format!("docker://{}/{name}", self.address()))
            .env_remove("REGISTRY_AUTH_FILE")
            .env("HOME", layout.parent().unwrap());
        done(&mut command);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn port(line: &str) -> Option<u16> {
    let rest = line.split_once("listening on 127.0.0.1:")?.1;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}
