//! From the runtime's status line to how a cell ended.

use runtime::status::{Line, Status};
use wire::End;

use super::watch::Ended;

/// How much of the runtime's own words a trouble quotes, bytes.
const TAIL: usize = 600;

/// The end, and the fallbacks the runtime took, in words.
pub(super) fn of(watched: &Ended) -> (End, Vec<String>) {
    if watched.timed_out {
        return (End::TimedOut, Vec::new());
    }
    if let Some(message) = &watched.stuck {
        return (trouble(message, watched), Vec::new());
    }
    match last_line(&watched.report) {
        None => (trouble("the runtime gave no status", watched), Vec::new()),
        Some(line) => match serde_json::from_str::<Line>(line) {
            Ok(line) => {
                let fallbacks = line
                    .fallbacks
                    .iter()
                    .map(|fallback| format!("the runtime fell back: {fallback:?}"))
                    .collect();
                (from_status(line.status, watched), fallbacks)
            }
            Err(error) => {
                let message = format!("the runtime's status is not understood ({error}): {line}");
                (trouble(&message, watched), Vec::new())
            }
        },
    }
}

/// The last line that is not empty.
fn last_line(report: &str) -> Option<&str> {
    report.lines().rev().find(|line| !line.trim().is_empty())
}

fn from_status(status: Status, watched: &Ended) -> End {
    match status {
        Status::Exited { code } => End::Exited(code),
        Status::Signaled { signal, core } => End::Signaled { signal, core },
        Status::OutOfMemory => End::OutOfMemory,
        Status::Exec { errno, path } => End::Exec { errno, path },
        Status::Unsupported { what } => End::Unsupported { what },
        Status::Trouble {
            step,
            errno,
            message,
        } => {
            let errno = errno.map_or_else(String::new, |errno| format!(" (errno {errno})"));
            trouble(&format!("{step}: {message}{errno}"), watched)
        }
    }
}

/// What went wrong, and what is known besides: how the runtime itself ended and
/// what it said last.
fn trouble(message: &str, watched: &Ended) -> End {
    let mut message = format!("{message}; the runtime {}", watched.runtime);
    let said = String::from_utf8_lossy(&watched.stderr.bytes);
    let said = said.trim();
    if !said.is_empty() {
        let mut start = said.len().saturating_sub(TAIL);
        while !said.is_char_boundary(start) {
            start += 1;
        }
        message.push_str("; its stderr ends: ");
        message.push_str(&said[start..]);
    }
    End::Trouble { message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Captured;

    fn ended(report: &str) -> Ended {
        Ended {
            runtime: "exited with status 125".into(),
            report: report.into(),
            trace: Captured::default(),
            stdout: Captured::default(),
            stderr: Captured {
                bytes: b"runtime: no room\n".to_vec(),
                dropped: 0,
            },
            timed_out: false,
            stuck: None,
            survivors: Vec::new(),
        }
    }

    #[test]
    fn each_status_has_its_end() {
        let line = |status: Status| {
            let line = Line {
                status,
                fallbacks: vec![],
                cgroup: None,
                network: None,
            };
            of(&ended(&format!(
                "{}\n",
                serde_json::to_string(&line).unwrap()
            )))
            .0
        };
        assert_eq!(line(Status::Exited { code: 3 }), End::Exited(3));
        assert_eq!(
            line(Status::Signaled {
                signal: 11,
                core: true
            }),
            End::Signaled {
                signal: 11,
                core: true
            }
        );
        assert_eq!(line(Status::OutOfMemory), End::OutOfMemory);
        assert_eq!(
            line(Status::Exec {
                errno: 8,
                path: "/x".into()
            }),
            End::Exec {
                errno: 8,
                path: "/x".into()
            }
        );
        assert_eq!(
            line(Status::Unsupported { what: "w".into() }),
            End::Unsupported { what: "w".into() }
        );
        assert_eq!(
            line(Status::Trouble {
                step: "mount /proc".into(),
                errno: Some(1),
                message: "not permitted".into()
            }),
            End::Trouble {
                message: "mount /proc: not permitted (errno 1); the runtime exited with status \
                          125; its stderr ends: runtime: no room"
                    .into()
            }
        );
    }

    #[test]
    fn no_status_is_trouble_with_all_that_is_known() {
        for (report, beginning) in [
            (
                "",
                "the runtime gave no status; the runtime exited with status 125; its stderr",
            ),
            ("{\"status\"", "the runtime's status is not understood"),
            ("{}\n", "the runtime's status is not understood"),
        ] {
            let End::Trouble { message } = of(&ended(report)).0 else {
                panic!("{report:?} is no trouble");
            };
            assert!(message.starts_with(beginning), "{message}");
        }
    }

    #[test]
    fn a_time_limit_outweighs_what_the_killed_runtime_said() {
        let mut watched = ended("{\"status\":{\"exited\":{\"code\":0}},\"fallbacks\":[]}\n");
        assert_eq!(of(&watched).0, End::Exited(0));
        watched.timed_out = true;
        assert_eq!(of(&watched).0, End::TimedOut);
    }
}
