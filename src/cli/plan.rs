//! `afterscope plan`.

use std::fmt::Write;
use std::sync::Arc;

use super::args::{Global, PlanArgs};
use super::run::Runtime;
use super::terminal::{bytes, number, tame};
use super::{Failure, print_bytes, print_json};
use crate::config;
use crate::pipeline::{self, Outlook};
use crate::scan::Progress;

pub fn run(args: &PlanArgs, _global: &Global) -> Result<(), Failure> {
    let plan = config::load(&args.run.place.config, &args.run.overrides())?;
    let runtime = Runtime::new()?;
    let outlook = pipeline::outlook(&plan, &runtime.io, &Arc::new(Progress::default()))?;
    if args.json {
        return print_json(serde_json::to_string_pretty(&outlook));
    }
    print_bytes(tame(&render(&outlook).unwrap_or_default()).as_bytes())
}

fn render(outlook: &Outlook) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let state = if outlook.published { "published already: it would be used again" } else { "new" };
    writeln!(out, "run      {} ({state})", outlook.run_id)?;
    writeln!(out, "output   {}", outlook.output)?;
    writeln!(out, "ledger   {}", outlook.state)?;
    writeln!(
        out,
        "memory   {} expected, {} allowed; {} threads",
        bytes(outlook.memory_expected),
        bytes(outlook.memory_limit),
        outlook.threads
    )?;
    writeln!(out, "tables   {}", outlook.tables.join(", "))?;
    for source in &outlook.sources {
        writeln!(out, "\nsource {}  {}", source.name, source.url)?;
        let what = source.version_shown.as_deref().unwrap_or("plain Parquet files");
        writeln!(out, "  {what}")?;
        for text in &source.warnings {
            writeln!(out, "  warning: {text}")?;
        }
        let mut line = |name: &str, value: String| writeln!(out, "  {name:<34}{value:>18}");
        line("files", number(source.files))?;
        line("bytes", bytes(source.bytes))?;
        line("hidden files passed over", number(source.hidden_files_passed_over))?;
        line("files in the ledger already", number(source.files_reused))?;
        line("files to read", number(source.files_to_read))?;
        line("their bytes", bytes(source.bytes_of_files_to_read))?;
        line("their rows", number(source.rows_in_metadata))?;
        let pruned = &source.rows_pruned;
        line("rows left out by partition", number(pruned.partition))?;
        line("rows left out by time statistics", number(pruned.time_statistics))?;
        line("rows left out by scope statistics", number(pruned.scope_statistics))?;
        line("rows left out by page index", number(pruned.page_index))?;
        line("rows to look at", number(source.rows_to_read))?;
    }
    Ok(out)
}
