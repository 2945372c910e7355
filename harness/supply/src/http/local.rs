//! Archives on this machine: `file:///srv/debian`.

use std::io::{self, Read};
use std::path::Path;

use super::attempt::Done;
use super::error::HttpError;
use super::partial::Partial;

pub(super) fn fetch(source: &Path, partial: &mut Partial<'_>) -> Result<Done, HttpError> {
    let mut file = match std::fs::File::open(source) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HttpError::NotFound {
                url: format!("file://{}", source.display()),
            });
        }
        Err(error) => return Err(failed(source, error)),
    };
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Done::Complete),
            Ok(read) => partial.push(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(source, error)),
        }
    }
}

fn failed(path: &Path, source: io::Error) -> HttpError {
    HttpError::Read {
        path: path.to_owned(),
        source,
    }
}
