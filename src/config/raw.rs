//! The configuration as it is written: one struct per table of `afterscope.toml`.
//!
//! These structs are the only description of the file's shape. `afterscope schema config` prints
//! their JSON Schema, docs/configuration-keys.md is generated from it, and [`super::shape`] checks a file
//! against it. Field comments are the documentation that users read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// One access log.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the source in tables and messages; unique.
    pub name: String,
    /// Folder, file or glob: a path, file://, s3://bucket/prefix, az://container/prefix (or abfss://),
    /// gs://bucket/prefix, or a file at https://. Credentials never stand here; they come from the
    /// environment (AWS_ACCESS_KEY_ID and so on), or from keys of `store`.
    pub url: String,
    /// What the url names: plain Parquet files, or a Delta table's folder.
    #[serde(default)]
    pub format: Format,
    /// The version of the table; default: the latest. The manifest names it in any case.
    #[serde(default)]
    pub version: Option<u64>,
    /// The moment as of which the table is read, by the times of its commits. Not beside `version`.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// Which columns hold what.
    pub columns: Columns,
    /// What a scope in the log says: `exercised` (the call needed it) or `held` (the token carried
    /// it). Needed for a list or a delimited text unless the registry has an endpoint table.
    #[serde(default)]
    pub scopes_mean: Option<ScopesMean>,
    /// Which calls count as allowed. Default: status 200 to 299; without a status column, all.
    #[serde(default)]
    pub status: Option<StatusRule>,
    /// What a partition column says about the time of the rows below it. Without it, partitions are
    /// never used to leave files out.
    #[serde(default)]
    pub partition_time: Option<PartitionTime>,
    /// The periods for which data must exist; without it, coverage_pct is null.
    #[serde(default)]
    pub expected: Option<Expected>,
    /// Namespaces of ids. Ids of two sources are the same person, group or event only where both
    /// name the same namespace. Default: the source's name.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// How to reach the store.
    #[serde(default)]
    pub store: Store,
}

/// What a log is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Parquet,
    Delta,
}

/// The columns of a log. A column is a name (`user_id`), a path into nested columns
/// (`userIdentity.arn`), or a table that says more.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// When the call was made.
    pub time: Column,
    /// The app (OAuth client) that called.
    pub app: Column,
    /// The scope or scopes of the call. May be left out where the registry's endpoint table gives
    /// them.
    #[serde(default)]
    pub scopes: Option<Column>,
    /// The person whose data was reached. A source without it uses `actor`.
    #[serde(default)]
    pub subject: Option<Column>,
    /// Whose token made the call.
    #[serde(default)]
    pub actor: Option<Column>,
    /// The group, tenant or site that was read.
    #[serde(default)]
    pub group: Option<Column>,
    /// Outcome of the call: a status code or a word.
    #[serde(default)]
    pub status: Option<Column>,
    /// Bytes returned.
    #[serde(default)]
    pub bytes: Option<Column>,
    /// Records returned.
    #[serde(default)]
    pub records: Option<Column>,
    /// Names of the fields returned: a list, or a delimited text.
    #[serde(default)]
    pub fields: Option<Column>,
    /// How many calls the row stands for; default and null are 1.
    #[serde(default)]
    pub weight: Option<Column>,
    /// Identity of the event: equal rows with equal ids count once. Without it nothing is
    /// deduplicated.
    #[serde(default)]
    pub event_id: Option<Column>,
    /// What was called: a URL, a path or an operation; looked up in the registry's endpoint table.
    #[serde(default)]
    pub endpoint: Option<Column>,
    /// The HTTP method, where the endpoint table tells methods apart.
    #[serde(default)]
    pub method: Option<Column>,
}

/// A column: its name or path, or a table.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    Name(String),
    Full(Box<ColumnTable>),
}

/// A column in full.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnTable {
    /// Name, or path through nested columns (`a.b.c`). A column whose own name holds dots is found
    /// first.
    #[serde(default)]
    pub path: Option<String>,
    /// Parts joined to one text: `["eventSource", ":", "eventName"]`. A part that is no column of
    /// the log stands for itself if it has no letter or digit, or is written `'like this'`.
    #[serde(default)]
    pub concat: Option<Vec<String>>,
    /// In a list of name/value structs at `path`: the entry to take.
    #[serde(default)]
    pub entry: Option<Entry>,
    /// `path` holds JSON text; take the value at this path in it (`details.app.id`).
    #[serde(default)]
    pub json: Option<String>,
    /// How several values stand in one column.
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// Format of a time: `rfc3339` (default for text), `epoch_s`, `epoch_ms`, `epoch_us`,
    /// `epoch_ns`, or a strftime pattern.
    #[serde(default)]
    pub format: Option<String>,
    /// Zone of a time that carries none: an IANA name or an offset. Never guessed.
    #[serde(default)]
    pub zone: Option<String>,
    /// What an id is: `uuid` reads text as a UUID. Otherwise the column's type decides.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Lower-case the value before use. Off unless asked for; the manifest says so.
    #[serde(default)]
    pub fold_case: bool,
    /// What a file without this column means: `error` (default) or `null`.
    #[serde(default)]
    pub missing: Missing,
}

/// Picks one entry of a list of name/value structs.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The struct's field that names the entry. Default: `name`.
    #[serde(default = "Entry::default_name")]
    pub name: String,
    /// The name to look for.
    pub equals: String,
    /// The struct's field that holds the value. Default: `value`.
    #[serde(default = "Entry::default_value")]
    pub value: String,
}

impl Entry {
    fn default_name() -> String {
        "name".into()
    }
    fn default_value() -> String {
        "value".into()
    }
}

/// How several values stand in one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// An Arrow list.
    List,
    /// Values parted by blanks.
    Space,
    /// Values parted by commas, with or without blanks.
    Comma,
    /// One value.
    Single,
}

/// What an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Uuid,
    Text,
}

/// What a file without a mapped column means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The run stops and names file and column.
    #[default]
    Error,
    /// All its values are null.
    Null,
}

/// What a scope in the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopesMean {
    Exercised,
    Held,
}

/// Which calls count as allowed.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRule {
    /// Numbers (`200`), ranges with both ends (`"200-299"`) and words (`"SUCCESS"`).
    pub allowed: Vec<StatusValue>,
    /// What a null status is: `unknown` (default) or `allowed`.
    #[serde(default)]
    pub null: NullStatus,
}

/// A status value or range.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusValue {
    Number(i64),
    Text(String),
}

/// What a null status is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NullStatus {
    #[default]
    Unknown,
    Allowed,
}

/// What a partition column says about time: rows below `column=V` lie in
/// [V − slack, V + grain + slack). A row outside fails the run.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionTime {
    /// The hive partition column (`dt` in `dt=2019-07-01/`).
    pub column: String,
    /// The length that one value stands for: `1d`, `1h`.
    pub grain: String,
    /// How far rows may lie outside: `2d`. A folder's date is often the day of arrival.
    #[serde(default = "PartitionTime::default_slack")]
    pub slack: String,
}

impl PartitionTime {
    fn default_slack() -> String {
        "0s".into()
    }
}

/// The periods for which data must exist.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Length of a period. Only `1d` is supported.
    pub every: String,
    /// First period.
    pub from: String,
    /// End (not included); default `as_of`.
    #[serde(default)]
    pub until: Option<String>,
    /// Periods that end later than `as_of` minus this are not expected yet.
    #[serde(default = "PartitionTime::default_slack")]
    pub grace: String,
}

/// Names under which ids of several sources are compared.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// Subjects and actors.
    #[serde(default)]
    pub person: Option<String>,
    /// Groups.
    #[serde(default)]
    pub group: Option<String>,
    /// Event ids.
    #[serde(default)]
    pub event: Option<String>,
}

/// How to reach a store. Everything else comes from the environment, as the store's users expect. Keys that
/// are secrets are given by reference, `env:NAME` or `file:PATH`, and take the place of all credentials of the
/// environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// S3, Azure, GCS: address of a compatible service, for example `http://127.0.0.1:8333`; of Azure with
    /// the account: `http://127.0.0.1:10000/devstoreaccount1`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// S3: region.
    #[serde(default)]
    pub region: Option<String>,
    /// S3: bucket as part of the host name.
    #[serde(default)]
    pub virtual_hosted_style: Option<bool>,
    /// S3, Azure, GCS: read without credentials.
    #[serde(default)]
    pub anonymous: bool,
    /// S3, Azure, GCS: take credentials from the machine's metadata service when the environment has none.
    #[serde(default)]
    pub instance_metadata: bool,
    /// Azure: storage account, where the address does not name it. Default: AZURE_STORAGE_ACCOUNT_NAME.
    #[serde(default)]
    pub account: Option<String>,
    /// S3: access key, by reference.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// S3: its secret, by reference.
    #[serde(default)]
    pub secret_access_key: Option<String>,
    /// S3: token of temporary credentials, by reference.
    #[serde(default)]
    pub session_token: Option<String>,
    /// Azure: key of the storage account, by reference.
    #[serde(default)]
    pub account_key: Option<String>,
    /// Azure: shared access signature, by reference.
    #[serde(default)]
    pub sas_token: Option<String>,
    /// Azure, HTTP: token sent with each request, by reference.
    #[serde(default)]
    pub bearer_token: Option<String>,
    /// GCS: a service account's key file, by reference (`file:key.json`).
    #[serde(default)]
    pub service_account_key: Option<String>,
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
