//! One plain line an event, for logs of CI systems and for pipes.

use verdict::Verdict;

use crate::{
    Event,
    shown::{bytes, duration, one_line},
};

/// `1 kernel`, `2 kernels`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The line an event is worth, without its newline; none for those that only a
/// progress bar shows.
pub fn plain_line(event: &Event) -> Option<String> {
    let line = match event {
        Event::RunStarted { run } => format!(
            "run {}: {}, {}, {}",
            run.run.id,
            count(run.kernels.len(), "kernel"),
            count(run.images.len(), "image"),
            count(run.cells.len(), "cell")
        ),
        Event::RunResumed { .. } => "going on where the run was cut short".to_owned(),
        Event::Note { message } => message.clone(),
        Event::FetchPlanned {
            purpose,
            files,
            noun,
            bytes: sum,
        } => format!(
            "{purpose}: {} to fetch, {}",
            count(usize::try_from(*files).unwrap_or(usize::MAX), noun),
            bytes(*sum)
        ),
        Event::FetchStarted { what, total, .. } => match total {
            Some(total) => format!("fetching {what} ({})", bytes(*total)),
            None => format!("fetching {what}"),
        },
        Event::FetchFinished {
            what,
            bytes: count,
            error,
        } => match error {
            Some(error) => format!("failed to fetch {what}: {error}"),
            None => format!("fetched {what} ({})", bytes(*count)),
        },
        Event::RunFacts {
            qemu,
            acceleration,
            acceleration_reason,
        } => format!("QEMU {qemu}, {acceleration}: {acceleration_reason}"),
        Event::ImageReady { image } => format!("image {} is ready", image.id),
        Event::ImageUnavailable { image, reason } => {
            format!("image {image} is unavailable: {reason}")
        }
        Event::KernelReady { kernel } => format!("kernel {kernel} is ready"),
        Event::VmStarting { kernel, boot } => match boot {
            0 | 1 => format!("kernel {kernel}: starting"),
            again => format!("kernel {kernel}: starting again (boot {again})"),
        },
        Event::VmReady {
            kernel,
            boot_ms,
            column,
            ..
        } => {
            let mut line = format!("kernel {kernel}: up after {}", duration(*boot_ms));
            if let Some(facts) = &column.facts {
                line.push_str(&format!(
                    " ({}, vsyscall {}, cgroup {})",
                    facts.release,
                    facts.vsyscall.name(),
                    facts.cgroup.name()
                ));
            }
            line
        }
        Event::VmGone { kernel, reason, .. } => {
            format!("kernel {kernel}: the machine is gone: {reason}")
        }
        Event::KernelUnavailable { kernel, reason } => {
            format!("kernel {kernel} is unavailable: {reason}")
        }
        Event::CellFinished { cell, attempt } => {
            let mark = attempt.verdict.mark(&attempt.outcome).unwrap_or(' ');
            let mut line = format!("{mark} {cell}: {}", attempt.outcome.label());
            // Every mark but the one for what was expected is worth its reason.
            let detail = attempt
                .outcome
                .detail()
                .filter(|_| attempt.verdict != Verdict::Expected);
            if let Some(detail) = detail {
                line.push_str(&format!(" ({detail})"));
            }
            if attempt.verdict.is_unexpected() {
                line.push_str(&format!(", expected {}", attempt.expected));
            }
            if let Some(cause) = &attempt.cause {
                line.push_str(&format!("; cause: {}", cause.name));
            }
            line.push_str(&format!(" [{}]", duration(attempt.duration_ms)));
            // The mark's place stays where there is none.
            return Some(format!("{mark} {}", one_line(&line[1..])));
        }
        Event::ProbeFinished { record } => {
            let mark = record.outcome.mark().unwrap_or(' ');
            let mut line = format!(" {}: {}", record.id(), record.outcome.label());
            if let Some(detail) = record.outcome.detail() {
                line.push_str(&format!(" ({detail})"));
            }
            if let Some(took) = record.duration_ms {
                line.push_str(&format!(" [{}]", duration(took)));
            }
            return Some(format!("{mark} probe {}", one_line(&line)));
        }
        Event::KernelFinished { kernel } => format!("kernel {kernel}: done"),
        Event::RunFinished {
            timings,
            interrupted,
            ..
        } => {
            let took = timings.get("total").map_or(String::new(), |total| {
                format!(" after {}", duration(*total))
            });
            match interrupted {
                None => format!("run finished{took}"),
                Some(why) => format!("run cut short{took}: {why}"),
            }
        }
        Event::FetchProgress { .. } | Event::CellStarted { .. } | Event::ProbeStarted { .. } => {
            return None;
        }
    };
    Some(one_line(&line))
}
