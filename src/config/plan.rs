//! The checked settings of one run.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::raw::{Encoding, Format, Kind, Missing, ScopesMean};
use crate::key::Keyer;
use crate::moment::{EpochUnit, Moment, Zone};
use crate::signature::Signer;
use crate::store::StoreUrl;

/// What a run will do: every setting checked, nothing read yet.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The end of the report: events before it count.
    pub as_of: Moment,
    pub sources: Vec<SourcePlan>,
    pub registry: RegistryPlan,
    pub incident: IncidentPlan,
    pub lookback_days: u32,
    pub max_rejected_rows: u64,
    /// Groups listed per scope; `None` lists all.
    pub groups_limit: Option<u64>,
    /// The report whose changed figures this one explains.
    pub follows: Option<Follows>,
    /// Counts of fewer people are not published; `None` where all are.
    pub suppress_below: Option<u32>,
    /// SQL files of the user, each a table.
    pub queries: Vec<PathBuf>,
    /// Whether the page and the workbook for people are written.
    pub html: bool,
    pub xlsx: bool,
    pub output: StoreUrl,
    /// Whether the tables are put into `history/` too.
    pub history: bool,
    /// Where published runs are copied to.
    pub database: Option<DatabasePlan>,
    pub state: StoreUrl,
    pub keyer: Keyer,
    /// Signs the manifest.
    pub signer: Option<Signer>,
    /// Bytes.
    pub memory_limit: u64,
    pub threads: usize,
    pub temp_dir: Option<PathBuf>,
    pub allow_incomplete: bool,
    /// Off only to show that pruning changes nothing.
    pub pruning: bool,
    /// Whether a count that is kept is passed over.
    pub recount: bool,
    /// Rows of a ledger from which on counts are kept: fewer are counted while one is read and written.
    pub keep_counts_from: u64,
    /// The configuration, variables of the environment in their place: part of what names a run.
    pub document: Value,
    /// The same for the manifest: `${NAME}` stands as it was written.
    pub written: Value,
}

/// A database that published runs are copied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePlan {
    /// A reference to its address, `env:NAME` or `file:PATH` with an absolute path: read when a run begins.
    pub url: String,
    pub schema: String,
    /// How long to wait for locks, in milliseconds.
    pub lock_timeout_ms: i64,
}

/// The report that a run follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The latest of the output, if there is one.
    Latest,
    /// The one of this run id in the output.
    Run(String),
}

/// Whether the text could be a run's id: nothing else becomes a path.
pub fn is_run_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits)
}

/// One log.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    pub name: String,
    pub url: StoreUrl,
    pub kept: Kept,
    pub mapping: MappingPlan,
    pub partition_time: Option<PartitionTimePlan>,
    pub expected: Option<ExpectedPlan>,
    /// Namespaces of people, groups and event ids.
    pub person_namespace: String,
    pub group_namespace: String,
    pub event_namespace: String,
}

/// What the files of a source are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All that lie below the url.
    Files,
    /// Those of a version of a Delta table.
    Delta(At),
    /// Those of a snapshot of an Iceberg table.
    Iceberg(IcebergPlan),
}

/// A snapshot of an Iceberg table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcebergPlan {
    pub at: SnapshotAt,
    /// Who says which metadata is the current one; `None` where the url does.
    pub catalog: Option<CatalogPlan>,
}

/// Which snapshot of an Iceberg table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAt {
    Current,
    Id(i64),
    /// One with the columns of a schema of the table that need not be its own.
    WithSchema {
        id: i64,
        schema: i32,
    },
    /// The one that was current then.
    Moment(Moment),
    /// Of a branch or tag.
    Reference(String),
}

/// A table in an Iceberg REST catalog.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogPlan {
    pub uri: String,
    /// Namespaces, and last the table's name.
    pub table: Vec<String>,
    pub warehouse: Option<String>,
    pub prefix: Option<String>,
    pub token: Option<String>,
    /// `id:secret`.
    pub credential: Option<String>,
    pub scope: Option<String>,
    pub oauth2_uri: Option<String>,
}

/// Without what is secret.
impl fmt::Debug for CatalogPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.table.join("."), self.uri)
    }
}

impl Kept {
    /// `None` where plain files are asked for a version.
    pub fn new(format: Format, at: At) -> Option<Self> {
        match format {
            Format::Delta => Some(Self::Delta(at)),
            Format::Parquet => (at == At::Latest).then_some(Self::Files),
            Format::Iceberg => {
                let at = match at {
                    At::Latest => SnapshotAt::Current,
                    At::Version(id) => SnapshotAt::Id(i64::try_from(id).ok()?),
                    At::Moment(at) => SnapshotAt::Moment(at),
                };
                Some(Self::Iceberg(IcebergPlan { at, catalog: None }))
            }
        }
    }

    pub fn format(&self) -> Format {
        match self {
            Self::Files => Format::Parquet,
            Self::Delta(_) => Format::Delta,
            Self::Iceberg(_) => Format::Iceberg,
        }
    }

    /// The same at one version; plain files have none. Of an Iceberg table, with the columns of a schema, where
    /// one is given.
    pub fn at_version(&self, version: u64, schema: Option<i32>) -> Self {
        match self {
            Self::Delta(_) => Self::Delta(At::Version(version)),
            Self::Iceberg(of) => {
                let at = match (i64::try_from(version), schema) {
                    (Ok(id), Some(schema)) => SnapshotAt::WithSchema { id, schema },
                    (Ok(id), None) => SnapshotAt::Id(id),
                    (Err(_), _) => of.at.clone(),
                };
                Self::Iceberg(IcebergPlan { at, catalog: of.catalog.clone() })
            }
            Self::Files => Self::Files,
        }
    }
}

/// A version of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Latest,
    Version(u64),
    /// The last one that was committed by then.
    Moment(Moment),
}

/// How rows become events. Its `fingerprint` is part of every pack's identity.
#[derive(Clone, Debug)]
pub struct MappingPlan {
    pub time: ColumnPlan,
    pub app: ColumnPlan,
    pub scopes: Option<ColumnPlan>,
    pub subject: Option<ColumnPlan>,
    pub actor: Option<ColumnPlan>,
    pub group: Option<ColumnPlan>,
    pub status: Option<ColumnPlan>,
    pub bytes: Option<ColumnPlan>,
    pub records: Option<ColumnPlan>,
    pub fields: Option<ColumnPlan>,
    pub weight: Option<ColumnPlan>,
    pub event_id: Option<ColumnPlan>,
    pub endpoint: Option<ColumnPlan>,
    pub method: Option<ColumnPlan>,
    pub scopes_mean: Option<ScopesMean>,
    pub status_rule: StatusPlan,
    /// Canonical JSON of all that decides how a row is read.
    pub fingerprint: String,
}

impl MappingPlan {
    /// Every mapped column.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnPlan> {
        let optional = [
            &self.scopes,
            &self.subject,
            &self.actor,
            &self.group,
            &self.status,
            &self.bytes,
            &self.records,
            &self.fields,
            &self.weight,
            &self.event_id,
            &self.endpoint,
            &self.method,
        ];
        [&self.time, &self.app].into_iter().chain(optional.into_iter().flatten())
    }

    /// The columns of files that are read, as the configuration writes them.
    pub fn paths(&self) -> Vec<&str> {
        self.columns().flat_map(|column| column.source.paths()).collect()
    }

    /// Roles of columns whose values are lower-cased.
    pub fn folded(&self) -> Vec<&'static str> {
        self.columns().filter(|column| column.fold_case).map(|column| column.role).collect()
    }
}

/// A mapped column.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// The configuration key (`subject`), for messages.
    pub role: &'static str,
    pub source: ColumnSource,
    pub encoding: Option<Encoding>,
    pub format: Option<TimeFormat>,
    pub zone: Option<Zone>,
    pub kind: Option<Kind>,
    pub fold_case: bool,
    pub missing: Missing,
}

/// Where a column's values come from.
#[derive(Clone, Debug)]
pub enum ColumnSource {
    Path(String),
    Concat(Vec<String>),
    Entry { path: String, name: String, equals: String, value: String },
    Json { path: String, pointer: Vec<String> },
}

impl ColumnSource {
    /// The columns that it is made of; literals of a `concat` among them.
    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Path(path) | Self::Entry { path, .. } | Self::Json { path, .. } => vec![path],
            Self::Concat(parts) => parts.iter().map(String::as_str).collect(),
        }
    }

    /// How a message names the column.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) | Self::Entry { path, .. } | Self::Json { path, .. } => path.clone(),
            Self::Concat(parts) => parts.concat(),
        }
    }
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    Rfc3339,
    Epoch(EpochUnit),
    Pattern(String),
}

/// Which statuses are allowed.
#[derive(Clone, Debug, Default)]
pub struct StatusPlan {
    /// Inclusive ranges.
    pub ranges: Vec<(i64, i64)>,
    pub words: Vec<String>,
    pub null_is_allowed: bool,
}

/// Rows below `column=V` lie in [V − slack, V + grain + slack); microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTimePlan {
    pub column: String,
    pub grain: i64,
    pub slack: i64,
}

/// Days for which data must exist, as day numbers.
#[derive(Clone, Debug)]
pub struct ExpectedPlan {
    from_day: i64,
    /// Not included; `None` for as long as there is a report.
    until_day: Option<i64>,
    /// How long after its end a day may still be empty, in microseconds.
    grace: i64,
}

impl ExpectedPlan {
    pub fn new(from: Moment, until: Option<Moment>, grace: i64) -> Self {
        Self { from_day: from.day(), until_day: until.map(|until| until.day()), grace }
    }

    /// Days before this one are over at `as_of`, with the source's grace.
    pub fn settled_day(&self, as_of: Moment) -> i64 {
        as_of.plus_micros(-self.grace).day()
    }

    /// The days that a report at `as_of` asks for.
    pub fn days(&self, as_of: Moment) -> Range<i64> {
        let settled = self.settled_day(as_of);
        let until = self.until_day.map_or(settled, |until| until.min(settled));
        self.from_day..until.max(self.from_day)
    }
}

/// Where the registry is.
#[derive(Clone, Debug)]
pub struct RegistryPlan {
    pub scopes: StoreUrl,
    pub apps: Option<StoreUrl>,
    pub extensions: Option<StoreUrl>,
    pub endpoints: Option<StoreUrl>,
    pub grants: Option<StoreUrl>,
    pub brownouts: Option<StoreUrl>,
    pub attestations: Option<StoreUrl>,
    pub thresholds: Option<StoreUrl>,
    pub people: PeoplePlan,
    pub zone: Zone,
}

impl RegistryPlan {
    /// The tables that are given, by their keys.
    pub fn given(&self) -> Vec<(&'static str, &StoreUrl)> {
        let optional = [
            ("apps", &self.apps),
            ("extensions", &self.extensions),
            ("endpoints", &self.endpoints),
            ("grants", &self.grants),
            ("brownouts", &self.brownouts),
            ("attestations", &self.attestations),
            ("thresholds", &self.thresholds),
            ("memberships", &self.people.memberships),
            ("residency", &self.people.residency),
        ];
        let optional = optional.into_iter().filter_map(|(role, url)| Some((role, url.as_ref()?)));
        [("scopes", &self.scopes)].into_iter().chain(optional).collect()
    }
}

/// The registry's tables of people: too large to be read as others are.
#[derive(Clone, Debug)]
pub struct PeoplePlan {
    pub memberships: Option<StoreUrl>,
    pub residency: Option<StoreUrl>,
    /// The source whose columns give kinds and namespaces of their ids.
    pub source: usize,
}

/// What is known of the incident that the report is about; `None` where it is not, or has not happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentPlan {
    pub aware: Option<Moment>,
    pub discovered: Option<Moment>,
    pub materiality: Option<Moment>,
    pub notified: Option<Moment>,
    /// When a regime's duty was done, by regime.
    pub reported: BTreeMap<String, Moment>,
}
