//! Every way a machine can end, told apart, against a stand-in for QEMU.

use std::time::{Duration, Instant};

use crate::fake::{Fake, is_alive};
use qemu_runner::{Disk, MAX_DISKS, StartError, Vm, VmEnd};
use wire::{FromGuest, ToGuest};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

/// The console of a real kernel whose init exits.
const PANIC: &str = r#"
say '[    0.731415] Run /init as init process'
say '[    0.735544] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300'
say '[    0.736066] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-50-cloud-amd64 #1'
say '[    0.739415] ---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300 ]---'
"#;

/// The end of a machine that never comes up.
fn boot_end(script: &str, deadline: Duration) -> VmEnd {
    Fake::new(script).start().ready(deadline).unwrap_err()
}

/// A machine that came up.
fn up(fake: &Fake) -> Vm {
    let mut vm = fake.start();
    let ready = vm.ready(LONG).unwrap();
    assert_eq!((ready.spin, ready.uptime), (5_000_000, 900));
    vm
}

#[test]
fn a_panic_is_told_with_its_message_and_the_lines_around_it() {
    let fake = Fake::new(&format!("{PANIC} exit 0"));
    let VmEnd::Panic { message, lines } = fake.start().ready(LONG).unwrap_err() else {
        panic!("not a panic");
    };
    assert_eq!(message, "Attempted to kill init! exitcode=0x00000300");
    assert_eq!(lines[0], "[    0.731415] Run /init as init process");
    assert_eq!(lines.len(), 4);
    assert_eq!(fake.console().lines().count(), 4);
}

#[test]
fn a_panic_in_the_middle_of_work_is_a_panic_and_stays_one() {
    // It waits for work first: else the panic may be seen before the greeting.
    let fake = Fake::new(&format!("send ready; hear; {PANIC} exit 0"));
    let mut vm = up(&fake);
    vm.send(&ToGuest::PowerOff).unwrap();
    let end = vm.receive(LONG).unwrap_err();
    assert!(matches!(end, VmEnd::Panic { .. }), "{end:?}");
    assert_eq!(vm.receive(LONG).unwrap_err(), end);
    assert_eq!(vm.send(&ToGuest::PowerOff).unwrap_err(), end);
}

#[test]
fn a_message_that_can_not_be_sent_tells_the_panic_that_is_why() {
    let fake = Fake::new(&format!("send ready; hear; {PANIC} exit 0"));
    let mut vm = up(&fake);
    let content = vec![0; 8 << 20];
    let put = ToGuest::Put {
        path: "/matrix/runtime".into(),
        mode: 0o755,
        content,
    };
    let end = vm.send(&put).unwrap_err();
    assert!(matches!(end, VmEnd::Panic { .. }), "{end:?}");
}

#[test]
fn a_line_that_only_looks_like_a_panic_does_not_end_a_machine_that_talks_on() {
    let fake = Fake::new(&format!(
        "{PANIC} sleep 0.2; send ready; send ready; sleep 60"
    ));
    let mut vm = up(&fake);
    vm.receive(LONG).unwrap();
    let end = vm.receive(SHORT).unwrap_err();
    assert!(matches!(end, VmEnd::Silent { .. }), "{end:?}");
}

#[test]
fn a_machine_that_goes_down_without_a_panic_was_reset() {
    assert_eq!(boot_end("exit 0", LONG), VmEnd::Reset { said: None });
    assert_eq!(
        boot_end("say '[    1.5] reboot: Restarting system'; exit 0", LONG),
        VmEnd::Reset {
            said: Some("reboot: Restarting system".into())
        }
    );
}

#[test]
fn a_qemu_that_fails_tells_its_status_and_its_own_words() {
    let end = boot_end("echo 'qemu: could not open disk0' >&2; exit 1", LONG);
    let VmEnd::QemuExited { status, stderr } = &end else {
        panic!("{end:?}");
    };
    assert_eq!(status.code(), Some(1));
    assert_eq!(stderr, "qemu: could not open disk0");
    assert_eq!(
        end.to_string(),
        "QEMU ended (exit status: 1): qemu: could not open disk0"
    );
    let end = boot_end("kill -SEGV $$; sleep 60", LONG);
    assert!(
        matches!(&end, VmEnd::QemuExited { status, .. } if !status.success()),
        "{end:?}"
    );
}

#[test]
fn a_guest_that_does_not_answer_is_silent_and_killed() {
    let fake = Fake::new("send ready; say 'the last words'; sleep 60");
    let mut vm = up(&fake);
    let process = vm.process_id();
    assert!(is_alive(process));
    let end = vm.receive(SHORT).unwrap_err();
    let VmEnd::Silent {
        waited,
        lockup,
        last_line,
    } = end
    else {
        panic!("{end:?}");
    };
    assert!(waited >= SHORT, "{waited:?}");
    assert_eq!(lockup, None);
    assert_eq!(last_line.as_deref(), Some("the last words"));
    assert!(!is_alive(process));
}

#[test]
fn a_silence_names_the_lockup_the_kernel_reported() {
    let fake = Fake::new(
        "send ready; say '[   28.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:9]'; say x; sleep 60",
    );
    let end = up(&fake).receive(SHORT).unwrap_err();
    assert_eq!(
        end.to_string(),
        "no answer for 0.3 s, the console last said: watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:9]"
    );
}

#[test]
fn a_machine_that_does_not_come_up_tells_how_far_it_came() {
    let end = boot_end("say 'Booting from ROM..'; sleep 60", SHORT);
    assert_eq!(
        end,
        VmEnd::BootDeadline {
            deadline: SHORT,
            last_line: Some("Booting from ROM..".into())
        }
    );
    let end = boot_end("sleep 60", SHORT);
    assert_eq!(
        end.to_string(),
        "not up within 0.3 s, not a word on the console"
    );
}

#[test]
fn a_guest_that_cannot_go_on_says_why_on_either_way() {
    let by_console = "say 'matrix-guest: fatal: no CONFIG_NET_NS'; sleep 60";
    let by_channel = "send fatal; sleep 60";
    let later = "send ready; send fatal; sleep 60";
    let expected = VmEnd::GuestFatal {
        reason: "no CONFIG_NET_NS".into(),
    };
    assert_eq!(boot_end(by_console, LONG), expected);
    assert_eq!(boot_end(by_channel, LONG), expected);
    assert_eq!(up(&Fake::new(later)).receive(LONG).unwrap_err(), expected);
}

#[test]
fn a_broken_channel_is_no_silence() {
    let end = boot_end("send garbage; sleep 60", LONG);
    assert!(
        matches!(&end, VmEnd::Channel { message } if message.contains("longer than any message")),
        "{end:?}"
    );
    // Cut inside a frame, by a QEMU that goes on to fail: its own words count.
    let end = boot_end("send cut; echo why >&2; exit 4", LONG);
    assert!(
        matches!(&end, VmEnd::QemuExited { stderr, .. } if stderr == "why"),
        "{end:?}"
    );
    let fake = Fake::new("send ready; sleep 60");
    let mut vm = fake.start();
    assert!(matches!(vm.receive(LONG), Ok(FromGuest::Ready { .. })));
}

#[test]
fn an_emulator_that_stopped_the_machine_is_not_waited_for() {
    let started = Instant::now();
    let end = boot_end(
        "echo 'KVM internal error. Suberror: 1' >&2; echo 'emulation failure' >&2; sleep 60",
        LONG,
    );
    assert_eq!(
        end,
        VmEnd::Stopped {
            message: "KVM internal error. Suberror: 1".into()
        }
    );
    assert!(started.elapsed() < LONG / 2);
}

#[test]
fn a_console_that_cannot_be_kept_is_told() {
    let mut fake = Fake::new("say hello; sleep 60");
    // Every write to it says that the disk is full.
    fake.machine.console = "/dev/full".into();
    let end = fake.start().ready(LONG).unwrap_err();
    assert!(matches!(end, VmEnd::ConsoleLost { .. }), "{end:?}");
}

#[test]
fn power_off_waits_for_a_clean_end_and_tells_any_other() {
    // A length and the message's number.
    let obedient =
        "send ready; head -c 5 <&\"$channel\" >/dev/null; say 'reboot: Power down'; exit 0";
    up(&Fake::new(obedient)).power_off(LONG).unwrap();

    let deaf = Fake::new("send ready; sleep 60");
    let vm = up(&deaf);
    let process = vm.process_id();
    let end = vm.power_off(SHORT).unwrap_err();
    assert!(matches!(end, VmEnd::Silent { .. }), "{end:?}");
    assert!(!is_alive(process));

    let panics = format!("send ready; head -c 5 <&\"$channel\" >/dev/null; {PANIC} exit 0");
    let end = up(&Fake::new(&panics)).power_off(LONG).unwrap_err();
    assert!(matches!(end, VmEnd::Panic { .. }), "{end:?}");
}

#[test]
fn dropping_or_killing_ends_qemu_and_what_it_started() {
    for by_kill in [false, true] {
        let fake = Fake::new("sleep 60 & echo $! > \"$FRAMES/child\"; send ready; wait");
        let vm = up(&fake);
        let processes = [
            vm.process_id(),
            std::fs::read_to_string(fake.directory.path().join("child"))
                .unwrap()
                .trim()
                .parse()
                .unwrap(),
        ];
        assert!(processes.iter().all(|&process| is_alive(process)));
        if by_kill {
            vm.kill()
        } else {
            drop(vm)
        }
        for process in processes {
            let until = Instant::now() + LONG;
            while is_alive(process) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(!is_alive(process));
        }
    }
}

#[test]
fn a_machine_outlives_the_thread_that_asked_for_it() {
    let fake = Fake::new("send ready; sleep 60");
    let mut vm = std::thread::scope(|scope| scope.spawn(|| fake.start()).join().unwrap());
    vm.ready(LONG).unwrap();
    // The spawner's other handles end here; the machine's own keeps its thread.
    drop(fake.spawner);
    let end = vm.receive(SHORT).unwrap_err();
    assert!(matches!(end, VmEnd::Silent { .. }), "{end:?}");
}

#[test]
fn what_cannot_be_started_says_what_is_wrong() {
    let start = |change: &dyn Fn(&mut Fake)| {
        let mut fake = Fake::new("exit 0");
        change(&mut fake);
        Vm::start(&fake.spawner, &fake.machine).unwrap_err()
    };
    let disk = |fake: &Fake, serial: &str| Disk {
        path: fake.machine.kernel.clone(),
        serial: serial.into(),
    };
    let error = start(&|fake| fake.machine.kernel = "/no/kernel".into());
    assert!(
        error.to_string().starts_with("read /no/kernel: "),
        "{error}"
    );
    let error = start(&|fake| fake.machine.qemu.program = "/no/qemu".into());
    assert!(error.to_string().starts_with("start /no/qemu: "), "{error}");
    let error = start(&|fake| fake.machine.console = "/no/folder/console".into());
    assert!(matches!(error, StartError::Console { .. }), "{error:?}");
    let error = start(&|fake| fake.machine.disks = vec![disk(fake, "a-serial-of-21-bytes!")]);
    assert!(
        matches!(error, StartError::SerialTooLong { .. }),
        "{error:?}"
    );
    let error = start(&|fake| fake.machine.disks = vec![disk(fake, "a"), disk(fake, "a")]);
    assert!(matches!(error, StartError::SerialTwice { .. }), "{error:?}");
    let error = start(&|fake| {
        fake.machine.disks = (0..=MAX_DISKS)
            .map(|index| disk(fake, &index.to_string()))
            .collect();
    });
    assert!(
        matches!(error, StartError::TooManyDisks { .. }),
        "{error:?}"
    );
}
