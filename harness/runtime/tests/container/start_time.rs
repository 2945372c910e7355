//! How long a container takes, beside runc: a measurement, run by
//! `cargo test -p runtime --test container start_time -- --ignored --nocapture`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::kernel::Kernel;
use crate::rig::{Rig, skip};

const RUNS: usize = 20;

fn time(program: &str, rig: &Rig, id: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new(program)
        .arg("run")
        .arg("--bundle")
        .arg(rig.outside(""))
        .arg(id)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program}: {status}");
    started.elapsed()
}

#[test]
#[ignore = "a measurement, and runc has to be installed"]
#[expect(clippy::print_stdout, reason = "the measurement's result")]
fn medians_of_twenty_in_turn() {
    let Some(rig) = Rig::new(Kernel::This) else {
        return;
    };
    if Command::new("runc").arg("--version").output().is_err() {
        return skip("no runc");
    }
    std::fs::write(
        rig.outside("config.json"),
        rig.config(&["probe", "exit", "0"]).to_string(),
    )
    .unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        ours.push(time(env!("CARGO_BIN_EXE_runtime"), &rig, "ours"));
        let id = format!("matrix-{}-{run}", std::process::id());
        theirs.push(time("runc", &rig, &id));
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    let (ours, theirs) = (ours[RUNS / 2], theirs[RUNS / 2]);
    println!(
        "bundled {ours:?}, runc {theirs:?}: {:.2} of runc's time",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}
