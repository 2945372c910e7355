//! docker's options, read.

use std::ffi::OsString;
use std::path::PathBuf;

use super::values::{self, Volume};
use crate::command::check_id;
use crate::network::{Mode, PortMapping};

/// What the command line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rootfs: PathBuf,
    pub(super) volumes: Vec<Volume>,
    pub(super) ports: Vec<PortMapping>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) user: (u32, u32),
    pub(super) user_namespace: bool,
    /// Where nothing is said of it, a published port asks for a bridge.
    pub(super) network: Option<Mode>,
    /// Bytes.
    pub(super) memory: Option<i64>,
    pub(super) pids: Option<i64>,
    /// Microseconds of each 100,000.
    pub(super) cpu_quota: Option<i64>,
    /// podman's: false is the runtime's own cgroups, and no limits.
    pub(super) cgroups: bool,
    /// The container's ID.
    pub(super) name: Option<String>,
    pub(super) readonly: bool,
    /// Folders, and the options after the colon.
    pub(super) tmpfs: Vec<(String, Vec<String>)>,
    pub(super) added: Vec<String>,
    pub(super) dropped: Vec<String>,
    pub(super) seccomp: Seccomp,
    pub(super) no_new_privileges: bool,
    pub(super) init: bool,
    pub(super) hostname: String,
    pub(super) terminal: bool,
    pub(super) command: Vec<String>,
}

/// `--security-opt seccomp=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seccomp {
    /// The project's own.
    Builtin,
    /// No filter.
    Unconfined,
    /// A profile as docker has them.
    File(PathBuf),
}

/// Options that take a value: the long name, and the short one.
const VALUED: [(&str, &str); 18] = [
    ("--rootfs", ""),
    ("--volume", "-v"),
    ("--publish", "-p"),
    ("--env", "-e"),
    ("--workdir", "-w"),
    ("--user", "-u"),
    ("--network", ""),
    ("--memory", "-m"),
    ("--pids-limit", ""),
    ("--cpus", ""),
    ("--tmpfs", ""),
    ("--cap-add", ""),
    ("--cap-drop", ""),
    ("--security-opt", ""),
    ("--hostname", "-h"),
    ("--userns", ""),
    ("--name", ""),
    ("--cgroups", ""),
];

/// Options that stand alone.
const FLAGS: [(&str, &str); 4] = [
    ("--userns", ""),
    ("--read-only", ""),
    ("--init", ""),
    ("--tty", "-t"),
];

/// Reads what comes after `run`. The error says what is wrong, in words.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
    let mut arguments = arguments.into_iter();
    let mut options = Options {
        rootfs: PathBuf::new(),
        volumes: Vec::new(),
        ports: Vec::new(),
        environment: Vec::new(),
        directory: PathBuf::from("/"),
        user: (0, 0),
        user_namespace: false,
        network: None,
        memory: None,
        pids: None,
        cpu_quota: None,
        cgroups: true,
        name: None,
        readonly: false,
        tmpfs: Vec::new(),
        added: Vec::new(),
        dropped: Vec::new(),
        seccomp: Seccomp::Builtin,
        no_new_privileges: false,
        init: false,
        hostname: "container".to_owned(),
        terminal: false,
        command: Vec::new(),
    };
    let text = |argument: OsString| {
        argument
            .into_string()
            .map_err(|argument| format!("{}: not UTF-8", argument.display()))
    };
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        if argument == "--" {
            options.command = arguments.by_ref().map(text).collect::<Result<_, _>>()?;
            break;
        }
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (argument.clone(), None),
        };
        let long = |known: &[(&'static str, &str)]| {
            let found = known
                .iter()
                .find(|(long, short)| *long == name || (!short.is_empty() && *short == name));
            found.map(|(long, _)| *long)
        };
        if let (Some(flag), None) = (long(&FLAGS), &given) {
            match flag {
                "--userns" => options.user_namespace = true,
                "--read-only" => options.readonly = true,
                "--init" => options.init = true,
                _ => options.terminal = true,
            }
            continue;
        }
        let Some(option) = long(&VALUED) else {
            return Err(if name.starts_with('-') {
                format!("option {name} is not implemented")
            } else {
                format!("{name}: the command comes after --")
            });
        };
        let value = match given {
            Some(value) => value,
            None => text(
                arguments
                    .next()
                    .ok_or_else(|| format!("{name} needs a value"))?,
            )?,
        };
        set(&mut options, option, &value)
            .map_err(|problem| format!("{name} {value}: {problem}"))?;
    }
    if options.rootfs.as_os_str().is_empty() {
        return Err("no --rootfs".to_owned());
    }
    if options.command.is_empty() {
        return Err("no command after --".to_owned());
    }
    let limits = [options.memory, options.pids, options.cpu_quota];
    if !options.cgroups && limits.iter().any(Option::is_some) {
        return Err("a limit needs cgroups, and --cgroups disabled gives none".to_owned());
    }
    Ok(options)
}

fn set(options: &mut Options, option: &str, value: &str) -> Result<(), String> {
    match option {
        "--rootfs" => options.rootfs = value.into(),
        "--volume" => options.volumes.push(values::volume(value)?),
        "--publish" => options.ports.push(values::port(value)?),
        "--env" => match value.split_once('=') {
            Some(("", _)) => return Err("no name".to_owned()),
            Some((name, value)) => options
                .environment
                .push((name.to_owned(), value.to_owned())),
            // As docker does: the caller's, if it has one.
            None => match std::env::var(value) {
                Ok(own) => options.environment.push((value.to_owned(), own)),
                Err(std::env::VarError::NotPresent) => {}
                Err(std::env::VarError::NotUnicode(_)) => return Err("not UTF-8".to_owned()),
            },
        },
        "--workdir" => options.directory = value.into(),
        "--user" => options.user = values::user(value)?,
        "--network" => {
            options.network = Some(match value {
                "none" => Mode::None,
                "host" => Mode::Host,
                "bridge" => Mode::Bridge,
                _ => return Err("not implemented; none, host or bridge".to_owned()),
            });
        }
        "--memory" => options.memory = Some(values::size(value)?),
        "--pids-limit" => {
            let limit: i64 = value.parse().map_err(|_parse| "not a number".to_owned())?;
            // docker takes 0 for no limit, too.
            options.pids = Some(if limit <= 0 { -1 } else { limit });
        }
        "--cpus" => options.cpu_quota = Some(values::cpus(value)?),
        "--name" => {
            options.name = Some(check_id(value.to_owned()).map_err(|error| error.to_string())?);
        }
        "--cgroups" => {
            options.cgroups = match value {
                "enabled" => true,
                "disabled" => false,
                _ => return Err("not implemented; enabled or disabled".to_owned()),
            }
        }
        "--tmpfs" => {
            let (folder, words) = value.split_once(':').unwrap_or((value, ""));
            let words = words.split(',').filter(|word| !word.is_empty());
            let words = words.map(str::to_owned).collect();
            options.tmpfs.push((folder.to_owned(), words));
        }
        "--cap-add" => options.added.push(value.to_owned()),
        "--cap-drop" => options.dropped.push(value.to_owned()),
        "--hostname" => options.hostname = value.to_owned(),
        "--security-opt" => match value.split_once('=') {
            Some(("seccomp", "unconfined")) => options.seccomp = Seccomp::Unconfined,
            Some(("seccomp", "builtin")) => options.seccomp = Seccomp::Builtin,
            Some(("seccomp", file)) => options.seccomp = Seccomp::File(file.into()),
            Some(("no-new-privileges", "true")) => options.no_new_privileges = true,
            Some(("no-new-privileges", "false")) => options.no_new_privileges = false,
            None if value == "no-new-privileges" => options.no_new_privileges = true,
            _ => return Err("not implemented".to_owned()),
        },
        _ => return Err("not implemented".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let one = parsed(
            "--rootfs /r -v /a:/b:ro -p 80:81 -e A=b=c -w /w -u 1:2 --userns --network none \
             --memory 1m --pids-limit 5 --cpus 1.5 --read-only --tmpfs /t:size=1m,noexec --cap-add NET_ADMIN \
             --cap-drop ALL --security-opt no-new-privileges --init --hostname h -t -- ls -l --init",
        )
        .unwrap();
        let other = parsed(
            "--rootfs=/r --volume=/a:/b:ro --publish=80:81 --env=A=b=c --workdir=/w --user=1:2 --userns --network=none \
             -m 1024k --pids-limit=5 --cpus=1.5 --read-only --tmpfs=/t:size=1m,noexec --cap-add=NET_ADMIN \
             --cap-drop=ALL --security-opt=no-new-privileges=true --init -h h --tty -- ls -l --init",
        );
        assert_eq!(Ok(&one), other.as_ref());
        assert_eq!(one.command, ["ls", "-l", "--init"]);
        assert_eq!(one.environment, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!(one.tmpfs[0].1, ["size=1m", "noexec"]);
        assert!(one.init && one.readonly && one.terminal && one.user_namespace);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (line, problem) in [
            ("-- ls", "no --rootfs"),
            ("--rootfs /r", "no command"),
            ("--rootfs /r ls", "ls: the command comes after --"),
            ("--rootfs /r --gpus all -- ls", "option --gpus"),
            (
                "--rootfs /r --cgroups disabled --pids-limit 5 -- ls",
                "a limit needs cgroups",
            ),
            (
                "--rootfs /r --name a/b -- ls",
                "--name a/b: ID \"a/b\": letters",
            ),
            (
                "--rootfs /r --network mine -- ls",
                "--network mine: not implemented",
            ),
            (
                "--rootfs /r --security-opt apparmor=x -- ls",
                "--security-opt apparmor=x: not",
            ),
            (
                "--rootfs /r -v x:/y -- ls",
                "-v x:/y: \"x\" is not an absolute path",
            ),
            (
                "--rootfs /r --userns=host -- ls",
                "--userns host: not implemented",
            ),
            ("--rootfs", "--rootfs needs a value"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.starts_with(problem), "{line}: {error}");
        }
    }
}
