//! Arguments of what shows runs and their tables.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Args)]
pub struct QueryArgs {
    /// The statement; - reads it from standard input.
    #[arg(required_unless_present_any = ["file", "list"], conflicts_with_all = ["file", "list"])]
    pub statement: Option<String>,
    /// Read the statement from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub file: Option<PathBuf>,
    /// The configuration whose output is asked.
    #[arg(long, short, default_value = "afterscope.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// The run: its folder or address, an output, which means its latest run, or the id of a run of the
    /// configuration's output. Default: the latest of the configuration's output.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// The value of $NAME (or :NAME) in the statement; may be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", conflicts_with = "list")]
    pub parameters: Vec<String>,
    /// As what rows are written. Default: by the ending of --output; a table on standard output.
    #[arg(long, value_enum)]
    pub format: Option<QueryFormat>,
    /// The local file that rows are written to, over an older one. Default: standard output.
    #[arg(long, short, value_name = "FILE", conflicts_with = "list")]
    pub output: Option<PathBuf>,
    /// Memory for what the statement makes of tables, and for the rows of `events`: 512MB, 4GiB. A statement that
    /// needs more is ended. Default: a quarter of the machine.
    #[arg(long, value_name = "BYTES")]
    pub memory_limit: Option<String>,
    /// List tables and their columns, with types, units and meaning.
    #[arg(long)]
    pub list: bool,
}

/// As what the rows of an answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum QueryFormat {
    /// Aligned columns; a block for each row where the terminal is narrower.
    Table,
    /// One line a row; cells as in the tables of a run.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// All types as they are.
    Parquet,
}

#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// The configuration whose output is looked at.
    #[arg(long, short, default_value = "afterscope.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// The output, instead of that of a configuration: a path or an address.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub output: Option<String>,
    /// A table or JSON.
    #[arg(long, value_enum, default_value_t = RunsFormat::Table)]
    pub format: RunsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunsFormat {
    Table,
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// The run: its folder or address, an output, which means its latest run, or the id of a run of the
    /// configuration's output. Default: the latest of the configuration's output.
    pub run: Option<String>,
    /// The configuration whose output is looked at.
    #[arg(long, short, default_value = "afterscope.toml", value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    pub what: SchemaKind,
    /// Markdown instead of JSON (tables and frames).
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// JSON Schema of afterscope.toml.
    Config,
    /// Columns, types, units and meaning of every table.
    Tables,
    /// The same for the frames that queries read.
    Frames,
}
