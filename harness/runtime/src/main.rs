//! The bundled container runtime's command.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match runtime::command::main(std::env::args_os().skip(1)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nowhere is left to complain about a closed stderr.
            let _ = writeln!(std::io::stderr(), "runtime: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
