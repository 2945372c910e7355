//! `bench pull`: an image out of a registry and ready to be used, by `matrix fetch`
//! and by skopeo and umoci.
//!
//! The image is made of Debian's packages, so that its files are what images are made
//! of, and lies in Debian's docker-registry on the loopback. In each round both begin
//! with nothing: matrix with an empty cache, skopeo with an empty layout. The one ends
//! with a disk that a machine mounts, the others with a folder that a container can
//! have as its root: the nearest that each has to the other.

mod image;
mod registry;

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use supply::{Peer, Silent, Supply, Tool};

use crate::arguments::{Arguments, PullArguments};
use crate::bed::{BenchError, beside};
use crate::memory;
use crate::series::Series;
use crate::table::{self, Host};
use image::Made;
use registry::Registry;

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Host,
    /// The load of the last minute before the first round.
    load: String,
    rounds: u32,
    image: Made,
    /// Seconds.
    matrix: Series,
    /// Seconds, both together.
    peers: Series,
    skopeo: Series,
    umoci: Series,
    /// Of all processes at once, bytes.
    matrix_memory: u64,
    /// Of whichever of the two took more.
    peers_memory: u64,
    /// `matrix` over the peers, of the medians.
    time_ratio: Option<f64>,
    memory_ratio: f64,
    versions: Vec<String>,
}

struct Pull {
    matrix: PathBuf,
    skopeo: Tool,
    umoci: Tool,
    /// Of the user's cache: tools are not what is measured.
    tools: PathBuf,
    folder: tempfile::TempDir,
    registry: Registry,
    is_root: bool,
}

/// Makes the image, measures, prints, writes.
pub(crate) fn measure(
    arguments: &Arguments,
    pull_arguments: &PullArguments,
) -> Result<(), BenchError> {
    let matrix = match &arguments.matrix {
        Some(path) => fs_err::canonicalize(path)?,
        None => beside("matrix")?,
    };
    table::say("making the image");
    let supply = Supply::new(supply::Options {
        cache_root: None,
        offline: false,
        qemu: None,
        progress: Arc::new(Silent),
    })?;
    let peer = |peer| supply.tools().peer(peer).map_err(supply::SupplyError::Tool);
    let (skopeo, umoci) = (peer(Peer::Skopeo)?, peer(Peer::Umoci)?);
    let qemu = supply.qemu()?;
    supply
        .tools()
        .mksquashfs()
        .map_err(supply::SupplyError::Tool)?;
    let folder = match &pull_arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let layout = folder.path().join("layout");
    let made = image::make(&layout, u64::from(pull_arguments.megabytes) * 1_000_000)?;
    let registry = Registry::start(folder.path(), &peer(Peer::DockerRegistry)?)?;
    done(
        "copy of the image to the registry",
        skopeo
            .command()
            .args(["--insecure-policy", "--tmpdir"])
            .arg(folder.path())
            .args(["copy", "--preserve-digests", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:made", layout.display()))
            .arg(format!("docker://{}/made:1", registry.address())),
    )?;
    fs_err::remove_dir_all(&layout)?;
    let versions = vec![
        format!("skopeo {}", skopeo.version),
        format!("umoci {}", umoci.version),
    ];
    let pull = Pull {
        matrix,
        skopeo,
        umoci,
        tools: supply.cache().root().join("tool"),
        folder,
        registry,
        is_root: rustix::process::getuid().is_root(),
    };
    let load = fs_err::read_to_string("/proc/loadavg")?;
    let mut report = Report {
        machine: Host::here(&qemu.version),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
        rounds: arguments.rounds,
        image: made,
        matrix: Series::default(),
        peers: Series::default(),
        skopeo: Series::default(),
        umoci: Series::default(),
        matrix_memory: 0,
        peers_memory: 0,
        time_ratio: None,
        memory_ratio: 0.0,
        versions,
    };
    // Not counted: the registry's files come into the machine's memory.
    pull.matrix(false)?;
    pull.peers(false)?;
    for number in 1..=arguments.rounds {
        table::say(&format!("round {number} of {}", arguments.rounds));
        report.matrix.add(pull.matrix(false)?.0);
        let [skopeo, umoci] = pull.peers(false)?.map(|(took, _)| took);
        report.peers.add(skopeo + umoci);
        report.skopeo.add(skopeo);
        report.umoci.add(umoci);
    }
    table::say("memory");
    report.matrix_memory = pull.matrix(true)?.1;
    let peers = pull.peers(true)?;
    report.peers_memory = peers.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
    report.memory_ratio = report.matrix_memory as f64 / report.peers_memory as f64;
    report.time_ratio = report
        .matrix
        .median()
        .zip(report.peers.median())
        .map(|(ours, theirs)| ours / theirs);
    table::print_text(&markdown(&report));
    if let Some(folder) = &arguments.output {
        table::write_named(&report, &markdown(&report), folder, "pull")?;
    }
    Ok(())
}

impl Pull {
    /// Into an empty cache.
    fn matrix(&self, watched: bool) -> Result<(Duration, u64), BenchError> {
        let place = self.fresh("matrix")?;
        fs_err::create_dir_all(place.join("images"))?;
        fs_err::create_dir_all(place.join("cache"))?;
        symlink(&self.tools, place.join("cache/tool"))?;
        fs_err::write(
            place.join("kernels.toml"),
            "[[kernel]]\nversion = \"6.1\"\noptional = true\nsource = { path = \"none\" }\n",
        )?;
        fs_err::write(place.join("images/checks.toml"), "")?;
        fs_err::write(
            place.join("images/made.toml"),
            format!(
                "name = \"made\"\nsource = {{ oci = \"{}/made:1\" }}\n\n[[check]]\n\
                 name = \"none\"\ncommand = [\"/none\"]\n",
                self.registry.address()
            ),
        )?;
        let mut command = Command::new(&self.matrix);
        command
            .arg("-C")
            .arg(&place)
            .args(["fetch", "--cache"])
            .arg(place.join("cache"))
            .env("CI", "true");
        let measured = timed("matrix fetch", &mut command, watched)?;
        let disks = fs_err::read_dir(place.join("cache/image"))?.count();
        if disks == 0 {
            return Err(BenchError::NotDone {
                what: "matrix fetch".to_owned(),
                said: "no disk in its cache".to_owned(),
            });
        }
        fs_err::remove_dir_all(place)?;
        Ok(measured)
    }

    /// Into an empty layout, and out of it.
    fn peers(&self, watched: bool) -> Result<[(Duration, u64); 2], BenchError> {
        let place = self.fresh("peers")?;
        let mut copy = self.skopeo.command();
        copy.args(["--insecure-policy", "--tmpdir"])
            .arg(&place)
            .args(["copy", "--src-tls-verify=false"])
            .arg(format!("docker://{}/made:1", self.registry.address()))
            .arg(format!("oci:{}:made", place.join("layout").display()));
        let skopeo = timed("skopeo copy", &mut copy, watched)?;
        let mut unpack = self.umoci.command();
        unpack.arg("unpack");
        if !self.is_root {
            unpack.arg("--rootless");
        }
        unpack
            .arg("--image")
            .arg(format!("{}:made", place.join("layout").display()))
            .arg(place.join("bundle"));
        let umoci = timed("umoci unpack", &mut unpack, watched)?;
        fs_err::metadata(place.join("bundle/rootfs/usr"))?;
        fs_err::remove_dir_all(place)?;
        Ok([skopeo, umoci])
    }

    fn fresh(&self, name: &str) -> Result<PathBuf, BenchError> {
        let place = self.folder.path().join(name);
        fs_err::create_dir(&place)?;
        // What an earlier one left to be written is not this one's to wait for.
        rustix::fs::sync();
        Ok(place)
    }
}

/// How long it took, and the most memory of all its processes together, bytes, where
/// it is looked at.
fn timed(what: &str, command: &mut Command, watched: bool) -> Result<(Duration, u64), BenchError> {
    let begun = Instant::now();
    let start = |source: io::Error| BenchError::start(what, source);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let watch = watched.then(|| memory::watch_tree(child.id()));
    let output = child.wait_with_output().map_err(start)?;
    let took = begun.elapsed();
    let peak = watch.map_or(0, memory::TreeWatch::end);
    if !output.status.success() {
        return Err(BenchError::NotDone {
            what: what.to_owned(),
            said: format!(
                "{}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        });
    }
    Ok((took, peak))
}

fn done(what: &str, command: &mut Command) -> Result<(), BenchError> {
    timed(what, command, false).map(drop)
}

fn markdown(report: &Report) -> String {
    use std::fmt::Write as _;
    let image = &report.image;
    let mut text = String::from("# An image out of a registry, ready to be used\n\n");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "`bench pull`: {} packages of Debian {}, {} MB in {} layers, {} MB as gzip, from \
         docker-registry on the loopback. {} rounds in turn, each with an empty cache and an empty \
         layout; {} cores of {}, Linux {}; load before the first round {}. {}.\n\n\
         | seconds | median | least | most |\n| --- | ---: | ---: | ---: |\n",
        image.packages,
        image::SUITE,
        image.plain / 1_000_000,
        image.layers,
        image.compressed / 1_000_000,
        report.rounds,
        report.machine.cores,
        report.machine.cpu,
        report.machine.kernel,
        report.load,
        report.versions.join(", "),
    );
    for (name, series) in [
        ("`matrix fetch`", &report.matrix),
        ("`skopeo copy` and `umoci unpack`", &report.peers),
        ("of that, `skopeo copy`", &report.skopeo),
        ("of that, `umoci unpack`", &report.umoci),
    ] {
        if let (Some(median), Some((least, most))) = (series.median(), series.range()) {
            let _ = writeln!(text, "| {name} | {median:.2} | {least:.2} | {most:.2} |");
        }
    }
    let _ = write!(
        text,
        "\numoci unpack also sums up every file it wrote (its mtree manifest), which matrix \
         has no use for.\n\nMost memory of all processes together: matrix {} MB, the larger of the two others {} MB.\n\n\
         Ratio of medians {:.2}, of memory {:.2}: less than 1 is matrix' favour.\n",
        report.matrix_memory / 1_000_000,
        report.peers_memory / 1_000_000,
        report.time_ratio.unwrap_or(f64::NAN),
        report.memory_ratio,
    );
    text
}

/// For what is made below.
fn prepared<T, E: std::fmt::Display>(what: &Path, result: Result<T, E>) -> Result<T, BenchError> {
    result.map_err(|error| BenchError::prepare(what.display().to_string(), error))
}
