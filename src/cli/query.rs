//! `afterscope query`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use polars::error::{PolarsWarning, set_warning_function};
use serde_json::Value;

use super::args::{Global, QueryArgs, QueryFormat};
use super::inspect::memory_limit;
use super::run::{Runtime, watched};
use super::terminal::{self, number};
use super::which::{as_then, plan_of, run_of};
use super::{Failure, grid, print_bytes};
use crate::config::{self, Overrides, raw};
use crate::error::Error;
use crate::inspect::{Pipe, RowFormat, RowWriter, Watched};
use crate::memory::held;
use crate::moment::Moment;
use crate::pipeline;
use crate::publish::Manifest;
use crate::query::{self, EVENTS, Library, Listed, Parameters, QueryError, Statement};
use crate::store::StoreUrl;
use crate::threads::with_stack;
use crate::verify::Place;

/// A statement is read, changed and answered by steps down into it: as deep as one that is refused for its depth.
const STACK: usize = 256 << 20;

pub fn run(args: &QueryArgs, global: &Global) -> Result<(), Failure> {
    let limit = memory_limit(args.memory_limit.as_deref())?;
    let is_answering = Arc::new(AtomicBool::new(false));
    // The engine knows no limit. Nothing is written before there is an answer, so that the program can just end.
    let watched = is_answering.clone();
    let beyond = move || {
        let held = held().filter(|held| *held > limit && watched.load(Ordering::SeqCst))?;
        let [limit, held] = [limit, held].map(|bytes| bytes.div_ceil(1_000_000));
        Some(Err(QueryError::Memory { limit, held }.into()))
    };
    let (args, global) = (args.clone(), global.clone());
    let asked = with_stack(STACK, move || ask(&args, &global, &is_answering), beyond);
    asked.map_err(|error| Error::Folder {
        folder: "a thread for the statement".into(),
        reason: error.to_string(),
    })?
}

fn ask(args: &QueryArgs, global: &Global, is_answering: &AtomicBool) -> Result<(), Failure> {
    let format = format(args)?;
    let parameters = Parameters::read(&args.parameters)?;
    let statement = (!args.list).then(|| statement(args)).transpose()?;
    let statement = statement.map(|text| Statement::read(&text)).transpose()?;
    let runtime = Runtime::new()?;
    let place = run_of(args.run.as_deref(), &args.config, &runtime.io)?;
    let library = Library::of(&place)?;
    if let Some(path) = &args.output {
        check(path, &place, library.manifest(), args)?;
    }
    let Some(statement) = statement else { return list(&library.listing()?, format) };
    set_warning_function(warn);
    let made = library.made(&statement);
    if !made.is_empty() && !statement.is_explain() {
        // Rows of a ledger take long; a misspelt column is told at once.
        library.check(&statement, &parameters)?;
    }
    let made = made_of(args, &place, library.manifest(), made, (&runtime, global))?;
    is_answering.store(true, Ordering::SeqCst);
    let answer = library.answer(&statement, &parameters, &made);
    is_answering.store(false, Ordering::SeqCst);
    let answer = answer?.batch;
    match &args.output {
        Some(path) => write_file(path, &answer, format)?,
        None => write(&answer, format)?,
    }
    if !global.quiet {
        let rows = answer.num_rows() as u64;
        let word = if rows == 1 { "row" } else { "rows" };
        terminal::plain(&format!("{} {word}, run {}", number(rows), library.run_id()));
    }
    Ok(())
}

/// What the engine has to say. That it will read something otherwise in a version of its own to come is nothing
/// to who asks.
fn warn(text: &str, kind: PolarsWarning) {
    if !matches!(kind, PolarsWarning::Deprecation) {
        terminal::plain(text);
    }
}

/// Rows that no run publishes, from the ledger and the registry of the configuration.
fn made_of(
    args: &QueryArgs,
    place: &Place,
    manifest: &Manifest,
    names: BTreeSet<String>,
    (runtime, global): (&Runtime, &Global),
) -> Result<BTreeMap<String, RecordBatch>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let others = Overrides {
        // The ledger lies below the run's output, unless the configuration says where.
        output: args.run.is_some().then(|| place.store.shown("")),
        memory_limit: args.memory_limit.clone(),
        unsigned: true,
        ..Default::default()
    };
    let plan = config::load(&args.config, &as_then(manifest, others))?;
    let identity = manifest.details.get("identity").and_then(Value::as_str).unwrap_or_default();
    let run = (manifest.run_id.as_str(), identity);
    watched(runtime, global, |progress, _| {
        let made = names.into_iter().map(|name| {
            let rows = match name.as_str() {
                EVENTS => pipeline::events(&plan, &runtime.io, progress, run)?,
                _ => pipeline::registry_table(&plan, &runtime.io, manifest, &name)?,
            };
            Ok((name, rows))
        });
        made.collect()
    })
}

/// The text of the statement.
fn statement(args: &QueryArgs) -> Result<String, Error> {
    let unreadable = |argument: String, error: &std::io::Error| {
        Error::argument(argument, format!("the statement cannot be read: {error}"))
    };
    match (&args.statement, &args.file) {
        (Some(text), _) if text == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|e| unreadable("standard input".into(), &e))?;
            Ok(text)
        }
        (Some(text), _) => Ok(text.clone()),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|e| unreadable(format!("--file {}", file.display()), &e)),
        (None, None) => Ok(String::new()),
    }
}

/// As what rows are written.
fn format(args: &QueryArgs) -> Result<QueryFormat, Error> {
    let Some(path) = &args.output else {
        return match args.format {
            Some(QueryFormat::Parquet) => {
                let reason = "is no text; name the file that it goes to with --output FILE";
                Err(Error::argument("--format parquet", reason))
            }
            other => Ok(other.unwrap_or(QueryFormat::Table)),
        };
    };
    if let Some(format) = args.format {
        return Ok(format);
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "parquet" => Ok(QueryFormat::Parquet),
        "csv" => Ok(QueryFormat::Csv),
        "json" => Ok(QueryFormat::Json),
        "jsonl" | "ndjson" => Ok(QueryFormat::Ndjson),
        "txt" => Ok(QueryFormat::Table),
        _ => {
            let reason = "does not end in .parquet, .csv, .json, .ndjson, .jsonl or .txt\nsay as what rows are written with --format";
            Err(Error::argument(format!("--output {}", path.display()), reason))
        }
    }
}

/// Writes rows to standard output; a reader that has gone away is no failure.
fn write(rows: &RecordBatch, format: QueryFormat) -> Result<(), Failure> {
    if format == QueryFormat::Table {
        return print_bytes(table(rows, grid::width())?.as_bytes());
    }
    let shown = "standard output";
    write_to(rows, format, shown, Pipe::default())?;
    Ok(())
}

/// Writes rows to a file: beside its place, and whole when it takes it.
fn write_file(path: &Path, rows: &RecordBatch, format: QueryFormat) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let failed = |e: std::io::Error| {
        let reason = format!("the file cannot be written: {e}\nname another with --output");
        Error::unwritable(&shown, reason, &e)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        // As readable as any file that this user makes.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    let file = if format == QueryFormat::Table {
        file.write_all(table(rows, None)?.as_bytes()).map_err(failed)?;
        file
    } else {
        write_to(rows, format, &shown, file)?
    };
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Only a file can be replaced, and nothing is written among what was published, nor where the next run would read it.
fn check(path: &Path, place: &Place, manifest: &Manifest, args: &QueryArgs) -> Result<(), Error> {
    let refused =
        |reason: &str| Err(Error::argument(format!("--output {}", path.display()), reason));
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return refused("is there already and no regular file\nname another");
    }
    let there = path.canonicalize().ok();
    for (what, own) in [("configuration", Some(&args.config)), ("statement", args.file.as_ref())] {
        let own = own.and_then(|own| own.canonicalize().ok());
        if own.is_some() && own == there {
            return refused(&format!("is the {what} itself\nname another"));
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
    let published = place.store.local_root().and_then(|root| root.canonicalize().ok());
    if folder.zip(published).is_some_and(|(folder, published)| folder.starts_with(published)) {
        return refused("lies among what was published\nname a place outside");
    }
    // The sources of the run that is asked, and those of the configuration, where there is one.
    let then = manifest.details.get("sources").and_then(Value::as_array).into_iter().flatten();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_string);
    let then = then.filter_map(|of| Some((text(of, "name")?, text(of, "url")?)));
    for (name, address) in then {
        let url = StoreUrl::parse(&address, Path::new("/"), &raw::Store::default());
        if url.is_ok_and(|url| config::would_be_read_at(&url, path)) {
            return refused(&read_by(&format!("source `{name}`"), &address));
        }
    }
    match plan_of(&args.config).ok().as_ref().and_then(|plan| config::reader_of(plan, path)) {
        Some((what, url)) => refused(&read_by(&what, &url.to_string())),
        None => Ok(()),
    }
}

/// Why nothing is written there.
pub fn read_by(what: &str, url: &str) -> String {
    format!(
        "lies in {what} ({url}): the next run would read it as rows of that\nname a place outside"
    )
}

fn write_to<W: Write + Send>(
    rows: &RecordBatch,
    format: QueryFormat,
    shown: &str,
    out: W,
) -> Result<W, Error> {
    let (mut out, told) = Watched::new(out);
    let failed = |reason: String| told.error(shown, reason);
    let row_format = match format {
        QueryFormat::Parquet => RowFormat::Parquet,
        QueryFormat::Csv => RowFormat::Csv,
        QueryFormat::Json | QueryFormat::Ndjson | QueryFormat::Table => RowFormat::Json,
    };
    if format == QueryFormat::Json {
        let lines = rows_as(RowFormat::Json, rows, Vec::new()).map_err(failed)?;
        let lines = String::from_utf8_lossy(&lines);
        // A line end within a text is escaped.
        let array = format!("[{}]\n", lines.trim_end().replace('\n', ",\n"));
        out.write_all(array.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| failed(e.to_string()))?;
        return Ok(out.into_inner());
    }
    Ok(rows_as(row_format, rows, out).map_err(failed)?.into_inner())
}

fn rows_as<W: Write + Send>(format: RowFormat, rows: &RecordBatch, out: W) -> Result<W, String> {
    let mut writer = RowWriter::new(format, &rows.schema(), out)?;
    writer.write(rows)?;
    writer.finish()
}

/// Times with six digits of a second, and what is not known as nothing.
fn table(rows: &RecordBatch, width: Option<usize>) -> Result<String, Error> {
    let schema = rows.schema();
    let columns: Vec<grid::Column> = schema
        .fields()
        .iter()
        .map(|field| grid::Column {
            heading: field.name().clone(),
            is_number: field.data_type().is_numeric(),
        })
        .collect();
    let cells = rows.columns().iter().map(|column| cells(column.as_ref()));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    let row = |i: usize| cells.iter().map(|column| column.get(i).cloned().flatten()).collect();
    let lines: Vec<Vec<Option<String>>> = (0..rows.num_rows()).map(row).collect();
    Ok(grid::render(&columns, &lines, width))
}

fn cells(column: &dyn Array) -> Result<Vec<Option<String>>, Error> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Ok(texts.iter().map(|text| text.map(str::to_string)).collect());
    }
    if let (DataType::Timestamp(..), Some(times)) =
        (column.data_type(), column.as_primitive_opt::<TimestampMicrosecondType>())
    {
        let time = |micros: i64| {
            let mut text = String::new();
            Moment::from_micros(micros).write_rfc3339_micros(&mut text);
            text
        };
        return Ok(times.iter().map(|micros| micros.map(time)).collect());
    }
    let options = FormatOptions::default();
    let failed = |e: arrow::error::ArrowError| Error::Folder {
        folder: "the answer".into(),
        reason: e.to_string(),
    };
    let shown = ArrayFormatter::try_new(column, &options).map_err(failed)?;
    let cell = |i: usize| match column.is_valid(i) {
        true => shown.value(i).try_to_string().map(Some).map_err(failed),
        false => Ok(None),
    };
    (0..column.len()).map(cell).collect()
}

fn list(tables: &[Listed], format: QueryFormat) -> Result<(), Failure> {
    if format != QueryFormat::Table {
        return write(&query::listed(tables)?, format);
    }
    let mut out = String::new();
    for table in tables {
        out.push_str(&format!("{}  {}\n", table.name, table.about));
        for column in &table.columns {
            let parts = [&column.name, &column.data_type, &column.unit, &column.meaning];
            let parts: Vec<&str> =
                parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
            out.push_str(&format!("  {}\n", parts.join(" | ")));
        }
        out.push('\n');
    }
    print_bytes(terminal::tame(out.trim_end()).as_bytes())?;
    print_bytes(b"\n")
}
