//! `afterscope diff`.

use std::fs::File;

use super::args::{DiffArgs, Global, LogFormat};
use super::run::Runtime;
use super::terminal::{self, number};
use super::verify::find;
use super::{Failure, print_line};
use crate::changes::Change;
use crate::error::Error;
use crate::impact::is_formula;
use crate::verify::{self, RunDiff};

/// Changes of a table that are shown.
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
        write(&found.changes, file).map_err(|e| failed(e.to_string()))?;
    }
    if !global.quiet && global.log_format == LogFormat::Text {
        show(&found);
    }
    print_line(&found)
}

/// A text that no spreadsheet evaluates; nulls are empty.
fn cell(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_string() }
}

fn write(changes: &[Change], file: File) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    writer.write_record(["table", "key", "column", "old", "new"])?;
    for change in changes {
        let value = |value: &Option<String>| value.as_deref().map(cell).unwrap_or_default();
        writer.write_record([
            &change.table,
            &value(&change.key),
            &change.column,
            &value(&change.old),
            &value(&change.new),
        ])?;
    }
    Ok(writer.flush()?)
}

fn show(found: &RunDiff) {
    terminal::plain(&format!("from {} to {}", found.old_run, found.new_run));
    for source in &found.sources {
        terminal::plain(&format!("  {}: {}", source.cause.name(), source.what));
    }
    for (table, count) in &found.changed {
        terminal::plain(&format!("\n{table}: {} changes", number(*count)));
        let own = found.changes.iter().filter(|change| change.table == *table);
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let lines: Vec<Vec<String>> = own
            .take(SHOWN)
            .map(|c| {
                let key = c.key.clone().unwrap_or_default();
                vec![format!("  {key}"), c.column.clone(), value(&c.old), value(&c.new)]
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
