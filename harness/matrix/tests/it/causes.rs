//! Causes, each produced for real on a real kernel, and told by their names.

use std::path::PathBuf;
use std::sync::Arc;

use report::Run;
use supply::{Silent, Supply};

use crate::made::{self, executable};
use crate::project::{Project, cell};

pub(crate) fn supply() -> Supply {
    Supply::new(supply::Options {
        cache_root: std::env::var_os("MATRIX_CACHE").map(PathBuf::from),
        offline: false,
        progress: Arc::new(Silent),
        qemu: None,
    })
    .unwrap()
}

const CHECKS: &str = r##"
name = "trouble"
source = { directory = "root" }
checks = []
[[check]]
name = "null"
command = ["/trouble", "null"]
[[check]]
name = "general-protection"
command = ["/trouble", "wild"]
[[check]]
name = "opcode"
command = ["/trouble", "opcode"]
[[check]]
name = "abort"
command = ["/trouble", "abort"]
[[check]]
name = "child"
command = ["/trouble", "child"]
[[check]]
name = "child-page"
command = ["/trouble", "child-page"]
[[check]]
name = "child-told"
command = ["/trouble", "child-told"]
[[check]]
name = "killed-for-a-call"
command = ["/trouble", "kill-call"]
[[check]]
name = "trapped-for-a-call"
command = ["/trouble", "trap-call"]
[[check]]
name = "denied-a-call"
command = ["/trouble", "deny-call"]
[[check]]
name = "no-such-call"
command = ["/trouble", "call", "9999"]
[[check]]
name = "exit-139"
command = ["/trouble", "exit", "139"]
[[check]]
name = "user-namespace"
command = ["/trouble", "user-namespace"]
[[check]]
name = "full"
command = ["/trouble", "fill", "/dev/shm/x"]
[[check]]
name = "loader"
command = ["/without-loader"]
[[check]]
name = "interpreter"
command = ["/script"]
[[check]]
name = "other-machine"
command = ["/other"]
[[check]]
name = "quoted"
command = ["/trouble", "say", "boot.log: FATAL: kernel too old, retry"]
"##;

fn name<'a>(run: &'a Run, image: &str, check: &str) -> Option<&'a str> {
    let cell = cell(run, "6.1", image, check);
    cell.cause.as_ref().map(|cause| cause.name.as_str())
}

fn explanation<'a>(run: &'a Run, image: &str, check: &str) -> &'a str {
    let cause = cell(run, "6.1", image, check).cause.as_ref();
    &cause
        .unwrap_or_else(|| panic!("{check} has no cause"))
        .explanation
}

#[test]
fn each_cause_is_told_by_its_name_and_what_it_rests_on() {
    let project = Project::new();
    project.file(
        "kernels.toml",
        "[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debian\", suite = \"bookworm\", package = \
         \"linux-image-cloud-amd64\" }\nsysctl = { \"user.max_user_namespaces\" = 0 }\n",
    );
    project.file("images/checks.toml", "");
    let program = made::trouble(&project, "root");
    // The same program for another machine, and with a loader that is not there.
    let mut bytes = fs_err::read(&program).unwrap();
    const MACHINE: usize = 18;
    const ARM64: u8 = 183;
    bytes[MACHINE] = ARM64;
    executable(&project, "root/other", &bytes);
    executable(
        &project,
        "root/without-loader",
        &crate::inspect::with_interpreter("/lib/ld-gone.so.1"),
    );
    executable(&project, "root/script", b"#!/usr/bin/gone -w\n");
    project.file("images/trouble.toml", CHECKS);
    made::of_linux_99(&project, "old");
    project.file(
        "images/old.toml",
        "name = \"old\"\nsource = { directory = \"old\" }\nchecks = []\n[[check]]\nname = \"dash\"\n\
         command = [\"/bin/dash\", \"-c\", \"true\"]\n",
    );

    let run = project.run(1, &["--kernels", "6.1", "--cold"]);
    for (check, cause, words) in [
        ("null", "segfault", "in poke_null() of /trouble"),
        (
            "general-protection",
            "general-protection",
            "in read_wild() of /trouble",
        ),
        ("opcode", "invalid-opcode", "in stop_here() of /trouble"),
        ("child-told", "segfault", "in poke_null() of /trouble"),
        ("killed-for-a-call", "seccomp-killed", "it called getppid"),
        ("trapped-for-a-call", "seccomp-killed", "it called getppid"),
        (
            "denied-a-call",
            "seccomp-refused",
            "answers EPERM to getppid",
        ),
        (
            "no-such-call",
            "missing-syscall",
            "does not have syscall 9999",
        ),
        ("user-namespace", "user-namespaces-off", "user namespace"),
        ("full", "disk-full", "full"),
        ("loader", "missing-interpreter", "not /lib/ld-gone.so.1"),
        ("interpreter", "missing-interpreter", "not /usr/bin/gone"),
        ("other-machine", "exec-format", "ARM64"),
    ] {
        assert_eq!(name(&run, "trouble", check), Some(cause), "{check}");
        let explanation = explanation(&run, "trouble", check);
        assert!(explanation.contains(words), "{check}: {explanation}");
    }
    assert_eq!(name(&run, "old", "dash"), Some("kernel-too-old"));
    // glibc's loader passes over a library whose note asks for more.
    let old = explanation(&run, "old", "dash");
    assert!(old.contains("built for Linux 99."), "{old}");
    assert!(old.contains("passes over it on Linux 6.1."), "{old}");

    // What only looks like a cause is unknown, and was traced.
    for check in ["exit-139", "quoted"] {
        let attempt = &cell(&run, "6.1", "trouble", check).attempts[0];
        assert_eq!(name(&run, "trouble", check), None, "{check}");
        assert!(
            attempt
                .examined
                .iter()
                .any(|line| line.starts_with("/trouble: "))
        );
        let trace = attempt
            .trace
            .as_ref()
            .expect("it was run again under ptrace");
        assert_eq!(trace.outcome, attempt.outcome);
        assert!(trace.steps[0].ends_with("started /trouble"), "{trace:?}");
    }
    // A child died, and the check passed all the same.
    for (check, words) in [
        ("child", "segfault at 0x8"),
        ("child-page", "called time()"),
    ] {
        let cell = cell(&run, "6.1", "trouble", check);
        assert!(cell.outcome.is_pass(), "{check}: {:?}", cell.outcome);
        let noticed = &cell.attempts[0].noticed;
        assert!(
            noticed.len() == 1 && noticed[0].what.contains(words),
            "{noticed:?}"
        );
    }
    assert!(run.cells.iter().all(|cell| cell.attempts.len() == 1));
}

#[test]
fn every_cell_that_is_no_pass_is_traced_where_that_is_asked_for() {
    let project = Project::new();
    project.debian(
        r#"
[[check]]
name = "refused"
command = ["cat", "/no/such/file"]
[[check]]
name = "forks"
command = ["bash", "-c", "(cat /proc/sysrq-trigger-not) ; ls /gone ; exit 3"]
[[check]]
name = "hangs"
command = ["sleep", "1000"]
timeout = "500ms"
[[check]]
name = "passes"
command = ["true"]
"#,
    );
    let run = project.run(1, &["--kernels", "6.1+", "--trace", "--cold"]);
    let steps = |check: &str| {
        let attempts = &cell(&run, "6.1", "debian:12", check).attempts;
        let trace = attempts.last().unwrap().trace.as_ref();
        trace.map(|trace| trace.steps.join("\n"))
    };
    let refused = steps("refused").unwrap();
    assert!(
        refused.contains(r#"openat("/no/such/file") = ENOENT"#),
        "{refused}"
    );
    let forks = steps("forks").unwrap();
    assert!(
        forks.contains("sysrq-trigger-not") && forks.contains("/gone"),
        "{forks}"
    );
    assert!(forks.contains("exited with status 3"), "{forks}");
    let hangs = steps("hangs").unwrap();
    assert!(
        hangs.contains("nanosleep(") && hangs.contains("nothing happens"),
        "{hangs}"
    );
    assert_eq!(steps("passes"), None);
}
