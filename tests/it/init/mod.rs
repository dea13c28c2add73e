//! `afterscope init`: a lake that nobody has described yet, a configuration with what is open, filled in as a person
//! would, and what `plan` and `run` say then.

mod doubts;
mod lakes;
mod people;
mod refusals;
mod shapes;

use std::fs;

use serde_json::Value;

use crate::lake::{Lake, Outcome};

/// Runs `init` on `source`, into `conf`.
fn init(lake: &Lake, source: &str, args: &[&str]) -> Outcome {
    lake.afterscope(&[&["init", source, "--output", "conf"], args].concat())
}

fn text(lake: &Lake, name: &str) -> String {
    fs::read_to_string(lake.path(&format!("conf/{name}"))).unwrap()
}

/// The written configuration, as TOML readers have it.
fn written(lake: &Lake) -> Value {
    toml::from_str(&text(lake, "afterscope.toml")).unwrap()
}

/// The mapping of the written configuration.
fn mapping(lake: &Lake) -> Value {
    written(lake)["source"][0]["columns"].clone()
}

/// The lines that say what is open, by what stands before their first colon and its key.
fn open(outcome: &Outcome) -> Vec<String> {
    let (_, after) = outcome.stdout.split_once("\nopen: ").unwrap();
    let lines = after.lines().skip(1).take_while(|line| line.starts_with("  "));
    let key = |line: &str| line.trim().split(": ").take(2).collect::<Vec<_>>().join(": ");
    let of_file = |line: &str| match line.trim().split_once(": ") {
        Some(("afterscope.toml", _)) => key(line),
        Some((file, _)) => file.to_string(),
        None => panic!("{line}"),
    };
    lines.map(of_file).collect()
}

/// Replaces a text of the configuration, as a person fills it in.
fn fill(lake: &Lake, from: &str, to: &str) {
    lake.edit("conf/afterscope.toml", &format!("\n{from}\n"), &format!("\n{to}\n"));
}

fn plan(lake: &Lake, as_of: &str) -> Outcome {
    lake.afterscope(&["plan", "--config", "conf/afterscope.toml", "--as-of", as_of])
}

fn run(lake: &Lake, as_of: &str) -> Value {
    let args = ["run", "--config", "conf/afterscope.toml", "--as-of", as_of];
    lake.afterscope(&args).succeeds().json()["totals"].clone()
}
