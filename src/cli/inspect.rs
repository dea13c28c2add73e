//! `afterscope inspect`.

use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::args::{Global, InspectArgs, RowLimit};
use super::query::read_by;
use super::run::{Runtime, watched};
use super::terminal::{self, bytes, number, tame};
use super::which::plan_of;
use super::{Failure, print_bytes, print_json};
use crate::config::{self, At, RunPlan, raw};
use crate::error::Error;
use crate::inspect::{FirstUnread, Inspected, Inspection, Pipe, Place, RowFormat};
use crate::memory::{self, Budget};
use crate::moment::{Moment, Zone};
use crate::scan::Progress;
use crate::snapshot::{Layout, LayoutField, Versions};
use crate::store::StoreUrl;

pub fn run(args: &InspectArgs, global: &Global) -> Result<(), Failure> {
    let at = match (args.version, &args.timestamp) {
        (Some(version), _) => At::Version(version),
        (None, Some(text)) => At::Moment(
            Moment::parse_setting(text, Zone::UTC)
                .map_err(|reason| Error::argument(format!("--timestamp {text}"), reason))?,
        ),
        (None, None) => At::Latest,
    };
    let format = row_format(args)?;
    let limit = memory_limit(args.memory_limit.as_deref())?;
    let plan = args.config.as_deref().map(plan_of).transpose()?;
    let place = match args.config.as_deref().zip(plan.as_ref()) {
        Some((config, plan)) => Ok(source(config, plan, args)?),
        None => Err(StoreUrl::parse(
            args.source.as_deref().unwrap_or_default(),
            Path::new("."),
            &raw::Store::default(),
        )
        .map_err(|reason| Error::argument("SOURCE", reason))?),
    };
    let runtime = Runtime::new()?;
    let (inspection, written) = watched(&runtime, global, |progress, _| {
        let place = place.or_else(|url| Place::detect(url, at, &runtime.io))?;
        let inspected = Inspected::of(place, args.zone, &runtime.io, progress, limit)?;
        let inspected = inspected.with_values_tried(progress)?;
        let written = match args.rows {
            None => None,
            Some(limit) => {
                let output = args.output.as_deref();
                output.map(|path| check_output(&inspected, plan.as_ref(), path)).transpose()?;
                Some(rows(&inspected, limit, format, output, progress)?)
            }
        };
        Ok((inspected.inspection(), written))
    })?;
    let text = || tame(&render(&inspection).unwrap_or_default());
    match written {
        None if args.json => print_json(serde_json::to_string_pretty(&inspection)),
        None => print_bytes(text().as_bytes()),
        Some(written) => {
            if !global.quiet {
                terminal::plain(text().trim_end());
                terminal::plain(&format!("{} rows written", number(written)));
            }
            Ok(())
        }
    }
}

/// Bytes that reading rows may take.
pub fn memory_limit(text: Option<&str>) -> Result<u64, Error> {
    let Some(text) = text else { return Ok(memory::default_limit()) };
    let limit = config::parse_bytes(text)
        .map_err(|reason| Error::argument(format!("--memory-limit {text}"), reason))?;
    let megabytes = |bytes: u64| format!("{} MB", bytes.div_ceil(1_000_000));
    if Budget::new(limit, 1).is_some() {
        return Ok(limit);
    }
    let (limit, needed) = (megabytes(limit), megabytes(Budget::needed(1)));
    let reason = format!("the memory limit is {limit} and at least {needed} are needed\ngive more");
    Err(Error::argument(format!("--memory-limit {text}"), reason))
}

/// The source of a configuration that is meant.
fn source(path: &Path, plan: &RunPlan, args: &InspectArgs) -> Result<Place, Error> {
    let names: Vec<&str> = plan.sources.iter().map(|source| source.name.as_str()).collect();
    let wanted = match (args.source.as_deref(), names.as_slice()) {
        (Some(name), _) => name,
        (None, [one]) => one,
        (None, _) => {
            let reason = format!("names no source; write one of {}", names.join(", "));
            return Err(Error::argument(format!("--config {}", path.display()), reason));
        }
    };
    let source = plan.sources.iter().find(|source| source.name == wanted).ok_or_else(|| {
        let reason = format!("is no source of {}; it has {}", path.display(), names.join(", "));
        Error::argument(wanted, reason)
    })?;
    Ok(Place::of_source(source, plan.registry.endpoints.is_some()))
}

/// What rows are written as.
fn row_format(args: &InspectArgs) -> Result<RowFormat, Error> {
    let output = args.output.as_deref();
    if let Some(address) = output.and_then(Path::to_str).filter(|text| text.contains("://")) {
        let reason = "is an address, and rows are written to local files alone\nname a path, and copy the file to where it is wanted";
        return Err(Error::argument(format!("--output {address}"), reason));
    }
    let by_ending = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        RowFormat::of_ending(ending).ok_or_else(|| {
            let reason = "does not end in .parquet, .csv or .json\nsay as what rows are written with --format parquet, csv or json";
            Error::argument(format!("--output {}", path.display()), reason)
        })
    };
    let format = match (args.format, output) {
        (Some(format), _) => format,
        (None, Some(path)) => by_ending(path)?,
        (None, None) => RowFormat::Json,
    };
    if format == RowFormat::Parquet && args.output.is_none() {
        let reason = "is no text; name the file that it goes to with --output FILE";
        return Err(Error::argument("--format parquet", reason));
    }
    Ok(format)
}

fn rows(
    inspected: &Inspected,
    limit: RowLimit,
    format: RowFormat,
    output: Option<&Path>,
    progress: &Progress,
) -> Result<u64, Error> {
    let limit = match limit {
        RowLimit::All => None,
        RowLimit::First(rows) => Some(rows),
    };
    let Some(path) = output else {
        let pipe = Pipe::default();
        let is_gone = || pipe.is_gone();
        let out = ("standard output", pipe.clone());
        return Ok(inspected.rows(limit, format, out, progress, is_gone)?.0);
    };
    let shown = path.display().to_string();
    let failed = |e: std::io::Error| {
        let reason = format!("the file cannot be written: {e}\nname another with --output");
        Error::unwritable(&shown, reason, &e)
    };
    // Beside its place, and whole when it takes it.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // As readable as any file that this user makes.
    let file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    let (written, file) =
        inspected.rows(limit, format, (shown.as_str(), file), progress, || false)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(written)
}

/// Rows must not be written over what they are read from, nor where they would be read the next time; and only
/// a file can be replaced.
fn check_output(inspected: &Inspected, plan: Option<&RunPlan>, path: &Path) -> Result<(), Error> {
    let refused = |reason: &str| Err(Error::argument(path.display().to_string(), reason));
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return refused(
            "is there already and no regular file\nname another with --output, or leave it out for stdout",
        );
    }
    if inspected.would_read(path) {
        return refused(
            "lies in what is inspected, and would change it\nname a place outside with --output",
        );
    }
    if let Some((what, url)) = plan.and_then(|plan| config::reader_of(plan, path)) {
        return refused(&read_by(&what, &url.to_string()));
    }
    Ok(())
}

fn render(of: &Inspection) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let kind = match of.format {
        raw::Format::Parquet => "plain Parquet files",
        raw::Format::Delta => "a Delta table",
        raw::Format::Iceberg => "an Iceberg table",
    };
    let version = match (of.format, of.version) {
        (raw::Format::Iceberg, Some(id)) => format!(", snapshot {id}"),
        (_, Some(version)) => format!(", version {version}"),
        (_, None) => String::new(),
    };
    let made = of.version_made_at.map(|at| format!(" of {}", at.to_rfc3339())).unwrap_or_default();
    writeln!(out, "{}  {kind}{version}{made}", of.url)?;
    for text in &of.warnings {
        writeln!(out, "  warning: {text}")?;
    }
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<28}{value:>16}");
    line("files", number(of.files))?;
    line("hidden files passed over", number(of.hidden_files_passed_over))?;
    line("bytes", bytes(of.bytes))?;
    line("row groups", number(of.row_groups))?;
    line("rows", number(of.rows))?;
    line("rows deleted", number(of.rows_deleted))?;
    line("files with deleted rows", number(of.files_with_deletes))?;
    if of.files_of_other_size > 0 {
        line("files of another size", number(of.files_of_other_size))?;
    }
    let mut list = |name: &str, values: Vec<String>| {
        if values.is_empty() { Ok(()) } else { writeln!(out, "  {name:<28}{}", values.join(", ")) }
    };
    list("features", of.features.clone())?;
    list("compression", of.codecs.iter().cloned().collect())?;
    let writers = of.writers.iter().map(|(name, files)| format!("{name} ({})", number(*files)));
    list("written by", writers.collect())?;
    writeln!(out, "columns")?;
    let width = of.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    for column in &of.columns {
        write!(out, "  {:<width$}  {}", column.name, column.data_type)?;
        if let Some(name) = &column.name_in_files {
            write!(out, "  in files: {name}")?;
        }
        if let Some(id) = column.id_in_files {
            write!(out, "  field {id}")?;
        }
        if let (Some(least), Some(greatest)) = (&column.least, &column.greatest) {
            write!(out, "  {least} to {greatest}")?;
        }
        if column.files_without > 0 {
            write!(out, "  ({} files lack it)", number(column.files_without))?;
        }
        writeln!(out)?;
    }
    if let Some(sample) = &of.sample {
        let [rows, files, all] = [sample.rows, sample.files, of.files].map(number);
        writeln!(
            out,
            "as mapped, tried on {rows} rows: the first row group of {files} of {all} files"
        )?;
    }
    for mapped in &of.mapped {
        let types: Vec<String> = match mapped.types.len() {
            1 if mapped.files_refused == 0 => mapped.types.keys().cloned().collect(),
            _ => {
                mapped.types.iter().map(|(of, n)| format!("{of} ({} files)", number(*n))).collect()
            }
        };
        let types = types.join("; ");
        writeln!(out, "  {:<10}{}  {types}", mapped.role, mapped.column)?;
        if let Some(why) = &mapped.refused {
            writeln!(out, "  {:<10}refused in {} files: {why}", "", number(mapped.files_refused))?;
        }
        let (read, nulls, unread) = (mapped.values_read, mapped.nulls, mapped.values_unread);
        let [read, nulls, unread] = [read, nulls, unread].map(number);
        let gap = "";
        writeln!(out, "  {gap:<10}{read} values read, {nulls} null, {unread} not read")?;
        if let Some(FirstUnread { file, value, data_type, reason }) = &mapped.first_unread {
            writeln!(
                out,
                "  {:<10}the first not read: `{value}` ({data_type}) in {file}: {reason}",
                ""
            )?;
        }
    }
    if !of.partitions.is_empty() {
        writeln!(out, "partitions")?;
    }
    for partition in &of.partitions {
        let (least, greatest) = (partition.least.as_deref(), partition.greatest.as_deref());
        let range = least.zip(greatest).map(|(least, greatest)| format!("  {least} to {greatest}"));
        write!(out, "  {}  {} values", partition.name, number(partition.values))?;
        writeln!(out, "{}", range.unwrap_or_default())?;
    }
    layouts(&mut out, of.layouts.as_deref().unwrap_or_default())?;
    if let Some(versions) = &of.versions {
        table_versions(&mut out, versions)?;
    }
    Ok(out)
}

fn layouts(out: &mut String, of: &[Layout]) -> std::fmt::Result {
    for layout in of.iter().filter(|layout| of.len() > 1 || !layout.fields.is_empty()) {
        let was = if layout.is_current { "parted by" } else { "was parted by" };
        let fields = layout.fields.iter().map(|LayoutField { name, column, transform }| {
            let column = column.as_deref().unwrap_or("a column that is gone");
            format!("{name} = {transform}({column})")
        });
        let fields: Vec<String> = fields.collect();
        let fields = if fields.is_empty() { "nothing".into() } else { fields.join(", ") };
        writeln!(out, "{was}  {fields}")?;
    }
    Ok(())
}

/// The one that is shown first.
fn table_versions(out: &mut String, of: &Versions) -> std::fmt::Result {
    let others = [(of.later, "later"), (of.earlier, "earlier")].into_iter();
    let others = others.filter(|(count, _)| *count > 0);
    let others: Vec<String> =
        others.map(|(count, when)| format!("{} {when}", number(count))).collect();
    let others =
        if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    writeln!(out, "versions{others}")?;
    let width = of.last.iter().map(|told| told.version.to_string().len()).max().unwrap_or(0);
    for told in &of.last {
        let at = told.at.map_or_else(|| "-".into(), Moment::to_rfc3339);
        let operation = if told.operation.is_empty() { "-" } else { &told.operation };
        let count = |files: Option<u64>| files.map_or_else(|| "?".into(), number);
        let (added, removed) = (count(told.files_added), count(told.files_removed));
        let version = told.version;
        writeln!(
            out,
            "  {version:>width$}  {at:<24}  {operation:<10}  {added} files added, {removed} removed"
        )?;
    }
    Ok(())
}
