//! Mistakes in checks.toml.

use snapbox::{assert_data_eq, str};

use crate::{checks, resolve};

#[test]
fn checks_with_mistakes() {
    assert_data_eq!(
        checks(
            "[[check]]\nname = \"bash\"\ncommand = \"bash\"\nstdout = \"^(42$\"\ntimeout = \"30\"\n\n[[check]]\nname = \"bash\"\ncommand = []\ntimeout = 30\n\n[[check]]\ncomand = [\"ls\"]\n\n[[check]]\nname = \"ls\"\ncommand = [\"ls\", 1]\nstdout = \"{realease}\"\ntimeout = \"0s\"\n"
        ),
        str![[r#"
error: `command` is a string, not an array of strings
 --> images/checks.toml:3:11
  |
3 | command = "bash"
  |           ^^^^^^ expected an array of strings
  |
  = hint: write it in brackets: ["bash"]

error: `^(42$` is no regular expression: unclosed group
 --> images/checks.toml:4:10
  |
4 | stdout = "^(42$"
  |          ^^^^^^^
  |
  = hint: the syntax is that of Rust's regex crate; `{release}` stands for the kernel's release

error: `30` is not a duration
 --> images/checks.toml:5:11
  |
5 | timeout = "30"
  |           ^^^^
  |
  = hint: a whole number with its unit: 500ms, 30s, 2m, 1h

error: two checks are called `bash`
 --> images/checks.toml:8:8
  |
2 | name = "bash"
  |        ------ the first
...
8 | name = "bash"
  |        ^^^^^^ the second

error: `command` names no program
 --> images/checks.toml:9:11
  |
9 | command = []
  |           ^^
  |
  = hint: a program and its arguments: ["ls", "/"]

error: `timeout` is an integer, not a string
  --> images/checks.toml:10:11
   |
10 | timeout = 30
   |           ^^ expected a string
   |
   = hint: write it with its unit, in quotes: "30s"

error: a check lacks `name`
  --> images/checks.toml:12:1
   |
12 | [[check]]
   | ^^^^^^^^^ no `name` in here
   |
   = hint: add `name = "bash"`

error: a check lacks `command`
  --> images/checks.toml:12:1
   |
12 | [[check]]
   | ^^^^^^^^^ no `command` in here
   |
   = hint: add `command = ["bash", "-c", "true"]`

error: unknown key `comand`
  --> images/checks.toml:13:1
   |
13 | comand = ["ls"]
   | ^^^^^^
   |
   = hint: did you mean `command`? a check has `name`, `command`, `stdout`, `timeout`, `children`, `entrypoint`, `default`, `seccomp`, `capabilities` and `notes`

error: an element of `command` is an integer, not a string
  --> images/checks.toml:17:18
   |
17 | command = ["ls", 1]
   |                  ^ expected a string
   |
   = hint: write it in quotes: "1"

error: `{realease}` is no regular expression: repetition operator missing expression
  --> images/checks.toml:18:10
   |
18 | stdout = "{realease}"
   |          ^^^^^^^^^^^^
   |
   = hint: the syntax is that of Rust's regex crate; `{release}` stands for the kernel's release

error: a time limit of nothing
  --> images/checks.toml:19:11
   |
19 | timeout = "0s"
   |           ^^^^
   |
   = hint: leave `timeout` out for the run's own limit
"#]]
    );
}

/// A mistake in one check must not make every mention of it look like another.
#[test]
fn a_check_with_a_mistake_is_not_unknown_besides() {
    let text = resolve(
        "",
        &[(
            "a.toml",
            "name = \"a\"\nsource = { directory = \"root\" }\nchecks = [\"bash\", \"ls\"]\n\n[[expect]]\ncheck = \"bash\"\noutcome = \"failure\"\n",
        )],
        "[[check]]\nname = \"bash\"\ncommand = [\"bash\"]\nstdout = \"(\"\n\n[[check]]\nname = \"ls\"\ncommand = [\"ls\"]\n",
    )
    .unwrap_err();
    assert_eq!(text.matches("error:").count(), 1, "{text}");

    // Nor must a checks.toml that cannot be read at all.
    let text = resolve(
        "",
        &[(
            "a.toml",
            "name = \"a\"\nsource = { directory = \"root\" }\nchecks = [\"bash\"]\n",
        )],
        "[[check\n",
    )
    .unwrap_err();
    assert!(!text.contains("images/a.toml"), "{text}");
}

#[test]
fn what_a_childs_death_means_with_mistakes() {
    assert_data_eq!(
        checks(
            "[[check]]\nname = \"a\"\ncommand = [\"true\"]\nchildren = \"fails\"\n\n[[check]]\nname = \"b\"\ncommand = [\"true\"]\nchildren = true\n"
        ),
        str![[r#"
error: `fails` is not what a child's death can mean
 --> images/checks.toml:4:12
  |
4 | children = "fails"
  |            ^^^^^^^
  |
  = hint: "noticed", as without the key, or "fail": the check is no pass

error: `children` is a boolean, not a string
 --> images/checks.toml:9:12
  |
9 | children = true
  |            ^^^^ expected a string
  |
  = hint: write it in quotes: "true"
"#]]
    );
}

#[test]
fn profiles_with_mistakes() {
    assert_data_eq!(
        checks(
            "[[check]]\nname = \"a\"\ncommand = [\"true\"]\nseccomp = \"permit\"\n\n[[check]]\nname = \"b\"\ncommand = [\"true\"]\nseccomp = []\n\n[[check]]\nname = \"c\"\ncommand = [\"true\"]\nseccomp = [\"none\", \"eperm\", \"none\"]\n"
        ),
        str![[r#"
error: unknown profile `permit`
 --> images/checks.toml:4:11
  |
4 | seccomp = "permit"
  |           ^^^^^^^^
  |
  = hint: there is `none`, `eperm` and `enosys`

error: a check under no profile
 --> images/checks.toml:9:11
  |
9 | seccomp = []
  |           ^^
  |
  = hint: leave `seccomp` out for a container without one, or write "none" among others

error: `none` is there twice
  --> images/checks.toml:14:29
   |
14 | seccomp = ["none", "eperm", "none"]
   |                             ^^^^^^
"#]]
    );
}

#[test]
fn capabilities_with_mistakes() {
    assert_data_eq!(
        checks(
            "[[check]]\nname = \"a\"\ncommand = [\"true\"]\ncapabilities = [\"SYS_ADMIM\"]\n\n[[check]]\nname = \"b\"\ncommand = [\"true\"]\ncapabilities = []\n\n[[check]]\nname = \"c\"\ncommand = [\"true\"]\ncapabilities = [\"CAP_BPF\", \"bpf\", \"CHOWN\"]\n\n[[check]]\nname = \"d\"\ncommand = [\"true\"]\ncapabilities = [\"ALL\", \"BPF\"]\n\n[[check]]\nname = \"e\"\ncommand = [\"true\"]\ncapabilities = \"ALL\"\n"
        ),
        str![[r#"
error: unknown capability `SYS_ADMIM`
 --> images/checks.toml:4:17
  |
4 | capabilities = ["SYS_ADMIM"]
  |                 ^^^^^^^^^^^
  |
  = hint: did you mean `SYS_ADMIN`? there is `DAC_READ_SEARCH`, `LINUX_IMMUTABLE`, `NET_BROADCAST`, `NET_ADMIN`, `IPC_LOCK`, `IPC_OWNER`, `SYS_MODULE`, `SYS_RAWIO`, `SYS_PTRACE`, `SYS_PACCT`, `SYS_ADMIN`, `SYS_BOOT`, `SYS_NICE`, `SYS_RESOURCE`, `SYS_TIME`, `SYS_TTY_CONFIG`, `LEASE`, `AUDIT_CONTROL`, `MAC_OVERRIDE`, `MAC_ADMIN`, `SYSLOG`, `WAKE_ALARM`, `BLOCK_SUSPEND`, `AUDIT_READ`, `PERFMON`, `BPF` and `CHECKPOINT_RESTORE`

error: no capabilities to add
 --> images/checks.toml:9:16
  |
9 | capabilities = []
  |                ^^
  |
  = hint: leave `capabilities` out for a container with docker's 14

error: `BPF` is there twice
  --> images/checks.toml:14:28
   |
14 | capabilities = ["CAP_BPF", "bpf", "CHOWN"]
   |                            ^^^^^

error: `CHOWN` is one of docker's 14
  --> images/checks.toml:14:35
   |
14 | capabilities = ["CAP_BPF", "bpf", "CHOWN"]
   |                                   ^^^^^^^
   |
   = hint: every container has it: leave it out

error: `ALL` beside others
  --> images/checks.toml:19:17
   |
19 | capabilities = ["ALL", "BPF"]
   |                 ^^^^^
   |
   = hint: they are in it: leave them out

error: `capabilities` is a string, not an array of strings
  --> images/checks.toml:24:16
   |
24 | capabilities = "ALL"
   |                ^^^^^ expected an array of strings
   |
   = hint: write it in brackets: ["ALL"]
"#]]
    );
}
