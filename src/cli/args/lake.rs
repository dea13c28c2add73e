//! Arguments of what looks at lakes, and makes them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::inspect::RowFormat;
use crate::moment::Zone;

#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// A file, a folder, a glob or a table: a path or an address.
    pub source: String,
    /// The folder that the files are written to, outside of the lake. None of them may be there already.
    #[arg(long, short, value_name = "DIR", default_value = "afterscope")]
    pub output: PathBuf,
    /// Read so many rows, or all. Of very wide rows fewer are read.
    #[arg(long, value_name = "N|all", default_value = "100000", value_parser = row_limit)]
    pub rows: RowLimit,
    /// Open so many files, evenly chosen, or all.
    #[arg(long, value_name = "N|all", default_value = "64", value_parser = row_limit)]
    pub files: RowLimit,
    /// How to reach the store, a key of [source.store]: endpoint=http://127.0.0.1:8333; may be given several
    /// times. It is written into the configuration.
    #[arg(long, value_name = "KEY=VALUE")]
    pub store: Vec<String>,
    /// Memory that reading rows may take: 512MB, 2GiB. Default: a quarter of the machine's.
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// A file, a folder, a glob or a table: a path or an address. With --config, the name of a source;
    /// it may be left out where there is one.
    #[arg(required_unless_present = "config")]
    pub source: Option<String>,
    /// Look at a source of this configuration, and show what its mapping makes of the columns.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["version", "timestamp"])]
    pub config: Option<PathBuf>,
    /// Memory that reading rows may take: 512MB, 2GiB. Default: a quarter of the machine's.
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// The version of a Delta table, or the id of a snapshot of an Iceberg table. Default: the latest.
    #[arg(long, value_name = "N", conflicts_with = "timestamp")]
    pub version: Option<u64>,
    /// The version or snapshot of the table at this time: RFC 3339, or a date for its midnight in UTC.
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<String>,
    /// Write so many rows, or all.
    #[arg(long, value_name = "N|all", value_parser = row_limit)]
    pub rows: Option<RowLimit>,
    /// As what rows are written. Default: by the ending of --output (.parquet, .csv, .json, .jsonl or .ndjson);
    /// json on standard output.
    #[arg(long, value_enum, requires = "rows")]
    pub format: Option<RowFormat>,
    /// The local file that rows are written to, over an older one; it lies outside of what is inspected.
    /// Default: standard output.
    #[arg(long, short, value_name = "FILE", requires = "rows")]
    pub output: Option<PathBuf>,
    /// The zone of partition values that are times without one: Europe/Dublin, +02:00. Delta's kernel
    /// takes UTC; some writers meant their own.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = Zone::parse)]
    pub zone: Zone,
    /// Print JSON instead of text.
    #[arg(long, conflicts_with = "rows")]
    pub json: bool,
}

/// How many rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLimit {
    All,
    First(u64),
}

fn row_limit(text: &str) -> Result<RowLimit, String> {
    if text == "all" {
        return Ok(RowLimit::All);
    }
    text.parse().map(RowLimit::First).map_err(|_| "write a number, or all".into())
}

#[derive(Clone, Debug, Args)]
pub struct SampleArgs {
    pub preset: Preset,
    /// Folder to write; it must not exist, or be empty.
    pub out: PathBuf,
    /// Rows of log, about.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(20_000..=1_000_000_000))]
    pub rows: u64,
    /// What the log is written as.
    #[arg(long, value_enum, default_value_t = SampleFormat::Parquet)]
    pub format: SampleFormat,
    /// The folder that holds the registry of the same sample, as the configuration is to name it: log and
    /// configuration are written, and nothing else.
    #[arg(long, value_name = "FOLDER")]
    pub registry: Option<String>,
}

/// What a sample's log is written as. The rows that are there to be read are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SampleFormat {
    /// One file a day.
    Parquet,
    /// A Delta table with deleted rows, a checkpoint, and commits after it.
    Delta,
    /// An Iceberg table with rows deleted by place and by id.
    Iceberg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The Groups API restriction of April 2018, as seen from November 2019.
    #[value(name = "groups-2019")]
    Groups2019,
}
