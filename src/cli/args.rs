//! Arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Overrides;
use crate::inspect::RowFormat;
use crate::moment::Zone;

/// Who kept using a restricted access scope, how many people that reached, and the evidence.
///
/// Reads months of Parquet access logs from a folder or an S3 bucket, counts exactly, and writes
/// impact tables for regulator reporting.
#[derive(Debug, Parser)]
#[command(name = "afterscope", version, max_term_width = 100)]
#[command(after_help = "Examples:
  afterscope init /data/access-logs/        propose a configuration for your own lake
  afterscope sample groups-2019 demo        make a sample lake with its configuration
  afterscope run --config demo/afterscope.toml --as-of 2019-11-06T00:00:00Z
  afterscope plan --config demo/afterscope.toml --as-of 2019-11-06T00:00:00Z

Exit codes: 0 complete, 1 configuration or user error, 2 usage, 3 input incomplete or changed,
4 transient (try again), 130/143 interrupted (run again to go on), 101 a bug.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// How messages on stderr are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Say which stage runs, and what is read and reused.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the logs, count, and publish the impact tables.
    #[command(after_help = "Examples:
  afterscope run --config afterscope.toml --as-of 2019-11-06T00:00:00Z
  afterscope run --config afterscope.toml --as-of 2019-11-06 --set report.lookback_days=30
  afterscope run --config afterscope.toml --as-of 2019-11-06 --set source.0.url=s3://logs/2019/
  afterscope run --config afterscope.toml --as-of 2019-11-06 --memory-limit 512MB --threads 2
  afterscope run --config afterscope.toml --as-of 2019-12-06 --follows latest
  afterscope run --config afterscope.toml --as-of 2019-11-06 --metrics /var/lib/node_exporter/afterscope.prom
  OPENLINEAGE_URL=http://marquez:5000 afterscope run --config afterscope.toml --as-of 2019-11-06

The last line on stdout is one line of JSON: run_id, verdict, tables, totals, reused.
All else goes to stderr. A run that stands already is used again.")]
    Run(JobArgs),

    /// Show what a run would read, leave out and reuse; touches nothing.
    #[command(after_help = "Examples:
  afterscope plan --config afterscope.toml --as-of 2019-11-06T00:00:00Z
  afterscope plan --config afterscope.toml --as-of 2019-11-06 --json | jq .sources")]
    Plan(PlanArgs),

    /// Look at a lake and propose a configuration for it, with the files to fill in.
    #[command(after_help = "Examples:
  afterscope init /data/access-logs/
  afterscope init s3://lake/events --output events/ --store region=eu-west-1
  afterscope init data/cloudtrail/ --output trail/ --rows all --files all

Of the lake a sample is read: the first rows of some files, evenly chosen. The configuration
says of each proposed column from what it was taken. What is doubtful stays open: `afterscope plan`
refuses until it is filled in, and the last lines here name it. scopes.csv and apps.csv hold the
scopes and apps of the sample; sample.csv has them with their rows, and nothing reads it. What looks
like an id of a person is left out of all of them; docs/init.md says what that does not catch. The
same lake gives the same files.

Exit codes: 0 written, whatever is open, 1 nothing there, not supported, or a folder that holds one
of the files already, 3 damaged files, 4 storage, network or no space (try again).")]
    Init(InitArgs),

    /// Show what lies at an address, as the program sees it: format, version, files, rows, columns; and write
    /// its rows.
    #[command(after_help = "Examples:
  afterscope inspect data/logs/
  afterscope inspect s3://lake/events --version 12
  afterscope inspect data/logs/ --rows 10
  afterscope inspect s3://lake/events --timestamp 2019-11-06 --rows all --format parquet --output events.parquet

It needs no configuration. Rows are those that the table has at that version: deleted ones are
left out, columns have their names, types and order in the table. They come by files in the order
of their paths. What the program cannot read is refused with the word unsupported.

In CSV a text that a spreadsheet would evaluate (it begins with = + - @, a tab or a line end,
behind blanks or not, and is no negative whole number) has a ' in front, and a hidden character
(controls, marks of direction, no width) stands as its number, [U+202E]. So a cell may be another
text than the value: where it must not be, take parquet or json.

With --config, values of a sample are read as they are mapped: of eight files at most, evenly
chosen, the first row group that has rows.

Exit codes: 0 shown, 1 what was asked for is not there or not supported, 2 usage, 3 files that
changed, are damaged or not as the table says, 4 storage, network or no space (try again).")]
    Inspect(InspectArgs),

    /// Ask the tables of a run in SQL; only reads.
    #[command(after_help = "Examples:
  afterscope query \"SELECT scope, subjects_observed FROM scope_summary\"
  afterscope query --list
  afterscope query --run out/runs/20191106T000000Z-553b66c562e7 \"SELECT * FROM findings\" --format csv
  afterscope query --param app=1140000000007 \\
    'SELECT day, requests_allowed FROM daily_timeline WHERE app_id = $app' --output days.parquet
  afterscope query \"SELECT as_of, scope, subjects_observed FROM all_runs.scope_summary\"
  afterscope query --param app=1140000000007 \\
    'SELECT at, scopes, group_id FROM events WHERE app_id = $app ORDER BY at'
  afterscope query --file question.sql --param from:date=2019-09-01
  echo 'SELECT * FROM coverage' | afterscope query - --format ndjson

The language is the SQL of Polars. Times are UTC. all_runs.TABLE has the rows of every run of the
output, with run_id and as_of in front; events has the events that the run's figures are counted from,
read from the ledger of the configuration. A value is text unless its name says otherwise:
NAME:int=5, NAME:number=0.5, NAME:date=2019-11-06, NAME:time=2019-11-06T00:00:00Z, NAME:bool=true.

In CSV a text that a spreadsheet would evaluate has a ' in front. Exit codes: 0 answered, 1 no such run,
table, column or parameter, or a statement that does not only read, 3 a run that was changed.
docs/analysts.md has ten questions.")]
    Query(QueryArgs),

    /// List the runs that were published, the newest first.
    #[command(after_help = "Examples:
  afterscope runs --config afterscope.toml
  afterscope runs --output s3://reports/out/ --format json | jq '.[0].run_id'")]
    Runs(RunsArgs),

    /// Show the short answer of a run, as it was shown when the run ended.
    #[command(after_help = "Examples:
  afterscope show --config afterscope.toml      the latest
  afterscope show 20191106T000000Z-553b66c562e7
  afterscope show out

The last line on stdout is one line of JSON; all else goes to stderr.")]
    Show(ShowArgs),

    /// Ask what enforcing a scope from another day on would have meant: who would break, whom it would
    /// have spared. Publishes nothing.
    #[command(after_help = "Examples:
  afterscope what-if --scope user_groups --at 2018-07-01 --as-of 2019-11-06
  afterscope what-if --scope email --at 2019-09-01 --grace 30d --as-of 2019-11-06   a scope still in use

Days are counted to the moment. The last line on stdout is one line of JSON; all else goes to stderr.")]
    WhatIf(WhatIfArgs),
    /// Check that a published run is what it was when it was published.
    #[command(after_help = "Examples:
  afterscope verify out                     the latest run, and latest itself
  afterscope verify out/runs/20191106T000000Z-553b66c562e7 --inputs
  afterscope verify out --public-key audit.pem
  afterscope verify out --recompute --config afterscope.toml
  afterscope verify --evidence app.json out

The last line on stdout is one line of JSON. Exit codes: 0 all holds, 3 something differs or is
missing (the first thing is named), 1 wrong address or key, 4 transient.")]
    Verify(VerifyArgs),

    /// Show what differs between two published runs, and what they were made from.
    #[command(after_help = "Examples:
  afterscope diff out/runs/20191106T000000Z-553b66c562e7 out
  afterscope diff old-out new-out --table scope_summary
  afterscope diff out/runs/20191106T000000Z-553b66c562e7 out --out changes.csv

The last line on stdout is one line of JSON: the sources of change, and changes by table.")]
    Diff(DiffArgs),

    /// Write the rows of one app with proofs that they stand in a run, and nothing of other apps.
    #[command(after_help = "Examples:
  afterscope evidence out --app 1140000000007 --out app.json
  afterscope evidence out/runs/20191106T000000Z-553b66c562e7 --app 1140000000007 --scope read_members")]
    Evidence(EvidenceArgs),

    /// Name the input files, and the rows in them, that one figure comes from.
    #[command(after_help = "Examples:
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table app_scope_exposure \\
    --where scope=groups_access_member_info --where app_id=1140000000007
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table daily_timeline \\
    --where day=2019-07-01
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table findings \\
    --where scope=groups_access_member_info --where app_id=1140000000007 --where finding=after_grace
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table thresholds \\
    --where regime=california_civ_1798_82
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table coverage \\
    --where file_day=2019-07-01

A column that is not given is (all). window=in_grace takes one of the windows of a row, people=unplaced
the people of a rule who may live there. The ledger is read, no log file. The last line on stdout is one
line of JSON; not_traced in it lists the numbers of the row that are not followed. Exit code 3: the
published figure is not what the files give.")]
    Explain(ExplainArgs),

    /// Write the list of people who were observed, with their ids, to a place of its own.
    #[command(after_help = "Examples:
  afterscope notification-list --config afterscope.toml --as-of 2019-11-06 --out /secure/list
  afterscope notification-list --config afterscope.toml --as-of 2019-11-06 --out s3://legal/list \\
    --scope groups_access_member_info --app 1140000000007
  afterscope notification-list --config afterscope.toml --as-of 2019-11-06 --out /secure/list \\
    --hash-key env:LIST_KEY

It publishes nothing: no run, report or latest/ ever holds the list. The log files that hold its people
are read again, and nothing of them but ids. Nothing of them is shown. The last line on stdout is one
line of JSON: rows, files (log files read again), url, hashed.")]
    NotificationList(NotificationListArgs),

    /// Make a sample lake with its configuration and its true answers.
    #[command(after_help = "Examples:
  afterscope sample groups-2019 demo
  afterscope sample groups-2019 demo --rows 10000000
  afterscope sample groups-2019 demo --format delta     a table with rows that were deleted")]
    Sample(SampleArgs),

    /// Print the configuration's JSON Schema, or the columns of all tables or frames.
    #[command(after_help = "Examples:
  afterscope schema config > afterscope.schema.json
  afterscope schema tables --markdown
  afterscope schema frames                  what your own queries can read")]
    Schema(SchemaArgs),

    /// Look at the ledger that runs keep between them, or tidy it.
    #[command(after_help = "Examples:
  afterscope state show --config afterscope.toml
  afterscope state gc --config afterscope.toml --as-of 2019-11-06 --dry-run")]
    State(StateArgs),

    /// Print a completion script.
    #[command(after_help = "Example:
  afterscope completions bash > ~/.local/share/bash-completion/completions/afterscope")]
    Completions { shell: clap_complete::Shell },

    /// Write man pages to a folder.
    #[command(hide = true)]
    Man { folder: PathBuf },
}

/// The configuration, and where things lie.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// The configuration.
    #[arg(long, short, default_value = "afterscope.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Set a key of the configuration: report.lookback_days=30, source.0.url=s3://…
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where results go, instead of output.url (relative to the working folder).
    #[arg(long, value_name = "URL")]
    pub output: Option<String>,
    /// Where the ledger is kept, instead of state.url. Default: state/ under the output.
    #[arg(long, value_name = "URL")]
    pub state: Option<String>,
}

/// What decides a run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// End of the report (not included): RFC 3339, or a date for its midnight in UTC. Never taken
    /// from the clock.
    #[arg(long, value_name = "TIME")]
    pub as_of: String,
    /// Key all ids with a secret, by reference: env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE", allow_hyphen_values = true)]
    pub id_key: Option<String>,
    /// Sign the manifest with an Ed25519 private key (PKCS#8 PEM): a path, file:PATH or env:NAME.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub sign_key: Option<String>,
    /// The report that this one follows: latest, a run id of the output, or none. change_log then explains
    /// every figure that changed.
    #[arg(long, value_name = "RUN")]
    pub follows: Option<String>,
    /// Memory to stay within: 512MB, 4GiB. Default: a quarter of the machine.
    #[arg(long, value_name = "BYTES")]
    pub memory_limit: Option<String>,
    /// Threads that decode and count. Default: the machine's cores.
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,
    /// Publish without files that cannot be read; the verdict is then `incomplete`.
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Read everything, to show that leaving out changes nothing.
    #[arg(long, hide = true)]
    pub no_pruning: bool,
}

/// A run, and what is told of it beside its tables.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Write metrics of this run for Prometheus: a file that node_exporter's textfile collector reads. It is
    /// replaced whole, also where the run fails.
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Leave the database of output.postgres as it is.
    #[arg(long)]
    pub no_database: bool,
}

impl PlaceArgs {
    pub fn overrides(&self) -> Overrides {
        Overrides {
            // Nothing that is asked of a place depends on it.
            as_of: "1970-01-01".into(),
            set: self.set.clone(),
            output: self.output.clone(),
            state: self.state.clone(),
            unsigned: true,
            ..Default::default()
        }
    }
}

impl VerifyArgs {
    /// What a recomputation takes from the command line; the rest stands in the run's manifest.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            as_of: "1970-01-01".into(),
            set: self.set.clone(),
            id_key: self.id_key.clone(),
            memory_limit: self.memory_limit.clone(),
            threads: self.threads,
            unsigned: true,
            ..Default::default()
        }
    }
}

impl RunArgs {
    pub fn overrides(&self) -> Overrides {
        Overrides {
            as_of: self.as_of.clone(),
            id_key: self.id_key.clone(),
            sign_key: self.sign_key.clone(),
            follows: self.follows.clone(),
            memory_limit: self.memory_limit.clone(),
            threads: self.threads,
            allow_incomplete: self.allow_incomplete,
            no_pruning: self.no_pruning,
            unsigned: false,
            ..self.place.overrides()
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A run's folder (OUT/runs/<run_id>), or OUT for its latest run: a path or s3:// address.
    #[arg(required_unless_present = "evidence")]
    pub run: Option<String>,
    /// Check an evidence file, alone or against the run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "recompute"])]
    pub evidence: Option<PathBuf>,
    /// Check, too, that every input file still has its size, ETag and version.
    #[arg(long)]
    pub inputs: bool,
    /// Count everything again from the input files, in a temporary folder with an empty ledger: the
    /// files must have the same bytes.
    #[arg(long, requires = "config")]
    pub recompute: bool,
    /// The configuration of the run, for --recompute.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// As for `run`, where it was given there.
    #[arg(long, value_name = "KEY=VALUE", requires = "recompute")]
    pub set: Vec<String>,
    /// As for `run`, where it was given there: env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE", requires = "recompute", allow_hyphen_values = true)]
    pub id_key: Option<String>,
    /// Memory for --recompute: 512MB, 4GiB. Default: a quarter of the machine.
    #[arg(long, value_name = "BYTES", requires = "recompute")]
    pub memory_limit: Option<String>,
    /// Threads for --recompute. Default: the machine's cores.
    #[arg(long, value_name = "N", requires = "recompute")]
    pub threads: Option<u32>,
    /// Demand a signature by this Ed25519 public key (PEM).
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct EvidenceArgs {
    /// A run's folder (OUT/runs/<run_id>), or OUT for its latest run: a path or s3:// address.
    pub run: String,
    /// The app, as the log and the registry name it.
    #[arg(long, value_name = "ID")]
    pub app: String,
    /// Only its rows of this scope.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// The file to write. Default: standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// scope_summary, app_scope_exposure, developer_exposure, daily_timeline, findings,
    /// groups_exposed, data_categories, deletion_verification, subjects_by_jurisdiction, thresholds
    /// or coverage.
    #[arg(long, value_name = "TABLE")]
    pub table: String,
    /// What names the row: scope=…, app_id=…, developer_id=…, day=…, attested_at=…, finding=…,
    /// group_id=…, namespace=…, data_category=…, country=…, subdivision=…, category=…, is_known=…,
    /// regime=…, jurisdiction=…, source=…, file_day=…; and window=… for one of its windows,
    /// people=unplaced for the people of a rule who may live there.
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub conditions: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: its folder or address, or an output, which means its latest run.
    #[arg(value_name = "RUN_A")]
    pub old: String,
    /// The later run.
    #[arg(value_name = "RUN_B")]
    pub new: String,
    /// Only this table.
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Write every change to this CSV file: table, key, column, old, new, and the reason where RUN_B
    /// follows RUN_A.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
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
pub struct WhatIfArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// The scope; it need not be in the registry.
    #[arg(long, value_name = "SCOPE")]
    pub scope: String,
    /// When it would be restricted: RFC 3339, or a date in registry.zone.
    #[arg(long, value_name = "TIME")]
    pub at: String,
    /// How much longer every app could use it: 90d, 12h.
    #[arg(long, default_value = "0s", value_name = "TIME")]
    pub grace: String,
}

#[derive(Clone, Debug, Args)]
pub struct NotificationListArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Where the list goes: a folder or s3:// address that holds nothing else.
    #[arg(long, value_name = "URL")]
    pub out: String,
    /// Only people reached through this restricted scope; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Only people reached by this app; may be given several times.
    #[arg(long = "app", value_name = "ID")]
    pub apps: Vec<String>,
    /// Write keyed hashes in place of ids, with a secret by reference: env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE", allow_hyphen_values = true)]
    pub hash_key: Option<String>,
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

#[derive(Clone, Debug, Args)]
pub struct StateArgs {
    #[command(subcommand)]
    pub command: StateCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum StateCommand {
    /// List the packs.
    #[command(after_help = "Examples:
  afterscope state show --config afterscope.toml
  afterscope state show --config afterscope.toml --json | jq '.[].pack'")]
    Show {
        #[command(flatten)]
        place: PlaceArgs,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Remove packs that a run with this configuration would not use.
    #[command(after_help = "Examples:
  afterscope state gc --config afterscope.toml --as-of 2019-11-06 --dry-run
  afterscope state gc --config afterscope.toml --as-of 2019-11-06 --keep 7d")]
    Gc {
        #[command(flatten)]
        run: RunArgs,
        /// Leave packs alone that are younger than this: a run under way may be reading them.
        #[arg(long, default_value = "1d", value_name = "TIME")]
        keep: String,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}
