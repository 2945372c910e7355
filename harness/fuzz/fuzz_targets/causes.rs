//! What a guest says of a cell, and a file of its image: the kernel's log, both
//! streams, and an ELF file.
//!
//! What must hold: a cause has evidence that was among what was observed; time stamps
//! make no difference; an ELF file's reading is bounded by its length, and a function
//! that covers an instruction begins no further from it than the file goes.

#![no_main]

use arbitrary::Arbitrary;
use fuzz::Memory;
use libfuzzer_sys::fuzz_target;
use verdict::elf::{Elf, Mapping, symbol};
use verdict::userland::InMemory;
use verdict::{Observation, Outcome, cause, judge};

#[derive(Arbitrary, Debug)]
struct Case<'bytes> {
    end: End,
    stdout: &'bytes str,
    stderr: &'bytes str,
    log: Vec<&'bytes str>,
    mapping: (u64, u64, Option<u64>),
    program: &'bytes [u8],
}

#[derive(Arbitrary, Debug)]
enum End {
    Exit(u8),
    Signal(u8),
    Exec(u8),
    Timeout,
    Oom,
}

fuzz_target!(|case: Case<'_>| {
    let outcome = match case.end {
        End::Exit(code) => Outcome::Exit { code: code.max(1) },
        End::Signal(signal) => Outcome::Signal {
            signal: signal % 64 + 1,
            core: false,
        },
        End::Exec(errno) => Outcome::Exec {
            errno: errno.into(),
            path: "/bin/program".to_owned(),
        },
        End::Timeout => Outcome::Timeout { limit: 1000 },
        End::Oom => Outcome::Oom,
    };
    let memory = Memory::watch();
    let image = InMemory::default()
        .with("/bin/program", case.program)
        .with("/lib64/ld-linux-x86-64.so.2", case.program);
    let log: Vec<String> = case
        .log
        .iter()
        .flat_map(|text| text.lines().map(str::to_owned))
        .collect();
    let observation = Observation {
        stdout: case.stdout,
        stderr: case.stderr,
        kernel_log: &log,
        program: Some("/bin/program"),
        image: Some(&image),
        ..Observation::new(&outcome)
    };
    let found = cause(observation);
    let stamped: Vec<String> = log
        .iter()
        .map(|line| format!("[    1.234567] {line}"))
        .collect();
    let _ = judge::console(log.iter().map(String::as_str));
    if let Some(found) = &found {
        assert!(!found.name.is_empty() && !found.explanation.is_empty());
    }
    // A line that begins with a stamp of its own is another one with a second before it.
    if !log.iter().any(|line| line.starts_with(['[', '<'])) {
        let observation = Observation {
            kernel_log: &stamped,
            ..observation
        };
        assert_eq!(
            found.map(|cause| cause.name),
            cause(observation).map(|cause| cause.name)
        );
    }
    if let Some(Ok(elf)) = Elf::parse(case.program) {
        assert!(!elf.words().is_empty());
        let (into, size, offset) = case.mapping;
        let mapping = Mapping { into, size, offset };
        let _ = symbol(case.program, mapping);
    }
    let length = case.program.len() + case.stdout.len() + case.stderr.len();
    memory.at_most((16 << 20) + 64 * length);
});
