//! docker-registry on the loopback.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use supply::Tool;

use crate::bed::BenchError;

/// Ends the registry when the other end of its standard input closes, however that
/// comes about.
const KEEPER: &str = r#""$@" </dev/null & child=$!; cat >/dev/null; kill $child; wait $child"#;

#[derive(Debug)]
pub(super) struct Registry {
    keeper: Child,
    port: u16,
}

impl Registry {
    /// One that keeps its images below `folder`.
    pub(super) fn start(folder: &Path, tool: &Tool) -> Result<Self, BenchError> {
        let what = "docker-registry";
        let configuration = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
             http:\n  addr: 127.0.0.1:0\n  secret: bench\n",
            folder.join("storage").display()
        );
        let file = folder.join("registry.yml");
        fs_err::write(&file, configuration)?;
        let program = tool.command();
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
            .map_err(|source| BenchError::start(what, source))?;
        let Some(stderr) = keeper.stderr.take() else {
            return Err(BenchError::prepare(what, "it has no standard error"));
        };
        let mut lines = BufReader::new(stderr);
        let mut said = String::new();
        let port = loop {
            let before = said.len();
            if lines.read_line(&mut said)? == 0 {
                return Err(BenchError::prepare(what, said));
            }
            if let Some(port) = port(&said[before..]) {
                break port;
            }
        };
        // Read until its end: a full pipe would stop it.
        std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        Ok(Self { keeper, port })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It goes when its input closes; whether it could be waited for changes nothing.
        let _ = self.keeper.wait();
    }
}

fn port(line: &str) -> Option<u16> {
    let rest = line.split_once("listening on 127.0.0.1:")?.1;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn the_port_is_in_its_log() {
        let line = "time=\"x\" level=info msg=\"listening on 127.0.0.1:41231\" go.version=go1.19\n";
        assert_eq!(port(line), Some(41_231));
        assert_eq!(port("level=info msg=\"redis not configured\""), None);
    }
}
