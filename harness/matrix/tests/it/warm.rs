//! Warm starts: what they are for, and that they cannot make a result of their own.

use std::path::{Path, PathBuf};

use report::{Run, StartKind};
use verdict::{Outcome, Verdict};

use crate::project::{Project, cell};

/// A kernel whose templates no other test has: the kernel knows nothing of the word.
fn own_kernel(project: &Project, word: &str) {
    project.file(
        "kernels.toml",
        format!(
            "[[kernel]]\nversion = \"6.1\"\ncmdline = \"matrix.test={word}-{}\"\n\
             source = {{ apt = \"debian\", suite = \"bookworm\", package = \"linux-image-cloud-amd64\" }}\n",
            std::process::id()
        ),
    );
}

/// Its templates in the cache, with what the list says of each.
fn templates(project: &Project, word: &str) -> Vec<PathBuf> {
    let output = project.matrix(&["cache", "ls", "template"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = format!("matrix.test={word}-{}", std::process::id());
    let root = project.matrix(&["cache", "ls"]);
    let root = String::from_utf8_lossy(&root.stdout).into_owned();
    let root = PathBuf::from(root.lines().next().unwrap());
    text.lines()
        .filter(|line| line.contains(&word))
        .map(|line| {
            let short = line.split_whitespace().next().unwrap();
            let (kind, short) = short.split_once('/').unwrap();
            let mut found = fs_err::read_dir(root.join(kind))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir())
                .filter(|path| {
                    path.file_name()
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .starts_with(short)
                });
            found.next().unwrap()
        })
        .collect()
}

/// What is of no use to anybody else goes.
fn remove(project: &Project, templates: &[PathBuf]) {
    for path in templates {
        let name = path.file_name().unwrap().to_str().unwrap();
        let removed = project.matrix(&["cache", "rm", &format!("template/{name}")]);
        assert!(removed.status.success());
    }
}

fn starts(run: &Run, check: &str) -> Vec<StartKind> {
    run.cells
        .iter()
        .filter(|cell| cell.check == check)
        .flat_map(|cell| cell.attempts.iter().map(|attempt| attempt.start))
        .collect()
}

#[test]
fn clones_of_a_template_are_machines_of_their_own() {
    let project = Project::new();
    own_kernel(&project, "clones");
    project.debian(
        "\n[[check]]\nname = \"one\"\ncommand = [\"od\", \"-An\", \"-tx8\", \"-N32\", \"/dev/urandom\"]\n\
         \n[[check]]\nname = \"two\"\ncommand = [\"od\", \"-An\", \"-tx8\", \"-N32\", \"/dev/urandom\"]\n\
         \n[[check]]\nname = \"uuid\"\ncommand = [\"cat\", \"/proc/sys/kernel/random/uuid\"]\n\
         \n[[check]]\nname = \"uuid-too\"\ncommand = [\"cat\", \"/proc/sys/kernel/random/uuid\"]\n\
         \n[[check]]\nname = \"clock\"\ncommand = [\"date\", \"+%s\"]\n\
         \n[[check]]\nname = \"leaves\"\ncommand = [\"sh\", \"-c\", \"echo here > /tmp/left\"]\n\
         \n[[check]]\nname = \"finds\"\ncommand = [\"test\", \"!\", \"-e\", \"/tmp/left\"]\n",
    );
    let begun = std::time::SystemTime::now();
    let run = project.run(0, &["--isolate", "cell", "--sample", "0"]);
    let said = |check: &str| {
        let cell = cell(&run, "6.1", "debian:12", check);
        cell.attempts.last().unwrap().stdout.clone()
    };
    assert_eq!(starts(&run, "one"), [StartKind::Warm]);
    assert_ne!(said("one"), said("two"));
    assert_ne!(said("uuid"), said("uuid-too"));
    let clock: u64 = said("clock").trim().parse().unwrap();
    let since = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    // A template's clock would be that of its making: the second run shows that.
    assert!(clock >= since(begun), "{clock}");

    let between = std::time::SystemTime::now();
    let again = project.run(0, &["--isolate", "cell", "--sample", "0"]);
    let clock: u64 = cell(&again, "6.1", "debian:12", "clock").attempts[0]
        .stdout
        .trim()
        .parse()
        .unwrap();
    assert!(clock >= since(between), "{clock}");
    let earlier = said("one");
    assert_ne!(
        cell(&again, "6.1", "debian:12", "one").attempts[0].stdout,
        earlier,
        "two runs from one template"
    );
    remove(&project, &templates(&project, "clones"));
}

fn distinct(texts: &[String]) -> usize {
    texts
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// More cells than are provided for ahead, and than what they had is kept of: each has a
/// network and a cgroup that no other had, in a clone, in a machine that booted for
/// itself, and where the runtime makes the network since there may be only few.
#[test]
fn no_cell_has_what_another_had() {
    const CELLS: usize = 36;
    let project = Project::new();
    own_kernel(&project, "alone");
    let kernels = fs_err::read_to_string(project.root().join("kernels.toml")).unwrap();
    let few = "[kernel.variants]\nfew = { sysctl = { \"user.max_net_namespaces\" = 40 } }\n";
    project.file("kernels.toml", kernels + few);
    let says = "readlink /proc/self/ns/net; stat -c %i /sys/fs/cgroup; \
                (: < /dev/tcp/127.0.0.1/1) 2>&1 | grep -o refused";
    let checks: String = (0..CELLS)
        .map(|number| {
            format!("\n[[check]]\nname = \"c{number}\"\ncommand = [\"bash\", \"-c\", '{says}']\n")
        })
        .collect();
    project.debian(&checks);
    for (arguments, start) in [
        (
            ["--sample", "0", "--kernels", "6.1,6.1+few"].as_slice(),
            StartKind::Warm,
        ),
        (&["--cold", "--kernels", "6.1"], StartKind::Cold),
    ] {
        let run = project.run(0, arguments);
        for kernel in ["6.1", "6.1+few"] {
            let mut networks = Vec::new();
            let mut cgroups = Vec::new();
            for cell in run.cells.iter().filter(|cell| cell.kernel == kernel) {
                let [attempt] = cell.attempts.as_slice() else {
                    panic!("{}: {:?}", cell.id(), cell.attempts);
                };
                assert_eq!(attempt.start, start, "{}", cell.id());
                let lines: Vec<_> = attempt.stdout.lines().collect();
                let [network, cgroup, "refused", ..] = lines[..] else {
                    panic!("{}: {}", cell.id(), attempt.stdout);
                };
                networks.push(network.to_owned());
                cgroups.push(cgroup.to_owned());
            }
            let ran = kernel == "6.1" || start == StartKind::Warm;
            assert_eq!(cgroups.len(), if ran { CELLS } else { 0 }, "{kernel}");
            assert_eq!(distinct(&cgroups), cgroups.len(), "{kernel}: {cgroups:?}");
            if kernel == "6.1" {
                // The number of one that is not kept any more can be another's; a machine
                // of 1 GiB keeps 30.
                for kept in networks.windows(28) {
                    assert_eq!(distinct(kept), 28, "{networks:?}");
                }
            }
        }
    }
    remove(&project, &templates(&project, "alone"));
}

#[test]
fn a_template_that_does_not_start_goes_and_the_kernel_boots() {
    let project = Project::new();
    own_kernel(&project, "damaged");
    project.repository_image("vsyscall.toml");
    project.run(0, &["--sample", "0"]);
    let kept = templates(&project, "damaged");
    assert_eq!(kept.len(), 1, "{kept:?}");
    // The cache would notice a size or a time that changed: this is damage that only
    // the start of a clone can find.
    tamper(&kept[0].join("state"), |state| state.fill(0));

    let output = project.matrix(&["run", "--sample", "0"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("did not start and was removed"), "{words}");
    let run = Run::load(&project.newest_run().unwrap()).unwrap();
    for cell in &run.cells {
        assert_eq!(cell.verdict, Verdict::Expected, "{}", cell.id());
    }
    assert!(starts(&run, "time").contains(&StartKind::Cold));
    let third = project.run(0, &["--sample", "0"]);
    assert!(
        starts(&third, "time").contains(&StartKind::Warm),
        "it is kept anew"
    );
    remove(&project, &templates(&project, "damaged"));
}

/// Changes a file of a template behind the cache's back: size and time stay.
fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let before = fs_err::metadata(path).unwrap();
    let mut content = fs_err::read(path).unwrap();
    change(&mut content);
    assert_eq!(content.len() as u64, before.len());
    fs_err::write(path, content).unwrap();
    let file = fs_err::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

#[test]
fn a_template_that_has_another_runtime_is_given_this_one() {
    let project = Project::new();
    own_kernel(&project, "runtime");
    project.debian("\n[[check]]\nname = \"true\"\ncommand = [\"true\"]\n");
    project.run(0, &["--sample", "0"]);
    let kept = templates(&project, "runtime");
    assert_eq!(kept.len(), 1, "{kept:?}");
    // The record's last word is what the runtime in the template is known by.
    tamper(&kept[0].join("known"), |known| {
        let from = known.len() - 32;
        assert!(known[from..].iter().all(u8::is_ascii_hexdigit));
        known[from..].fill(b'0');
    });
    let again = project.run(0, &["--sample", "0"]);
    assert_eq!(starts(&again, "true"), [StartKind::Warm]);
    let after = templates(&project, "runtime");
    assert_eq!(after, kept, "a changed runtime makes no new template");
    remove(&project, &after);
}

#[test]
fn where_a_warm_start_and_a_cold_boot_disagree_neither_counts() {
    let project = Project::new();
    own_kernel(&project, "disagree");
    // A template has devices for more disks than two images need; a machine that
    // boots has what it needs.
    project.debian(
        "\n[[check]]\nname = \"only-cold\"\ncommand = [\"test\", \"!\", \"-e\", \"/sys/block/vdc\"]\n\
         \n[[check]]\nname = \"only-warm\"\ncommand = [\"test\", \"-e\", \"/sys/block/vdc\"]\n\
         \n[[check]]\nname = \"both\"\ncommand = [\"true\"]\n\
         \n[[check]]\nname = \"neither\"\ncommand = [\"false\"]\n",
    );
    project.repository_image("vsyscall.toml");
    let run = project.run(1, &["--isolate", "kernel", "--sample", "1"]);
    let found = |check: &str| cell(&run, "6.1", "debian:12", check);
    for check in ["only-cold", "only-warm", "both", "neither"] {
        assert_eq!(
            starts(&run, check),
            [StartKind::Warm, StartKind::Cold],
            "{check}: both attempts are kept"
        );
    }
    for check in ["only-cold", "only-warm"] {
        let cell = found(check);
        let Outcome::NotRun { reason } = &cell.outcome else {
            panic!("{check}: {:?}", cell.outcome);
        };
        assert!(reason.contains("after a warm start it was"), "{reason}");
        assert_eq!(cell.verdict, Verdict::NotRun);
    }
    assert_eq!(found("both").verdict, Verdict::Expected);
    assert_eq!(found("neither").verdict, Verdict::UnexpectedFailure);
    remove(&project, &templates(&project, "disagree"));
}

#[test]
fn no_template_is_kept_where_it_would_not_fit() {
    let project = Project::new();
    own_kernel(&project, "space");
    project.repository_image("vsyscall.toml");
    let output = project.matrix(&["run", "--template-space", "100"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("no warm starts"), "{words}");
    let run = Run::load(&project.newest_run().unwrap()).unwrap();
    assert!(
        run.cells
            .iter()
            .all(|cell| !matches!(cell.outcome, Outcome::NotRun { .. }))
    );
    assert_eq!(starts(&run, "time"), [StartKind::Cold]);
    assert!(templates(&project, "space").is_empty());
}
