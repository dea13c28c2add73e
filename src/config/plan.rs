//! The checked settings of one run.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Overrides;
use super::document::{Node, Place, Problem};
use super::raw::{
    self, Column, Encoding, GroupsLimit, Kind, Missing, NullStatus, ScopesMean, StatusValue,
};
use crate::key::Keyer;
use crate::moment::{EpochUnit, Moment, Zone, parse_duration};
use crate::store::StoreUrl;

/// What a run will do: every setting checked, nothing read yet.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// The end of the report: events before it count.
    pub as_of: Moment,
    pub sources: Vec<SourcePlan>,
    pub registry: RegistryPlan,
    pub lookback_days: u32,
    pub max_rejected_rows: u64,
    /// Groups listed per scope; `None` lists all.
    pub groups_limit: Option<u64>,
    /// SQL files of the user, each a table.
    pub queries: Vec<PathBuf>,
    pub output: StoreUrl,
    pub state: StoreUrl,
    pub keyer: Keyer,
    /// Bytes.
    pub memory_limit: u64,
    pub threads: usize,
    pub temp_dir: Option<PathBuf>,
    pub allow_incomplete: bool,
    /// Off only to show that pruning changes nothing.
    pub pruning: bool,
    /// The configuration as given, for the manifest; secrets stand in it by reference only.
    pub document: Value,
}

/// One log.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    pub name: String,
    pub url: StoreUrl,
    pub mapping: MappingPlan,
    pub partition_time: Option<PartitionTimePlan>,
    pub expected: Option<ExpectedPlan>,
    /// Namespaces of people, groups and event ids.
    pub person_namespace: String,
    pub group_namespace: String,
    pub event_namespace: String,
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
    /// Roles of columns whose values are lower-cased.
    pub fn folded(&self) -> Vec<&'static str> {
        [
            Some(&self.time),
            Some(&self.app),
            self.scopes.as_ref(),
            self.subject.as_ref(),
            self.actor.as_ref(),
            self.group.as_ref(),
            self.status.as_ref(),
            self.fields.as_ref(),
            self.event_id.as_ref(),
        ]
        .into_iter()
        .flatten()
        .filter(|c| c.fold_case)
        .map(|c| c.role)
        .collect()
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
#[derive(Clone, Debug)]
pub struct PartitionTimePlan {
    pub column: String,
    pub grain: i64,
    pub slack: i64,
}

/// Days for which data must exist: [from, until), as day numbers.
#[derive(Clone, Debug)]
pub struct ExpectedPlan {
    pub from_day: i64,
    pub until_day: i64,
}

/// Where the registry is.
#[derive(Clone, Debug)]
pub struct RegistryPlan {
    pub scopes: StoreUrl,
    pub apps: Option<StoreUrl>,
    pub extensions: Option<StoreUrl>,
    pub endpoints: Option<StoreUrl>,
    pub zone: Zone,
}

struct Builder<'a> {
    node: &'a Node,
    base: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    fn problem(&mut self, path: &[&str], message: impl Into<String>) {
        self.problems.push(Problem { at: self.node.place_of(path), message: message.into() });
    }

    fn take<T>(&mut self, path: &[&str], result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(path, message)).ok()
    }

    fn url(&mut self, path: &[&str], text: &str, store: &raw::Store) -> Option<StoreUrl> {
        let url = StoreUrl::parse(text, self.base, store);
        self.take(path, url)
    }

    fn column(&mut self, at: &[&str], role: &'static str, column: &Column) -> Option<ColumnPlan> {
        let table = match column {
            Column::Name(name) => {
                raw::ColumnTable { path: Some(name.clone()), ..Default::default() }
            }
            Column::Full(table) => (**table).clone(),
        };
        let path: Vec<&str> = at.iter().copied().chain(["columns", role]).collect();
        let source = match (table.path, table.concat, table.entry, table.json) {
            (Some(p), None, _, _) if p.is_empty() => Err("the column's name is empty".to_string()),
            (Some(p), None, None, None) => Ok(ColumnSource::Path(p)),
            (Some(p), None, Some(e), None) => Ok(ColumnSource::Entry {
                path: p,
                name: e.name,
                equals: e.equals,
                value: e.value,
            }),
            (Some(p), None, None, Some(json)) => Ok(ColumnSource::Json {
                path: p,
                pointer: json.split('.').map(str::to_string).collect(),
            }),
            (None, Some(parts), None, None) if !parts.is_empty() => Ok(ColumnSource::Concat(parts)),
            (None, None, ..) => Err("give the column's `path`, or `concat`".into()),
            _ => Err("`path` with one of `entry` and `json`, or `concat` alone: not several".into()),
        };
        let source = self.take(&path, source);
        let format = match table.format.as_deref() {
            None => Some(None),
            Some(text) => self.take(&path, time_format(text)).map(Some),
        };
        let zone = match table.zone.as_deref() {
            None => Some(None),
            Some(text) => self.take(&path, Zone::parse(text)).map(Some),
        };
        let times = ["time"];
        if (table.format.is_some() || table.zone.is_some()) && !times.contains(&role) {
            self.problem(&path, "`format` and `zone` are for the time column");
        }
        if table.encoding.is_some() && !["scopes", "fields"].contains(&role) {
            self.problem(&path, "`encoding` is for the columns scopes and fields");
        }
        Some(ColumnPlan {
            role,
            source: source?,
            encoding: table.encoding,
            format: format?,
            zone: zone?,
            kind: table.kind,
            fold_case: table.fold_case,
            missing: table.missing,
        })
    }

    fn mapping(
        &mut self,
        at: &[&str],
        source: &raw::Source,
        has_endpoints: bool,
    ) -> Option<MappingPlan> {
        let c = &source.columns;
        let mut optional = |role: &'static str, column: &Option<Column>| {
            column.as_ref().and_then(|column| self.column(at, role, column))
        };
        let (scopes, subject) = (optional("scopes", &c.scopes), optional("subject", &c.subject));
        let (actor, group) = (optional("actor", &c.actor), optional("group", &c.group));
        let (status, bytes) = (optional("status", &c.status), optional("bytes", &c.bytes));
        let (records, fields) = (optional("records", &c.records), optional("fields", &c.fields));
        let (weight, event_id) = (optional("weight", &c.weight), optional("event_id", &c.event_id));
        let (endpoint, method) = (optional("endpoint", &c.endpoint), optional("method", &c.method));
        let time = self.column(at, "time", &c.time);
        let app = self.column(at, "app", &c.app);

        let columns: Vec<&str> = at.iter().copied().chain(["columns"]).collect();
        let endpoints_used = has_endpoints && c.endpoint.is_some();
        if c.scopes.is_none() && !endpoints_used {
            self.problem(&columns, format!(
                "source `{}` maps no `scopes`; map the column, or map `endpoint` and give registry.endpoints",
                source.name
            ));
        }
        let several = scopes
            .as_ref()
            .and_then(|s| s.encoding)
            .is_some_and(|encoding| encoding != Encoding::Single);
        if several && source.scopes_mean.is_none() && !endpoints_used {
            self.problem(&columns, format!(
                "source `{}` has several scopes in a row: say what they mean with scopes_mean = \
                 \"exercised\" or \"held\", or map `endpoint` and give registry.endpoints",
                source.name
            ));
        }
        let status_rule = self.status_rule(at, source);
        let fingerprint = serde_json::json!({
            "columns": source.columns,
            "scopes_mean": source.scopes_mean,
            "status": source.status,
            "partition_time": source.partition_time,
        });
        Some(MappingPlan {
            time: time?,
            app: app?,
            scopes,
            subject,
            actor,
            group,
            status,
            bytes,
            records,
            fields,
            weight,
            event_id,
            endpoint,
            method,
            scopes_mean: source.scopes_mean,
            status_rule: status_rule?,
            fingerprint: fingerprint.to_string(),
        })
    }

    fn status_rule(&mut self, at: &[&str], source: &raw::Source) -> Option<StatusPlan> {
        let path: Vec<&str> = at.iter().copied().chain(["status"]).collect();
        let Some(rule) = &source.status else {
            return Some(StatusPlan { ranges: vec![(200, 299)], ..Default::default() });
        };
        if source.columns.status.is_none() {
            self.problem(&path, format!(
                "source `{}` has a status rule but maps no status column",
                source.name
            ));
        }
        let mut plan = StatusPlan {
            null_is_allowed: rule.null == NullStatus::Allowed,
            ..Default::default()
        };
        for value in &rule.allowed {
            match value {
                StatusValue::Number(n) => plan.ranges.push((*n, *n)),
                StatusValue::Text(text) => match parse_range(text) {
                    Some((from, to)) if from <= to => plan.ranges.push((from, to)),
                    Some(_) => self.problem(&path, format!("the range \"{text}\" ends before it begins")),
                    None => plan.words.push(text.clone()),
                },
            }
        }
        if plan.ranges.is_empty() && plan.words.is_empty() && !plan.null_is_allowed {
            self.problem(&path, "`allowed` is empty: every call would count as denied");
        }
        Some(plan)
    }

    fn partition_time(&mut self, at: &[&str], raw: &raw::PartitionTime) -> Option<PartitionTimePlan> {
        let path: Vec<&str> = at.iter().copied().chain(["partition_time"]).collect();
        let grain = self.take(&path, parse_duration(&raw.grain));
        let slack = self.take(&path, parse_duration(&raw.slack));
        if grain == Some(0) {
            self.problem(&path, "`grain` must be longer than nothing");
        }
        Some(PartitionTimePlan { column: raw.column.clone(), grain: grain?, slack: slack? })
    }

    fn expected(&mut self, at: &[&str], raw: &raw::Expected, as_of: Option<Moment>) -> Option<ExpectedPlan> {
        let path: Vec<&str> = at.iter().copied().chain(["expected"]).collect();
        if raw.every != "1d" {
            self.problem(&path, format!("`every` is \"{}\"; only \"1d\" is supported", raw.every));
        }
        let from = self.take(&path, Moment::parse_setting(&raw.from, Zone::UTC));
        let until = match &raw.until {
            Some(text) => self.take(&path, Moment::parse_setting(text, Zone::UTC)),
            None => as_of,
        };
        let grace = self.take(&path, parse_duration(&raw.grace));
        let (from, until, grace, as_of) = (from?, until?, grace?, as_of?);
        let settled = as_of.plus_micros(-grace).day();
        let plan = ExpectedPlan { from_day: from.day(), until_day: until.day().min(settled) };
        if until <= from {
            self.problem(&path, "`until` is not after `from`");
        }
        Some(plan)
    }

    fn source(
        &mut self,
        index: usize,
        source: &raw::Source,
        has_endpoints: bool,
        as_of: Option<Moment>,
    ) -> Option<SourcePlan> {
        let index = index.to_string();
        let at = ["source", index.as_str()];
        let at = at.as_slice();
        let mut key = at.to_vec();
        key.push("url");
        let url = self.url(&key, &source.url, &source.store);
        let mapping = self.mapping(at, source, has_endpoints);
        let partition_time = match &source.partition_time {
            Some(raw) => Some(self.partition_time(at, raw)?),
            None => None,
        };
        let expected = match &source.expected {
            Some(raw) => Some(self.expected(at, raw, as_of)?),
            None => None,
        };
        if source.name.is_empty() || source.name.contains(['/', '\\']) {
            let mut key = at.to_vec();
            key.push("name");
            self.problem(&key, "a source's name must not be empty or hold a slash");
        }
        let spaces = &source.namespaces;
        let space = |own: &Option<String>| own.clone().unwrap_or_else(|| source.name.clone());
        Some(SourcePlan {
            name: source.name.clone(),
            url: url?,
            mapping: mapping?,
            partition_time,
            expected,
            person_namespace: space(&spaces.person),
            group_namespace: space(&spaces.group),
            event_namespace: space(&spaces.event),
        })
    }
}

/// Checks what the shape cannot: values, and how they fit together.
pub fn build(
    document: &raw::Document,
    node: &Node,
    base: &Path,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<RunPlan> {
    let argument = |flag: &str, text: &str| Place::Argument(format!("{flag} {text}"));
    let as_of = Moment::parse_setting(&overrides.as_of, Zone::UTC)
        .map_err(|message| {
            problems.push(Problem { at: argument("--as-of", &overrides.as_of), message });
        })
        .ok();
    let mut b = Builder { node, base, problems };
    if document.source.is_empty() {
        b.problem(&["source"], "no [[source]] is given; there is nothing to read");
    }
    for (index, source) in document.source.iter().enumerate() {
        if document.source.iter().take(index).any(|s| s.name == source.name) {
            let index = index.to_string();
            b.problem(&["source", &index, "name"], format!("two sources are named `{}`", source.name));
        }
    }
    let has_endpoints = document.registry.endpoints.is_some();
    let sources: Vec<SourcePlan> = document
        .source
        .iter()
        .enumerate()
        .filter_map(|(i, source)| b.source(i, source, has_endpoints, as_of))
        .collect();

    let reg = &document.registry;
    let zone = match &reg.zone {
        Some(text) => b.take(&["registry", "zone"], Zone::parse(text)),
        None => Some(Zone::UTC),
    };
    let scopes = b.url(&["registry", "scopes"], &reg.scopes, &reg.store);
    let mut optional = |key: &str, text: &Option<String>| match text {
        Some(text) => b.url(&["registry", key], text, &reg.store).map(Some),
        None => Some(None),
    };
    let apps = optional("apps", &reg.apps);
    let extensions = optional("extensions", &reg.extensions);
    let endpoints = optional("endpoints", &reg.endpoints);

    let output = match &overrides.output {
        Some(text) => flag_url(text, &document.output.store, "--output", b.problems),
        None => b.url(&["output", "url"], &document.output.url, &document.output.store),
    };
    let state = match (&overrides.state, &document.state) {
        (Some(text), _) => flag_url(text, &document.output.store, "--state", b.problems),
        (None, Some(state)) => b.url(&["state", "url"], &state.url, &state.store),
        (None, None) => output.as_ref().map(|output| output.join("state")),
    };
    let groups_limit = match &document.report.groups {
        None => Some(10_000),
        Some(GroupsLimit::Count(n)) => Some(u64::from(*n)),
        Some(GroupsLimit::Word(word)) if word == "all" => None,
        Some(GroupsLimit::Word(word)) => {
            b.problem(&["report", "groups"], format!("`report.groups` is \"{word}\"; write a number or \"all\""));
            None
        }
    };
    let keyer = match overrides.id_key.as_ref().or(document.ids.key.as_ref()) {
        None => Some(Keyer::plain()),
        Some(reference) => b.take(&["ids", "key"], secret(reference, base, env)).map(|s| Keyer::with_secret(&s)),
    };
    let memory_limit = match overrides.memory_limit.as_ref().or(document.run.memory_limit.as_ref()) {
        None => Some(crate::memory::default_limit()),
        Some(text) => b.take(&["run", "memory_limit"], parse_bytes(text)),
    };
    let threads = overrides.threads.or(document.run.threads).map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |n| usize::try_from(n).unwrap_or(1),
    );
    if threads == 0 || threads > 1024 {
        b.problem(&["run", "threads"], format!("`threads` is {threads}; it must be 1 to 1024"));
    }
    let queries = document.report.queries.iter().map(|q| base.join(q)).collect();
    Some(RunPlan {
        as_of: as_of?,
        sources,
        registry: RegistryPlan {
            scopes: scopes?,
            apps: apps?,
            extensions: extensions?,
            endpoints: endpoints?,
            zone: zone?,
        },
        lookback_days: document.report.lookback_days,
        max_rejected_rows: document.report.max_rejected_rows,
        groups_limit,
        queries,
        output: output?,
        state: state?,
        keyer: keyer?,
        memory_limit: memory_limit?,
        threads,
        temp_dir: document.run.temp_dir.as_ref().map(|dir| base.join(dir)),
        allow_incomplete: overrides.allow_incomplete,
        pruning: !overrides.no_pruning,
        document: serde_json::to_value(document).unwrap_or(Value::Null),
    })
}

/// A URL given as a flag is relative to the working folder.
fn flag_url(
    text: &str,
    store: &raw::Store,
    flag: &str,
    problems: &mut Vec<Problem>,
) -> Option<StoreUrl> {
    StoreUrl::parse(text, Path::new("."), store)
        .map_err(|message| problems.push(Problem { at: Place::Argument(flag.into()), message }))
        .ok()
}

fn time_format(text: &str) -> Result<TimeFormat, String> {
    Ok(match text {
        "rfc3339" => TimeFormat::Rfc3339,
        "epoch_s" => TimeFormat::Epoch(EpochUnit::Seconds),
        "epoch_ms" => TimeFormat::Epoch(EpochUnit::Millis),
        "epoch_us" => TimeFormat::Epoch(EpochUnit::Micros),
        "epoch_ns" => TimeFormat::Epoch(EpochUnit::Nanos),
        pattern if pattern.contains('%') => {
            let bad = chrono::format::StrftimeItems::new(pattern)
                .any(|item| matches!(item, chrono::format::Item::Error));
            if bad {
                return Err(format!("the time format \"{pattern}\" has an unknown % sequence"));
            }
            TimeFormat::Pattern(pattern.to_string())
        }
        other => {
            return Err(format!(
                "\"{other}\" is no time format; write rfc3339, epoch_s, epoch_ms, epoch_us, epoch_ns or a strftime pattern"
            ));
        }
    })
}

fn parse_range(text: &str) -> Option<(i64, i64)> {
    if let Ok(n) = text.trim().parse() {
        return Some((n, n));
    }
    // A leading minus belongs to the number.
    let dash = text.get(1..)?.find('-')? + 1;
    let (from, to) = (text.get(..dash)?, text.get(dash + 1..)?);
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

/// Reads a secret by reference; neither the secret nor what a variable holds reaches a message.
fn secret(
    reference: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let value = if let Some(name) = reference.strip_prefix("env:") {
        env(name).ok_or_else(|| format!("the id key's environment variable {name} is not set"))?
    } else if let Some(path) = reference.strip_prefix("file:") {
        std::fs::read_to_string(base.join(path))
            .map_err(|error| format!("the id key's file {path} cannot be read: {error}"))?
            .trim_end()
            .to_string()
    } else {
        return Err("an id key is given by reference: env:NAME or file:PATH".into());
    };
    if value.len() < 16 {
        return Err("the id key is shorter than 16 bytes; use a random one of 32".into());
    }
    Ok(value)
}

/// `512MB`, `4GiB`, `1000000`: bytes.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no amount of memory; write 512MB or 4GiB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.get(digits.len()..).unwrap_or_default().trim();
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "kib" => 1 << 10,
        "mb" | "m" => 1_000_000,
        "mib" => 1 << 20,
        "gb" | "g" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return Err(bad()),
    };
    let count: f64 = digits.trim().parse().map_err(|_| bad())?;
    let bytes = count * factor as f64;
    if !(1.0..1e18).contains(&bytes) {
        return Err(bad());
    }
    Ok(bytes as u64)
}
