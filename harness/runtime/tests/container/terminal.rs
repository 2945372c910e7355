//! `process.terminal`, through both its doors.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use runtime::status::Status;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::on_all_kernels;
use crate::rig::{Rig, give, map_users, push};

on_all_kernels![
    the_other_end_goes_to_the_socket,
    a_key_is_a_signal,
    the_runtime_serves_it_without_a_socket,
    dockers_option_gives_one,
    it_is_there_in_a_user_namespace,
    what_is_no_terminal_is_not_taken_for_one,
    a_socket_without_a_terminal_is_refused,
];

fn config(rig: &Rig, words: &[&str]) -> Value {
    let mut config = rig.config(words);
    config["process"]["terminal"] = json!(true);
    config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    config
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut name)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .unwrap();
    assert!(message.bytes > 0);
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .expect("a descriptor")
}

/// All lines up to where nobody has the terminal open.
fn lines(master: &File) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(master).lines() {
        match line {
            Ok(line) => lines.push(line.trim_end_matches('\r').to_owned()),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO));
                break;
            }
        }
    }
    lines
}

/// Starts a container and gives the runtime with the other end of its terminal.
fn start(rig: &Rig, config: &Value) -> (crate::rig::Running, File) {
    let path = rig.outside("console");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    fs::write(rig.outside("config.json"), config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.arg("run").arg("--bundle").arg(rig.outside(""));
    command.arg("--console-socket").arg(&path);
    let running = rig.start_command(command);
    let (socket, _) = listener.accept().unwrap();
    (running, File::from(receive(&socket)))
}

const EXPECTED: [&str; 8] = [
    "stream 0 /dev/pts/0",
    "stream 1 /dev/pts/0",
    "stream 2 /dev/pts/0",
    "size 33x77",
    "session its own",
    "controlling there",
    "console the same",
    "owner 0:5",
];

fn the_other_end_goes_to_the_socket(rig: &Rig) {
    let mut config = config(rig, &["probe", "terminal"]);
    let (running, master) = start(rig, &config);
    assert_eq!(lines(&master), EXPECTED);
    assert_eq!(running.finish().line.status, Status::Exited { code: 0 });
    config["process"]["user"]["uid"] = json!(1000);
    config["process"]["args"] = json!(["probe", "report"]);
    let (running, master) = start(rig, &config);
    let said = lines(&master);
    for line in ["descriptors 0 1 2", "uid 1000 1000"] {
        assert!(said.iter().any(|have| have == line), "{line}: {said:?}");
    }
    assert_eq!(running.finish().line.status, Status::Exited { code: 0 });
}

/// ^C, by way of the line discipline. PID 1 hears only what it handles.
fn a_key_is_a_signal(rig: &Rig) {
    let (running, mut master) = start(rig, &config(rig, &["probe", "wait-for-int"]));
    let mut reader = BufReader::new(master.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\r\n");
    master.write_all(&[3]).unwrap();
    assert_eq!(running.finish().line.status, Status::Exited { code: 9 });
}

fn the_runtime_serves_it_without_a_socket(rig: &Rig) {
    let outcome = rig.run_config(&config(rig, &["probe", "terminal"]));
    let said: Vec<&str> = outcome.said().lines().map(str::trim_end).collect();
    assert_eq!(said, EXPECTED);
    assert!(outcome.stdout.contains("\r\n"));
    // More than any buffer on the way holds.
    let volume = rig.inside("volume");
    fs::create_dir(&volume).unwrap();
    let long = File::create(volume.join("long")).unwrap();
    long.write_all_at(&b"x".repeat(4000), 0).unwrap();
    let outcome = rig.run_config(&config(rig, &["probe", "read", "/volume/long"]));
    assert_eq!(outcome.said().matches('x').count(), 4000);
    let ended = rig.run_config(&config(rig, &["probe", "fault"]));
    assert!(
        matches!(ended.line.status, Status::Signaled { signal: 11, .. }),
        "{ended:?}"
    );
    // And one whose program is not there.
    let ended = rig.run_config(&config(rig, &["absent"]));
    assert!(
        matches!(ended.line.status, Status::Exec { .. }),
        "{ended:?}"
    );
}

fn dockers_option_gives_one(rig: &Rig) {
    let mut lacks = rig.lacks.clone().finished();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.args(["run", "-it", "--rootfs"]).arg(rig.inside(""));
    command.args(["--", "probe", "echo"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // SAFETY: prctl is async-signal-safe.
    unsafe { command.pre_exec(move || lacks.enter()) };
    let mut runtime = command.spawn().unwrap();
    let mut stdin = runtime.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    // The end of the input is typed as ^D.
    drop(stdin);
    let output = runtime.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for line in ["read one\r\n", "read two\r\n", "end\r\n"] {
        assert!(said.contains(line), "{line:?}: {said:?}");
    }
}

fn it_is_there_in_a_user_namespace(rig: &Rig) {
    let mut config = config(rig, &["probe", "terminal"]);
    give(&rig.inside(""), 100_000);
    map_users(&mut config, 100_000, 65_536);
    let outcome = rig.run_config(&config);
    if let Status::Unsupported { what } = &outcome.line.status {
        return crate::rig::skip(what);
    }
    let said: Vec<&str> = outcome.said().lines().map(str::trim_end).collect();
    assert_eq!(said, EXPECTED);
}

/// A bundle whose /dev/pts is a folder of the image's.
fn what_is_no_terminal_is_not_taken_for_one(rig: &Rig) {
    let mut config = config(rig, &["probe", "exit", "0"]);
    let folder = rig.outside("pts");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ptmx"), "").unwrap();
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["destination"] != json!("/dev/pts"));
    }
    let fake = crate::rig::bind(&folder, "/dev/pts", &["bind"]);
    push(&mut config, "mounts", fake);
    let told = format!("{:?}", rig.run_config(&config).line.status);
    assert!(
        told.contains("open a terminal: /dev/pts/ptmx is none of a devpts"),
        "{told}"
    );
}

fn a_socket_without_a_terminal_is_refused(rig: &Rig) {
    fs::write(
        rig.outside("config.json"),
        rig.config(&["probe", "exit", "0"]).to_string(),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime"));
    command.arg("run").arg("--bundle").arg(rig.outside(""));
    command.args(["--console-socket", "/x"]);
    let told = format!("{:?}", rig.start_command(command).finish().line.status);
    assert!(told.contains("process.terminal is not true"), "{told}");
}
