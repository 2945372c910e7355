//! What GitHub Actions shows: annotations, one a finding.
//!
//! The step's summary is [`crate::markdown::render_compact`].

use verdict::Verdict;

use crate::{Run, findings::headline, shown::one_line};

/// GitHub shows ten errors and ten warnings of a step, and drops the rest.
const SHOWN: usize = 10;

/// Workflow commands, one a line: an error per cell that is not as expected, a
/// warning per flaky cell and per kernel or image that could not be had. Of more
/// than GitHub shows, the last says how many there are.
pub fn annotations(run: &Run) -> String {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for cell in &run.cells {
        match cell.verdict {
            Verdict::UnexpectedFailure | Verdict::UnexpectedPass => {
                let cause = cell.cause.as_ref().map_or(String::new(), |cause| {
                    let mut text = format!("\n{}: {}", cause.name, cause.explanation);
                    for line in &cause.evidence {
                        text.push_str(&format!("\n{}", one_line(line)));
                    }
                    text
                });
                errors.push((cell.verdict.label(), format!("{}{cause}", headline(cell))));
            }
            Verdict::Flaky => warnings.push((cell.verdict.label(), headline(cell))),
            Verdict::Expected | Verdict::NotRun => {}
        }
    }
    let kernels = run.kernels.iter().map(|it| (&it.id, &it.reason));
    let images = run.images.iter().map(|it| (&it.id, &it.reason));
    for (id, reason) in kernels.chain(images) {
        if let Some(reason) = reason {
            warnings.push(("not run", one_line(&format!("{id}: {reason}"))));
        }
    }
    let mut text = String::new();
    for (command, found) in [("error", errors), ("warning", warnings)] {
        let more = found.len() > SHOWN;
        let shown = if more { SHOWN - 1 } else { found.len() };
        for (title, message) in &found[..shown] {
            push(&mut text, command, title, message);
        }
        if more {
            let rest = found.len() - shown;
            push(
                &mut text,
                command,
                "matrix",
                &format!("and {rest} more, see the summary"),
            );
        }
    }
    text
}

fn push(text: &mut String, command: &str, title: &str, message: &str) {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    text.push_str(&format!("::{command} title={title}::{}\n", data(message)));
}
