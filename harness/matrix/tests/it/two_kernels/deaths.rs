//! Kernels that come to harm, each by a container that was allowed to do it: with
//! capabilities besides docker's, and modules made for that.

use super::{Wanted, assert_told, image, project};
use crate::causes::supply;
use crate::made::module::{Harm, harmful};
use crate::project::{Project, cell, stderr};

/// As they come; ending with an oops; with a lockup; with a watchdog that barks within
/// seconds, which on a busy host it may do for nothing; with one that looks for tasks that
/// hang; with nobody but RCU to watch, and a CPU that goes on; and where real-time processes may
/// have all of the only one.
const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
memory = "512MiB"
[kernel.variants]
panics = { sysctl = { "kernel.panic_on_oops" = 1 } }
bites = { sysctl = { "kernel.watchdog_thresh" = 1, "kernel.softlockup_panic" = 1 } }
barks = { sysctl = { "kernel.watchdog_thresh" = 1 } }
hangs = { sysctl = { "vm.unprivileged_userfaultfd" = 1, "kernel.hung_task_timeout_secs" = 1 } }
stalls = { cpus = 2, cmdline = "rcupdate.rcu_cpu_stall_timeout=3 nosoftlockup" }
starves = { cmdline = "rcupdate.rcu_cpu_stall_timeout=3 nosoftlockup", sysctl = { "kernel.sched_rt_runtime_us" = -1 } }

[[kernel]]
version = "6.12"
source = { apt = "debian", suite = "trixie", package = "linux-image-cloud-amd64" }
memory = "512MiB"
[kernel.variants]
panics = { sysctl = { "kernel.panic_on_oops" = 1 } }
bites = { sysctl = { "kernel.watchdog_thresh" = 1, "kernel.softlockup_panic" = 1 } }
barks = { sysctl = { "kernel.watchdog_thresh" = 1 } }
hangs = { sysctl = { "vm.unprivileged_userfaultfd" = 1, "kernel.hung_task_timeout_secs" = 1 } }
stalls = { cpus = 2, cmdline = "rcupdate.rcu_cpu_stall_timeout=3 nosoftlockup" }
starves = { cmdline = "rcupdate.rcu_cpu_stall_timeout=3 nosoftlockup", sysctl = { "kernel.sched_rt_runtime_us" = -1 } }
"#;

/// Such kernels, and in `root` modules of theirs, where `trouble load` looks for them.
fn harmed(harms: &[Harm]) -> Project {
    let project = project();
    project.file("kernels.toml", KERNELS);
    for entry in plan::load(project.root()).unwrap().kernels {
        let files = supply().kernel(&entry.kernel.sources).unwrap();
        let (release, modules) = (files.release.unwrap(), files.modules.unwrap());
        for harm in harms {
            let path = format!("root/lib/modules/{release}/{}.ko", harm.name());
            project.file(&path, harmful(&modules, *harm));
        }
    }
    project
}

const ADMIN: &str = "capabilities = [\"SYS_ADMIN\"]";
const MODULE: &str = "capabilities = [\"SYS_MODULE\"]";

/// Seconds under emulation, where a limit is stretched, and less than the modules take.
const MODULE_IN_TIME: &str = "capabilities = [\"SYS_MODULE\"]\ntimeout = \"500ms\"";

#[test]
fn what_ends_a_kernel_or_a_cell_at_once() {
    let project = harmed(&[Harm::Oops]);
    image(
        &project,
        "free",
        "root",
        &[
            ("mount", &["/trouble", "mount"], ADMIN),
            ("no-mount", &["/trouble", "mount"], ""),
            (
                "filtered",
                &["/trouble", "mount"],
                "capabilities = [\"CAP_SYS_ADMIN\"]\nseccomp = \"enosys\"",
            ),
            ("set", &["/trouble", "set", "sys/vm/swappiness", "7"], ADMIN),
            (
                "unset",
                &["/trouble", "show", "/proc/sys/vm/swappiness"],
                "stdout = \"^60$\"",
            ),
            ("group", &["/trouble", "eat-group"], ADMIN),
            ("sysrq", &["/trouble", "sysrq", "c"], ADMIN),
        ],
    );
    image(
        &project,
        "modules",
        "root",
        &[
            ("refused", &["/trouble", "load", "oops"], ""),
            ("oops", &["/trouble", "load", "oops"], MODULE),
            (
                "child",
                &["/trouble", "child-load", "oops"],
                "capabilities = [\"SYS_MODULE\"]\nchildren = \"fail\"",
            ),
        ],
    );
    let run = project.run(1, &["--kernels", "6.1+,6.12+", "--cold"]);
    for kernel in ["6.1", "6.12"] {
        let wanted: &Wanted<'_> = &[
            (
                "free",
                "group",
                "oom",
                "oom",
                "because its cgroup reached its memory limit",
            ),
            (
                "free",
                "sysrq",
                "panic",
                "panic",
                "the kernel panicked: sysrq triggered crash",
            ),
            (
                "modules",
                "oops",
                "SIGKILL 137",
                "kernel-oops",
                "in init_nls_utf8",
            ),
            (
                "modules",
                "child",
                "child SIGKILL",
                "kernel-oops",
                "in init_nls_utf8",
            ),
        ];
        assert_told(&project, &run, kernel, wanted);
        // What a check changed that may, the one after it does not see.
        let unset = cell(&run, kernel, "free", "unset");
        assert!(unset.outcome.is_pass(), "{unset:#?}");
        for (check, passes) in [
            ("mount", true),
            ("no-mount", false),
            ("filtered", true),
            ("set", true),
        ] {
            let cell = cell(&run, kernel, "free", check);
            assert_eq!(
                cell.outcome.is_pass(),
                passes,
                "{kernel} {check}: {cell:#?}"
            );
            let added: &[&str] = if passes { &["SYS_ADMIN"] } else { &[] };
            assert_eq!(cell.capabilities, added, "{kernel} {check}");
        }
        let refused = cell(&run, kernel, "free", "no-mount");
        let words = "mount: Operation not permitted";
        assert!(refused.attempts[0].stderr.contains(words), "{refused:#?}");
        let refused = cell(&run, kernel, "modules", "refused");
        assert_eq!(refused.outcome.label(), "exit 1", "{refused:#?}");
    }
    let page = project.matrix(&["explain", "6.1", "free", "mount"]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(
        page.contains("capabilities docker's 14 and SYS_ADMIN"),
        "{page}"
    );

    let tried = |added: &[&str]| {
        let words = ["try", "6.1", "free", "--cold"];
        project.matrix(&[&words, added, &["--", "/trouble", "mount"]].concat())
    };
    let allowed = tried(&["--cap-add", "sys_admin"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
    assert_eq!(tried(&[]).status.code(), Some(1));
}

#[test]
fn kernels_that_panic_of_the_harm_they_come_to() {
    let project = harmed(&[Harm::Oops, Harm::Spin]);
    let load = |harm| -> [&str; 3] { ["/trouble", "load", harm] };
    image(
        &project,
        "panics",
        "root",
        &[("oops", &load("oops"), MODULE)],
    );
    image(
        &project,
        "bites",
        "root",
        &[("spin", &load("spin"), MODULE)],
    );
    for (variant, check, words, sign) in [
        (
            "panics",
            "oops",
            "the kernel panicked: Fatal exception, in init_nls_utf8",
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        ),
        (
            "bites",
            "spin",
            "the kernel panicked: softlockup: hung tasks, in init_nls_utf8",
            "watchdog: BUG: soft lockup - CPU#0 stuck for",
        ),
    ] {
        let kernels = ["6.1", "6.12"].map(|version| format!("{version}+{variant}"));
        let run = project.run(
            1,
            &[
                "--kernels",
                &kernels.join(","),
                "--images",
                variant,
                "--cold",
            ],
        );
        for kernel in &kernels {
            let wanted: &Wanted<'_> = &[(variant, check, "panic", "panic", words)];
            assert_told(&project, &run, kernel, wanted);
            let cell = cell(&run, kernel, variant, check);
            let evidence = &cell.cause.as_ref().unwrap().evidence;
            assert!(evidence[0].starts_with(sign), "{evidence:?}");
            // It took its time, not its limit.
            let attempt = &cell.attempts[0];
            assert_ne!(attempt.duration_ms, attempt.limit_ms, "{attempt:#?}");
        }
    }
}

#[test]
fn what_keeps_a_kernel_from_going_on() {
    let project = harmed(&[Harm::Spin]);
    let spin: &[&str] = &["/trouble", "load", "spin"];
    image(&project, "barks", "root", &[("spin", spin, MODULE_IN_TIME)]);
    let lock: &[&str] = &["/trouble", "hold-lock"];
    image(
        &project,
        "hangs",
        "root",
        &[("lock", lock, "timeout = \"3s\"")],
    );
    for (variant, check, name, words) in [
        (
            "barks",
            "spin",
            "soft-lockup",
            "without letting anything else run, in init_nls_utf8",
        ),
        ("hangs", "lock", "hung-task", "could not be woken"),
    ] {
        let kernels = ["6.1", "6.12"].map(|version| format!("{version}+{variant}"));
        let mut arguments = vec!["--cold", "--kernels"];
        let selected = kernels.join(",");
        arguments.extend([&*selected, "--images", variant]);
        // A limit that is not stretched is over before the kernel looks for what hangs.
        arguments.extend(["--accel", "tcg"]);
        let run = project.run(1, &arguments);
        for kernel in &kernels {
            let wanted: &Wanted<'_> = &[(variant, check, "timeout", name, words)];
            assert_told(&project, &run, kernel, wanted);
        }
    }
}

#[test]
fn what_keeps_a_grace_period_from_its_end() {
    let project = harmed(&[Harm::Deaf]);
    let deaf: &[&str] = &["/trouble", "load-meanwhile", "deaf"];
    image(
        &project,
        "stalls",
        "root",
        &[("deaf", deaf, MODULE_IN_TIME)],
    );
    // Where the limit is not stretched the module takes longer than the guest waits.
    let emulated = [
        "--kernels",
        "6.1+stalls,6.12+stalls",
        "--cold",
        "--accel",
        "tcg",
    ];
    let run = project.run(1, &emulated);
    for kernel in ["6.1+stalls", "6.12+stalls"] {
        let cause = "a CPU or a task kept the kernel's read-copy-update waiting";
        let wanted: &Wanted<'_> = &[("stalls", "deaf", "timeout", "rcu-stall", cause)];
        assert_told(&project, &run, kernel, wanted);
        let told = cell(&run, kernel, "stalls", "deaf").cause.as_ref().unwrap();
        let place = told.explanation.ends_with(", in init_nls_utf8");
        assert!(place, "{kernel}: {}", told.explanation);
    }
}

/// Before Linux 6.12, which keeps a share of the CPU for what is not real-time.
#[test]
#[ignore = "the stall of another test, caused by a program: another half a minute"]
fn a_stall_that_a_program_causes() {
    let project = harmed(&[]);
    let spin: &[&str] = &["/trouble", "spin-first"];
    let nice = "capabilities = [\"SYS_NICE\"]\ntimeout = \"1s\"";
    image(&project, "stalls", "root", &[("first", spin, nice)]);
    let run = project.run(1, &["--kernels", "6.1+starves,6.12+starves", "--cold"]);
    let words = "read-copy-update waiting, whose own thread got no CPU for";
    let wanted: &Wanted<'_> = &[("stalls", "first", "timeout", "rcu-stall", words)];
    assert_told(&project, &run, "6.1+starves", wanted);
    let later = cell(&run, "6.12+starves", "stalls", "first");
    assert_eq!(later.outcome.label(), "timeout", "{later:#?}");
    assert_eq!(later.cause, None, "{later:#?}");
}

/// Without a performance counter, which no emulated CPU has, no watchdog sees a CPU that
/// takes no interrupts: the kernel says nothing, and nothing more is known than that. Of
/// one that takes them and does nothing else it tells on the console.
#[test]
#[ignore = "a machine is silent for half a minute before it counts as dead, and has to be so twice"]
fn machines_that_never_answer_again() {
    let project = harmed(&[Harm::Dead, Harm::Wedged]);
    let dead: &[&str] = &["/trouble", "load", "dead"];
    let wedged: &[&str] = &["/trouble", "load", "wedged"];
    image(
        &project,
        "dead",
        "root",
        &[
            ("dead", dead, MODULE_IN_TIME),
            ("wedged", wedged, MODULE_IN_TIME),
        ],
    );
    let run = project.run(1, &["--kernels", "6.1+barks,6.12+barks", "--cold"]);
    for kernel in ["6.1+barks", "6.12+barks"] {
        let dead = cell(&run, kernel, "dead", "dead");
        assert_eq!(dead.outcome.label(), "lockup", "{kernel}: {dead:#?}");
        let silent = |attempt: &report::Attempt| {
            attempt.outcome.label() == "lockup" && attempt.kernel_log.is_empty()
        };
        assert!(dead.attempts.iter().all(silent), "{kernel}: {dead:#?}");
        assert_eq!(dead.attempts.len(), 2, "{kernel}: {dead:#?}");
        assert!(dead.attempts[1].alone);
        let output = project.matrix(&["explain", kernel, "dead", "dead"]);
        let page = String::from_utf8(output.stdout).unwrap();
        for words in ["lockup (no answer for", "cause        unknown"] {
            assert!(page.contains(words), "{kernel}: no {words} in\n{page}");
        }
        let words = "without letting anything else run";
        let wanted: &Wanted<'_> = &[("dead", "wedged", "lockup", "soft-lockup", words)];
        assert_told(&project, &run, kernel, wanted);
    }
}
