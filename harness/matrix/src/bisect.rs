//! `matrix bisect`: between two kernels on which a check ends differently, the two
//! neighbours between which it changes, and which facts changed with it.
//!
//! First among the kernels of the list, then among the versions of the package that
//! its archive still has between the two neighbours, or, where two moments were
//! given, among the states of Debian's archive between them. The outcome is taken to
//! change once; what is told is a place where it does, whatever it does elsewhere.

mod bench;
mod line;
mod moments;
mod same;
mod search;

use std::fmt::Write as _;

use plan::{Check, Kernel, Project, Selection};
use supply::{Silent, Supply};

use crate::cli::{BisectArguments, Global};
use crate::error::{Failure, Status};
use crate::progress::{note, print};
use crate::run::{load_project, runs_folder};
use bench::{Answer, Bench};
use line::{End, versions_between};
use search::{Found, search};

/// `matrix bisect IMAGE CHECK --good K --bad K`.
pub(crate) fn command(global: &Global, arguments: &BisectArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let (good, bad) = (End::parse(&arguments.good), End::parse(&arguments.bad));
    let supply = Supply::new(supply::Options {
        cache_root: global.cache.clone(),
        offline: arguments.offline,
        progress: std::sync::Arc::new(Silent),
        qemu: None,
    })?;
    let work = Work {
        project: &project,
        supply: &supply,
    };
    let check = work.check(arguments)?;
    let folder = runs_folder(&project.root, arguments.output.as_deref());
    let mut bench = Bench::new(global, arguments, &project, folder, check);
    let page = match (&good.moment, &bad.moment) {
        (None, None) if good.base != bad.base => work.by_list(&mut bench, arguments)?,
        _ if good.base != bad.base => {
            return Err(Failure::BisectMoments {
                good: arguments.good.clone(),
                bad: arguments.bad.clone(),
            });
        }
        (Some(one), Some(other)) if plan::is_time(one) && plan::is_time(other) => {
            work.by_time(&mut bench, &good.base, one, other)?
        }
        (Some(moment), _) | (_, Some(moment)) if plan::is_time(moment) => {
            return Err(Failure::BisectMoments {
                good: arguments.good.clone(),
                bad: arguments.bad.clone(),
            });
        }
        _ => work.by_version(&mut bench, &good, &bad)?,
    };
    print(&page)?;
    Ok(Status::Done)
}

/// What a bisection looks things up in.
struct Work<'a> {
    project: &'a Project,
    supply: &'a Supply,
}

impl Work<'_> {
    /// The check, as the project has it now.
    fn check(&self, arguments: &BisectArguments) -> Result<Check, Failure> {
        let selection = Selection {
            kernels: vec![arguments.good.clone(), arguments.bad.clone()],
            images: vec![arguments.image.clone()],
            checks: vec![arguments.check.clone()],
            directory: std::env::current_dir()?,
        };
        let plan = plan::plan(self.project, &selection)?;
        let check = plan
            .images
            .iter()
            .flat_map(|image| &image.checks)
            .find(|check| check.name == arguments.check);
        // A glob of checks is none.
        check
            .cloned()
            .ok_or_else(|| Failure::BisectCheck(arguments.check.clone()))
    }

    fn by_list(
        &self,
        bench: &mut Bench<'_>,
        arguments: &BisectArguments,
    ) -> Result<String, Failure> {
        let entries = line::between(self.project, &arguments.good, &arguments.bad)?;
        let found = search(&entries, &mut |kernel| bench.ask(kernel))?;
        let versions = match self.between_neighbours(&entries, &found) {
            Ok(versions) => versions,
            // What the list tells stands without it.
            Err(failure) => {
                return Ok(told(bench, &entries, &found)
                    + &format!("\nWhich versions are between could not be told: {failure}\n"));
            }
        };
        if versions.len() == 2 {
            return Ok(told(bench, &entries, &found)
                + "\nTheir archives have no version between these two.\n");
        }
        note(&format!(
            "between {} and {}: {}",
            entries[found.low.0],
            entries[found.high.0],
            versions[1..versions.len() - 1].join(", ")
        ));
        let closer = search(&versions, &mut |kernel| bench.ask(kernel))?;
        Ok(told(bench, &versions, &closer))
    }

    /// The versions between what the two neighbours were found with, with these at
    /// the ends.
    fn between_neighbours(
        &self,
        entries: &[String],
        found: &Found,
    ) -> Result<Vec<String>, Failure> {
        let (low, high) = (&entries[found.low.0], &entries[found.high.0]);
        let mut line = vec![low.clone()];
        if let Some(version) = &found.low.1.version {
            let there = self.supply.kernel_versions(&self.kernel(low)?.sources)?;
            line.extend(
                there
                    .iter()
                    .flat_map(|there| versions_between(low, there, Some(version), None)),
            );
        }
        if let Some(version) = &found.high.1.version {
            let there = self.supply.kernel_versions(&self.kernel(high)?.sources)?;
            line.extend(
                there
                    .iter()
                    .flat_map(|there| versions_between(high, there, None, Some(version))),
            );
        }
        line.push(high.clone());
        Ok(line)
    }

    /// Between two versions of one entry; an end without one is what the entry comes
    /// to now.
    fn by_version(&self, bench: &mut Bench<'_>, good: &End, bad: &End) -> Result<String, Failure> {
        let base = &good.base;
        let sources = self.kernel(base)?.sources;
        let there = self.supply.kernel_versions(&sources)?;
        let newest = self.supply.kernel_version(&sources)?.map(|it| it.version);
        let version = |end: &End| end.moment.clone().or_else(|| newest.clone());
        let (Some(there), Some(one), Some(other)) = (there, version(good), version(bad)) else {
            return Err(Failure::BisectMoments {
                good: good.id(),
                bad: bad.id(),
            });
        };
        let (low, high) = line::in_order(there.order, one, other);
        let mut versions = vec![format!("{base}@{low}")];
        versions.extend(versions_between(base, &there, Some(&low), Some(&high)));
        versions.push(format!("{base}@{high}"));
        let found = search(&versions, &mut |kernel| bench.ask(kernel))?;
        Ok(told(bench, &versions, &found))
    }

    /// Between two states of Debian's archive.
    fn by_time(
        &self,
        bench: &mut Bench<'_>,
        base: &str,
        one: &str,
        other: &str,
    ) -> Result<String, Failure> {
        let (from, to) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let ends = [format!("{base}@{from}"), format!("{base}@{to}")];
        let found = search(&ends, &mut |kernel| bench.ask(kernel))?;
        let mut past = Past {
            work: self,
            bench,
            base,
        };
        let low = (line::moment(from)?, found.low.1);
        let high = (line::moment(to)?, found.high.1);
        let neighbours = moments::search(low, high, &mut past)?;
        let id = |moment| format!("{base}@{}", moments::word(moment));
        let ends = [id(neighbours.low.0), id(neighbours.high.0)];
        let found = Found {
            low: (0, neighbours.low.1),
            high: (1, neighbours.high.1),
            skipped: Vec::new(),
        };
        let mut page = told(bench, &ends, &found);
        if let Some((moment, reason)) = neighbours.given_up {
            let _ = writeln!(page, "\nGiven up at {}: {reason}", id(moment));
        }
        Ok(page)
    }

    /// The one kernel that an id names.
    fn kernel(&self, id: &str) -> Result<Kernel, Failure> {
        line::kernel(self.project, id)
    }
}

/// The states of Debian's archive, for one entry.
struct Past<'p, 'w, 'b> {
    work: &'p Work<'w>,
    bench: &'p mut Bench<'b>,
    base: &'p str,
}

impl Past<'_, '_, '_> {
    fn id(&self, then: jiff::Timestamp) -> String {
        format!("{}@{}", self.base, moments::word(then))
    }
}

impl moments::Past for Past<'_, '_, '_> {
    fn version(&mut self, then: jiff::Timestamp) -> Result<Option<String>, String> {
        let kernel = self.work.kernel(&self.id(then));
        let kernel = kernel.map_err(|failure| failure.to_string())?;
        let version = self.work.supply.kernel_version(&kernel.sources);
        version
            .map(|version| version.map(|it| it.version))
            .map_err(|error| error.to_string())
    }

    fn ask(&mut self, then: jiff::Timestamp) -> Result<Result<Answer, String>, Failure> {
        self.bench.ask(&self.id(then))
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The page: the two neighbours, and what changed with the outcome.
fn told(bench: &Bench<'_>, line: &[String], found: &Found) -> String {
    let mut page = String::new();
    for (at, answer) in [&found.low, &found.high] {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "{}: {}  ({}{}, run {})",
            line[*at],
            answer.outcome,
            answer.release,
            answer
                .version
                .as_ref()
                .map(|version| format!(", package {version}"))
                .unwrap_or_default(),
            answer.run
        );
    }
    let between: Vec<String> = found
        .skipped
        .iter()
        .filter(|(at, _)| (found.low.0..found.high.0).contains(at))
        .map(|(at, reason)| format!("{} ({})", line[*at], first_line(reason)))
        .collect();
    let _ = write!(
        page,
        "{} changes between {} and {}",
        bench.subject(),
        line[found.low.0],
        line[found.high.0]
    );
    if between.is_empty() {
        page += ".\n";
    } else {
        let _ = writeln!(
            page,
            "; what is between could not be run: {}.",
            between.join(", ")
        );
    }
    page + &changes(&found.low.1, &found.high.1)
}

/// The facts that changed with the outcome.
fn changes(low: &Answer, high: &Answer) -> String {
    let (Some(first), Some(second)) = (&low.facts, &high.facts) else {
        return "The facts of one of them were not recorded.\n".to_owned();
    };
    let differences = report::comparison::differences(first, second);
    if differences.is_empty() {
        return "\nNo fact that is looked at changed with it.\n".to_owned();
    }
    let mut page = "\nWhat changed with it:\n".to_owned();
    for (name, before, after) in differences {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "  {name}: {before} -> {after}");
    }
    page
}
