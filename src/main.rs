//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = afterscope::cli::main();
    ExitCode::from(code as u8)
}
