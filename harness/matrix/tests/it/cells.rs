//! Cells on a real kernel.

use report::ColumnStatus;
use verdict::{Outcome, Verdict};

use crate::project::{Project, cell};

const SIGSEGV: u8 = 11;

#[test]
fn one_userland_one_kernel_another_setting_another_outcome() {
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.repository_image("debian-12.toml");
    project.repository_checks();

    let run = project.run(
        0,
        &[
            "--kernels",
            "6.1,6.1+vsyscall=emulate",
            "--isolate",
            "kernel",
            // A sampled cell would be seen after a boot as well.
            "--sample",
            "0",
        ],
    );

    for column in &run.kernels {
        assert_eq!(
            column.status,
            ColumnStatus::Ran,
            "{}: {:?}",
            column.id,
            column.reason
        );
        assert_eq!(column.boots_ms.len(), 1, "one machine per kernel");
    }
    let none = cell(&run, "6.1", "vsyscall", "time");
    assert_eq!(none.outcome.code(), Some(139));
    assert!(matches!(
        none.outcome,
        Outcome::Signal {
            signal: SIGSEGV,
            ..
        }
    ));
    assert_eq!(none.verdict, Verdict::Expected);
    let cause = none.cause.as_ref().expect("its cause is told");
    assert_eq!(cause.name, "vsyscall-none");
    assert!(
        cause
            .evidence
            .iter()
            .any(|line| line.contains("vsyscall attempted")),
        "{cause:?}"
    );

    let emulated = cell(&run, "6.1+vsyscall=emulate", "vsyscall", "time");
    assert_eq!(emulated.outcome, Outcome::Pass);

    // `uname -r` in the image prints the machine's kernel, not this host's.
    let release = run.kernels[0].release.clone().unwrap();
    let uname = cell(&run, "6.1", "debian:12", "uname");
    assert_eq!(uname.attempts[0].stdout.trim(), release);
    assert!(release.starts_with("6.1."), "{release}");
    for cell in &run.cells {
        assert_eq!(
            cell.verdict,
            Verdict::Expected,
            "{} {}: {:?}",
            cell.image,
            cell.check,
            cell
        );
        assert!(
            cell.attempts
                .iter()
                .all(|attempt| attempt.survivors.is_empty())
        );
    }
}

#[test]
fn every_kind_of_end_is_told_apart() {
    let project = Project::new();
    project.repository_image("debian-12.toml");
    project.file(
        "images/checks.toml",
        r#"
[[check]]
name = "exit"
command = ["sh", "-c", "exit 3"]
[[check]]
name = "exit-139"
command = ["sh", "-c", "exit 139"]
[[check]]
name = "signal"
command = ["bash", "-c", "kill -SEGV $$"]
[[check]]
name = "fault"
command = ["perl", "-e", "dump_nothing(); sub dump_nothing { unpack('p', pack('J', 1)) . '' }"]
[[check]]
name = "missing"
command = ["/no/such/program"]
[[check]]
name = "not-a-program"
command = ["/etc/passwd"]
[[check]]
name = "output"
command = ["echo", "wrong"]
stdout = "^right$"
[[check]]
name = "slow"
command = ["sleep", "1000"]
timeout = "200ms"
[[check]]
name = "after"
command = ["sh", "-c", "echo out; echo err >&2"]
[[check]]
name = "flood"
command = ["perl", "-e", "print 'x' x 1000 for 1..1000"]
[[check]]
name = "daemon"
command = ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 0"]
"#,
    );
    project.every_check("debian-12.toml");

    let run = project.run(1, &["--kernels", "6.1"]);
    let outcome = |check: &str| &cell(&run, "6.1", "debian:12", check).outcome;

    assert_eq!(outcome("exit"), &Outcome::Exit { code: 3 });
    assert_eq!(outcome("exit-139"), &Outcome::Exit { code: 139 });
    assert!(
        matches!(
            outcome("fault"),
            Outcome::Signal {
                signal: SIGSEGV,
                ..
            }
        ),
        "{:?}",
        outcome("fault")
    );
    assert!(
        matches!(outcome("missing"), Outcome::Exec { errno: 2, .. }),
        "{:?}",
        outcome("missing")
    );
    assert!(matches!(
        outcome("not-a-program"),
        Outcome::Exec { errno: 13, .. }
    ));
    assert!(matches!(outcome("output"), Outcome::Mismatch { .. }));
    assert!(
        matches!(outcome("slow"), Outcome::Timeout { .. }),
        "{:?}",
        outcome("slow")
    );
    assert_eq!(outcome("after"), &Outcome::Pass);
    assert_eq!(outcome("daemon"), &Outcome::Pass);

    // A time limit counts only when it is met with the host to itself as well.
    let slow = &cell(&run, "6.1", "debian:12", "slow").attempts;
    assert_eq!(
        slow.iter().map(|attempt| attempt.alone).collect::<Vec<_>>(),
        [false, true]
    );

    let after = &cell(&run, "6.1", "debian:12", "after").attempts[0];
    assert_eq!(
        (after.stdout.as_str(), after.stderr.as_str()),
        ("out\n", "err\n")
    );
    let flood = &cell(&run, "6.1", "debian:12", "flood").attempts[0];
    assert_eq!(flood.stdout.len() as u64 + flood.output_dropped, 1_000_000);
    assert!(flood.output_dropped > 0);
}

#[test]
fn a_kernel_that_panics_under_a_cell_makes_that_cell_the_guilty_one_and_the_others_still_run() {
    let project = Project::new();
    project.repository_image("debian-12.toml");
    project.file(
        "kernels.toml",
        r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
sysctl = { "kernel.unknown_nmi_panic" = "1" }
notes = "panics when it is struck"
"#,
    );
    project.file(
        "images/checks.toml",
        r#"
[[check]]
name = "before"
command = ["true"]
[[check]]
name = "struck"
command = ["sleep", "1000"]
timeout = "10m"
[[check]]
name = "later"
command = ["true"]
"#,
    );
    project.every_check("debian-12.toml");
    // The real QEMU with a monitor besides, over which the machine gets an NMI.
    let qemu = project.qemu_with_monitor();
    // Cold: what a warm start saw would be struck once more after a boot.
    let qemu = qemu.to_str().unwrap();
    let mut matrix = project.start(&["run", "--kernels", "6.1", "--cold", "--qemu", qemu]);
    let begun =
        r#"{"kind":"cell-started","cell":{"kernel":"6.1","image":"debian:12","check":"struck"}}"#;
    let folder = project.wait_for_event(&mut matrix, begun);
    project.strike();
    assert_eq!(matrix.wait().unwrap().code(), Some(1));

    let run = report::Run::load(&folder).unwrap();
    let guilty = cell(&run, "6.1", "debian:12", "struck");
    let Outcome::Panic { message } = &guilty.outcome else {
        panic!("{:?}", guilty.outcome)
    };
    assert!(message.contains("NMI"), "{message}");
    assert_eq!(guilty.verdict, Verdict::UnexpectedFailure);
    assert_eq!(
        cell(&run, "6.1", "debian:12", "before").outcome,
        Outcome::Pass
    );
    assert_eq!(
        cell(&run, "6.1", "debian:12", "later").outcome,
        Outcome::Pass
    );
    assert_eq!(
        run.kernels[0].boots_ms.len(),
        2,
        "a new machine for the cells after it"
    );
}
