//! Shards of one run, joined again.

use std::collections::{BTreeMap, BTreeSet};

use verdict::{Outcome, Verdict};

use crate::{Cell, ColumnStatus, ImageRow, KernelColumn, Run, Shard};

/// Why runs do not belong together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Nothing was given.
    #[error("no run was named")]
    Nothing,
    /// A run is whole.
    #[error("{run} is no shard: it was not made with --shard")]
    NoShard {
        /// Its id.
        run: String,
    },
    /// Two runs are of different plans.
    #[error(
        "{a} and {b} are shards of different plans\nhint: run both with the same project, arguments and number of shards"
    )]
    Plan {
        /// A run's id.
        a: String,
        /// Another's.
        b: String,
    },
    /// A shard is there twice.
    #[error("{a} and {b} are both shard {index}/{of}\nhint: leave one out")]
    Twice {
        /// A run's id.
        a: String,
        /// Another's.
        b: String,
        /// Which shard.
        index: u32,
        /// Of how many.
        of: u32,
    },
    /// Shards are lacking.
    #[error(
        "shard {missing} of {of} is missing\nhint: --partial joins the others, and the cells of this one stay not run"
    )]
    Missing {
        /// `2, 4`.
        missing: String,
        /// How many there are.
        of: u32,
    },
    /// Two machines built different images under one name.
    #[error(
        "the image {image} of {a} is {first}, of {b} {second}\nhint: `matrix update` writes matrix.lock, `--locked` takes what it names"
    )]
    Digest {
        /// Its name.
        image: String,
        /// A run's id.
        a: String,
        /// Its digest there.
        first: String,
        /// Another run's id.
        b: String,
        /// Its digest there.
        second: String,
    },
    /// The containers were run in different ways.
    #[error("{name} of {a} is {first}, of {b} {second}")]
    Setting {
        /// `timeout_ms`, `matrix`, …
        name: String,
        /// A run's id.
        a: String,
        /// Its value there.
        first: String,
        /// Another run's id.
        b: String,
        /// Its value there.
        second: String,
    },
}

/// Settings in which machines may differ.
const FREE: [&str; 1] = ["jobs"];

/// Joins shards into the run they are parts of. With `partial`, kernels of shards
/// that are not there become unavailable columns.
///
/// # Errors
/// [`MergeError`] when they do not belong together, or one is missing.
pub fn merge(mut runs: Vec<Run>, partial: bool) -> Result<Run, MergeError> {
    runs.sort_by_key(|run| run.run.shard.as_ref().map(|shard| shard.index));
    let shards = shards(&runs)?;
    let (Some(first), Some(shard)) = (runs.first(), shards.first()) else {
        return Err(MergeError::Nothing);
    };
    for (run, other) in runs.iter().zip(&shards).skip(1) {
        if (other.of, &other.plan, &other.kernels) != (shard.of, &shard.plan, &shard.kernels) {
            return Err(MergeError::Plan {
                a: first.run.id.clone(),
                b: run.run.id.clone(),
            });
        }
        same_settings(first, run)?;
    }
    for (pair, of) in shards.windows(2).zip(runs.windows(2)) {
        if pair[0].index == pair[1].index {
            return Err(MergeError::Twice {
                a: of[0].run.id.clone(),
                b: of[1].run.id.clone(),
                index: pair[0].index,
                of: pair[0].of,
            });
        }
    }
    let there: BTreeSet<u32> = shards.iter().map(|shard| shard.index).collect();
    let missing: Vec<u32> = (1..=shard.of)
        .filter(|index| !there.contains(index))
        .collect();
    if !missing.is_empty() && !partial {
        let words: Vec<String> = missing.iter().map(u32::to_string).collect();
        return Err(MergeError::Missing {
            missing: words.join(", "),
            of: shard.of,
        });
    }
    let images = images(&runs)?;
    let shard = (*shard).clone();
    Ok(join(&runs, &shard, images))
}

fn shards(runs: &[Run]) -> Result<Vec<&Shard>, MergeError> {
    runs.iter()
        .map(|run| {
            run.run.shard.as_ref().ok_or_else(|| MergeError::NoShard {
                run: run.run.id.clone(),
            })
        })
        .collect()
}

fn same_settings(first: &Run, other: &Run) -> Result<(), MergeError> {
    let differ = |name: &str, one: &str, two: &str| MergeError::Setting {
        name: name.to_owned(),
        a: first.run.id.clone(),
        first: one.to_owned(),
        b: other.run.id.clone(),
        second: two.to_owned(),
    };
    if first.run.matrix != other.run.matrix {
        return Err(differ("matrix", &first.run.matrix, &other.run.matrix));
    }
    let names: BTreeSet<&String> = first
        .run
        .settings
        .keys()
        .chain(other.run.settings.keys())
        .collect();
    for name in names {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        let of = |run: &Run| run.run.settings.get(name).cloned().unwrap_or_default();
        let (one, two) = (of(first), of(other));
        if one != two {
            return Err(differ(name, &one, &two));
        }
    }
    Ok(())
}

/// The images, with the digest that every shard agrees on. One that a shard could
/// not build keeps its reason only where no shard could.
fn images(runs: &[Run]) -> Result<Vec<ImageRow>, MergeError> {
    let mut images: Vec<(ImageRow, &str)> = Vec::new();
    for run in runs {
        for image in &run.images {
            let Some((known, of)) = images.iter_mut().find(|(known, _)| known.id == image.id)
            else {
                images.push((image.clone(), &run.run.id));
                continue;
            };
            match (&known.digest, &image.digest) {
                (Some(first), Some(second)) if first != second => {
                    return Err(MergeError::Digest {
                        image: image.id.clone(),
                        a: (*of).to_owned(),
                        first: first.clone(),
                        b: run.run.id.clone(),
                        second: second.clone(),
                    });
                }
                (None, Some(_)) => *known = image.clone(),
                _ => {}
            }
        }
    }
    Ok(images.into_iter().map(|(image, _)| image).collect())
}

fn join(runs: &[Run], shard: &Shard, images: Vec<ImageRow>) -> Run {
    let earliest = runs
        .iter()
        .min_by_key(|run| (&run.run.started, &run.run.id));
    let mut head = earliest.unwrap_or(&runs[0]).run.clone();
    head.shard = None;
    head.id = format!("{}-merged", head.id);
    // Not finished until all are; interrupted when one was.
    head.finished = runs
        .iter()
        .map(|run| run.run.finished.clone())
        .collect::<Option<Vec<String>>>()
        .and_then(|all| all.into_iter().max());
    let interrupted: Vec<String> = runs
        .iter()
        .filter_map(|run| {
            let (shard, why) = (run.run.shard.as_ref()?, run.run.interrupted.as_ref()?);
            Some(format!("shard {}/{}: {why}", shard.index, shard.of))
        })
        .collect();
    head.interrupted = (!interrupted.is_empty()).then(|| interrupted.join("; "));
    let every = |of: &dyn Fn(&Run) -> Option<String>| {
        let mut values: Vec<String> = runs.iter().filter_map(of).collect();
        values.sort();
        values.dedup();
        (!values.is_empty()).then(|| values.join("; "))
    };
    head.qemu = every(&|run| run.run.qemu.clone());
    head.acceleration = every(&|run| run.run.acceleration.clone());
    head.acceleration_reason = every(&|run| run.run.acceleration_reason.clone());
    let names: BTreeSet<String> = runs
        .iter()
        .flat_map(|run| run.run.host.keys().cloned())
        .collect();
    head.host = names
        .into_iter()
        .filter_map(|name| {
            Some((
                name.clone(),
                every(&|run| run.run.host.get(&name).cloned())?,
            ))
        })
        .collect();
    head.timings = timings(runs);

    let mut kernels = Vec::new();
    let mut cells = Vec::new();
    let mut probes = Vec::new();
    for (id, index) in &shard.kernels {
        let run = runs.iter().find(|run| {
            run.run
                .shard
                .as_ref()
                .is_some_and(|shard| shard.index == *index)
        });
        match run.and_then(|run| Some((run, run.kernel(id)?))) {
            Some((run, kernel)) => {
                kernels.push(kernel.clone());
                probes.extend(
                    run.probes
                        .iter()
                        .filter(|probe| probe.kernel == *id)
                        .cloned(),
                );
                cells.extend(run.cells.iter().filter(|cell| cell.kernel == *id).cloned());
            }
            None => {
                let reason = format!("shard {index}/{} was not merged", shard.of);
                cells.extend(lost_cells(id, &images, &runs[0], &reason));
                kernels.push(lost_column(id, reason));
            }
        }
    }
    Run {
        kernels,
        images,
        cells,
        probes,
        run: head,
        schema: runs[0].schema,
    }
}

/// Each phase's longest: the shards ran side by side.
fn timings(runs: &[Run]) -> BTreeMap<String, u64> {
    let mut timings: BTreeMap<String, u64> = BTreeMap::new();
    for (phase, time) in runs.iter().flat_map(|run| &run.run.timings) {
        let known = timings.entry(phase.clone()).or_default();
        *known = (*known).max(*time);
    }
    timings
}

fn lost_column(id: &str, reason: String) -> KernelColumn {
    KernelColumn {
        status: ColumnStatus::Unavailable,
        reason: Some(reason),
        ..KernelColumn::planned(id)
    }
}

fn lost_cells<'a>(
    kernel: &'a str,
    images: &'a [ImageRow],
    like: &'a Run,
    reason: &'a str,
) -> impl Iterator<Item = Cell> + 'a {
    let runtime = like.cells.first().map_or("bundled", |cell| &cell.runtime);
    images.iter().flat_map(move |image| {
        image.checks.iter().map(move |check| Cell {
            outcome: Outcome::not_run(reason),
            verdict: Verdict::NotRun,
            ..Cell::planned(kernel, &image.id, check, runtime)
        })
    })
}
