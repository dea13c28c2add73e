//! Arguments of what counts: a run, its plan, and what is asked of the ledger.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Overrides;

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
    /// Count every row of the ledger anew, and not only what has changed since the last count. The tables are the same.
    #[arg(long)]
    pub recount: bool,
    /// Rows of a ledger from which on counts are kept.
    #[arg(long, hide = true, value_name = "ROWS")]
    pub keep_counts_from: Option<u64>,
    /// Read everything, to show that leaving out changes nothing.
    #[arg(long, hide = true)]
    pub no_pruning: bool,
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
            recount: self.recount,
            keep_counts_from: self.keep_counts_from,
            unsigned: false,
            ..self.place.overrides()
        }
    }
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

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
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
    /// Remove packs that a run with this configuration would not use, and counts that were kept long ago.
    #[command(after_help = "Examples:
  afterscope state gc --config afterscope.toml --as-of 2019-11-06 --dry-run
  afterscope state gc --config afterscope.toml --as-of 2019-11-06 --keep 7d")]
    Gc {
        #[command(flatten)]
        run: RunArgs,
        /// Leave packs and counts alone that are younger than this: a run under way may be reading them.
        #[arg(long, default_value = "1d", value_name = "TIME")]
        keep: String,
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}
