//! What the harness itself takes of a large run: 60 kernels, 60 images and 10 checks
//! of each, planned, told, recorded and reported, without machines. In a process of
//! its own, so that the memory it took is its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::bed::{Bed, BenchError};
use crate::memory;

const KERNELS: usize = 60;
const IMAGES: usize = 60;
const CHECKS: usize = 10;

/// What came of it; seconds and bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) cells: usize,
    pub(crate) planning: f64,
    pub(crate) events: f64,
    pub(crate) report: f64,
    pub(crate) whole: f64,
    pub(crate) memory: u64,
}

/// Measures in a process of its own.
pub(crate) fn measure(bed: &Bed) -> Result<Scale, BenchError> {
    let folder = bed.folder.path().join("scale");
    write_project(&folder.join("project"))?;
    fs_err::copy(
        bed.project.join("results/latest.json"),
        folder.join("recorded.json"),
    )?;
    let what = || "run of 36,000 cells".to_owned();
    let status = Command::new(std::env::current_exe()?)
        .arg("scale-only")
        .arg(&folder)
        .env("CI", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs_err::File::create(folder.join("stderr"))?.into_parts().0)
        .status()
        .map_err(|source| BenchError::start(what(), source))?;
    if !status.success() {
        return Err(BenchError::NotDone {
            what: what(),
            said: format!(
                "{status}\n{}",
                fs_err::read_to_string(folder.join("stderr"))?
            ),
        });
    }
    let answer = fs_err::read(folder.join("scale.json"))?;
    serde_json::from_slice(&answer).map_err(|error| BenchError::prepare(what(), error))
}

/// The part of the process of its own: leaves its answer in `folder`.
pub(crate) fn measure_here(folder: &Path) -> Result<(), BenchError> {
    let begun = Instant::now();
    let simulated = matrix::simulate(
        &folder.join("project"),
        &folder.join("recorded.json"),
        folder,
    )
    .map_err(|reason| BenchError::prepare("the simulated run", reason))?;
    let scale = Scale {
        cells: simulated.cells,
        planning: simulated.planning.as_secs_f64(),
        events: simulated.events.as_secs_f64(),
        report: simulated.report.as_secs_f64(),
        whole: begun.elapsed().as_secs_f64(),
        memory: memory::most_resident(std::process::id()).unwrap_or(0),
    };
    let answer = serde_json::to_vec(&scale)
        .map_err(|error| BenchError::prepare("the simulated run", error))?;
    Ok(fs_err::write(folder.join("scale.json"), answer)?)
}

fn write_project(folder: &Path) -> Result<(), BenchError> {
    let images = folder.join("images");
    fs_err::create_dir_all(&images)?;
    let mut kernels = String::new();
    for number in 0..KERNELS {
        // Writing to a String cannot fail.
        let _ = write!(
            kernels,
            "[[kernel]]\nversion = \"6.{number}\"\n\
             source = {{ path = \"vmlinuz-{number}\" }}\n\n"
        );
    }
    fs_err::write(folder.join("kernels.toml"), kernels)?;
    let mut checks = String::new();
    for number in 0..CHECKS {
        let _ = write!(
            checks,
            "[[check]]\nname = \"check{number}\"\ncommand = [\"true\"]\n\n"
        );
    }
    fs_err::write(images.join("checks.toml"), checks)?;
    for number in 0..IMAGES {
        fs_err::write(
            images.join(format!("image-{number}.toml")),
            format!("name = \"image:{number}\"\nsource = {{ directory = \"root\" }}\n"),
        )?;
    }
    Ok(())
}
