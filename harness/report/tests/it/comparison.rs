//! Kernels side by side.

use report::comparison::{Markup, Subject, differences, render};
use report::{FactsRecord, Run};

use crate::recorded;

/// The recorded run with two kernels that differ in a few things.
fn two() -> Run {
    let mut run = recorded::run();
    let one: FactsRecord = recorded::facts(wire::Vsyscall::None).into();
    let mut other: FactsRecord = recorded::facts(wire::Vsyscall::Emulate).into();
    other.config.insert("MEMCG_V1".into(), "n".into());
    other
        .syscalls_missing
        .retain(|name| name != "clone3" && name != "uretprobe");
    run.kernels.truncate(2);
    run.kernels[0].facts = Some(one);
    run.kernels[1].facts = Some(other);
    run
}

#[test]
fn what_differs_is_a_row_and_what_does_not_one_line() {
    let run = two();
    let page = render(&run, Subject::Facts, Markup::Text, false);
    let row = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(name));
        line.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
    };
    assert_eq!(row("vsyscall"), Some(vec!["none", "emulate"]), "{page}");
    assert_eq!(row("CONFIG_MEMCG_V1"), Some(vec!["-", "n"]), "{page}");
    assert_eq!(row("cgroup "), None, "{page}");
    assert!(page.contains("The same on every kernel: "), "{page}");
    assert!(page.contains("vm.overcommit_memory 0"), "{page}");
    let all = render(&run, Subject::Facts, Markup::Text, true);
    assert!(all.lines().any(|line| line.starts_with("cgroup ")), "{all}");
}

#[test]
fn system_calls_are_there_or_say_enosys_or_were_not_tried() {
    let mut run = two();
    let page = render(&run, Subject::Syscalls, Markup::Markdown, false);
    assert!(page.contains("| `uretprobe` | ENOSYS | yes |"), "{page}");
    assert!(!page.contains("| `read` |"), "{page}");
    run.kernels[1].facts.as_mut().unwrap().syscalls_tried = false;
    let page = render(&run, Subject::Syscalls, Markup::Markdown, false);
    assert!(page.contains("| `read` | yes | ? |"), "{page}");
}

#[test]
fn a_kernel_that_never_came_up_is_named_not_shown_as_alike() {
    let mut run = two();
    run.kernels[1].facts = None;
    let id = run.kernels[1].id.clone();
    let page = render(&run, Subject::Facts, Markup::Text, false);
    assert!(
        page.ends_with(&format!("Nothing is known of {id}.\n")),
        "{page}"
    );
    run.kernels[0].facts = None;
    let page = render(&run, Subject::Syscalls, Markup::Text, false);
    assert!(page.starts_with("no kernel of this run came up"), "{page}");
}

#[test]
fn the_difference_of_two_is_what_a_bisection_tells() {
    let run = two();
    let [Some(one), Some(other)] = [&run.kernels[0].facts, &run.kernels[1].facts] else {
        panic!("both are known");
    };
    let names: Vec<String> = differences(one, other)
        .into_iter()
        .map(|row| row.0)
        .collect();
    assert!(names.contains(&"vsyscall".to_owned()) && names.contains(&"uretprobe".to_owned()));
    assert!(differences(one, one).is_empty());
}
