//! `--shard I/N`: the part of a plan that this machine runs; and `matrix plan`,
//! which tells others how to share one.

use std::path::Path;
use std::str::FromStr;

use plan::Plan;
use report::{Run, Shard};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::cli::{Global, PlanArguments, PlanFormat};
use crate::error::{Failure, Status};
use crate::progress::print;
use crate::run::{load_project, runs_folder, selection};
use crate::show::runs;

/// `I/N`, `auto` or `auto/N`, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardChoice {
    /// This one of so many, from 1.
    Given { index: u32, of: u32 },
    /// What the batch system says of this task; how many there are where it
    /// does not.
    Auto { of: Option<u32> },
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no shard\nhint: write `2/4`, or `auto` in a Slurm array, or `auto/4` \
                 in an indexed Kubernetes Job of 4"
            )
        };
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let (index, of) = match text.split_once('/') {
            Some((index, of)) => (index, Some(number(of).ok_or_else(wrong)?)),
            None => (text, None),
        };
        match (index, of) {
            ("auto", of) => Ok(Self::Auto { of }),
            (index, Some(of)) => match number(index) {
                Some(index) if index <= of => Ok(Self::Given { index, of }),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl ShardChoice {
    /// Which shard of how many, from 1. `variable` reads the environment.
    ///
    /// # Errors
    /// When the batch system's variables are not there, or contradict.
    pub(crate) fn resolve(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(u32, u32), Failure> {
        let of = match self {
            Self::Given { index, of } => return Ok((index, of)),
            Self::Auto { of } => of,
        };
        let number = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(text) => match text.parse::<u32>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Failure::Shard(format!(
                    "{name} is `{text}`, which is no number"
                ))),
            },
        };
        // Slurm counts from whatever the array begins with, Kubernetes from 0.
        let (index, of) = if let Some(task) = number("SLURM_ARRAY_TASK_ID")? {
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let index = task.checked_sub(first).ok_or_else(|| {
                Failure::Shard(format!(
                    "the task {task} is before the array's first, {first}"
                ))
            })?;
            (index, of.or(number("SLURM_ARRAY_TASK_COUNT")?))
        } else if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            (index, of)
        } else {
            return Err(Failure::Shard(
                "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set\n\
                 hint: `--shard auto` is for a Slurm array or an indexed Kubernetes Job; \
                 elsewhere write `--shard 2/4`"
                    .to_owned(),
            ));
        };
        let of = of.ok_or_else(|| {
            Failure::Shard(
                "how many shards there are is not known\nhint: write `--shard auto/4`".to_owned(),
            )
        })?;
        if index >= of {
            return Err(Failure::Shard(format!(
                "this is task {}, and there are {of} shards",
                index + 1
            )));
        }
        Ok((index + 1, of))
    }
}

/// The newest run of the project with durations to go by, the published one before
/// those of this machine: every machine that shares a run has it.
pub(crate) fn recorded_before(root: &Path) -> Option<Run> {
    let latest = root.join("results").join("latest.json");
    let published = fs_err::read(&latest)
        .ok()
        .and_then(|text| serde_json::from_slice::<Run>(&text).ok());
    published.or_else(|| {
        let folders = runs(&runs_folder(root, None)).ok()?;
        folders
            .iter()
            .rev()
            .find_map(|folder| Run::load(folder).ok())
    })
}

/// Which shard each kernel of the plan falls to.
fn assignment(plan: &Plan, of: u32, before: Option<&Run>) -> Vec<u32> {
    let costs = report::costs(plan.kernels.iter().map(|kernel| kernel.id.as_str()), before);
    report::split(&costs, of)
}

/// Leaves of the plan what this shard takes, and says so.
///
/// # Errors
/// When nothing is left for it.
pub(crate) fn take(
    plan: &mut Plan,
    index: u32,
    of: u32,
    before: Option<&Run>,
) -> Result<Shard, Failure> {
    let assigned = assignment(plan, of, before);
    let shard = Shard {
        index,
        of,
        plan: digest(plan),
        kernels: plan
            .kernels
            .iter()
            .map(|kernel| kernel.id.clone())
            .zip(assigned.iter().copied())
            .collect(),
    };
    let mut assigned = assigned.iter();
    plan.kernels.retain(|_| assigned.next() == Some(&index));
    if plan.kernels.is_empty() {
        return Err(Failure::Shard(format!(
            "there are {} kernels for {of} shards: nothing is left for shard {index}\n\
             hint: at most as many shards as kernels",
            shard.kernels.len()
        )));
    }
    Ok(shard)
}

/// What two machines must agree on before their shards belong together.
fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    // Its Debug form has every setting and command of the plan, in order.
    hash.update(format!("{:?}", plan.kernels).as_bytes());
    for image in &plan.images {
        hash.update(format!("{image:?}").as_bytes());
    }
    let bytes = hash.finalize();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// An entry of a GitHub Actions matrix.
#[derive(Serialize)]
struct Entry {
    shard: String,
    /// For people: what it takes.
    kernels: String,
}

/// `matrix plan`.
pub(crate) fn command(global: &Global, arguments: &PlanArguments) -> Result<Status, Failure> {
    let project = load_project(global)?;
    let plan = plan::plan(
        &project,
        &selection(&arguments.selection, std::env::current_dir()?),
    )?;
    // More shards than kernels would be machines with nothing to do.
    let of = u32::from(arguments.shards).min(u32::try_from(plan.kernels.len()).unwrap_or(u32::MAX));
    let before = recorded_before(&project.root);
    let assigned = assignment(&plan, of, before.as_ref());
    let entries: Vec<Entry> = (1..=of)
        .map(|index| Entry {
            shard: format!("{index}/{of}"),
            kernels: plan
                .kernels
                .iter()
                .zip(&assigned)
                .filter(|(_, shard)| **shard == index)
                .map(|(kernel, _)| kernel.id.as_str())
                .collect::<Vec<_>>()
                .join(","),
        })
        .collect();
    let text = match arguments.format {
        PlanFormat::Text => entries
            .iter()
            .map(|entry| format!("{}  {}\n", entry.shard, entry.kernels))
            .collect(),
        PlanFormat::Github => {
            let matrix = serde_json::json!({ "include": entries });
            format!("{matrix}\n")
        }
    };
    print(&text)?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_given_or_asked_of_the_batch_system() {
        assert_eq!("2/4".parse(), Ok(ShardChoice::Given { index: 2, of: 4 }));
        assert_eq!("auto".parse(), Ok(ShardChoice::Auto { of: None }));
        assert_eq!("auto/3".parse(), Ok(ShardChoice::Auto { of: Some(3) }));
        for wrong in ["", "2", "0/4", "5/4", "1/0", "a/b", "auto/0", "-1/2"] {
            assert!(wrong.parse::<ShardChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn slurm_and_kubernetes_count_from_different_numbers() {
        let resolve = |choice: &str, variables: &[(&str, &str)]| {
            choice.parse::<ShardChoice>().unwrap().resolve(|name| {
                variables
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(resolve("auto", &slurm).unwrap(), (3, 4));
        assert_eq!(resolve("1/2", &slurm).unwrap(), (1, 2));
        let job = [("JOB_COMPLETION_INDEX", "0")];
        assert_eq!(resolve("auto/4", &job).unwrap(), (1, 4));
        for (choice, variables, words) in [
            ("auto", &job[..], "how many shards"),
            ("auto", &[], "neither"),
            ("auto/4", &[("JOB_COMPLETION_INDEX", "4")], "task 5"),
            ("auto/4", &[("JOB_COMPLETION_INDEX", "x")], "no number"),
        ] {
            let message = resolve(choice, variables).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
