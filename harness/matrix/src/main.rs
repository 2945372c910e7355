//! `matrix`: does this userland run on that kernel?

use std::process::ExitCode;

fn main() -> ExitCode {
    matrix::main(std::env::args_os())
}
