//! Arguments.

mod lake;
mod proof;
mod run;
mod tables;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use lake::{InitArgs, InspectArgs, RowLimit, SampleArgs, SampleFormat};
pub use proof::{DiffArgs, EvidenceArgs, ExplainArgs, VerifyArgs};
pub use run::{
    JobArgs, NotificationListArgs, PlaceArgs, PlanArgs, RunArgs, StateArgs, StateCommand,
    WhatIfArgs,
};
pub use tables::{QueryArgs, QueryFormat, RunsArgs, RunsFormat, SchemaArgs, SchemaKind, ShowArgs};

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
  afterscope query --param app=1140000000000 \\
    'SELECT day, requests_allowed FROM daily_timeline WHERE app_id = $app' --output days.parquet
  afterscope query \"SELECT as_of, scope, subjects_observed FROM all_runs.scope_summary\"
  afterscope query --param app=1140000000000 \\
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
  afterscope evidence out --app 1140000000000 --out app.json
  afterscope evidence out/runs/20191106T000000Z-553b66c562e7 \\
    --app 1140000000000 --scope groups_access_member_info")]
    Evidence(EvidenceArgs),

    /// Name the input files, and the rows in them, that one figure comes from.
    #[command(after_help = "Examples:
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table app_scope_exposure \\
    --where scope=groups_access_member_info --where app_id=1140000000000
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table daily_timeline \\
    --where day=2019-07-01
  afterscope explain --config afterscope.toml --as-of 2019-11-06 --table findings \\
    --where scope=groups_access_member_info --where app_id=1140000000000 --where finding=after_grace
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
    --scope groups_access_member_info --app 1140000000000
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
