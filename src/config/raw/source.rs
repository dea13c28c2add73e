//! A source as it is written: an address, what is kept there, and which columns hold what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Store;

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
    /// What the url names: plain Parquet files, a Delta table's folder, or an Iceberg table's folder or
    /// metadata file.
    #[serde(default)]
    pub format: Format,
    /// The version of a Delta table; default: the latest. The manifest names it in any case.
    #[serde(default)]
    pub version: Option<u64>,
    /// The id of an Iceberg table's snapshot; default: the current one. The manifest names it in any case.
    #[serde(default)]
    pub snapshot: Option<i64>,
    /// A branch or tag of an Iceberg table.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// The moment as of which the table is read, by the times of its commits. Not beside `version`,
    /// `snapshot` or `ref`.
    #[serde(default)]
    pub timestamp: Option<String>,
    /// The REST catalog that knows which metadata of the Iceberg table is the current one; without it,
    /// the url tells.
    #[serde(default)]
    pub catalog: Option<Catalog>,
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
    Iceberg,
}

/// An Iceberg REST catalog.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Its address, without `/v1`.
    pub uri: String,
    /// The table: namespaces and name, parted by dots.
    pub table: String,
    /// The warehouse, where the catalog has several.
    #[serde(default)]
    pub warehouse: Option<String>,
    /// What stands before `namespaces` in the catalog's paths; by default the catalog says it.
    #[serde(default)]
    pub prefix: Option<String>,
    /// A bearer token, by reference only: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub token: Option<String>,
    /// Client id and secret for OAuth2, as `id:secret`, by reference only: `env:NAME` or `file:PATH`.
    #[serde(default)]
    pub credential: Option<String>,
    /// The OAuth2 scope to ask for. Default: `catalog`.
    #[serde(default)]
    pub scope: Option<String>,
    /// The address that gives OAuth2 tokens. Default: the catalog's own `/v1/oauth/tokens`.
    #[serde(default)]
    pub oauth2_uri: Option<String>,
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
