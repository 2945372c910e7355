//! From what was seen of a cell to an attempt: outcome, verdict, cause, and what was
//! noticed besides.

use std::time::Duration;

use report::{Attempt, TraceRecord};
use verdict::Outcome;
use verdict::judge::Demands;
use verdict::userland::{self, Userland};
use wire::{CellResult, Command};

use super::boot::Booted;
use super::phases::milliseconds;
use super::session::{Mode, Session, Task};

/// Steps of a trace that are recorded, the last ones.
const STEPS: usize = 60;

/// What an attempt is judged by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen<'a> {
    /// The time limit, milliseconds, after scaling.
    pub(super) limit: u64,
    /// The guest's answer; none of a machine that went down.
    pub(super) result: Option<&'a CellResult>,
    /// How long such a machine had been running it when its end was seen.
    pub(super) lasted: Option<Duration>,
    /// What came on such a machine's console meanwhile.
    pub(super) console: &'a [String],
    /// The cell once more under ptrace, and what it came to then.
    pub(super) trace: Option<(&'a Outcome, &'a wire::Trace)>,
}

/// An attempt, and why its machine is of no more use, if so.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) attempt: Attempt,
    pub(super) harm: Option<String>,
}

impl Session<'_> {
    /// An attempt with all that is known of it.
    pub(super) fn judge(
        &self,
        booted: &Booted,
        task: &Task<'_>,
        outcome: Outcome,
        seen: Seen<'_>,
    ) -> Judged {
        let (expected, because) = verdict::expected(
            &task.image.expectations,
            &[&task.check.name, task.check.given_name()],
            verdict::Setting {
                facts: &booted.facts,
                runtime: super::record::RUNTIME,
                seccomp: task.check.seccomp,
            },
        );
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let result = seen.result;
        let kernel_log: Vec<String> = match result {
            Some(result) => result
                .kernel_log
                .iter()
                .map(|line| line.text.clone())
                .collect(),
            None => seen.console.to_vec(),
        };
        let outcome = verdict::judge::with_syscall(
            outcome,
            kernel_log.iter().map(String::as_str),
            seen.trace.map(|(_, trace)| trace),
        );
        let stdout = result
            .map(|result| text(&result.stdout.bytes))
            .unwrap_or_default();
        let stderr = result
            .map(|result| text(&result.stderr.bytes))
            .unwrap_or_default();
        // Opened for what failed only.
        let failed = outcome.is_result() && !outcome.is_pass();
        let files = self
            .disks
            .iter()
            .find(|disk| failed && disk.serial == task.disk)
            .map(|disk| self.userlands.get(&disk.path));
        let image = match &files {
            Some(Ok(files)) => Some(&**files as &dyn Userland),
            Some(Err(_)) | None => None,
        };
        let program = image.and_then(|image| program(image, &task.command));
        let observation = verdict::Observation {
            stdout: &stdout,
            stderr: &stderr,
            kernel_log: &kernel_log,
            facts: Some(&booted.facts),
            seccomp: match task.check.seccomp {
                verdict::Seccomp::None => None,
                profile => Some(profile.name()),
            },
            program: program.as_deref(),
            image,
            trace: seen.trace.map(|(_, trace)| trace),
            ..verdict::Observation::new(&outcome)
        };
        let cause = verdict::cause(observation);
        let noticed = verdict::noticed(observation, cause.as_ref());
        let mut examined = Vec::new();
        if failed && cause.is_none() {
            examined = verdict::examined(observation);
            if let Some(Err(error)) = &files {
                examined.push(format!("the image's files cannot be read: {error}"));
            }
        }
        let harm = result.and_then(|result| {
            survived(result).or_else(|| {
                verdict::harmed(observation).map(|line| {
                    format!("the kernel came to harm under {}: {line}", task.check.name)
                })
            })
        });
        let trace = seen.trace.map(|(outcome, trace)| {
            let surplus = trace.steps.len().saturating_sub(STEPS);
            TraceRecord {
                outcome: outcome.clone(),
                cut: trace.dropped > 0 || surplus > 0,
                steps: trace.steps[surplus..]
                    .iter()
                    .map(verdict::step_words)
                    .collect(),
            }
        });
        let attempt = Attempt {
            verdict: verdict::verdict(&outcome, expected, &task.earlier),
            outcome,
            expected: expected.to_string(),
            because: because.map(str::to_owned),
            cause,
            duration_ms: match (result, seen.lasted) {
                (Some(result), _) => result.duration / 1000,
                (None, Some(lasted)) => milliseconds(lasted),
                (None, None) => seen.limit,
            },
            limit_ms: seen.limit,
            start: booted.start,
            boot: booted.boot,
            alone: self.mode == Mode::Alone,
            stdout,
            stderr,
            output_dropped: result
                .map_or(0, |result| result.stdout.dropped + result.stderr.dropped),
            kernel_log,
            survivors: result
                .map(|result| result.survivors.clone())
                .unwrap_or_default(),
            noticed,
            examined,
            trace,
        };
        Judged { attempt, harm }
    }
}

/// What the guest's answer comes to.
pub(super) fn outcome_of(
    booted: &Booted,
    task: &Task<'_>,
    result: &CellResult,
    limit: u64,
) -> Outcome {
    verdict::judge::outcome(
        result,
        Demands {
            stdout: task.check.stdout.as_deref(),
            children: task.check.children,
        },
        &booted.facts.release,
        limit,
    )
}

/// The next cell would not be alone in its machine.
pub(super) fn survived(result: &CellResult) -> Option<String> {
    (!result.survivors.is_empty()).then(|| "processes outlived their container".to_owned())
}

/// The program a cell runs, as its image has it. An image that cannot be read has
/// been told of.
fn program(image: &dyn Userland, command: &Command) -> Option<String> {
    let path = command
        .environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(userland::DEFAULT_PATH, |(_, path)| path);
    userland::program(image, command.arguments.first()?, path).ok()?
}
