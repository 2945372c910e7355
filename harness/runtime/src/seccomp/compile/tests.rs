use serde_json::{Value, json};

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0;
const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// What the kernel's interpreter does.
fn run(steps: &[libc::sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(architecture.to_le_bytes());
    data.extend([0; 8]);
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let step = steps[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
        match step.code {
            LOAD => {
                let from = step.k as usize;
                accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            AND => accumulator &= step.k,
            JUMP => at += step.k as usize,
            IF_EQUAL => at += branch(accumulator == step.k),
            IF_ABOVE => at += branch(accumulator > step.k),
            IF_AT_LEAST => at += branch(accumulator >= step.k),
            RETURN => return step.k,
            code => panic!("{code:#x}"),
        }
    }
}

fn compiled(config: Value) -> Vec<libc::sock_filter> {
    compile(&serde_json::from_value(config).unwrap(), false)
        .unwrap()
        .steps
}

fn wide(steps: &[libc::sock_filter], name: &str, arguments: [u64; 6]) -> u32 {
    let number = Table::X86_64.number(name).unwrap();
    run(steps, AUDIT_X86_64, number, arguments)
}

#[test]
fn actions_and_architectures() {
    let steps = compiled(json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["umount2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22},
            {"names": ["ptrace"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["reboot"], "action": "SCMP_ACT_TRAP"},
            {"names": ["acct"], "action": "SCMP_ACT_LOG"},
            {"names": ["swapon"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
            {"names": ["write"], "action": "SCMP_ACT_KILL"},
        ],
    }));
    for (name, answer) in [
        ("read", ALLOW),
        ("write", ALLOW),
        ("open", errno(38)),
        ("clone3", errno(38)),
        ("mount", errno(1)),
        ("umount2", errno(22)),
        ("ptrace", 0x8000_0000),
        ("reboot", 0x0003_0000),
        ("acct", 0x7ffc_0000),
        ("swapon", 0x7ff0_0007),
    ] {
        assert_eq!(wide(&steps, name, [0; 6]), answer, "{name}");
    }
    // 3 is read on i386 and close on x86-64.
    assert_eq!(run(&steps, AUDIT_I386, 3, [0; 6]), ALLOW);
    assert_eq!(run(&steps, AUDIT_X86_64, 3, [0; 6]), errno(38));
    // x32 is not listed, AArch64 (0xc00000b7) cannot be.
    assert_eq!(run(&steps, AUDIT_X86_64, X32_BIT, [0; 6]), KILL);
    assert_eq!(run(&steps, 0xc000_00b7, 63, [0; 6]), KILL);
}

#[test]
fn x32_has_the_rules_of_x86_64() {
    let steps = compiled(json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X32"],
        "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}],
    }));
    assert_eq!(run(&steps, AUDIT_X86_64, X32_BIT | 165, [0; 6]), errno(1));
    assert_eq!(run(&steps, AUDIT_X86_64, X32_BIT | 166, [0; 6]), ALLOW);
    assert_eq!(run(&steps, AUDIT_X86_64, 165, [0; 6]), errno(1));
    assert_eq!(run(&steps, AUDIT_I386, 21, [0; 6]), KILL);
}

#[test]
fn operators_compare_all_64_bits() {
    const V: u64 = 0x1_0000_0005;
    let samples = [
        0,
        4,
        5,
        6,
        0x1_0000_0004,
        V,
        0x1_0000_0006,
        0x2_0000_0000,
        u64::MAX,
    ];
    for (operator, holds) in [
        ("SCMP_CMP_EQ", (|a| a == V) as fn(u64) -> bool),
        ("SCMP_CMP_NE", |a| a != V),
        ("SCMP_CMP_LT", |a| a < V),
        ("SCMP_CMP_LE", |a| a <= V),
        ("SCMP_CMP_GT", |a| a > V),
        ("SCMP_CMP_GE", |a| a >= V),
        ("SCMP_CMP_MASKED_EQ", |a| a & V == 0x1_0000_0000),
    ] {
        let steps = compiled(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 5, "value": V, "valueTwo": 0x1_0000_0000_u64, "op": operator}]}],
        }));
        for sample in samples {
            let answer = if holds(sample) { ALLOW } else { errno(1) };
            assert_eq!(
                wide(&steps, "ioctl", [0, 0, 0, 0, 0, sample]),
                answer,
                "{operator} {sample:#x}"
            );
        }
    }
}

#[test]
fn conditions_join_and_rules_part() {
    let on = |index: u32, value: u32| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    let steps = compiled(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [on(0, 2), on(1, 1)]},
            {"names": ["socket"], "action": "SCMP_ACT_TRAP", "args": [on(0, 16)]},
            // The same argument twice: either.
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [on(0, 0), on(0, 8)]},
        ],
    }));
    for (name, arguments, answer) in [
        ("socket", [2, 1], ALLOW),
        ("socket", [2, 2], errno(1)),
        ("socket", [16, 1], 0x0003_0000),
        ("personality", [0, 0], ALLOW),
        ("personality", [8, 0], ALLOW),
        ("personality", [9, 0], errno(1)),
    ] {
        let [first, second] = arguments;
        let arguments = [first, second, 0, 0, 0, 0];
        assert_eq!(
            wide(&steps, name, arguments),
            answer,
            "{name} {arguments:?}"
        );
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (rule, message) in [
        (
            json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"}),
            "SCMP_ACT_NOTIFY",
        ),
        (
            json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5000}),
            "errno 5000",
        ),
        (
            json!({"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}),
            "no argument 6",
        ),
    ] {
        let config = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        let config: LinuxSeccomp = serde_json::from_value(config).unwrap();
        let error = compile(&config, false).err().unwrap().to_string();
        assert!(
            error.contains("syscalls[0]") && error.contains(message),
            "{error}"
        );
    }
}

#[test]
fn log_becomes_allow_where_it_is_not_known() {
    let config: LinuxSeccomp = serde_json::from_value(json!({
        "defaultAction": "SCMP_ACT_LOG"}))
    .unwrap();
    let steps = compile(&config, true).unwrap().steps;
    assert_eq!(wide(&steps, "read", [0; 6]), ALLOW);
}
