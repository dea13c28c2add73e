//! `afterscope diff`.

use std::fs::File;

use super::args::{DiffArgs, Global, LogFormat};
use super::run::Runtime;
use super::terminal::{self, number};
use super::verify::find;
use super::{Failure, print_line};
use crate::error::Error;
use crate::impact::csv_cell;
use crate::verify::{self, RunDiff};

/// Changes of a table, and things of one cause, that are shown.
const SHOWN: usize = 12;

pub fn run(args: &DiffArgs, global: &Global) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let (old, new) = (find(&args.old, &runtime.io)?, find(&args.new, &runtime.io)?);
    let found = verify::diff(&old, &new, args.table.as_deref())?;
    if let Some(out) = &args.out {
        let failed = |reason: String| Error::Argument {
            argument: format!("--out {}", out.display()),
            reason: format!("cannot be written: {reason}"),
        };
        let file = File::create(out).map_err(|e| failed(e.to_string()))?;
        write(&found, file).map_err(|e| failed(e.to_string()))?;
    }
    if !global.quiet && global.log_format == LogFormat::Text {
        show(&found);
    }
    print_line(&found)
}

fn write(found: &RunDiff, file: File) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(["table", "key", "column", "old", "new", "reason"])?;
    for change in &found.changes {
        // Nulls are empty.
        let value = |value: &Option<String>| {
            value.as_deref().map(csv_cell).unwrap_or_default().into_owned()
        };
        writer.write_record([
            &change.table,
            &value(&change.key),
            &change.column,
            &value(&change.old),
            &value(&change.new),
            &found.reason(change).unwrap_or_default().to_string(),
        ])?;
    }
    Ok(writer.flush()?)
}

fn show(found: &RunDiff) {
    terminal::plain(&format!("from {} to {}", found.old_run, found.new_run));
    for of_cause in found.sources.chunk_by(|a, b| a.cause == b.cause) {
        for source in of_cause.iter().take(SHOWN) {
            terminal::plain(&format!("  {}: {}", source.cause.name(), source.what));
        }
        let more = of_cause.len().saturating_sub(SHOWN);
        if let Some(first) = of_cause.first().filter(|_| more > 0) {
            let more = number(more as u64);
            terminal::plain(&format!(
                "  {}: and {more} more (the line on stdout has all)",
                first.cause.name()
            ));
        }
    }
    for (table, count) in &found.changed {
        terminal::plain(&format!("\n{table}: {} changes", number(*count)));
        let own = found.changes.iter().filter(|change| change.table == *table);
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let lines: Vec<Vec<String>> = own
            .take(SHOWN)
            .map(|c| {
                let key = c.key.clone().unwrap_or_default();
                let reason = found.reason(c).unwrap_or_default().to_string();
                vec![format!("  {key}"), c.column.clone(), value(&c.old), value(&c.new), reason]
            })
            .collect();
        terminal::table(&lines);
        let more = usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(lines.len());
        if more > 0 {
            terminal::plain(&format!("  and {more} more (--out FILE.csv has them all)"));
        }
    }
    if found.changed.is_empty() {
        terminal::plain("no figure differs");
    }
}
