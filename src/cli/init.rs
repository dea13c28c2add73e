//! `afterscope init`.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value};

use super::args::{Global, InitArgs, RowLimit};
use super::inspect::memory_limit;
use super::run::{Runtime, watched};
use super::terminal::{bytes, number, tame};
use super::{Failure, print_bytes};
use crate::config::{self, raw, shape};
use crate::error::Error;
use crate::init::{
    self, Bounds, CONFIGURATION, Draft, Proposal, Role, Seen, Tried, Verdict, facts, names_people,
};
use crate::inspect::Inspected;
use crate::store::StoreUrl;

/// Columns that are shown; the configuration has what matters of all.
const COLUMNS: usize = 100;

pub fn run(args: &InitArgs, global: &Global) -> Result<(), Failure> {
    not_an_address(&args.output)?;
    let store = store(&args.store)?;
    let url = StoreUrl::parse(&args.source, Path::new("."), &store)
        .map_err(|reason| Error::argument("SOURCE", reason))?;
    comes_back(&url, &store)?;
    let bounds = Bounds {
        files: match args.files {
            RowLimit::All => None,
            RowLimit::First(files) => Some(usize::try_from(files.max(1)).unwrap_or(usize::MAX)),
        },
        rows: match args.rows {
            RowLimit::All => None,
            RowLimit::First(rows) => Some(rows),
        },
        memory_limit: memory_limit(args.memory_limit.as_deref())?,
    };
    init::check(&args.output)?;
    let runtime = Runtime::new()?;
    let (seen, proposal, draft, tried) = watched(&runtime, global, |progress, _| {
        let (seen, inspected) = init::look(url, bounds, &runtime.io, progress)?;
        outside(&inspected, &args.output)?;
        let proposal = init::propose(&seen.columns);
        let draft = Draft::new(&seen, &proposal, &store, &args.output);
        let limits = (bounds, seen.taken.files);
        let tried = init::tried(&draft, &args.output, limits, &runtime.io, progress)?;
        Ok((seen, proposal, draft, tried))
    })?;
    let mut files = init::files(&seen, &proposal);
    files.push((CONFIGURATION, draft.text.clone().into_bytes()));
    init::write(&args.output, &files)?;
    let names: Vec<&str> = files.iter().rev().map(|(name, _)| *name).collect();
    let text = render((&seen, &proposal, tried.as_ref()), &draft, (&args.output, &names));
    print_bytes(tame(&text.unwrap_or_default()).as_bytes())
}

/// Whether the output is a folder of this machine: a folder `s3:` would be made otherwise.
fn not_an_address(output: &Path) -> Result<(), Error> {
    let text = output.to_string_lossy();
    let scheme = text.split_once(":/").map(|(scheme, _)| scheme);
    if scheme.is_none_or(|scheme| scheme.len() < 2 || scheme.contains('/')) {
        return Ok(());
    }
    let reason = "is an address, and files are written to a folder of this machine\nname a folder";
    Err(Error::argument("--output", reason))
}

/// The keys of `[source.store]` that are given; messages repeat the key and not the value.
fn store(given: &[String]) -> Result<raw::Store, Error> {
    let mut keys = Map::new();
    for text in given {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::argument("--store", "is no KEY=VALUE\nwrite --store region=eu-west-1")
        })?;
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::from(absolute(text)),
        };
        keys.insert(key.to_string(), value);
    }
    let known = serde_json::to_value(raw::Store::default()).unwrap_or_default();
    let known: Vec<&str> =
        known.as_object().into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
    if let Some(key) = keys.keys().find(|key| !known.contains(&key.as_str())) {
        let hint = shape::did_you_mean(key, known.iter().copied());
        let reason = format!("is no key of [source.store]{hint}\nit has {}", known.join(", "));
        return Err(Error::argument(format!("--store {key}"), reason));
    }
    let names: Vec<String> = keys.keys().cloned().collect();
    serde_json::from_value(Value::Object(keys)).map_err(|_| {
        let reason = "has a value that is not of its kind: true or false, or a text";
        Error::argument(format!("--store {}", names.join(", ")), reason)
    })
}

/// A file of a secret, named from the working folder, is the same file from the configuration's.
fn absolute(text: &str) -> String {
    let path = text.strip_prefix("file:").map(std::path::absolute);
    match path {
        Some(Ok(path)) => format!("file:{}", path.display()),
        _ => text.to_string(),
    }
}

/// Whether the address means the same when the configuration names it.
fn comes_back(url: &StoreUrl, store: &raw::Store) -> Result<(), Error> {
    let again = StoreUrl::parse(&url.to_string(), Path::new("/"), store);
    let is_same = |again: &StoreUrl| {
        again.to_string() == url.to_string()
            && again.split_glob().is_some() == url.split_glob().is_some()
    };
    if again.as_ref().is_ok_and(is_same) {
        return Ok(());
    }
    let reason = format!(
        "the address {url} would be read as another in a configuration: a folder above has * ? [ or {{ in its name\nname it by another path, or by a link without them"
    );
    Err(Error::argument("SOURCE", reason))
}

/// What is written must not be read as a log the next time.
fn outside(inspected: &Inspected, output: &Path) -> Result<(), Error> {
    if !inspected.would_read(&output.join(CONFIGURATION)) {
        return Ok(());
    }
    let reason = "lies in what is looked at, and would be read as a log\nname a folder outside with --output";
    Err(Error::argument(format!("--output {}", output.display()), reason))
}

fn render(
    (seen, proposal, tried): (&Seen, &Proposal, Option<&Tried>),
    draft: &Draft,
    (folder, files): (&Path, &[&str]),
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    lake(&mut out, seen)?;
    writeln!(out, "\nproposed")?;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Person) {
        mapping(&mut out, role, proposal)?;
    }
    if let Some(tried) = tried {
        values_tried(&mut out, tried)?;
    }
    let folder = folder.display();
    writeln!(out, "\nwritten  {folder}/: {}", files.join(", "))?;
    if !draft.undecided.is_empty() {
        writeln!(out, "not mapped, and may be  {}", draft.undecided.join(", "))?;
    }
    if !draft.lacking.is_empty() {
        writeln!(out, "no column found for  {}", draft.lacking.join(", "))?;
    }
    writeln!(out, "open: afterscope plan refuses until this is done")?;
    for open in &draft.open {
        writeln!(out, "  {open}")?;
    }
    for of in tried.iter().flat_map(|tried| &tried.unread) {
        writeln!(
            out,
            "  {CONFIGURATION}: {}: not all of its values can be read, see above",
            of.role
        )?;
    }
    writeln!(out, "then  afterscope plan --config {folder}/{CONFIGURATION} --as-of DATE")?;
    Ok(out)
}

fn lake(out: &mut String, seen: &Seen) -> std::fmt::Result {
    let kind = match seen.format {
        config::Format::Parquet => "plain Parquet files",
        config::Format::Delta => "a Delta table",
        config::Format::Iceberg => "an Iceberg table",
    };
    let version = match (seen.format, seen.version) {
        (config::Format::Iceberg, Some(id)) => format!(", snapshot {id}"),
        (_, Some(version)) => format!(", version {version}"),
        (_, None) => String::new(),
    };
    writeln!(out, "{}  {kind}{version}", seen.url)?;
    for text in &seen.warnings {
        writeln!(out, "  warning: {text}")?;
    }
    let (listed, taken) = (&seen.listed, &seen.taken);
    writeln!(out, "  files    {}, {}", number(listed.files), bytes(listed.bytes))?;
    for of in &listed.partitions {
        let range = of.least.as_deref().zip(of.greatest.as_deref());
        let range = range.map(|(least, greatest)| format!(", {least} to {greatest}"));
        let range = range.filter(|_| !names_people(&of.name)).unwrap_or_default();
        writeln!(out, "  folders  {}: {} values{range}", of.name, number(of.values))?;
    }
    let [rows, files, opened] = [taken.rows, taken.files, seen.opened].map(number);
    let of = number(taken.rows_of_opened);
    writeln!(
        out,
        "  sample   {rows} rows of {files} files; {opened} files were opened, which have {of} rows"
    )?;
    writeln!(out, "columns")?;
    for column in seen.columns.iter().take(COLUMNS) {
        writeln!(out, "  {}  {}", column.place.shown(), facts(column))?;
    }
    let left = seen.columns.len().saturating_sub(COLUMNS);
    if left > 0 {
        writeln!(out, "  and {} more", number(left as u64))?;
    }
    Ok(())
}

/// What a run would make of the values; they are not shown, because they may name people.
fn values_tried(out: &mut String, tried: &Tried) -> std::fmt::Result {
    let [rows, files] = [tried.sample.rows, tried.sample.files].map(number);
    let verdict = if tried.unread.is_empty() { "all are read" } else { "not all are read" };
    writeln!(out, "tried on {rows} rows of {files} files as a run reads them: {verdict}")?;
    for of in &tried.unread {
        write!(out, "  {:<9}  {}", of.role, of.column)?;
        if let Some(why) = &of.refused {
            let why = why.lines().next().unwrap_or_default();
            write!(out, "  refused in {} files: {why}", number(of.files_refused))?;
        }
        if let Some(first) = &of.first_unread {
            let count = number(of.values_unread);
            write!(
                out,
                "  {count} values not read, the first in {}: {}",
                first.file, first.reason
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn mapping(out: &mut String, role: Role, proposal: &Proposal) -> std::fmt::Result {
    let shown = match proposal.of(role) {
        Verdict::Taken { own, .. } => own.place.shown(),
        Verdict::Nothing => "-".into(),
        other => {
            let count = other.candidates().len() as u64;
            let columns = if count == 1 { "column" } else { "columns" };
            format!("{} {columns} may be meant", number(count))
        }
    };
    let open = if proposal.is_open(role) { "  OPEN" } else { "" };
    writeln!(out, "  {:<9}  {shown}{open}", role.key())
}
