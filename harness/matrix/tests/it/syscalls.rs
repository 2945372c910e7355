//! The table of system calls held against what the kernels themselves list: each
//! call's entry is a symbol of /proc/kallsyms, strong where it is compiled in and weak
//! where it only answers ENOSYS (kernel/sys_ni.c).
//!
//!     cargo test --workspace --test it -- --ignored --nocapture syscalls

use std::collections::BTreeMap;

use report::ColumnStatus;
use verdict::Outcome;

use crate::project::{Project, cell};

/// What is asked when MATRIX_SYSCALL_KERNELS names no other.
const KERNELS: &str = "5.10,6.1,6.12,6.18,7.3";

/// Calls whose entry is called otherwise.
const ENTRIES: [(&str, &str); 7] = [
    ("stat", "newstat"),
    ("fstat", "newfstat"),
    ("lstat", "newlstat"),
    ("uname", "newuname"),
    ("umount2", "umount"),
    ("sendfile", "sendfile64"),
    ("_sysctl", "sysctl"),
];

/// Calls of i386 that x86-64 has numbers for and its table no entry.
const NO_ENTRY: [&str; 3] = ["set_thread_area", "get_thread_area", "uselib"];

/// Calls that are compiled in and answer ENOSYS until something turns them on:
/// memfd_secret wanted `secretmem.enable` on the command line up to 6.4.
const ASLEEP: [&str; 1] = ["memfd_secret"];

/// Those that are not tried, and taken to be there.
const UNTRIED: [&str; 9] = [
    "rt_sigreturn",
    "pause",
    "clone",
    "fork",
    "vfork",
    "exit",
    "vhangup",
    "reboot",
    "exit_group",
];

#[test]
#[ignore = "boots five kernels: told how above"]
#[expect(clippy::print_stdout, reason = "figures for whoever asked")]
fn the_table_says_of_each_call_what_the_kernels_symbols_say() {
    let project = Project::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kernels = fs_err::read_to_string(root.join("kernels.toml")).unwrap();
    project.file("kernels.toml", kernels);
    project.debian(
        "[[check]]\nname = \"symbols\"\ncommand = [\"grep\", \"-oE\", \" [TtWw] __x64_sys_[a-z0-9_]+$\", \
         \"/proc/kallsyms\"]\ntimeout = \"5m\"\n",
    );
    let names = std::env::var("MATRIX_SYSCALL_KERNELS").unwrap_or_else(|_| KERNELS.to_owned());
    // `+`: without the variants that come along by default.
    let selectors: Vec<String> = names.split(',').map(|name| format!("{name}+")).collect();
    let run = project.run(0, &["--accel", "tcg", "--kernels", &selectors.join(",")]);
    let mut wrong = Vec::new();
    for column in &run.kernels {
        assert_eq!(column.status, ColumnStatus::Ran, "{}", column.id);
        let symbols = cell(&run, &column.id, "debian:12", "symbols");
        assert_eq!(symbols.outcome, Outcome::Pass);
        let strong: BTreeMap<&str, bool> = symbols.attempts[0]
            .stdout
            .lines()
            .filter_map(|line| line.trim().split_once(" __x64_sys_"))
            .map(|(kind, name)| (name, kind.eq_ignore_ascii_case("t")))
            .collect();
        assert!(
            strong.len() > 300,
            "{}: {} symbols",
            column.id,
            strong.len()
        );
        let facts = column.facts.as_ref().unwrap();
        let there = |name: &str| !facts.syscalls_missing.iter().any(|other| other == name);
        let entry = |name: &str| {
            let renamed = ENTRIES.iter().find(|(call, _)| *call == name);
            renamed.map_or_else(|| name.to_owned(), |(_, entry)| (*entry).to_owned())
        };
        let (mut agreed, mut asleep) = (0, Vec::new());
        for name in syscall_names() {
            let compiled = strong.get(entry(name).as_str()).copied().unwrap_or(false);
            match (compiled, there(name)) {
                (true, false) if ASLEEP.contains(&name) => asleep.push(name),
                (true, false) if NO_ENTRY.contains(&name) => agreed += 1,
                (compiled, there) if compiled == there => agreed += 1,
                (compiled, there) => wrong.push(format!(
                    "{}: {name}: {} in kallsyms, {} by trying",
                    column.id,
                    if compiled { "there" } else { "not there" },
                    if there { "there" } else { "ENOSYS" }
                )),
            }
        }
        for name in UNTRIED {
            assert_eq!(strong.get(name), Some(&true), "{}: {name}", column.id);
        }
        println!(
            "{} ({}): {agreed} agree, asleep: {asleep:?}, {} missing, without a name: {:?}",
            column.id,
            facts.release,
            facts.syscalls_missing.len(),
            facts.syscalls_unnamed
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn syscall_names() -> impl Iterator<Item = &'static str> {
    syscalls::Sysno::iter().map(|call| call.name())
}
