//! `afterscope explain`.

use super::args::{ExplainArgs, Global, LogFormat};
use super::run::{Runtime, watched};
use super::terminal::{self, bytes, number};
use super::{Failure, print_line};
use crate::config::{self, Overrides};
use crate::pipeline::{self, Explained, Sums};
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
    let mut lines = vec![titles(&explained.sums)];
    for file in explained.files.iter().take(SHOWN) {
        lines.push(cells(file.url.clone(), file.row_groups.len(), &file.sums));
    }
    let groups: usize = explained.files.iter().map(|file| file.row_groups.len()).sum();
    let all = format!("{} files", number(explained.files.len() as u64));
    lines.push(cells(all, groups, &explained.sums));
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
    terminal::left_out(explained.files_left_out);
    tell_not_traced(&explained.not_traced);
}

fn titles(sums: &Sums) -> Vec<String> {
    let of: &[&str] = match sums {
        Sums::Events(_) => &["requests", "people", "held only", "denied", "unknown", "repeats"],
        Sums::Rows(_) => &[
            "size",
            "rows",
            "outside",
            "deleted",
            "rejected",
            "repeats",
            "after as_of",
            "denied",
            "unknown",
            "held only",
            "counted",
        ],
    };
    ["file", "row groups"].iter().chain(of).map(|title| (*title).to_string()).collect()
}

fn cells(name: String, groups: usize, sums: &Sums) -> Vec<String> {
    let mut line = vec![name, number(groups as u64)];
    match sums {
        Sums::Events(sums) => line.extend([
            number(sums.requests_allowed),
            number(sums.subjects_observed),
            number(sums.requests_held_only),
            number(sums.requests_denied),
            number(sums.requests_unknown),
            number(sums.rows_deduplicated),
        ]),
        Sums::Rows(sums) => {
            line.push(bytes(sums.bytes));
            let rows = [
                sums.rows_in_metadata,
                sums.rows_outside,
                sums.rows_deleted,
                sums.rows_rejected,
                sums.rows_deduplicated,
                sums.rows_after_as_of,
                sums.rows_denied,
                sums.rows_unknown,
                sums.rows_held_only,
                sums.rows_counted,
            ];
            line.extend(rows.map(number));
        }
    }
    line
}

/// Says of what nothing was said: upper bounds by name, the other numbers of the row by how many there are.
fn tell_not_traced(columns: &[String]) {
    let (bounds, others): (Vec<&str>, Vec<&str>) =
        columns.iter().map(String::as_str).partition(|column| column.contains("upper_bound"));
    let others = match others.len() {
        0 => None,
        count => Some(format!("{} other numbers of the row", number(count as u64))),
    };
    let named: Vec<String> = bounds.into_iter().map(str::to_string).chain(others).collect();
    if !named.is_empty() {
        let named = named.join(", ");
        terminal::plain(&format!("not traced, not compared: {named}"));
    }
}
