//! `matrix publish`: a run becomes the state that a repository shows.

use std::path::{Path, PathBuf};

use fs_err as fs;
use report::Run;
use report::history::History;
use report::publish::{HISTORY, files};
use supply::Mirrors;

use crate::cli::{Global, PublishArguments};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::load_project;
use crate::show::find;

/// `matrix publish [RUN]`.
pub(crate) fn command(global: &Global, arguments: &PublishArguments) -> Result<Status, Failure> {
    let record = find(
        global,
        arguments.run.as_deref(),
        arguments.output.as_deref(),
    )?;
    let run = without_mirrors(&Run::load(&record)?, &Mirrors::of_this_machine()?)?;
    if let Some(why) = run
        .run
        .interrupted
        .as_deref()
        .filter(|_| !arguments.incomplete)
    {
        return Err(Failure::Incomplete {
            run: run.run.id.clone(),
            why: why.to_owned(),
        });
    }
    let folder = match &arguments.to {
        Some(folder) => folder.clone(),
        None => results_folder(global, arguments.output.as_deref())?,
    };
    let mut history = History::load(&folder.join(HISTORY))?;
    let mut told = String::new();
    for file in files(&run, &mut history)? {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // What is as it was stays untouched: a commit holds what changed.
        if fs::read(&path).is_ok_and(|there| there == file.content.as_bytes()) {
            continue;
        }
        report::write_whole(&path, file.content.as_bytes())?;
        told.push_str(&format!("{}\n", path.display()));
    }
    print(&told)?;
    Ok(Status::Done)
}

/// The run with this machine's Debian mirrors called what an entry calls them: where a
/// company's mirror is, is not for the world, and the same package from another mirror
/// is no other package.
fn without_mirrors(run: &Run, mirrors: &Mirrors) -> Result<Run, Failure> {
    let mut text = serde_json::to_string(run).map_err(std::io::Error::from)?;
    // The security archive first: its address can begin with the other's. A moment's
    // archive last: an apt that is held at one has its address as a mirror too.
    let snapshots = mirrors.snapshots.as_slice();
    let named = [
        (mirrors.security.as_slice(), "debian-security"),
        (mirrors.debian.as_slice(), "debian"),
        (snapshots, "debian-snapshots"),
    ];
    for colon in [true, false] {
        for (bases, name) in &named {
            for base in *bases {
                let base = base.trim_end_matches('/');
                if base.is_empty() {
                    continue;
                }
                text = match colon {
                    true => text.replace(&format!("{base}/"), &format!("{name}:")),
                    false => text.replace(base, name),
                };
            }
        }
    }
    Ok(serde_json::from_str(&text).map_err(std::io::Error::from)?)
}

/// The folder that `runs/` is in.
fn results_folder(global: &Global, output: Option<&Path>) -> Result<PathBuf, Failure> {
    Ok(match output {
        Some(output) => output.to_owned(),
        None => load_project(global)?.root.join("results"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use report::{KernelColumn, RunHead};

    use super::*;

    #[test]
    fn what_is_published_names_no_mirror_of_this_machine() {
        let head = RunHead {
            id: "a".to_owned(),
            started: report::timestamp(),
            finished: None,
            interrupted: None,
            matrix: "test".to_owned(),
            qemu: None,
            acceleration: None,
            acceleration_reason: None,
            host: BTreeMap::new(),
            settings: BTreeMap::new(),
            timings: BTreeMap::new(),
            shard: None,
        };
        let mut kernel = KernelColumn::planned("6.1");
        kernel.reason = Some("nothing at http://mirror.example/debian satisfies it".to_owned());
        for (key, url) in [
            ("url", "http://mirror.example/debian/pool/main/a.deb"),
            (
                "security",
                "http://mirror.example/debian-security/pool/b.deb",
            ),
            (
                "snapshot",
                "http://then.example/archive/debian/20260101T000000Z/pool/d.deb",
            ),
            ("other", "https://archive.debian.org/debian/pool/c.deb"),
        ] {
            kernel.package.insert(key.to_owned(), url.to_owned());
        }
        let run = Run::planned(head, vec![kernel], Vec::new(), "bundled");
        let mirrors = Mirrors {
            debian: vec!["http://mirror.example/debian".to_owned()],
            security: vec!["http://mirror.example/debian-security/".to_owned()],
            snapshots: Some("http://then.example/archive".to_owned()),
        };
        let hidden = without_mirrors(&run, &mirrors).unwrap();
        let kernel = &hidden.kernels[0];
        assert_eq!(kernel.package["url"], "debian:pool/main/a.deb");
        assert_eq!(
            kernel.package["snapshot"],
            "debian-snapshots:debian/20260101T000000Z/pool/d.deb"
        );
        assert_eq!(kernel.package["security"], "debian-security:pool/b.deb");
        assert_eq!(
            kernel.package["other"],
            "https://archive.debian.org/debian/pool/c.deb"
        );
        assert_eq!(
            kernel.reason.as_deref(),
            Some("nothing at debian satisfies it")
        );
    }
}
