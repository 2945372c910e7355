//! Every message a mistake in a project's files can cause, word for word, with its
//! place and its mend.

use std::path::Path;
use std::sync::Arc;

use plan::{Project, SourceFile};
use snapbox::{assert_data_eq, str};

fn file(name: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile {
        name: name.into(),
        text: text.into(),
    })
}

fn resolve(kernels: &str, images: &[(&str, &str)], checks: &str) -> Result<Project, String> {
    let images: Vec<Arc<SourceFile>> = images
        .iter()
        .map(|(name, text)| file(&format!("images/{name}"), text))
        .collect();
    plan::resolve(
        Path::new("/project"),
        &file("kernels.toml", kernels),
        &images,
        Some(&file("images/checks.toml", checks)),
    )
    .map_err(|diagnostics| diagnostics.render(false))
}

const CHECKS: &str = "\
[[check]]
name = \"bash\"
command = [\"bash\", \"-c\", \"true\"]

[[check]]
name = \"ls\"
command = [\"ls\"]
";

fn kernels(text: &str) -> String {
    resolve(text, &[], CHECKS).unwrap_err()
}

fn image(text: &str) -> String {
    resolve("", &[("a.toml", text)], CHECKS).unwrap_err()
}

fn checks(text: &str) -> String {
    resolve("", &[], text).unwrap_err()
}

#[test]
fn no_toml() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\nsource = { path = \"x\" }\n[kernel\n"),
        str![[r#"
error: invalid basic string, expected `"`
 --> kernels.toml:2:15
  |
2 | version = "6.1
  |               ^

error: duplicate key
 --> kernels.toml:4:2
  |
4 | [kernel
  |  ^^^^^^

error: unclosed table, expected `]`
 --> kernels.toml:4:8
  |
4 | [kernel
  |        ^
"#]]
    );
}

#[test]
fn a_key_twice() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\"\nversion = \"6.2\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: duplicate key
 --> kernels.toml:3:1
  |
3 | version = "6.2"
  | ^^^^^^^
"#]]
    );
}

#[test]
fn an_unknown_key() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\ncmd-line = \"quiet\"\ncolour = 1\n"
        ),
        str![[r#"
error: unknown key `cmd-line`
 --> kernels.toml:4:1
  |
4 | cmd-line = "quiet"
  | ^^^^^^^^
  |
  = hint: did you mean `cmdline`? a kernel has `version`, `name`, `source`, `cmdline`, `cpu`, `memory`, `cgroup`, `sysctl`, `notes`, `optional`, `default` and `variants`

error: unknown key `colour`
 --> kernels.toml:5:1
  |
5 | colour = 1
  | ^^^^^^
  |
  = hint: a kernel has `version`, `name`, `source`, `cmdline`, `cpu`, `memory`, `cgroup`, `sysctl`, `notes`, `optional`, `default` and `variants`
"#]]
    );
}

#[test]
fn an_unknown_table() {
    assert_data_eq!(
        kernels("[[kernels]]\nversion = \"6.1\"\n"),
        str![[r#"
error: unknown key `kernels`
 --> kernels.toml:1:3
  |
1 | [[kernels]]
  |   ^^^^^^^
  |
  = hint: did you mean `kernel`? kernels.toml has `kernel`
"#]]
    );
}

#[test]
fn one_table_where_there_are_many() {
    assert_data_eq!(
        kernels("[kernel]\nversion = \"6.1\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `kernel` is a table, not an array of tables
 --> kernels.toml:1:1
  |
1 | [kernel]
  | ^^^^^^^^ expected an array of tables
  |
  = hint: write [[kernel]] for [kernel]
"#]]
    );
}

#[test]
fn a_version_that_is_a_number() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = 6.10\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `version` is a float, not a string
 --> kernels.toml:2:11
  |
2 | version = 6.10
  |           ^^^^ expected a string
  |
  = hint: write it in quotes: "6.10"
"#]]
    );
}

#[test]
fn a_version_that_is_none() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"mine\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `mine` is not a kernel version such as 6.1, 6.1.112 or 7.3-rc7
 --> kernels.toml:2:11
  |
2 | version = "mine"
  |           ^^^^^^
  |
  = hint: another name than the version's goes into `name`
"#]]
    );
}

#[test]
fn missing_keys() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nname = \"mine\"\n\n[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debian\" }\n"
        ),
        str![[r#"
error: a kernel lacks `version`
 --> kernels.toml:1:1
  |
1 | [[kernel]]
  | ^^^^^^^^^^ no `version` in here
  |
  = hint: add `version = "6.1"`

error: a kernel lacks `source`
 --> kernels.toml:1:1
  |
1 | [[kernel]]
  | ^^^^^^^^^^ no `source` in here
  |
  = hint: add `source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }`

error: an apt source of a kernel lacks `suite`
 --> kernels.toml:6:10
  |
6 | source = { apt = "debian" }
  |          ^^^^^^^^^^^^^^^^^^ no `suite` in here
  |
  = hint: add `suite = "bookworm"`

error: an apt source of a kernel lacks `package`
 --> kernels.toml:6:10
  |
6 | source = { apt = "debian" }
  |          ^^^^^^^^^^^^^^^^^^ no `package` in here
  |
  = hint: add `package = "linux-image-cloud-amd64"`
"#]]
    );
}

#[test]
fn two_kernels_of_one_name() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\n\n[[kernel]]\nversion = \"6.2\"\nname = \"6.1\"\nsource = { path = \"y\" }\n"
        ),
        str![[r#"
error: two kernels are called `6.1`
 --> kernels.toml:7:8
  |
2 | version = "6.1"
  |           ----- the first
...
7 | name = "6.1"
  |        ^^^^^ the second
  |
  = hint: give one of them a `name`; without one a kernel is called by its version
"#]]
    );
}

#[test]
fn a_name_no_selector_can_spell() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\"\nname = \"my,kernel\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `my,kernel` cannot be a name
 --> kernels.toml:3:8
  |
3 | name = "my,kernel"
  |        ^^^^^^^^^^^
  |
  = hint: a name begins with a letter or digit and is made of letters, digits and . _ : -
"#]]
    );
}

#[test]
fn sources_of_no_kind_and_of_two() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { atp = \"debian\", suite = \"bookworm\", package = \"linux\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { suite = \"bookworm\" }\n\n[[kernel]]\nversion = \"6.3\"\nsource = { path = \"x\", rpm = \"https://example.org\", package = \"kernel\" }\n\n[[kernel]]\nversion = \"6.4\"\nsource = []\n"
        ),
        str![[r#"
error: a source that does not say of which kind it is
 --> kernels.toml:3:12
  |
3 | source = { atp = "debian", suite = "bookworm", package = "linux" }
  |            ^^^ unknown kind
  |
  = hint: did you mean `apt`? a source has one of `apt`, `rpm` and `path`

error: a source that does not say of which kind it is
 --> kernels.toml:7:10
  |
7 | source = { suite = "bookworm" }
  |          ^^^^^^^^^^^^^^^^^^^^^^ no kind in here
  |
  = hint: a source has one of `apt`, `rpm` and `path`

error: a source cannot be `rpm` and `path` at once
  --> kernels.toml:11:10
   |
11 | source = { path = "x", rpm = "https://example.org", package = "kernel" }
   |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ two kinds in here
   |
   = hint: several sources are written as an array: [{ … }, { … }]

error: `source` is empty
  --> kernels.toml:15:10
   |
15 | source = []
   |          ^^ no source in here
   |
   = hint: write one: [{ apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }]
"#]]
    );
}

#[test]
fn a_key_of_another_kind_of_source() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { rpm = \"https://example.org\", package = \"kernel\", suite = \"bookworm\" }\n"
        ),
        str![[r#"
error: unknown key `suite`
 --> kernels.toml:3:61
  |
3 | source = { rpm = "https://example.org", package = "kernel", suite = "bookworm" }
  |                                                             ^^^^^
  |
  = hint: an rpm source has `rpm` and `package`
"#]]
    );
}

#[test]
fn archives_suites_and_packages() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debain\", suite = \"\", package = \"\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { apt = \"ftp://example.org/debian\", suite = \"a b\", package = \"linux image\", allow-expired = \"yes\" }\n"
        ),
        str![[r#"
error: unknown archive `debain`
 --> kernels.toml:3:18
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                  ^^^^^^^^
  |
  = hint: there is `debian`, `debian-security`, and any http:// or https:// URL

error: the suite is empty
 --> kernels.toml:3:36
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                                    ^^

error: the package is empty
 --> kernels.toml:3:50
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                                                  ^^

error: `ftp://example.org/debian` is not a URL
 --> kernels.toml:7:18
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: a URL begins with http:// or https://

error: `a b` is not one suite: it has a space in it
 --> kernels.toml:7:54
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                      ^^^^^

error: `linux image` is not one package: it has a space in it
 --> kernels.toml:7:71
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                                       ^^^^^^^^^^^^^

error: `allow-expired` is a string, not true or false
 --> kernels.toml:7:102
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                                                                      ^^^^^ expected true or false
"#]]
    );
}

#[test]
fn several_suites() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\n\n[kernel.source]\napt = [{ archive = \"debian\" }, { suite = \"bookworm\" }, \"debian\"]\nsuite = \"bookworm\"\npackage = \"linux\"\n\n[[kernel]]\nversion = \"6.2\"\nsource = { apt = [], package = \"linux\" }\n"
        ),
        str![[r#"
error: a suite of an apt source lacks `suite`
 --> kernels.toml:5:8
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |        ^^^^^^^^^^^^^^^^^^^^^^ no `suite` in here
  |
  = hint: add `suite = "bookworm"`

error: a suite of an apt source lacks `archive`
 --> kernels.toml:5:32
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |                                ^^^^^^^^^^^^^^^^^^^^^^ no `archive` in here
  |
  = hint: add `archive = "debian"`

error: an element of `apt` is a string, not a table
 --> kernels.toml:5:56
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |                                                        ^^^^^^^^ expected a table

error: unknown key `suite`
 --> kernels.toml:6:1
  |
6 | suite = "bookworm"
  | ^^^^^
  |
  = hint: an apt source of a kernel has `apt` and `package`

error: `apt` is empty
  --> kernels.toml:11:18
   |
11 | source = { apt = [], package = "linux" }
   |                  ^^
   |
   = hint: write `apt = "debian"` or [{ archive = "debian", suite = "bookworm" }]
"#]]
    );
}

#[test]
fn settings() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\ncmdline = 'a=\"b'\ncpu = \"\"\nmemory = 512\ncgroup = \"v3\"\nsysctl = { kernel.panic = 1.5 }\noptional = \"yes\"\n\n[kernel.variants]\n\"a+b\" = {}\nsmall = { memory = \"16MiB\", vsyscall = \"none\" }\nbig = { memory = \"2G\" }\nbad = \"vsyscall=none\"\n"
        ),
        str![[r#"
error: a quote in `cmdline` is not closed
 --> kernels.toml:4:11
  |
4 | cmdline = 'a="b'
  |           ^^^^^^

error: `` is not a CPU model
 --> kernels.toml:5:7
  |
5 | cpu = ""
  |       ^^
  |
  = hint: a model as QEMU's -cpu takes it: max, Nehalem, Haswell-noTSX

error: `memory` is an integer, not a string
 --> kernels.toml:6:10
  |
6 | memory = 512
  |          ^^^ expected a string
  |
  = hint: write it with its unit, in quotes: "512MiB"

error: unknown cgroup layout `v3`
 --> kernels.toml:7:10
  |
7 | cgroup = "v3"
  |          ^^^^
  |
  = hint: did you mean `v1`? there is `v1`, `v2` and `hybrid`

error: `panic` is a float, not a string
 --> kernels.toml:8:27
  |
8 | sysctl = { kernel.panic = 1.5 }
  |                           ^^^ expected a string
  |
  = hint: write it in quotes: "1.5"

error: `optional` is a string, not true or false
 --> kernels.toml:9:12
  |
9 | optional = "yes"
  |            ^^^^^ expected true or false

error: `a+b` cannot be a name
  --> kernels.toml:12:1
   |
12 | "a+b" = {}
   | ^^^^^
   |
   = hint: a name begins with a letter or digit and is made of letters, digits and . _ : = -

error: `16MiB` of memory is too little
  --> kernels.toml:13:20
   |
13 | small = { memory = "16MiB", vsyscall = "none" }
   |                    ^^^^^^^
   |
   = hint: at least 64MiB

error: unknown key `vsyscall`
  --> kernels.toml:13:29
   |
13 | small = { memory = "16MiB", vsyscall = "none" }
   |                             ^^^^^^^^
   |
   = hint: a variant has `cmdline`, `cpu`, `memory`, `cgroup`, `sysctl`, `default` and `notes`

error: `2G` is not an amount of memory
  --> kernels.toml:14:18
   |
14 | big = { memory = "2G" }
   |                  ^^^^
   |
   = hint: a whole number with its unit: 512MiB, 2GiB

error: `bad` is a string, not a table
  --> kernels.toml:15:7
   |
15 | bad = "vsyscall=none"
   |       ^^^^^^^^^^^^^^^ expected a table
"#]]
    );
}

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
   = hint: did you mean `command`? a check has `name`, `command`, `stdout`, `timeout`, `default` and `notes`

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

#[test]
fn an_image_with_mistakes() {
    assert_data_eq!(
        image(
            "name = \"debian 12\"\nenvironment = { \"A=B\" = \"c\", D = 1.5 }\nuser = \"a:b:c\"\ndirectory = \"home\"\nchecks = [\"bahs\", \"ls*\", \"[a\", 1]\n\n[source]\napt = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"x86_64\"\npackages = []\n"
        ),
        str![[r#"
error: `debian 12` cannot be a name
 --> images/a.toml:1:8
  |
1 | name = "debian 12"
  |        ^^^^^^^^^^^
  |
  = hint: a name begins with a letter or digit and is made of letters, digits and . _ : -

error: `A=B` cannot be a variable's name
 --> images/a.toml:2:17
  |
2 | environment = { "A=B" = "c", D = 1.5 }
  |                 ^^^^^

error: `D` is a float, not a string
 --> images/a.toml:2:34
  |
2 | environment = { "A=B" = "c", D = 1.5 }
  |                                  ^^^ expected a string
  |
  = hint: write it in quotes: "1.5"

error: `a:b:c` is not a user
 --> images/a.toml:3:8
  |
3 | user = "a:b:c"
  |        ^^^^^^^
  |
  = hint: UID, UID:GID, NAME or NAME:GROUP

error: `home` is not absolute
 --> images/a.toml:4:13
  |
4 | directory = "home"
  |             ^^^^^^
  |
  = hint: the containers' working directory begins with a slash

error: unknown check `bahs`
 --> images/a.toml:5:11
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |           ^^^^^^
  |
  = hint: did you mean `bash`? there is `bash` and `ls`

error: `[a` is not a glob: unclosed character class; missing ']'
 --> images/a.toml:5:26
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |                          ^^^^

error: an element of `checks` is an integer, not a string
 --> images/a.toml:5:32
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |                                ^ expected a string
  |
  = hint: write it in quotes: "1"

error: unknown architecture `x86_64`
  --> images/a.toml:10:16
   |
10 | architecture = "x86_64"
   |                ^^^^^^^^
   |
   = hint: Debian calls it `amd64`

error: `packages` is empty
  --> images/a.toml:11:12
   |
11 | packages = []
   |            ^^
   |
   = hint: name at least one; essential packages and dependencies come with it
"#]]
    );
}

#[test]
fn sources_of_images() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = [{ apt = \"debian\", suite = \"bookworm\", package = \"bash\" }, { program = \"vsyscal\" }, { directory = \"\" }, { oci = \"centos:6\" }]\n"
        ),
        str![[r#"
error: an apt source of an image lacks `packages`
 --> images/a.toml:2:11
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { oci = "centos:6" }]
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no `packages` in here
  |
  = hint: add `packages = ["bash", "coreutils"]`

error: unknown key `package`
 --> images/a.toml:2:49
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { oci = "centos:6" }]
  |                                                 ^^^^^^^
  |
  = hint: did you mean `packages`? an apt source of an image has `apt`, `suite`, `allow-expired`, `packages` and `architecture`

error: unknown program `vsyscal`
 --> images/a.toml:2:81
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { oci = "centos:6" }]
  |                                                                                 ^^^^^^^^^
  |
  = hint: did you mean `vsyscall`?

error: `directory` is empty
 --> images/a.toml:2:108
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { oci = "centos:6" }]
  |                                                                                                            ^^
  |
  = hint: a path relative to the project

error: a source that does not say of which kind it is
 --> images/a.toml:2:114
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { oci = "centos:6" }]
  |                                                                                                                  ^^^^^^^^^^^^^^^^^^^^ no kind in here
  |
  = hint: a source has one of `apt`, `directory`, `tarball` and `program`
"#]]
    );
}

#[test]
fn an_image_without_checks() {
    assert_data_eq!(
        image("name = \"a\"\nsource = { directory = \"root\" }\nchecks = []\n"),
        str![[r#"
error: an image without any check
 --> images/a.toml:1:8
  |
1 | name = "a"
  |        ^^^
  |
  = hint: list some of checks.toml in `checks`, or write a [[check]]
"#]]
    );
}

#[test]
fn expectations_with_mistakes() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = { directory = \"root\" }\n\n[[expect]]\ncheck = \"bsah\"\noutcome = \"SIGSEVG\"\nwhen = { vsycall = \"none\" }\n\n[[expect]]\ncheck = []\noutcome = \"exit 300\"\nwhen = { vsyscall = [\"none\", \"off\"], kernel = \"new\", ia32 = [], cgroup = 1.5 }\n\n[[expect]]\nbecause = \"it is so\"\n"
        ),
        str![[r#"
error: unknown check `bsah`
 --> images/a.toml:5:9
  |
5 | check = "bsah"
  |         ^^^^^^
  |
  = hint: did you mean `bash`? this image has `bash` and `ls`

error: `SIGSEVG` is no outcome; known are `pass`, `failure`, `exit N`, a signal as `SIGSEGV`, `timeout`, `oom`, `exec ENOENT`, `mismatch`, `panic`, `lockup`, `unsupported`
 --> images/a.toml:6:11
  |
6 | outcome = "SIGSEVG"
  |           ^^^^^^^^^
  |
  = hint: did you mean `SIGSEGV`?

error: `vsycall` is no fact; known are `kernel`, `release`, `runtime`, `vsyscall`, `cgroup`, `cgroup_controllers`, `overlayfs`, `user_namespaces`, `namespaces`, `seccomp`, `lsm`, `ia32`, `cpu_level`, `filesystems`
 --> images/a.toml:7:10
  |
7 | when = { vsycall = "none" }
  |          ^^^^^^^
  |
  = hint: did you mean `vsyscall`?

error: an expectation of no check
  --> images/a.toml:10:9
   |
10 | check = []
   |         ^^
   |
   = hint: leave `check` out to speak of every check

error: `exit 300` is no outcome; a status from 1 to 255 follows `exit`
  --> images/a.toml:11:11
   |
11 | outcome = "exit 300"
   |           ^^^^^^^^^^

error: `off` is nothing that `vsyscall` can be; it takes `emulate`, `xonly` or `none`
  --> images/a.toml:12:30
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                              ^^^^^

error: `kernel` takes a version range as `>=5.10`: `new` is no bound; one looks like `>=5.10` or `<4.4`, several are joined by commas
  --> images/a.toml:12:47
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                               ^^^^^

error: `ia32` has no value to be held against
  --> images/a.toml:12:61
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                                             ^^

error: `cgroup` is a float, not a string
  --> images/a.toml:12:74
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                                                          ^^^ expected a string
   |
   = hint: write it in quotes: "1.5"

error: an expectation lacks `outcome`
  --> images/a.toml:14:1
   |
14 | [[expect]]
   | ^^^^^^^^^^ no `outcome` in here
   |
   = hint: add `outcome = "SIGSEGV"`
"#]]
    );
}

#[test]
fn an_expectation_about_a_check_the_image_does_not_list() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = { directory = \"root\" }\nchecks = [\"ls\"]\n\n[[expect]]\ncheck = \"bash\"\noutcome = \"failure\"\n"
        ),
        str![[r#"
error: unknown check `bash`
 --> images/a.toml:6:9
  |
6 | check = "bash"
  |         ^^^^^^
  |
  = hint: this image has `ls`
"#]]
    );
}

#[test]
fn two_images_of_one_name() {
    let text = "name = \"debian:12\"\nsource = { directory = \"root\" }\n";
    assert_data_eq!(
        resolve("", &[("a.toml", text), ("b.toml", text)], CHECKS).unwrap_err(),
        str![[r#"
error: two images are called `debian:12`
 --> images/b.toml:1:8
  |
1 | name = "debian:12"
  |        ^^^^^^^^^^^ the second
  |
 ::: images/a.toml:1:8
  |
1 | name = "debian:12"
  |        ----------- the first
"#]]
    );
}

#[test]
fn every_mistake_of_every_file_at_once_in_the_order_of_the_files() {
    let text = resolve(
        "[[kernel]]\nversion = 6.1\n",
        &[
            ("a.toml", "name = 1\nsource = {}\n"),
            ("b.toml", "name = \n"),
        ],
        "[[check]]\nname = \"bash\"\ncommand = [\"bash\"]\nstdout = \"(\"\n",
    )
    .unwrap_err();
    let places: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--> "))
        .collect();
    assert_eq!(
        places,
        [
            "kernels.toml:1:1",
            "kernels.toml:2:11",
            "images/checks.toml:4:10",
            "images/a.toml:1:8",
            "images/a.toml:2:10",
            "images/b.toml:1:8",
        ]
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

/// Editors save half a file, and people write any character anywhere.
#[test]
fn a_file_cut_or_changed_anywhere_is_told_of_without_a_panic() {
    let kernel = "[[kernel]]\nversion = \"6.1\" # ä\r\nsource = { apt = \"debian\", suite = \"s\", package = \"p\" }\n\n[kernel.variants]\n\t\"v=1\" = { cmdline = 'é \"a b\"', sysctl = { a.b = 1 } }\n";
    let image = "name = \"a\"\nsource = [{ directory = \"ä\" }]\nchecks = [\"b*\"]\n[[expect]]\nwhen = { kernel = \">=5.10\" }\noutcome = \"exit 3\"\n";
    assert!(resolve(kernel, &[("a.toml", image)], CHECKS).is_ok());
    let mut wrong = 0;
    for text in [kernel, image] {
        for (at, _) in text.char_indices() {
            for piece in ["", "\n", "\"", "[", "é", "=", "\u{0}"] {
                let changed = format!("{}{piece}{}", &text[..at], &text[at..]);
                for text in [&changed, &text[..at]] {
                    wrong += usize::from(resolve(text, &[("a.toml", text)], text).is_err());
                }
            }
        }
    }
    assert!(wrong > 1000, "{wrong}");
}
