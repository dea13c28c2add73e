//! The command line: the only place that prints.

mod args;
mod diff;
mod evidence;
mod explain;
mod grid;
mod init;
mod inspect;
mod notification_list;
mod plan;
mod progress;
mod query;
mod reference;
mod run;
mod runs;
mod sample;
mod schema;
mod state;
mod terminal;
mod verify;
mod what_if;
mod which;

use std::io::Write;

use clap::{CommandFactory, Parser};

use crate::error::{Error, ExitCode};
use crate::hidden::in_json;
use args::{Cli, Command};

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version are no mistakes.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Complete };
            let _ = error.print();
            return code;
        }
    };
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args, &cli.global),
        Command::Plan(args) => plan::run(args, &cli.global),
        Command::Diff(args) => diff::run(args, &cli.global),
        Command::Verify(args) => verify::run(args, &cli.global),
        Command::Evidence(args) => evidence::run(args, &cli.global),
        Command::Explain(args) => explain::run(args, &cli.global),
        Command::NotificationList(args) => notification_list::run(args, &cli.global),
        Command::Init(args) => init::run(args, &cli.global),
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Query(args) => query::run(args, &cli.global),
        Command::Runs(args) => runs::list(args, &cli.global),
        Command::Show(args) => runs::show(args, &cli.global),
        Command::WhatIf(args) => what_if::run(args, &cli.global),
        Command::Sample(args) => sample::run(args),
        Command::Schema(args) => schema::run(args),
        Command::State(args) => state::run(args),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "afterscope", &mut out);
            print_bytes(&out)
        }
        Command::Man { folder } => man(folder),
    };
    match outcome {
        Ok(()) => ExitCode::Complete,
        Err(Failure { error, code }) => {
            terminal::error(&error.to_string(), &cli.global);
            code
        }
    }
}

/// A failure and the exit code that it means; a signal changes the code.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    pub code: ExitCode,
}

impl Failure {
    /// Whether somebody stopped the program.
    fn is_by_signal(&self) -> bool {
        matches!(self.code, ExitCode::Interrupted | ExitCode::Terminated)
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let code = error.exit_code();
        Self { error, code }
    }
}

/// Writes to stdout; a reader that has gone away is no failure of ours.
fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::unwritable("standard output", e.to_string(), &e).into())
        }
        _ => Ok(()),
    }
}

/// Writes one line of JSON to stdout.
fn print_line(line: &impl serde::Serialize) -> Result<(), Failure> {
    print_json(serde_json::to_string(line))
}

/// Writes JSON to stdout: a terminal that shows it acts on nothing in it.
fn print_json(json: serde_json::Result<String>) -> Result<(), Failure> {
    let json = json
        .map_err(|e| Error::Folder { folder: "standard output".into(), reason: e.to_string() })?;
    print_bytes(format!("{}\n", in_json(json)).as_bytes())
}

fn man(folder: &std::path::Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Error::Folder {
        folder: folder.display().to_string(),
        reason: format!("the man pages cannot be written there: {e}"),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(())
}
