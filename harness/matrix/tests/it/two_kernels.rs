//! Every cause that can be made here, made for real on two kernels, with the page
//! that explains it. What the kernels and programs said of them is in the corpus of
//! `verdict`, whose TABLE.md lists what was produced where.

mod deaths;

use report::Run;

use crate::made::{self, executable};
use crate::project::{Project, cell, stderr};

/// Each as it comes, with little of what a userland may ask for, and with memory that
/// runs out in a panic.
const KERNELS: &str = r#"
[[kernel]]
version = "6.1"
source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }
memory = "512MiB"
[kernel.variants]
less = { cmdline = "vsyscall=xonly ia32_emulation=0", cpu = "Nehalem", sysctl = { "user.max_user_namespaces" = 0 } }
panics = { sysctl = { "vm.panic_on_oom" = 2 } }

[[kernel]]
version = "6.12"
source = { apt = "debian", suite = "trixie", package = "linux-image-cloud-amd64" }
memory = "512MiB"
[kernel.variants]
less = { cmdline = "vsyscall=xonly ia32_emulation=0", cpu = "Nehalem", sysctl = { "user.max_user_namespaces" = 0 } }
panics = { sysctl = { "vm.panic_on_oom" = 2 } }
"#;

const PACKET_FILTER: &str = r#"
name = "packet-filter"
source = { apt = "debian", suite = "bookworm", packages = ["nftables", "util-linux"] }
checks = []
[[check]]
name = "nft"
command = ["unshare", "-Urn", "nft", "list", "ruleset"]
"#;

/// A folder's programs: a check for each, with what its table says besides.
fn image(project: &Project, name: &str, folder: &str, checks: &[(&str, &[&str], &str)]) {
    let mut text =
        format!("name = \"{name}\"\nsource = {{ directory = \"{folder}\" }}\nchecks = []\n");
    for (check, command, rest) in checks {
        text += &format!("[[check]]\nname = \"{check}\"\ncommand = {command:?}\n{rest}\n");
    }
    project.file(&format!("images/{name}.toml"), text);
}

/// Image, check, outcome, cause, and words that the explanation must have.
type Wanted<'a> = [(&'a str, &'a str, &'a str, &'a str, &'a str)];

/// What was recorded of each cell, and what `matrix explain` prints of it.
#[track_caller]
fn assert_told(project: &Project, run: &Run, kernel: &str, wanted: &Wanted<'_>) {
    for (image, check, outcome, name, words) in wanted {
        let id = format!("{kernel} × {image} × {check}");
        let cell = cell(run, kernel, image, check);
        let cause = cell.cause.as_ref();
        let cause = cause.unwrap_or_else(|| panic!("{id} has no cause: {cell:#?}"));
        assert_eq!(cell.outcome.label(), *outcome, "{id}");
        assert_eq!(cause.name, *name, "{id}: {}", cause.explanation);
        assert!(
            cause.explanation.contains(words),
            "{id}: {}",
            cause.explanation
        );
        let output = project.matrix(&["explain", kernel, image, check]);
        assert!(output.status.success(), "{}", stderr(&output));
        let page = String::from_utf8(output.stdout).unwrap();
        let told = format!("cause        {name}: {}", cause.explanation);
        assert!(page.contains(&told), "{told} is not in\n{page}");
        for evidence in &cause.evidence {
            // As a page for terminals has it, tabs and all.
            let line = evidence.replace('\t', " ");
            assert!(page.contains(line.trim()), "{line} is not in\n{page}");
        }
    }
}

fn project() -> Project {
    let project = Project::new();
    project.file("kernels.toml", KERNELS);
    project.file("images/checks.toml", "");
    made::trouble(&project, "root");
    made::narrow(&project, "root");
    project
}

#[test]
fn causes_of_kernels_as_they_come() {
    let project = project();
    executable(
        &project,
        "root/without-loader",
        &crate::inspect::with_interpreter("/lib/ld-gone.so.1"),
    );
    project.file("root/data", "no program");
    image(
        &project,
        "trouble",
        "root",
        &[
            ("page", &["/trouble", "page"], ""),
            ("wild", &["/trouble", "wild"], ""),
            ("opcode", &["/trouble", "opcode"], ""),
            ("abort", &["/trouble", "abort"], ""),
            ("no-such-call", &["/trouble", "call", "9999"], ""),
            (
                "profile",
                &["/trouble", "call", "439"],
                "seccomp = \"eperm\"",
            ),
            ("killed", &["/trouble", "kill-call"], ""),
            ("trapped", &["/trouble", "trap-call"], ""),
            ("time64", &["/narrow", "refused"], ""),
            ("loader", &["/without-loader"], ""),
            ("data", &["/data"], ""),
            ("mount-v1", &["/trouble", "mount-v1"], ""),
            ("full", &["/trouble", "fill", "/dev/shm/x"], ""),
            ("memory", &["/trouble", "eat"], ""),
            ("child", &["/trouble", "child"], "children = \"fail\""),
            (
                "child-page",
                &["/trouble", "child-page"],
                "children = \"fail\"",
            ),
            (
                "child-refused",
                &["/trouble", "child-refused"],
                "children = \"fail\"",
            ),
            (
                "child-noticed",
                &["/trouble", "child"],
                "children = \"noticed\"",
            ),
            (
                "no-child",
                &["/trouble", "exit", "0"],
                "children = \"fail\"",
            ),
            ("narrow", &["/narrow"], ""),
        ],
    );
    made::list(&project, "list");
    image(&project, "list", "list", &[("list", &["/list"], "")]);
    made::list_of_later(&project, "later");
    image(&project, "later", "later", &[("list", &["/list"], "")]);
    made::of_linux_99(&project, "old");
    let dash: &[&str] = &["/bin/dash", "-c", "true"];
    image(&project, "old", "old", &[("dash", dash, "")]);
    made::fossil(&project, "fossil");
    made::trouble(&project, "fossil");
    let as_2_6: &[&str] = &["/trouble", "as-2.6", "/bin/busybox", "true"];
    image(&project, "fossil", "fossil", &[("busybox", as_2_6, "")]);
    made::dash(&project, "bookworm", "bare", |name, _| {
        !name.ends_with("libc.so.6")
    });
    image(&project, "bare", "bare", &[("dash", dash, "")]);
    project.file("images/packet-filter.toml", PACKET_FILTER);

    let run = project.run(1, &["--kernels", "6.1+,6.12+", "--cold"]);
    for kernel in ["6.1", "6.12"] {
        let version = format!("and this is Linux {kernel}.");
        let passes_over = format!("passes over it on Linux {kernel}.");
        let wanted: &Wanted<'_> = &[
            (
                "trouble",
                "page",
                "SIGSEGV 139",
                "vsyscall-none",
                "called time() through",
            ),
            (
                "trouble",
                "wild",
                "SIGSEGV 139",
                "general-protection",
                "in read_wild() of /trouble",
            ),
            (
                "trouble",
                "opcode",
                "SIGILL 132",
                "invalid-opcode",
                "in stop_here() of /trouble",
            ),
            (
                "trouble",
                "abort",
                "SIGSEGV 139",
                "aborted",
                "called abort()",
            ),
            (
                "trouble",
                "no-such-call",
                "exit 1",
                "missing-syscall",
                "does not have syscall 9999",
            ),
            (
                "trouble",
                "profile",
                "exit 1",
                "seccomp-refused",
                "eperm answers EPERM to faccessat2",
            ),
            (
                "trouble",
                "killed",
                "SIGSYS 159 (getppid)",
                "seccomp-killed",
                "it called getppid",
            ),
            // The kernel logs no trap: a trace tells the call.
            (
                "trouble",
                "trapped",
                "SIGSYS 159 (getppid)",
                "seccomp-killed",
                "it called getppid",
            ),
            (
                "trouble",
                "time64",
                "exit 1",
                "time64",
                "counts time in 64 bits",
            ),
            (
                "trouble",
                "loader",
                "exec ENOENT",
                "missing-interpreter",
                "not /lib/ld-gone.so.1",
            ),
            (
                "trouble",
                "mount-v1",
                "exit 1",
                "cgroup-v1-only",
                "wants the hierarchies of cgroup v1",
            ),
            (
                "trouble",
                "full",
                "exit 1",
                "disk-full",
                "a file system was full",
            ),
            ("trouble", "memory", "oom", "oom", "the machine's memory"),
            (
                "trouble",
                "child",
                "child SIGSEGV",
                "segfault",
                "in poke_null() of /trouble",
            ),
            (
                "trouble",
                "child-page",
                "child SIGSEGV",
                "vsyscall-none",
                "called time()",
            ),
            (
                "trouble",
                "child-refused",
                "child SIGSYS (getppid)",
                "seccomp-killed",
                "getppid",
            ),
            (
                "list",
                "list",
                "SIGSEGV 139",
                "segfault",
                "in count_nodes() of /lib/liblist.so.1",
            ),
            (
                "trouble",
                "data",
                "exec EACCES",
                "exec-permission",
                "/data may not be executed",
            ),
            (
                "later",
                "list",
                "exit 1",
                "library-too-old",
                "/list was built against a newer /lib/liblist.so.1, which has LIST_2",
            ),
            ("old", "dash", "exit 127", "kernel-too-old", &passes_over),
            (
                "fossil",
                "busybox",
                "SIGSEGV 139",
                "kernel-too-old",
                &version,
            ),
            (
                "bare",
                "dash",
                "exit 127",
                "missing-library",
                "the image has no libc.so.6",
            ),
            (
                "packet-filter",
                "nft",
                "exit 3",
                "nf-tables-missing",
                "asks for nf_tables",
            ),
        ];
        assert_told(&project, &run, kernel, wanted);
        for passing in ["child-noticed", "no-child", "narrow"] {
            let cell = cell(&run, kernel, "trouble", passing);
            assert!(cell.outcome.is_pass(), "{kernel} {passing}: {cell:#?}");
        }
        let noticed = &cell(&run, kernel, "trouble", "child-noticed").attempts[0].noticed;
        assert_eq!(noticed.len(), 1, "{noticed:?}");
        // What is told as the cause is not told again.
        let attempt = &cell(&run, kernel, "trouble", "child").attempts[0];
        assert!(attempt.noticed.is_empty(), "{:?}", attempt.noticed);
        let fossil = cell(&run, kernel, "fossil", "busybox")
            .cause
            .as_ref()
            .unwrap();
        assert_eq!(fossil.evidence[0], "FATAL: kernel too old");
    }
}

#[test]
fn causes_of_kernels_that_give_less() {
    let project = project();
    image(
        &project,
        "trouble",
        "root",
        &[
            ("read-page", &["/trouble", "read-page"], ""),
            ("user-namespace", &["/trouble", "user-namespace"], ""),
            ("narrow", &["/narrow"], ""),
        ],
    );
    made::of_level_3(&project, "level");
    let dash: &[&str] = &["/bin/dash", "-c", "true"];
    image(&project, "level", "level", &[("dash", dash, "")]);
    let run = project.run(1, &["--kernels", "6.1+less,6.12+less", "--cold"]);
    for kernel in ["6.1+less", "6.12+less"] {
        let wanted: &Wanted<'_> = &[
            (
                "trouble",
                "read-page",
                "SIGSEGV 139",
                "vsyscall-xonly",
                "read the vsyscall page",
            ),
            (
                "trouble",
                "user-namespace",
                "exit 1",
                "user-namespaces-off",
                "wants a user namespace",
            ),
            (
                "level",
                "dash",
                "exit 127",
                "cpu-level",
                "x86-64-v3, not for this CPU, which is x86-64-v2",
            ),
        ];
        assert_told(&project, &run, kernel, wanted);
    }
    // The switch came with Linux 6.7.
    let narrow: &Wanted<'_> = &[(
        "trouble",
        "narrow",
        "exec ENOEXEC",
        "no-ia32",
        "/narrow is a 32-bit x86 program",
    )];
    assert_told(&project, &run, "6.12+less", narrow);
    let before = cell(&run, "6.1+less", "trouble", "narrow");
    assert!(before.outcome.is_pass(), "{before:#?}");
}

/// Of a cgroup's memory: until a whole machine's is used up, which it looks for in many
/// corners, a kernel can take minutes.
#[test]
fn a_panic_and_its_cause() {
    let project = project();
    let eat: &[&str] = &["/trouble", "eat-group"];
    let admin = "capabilities = [\"SYS_ADMIN\"]";
    image(&project, "trouble", "root", &[("memory", eat, admin)]);
    let run = project.run(1, &["--kernels", "6.1+panics,6.12+panics", "--cold"]);
    for kernel in ["6.1+panics", "6.12+panics"] {
        let wanted: &Wanted<'_> = &[(
            "trouble",
            "memory",
            "panic",
            "panic",
            "Out of memory: compulsory panic_on_oom is enabled",
        )];
        assert_told(&project, &run, kernel, wanted);
    }
}
