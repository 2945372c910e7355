//! A PID namespace: PID 1 inside, another number outside.

use super::rig::{Probing, Rig, expect};

pub(super) fn probe(rig: &Rig) -> Probing {
    let own = std::process::id();
    let kill = format!("kill {own}");
    let bundle = rig.bundle("bundle", &["pid", "processes", &kill, "pause"])?;
    let mut container = rig.start(&bundle)?;
    let said = container.pause()?.clone();
    expect(said.done("pid")? == "1", || {
        "the program is not PID 1 inside".to_owned()
    })?;
    expect(said.done("processes")? == "1", || {
        "more processes are seen inside than its own".to_owned()
    })?;
    said.refused(&kill, &["ESRCH"])?;
    let process = container.process()?;
    let (its, ours) = process.namespaces("pid")?;
    let numbers = process.status("NSpid")?;
    rig.outside(format_args!(
        "the process is {}, in {its}; the machine's is {ours}; NSpid {}; probe {own} lives",
        process.pid,
        // Linux 4.1.
        numbers.as_deref().unwrap_or("not told by this kernel")
    ));
    expect(its != ours, || {
        "the process is in the machine's PID namespace".to_owned()
    })?;
    if let Some(numbers) = numbers {
        let expected = format!("{} 1", process.pid);
        expect(numbers == expected, || {
            format!("outside sees the numbers {numbers}, not {expected}")
        })?;
    }
    expect(process.pid != 1, || {
        "the process is PID 1 outside as well".to_owned()
    })?;
    container.succeed()
}
