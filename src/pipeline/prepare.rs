//! Everything that is looked up before a log is read: registry, queries, snapshots, the run's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::raw::Kind;
use crate::config::{ColumnPlan, PartitionTimePlan, RunPlan, SourcePlan};
use crate::error::Error;
use crate::impact::{self, Query};
use crate::ledger::{Lineage, Wanted};
use crate::memory::Budget;
use crate::moment::Moment;
use crate::people::{self, Input};
use crate::publish::{merkle, sha256};
use crate::registry::{self, Registry, RegistryFile};
use crate::scan::endpoint::EndpointTable;
use crate::scan::{Asked, AskedScope, ScanContext, left_out, partition_day};
use crate::snapshot::{
    self, Gone, History, Origin, Partition, Snapshot, SnapshotError, SnapshotFile, Table,
};
use crate::store::{Io, Pin, StoreUrl};

/// One source, listed and compared with the ledger.
pub struct Source<'a> {
    pub plan: &'a SourcePlan,
    pub snapshot: Snapshot,
    pub wanted: Wanted,
    pub context: Arc<ScanContext>,
    pub reading: Reading,
    /// What is known of the versions of its table; `None` of plain files.
    pub history: Option<History>,
}

/// What a mapping says of a log's rows beside what the ledger holds of them. It stands in the manifest:
/// a report that follows counts with it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub deduplicates: bool,
    pub has_status: bool,
    pub has_fields: bool,
    /// Of people and groups; `None` where they are not mapped.
    pub person: Option<IdReading>,
    pub group: Option<IdReading>,
    pub partition_time: Option<PartitionTimePlan>,
}

/// How ids of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdReading {
    pub folds: bool,
    pub kind: Option<Kind>,
}

impl Reading {
    fn of(source: &SourcePlan) -> Self {
        let mapping = &source.mapping;
        let id = |column: &ColumnPlan| IdReading { folds: column.fold_case, kind: column.kind };
        Self {
            deduplicates: mapping.event_id.is_some(),
            has_status: mapping.status.is_some(),
            has_fields: mapping.fields.is_some(),
            person: mapping.subject.as_ref().or(mapping.actor.as_ref()).map(id),
            group: mapping.group.as_ref().map(id),
            partition_time: source.partition_time.clone(),
        }
    }
}

impl Source<'_> {
    /// The day that the partition of a file names, where one is declared.
    pub fn partition_day(&self, path: &str) -> Option<i64> {
        let known = self.snapshot.files.iter().find(|file| file.path == path).cloned();
        // It may be gone since.
        let file = known.unwrap_or_else(|| SnapshotFile::new(path.to_string(), Pin::default()));
        self.day_of(&file.partitions)
    }

    /// The day that partition values name, where one is declared.
    pub fn day_of(&self, partitions: &[Partition]) -> Option<i64> {
        partition_day(self.reading.partition_time.as_ref()?, partitions).ok()?
    }

    /// The address of a file.
    pub fn shown(&self, path: &str) -> String {
        self.snapshot.store.shown(path)
    }
}

pub struct Prepared<'a> {
    pub registry: Registry,
    /// Files of the registry's tables of people.
    pub memberships: Option<Input>,
    pub residency: Option<Input>,
    pub sources: Vec<Source<'a>>,
    pub queries: Vec<Query>,
    /// A hash of all that decides the tables but for the report that is followed.
    pub identity: String,
    pub run_id: String,
    pub budget: Budget,
}

impl Prepared<'_> {
    /// Names the run as one that follows another report.
    pub fn follow(&mut self, as_of: Moment, manifest_sha256: &str) {
        let hash = sha256(format!("{} follows {manifest_sha256}", self.identity).as_bytes());
        self.run_id = named(as_of, &hash);
    }
}

fn named(as_of: Moment, hash: &str) -> String {
    format!("{}-{}", as_of.to_compact(), hash.get(..12).unwrap_or_default())
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// # Errors
/// Settings, registry, queries or snapshots that cannot be used.
pub fn prepare<'a>(plan: &'a RunPlan, io: &Io, survey: bool) -> Result<Prepared<'a>, Error> {
    prepare_with(plan, io, survey, |_| ())
}

/// The same with another registry than the plan's files give.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with<'a>(
    plan: &'a RunPlan,
    io: &Io,
    survey: bool,
    adjust: impl FnOnce(&mut Registry),
) -> Result<Prepared<'a>, Error> {
    let budget = Budget::new(plan.memory_limit, plan.threads).ok_or_else(|| Error::Memory {
        limit: megabytes(plan.memory_limit),
        needed: megabytes(Budget::needed(plan.threads as u64)),
        threads: plan.threads,
    })?;
    io.keep_buffers(budget.prefetch);
    let built_in = impact::built_in()?;
    let mut queries = impact::user_queries(&plan.queries, &built_in)?;
    impact::check(&mut queries)?;
    let mut registry = registry::load(&plan.registry, plan.as_of, io, plan.memory_limit)?;
    registry.check_reported(&plan.incident)?;
    adjust(&mut registry);
    let mut list = |role: &'static str, url: &Option<StoreUrl>| -> Result<Option<Input>, Error> {
        let Some(url) = url else { return Ok(None) };
        let input = people::list(role, url, io)?;
        registry.files.extend(input.files.iter().map(|file| RegistryFile {
            role,
            url: file.url.clone(),
            size: file.pin.size,
            sha256: None,
            e_tag: file.pin.e_tag.clone(),
            version: file.pin.version.clone(),
        }));
        Ok(Some(input))
    };
    let memberships = list("memberships", &plan.registry.people.memberships)?;
    let residency = list("residency", &plan.registry.people.residency)?;
    let endpoints = registry.endpoints.as_ref().map(|e| Arc::new(EndpointTable::new(e)));
    let endpoints_text = registry.endpoints.as_ref().map(|e| format!("{e:?}")).unwrap_or_default();
    let asked = Asked::new(
        registry
            .scopes
            .iter()
            .map(|(name, scope)| AskedScope {
                name: name.clone(),
                first_day: scope.restricted_at.day(),
            })
            .collect(),
    );
    let mut sources = Vec::with_capacity(plan.sources.len());
    for source in &plan.sources {
        registry.check_folding(source)?;
        let gone = if plan.allow_incomplete { Gone::LeaveOut } else { Gone::Refuse };
        let snapshot = snapshot::take(&Origin::of(source, budget.deletes, gone), io)?;
        let context = ScanContext {
            source: source.name.clone(),
            mapping: source.mapping.clone(),
            partition_time: source.partition_time.clone(),
            table: snapshot.table.clone(),
            asked: asked.clone(),
            keyer: plan.keyer.clone(),
            endpoints: endpoints.clone(),
            pruning: plan.pruning,
            all_days: source.expected.is_some(),
            survey,
        };
        // Only a source that looks calls up depends on the endpoint table.
        let endpoints =
            if source.mapping.endpoint.is_some() { endpoints_text.as_str() } else { "" };
        let pruning = if plan.pruning { "" } else { "\0no pruning" };
        // Days are known for all rows only where somebody asked; of a table, for those that are not deleted.
        let days = match (&source.expected, &snapshot.table) {
            (None, _) => "",
            (Some(_), None) => "\0all days",
            (Some(_), Some(_)) => "\0all days of live rows",
        };
        // A column that the table calls otherwise now is another column of its files.
        let table = snapshot.table.as_ref().map(|table| {
            format!("\0{}\0{}", table.format, table.schema.reading(&source.mapping.paths()))
        });
        let table = table.unwrap_or_default();
        let mapping = format!("{}{pruning}{days}{table}", source.mapping.fingerprint);
        let wanted = Wanted {
            lineage: Lineage::new(&mapping, endpoints, plan.keyer.key_id()),
            asked: asked.clone(),
            files: snapshot
                .files
                .iter()
                .map(|f| (snapshot.store.shown(&f.path), f.pin.clone()))
                .collect(),
            unopened: snapshot
                .files
                .iter()
                .enumerate()
                .filter_map(|(i, file)| Some((i, left_out(&context, file)?.told()?)))
                .collect(),
        };
        let reading = Reading::of(source);
        let history = snapshot.table.as_ref().map(|table| table.history.clone());
        sources.push(Source {
            plan: source,
            snapshot,
            wanted,
            context: Arc::new(context),
            reading,
            history,
        });
    }
    refuse_two_versions(&sources)?;
    let identity = identity(plan, &registry, &sources, &queries);
    let run_id = named(plan.as_of, &identity);
    queries.splice(0..0, built_in);
    Ok(Prepared { registry, memberships, residency, sources, queries, identity, run_id, budget })
}

/// Sources of one table at two versions: most of its rows stand in both. At one version they are two sources of
/// the same files, as plain files may be (docs/configuration.md).
fn refuse_two_versions(sources: &[Source<'_>]) -> Result<(), SnapshotError> {
    let tables = sources
        .iter()
        .filter_map(|source| Some((&source.plan.name, source.snapshot.table.as_ref()?)));
    let mut before: Vec<(&String, &Arc<Table>)> = Vec::new();
    for (second, other) in tables {
        let is_other = |of: &Table| {
            (of.format, of.version) != (other.format, other.version)
                && of.place.is_same(&other.place)
        };
        if let Some((first, one)) = before.iter().find(|(_, of)| is_other(of)) {
            return Err(SnapshotError::TwoVersions {
                first: (*first).clone(),
                second: second.clone(),
                url: one.place.to_string(),
                versions: format!("{} and {}", one.shown(), other.shown()),
            });
        }
        before.push((second, other));
    }
    Ok(())
}

/// The configuration, variables in their place, without what changes no figure: limits and places, and
/// which report is followed, which stands apart.
fn deciding(plan: &RunPlan) -> Value {
    let mut document = plan.document.clone();
    if let Some(keys) = document.as_object_mut() {
        for key in ["run", "output", "state"] {
            keys.remove(key);
        }
    }
    document.pointer_mut("/report").and_then(Value::as_object_mut).map(|r| r.remove("follows"));
    document
}

/// A hash of all that decides the tables but for the report that is followed.
fn identity(plan: &RunPlan, registry: &Registry, sources: &[Source<'_>], user: &[Query]) -> String {
    let document = deciding(plan);
    let inputs: Vec<_> = sources.iter().map(|s| (&s.plan.name, &s.wanted.files)).collect();
    // Two versions may have the same files: the manifest names one.
    let tables = sources.iter().filter_map(|s| {
        let table = s.snapshot.table.as_ref()?;
        Some((&s.plan.name, &s.wanted.lineage, table.version, &table.history, &table.doubts))
    });
    let tables: Vec<_> = tables.collect();
    // What the table tells of a file stands for the file where it is not opened.
    let unopened: Vec<BTreeMap<_, _>> =
        sources.iter().map(|s| s.wanted.unopened.iter().collect()).collect();
    // There may be many: no tree of values is made of them.
    let unopened = sha256(format!("{unopened:?}").as_bytes());
    let queries: Vec<_> = user.iter().map(|q| (&q.table, &q.sql)).collect();
    let identity = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "merkle": merkle::ALGORITHM,
        "as_of": plan.as_of.to_rfc3339(),
        "document": document,
        "inputs": inputs,
        "tables": tables,
        "unopened": unopened,
        "registry": registry.files,
        "queries": queries,
        "key": plan.keyer.key_id(),
        "pruning": plan.pruning,
        "allow_incomplete": plan.allow_incomplete,
    });
    sha256(identity.to_string().as_bytes())
}
