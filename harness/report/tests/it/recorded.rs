//! A run as its events: three kernels, one of which cannot be had and one a
//! variant; three images; every kind of outcome and of verdict.

use std::collections::BTreeMap;

use report::{
    Attempt, CellId, CheckRow, ColumnStatus, Event, FactsRecord, ImageRow, KernelColumn, Run,
    RunHead,
};
use verdict::{ExpectedOutcome, Observation, Outcome};

pub(crate) const KERNELS: [&str; 3] = ["4.19", "4.19+vsyscall=emulate", "6.19"];

const VSYSCALL_LINE: &str = "bash[201] vsyscall attempted with vsyscall=none \
                             ip:ffffffffff600400 cs:33 sp:7ffc1d3e5d78 ax:ffffffffff600400 \
                             si:7ffc1d3e5f00 di:0";
const OOM_LINE: &str = "Out of memory: Kill process 311 (tail) score 905 or sacrifice child";
const PANIC_LINE: &str = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b";

pub(crate) fn facts(vsyscall: wire::Vsyscall) -> wire::Facts {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    wire::Facts {
        release: "4.19.0-27-cloud-amd64".into(),
        build: "#1 SMP Debian 4.19.316-1 (2024-06-25)".into(),
        machine: "x86_64".into(),
        command_line: "console=ttyS0".into(),
        vsyscall,
        cgroup: wire::CgroupFacts {
            layout: wire::Cgroup::V1,
            controllers: words("cpu memory pids"),
        },
        overlayfs: true,
        namespaces: wire::NamespaceFacts {
            kinds: words("cgroup ipc mnt net pid user uts"),
            user: true,
            user_refusal: None,
        },
        seccomp: wire::SeccompFacts {
            filter: true,
            actions: words("kill_process errno allow"),
        },
        lsms: words("capability"),
        lsm_modes: BTreeMap::new(),
        sysctls: [("vm.overcommit_memory".into(), "0".into())].into(),
        config: BTreeMap::new(),
        syscalls: wire::SyscallFacts {
            tried: 512,
            missing: vec![335, 436, 470],
            untried: vec![60],
        },
        ia32: true,
        cpu_level: 3,
        cpu_model: "QEMU TCG CPU version 2.5+".into(),
        cpus: 1,
        memory: 500_000,
        filesystems: words("ext4 squashfs"),
        modules: words("virtio_blk"),
    }
}

fn flat(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn column(id: &str) -> KernelColumn {
    KernelColumn {
        id: id.into(),
        status: ColumnStatus::Pending,
        reason: None,
        optional: false,
        release: None,
        package: BTreeMap::new(),
        command_line: None,
        settings: flat(&[("cpu", "max"), ("memory", "512"), ("cgroup", "v1")]),
        facts: None,
        boots_ms: Vec::new(),
        slowdown_permille: None,
        notes: None,
    }
}

fn image(id: &str, checks: &[&str]) -> ImageRow {
    ImageRow {
        id: id.into(),
        digest: None,
        source: flat(&[("apt", "debian"), ("suite", "bookworm")]),
        reason: None,
        optional: false,
        checks: checks
            .iter()
            .map(|name| CheckRow {
                name: (*name).into(),
                command: vec![(*name).into(), "--version".into()],
                ..CheckRow::default()
            })
            .collect(),
    }
}

/// Before anything has run.
pub(crate) fn planned() -> Run {
    let head = RunHead {
        id: "2026-11-24T12-42-09Z-3f2a".into(),
        started: "2026-11-24T12:42:09Z".into(),
        finished: None,
        interrupted: None,
        matrix: "0.1.0".into(),
        qemu: None,
        acceleration: None,
        acceleration_reason: None,
        host: flat(&[("cores", "2"), ("kernel", "6.1.0-50-amd64")]),
        settings: flat(&[("timeout", "60000")]),
        timings: BTreeMap::new(),
        shard: None,
    };
    let images = vec![
        image("debian:12", &["bash", "ls", "date"]),
        image("centos:6", &["bash", "ls", "memory|hog", "日本語"]),
        image("i386", &["true", "userns", "crash", "spin"]),
    ];
    Run::planned(head, KERNELS.map(column).to_vec(), images, "bundled")
}

pub(crate) fn id(kernel: &str, image: &str, check: &str) -> CellId {
    CellId {
        kernel: kernel.into(),
        image: image.into(),
        check: check.into(),
    }
}

/// What the program makes of an observation, by the same functions.
fn attempt(
    outcome: Outcome,
    expected: (&str, Option<&str>),
    earlier: &[Outcome],
    seen: (&str, &[&str]),
) -> Attempt {
    let foreseen: ExpectedOutcome = expected.0.parse().unwrap();
    let kernel_log: Vec<String> = seen.1.iter().map(|line| (*line).to_owned()).collect();
    let facts = facts(wire::Vsyscall::None);
    let cause = verdict::cause(Observation {
        stderr: seen.0,
        kernel_log: &kernel_log,
        facts: Some(&facts),
        ..Observation::new(&outcome)
    });
    Attempt {
        verdict: verdict::verdict(&outcome, foreseen, earlier),
        // Those two count only when nothing else ran.
        alone: matches!(outcome, Outcome::Timeout { .. } | Outcome::Lockup { .. }),
        outcome,
        expected: foreseen.to_string(),
        because: expected.1.map(str::to_owned),
        cause,
        duration_ms: 12,
        limit_ms: 60_000,
        start: report::StartKind::Cold,
        boot: 1,
        stdout: String::new(),
        stderr: seen.0.into(),
        output_dropped: 0,
        kernel_log,
        survivors: Vec::new(),
        noticed: Vec::new(),
        examined: Vec::new(),
        trace: None,
    }
}

fn ready(kernel: &str, boot: u32, vsyscall: wire::Vsyscall) -> Event {
    let facts = facts(vsyscall);
    Event::VmReady {
        kernel: kernel.into(),
        boot,
        start: report::StartKind::Cold,
        boot_ms: 1_960,
        column: Box::new(KernelColumn {
            release: Some(facts.release.clone()),
            package: flat(&[("name", "linux-image-4.19.0-27-cloud-amd64")]),
            command_line: Some("console=ttyS0 quiet".into()),
            facts: Some(FactsRecord::from(facts)),
            slowdown_permille: Some(9_500),
            ..column(kernel)
        }),
    }
}

/// The whole stream.
pub(crate) fn events() -> Vec<Event> {
    let pass = || Outcome::Pass;
    let exit = |code| Outcome::Exit { code };
    let segv = || Outcome::Signal {
        signal: 11,
        core: true,
    };
    let ok = ("pass", None);
    let quiet: (&str, &[&str]) = ("", &[]);
    let old_glibc = (
        "SIGSEGV",
        Some("glibc 2.12 calls time() through the vsyscall page"),
    );
    let mut events = vec![
        Event::RunStarted {
            run: Box::new(planned()),
        },
        Event::Note {
            message: "no /dev/kvm on this machine".into(),
        },
        Event::RunFacts {
            qemu: "7.2.22".into(),
            acceleration: "tcg".into(),
            acceleration_reason: "no /dev/kvm".into(),
        },
        Event::FetchPlanned {
            purpose: "kernel 4.19".into(),
            files: 1,
            noun: "package".into(),
            bytes: 26_000_000,
        },
        Event::FetchStarted {
            what: "linux-image-4.19.0-27-cloud-amd64".into(),
            total: Some(26_000_000),
            purpose: Some("kernel 4.19".into()),
        },
        Event::FetchProgress {
            what: "linux-image-4.19.0-27-cloud-amd64".into(),
            done: 13_000_000,
        },
        Event::FetchFinished {
            what: "linux-image-4.19.0-27-cloud-amd64".into(),
            bytes: 26_000_000,
            error: None,
        },
        Event::ImageReady {
            image: ImageRow {
                digest: Some("sha256:00ff".into()),
                ..image("debian:12", &[])
            },
        },
        Event::KernelUnavailable {
            kernel: "6.19".into(),
            reason: "no suite has linux-image-6.19*-cloud-amd64".into(),
        },
    ];
    let mut run = |kernel: &str, vsyscall, cells: Vec<(&str, &str, Attempt)>| {
        events.push(Event::VmStarting {
            kernel: kernel.into(),
            boot: 1,
        });
        events.push(ready(kernel, 1, vsyscall));
        for (image, check, attempt) in cells {
            let cell = id(kernel, image, check);
            events.push(Event::CellStarted { cell: cell.clone() });
            let down = matches!(
                attempt.outcome,
                Outcome::Panic { .. } | Outcome::Lockup { .. }
            );
            events.push(Event::CellFinished {
                cell,
                attempt: Box::new(attempt),
            });
            if down {
                events.push(Event::VmGone {
                    kernel: kernel.into(),
                    boot: 1,
                    reason: "QEMU ended with status 0".into(),
                });
                events.push(ready(kernel, 2, vsyscall));
            }
        }
        events.push(Event::KernelFinished {
            kernel: kernel.into(),
        });
    };
    let missing = Outcome::Exec {
        errno: 2,
        path: "/bin/true".into(),
    };
    let unsupported = Outcome::Unsupported {
        what: "user.max_user_namespaces is 0".into(),
    };
    run(
        KERNELS[0],
        wire::Vsyscall::None,
        vec![
            ("debian:12", "bash", attempt(pass(), ok, &[], quiet)),
            (
                "debian:12",
                "ls",
                attempt(exit(2), ok, &[], ("ls: \u{1b}[31m/x: No such file\n", &[])),
            ),
            ("debian:12", "date", attempt(exit(1), ok, &[], quiet)),
            ("debian:12", "date", attempt(pass(), ok, &[exit(1)], quiet)),
            (
                "centos:6",
                "bash",
                attempt(segv(), old_glibc, &[], ("", &[VSYSCALL_LINE])),
            ),
            (
                "centos:6",
                "ls",
                attempt(segv(), ok, &[], ("", &[VSYSCALL_LINE])),
            ),
            (
                "centos:6",
                "memory|hog",
                attempt(Outcome::Oom, ok, &[], ("", &[OOM_LINE])),
            ),
            (
                "centos:6",
                "日本語",
                attempt(
                    Outcome::Mismatch {
                        detail: "stdout does not match `^ok$`: \"no\"".into(),
                    },
                    ok,
                    &[],
                    quiet,
                ),
            ),
            ("i386", "true", attempt(missing, ok, &[], quiet)),
            (
                "i386",
                "userns",
                attempt(unsupported, ("unsupported", None), &[], quiet),
            ),
            (
                "i386",
                "crash",
                attempt(
                    Outcome::panic(PANIC_LINE),
                    ok,
                    &[],
                    (
                        "",
                        &["[    9.1] RIP: 0010:tcp_v4_rcv+0x123/0xe00", PANIC_LINE],
                    ),
                ),
            ),
            (
                "i386",
                "spin",
                attempt(Outcome::Timeout { limit: 60_000 }, ok, &[], quiet),
            ),
        ],
    );
    run(
        KERNELS[1],
        wire::Vsyscall::Emulate,
        vec![
            ("debian:12", "bash", attempt(pass(), ok, &[], quiet)),
            ("debian:12", "ls", attempt(pass(), ok, &[], quiet)),
            ("debian:12", "date", attempt(pass(), ok, &[], quiet)),
            (
                "centos:6",
                "bash",
                attempt(pass(), ("pass", None), &[], quiet),
            ),
            (
                "centos:6",
                "ls",
                attempt(pass(), ("failure", None), &[], quiet),
            ),
            (
                "centos:6",
                "memory|hog",
                attempt(exit(1), ("exit 1", None), &[], quiet),
            ),
            (
                "i386",
                "true",
                attempt(
                    Outcome::not_run("the image's disk could not be attached: QMP: bus full"),
                    ok,
                    &[],
                    quiet,
                ),
            ),
            (
                "i386",
                "crash",
                attempt(Outcome::lockup("no answer for 60 s"), ok, &[], quiet),
            ),
        ],
    );
    events.push(Event::RunFinished {
        finished: "2026-11-24T12:43:00Z".into(),
        timings: BTreeMap::from([("total".to_owned(), 51_000), ("boot".to_owned(), 4_000)]),
        interrupted: Some("interrupted by SIGINT".into()),
    });
    events
}

/// The fold of the whole stream.
pub(crate) fn run() -> Run {
    let mut run = planned();
    for event in events() {
        run.apply(&event).unwrap();
    }
    run
}
