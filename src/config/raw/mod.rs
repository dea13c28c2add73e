//! The configuration as it is written: one struct per table of `afterscope.toml`.
//!
//! These structs are the only description of the file's shape. `afterscope schema config` prints
//! their JSON Schema, docs/configuration-keys.md is generated from it, and [`super::shape`] checks a file
//! against it. Field comments are the documentation that users read.

mod source;
mod store;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use source::{
    Catalog, Column, ColumnTable, Columns, Encoding, Entry, Expected, Format, Kind, Missing,
    Namespaces, NullStatus, PartitionTime, ScopesMean, Source, StatusRule, StatusValue,
};
pub use store::Store;

/// An afterscope configuration: which logs to read, how their columns map, what was restricted
/// when, and where the results go. Relative paths are relative to this file; `${NAME}` in any text
/// takes the environment variable NAME.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "afterscope.toml")]
pub struct Document {
    /// The logs to read; one table each.
    #[serde(default)]
    pub source: Vec<Source>,
    /// What was restricted when, and who owns which app.
    pub registry: Registry,
    /// What the report covers.
    #[serde(default)]
    pub report: Report,
    /// When what happened: the clocks of `deadlines`.
    #[serde(default)]
    pub incident: Incident,
    /// Where results go.
    pub output: Output,
    /// Where the ledger is kept between runs.
    #[serde(default)]
    pub state: Option<State>,
    /// How ids become keys.
    #[serde(default)]
    pub ids: Ids,
    /// Limits of a run.
    #[serde(default)]
    pub run: Run,
}

/// Registry files, CSV with a header or Parquet.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Restricted scopes: scope, deprecated_at, and if wanted data_fields (`a;b;c`) and
    /// special_fields, those of them that are special categories.
    pub scopes: String,
    /// Apps: app_id, and if wanted app_name, developer_id, developer_name.
    #[serde(default)]
    pub apps: Option<String>,
    /// Grace periods: app_id, scope, grace_until.
    #[serde(default)]
    pub extensions: Option<String>,
    /// Which scopes a call needs: method, path (a template: `/groups/{id}/members`), scope.
    #[serde(default)]
    pub endpoints: Option<String>,
    /// Who could call: app_id, scope, granted_at, revoked_at (empty while the grant goes on), and if wanted
    /// as_of (when the row was true; a later one replaces it).
    #[serde(default)]
    pub grants: Option<String>,
    /// Windows in which calls must fail: scope, from, to, and if wanted app_id (empty for every app).
    #[serde(default)]
    pub brownouts: Option<String>,
    /// Promises of deletion: app_id, scope (or all), asked_at, attested_at, statement.
    #[serde(default)]
    pub attestations: Option<String>,
    /// Who was a member of which group when: group_id, subject, from, to (null: always, still). Parquet, a
    /// file or a folder of files (its address ends in `/`), of any size.
    #[serde(default)]
    pub memberships: Option<String>,
    /// Who lives where: subject, country, and if wanted subdivision, category and as_of (when it was known;
    /// a later row replaces an earlier one). Parquet, as memberships are.
    #[serde(default)]
    pub residency: Option<String>,
    /// The source whose people and groups memberships and residency speak of; needed where sources have
    /// namespaces of their own.
    #[serde(default)]
    pub people_of: Option<String>,
    /// From how many people on, and how soon, somebody must be told: regime, jurisdiction, operator, number,
    /// counted, clock, limit, unit, source.
    #[serde(default)]
    pub thresholds: Option<String>,
    /// Zone of registry values that carry none. Default UTC.
    #[serde(default)]
    pub zone: Option<String>,
    /// How to reach the store of the registry files.
    #[serde(default)]
    pub store: Store,
}

/// What the report covers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Length of the lookback window before `as_of`, in days of 86,400 s.
    #[serde(default = "Report::default_lookback")]
    pub lookback_days: u32,
    /// More rejected rows than this end the run with exit 3.
    #[serde(default)]
    pub max_rejected_rows: u64,
    /// Groups listed per scope in `groups_exposed`: a number (default 10000) or "all".
    #[serde(default)]
    pub groups: Option<GroupsLimit>,
    /// The report that this one follows: "latest" (of the output; none if it is the first), a run id of the
    /// output, or "none" (default). `change_log` then explains every changed figure, and a figure that changed
    /// without a cause ends the run with exit 3.
    #[serde(default)]
    pub follows: Option<String>,
    /// Counts of fewer people than this, from 1 on, are left out of all tables and reports, and with them what
    /// they would follow from; a number of people at least 2. Default 0: nothing is left out; 1 leaves out
    /// nothing, either. Not together with `queries`.
    #[serde(default, skip_serializing_if = "Report::is_none_suppressed")]
    pub suppress_below: u32,
    /// SQL files; each becomes a table named after the file.
    #[serde(default)]
    pub queries: Vec<String>,
    /// Whether `report.html` is written, the page for people. Default true.
    #[serde(default = "Report::default_written")]
    pub html: bool,
    /// Whether `report.xlsx` is written, the workbook with a sheet for each table. Default true.
    #[serde(default = "Report::default_written")]
    pub xlsx: bool,
}

impl Report {
    /// A run that leaves out nothing has the name that it had before there was such a setting.
    fn is_none_suppressed(below: &u32) -> bool {
        *below == 0
    }
    fn default_written() -> bool {
        true
    }
    fn default_lookback() -> u32 {
        60
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            lookback_days: Self::default_lookback(),
            max_rejected_rows: 0,
            groups: None,
            follows: None,
            suppress_below: 0,
            queries: Vec::new(),
            html: Self::default_written(),
            xlsx: Self::default_written(),
        }
    }
}

/// When what happened, as far as it has: a date (00:00 in registry.zone) or a moment.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// When it was known with reasonable certainty that personal data was affected.
    #[serde(default)]
    pub aware: Option<String>,
    /// When it was discovered.
    #[serde(default)]
    pub discovered: Option<String>,
    /// When it was found to be material.
    #[serde(default)]
    pub materiality: Option<String>,
    /// When the people concerned were told: it starts clocks of that name.
    #[serde(default)]
    pub notified: Option<String>,
    /// When the duty of a regime was done, by its name in registry.thresholds: `{ gdpr_art_33 = "…" }`.
    #[serde(default)]
    pub reported: BTreeMap<String, String>,
}

/// How many groups are listed per scope.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum GroupsLimit {
    Count(u32),
    Word(String),
}

/// Where results go.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Folder: a path, file:// or s3://.
    pub url: String,
    /// How to reach the store.
    #[serde(default)]
    pub store: Store,
    /// Signs the manifest: an Ed25519 private key in PKCS#8 PEM, by reference only: a path,
    /// `file:PATH` or `env:NAME`.
    #[serde(default)]
    pub sign_key: Option<String>,
    /// Whether the tables of each run are put into `history/` too, where one glob reads those of all runs
    /// (docs/bi.md). Default false.
    #[serde(default, skip_serializing_if = "Output::is_without_history")]
    pub history: bool,
    /// A PostgreSQL database that every published run is copied to (docs/bi.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
}

impl Output {
    /// Manifests say what is asked for.
    fn is_without_history(history: &bool) -> bool {
        !history
    }
}

/// A PostgreSQL database that every published run is copied to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Its address, `postgresql://user:password@host:5432/database?sslmode=verify-full`, by reference only:
    /// `env:NAME` or `file:PATH`.
    pub url: String,
    /// Schema of the tables; of one output alone.
    #[serde(default = "Postgres::default_schema")]
    pub schema: String,
    /// How long to wait for other sessions: `60s`, `5m`.
    #[serde(default = "Postgres::default_lock_timeout")]
    pub lock_timeout: String,
}

impl Postgres {
    fn default_schema() -> String {
        "afterscope".into()
    }
    fn default_lock_timeout() -> String {
        "60s".into()
    }
}

/// Where the ledger is kept between runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Folder: a path, file:// or s3://. Default: `state/` under the output.
    pub url: String,
    /// How to reach the store.
    #[serde(default)]
    pub store: Store,
}

/// How ids become keys.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// A secret that keys all ids in the ledger, by reference only: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub key: Option<String>,
}

/// Limits of a run; they never change a result.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Memory to stay within: `512MB`, `4GiB`. Default: a quarter of the machine.
    #[serde(default)]
    pub memory_limit: Option<String>,
    /// Threads that decode and count. Default: the machine's cores.
    #[serde(default)]
    pub threads: Option<u32>,
    /// Folder for temporary files. Default: the system's.
    #[serde(default)]
    pub temp_dir: Option<String>,
}
