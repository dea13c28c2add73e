//! `query`, `runs` and `show`, as their users see them.

mod analysts;

mod answers;
pub mod charts;
mod engines;
mod events;
mod formats;
mod refusals;
mod runs;

use crate::lake::{Lake, Outcome};

/// Asks the latest run of the lake's output.
fn ask(lake: &Lake, args: &[&str]) -> Outcome {
    let mut all = vec!["query"];
    all.extend(args);
    lake.afterscope(&all)
}

/// What a statement gives, as CSV.
fn answer(lake: &Lake, args: &[&str]) -> String {
    let mut all = args.to_vec();
    all.extend(["--format", "csv"]);
    ask(lake, &all).succeeds().stdout
}
