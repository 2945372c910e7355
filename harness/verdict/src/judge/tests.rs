//! Ends, consoles and kernel lines, and what they come to.

use wire::KernelLine;

use super::*;

fn result(end: End, stdout: &str) -> CellResult {
    CellResult {
        id: 1,
        end,
        stdout: Captured {
            bytes: stdout.into(),
            dropped: 0,
        },
        stderr: Captured::default(),
        kernel_log: Vec::new(),
        duration: 12_000,
        survivors: Vec::new(),
        trace: None,
    }
}

fn with_log(end: End, line: &str) -> CellResult {
    let mut result = result(end, "");
    result.kernel_log.push(KernelLine {
        level: 3,
        time: 1,
        text: line.into(),
    });
    result
}

fn judged(result: &CellResult, pattern: Option<&str>) -> Outcome {
    let demands = Demands {
        stdout: pattern,
        ..Demands::default()
    };
    outcome(result, demands, "6.1.0-50-cloud-amd64", 60_000)
}

const FAULT: &str = "perl[77]: segfault at 1 ip 00007f12ab3d1131 sp 00007fffffffe0d0 error 4 \
                         in libc.so.6[28131,7f12ab3d0000+155000]";
const AUDIT: &str = "audit: type=1326 audit(1764500000.123:2): auid=4294967295 uid=0 gid=0 \
                         ses=4294967295 subj=unconfined pid=78 comm=\"trouble\" exe=\"/trouble\" \
                         sig=31 arch=c000003e syscall=110 compat=0 ip=0x44e0d7 code=0x0";

#[test]
fn a_childs_death_counts_where_the_check_says_so() {
    let counts = |cell: &CellResult, stdout| {
        let demands = Demands {
            stdout,
            children: Children::Fail,
        };
        outcome(cell, demands, "6.1", 60_000).label().into_owned()
    };
    let mut cell = with_log(End::Exited(0), FAULT);
    assert_eq!(judged(&cell, None), Outcome::Pass);
    assert_eq!(counts(&cell, None), "child SIGSEGV");
    // What is no pass for another reason keeps it.
    assert_eq!(counts(&cell, Some("x")), "mismatch");
    cell.end = End::Exited(3);
    assert_eq!(counts(&cell, None), "exit 3");
    for (line, label) in [
        ("EXT4-fs (vdb): mounted filesystem", "pass"),
        (AUDIT, "child SIGSYS (getppid)"),
        (
            "traps: sh[7] trap invalid opcode ip:401136 sp:7ffd error:0 in sh[401000+1000]",
            "child SIGILL",
        ),
        (
            "traps: sh[7] general protection fault ip:401136 sp:7ffd error:0 in sh[400000+1000]",
            "child SIGSEGV",
        ),
        (
            "sh[7] vsyscall attempted with vsyscall=none ip:ffffffffff600400 cs:33",
            "child SIGSEGV",
        ),
        (
            "Out of memory: Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB",
            "child SIGKILL",
        ),
    ] {
        assert_eq!(
            counts(&with_log(End::Exited(0), line), None),
            label,
            "{line}"
        );
    }
    let mut harmed = with_log(End::Exited(0), "Oops: 0002 [#1] PREEMPT SMP NOPTI");
    for line in [
        "CPU: 0 PID: 83 Comm: cc Not tainted 6.1.0-50-cloud-amd64 #1",
        "RIP: 0033:0x43b999",
    ] {
        harmed
            .kernel_log
            .extend(with_log(End::Exited(0), line).kernel_log);
    }
    assert_eq!(counts(&harmed, None), "child SIGKILL");
    assert_eq!(judged(&harmed, None), Outcome::Pass);
    let who = outcome(
        &with_log(End::Exited(0), AUDIT),
        Demands {
            children: Children::Fail,
            ..Demands::default()
        },
        "6.1",
        60_000,
    );
    assert_eq!(who.detail().as_deref(), Some("trouble[78] died"));
    for children in Children::ALL {
        assert_eq!(Children::named(children.name()), Some(children));
    }
}

#[test]
fn sigsys_tells_the_call_that_the_kernel_or_a_trace_names() {
    let refused = || End::Signaled {
        signal: 31,
        core: false,
    };
    assert_eq!(
        judged(&with_log(refused(), AUDIT), None).label(),
        "SIGSYS 159 (getppid)"
    );
    assert_eq!(judged(&result(refused(), ""), None).label(), "SIGSYS 159");
    let segv = with_log(
        End::Signaled {
            signal: 11,
            core: false,
        },
        AUDIT,
    );
    assert_eq!(judged(&segv, None).label(), "SIGSEGV 139");
    // A trace shows who sent it: nobody but the process itself, here.
    let mut traced = with_log(refused(), AUDIT);
    for (call, label) in [(None, "SIGSYS 159"), (Some("statx"), "SIGSYS 159 (statx)")] {
        traced.trace = Some(Trace {
            steps: vec![wire::Step {
                process: 7,
                what: Traced::Signal {
                    signal: 31,
                    code: 1,
                    address: None,
                    instruction: 0x1000,
                    call: call.map(str::to_owned),
                },
                times: 1,
            }],
            dropped: 0,
        });
        assert_eq!(judged(&traced, None).label(), label);
    }
}

#[test]
fn ends_become_outcomes() {
    let of = |end| judged(&result(end, ""), None);
    assert_eq!(of(End::Exited(0)), Outcome::Pass);
    assert_eq!(of(End::Exited(3)), Outcome::Exit { code: 3 });
    assert_eq!(
        of(End::Signaled {
            signal: 11,
            core: true
        }),
        Outcome::Signal {
            signal: 11,
            core: true,
            syscall: None
        }
    );
    assert_eq!(of(End::OutOfMemory), Outcome::Oom);
    assert_eq!(of(End::TimedOut), Outcome::Timeout { limit: 60_000 });
    assert_eq!(
        of(End::Exec {
            errno: 8,
            path: "/x".into()
        }),
        Outcome::Exec {
            errno: 8,
            path: "/x".into()
        }
    );
    let unsupported = of(End::Unsupported {
        what: "no user namespaces".into(),
    });
    assert_eq!(unsupported.kind(), crate::Kind::Unsupported);
}

#[test]
fn trouble_of_ours_is_never_a_result() {
    for end in [
        End::Trouble {
            message: "mount /dev/vdb: EIO".into(),
        },
        End::Signaled {
            signal: 0,
            core: false,
        },
        End::Signaled {
            signal: 200,
            core: false,
        },
    ] {
        assert!(!judged(&result(end, ""), None).is_result());
    }
    let bad_pattern = judged(&result(End::Exited(0), "x"), Some("("));
    assert!(
        matches!(&bad_pattern, Outcome::NotRun { reason } if reason.contains("unclosed group")),
        "{bad_pattern:?}"
    );
}

#[test]
fn stdout_is_held_against_the_pattern() {
    let cases = [
        ("ok\n", "^ok$", true),
        ("ok\n\n", "^ok$", true),
        ("ok\nmore\n", "^ok$", false),
        ("not", "^ok$", false),
        ("6.1.0-50-cloud-amd64\n", "^{release}$", true),
        // The dots of a release are dots.
        ("6x1x0-50-cloud-amd64\n", "^{release}$", false),
        ("", "", true),
        ("", ".", false),
    ];
    for (stdout, wanted, passes) in cases {
        let outcome = judged(&result(End::Exited(0), stdout), Some(wanted));
        assert_eq!(
            outcome.is_pass(),
            passes,
            "{stdout:?} {wanted}: {outcome:?}"
        );
        assert_eq!(!passes, matches!(outcome, Outcome::Mismatch { .. }));
    }
    // A pattern does not make a failure a pass.
    let failed = judged(&result(End::Exited(3), "ok"), Some("ok"));
    assert_eq!(failed, Outcome::Exit { code: 3 });
}

#[test]
fn bytes_that_are_no_text_do_not_match_by_accident() {
    let mut cell = result(End::Exited(0), "");
    cell.stdout.bytes = vec![0xff, 0xfe];
    let outcome = judged(&cell, Some("^..$"));
    assert!(matches!(outcome, Outcome::Mismatch { .. }), "{outcome:?}");
}

#[test]
fn a_cut_stream_passes_only_by_what_is_sure() {
    for (kept, pattern, expected) in [
        ("version 6.1 and so on", "version 6", true),
        // May still come.
        ("first lines", "last line", false),
        // The end seen is not the end.
        ("all is ok", "ok$", false),
        ("all is ok", r"\bok\b", false),
        ("ok, and more", r"\bok\b", true),
    ] {
        let mut cell = result(End::Exited(0), kept);
        cell.stdout.dropped = 100;
        let outcome = judged(&cell, Some(pattern));
        assert_eq!(outcome.is_pass(), expected, "{kept} {pattern}: {outcome:?}");
        assert_eq!(outcome.is_result(), expected, "not known is not a result");
    }
}

#[test]
fn killed_for_memory_is_told_from_killed() {
    let killed = || End::Signaled {
        signal: 9,
        core: false,
    };
    for line in [
        "Out of memory: Kill process 2018 (tail) score 905 or sacrifice child",
        "Out of memory: Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB",
        "Memory cgroup out of memory: Killed process 77 (tail) total-vm:9kB, anon-rss:1kB",
        "Killed process 2018 (tail) total-vm:1040612kB, anon-rss:424204kB, file-rss:0kB",
    ] {
        assert_eq!(
            judged(&with_log(killed(), line), None),
            Outcome::Oom,
            "{line}"
        );
        assert_eq!(
            judged(&with_log(End::Exited(137), line), None),
            Outcome::Oom
        );
        // Another process was killed; this one said what it had to say.
        assert_eq!(
            judged(&with_log(End::Exited(1), line), None),
            Outcome::Exit { code: 1 }
        );
        assert_eq!(judged(&with_log(End::Exited(0), line), None), Outcome::Pass);
    }
    for line in [
        "",
        "tail invoked oom-killer: gfp_mask=0x100cca, order=0, oom_score_adj=0",
        "systemd[1]: Killed process group 2018",
        "swap: running out of memory soon",
    ] {
        assert_eq!(
            judged(&with_log(killed(), line), None).label(),
            "SIGKILL 137",
            "{line}"
        );
    }
}

#[test]
fn a_console_tells_a_panic_from_a_lockup() {
    let lockup = "[  48.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]";
    let panic = "[  49.000000] Kernel panic - not syncing: softlockup: hung tasks\r";
    assert_eq!(
        console([lockup, panic]),
        Some(Outcome::panic(
            "Kernel panic - not syncing: softlockup: hung tasks"
        ))
    );
    assert_eq!(
        console(["booting", lockup]),
        Some(Outcome::lockup(
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:77]"
        ))
    );
    assert_eq!(console(["[    1.0] reboot: Power down"]), None);
    assert!(console(["rcu: INFO: rcu_sched self-detected stall on CPU"]).is_some());
    assert_eq!(
        console(["rcu: \tRCU CPU stall warnings timeout set to 21 (rcu_cpu_stall_timeout)."]),
        None
    );
}
