//! One cache, and all that can happen to it: two programs at once, damage, a full
//! disk.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use report::Run;
use verdict::Verdict;

use crate::mirror::Mirror;
use crate::project::{Project, stderr};

/// A kernel, a userland of packages, and a program of our own.
fn project() -> Project {
    let project = Project::new();
    project.debian(
        r#"
[[check]]
name = "bash"
command = ["bash", "-c", "echo $BASH_VERSION"]
"#,
    );
    project.repository_image("vsyscall.toml");
    project
}

/// `matrix run` on a cache and a mirror of the test's own.
fn run(project: &Project, cache: &Path, mirror: &Mirror) -> Command {
    let mut command = project.command(&["run", "--kernels", "6.1+", "--accel", "tcg"]);
    command
        .arg("--cache")
        .arg(cache)
        .env("MATRIX_DEBIAN_MIRROR", mirror.url())
        .env("NO_PROXY", "127.0.0.1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ended_well(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// What of the cache is still being written, or was left half written.
fn unfinished(cache: &Path) -> Vec<PathBuf> {
    ["staging", "lock"]
        .iter()
        .flat_map(|folder| fs_err::read_dir(cache.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        // A program's own, empty once it is through, swept by the next one.
        .filter(|path| {
            !path.is_dir() || fs_err::read_dir(path).is_ok_and(|mut inside| inside.next().is_some())
        })
        .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        .collect()
}

#[test]
fn two_programs_on_one_empty_cache_fetch_everything_once_and_damage_is_mended() {
    let mirror = Mirror::start();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let projects = [project(), project()];
    let programs = projects
        .each_ref()
        .map(|project| run(project, &cache, &mirror).spawn().unwrap());
    for program in programs {
        ended_well(program);
    }

    let runs = projects
        .each_ref()
        .map(|project| Run::load(&project.newest_run().unwrap()).unwrap());
    for run in &runs {
        assert_eq!(run.cells.len(), 5);
        assert!(
            run.cells
                .iter()
                .all(|cell| cell.verdict == Verdict::Expected)
        );
    }
    let digests = runs.map(|run| run.images.into_iter().map(|image| image.digest).collect());
    let [first, second]: [Vec<Option<String>>; 2] = digests;
    assert_eq!(first, second);
    let requests = mirror.requests();
    assert!(requests.len() > 70, "{requests:?}");
    let twice: Vec<_> = requests.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(unfinished(&cache), [""; 0].map(PathBuf::from));

    // A careless hand, or a disk that lost something: one byte of a big file in a
    // folder, the end of a small one.
    let disk = image_disks(&cache)
        .into_iter()
        .max_by_key(|path| fs_err::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs_err::read(&disk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs_err::write(&disk, bytes).unwrap();
    let blob = files(&cache.join("blob"))
        .into_iter()
        .filter(|path| path.extension().is_none())
        .min_by_key(|path| fs_err::metadata(path).unwrap().len())
        .unwrap();
    let bytes = fs_err::read(&blob).unwrap();
    fs_err::write(&blob, &bytes[..bytes.len() - 1]).unwrap();

    let output = ended_well(run(&projects[0], &cache, &mirror).spawn().unwrap());
    let said = stderr(&output);
    let told: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("damaged"))
        .collect();
    assert_eq!(told.len(), 2, "{said}");
    for path in [disk.parent().unwrap(), &blob] {
        let path = path.to_str().unwrap();
        assert_eq!(
            told.iter().filter(|line| line.starts_with(path)).count(),
            1,
            "{path} in {told:?}"
        );
    }
    assert_eq!(fs_err::read(&blob).unwrap(), bytes, "fetched again");
    let again: Vec<usize> = mirror
        .requests()
        .into_iter()
        .filter(|(path, count)| requests.get(path) != Some(count))
        .map(|(_, count)| count)
        .collect();
    assert_eq!(again, [2], "only the damaged package was fetched again");
}

fn image_disks(cache: &Path) -> Vec<PathBuf> {
    files(&cache.join("image"))
        .into_iter()
        .map(|folder| folder.join("root.squashfs"))
        .filter(|disk| disk.is_file())
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Runs its arguments three times, on a file system that has no room for the
/// kernel's package, then none for what is in it, then enough.
const ON_A_SMALL_DISK: &str = r#"
set -u
disk=$1 out=$2
shift 2
mount -t tmpfs -o size=20m tmpfs "$disk" || exit 77
for size in 20m 70m 1g; do
    mount -o remount,size=$size "$disk" || exit 77
    "$@" >"$out/$size.stdout" 2>"$out/$size.stderr"
    echo $? >"$out/$size.status"
done
"#;

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_full_disk_is_named_and_the_next_run_with_room_works() {
    let mirror = Mirror::start();
    let project = Project::new();
    project.repository_image("vsyscall.toml");
    project.file("images/checks.toml", "");
    let disk = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let inner = run(&project, &disk.path().join("cache"), &mirror);

    // A mount of one's own takes a user namespace, or root.
    let mounted = [&["--user", "--map-root-user", "--mount"][..], &["--mount"]]
        .into_iter()
        .any(|namespaces| {
            let mut command = Command::new("unshare");
            command
                .args(namespaces)
                .args(["sh", "-c", ON_A_SMALL_DISK, "sh"])
                .args([disk.path(), out.path()])
                .arg(inner.get_program())
                .args(inner.get_args());
            for (name, value) in inner.get_envs() {
                if let Some(value) = value {
                    command.env(name, value);
                }
            }
            command.stdin(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        });
    if !mounted {
        eprintln!("SKIPPED: neither a user namespace nor root for a small tmpfs is to be had here");
        return;
    }

    let read = |name: &str| fs_err::read_to_string(out.path().join(name)).unwrap();
    let mount = disk.path().to_str().unwrap();
    for size in ["20m", "70m"] {
        let said = read(&format!("{size}.stderr"));
        assert_eq!(
            read(&format!("{size}.status")).trim(),
            "3",
            "{size}: {said}"
        );
        let place = format!("space left on the file system at {mount}: ");
        assert!(said.contains(&place), "{size}: {said}");
        let rest = &said[said.find(&place).unwrap() + place.len()..];
        let line = rest.lines().next().unwrap();
        assert!(line.contains(" bytes are free"), "{size}: {line}");
    }
    assert!(
        read("20m.stderr").contains(" are needed"),
        "{}",
        read("20m.stderr")
    );
    // Every run gets its own folder, the first two without a single result.
    let status = read("1g.status");
    assert_eq!(status.trim(), "0", "{}", read("1g.stderr"));
    let run = Run::load(&project.newest_run().unwrap()).unwrap();
    assert!(
        run.cells
            .iter()
            .all(|cell| cell.verdict == Verdict::Expected)
    );
    let all = mirror.requests();
    let debs = all.iter().filter(|(path, _)| path.ends_with(".deb"));
    assert!(debs.map(|(_, count)| *count).max() <= Some(2), "{all:?}");
    let indices = all.iter().filter(|(path, _)| path.contains("Packages"));
    assert!(indices.map(|(_, count)| *count).max() <= Some(2), "{all:?}");
}
