//! Nothing outlives the program, even one that is killed on the spot.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fake::{Fake, is_alive};

/// Set in the process that this test starts and kills.
const VICTIM: &str = "QEMU_RUNNER_TEST_VICTIM";

#[test]
fn a_killed_program_leaves_no_machine_behind() {
    if std::env::var_os(VICTIM).is_some() {
        start_machines_and_wait_to_be_killed();
    }
    // What the victim leaves lying about goes with this.
    let directory = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "survivors::a_killed_program_leaves_no_machine_behind",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let machines: Vec<u32> = lines
        .map(|line| line.unwrap())
        .find_map(|line| {
            line.split_once("machines:")
                .map(|(_, list)| list.to_owned())
        })
        .unwrap()
        .split_whitespace()
        .map(|process| process.parse().unwrap())
        .collect();
    assert_eq!(machines.len(), 3);
    assert!(machines.iter().all(|&machine| is_alive(machine)));

    // SIGKILL: no destructor, no handler runs.
    victim.kill().unwrap();
    victim.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let mut survivors = machines;
    while !survivors.is_empty() && Instant::now() < until {
        survivors.retain(|&machine| is_alive(machine));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(survivors.is_empty(), "still there: {survivors:?}");
}

#[expect(
    clippy::print_stdout,
    reason = "stdout is how the victim tells what it started"
)]
fn start_machines_and_wait_to_be_killed() -> ! {
    // exec: the script's own child would not be a child of this process.
    let fakes: Vec<Fake> = (0..3)
        .map(|_| Fake::new("send ready; exec sleep 600"))
        .collect();
    let machines: Vec<_> = fakes
        .iter()
        .map(|fake| {
            let mut vm = fake.start();
            vm.ready(Duration::from_secs(60)).unwrap();
            vm
        })
        .collect();
    let processes: Vec<_> = machines
        .iter()
        .map(|machine| machine.process_id().to_string())
        .collect();
    println!("machines: {}", processes.join(" "));
    loop {
        std::thread::park();
    }
}
