//! Images of a container engine of this machine, by its own `save`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::OciError;

/// What an engine calls an image by: `docker image inspect`'s Id, which changes when
/// the name moves to another image.
///
/// # Errors
/// When the engine is not there, or has no such image.
pub(crate) fn id(program: &str, image: &str) -> Result<String, OciError> {
    let output = Command::new(program)
        .args(["image", "inspect", "--format", "{{.Id}}", image])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(program, error.to_string()))?;
    if !output.status.success() {
        return Err(failed(program, said(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Writes an image to `path` as an archive.
///
/// # Errors
/// When the engine cannot be started or refuses.
pub(crate) fn saved(program: &str, image: &str, path: &Path) -> Result<(), OciError> {
    let file = File::create(path).map_err(|error| failed(program, error.to_string()))?;
    let output = Command::new(program)
        .args(["save", image])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| failed(program, error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(program, said(&output.stderr)))
}

fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.trim().chars().take(400).collect()
}

fn failed(program: &str, reason: String) -> OciError {
    OciError::Engine {
        engine: program.to_owned(),
        reason,
    }
}
