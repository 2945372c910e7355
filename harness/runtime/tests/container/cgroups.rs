//! Limits, on whatever this machine has: version 1, 2, or both.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use runtime::cgroup::Version;
use runtime::fallback::Fallback;
use runtime::status::Status;
use serde_json::{Value, json};

use crate::kernel::Kernel;
use crate::on_all_kernels;
use crate::rig::{Outcome, Rig, Running, processes, skip};

on_all_kernels![
    limits_are_seen_from_both_sides,
    a_kill_for_memory_is_told_from_others,
    processes_are_limited,
    time_is_limited,
    devices_are_denied_and_allowed,
    what_is_paused_stands_still,
    nothing_is_left,
    a_signal_while_it_is_made_leaves_nothing,
    what_a_killed_runtime_left_is_removed_by_the_next,
    a_path_is_honoured,
    what_the_kernel_lacks_is_named,
];

/// Bytes.
const MEMORY: u64 = 32 << 20;

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim_end()
        .to_owned()
}

/// This machine's hierarchies: the controllers (none for version 2) and where.
fn hierarchies() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for line in text("/proc/self/mountinfo").lines() {
        let (place, kind) = line.split_once(" - ").unwrap();
        let place: Vec<&str> = place.split(' ').collect();
        let kind: Vec<&str> = kind.split(' ').collect();
        if place[3] == "/" && kind[0].starts_with("cgroup") {
            let controllers = match kind[0] {
                "cgroup2" => "",
                _ => kind[2],
            };
            found.push((controllers.to_owned(), PathBuf::from(place[4])));
        }
    }
    found
}

/// Where this machine's tests can have limits of a controller.
pub(crate) fn served_by(controller: &str) -> Option<(Version, PathBuf)> {
    let is_writable = |folder: &Path| {
        let path = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
        // SAFETY: the string ends in a zero and outlives the call.
        unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
    };
    let all = hierarchies();
    let own = all
        .iter()
        .find(|(controllers, _)| controllers.split(',').any(|one| one == controller))
        .map(|(_, folder)| (Version::V1, folder.clone()));
    let unified = || {
        let (_, folder) = all.iter().find(|(controllers, _)| controllers.is_empty())?;
        let listed = text(folder.join("cgroup.controllers"));
        let there = controller == "devices" || listed.split(' ').any(|one| one == controller);
        there.then(|| (Version::V2, folder.clone()))
    };
    own.or_else(unified)
        .filter(|(_, folder)| is_writable(folder))
}

/// Whether devices can be told apart on this kernel: version 2 needs bpf(2),
/// which is newer than 3.10.
pub(crate) fn serve_devices(kernel: Kernel) -> bool {
    match served_by("devices") {
        None => false,
        Some((version, _)) => version == Version::V1 || kernel != Kernel::Old,
    }
}

/// Skips, or gives the version.
fn version(controller: &str) -> Option<Version> {
    let served = served_by(controller).map(|(version, _)| version);
    if served.is_none() {
        skip(&format!("no cgroup controller {controller} here"));
    }
    served
}

/// A configuration with limits.
fn limited(rig: &Rig, words: &[&str], resources: Value) -> Value {
    let mut config = rig.config(words);
    config["linux"]["resources"] = resources;
    config
}

/// Memory without a way out into swap, where swap can be limited.
fn memory(rig: &Rig, words: &[&str]) -> Value {
    let swap = match served_by("memory") {
        Some((Version::V1, folder)) => folder.join("memory.memsw.limit_in_bytes").exists(),
        // The top group has no such file.
        _ => !text("/proc/swaps").trim().contains('\n'),
    };
    let mut memory = json!({"limit": MEMORY});
    if swap {
        memory["swap"] = json!(MEMORY);
    }
    limited(rig, words, json!({"memory": memory}))
}

/// A word for the container's command line that is in no other's; the ID is in
/// the runtime's own.
fn token(rig: &Rig) -> String {
    format!("token-{}", rig.id)
}

/// The container's first process: its command line has `token`.
fn first(token: &str) -> i32 {
    assert_eq!(processes(token, 1), 1, "{token}");
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .find(|pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0)
                    .any(|word| word == token.as_bytes())
            })
        })
        .unwrap()
}

/// Its group's folder for a controller.
fn group(pid: i32, controller: &str) -> PathBuf {
    let (version, mount_point) = served_by(controller).unwrap();
    let table = text(format!("/proc/{pid}/cgroup"));
    let path = table
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .find(|(names, _)| match version {
            Version::V1 => names.split(',').any(|one| one == controller),
            Version::V2 => names.is_empty(),
        })
        .unwrap()
        .1;
    mount_point.join(path.trim_start_matches('/'))
}

/// Groups anywhere whose path has the container's ID in it.
fn groups(id: &str) -> Vec<PathBuf> {
    fn visit(folder: &Path, id: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            // Others' groups come and go.
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(id) {
                    found.push(entry.path());
                }
                visit(&entry.path(), id, found);
            }
        }
    }
    let mut found = Vec::new();
    for (_, folder) in hierarchies() {
        visit(&folder, id, &mut found);
    }
    found
}

/// Waits for a line of the program.
fn line(running: &mut Running) -> String {
    let mut line = String::new();
    let stdout = running.child.stdout.as_mut().unwrap();
    BufReader::with_capacity(1, stdout)
        .read_line(&mut line)
        .unwrap();
    line
}

fn kills(outcome: &Outcome) -> Option<u64> {
    outcome.line.cgroup.as_ref().unwrap().oom_kills
}

fn limits_are_seen_from_both_sides(rig: &Rig) {
    let cases = [
        (
            "memory",
            json!({"memory": {"limit": MEMORY}}),
            ["memory.limit_in_bytes", "memory.max"],
            ["33554432"; 2],
        ),
        (
            "pids",
            json!({"pids": {"limit": 9}}),
            ["pids.max"; 2],
            ["9"; 2],
        ),
        (
            "cpu",
            json!({"cpu": {"quota": 30_000, "period": 60_000}}),
            ["cpu.cfs_quota_us", "cpu.max"],
            ["30000", "30000 60000"],
        ),
        (
            "cpu",
            json!({"cpu": {"shares": 512}}),
            ["cpu.shares", "cpu.weight"],
            ["512", "59"],
        ),
        (
            "cpuset",
            json!({"cpu": {"cpus": "0"}}),
            ["cpuset.cpus"; 2],
            ["0"; 2],
        ),
    ];
    for (controller, resources, files, values) in cases {
        let Some(version) = version(controller) else {
            continue;
        };
        let (file, value) = match version {
            Version::V1 => (files[0], values[0]),
            Version::V2 => (files[1], values[1]),
        };
        let place = match version {
            Version::V1 => format!("/sys/fs/cgroup/{controller}/{file}"),
            Version::V2 => match hierarchies().len() {
                1 => format!("/sys/fs/cgroup/{file}"),
                _ => format!("/sys/fs/cgroup/unified/{file}"),
            },
        };
        let said = rig.run_config(&limited(rig, &["probe", "read", &place], resources.clone()));
        assert_eq!(said.said(), format!("{} bytes\n{value}", value.len() + 1));
        let report = said.line.cgroup.unwrap();
        assert!(
            report.controllers.values().all(|one| *one == version),
            "{report:?}"
        );
        let token = format!("{}-{file}", rig.id);
        let running = rig.start(&limited(rig, &["probe", "wait", &token], resources));
        assert_eq!(text(group(first(&token), controller).join(file)), value);
        running.kill();
    }
}

fn a_kill_for_memory_is_told_from_others(rig: &Rig) {
    if version("memory").is_none() {
        return;
    }
    let within = rig.run_config(&memory(rig, &["probe", "allocate", "8"]));
    assert_eq!(within.said(), "allocated");
    assert_eq!(kills(&within), Some(0));
    let killed = rig.run_config(&memory(rig, &["probe", "allocate", "200"]));
    assert_eq!(killed.line.status, Status::OutOfMemory, "{killed:?}");
    assert_eq!((killed.code, kills(&killed)), (137, Some(1)));
    // Too little for the runtime's own part is no end of the program's.
    let mut config = memory(rig, &["probe", "exit", "0"]);
    for limit in config["linux"]["resources"]["memory"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        *limit = json!(65_536);
    }
    let outcome = rig.run_config(&config);
    match &outcome.line.status {
        Status::Trouble { message, .. } => {
            assert!(message.contains("killed for memory"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    // The same signal by somebody else, before and after a child was killed for
    // memory.
    let token = token(rig);
    for (words, before) in [
        (["probe", "wait", "x", token.as_str()], 0),
        (["probe", "allocate-in-child", "200", &token], 1),
    ] {
        let mut running = rig.start(&memory(rig, &words));
        let said = line(&mut running);
        assert_eq!(said, ["waiting\n", "child 9\n"][before]);
        // SAFETY: the container's first process, which is there.
        unsafe { libc::kill(first(&token), libc::SIGKILL) };
        let outcome = running.finish();
        assert_eq!(kills(&outcome), Some(before as u64), "{outcome:?}");
        // Where the kernel's log cannot be read the count alone decides.
        if before == 0 || fs::File::open("/dev/kmsg").is_ok() {
            let signal = Status::Signaled {
                signal: 9,
                core: false,
            };
            assert_eq!(outcome.line.status, signal, "{words:?}");
        }
    }
}

fn processes_are_limited(rig: &Rig) {
    if version("pids").is_none() {
        return;
    }
    for (limit, said) in [(6, "5 and then EAGAIN"), (-1, "20 and then enough")] {
        let config = limited(
            rig,
            &["probe", "fork", "20"],
            json!({"pids": {"limit": limit}}),
        );
        assert_eq!(rig.run_config(&config).said(), said);
    }
}

fn time_is_limited(rig: &Rig) {
    let Some(version) = version("cpu") else {
        return;
    };
    let place = match version {
        Version::V1 => "/sys/fs/cgroup/cpu/cpu.stat",
        Version::V2 if hierarchies().len() == 1 => "/sys/fs/cgroup/cpu.stat",
        Version::V2 => "/sys/fs/cgroup/unified/cpu.stat",
    };
    let config = limited(
        rig,
        &["probe", "spin-until-throttled", place],
        json!({"cpu": {"quota": 10_000, "period": 100_000}}),
    );
    let outcome = rig.run_config(&config);
    let throttled: u64 = outcome.value("nr_throttled")[0].parse().unwrap();
    assert!(throttled > 0, "{outcome:?}");
}

fn devices_are_denied_and_allowed(rig: &Rig) {
    if !serve_devices(rig.kernel) {
        return skip("no control of devices here");
    }
    let under = |rules: &Value, path: &str, number: [&str; 2]| {
        let words = ["probe", "device", path, number[0], number[1]];
        let resources = json!({ "devices": rules });
        let outcome = rig.run_config(&limited(rig, &words, resources));
        outcome.said().to_owned()
    };
    let rules = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "access": "m"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
        {"allow": false, "type": "c", "major": 1, "minor": 5, "access": "w"},
    ]);
    // The last has no driver: what is allowed finds nothing there.
    for (path, number, said, without) in [
        ("/null", ["1", "3"], "opened", "opened"),
        ("/zero", ["1", "5"], "EPERM", "opened"),
        ("/local", ["240", "0"], "EPERM", "ENXIO"),
    ] {
        assert_eq!(under(&rules, path, number), said, "{path}");
        let words = ["probe", "device", path, number[0], number[1]];
        assert_eq!(rig.run(&words).said(), without, "{path}");
    }
    let resources = json!({ "devices": rules });
    let read = rig.run_config(&limited(rig, &["probe", "read", "/zero"], resources));
    assert_eq!(read.said().split('\n').next(), Some("4096 bytes"));
    // All but one.
    let rules = json!([{"allow": true}, {"allow": false, "type": "c", "major": 1, "minor": 3}]);
    assert_eq!(under(&rules, "/null", ["1", "3"]), "EPERM");
    assert_eq!(under(&rules, "/zero", ["1", "5"]), "opened");
}

/// Clock ticks used by a process.
fn ticks(pid: i32) -> u64 {
    let stat = text(format!("/proc/{pid}/stat"));
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let number = |index: usize| fields[index].parse::<u64>().unwrap();
    number(11) + number(12)
}

/// Whether a busy process gets on; a machine with much to do is given time.
fn runs(pid: i32) -> bool {
    let before = ticks(pid);
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        ticks(pid) > before
    })
}

/// Whether it does not, for a while.
fn stands(pid: i32) -> bool {
    let before = ticks(pid);
    std::thread::sleep(Duration::from_millis(300));
    ticks(pid) == before
}

fn runtime(words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_runtime"))
        .args(words)
        .output()
        .unwrap()
}

fn what_is_paused_stands_still(rig: &Rig) {
    let Some((version, folder)) = served_by("freezer").or_else(|| served_by("pids")) else {
        return skip("no freezer here");
    };
    if version == Version::V1 && !folder.join("cgroup.procs").exists() {
        return skip("no freezer here");
    }
    let mut config = rig.config(&["probe", "spin", "0", &token(rig)]);
    config["linux"]["cgroupsPath"] = json!(rig.id);
    let mut running = rig.start(&config);
    assert_eq!(line(&mut running), "spinning\n");
    let pid = first(&token(rig));
    assert!(runs(pid));
    for _ in 0..2 {
        let paused = runtime(&["pause", &rig.id]);
        assert!(paused.status.success(), "{paused:?}");
        assert!(stands(pid));
        let resumed = runtime(&["resume", &rig.id]);
        assert!(resumed.status.success(), "{resumed:?}");
        assert!(runs(pid));
    }
    // Who is killed while it is paused leaves nothing either.
    assert!(runtime(&["pause", &rig.id]).status.success());
    running.kill();
    let next = rig.run_config(&config_of_another(rig));
    assert_eq!(next.said(), "");
    assert_eq!(processes(&token(rig), 0), 0);
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
    let gone = runtime(&["pause", &rig.id]);
    assert_eq!(gone.status.code(), Some(125));
    assert!(
        String::from_utf8(gone.stderr)
            .unwrap()
            .contains("no container")
    );
}

/// One that has a group of its own and does nothing.
fn config_of_another(rig: &Rig) -> Value {
    let mut config = rig.config(&["probe", "exit", "0"]);
    config["linux"]["cgroupsPath"] = json!(format!("another-{}", rig.id));
    config
}

fn nothing_is_left(rig: &Rig) {
    if hierarchies().is_empty() {
        return skip("no cgroups here");
    }
    let outcome = rig.run_config(&config_of_another(rig));
    assert_eq!(outcome.said(), "");
    assert!(outcome.line.cgroup.unwrap().left.is_empty());
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
    // Nor of one that could not be made.
    let mut config = config_of_another(rig);
    config["linux"]["resources"] = json!({"cpu": {"cpus": "4000"}});
    let outcome = rig.run_config(&config);
    assert!(
        matches!(
            outcome.line.status,
            Status::Trouble { .. } | Status::Unsupported { .. }
        ),
        "{outcome:?}"
    );
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
    assert!(!Path::new(&format!("/run/matrix-runtime/{}.json", rig.id)).exists());
    // Without limits there is no group at all.
    assert_eq!(rig.run(&["probe", "exit", "0"]).line.cgroup, None);
}

/// It comes while the runtime waits for its turn, and is the program's then, which
/// as PID 1 does not hear it.
fn a_signal_while_it_is_made_leaves_nothing(rig: &Rig) {
    if hierarchies().is_empty() {
        return skip("no cgroups here");
    }
    // Made by the containers of other tests, and removed with their turn.
    fs::create_dir_all("/run/matrix-runtime").unwrap();
    let held = loop {
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open("/run/matrix-runtime/lock")
            .unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        if file.metadata().unwrap().nlink() > 0 {
            break file;
        }
    };
    let running = rig.start(&config_of_another(rig));
    let status = format!("/proc/{}/status", running.child.id());
    let holds = || {
        let text = text(&status);
        let blocked = text.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
        u64::from_str_radix(blocked.unwrap(), 16).unwrap() & (1 << (libc::SIGTERM - 1)) != 0
    };
    for _ in 0..1000 {
        if holds() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(holds());
    // SAFETY: the runtime, which is there.
    unsafe { libc::kill(running.child.id().cast_signed(), libc::SIGTERM) };
    drop(held);
    assert_eq!(running.finish().said(), "");
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
}

fn what_a_killed_runtime_left_is_removed_by_the_next(rig: &Rig) {
    if hierarchies().is_empty() {
        return skip("no cgroups here");
    }
    let mut config = rig.config(&["probe", "wait", &token(rig)]);
    config["linux"]["cgroupsPath"] = json!(format!("/{}/deeper", rig.id));
    let mut running = rig.start(&config);
    assert_eq!(line(&mut running), "waiting\n");
    // A second of its ID is refused while it runs.
    let second = rig.run_config(&config);
    assert!(
        matches!(&second.line.status, Status::Trouble { message, .. } if message.contains("runs already")),
        "{second:?}"
    );
    assert!(!groups(&rig.id).is_empty());
    running.kill();
    assert_eq!(processes(&token(rig), 0), 0);
    // Unless another test has started a container meanwhile, it is still there.
    assert_eq!(rig.run_config(&config_of_another(rig)).said(), "");
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
}

fn a_path_is_honoured(rig: &Rig) {
    if hierarchies().is_empty() {
        return skip("no cgroups here");
    }
    let mut config = rig.config(&["probe", "wait", &token(rig)]);
    let path = format!("/above-{0}/{0}", rig.id);
    config["linux"]["cgroupsPath"] = json!(path);
    let mut running = rig.start(&config);
    assert_eq!(line(&mut running), "waiting\n");
    let table = text(format!("/proc/{}/cgroup", first(&token(rig))));
    assert!(table.lines().any(|line| line.ends_with(&path)), "{table}");
    // Another's group with processes in it is not taken.
    let mut other = rig.config(&["probe", "exit", "0"]);
    other["linux"]["cgroupsPath"] = json!(path);
    fs::write(rig.outside("config.json"), other.to_string()).unwrap();
    let bundle = rig.outside("");
    let refused = runtime(&["run", "--bundle", bundle.to_str().unwrap(), "another"]);
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("it has processes in it"), "{stderr}");
    // SAFETY: the container's first process, which is there.
    unsafe { libc::kill(first(&token(rig)), libc::SIGKILL) };
    running.finish();
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
    config["linux"]["cgroupsPath"] = json!("system.slice:matrix:x");
    let outcome = rig.run_config(&config);
    assert!(
        matches!(&outcome.line.status, Status::Trouble { message, .. } if message.contains("systemd")),
        "{outcome:?}"
    );
}

fn what_the_kernel_lacks_is_named(rig: &Rig) {
    // In version 1 there are no such files; in version 2 not this one.
    let Some(version) = version("memory") else {
        return;
    };
    let name = match version {
        Version::V1 => "memory.high",
        Version::V2 => "memory.none",
    };
    let config = limited(
        rig,
        &["probe", "exit", "0"],
        json!({"unified": {name: "1"}}),
    );
    let outcome = rig.run_config(&config);
    match &outcome.line.status {
        Status::Unsupported { what } => assert!(what.contains(name), "{what}"),
        other => panic!("{other:?}"),
    }
    // docker's own limit on swap is left out where there is none.
    assert!(!outcome.line.fallbacks.contains(&Fallback::NoSwapLimit));
    assert_eq!(groups(&rig.id), Vec::<PathBuf>::new());
    if rig.kernel == Kernel::Old && !serve_devices(rig.kernel) {
        let rules = json!({"devices": [{"allow": false}]});
        let outcome = rig.run_config(&limited(rig, &["probe", "exit", "0"], rules));
        match &outcome.line.status {
            Status::Unsupported { what } => assert!(what.contains("CONFIG_CGROUP_BPF"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}
