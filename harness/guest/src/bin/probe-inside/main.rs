//! The program inside a probe's container: carries out the verbs it is given as
//! arguments, one after the other, and says of each what came of it.
//!
//! ```text
//! probe-inside 'read /etc/x' 'write /x hello' pause
//! read /etc/x -> error ENOENT
//! write /x hello -> ok
//! pause
//! ```
//!
//! At `pause` it waits for a line, or the end, of its input: outside looks
//! meanwhile. It exits with 0 when it has come through its verbs, whatever their
//! answers; judging them is outside's part.

mod errno;
mod files;
mod network;
mod processes;
mod system;
mod terminal;

use std::io::{self, BufRead, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::ExitCode;

use files::Files;

/// What lives from one verb to the next.
#[derive(Debug, Default)]
struct State {
    listener: Option<TcpListener>,
    socket: Option<UdpSocket>,
    /// Held open: a terminal is gone with its last descriptor.
    terminal: Option<std::fs::File>,
}

fn main() -> ExitCode {
    let mut state = State::default();
    for verb in std::env::args().skip(1) {
        if verb == "pause" {
            say("pause");
            let mut line = String::new();
            // The end of the input means: go on.
            let _ = io::stdin().lock().read_line(&mut line);
            continue;
        }
        let words: Vec<&str> = verb.split(' ').collect();
        let answer = match carry_out(&mut state, &words) {
            Ok(answer) => answer,
            Err(error) => format!("error {}", errno::word(&error)),
        };
        say(&format!("{verb} -> {answer}"));
    }
    ExitCode::SUCCESS
}

/// One line to outside. Without a reader there is nothing left to do here.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        std::process::exit(1);
    }
}

fn carry_out(state: &mut State, words: &[&str]) -> io::Result<String> {
    if let Some(answer) = Files::carry_out(words) {
        return answer;
    }
    match words {
        ["pid"] => Ok(std::process::id().to_string()),
        ["id"] => Ok(system::id()),
        ["status", field] => system::status(field),
        ["processes"] => processes::list(),
        ["kill", pid] => processes::kill(pid),
        ["orphan"] => processes::orphan(),
        ["reap"] => processes::reap(),
        ["leave"] => processes::leave(),
        ["fork", count] => processes::fork_many(number(count)?),
        ["run", program, rest @ ..] => processes::run(program, rest),
        ["allocate", mebibytes] => system::allocate(number(mebibytes)?),
        ["spin", milliseconds] => system::spin(number(milliseconds)?),
        ["sethostname", name] => system::sethostname(name),
        ["mount-tmpfs", path] => system::mount_tmpfs(path),
        ["call", name] => system::call(name),
        ["raw-socket"] => network::raw_socket(),
        ["interfaces"] => network::interfaces(),
        ["connect", address] => network::connect(address),
        ["get", address, path] => network::get(address, path),
        ["listen", port] => {
            state.listener = Some(TcpListener::bind(("0.0.0.0", number(port)?))?);
            Ok("ok".to_owned())
        }
        ["serve", body] => network::serve(state.listener.as_ref(), body),
        ["bind", port] => {
            state.socket = Some(UdpSocket::bind(("0.0.0.0", number(port)?))?);
            Ok("ok".to_owned())
        }
        ["echo"] => network::echo(state.socket.as_ref()),
        ["tty"] => terminal::own(),
        ["pty"] => {
            let (terminal, answer) = terminal::open()?;
            state.terminal = Some(terminal);
            Ok(answer)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}
