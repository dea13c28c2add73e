//! `afterscope explain`.

use super::args::{ExplainArgs, Global, LogFormat};
use super::run::{Runtime, watched};
use super::terminal::{self, number};
use super::{Failure, print_line};
use crate::config::{self, Overrides};
use crate::pipeline::{self, Explained};
use crate::verify::VerifyError;

/// Files that the short table shows; the line on stdout has all.
const SHOWN: usize = 25;

pub fn run(args: &ExplainArgs, global: &Global) -> Result<(), Failure> {
    let overrides = Overrides { unsigned: true, ..args.run.overrides() };
    let plan = config::load(&args.run.place.config, &overrides)?;
    let runtime = Runtime::new()?;
    let explained = watched(&runtime, global, |progress, _| {
        pipeline::explain(&plan, &runtime.io, progress, &args.table, &args.conditions)
    })?;
    if !global.quiet && global.log_format == LogFormat::Text {
        tell(&explained);
    }
    print_line(&explained)?;
    let disagreements = explained.disagreements();
    if disagreements.is_empty() {
        return Ok(());
    }
    Err(VerifyError::Differs(format!(
        "table {} of run {}: {}\nthe table was changed, or the ledger; afterscope verify tells",
        explained.table,
        explained.run_id,
        disagreements.join(", ")
    ))
    .into())
}

fn tell(explained: &Explained) {
    let mut lines = vec![
        ["file", "row groups", "requests", "people", "held only", "denied", "unknown", "repeats"]
            .map(str::to_string)
            .to_vec(),
    ];
    let cells = |name: String, groups: String, sums: &pipeline::Sums| {
        vec![
            name,
            groups,
            number(sums.requests_allowed),
            number(sums.subjects_observed),
            number(sums.requests_held_only),
            number(sums.requests_denied),
            number(sums.requests_unknown),
            number(sums.rows_deduplicated),
        ]
    };
    for file in explained.files.iter().take(SHOWN) {
        let groups = number(file.row_groups.len() as u64);
        lines.push(cells(file.url.clone(), groups, &file.sums));
    }
    let groups: usize = explained.files.iter().map(|file| file.row_groups.len()).sum();
    lines.push(cells(
        format!("{} files", number(explained.files.len() as u64)),
        number(groups as u64),
        &explained.sums,
    ));
    terminal::table(&lines);
    let more = explained.files.len().saturating_sub(SHOWN);
    if more > 0 {
        terminal::plain(&format!("{more} more files are in the line on stdout"));
    }
    let key: Vec<String> = explained
        .key
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or_default()))
        .collect();
    let published = match &explained.published {
        Some(_) => "as published",
        None => "not published, or no such row is",
    };
    terminal::plain(&format!("{} {} ({published})", explained.table, key.join(" ")));
}
