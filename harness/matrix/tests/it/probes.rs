//! Probes on a real kernel.

use report::{ProbeOutcome, ProbeRecord, Run};
use wire::Probe;

use crate::project::Project;

fn of(run: &Run, probe: Probe) -> &ProbeRecord {
    run.probes
        .iter()
        .find(|record| record.kernel == "6.1" && record.probe == probe.name())
        .unwrap_or_else(|| panic!("no {} in {:#?}", probe.name(), run.probes))
}

#[test]
fn the_runtime_is_seen_from_both_sides_and_a_resumed_run_asks_what_is_open() {
    let project = Project::new();
    // A project has an image, though none is run here.
    project.repository_image("vsyscall.toml");
    let output = project.matrix(&["run", "--only-probes", "--kernels", "6.1+"]);
    let folder = project.newest_run().expect("a run was recorded");
    let run = Run::load(&folder).unwrap();
    assert!(run.cells.is_empty());
    assert_eq!(run.probes.len(), Probe::ALL.len());
    assert_eq!(
        run.kernels[0].boots_ms.len(),
        1,
        "one machine for all of them"
    );
    for probe in [
        Probe::ImageRoot,
        Probe::ReadonlyRoot,
        Probe::Volume,
        Probe::PidNamespace,
        Probe::Reaping,
        Probe::NetworkNamespace,
        Probe::Capabilities,
        Probe::MaskedPaths,
        Probe::Overlayfs,
        Probe::Tmpfs,
        Probe::Pty,
        Probe::NoNewPrivileges,
    ] {
        let record = of(&run, probe);
        assert_eq!(record.outcome, ProbeOutcome::Passed, "{record:#?}");
        for side in ["inside: ", "outside: "] {
            let seen = record.observed.iter().any(|line| line.starts_with(side));
            assert!(seen, "{side}: {record:#?}");
        }
    }
    // No failed probe hides behind a status, and none of the others does.
    let failed = |record: &ProbeRecord| matches!(record.outcome, ProbeOutcome::Failed { .. });
    let status = if run.probes.iter().any(failed) {
        1
    } else if run.probes.iter().all(|record| record.outcome.is_result()) {
        0
    } else {
        3
    };
    assert_eq!(output.status.code(), Some(status));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("no_new_privs"), "{table}");

    let id = run.run.id.clone();
    project.matrix(&["run", "--resume", &id]);
    let resumed = Run::load(&folder).unwrap();
    for (before, after) in run.probes.iter().zip(&resumed.probes) {
        if before.outcome.is_result() {
            assert_eq!(before, after, "what has a result is not asked again");
        }
    }
}
