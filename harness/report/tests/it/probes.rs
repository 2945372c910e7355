//! Probes in the record and in the tables.

use report::{Counts, Event, NOT_REACHED, ProbeOutcome, ProbeRecord, Run, probe_table, text};
use wire::Probe;

use crate::recorded;

const OLD: &str = "4.19";
const NEW: &str = "6.19";

fn record(kernel: &str, probe: Probe, outcome: ProbeOutcome) -> ProbeRecord {
    ProbeRecord {
        outcome,
        observed: vec!["inside: pid -> 1".into(), "outside: a | b".into()],
        duration_ms: Some(80),
        boot: Some(1),
        ..ProbeRecord::planned(kernel, probe)
    }
}

fn finished(kernel: &str, probe: Probe, outcome: ProbeOutcome) -> Event {
    Event::ProbeFinished {
        record: Box::new(record(kernel, probe, outcome)),
    }
}

fn failed() -> ProbeOutcome {
    ProbeOutcome::Failed {
        how: "no answer to a datagram".into(),
    }
}

fn unsupported() -> ProbeOutcome {
    ProbeOutcome::Unsupported {
        what: "cgroup controller pids, in no hierarchy".into(),
    }
}

fn trouble() -> ProbeOutcome {
    ProbeOutcome::Trouble {
        message: "the runtime refuses: x".into(),
    }
}

/// A planned run with three probes on two of its kernels.
fn planned() -> Run {
    let mut run = recorded::planned();
    run.cells.clear();
    run.images.clear();
    run.probes = [OLD, NEW]
        .into_iter()
        .flat_map(|kernel| {
            [Probe::Volume, Probe::UdpPort, Probe::PidsLimit]
                .map(|probe| ProbeRecord::planned(kernel, probe))
        })
        .collect();
    run
}

fn after(events: &[Event]) -> Run {
    let mut run = planned();
    for event in events {
        run.apply(event).unwrap();
    }
    run
}

#[test]
fn every_planned_probe_is_not_run_until_it_has_an_answer() {
    let mut run = after(&[finished(OLD, Probe::Volume, ProbeOutcome::Passed)]);
    assert_eq!(run.probes[0].outcome, ProbeOutcome::Passed);
    for record in &run.probes[1..] {
        let reason = NOT_REACHED.to_owned();
        assert_eq!(record.outcome, ProbeOutcome::NotRun { reason });
    }
    run.apply(&Event::KernelUnavailable {
        kernel: OLD.into(),
        reason: "gone".into(),
    })
    .unwrap();
    assert_eq!(run.probes[0].outcome, ProbeOutcome::Passed);
    let reason = "gone".to_owned();
    assert_eq!(run.probes[1].outcome, ProbeOutcome::NotRun { reason });
    let stray = finished("no such", Probe::Volume, ProbeOutcome::Passed);
    assert!(run.apply(&stray).is_err());
    let stray = finished(OLD, Probe::Seccomp, ProbeOutcome::Passed);
    assert!(run.apply(&stray).is_err(), "not planned");
}

#[test]
fn a_resumed_run_takes_up_what_has_no_result() {
    let run = after(&[
        finished(OLD, Probe::Volume, failed()),
        finished(OLD, Probe::UdpPort, trouble()),
        finished(OLD, Probe::PidsLimit, unsupported()),
        Event::RunResumed {
            resumed: "2026-11-24T12:42:09Z".into(),
        },
    ]);
    let left: Vec<(&str, &str)> = run
        .probes
        .iter()
        .filter(|record| !record.outcome.is_result())
        .map(|record| (record.kernel.as_str(), record.probe.as_str()))
        .collect();
    assert_eq!(
        left,
        [
            (OLD, "udp-port"),
            (NEW, "volume"),
            (NEW, "udp-port"),
            (NEW, "pids-limit")
        ]
    );
}

#[test]
fn failures_are_findings_and_what_a_kernel_cannot_is_none() {
    let all = |outcome: fn() -> ProbeOutcome| {
        let mut run = planned();
        for record in &mut run.probes {
            record.outcome = outcome();
        }
        run
    };
    let code = |run: &Run| Counts::of(run).exit_code();
    assert_eq!(code(&all(|| ProbeOutcome::Passed)), 0);
    assert_eq!(code(&all(unsupported)), 0);
    assert_eq!(code(&all(trouble)), 3);
    assert_eq!(code(&planned()), 3);
    let mut run = all(trouble);
    run.probes[4].outcome = failed();
    assert_eq!(code(&run), 1);
    // An optional kernel that cannot be had is no gap.
    let mut run = all(|| ProbeOutcome::Passed);
    run.apply(&Event::RunResumed {
        resumed: String::new(),
    })
    .unwrap();
    run.probes[0].outcome = ProbeOutcome::NotRun {
        reason: "gone".into(),
    };
    assert_eq!(code(&run), 3);
    run.kernels[0].optional = true;
    run.kernels[0].status = report::ColumnStatus::Unavailable;
    assert_eq!(code(&run), 0);
}

#[test]
fn every_outcome_is_in_every_table() {
    let mut run = after(&[
        finished(OLD, Probe::Volume, ProbeOutcome::Passed),
        finished(OLD, Probe::UdpPort, failed()),
        finished(OLD, Probe::PidsLimit, unsupported()),
        finished(NEW, Probe::Volume, trouble()),
    ]);
    run.probes.pop();
    let plain = text::Options::default();
    for page in [
        text::render(&run, plain),
        probe_table::text(&run, plain),
        report::markdown::render(&run),
        probe_table::markdown(&run),
    ] {
        for words in [
            "! failed",
            "unsupported",
            "? no answer",
            "- not run",
            "? lacking",
            "UDP port mapping",
            "no answer to a datagram",
            "outside: a | b",
            "the runtime refuses: x",
            "cgroup controller pids, in no hierarchy",
            "5 probes: 1 passed, 1 failed, 1 unsupported by the kernel, 2 without an answer",
        ] {
            assert!(page.contains(words), "{words} in\n{page}");
        }
    }
    // Without a run's cells there is no empty table of them.
    assert!(!text::render(&run, plain).contains("\n  cgroup"));
}

#[test]
fn a_narrow_terminal_splits_the_table_and_loses_nothing() {
    let run = after(&[]);
    let narrow = text::Options {
        width: Some(40),
        colour: false,
    };
    let page = probe_table::text(&run, narrow);
    let table = page.split("- not run\n\nProbes").next().unwrap();
    assert_eq!(table.matches("UDP port mapping").count(), 3, "{page}");
    for kernel in recorded::KERNELS {
        assert!(table.contains(kernel), "{page}");
    }
}

#[test]
fn probes_are_written_and_read_back() {
    let run = after(&[finished(OLD, Probe::UdpPort, failed())]);
    let json = serde_json::to_string(&run).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&json).unwrap(), run);
    let value = serde_json::to_value(&run).unwrap();
    assert_eq!(value["probes"][1]["outcome"]["kind"], "failed");
    let validator = jsonschema::validator_for(&report::schema()).unwrap();
    assert!(validator.is_valid(&value));
    // A record from before there were probes has none.
    let mut old = value;
    old.as_object_mut().unwrap().remove("probes");
    assert!(
        serde_json::from_value::<Run>(old)
            .unwrap()
            .probes
            .is_empty()
    );
}

#[test]
fn every_published_format_has_the_probes_and_none_takes_one_for_a_pass() {
    let run = after(&[
        finished(OLD, Probe::Volume, ProbeOutcome::Passed),
        finished(OLD, Probe::UdpPort, failed()),
        finished(OLD, Probe::PidsLimit, unsupported()),
        finished(NEW, Probe::Volume, trouble()),
    ]);
    let page = report::html::render(&run, &[]).unwrap();
    let section = &page[page.find("<section class=\"probes\"").unwrap()..];
    let section = &section[..section.find("</table>").unwrap()];
    // The third kernel has no probes at all: lacking.
    assert_eq!(section.matches("<td>pass").count(), 1, "{section}");
    assert_eq!(section.matches("class=\"u\"").count(), 1);
    assert_eq!(section.matches("? lacking").count(), 3);
    let junit = report::junit::render(&run).unwrap();
    let suite = |kernel: &str| {
        let start = junit.find(&format!("name=\"{kernel} × runtime\"")).unwrap();
        junit[start..]
            .split("</testsuite>")
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(
        suite(OLD).contains("tests=\"3\" skipped=\"1\" errors=\"0\" failures=\"1\""),
        "{junit}"
    );
    assert!(
        suite(NEW).contains("tests=\"3\" skipped=\"0\" errors=\"3\" failures=\"0\""),
        "{junit}"
    );
    let ktap = report::ktap::render(&run);
    assert_eq!(ktap.matches("    not ok 2 ").count(), 2, "{ktap}");
    assert!(ktap.contains("# SKIP"), "{ktap}");
}
