//! System call filters at work.

use runtime::fallback::Fallback;
use runtime::seccomp::UnknownCalls;
use runtime::status::Status;
use serde_json::{Value, json};

use crate::kernel::Kernel;
use crate::on_all_kernels;
use crate::rig::{Rig, skip};

on_all_kernels![
    a_filter_answers_as_configured,
    a_user_and_new_privileges_keep_it,
    a_kill_is_a_signal,
    flags_and_logging_have_a_second_way,
    threads_need_enosys_for_clone3,
    the_profile_denies_what_dockers_does,
];

fn filtered(rig: &Rig, words: &[&str], seccomp: Value) -> Value {
    let mut config = rig.config(words);
    config["linux"]["seccomp"] = seccomp;
    config
}

fn deny(name: &str, errno: i32) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]})
}

fn a_filter_answers_as_configured(rig: &Rig) {
    let config = filtered(rig, &["probe", "mknod", "/n"], deny("mknodat", libc::EXDEV));
    let said = rig.run_config(&config);
    // glibc's mknod is one call or the other, by its age.
    if said.said() == "made" {
        let config = filtered(rig, &["probe", "mknod", "/n2"], deny("mknod", libc::EXDEV));
        assert_eq!(rig.run_config(&config).said(), "EXDEV");
    } else {
        assert_eq!(said.said(), "EXDEV");
    }
    assert_eq!(rig.run(&["probe", "mknod", "/n3"]).said(), "made");
}

fn a_user_and_new_privileges_keep_it(rig: &Rig) {
    let number = libc::SYS_getppid.to_string();
    for no_new_privileges in [false, true] {
        let mut config = filtered(
            rig,
            &["probe", "call", &number],
            deny("getppid", libc::EXDEV),
        );
        config["process"]["user"]["uid"] = json!(1000);
        config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        assert_eq!(rig.run_config(&config).said(), "EXDEV");
        config["process"]["args"] = json!(["probe", "report"]);
        let outcome = rig.run_config(&config);
        assert_eq!(outcome.value("CapEff"), ["0000000000000000"]);
        assert_eq!(outcome.value("CapPrm"), ["0000000000000000"]);
    }
}

fn a_kill_is_a_signal(rig: &Rig) {
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_KILL_PROCESS"}]});
    let number = libc::SYS_getppid.to_string();
    let outcome = rig.run_config(&filtered(rig, &["probe", "call", &number], seccomp));
    assert!(
        matches!(outcome.line.status, Status::Signaled { signal, .. } if i32::from(signal) == libc::SIGSYS),
        "{outcome:?}"
    );
}

fn flags_and_logging_have_a_second_way(rig: &Rig) {
    let number = libc::SYS_getppid.to_string();
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW",
    "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
    "syscalls": [
        {"names": ["getppid"], "action": "SCMP_ACT_LOG"},
        {"names": ["getpgrp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18},
    ]});
    let outcome = rig.run_config(&filtered(rig, &["probe", "call", &number], seccomp.clone()));
    assert_eq!(outcome.said(), "0");
    let taken = |fallback| outcome.line.fallbacks.contains(&fallback);
    // seccomp(2) is 317: after 3.10's calls, before 4.9's.
    if rig.kernel == Kernel::Old {
        assert!(taken(Fallback::SeccompFlags) && taken(Fallback::SeccompLog));
    }
    let number = libc::SYS_getpgrp.to_string();
    let denied = rig.run_config(&filtered(rig, &["probe", "call", &number], seccomp));
    assert_eq!(denied.said(), "EXDEV");
}

/// glibc 2.34 starts threads with clone3, and by clone only after ENOSYS.
fn threads_need_enosys_for_clone3(rig: &Rig) {
    let run = |seccomp| {
        let mut container = rig.container(&["probe", "thread"]);
        container.seccomp = seccomp;
        rig.run_config(&serde_json::to_value(container.spec()).unwrap())
    };
    assert_eq!(run(None).said(), "joined");
    assert_eq!(run(Some(UnknownCalls::Enosys)).said(), "joined");
    let denied = run(Some(UnknownCalls::Eperm));
    match (denied.said(), rig.kernel) {
        // The older kernel's ENOSYS is of the filter below: of two filters the
        // one installed last is heard where both answer with an error.
        ("EPERM", _) => {}
        ("joined", _) => skip("this glibc starts threads with clone"),
        other => panic!("{other:?}"),
    }
}

fn the_profile_denies_what_dockers_does(rig: &Rig) {
    for (form, unknown) in [
        (UnknownCalls::Eperm, "EPERM"),
        (UnknownCalls::Enosys, "ENOSYS"),
    ] {
        let run = |words: &[&str]| {
            let mut container = rig.container(words);
            container.seccomp = Some(form);
            rig.run_config(&serde_json::to_value(container.spec()).unwrap())
        };
        let call = |number: i64| {
            let outcome = run(&["probe", "call", &number.to_string()]);
            outcome.said().to_owned()
        };
        assert_eq!(call(libc::SYS_getppid), "0");
        assert_eq!(call(libc::SYS_mount), "EPERM");
        assert_eq!(call(libc::SYS_keyctl), "EPERM");
        assert_eq!(call(libc::SYS_openat2), unknown);
        // No kernel has it.
        assert_eq!(call(9999), unknown);
        let user = libc::CLONE_NEWUSER.to_string();
        assert_eq!(run(&["probe", "unshare", &user]).said(), "EPERM");
        assert_eq!(run(&["probe", "daemonise", "x"]).code, 5);
        assert_eq!(
            run(&["probe", "mknod", "/n"]).line.status,
            Status::Exited { code: 0 }
        );
    }
}
