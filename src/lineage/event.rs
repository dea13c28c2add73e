//! Events as the OpenLineage specification (2-0-2) has them.

use std::time::SystemTime;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::columns;
use super::names::{self, Dataset};
use super::settings::{Parent, Settings};
use crate::config::RunPlan;
use crate::database::{self, Filled};
use crate::hidden::visible_lines;
use crate::impact::{TableSpec, built_in};
use crate::moment::Moment;
use crate::pipeline::{Input, InputOf, Summary};
use crate::publish::{LATEST_FOLDER, Manifest, Publisher};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PRODUCER: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/v", env!("CARGO_PKG_VERSION"));
const SPEC: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const ABOUT: &str = "Counts whom apps reached through restricted access scopes, from access logs, and publishes impact tables.";

/// Longest error message: what a person reads of one.
const LONGEST_MESSAGE: usize = 2000;

/// What is the same in all events of a run.
#[derive(Debug)]
pub struct Run {
    id: Uuid,
    namespace: String,
    job: String,
    as_of: Moment,
    parent: Option<Parent>,
    root: Option<Parent>,
    plan: RunPlan,
}

/// What a run has published.
#[derive(Debug)]
pub struct Published {
    pub manifest: Manifest,
    /// Whether `latest/` holds its tables.
    pub is_latest: bool,
    /// Whether it stood there before: nothing was read and nothing written.
    pub reused: bool,
    /// The same tables in the database, where there is one.
    pub database: Option<Filled>,
}

impl Published {
    /// What a finished run has published; `None` where it cannot be read any more.
    pub fn of(publisher: &Publisher, summary: &Summary) -> Option<Self> {
        let manifest = publisher.manifest(&summary.run_id).ok()??;
        let manifest = Manifest::parse(&manifest).ok()?;
        let latest = publisher.latest().ok().flatten();
        let is_latest = latest.is_some_and(|run_id| run_id == summary.run_id);
        let database = summary.database.clone();
        Some(Self { manifest, is_latest, reused: summary.reused, database })
    }
}

/// How a run stands.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    Start,
    Running,
    /// Without what was published, where that cannot be read any more.
    Complete(Option<&'a Published>),
    Fail(&'a str),
    Abort,
}

impl State<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Running => "RUNNING",
            Self::Complete(_) => "COMPLETE",
            Self::Fail(_) => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

impl Run {
    /// A run of its own, each time: its id begins with the time (UUID version 7) and is no part of the report.
    pub fn new(settings: &Settings, plan: &RunPlan) -> Self {
        Self {
            id: Uuid::now_v7(),
            namespace: settings.namespace.clone(),
            job: names::job(&plan.output),
            as_of: plan.as_of,
            parent: settings.parent.clone(),
            root: settings.root.clone(),
            plan: plan.clone(),
        }
    }

    /// The event. `inputs` are what is pinned, or none before that.
    pub fn event(&self, state: State<'_>, inputs: &[Input]) -> Value {
        let published = match state {
            State::Complete(published) => published,
            _ => None,
        };
        json!({
            "eventType": state.name(),
            "eventTime": now(),
            "producer": PRODUCER,
            "schemaURL": SPEC,
            "run": { "runId": self.id.to_string(), "facets": self.run_facets(state) },
            "job": { "namespace": self.namespace, "name": self.job, "facets": job_facets() },
            "inputs": self.inputs(inputs, published),
            "outputs": published.map(|of| self.outputs(of)).unwrap_or_default(),
        })
    }

    fn run_facets(&self, state: State<'_>) -> Value {
        let mut facets = Map::new();
        let mut add = |name: &str, facet: Value| facets.insert(name.to_string(), facet);
        add(
            "nominalTime",
            facet(
                "1-0-1/NominalTimeRunFacet",
                json!({ "nominalStartTime": self.as_of.to_rfc3339() }),
            ),
        );
        add(
            "processing_engine",
            facet(
                "1-1-1/ProcessingEngineRunFacet",
                json!({ "name": "afterscope", "version": VERSION, "openlineageAdapterVersion": VERSION }),
            ),
        );
        if let Some(parent) = &self.parent {
            let mut told = named(parent);
            if let (Some(fields), Some(root)) = (told.as_object_mut(), &self.root) {
                fields.insert("root".into(), named(root));
            }
            add("parent", facet("1-2-0/ParentRunFacet", told));
        }
        if let State::Fail(message) = state {
            let message: String = visible_lines(message).chars().take(LONGEST_MESSAGE).collect();
            add(
                "errorMessage",
                facet(
                    "1-0-1/ErrorMessageRunFacet",
                    json!({ "message": message, "programmingLanguage": "RUST" }),
                ),
            );
        }
        Value::Object(facets)
    }

    fn inputs(&self, pinned: &[Input], published: Option<&Published>) -> Vec<Value> {
        if pinned.is_empty() {
            let sources = self.plan.sources.iter().map(|source| &source.url);
            let registry = self.plan.registry.given();
            let urls = sources.chain(registry.into_iter().map(|(_, url)| url));
            let each = urls.map(|url| (Dataset::of(url), Map::new(), None));
            return merged(each);
        }
        // What was read for a run that stood there before was read then.
        let published = published.filter(|published| !published.reused);
        merged(pinned.iter().map(|input| {
            let read = published.map(|published| Read::of(input, &published.manifest));
            (Dataset::of(&input.url), input_facets(input), read)
        }))
    }

    /// One dataset for each table: under its stable name where that is what the run wrote, else in its folder. In the
    /// database its table, and its view where that shows the run.
    fn outputs(&self, published: &Published) -> Vec<Value> {
        let specs: Vec<TableSpec> =
            built_in().into_iter().flatten().filter_map(|query| query.spec).collect();
        let manifest = &published.manifest;
        let folder = if published.is_latest {
            self.plan.output.join(LATEST_FOLDER)
        } else {
            self.plan.output.join(&format!("runs/{}/tables", manifest.run_id))
        };
        let change = if published.is_latest && manifest.supersedes.is_some() {
            "OVERWRITE"
        } else {
            "CREATE"
        };
        let mut outputs = Vec::new();
        for (table, output) in manifest.parquet_tables() {
            let spec = specs.iter().find(|spec| spec.name == table);
            let made_of = spec.and_then(|spec| self.made_of(spec));
            let of = |dataset: &Dataset, schema: Option<Value>| {
                let mut facets = place_facets(dataset, &manifest.run_id);
                schema.into_iter().for_each(|schema| add(&mut facets, "schema", schema));
                made_of.iter().for_each(|of| add(&mut facets, "columnLineage", of.clone()));
                facets
            };
            let file = Dataset::at(&folder.join(&format!("{table}.parquet")));
            let mut facets = of(&file, spec.map(schema_of));
            let mut written = None;
            if !published.reused {
                let change = json!({ "lifecycleStateChange": change });
                let change = facet("1-0-1/LifecycleStateChangeDatasetFacet", change);
                add(&mut facets, "lifecycleStateChange", change);
                written =
                    Some(json!({ "rowCount": output.rows, "size": output.bytes, "fileCount": 1 }));
            }
            outputs.push(told(&file, facets, written));
            let Some(filled) = &published.database else { continue };
            let rows = (!filled.stood).then(|| json!({ "rowCount": output.rows }));
            let history = (database::history_of(table), "TABLE", rows);
            let view = published.is_latest.then(|| (table.to_string(), "VIEW", None));
            for (name, kind, written) in [history].into_iter().chain(view) {
                let relation = Dataset::relation(&filled.place, &name);
                let mut facets = of(&relation, spec.map(schema_in_database));
                let kind = facet("1-0-1/DatasetTypeDatasetFacet", json!({ "datasetType": kind }));
                add(&mut facets, "datasetType", kind);
                outputs.push(told(&relation, facets, written));
            }
        }
        outputs
    }

    /// Which columns of the inputs a table's columns are made of.
    fn made_of(&self, spec: &TableSpec) -> Option<Value> {
        let columns: Vec<&str> = spec.columns.iter().map(|c| c.name.as_str()).collect();
        let lineage = columns::facet(&self.plan, &spec.name, &columns)?;
        Some(facet("1-2-0/ColumnLineageDatasetFacet", lineage))
    }
}

fn add(facets: &mut Map<String, Value>, name: &str, facet: Value) {
    facets.insert(name.to_string(), facet);
}

/// An output, and what was written of it, where anything was.
fn told(dataset: &Dataset, facets: Map<String, Value>, written: Option<Value>) -> Value {
    let mut told = json!({ "namespace": dataset.namespace, "name": dataset.name });
    if let Some(fields) = told.as_object_mut() {
        fields.insert("facets".into(), facets.into());
        if let Some(written) = written {
            let statistics = facet("1-0-2/OutputStatisticsOutputDatasetFacet", written);
            fields.insert("outputFacets".into(), json!({ "outputStatistics": statistics }));
        }
    }
    told
}

/// What a run rests on, of one input.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// Of logs the rows of all files, those that the ledger held already among them; of other inputs not told.
    rows: Option<u64>,
    bytes: u64,
    files: u64,
}

impl Read {
    fn of(input: &Input, manifest: &Manifest) -> Self {
        let rows = match &input.of {
            InputOf::Source(name) => rows_of(manifest, name),
            InputOf::Registry(_) => None,
        };
        Self { rows, bytes: input.bytes, files: input.files }
    }

    fn with(self, other: Self) -> Self {
        let rows = self.rows.zip(other.rows).map(|(a, b)| a + b);
        Self { rows, bytes: self.bytes + other.bytes, files: self.files + other.files }
    }

    fn facets(self) -> Value {
        let mut statistics = json!({ "size": self.bytes, "fileCount": self.files });
        if let (Some(fields), Some(rows)) = (statistics.as_object_mut(), self.rows) {
            fields.insert("rowCount".into(), rows.into());
        }
        json!({ "inputStatistics": facet("1-0-0/InputStatisticsInputDatasetFacet", statistics) })
    }
}

/// The rows of a source's files, by the manifest.
fn rows_of(manifest: &Manifest, source: &str) -> Option<u64> {
    let sources = manifest.details.get("sources")?.as_array()?;
    let of = sources.iter().find(|of| of.get("name").and_then(Value::as_str) == Some(source))?;
    of.pointer("/rows/in_metadata")?.as_u64()
}

/// Inputs as events have them: two sources of one place are one dataset, of which more was read.
fn merged(inputs: impl Iterator<Item = (Dataset, Map<String, Value>, Option<Read>)>) -> Vec<Value> {
    let mut each: Vec<(Dataset, Map<String, Value>, Option<Read>)> = Vec::new();
    for (dataset, facets, read) in inputs {
        match each.iter_mut().find(|(known, ..)| *known == dataset) {
            Some((_, _, sum)) => *sum = sum.zip(read).map(|(a, b)| a.with(b)),
            None => each.push((dataset, facets, read)),
        }
    }
    let told = each.into_iter().map(|(dataset, facets, read)| {
        let mut told = json!({ "namespace": dataset.namespace, "name": dataset.name });
        if let Some(fields) = told.as_object_mut() {
            fields.insert("facets".into(), facets.into());
            if let Some(read) = read {
                fields.insert("inputFacets".into(), read.facets());
            }
        }
        told
    });
    told.collect()
}

fn input_facets(input: &Input) -> Map<String, Value> {
    let mut facets = place_facets(&Dataset::of(&input.url), &input.version);
    if !input.columns.is_empty() {
        let fields = input.columns.iter().map(|(name, data_type)| match data_type {
            Some(data_type) => json!({ "name": name, "type": data_type }),
            None => json!({ "name": name }),
        });
        let fields: Vec<Value> = fields.collect();
        facets.insert(
            "schema".into(),
            facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields })),
        );
    }
    facets
}

fn place_facets(dataset: &Dataset, version: &str) -> Map<String, Value> {
    let place = json!({ "name": dataset.namespace, "uri": dataset.store() });
    let version = json!({ "datasetVersion": version });
    let mut facets = Map::new();
    facets.insert("dataSource".into(), facet("1-0-1/DatasourceDatasetFacet", place));
    facets.insert("version".into(), facet("1-0-1/DatasetVersionDatasetFacet", version));
    facets
}

fn schema_of(spec: &TableSpec) -> Value {
    let fields = spec.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.data_type.name(),
            "description": column.meaning,
        })
    });
    facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields.collect::<Vec<_>>() }))
}

/// The same table as the database has it.
fn schema_in_database(spec: &TableSpec) -> Value {
    let fields = database::columns(spec).into_iter().map(|(name, data_type, comment)| {
        json!({ "name": name, "type": data_type, "description": comment })
    });
    facet("1-2-0/SchemaDatasetFacet", json!({ "fields": fields.collect::<Vec<_>>() }))
}

fn job_facets() -> Value {
    let kind = json!({ "processingType": "BATCH", "integration": "AFTERSCOPE", "jobType": "JOB" });
    json!({
        "jobType": facet("2-0-4/JobTypeJobFacet", kind),
        "documentation": facet("1-1-0/DocumentationJobFacet", json!({ "description": ABOUT })),
    })
}

fn named(parent: &Parent) -> Value {
    json!({
        "run": { "runId": parent.run.to_string() },
        "job": { "namespace": parent.namespace, "name": parent.job },
    })
}

/// A facet: `schema` is version and name of its definition.
fn facet(schema: &str, content: Value) -> Value {
    let name = schema.rsplit('/').next().unwrap_or_default();
    let mut all = Map::new();
    all.insert("_producer".into(), PRODUCER.into());
    let url = format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}");
    all.insert("_schemaURL".into(), url.into());
    if let Value::Object(content) = content {
        all.extend(content);
    }
    Value::Object(all)
}

/// The clock: an event is told when it happens, and no figure depends on it.
fn now() -> String {
    chrono::DateTime::<chrono::Utc>::from(SystemTime::now())
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
