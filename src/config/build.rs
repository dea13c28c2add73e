//! From the configuration as written to a checked [`RunPlan`]: values, and how they fit together.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Overrides;
use super::document::{Node, Place, Problem};
use super::people::people_plan;
use super::places::{WRITTEN, would_be_read};
use super::plan::{
    ColumnPlan, ColumnSource, ExpectedPlan, Follows, IncidentPlan, MappingPlan, PartitionTimePlan,
    RegistryPlan, RunPlan, SourcePlan, StatusPlan, is_run_id,
};
use super::raw::{self, Column, Encoding, GroupsLimit, NullStatus, StatusValue};
use super::values::{parse_bytes, parse_range, secret, sign_key, time_format};
use crate::key::Keyer;
use crate::moment::{Moment, Zone, parse_duration};
use crate::store::{StoreUrl, check_options};

pub(super) struct Builder<'a> {
    node: &'a Node,
    pub(super) base: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    pub(super) fn problem(&mut self, path: &[&str], message: impl Into<String>) {
        self.problems.push(Problem { at: self.node.place_of(path), message: message.into() });
    }

    pub(super) fn take<T>(&mut self, path: &[&str], result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(path, message)).ok()
    }

    fn take_at<T>(&mut self, at: Place, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problems.push(Problem { at, message })).ok()
    }

    fn url(&mut self, path: &[&str], text: &str, store: &raw::Store) -> Option<StoreUrl> {
        if let Err((key, message)) = check_options(store, self.base) {
            let beside = path.split_last().map_or(path, |(_, folder)| folder);
            let at: Vec<&str> = beside.iter().copied().chain(["store", key]).collect();
            self.problem(&at, message);
            return None;
        }
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
            (Some(p), None, _, _) if p.is_empty() => {
                Err("the column's name is empty; write the name of a column of the log".to_string())
            }
            (Some(p), None, None, None) => Ok(ColumnSource::Path(p)),
            (Some(p), None, Some(e), None) => {
                Ok(ColumnSource::Entry { path: p, name: e.name, equals: e.equals, value: e.value })
            }
            (Some(p), None, None, Some(json)) => Ok(ColumnSource::Json {
                path: p,
                pointer: json.split('.').map(str::to_string).collect(),
            }),
            (None, Some(parts), None, None) if !parts.is_empty() => Ok(ColumnSource::Concat(parts)),
            (None, None, ..) => Err("give the column's `path`, or `concat`".into()),
            _ => {
                Err("`path` with one of `entry` and `json`, or `concat` alone: not several".into())
            }
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
        let ids = ["subject", "actor", "group", "event_id"];
        if table.kind.is_some() && !ids.contains(&role) {
            self.problem(&path, "`kind` is for ids: subject, actor, group, event_id");
        }
        let folds = ["app", "scopes", "subject", "actor", "group", "event_id", "status", "fields"];
        if table.fold_case && !folds.contains(&role) {
            self.problem(&path, format!("`fold_case` is for texts: {}", folds.join(", ")));
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
            self.problem(
                &path,
                format!("source `{}` has a status rule but maps no status column", source.name),
            );
        }
        let mut plan =
            StatusPlan { null_is_allowed: rule.null == NullStatus::Allowed, ..Default::default() };
        for value in &rule.allowed {
            match value {
                StatusValue::Number(n) => plan.ranges.push((*n, *n)),
                StatusValue::Text(text) => match parse_range(text) {
                    Some((from, to)) if from <= to => plan.ranges.push((from, to)),
                    Some(_) => {
                        self.problem(&path, format!("the range \"{text}\" ends before it begins"))
                    }
                    None => plan.words.push(text.clone()),
                },
            }
        }
        if plan.ranges.is_empty() && plan.words.is_empty() && !plan.null_is_allowed {
            self.problem(&path, "`allowed` is empty: every call would count as denied");
        }
        Some(plan)
    }

    fn partition_time(
        &mut self,
        at: &[&str],
        raw: &raw::PartitionTime,
    ) -> Option<PartitionTimePlan> {
        let path: Vec<&str> = at.iter().copied().chain(["partition_time"]).collect();
        let grain = self.take(&path, parse_duration(&raw.grain));
        let slack = self.take(&path, parse_duration(&raw.slack));
        if grain == Some(0) {
            self.problem(&path, "`grain` must be longer than nothing");
        }
        Some(PartitionTimePlan { column: raw.column.clone(), grain: grain?, slack: slack? })
    }

    fn expected(&mut self, at: &[&str], raw: &raw::Expected) -> Option<ExpectedPlan> {
        let path: Vec<&str> = at.iter().copied().chain(["expected"]).collect();
        if raw.every != "1d" {
            self.problem(&path, format!("`every` is \"{}\"; only \"1d\" is supported", raw.every));
        }
        let from = self.take(&path, Moment::parse_setting(&raw.from, Zone::UTC));
        let until = match &raw.until {
            Some(text) => Some(self.take(&path, Moment::parse_setting(text, Zone::UTC))?),
            None => None,
        };
        let (from, grace) = (from?, self.take(&path, parse_duration(&raw.grace))?);
        if until.is_some_and(|until| until <= from) {
            self.problem(&path, "`until` is not after `from`");
        }
        Some(ExpectedPlan::new(from, until, grace))
    }

    fn incident(&mut self, raw: &raw::Incident, zone: Option<Zone>) -> Option<IncidentPlan> {
        let zone = zone.unwrap_or(Zone::UTC);
        let mut moment = |key: &str, text: &Option<String>| match text {
            None => Some(None),
            Some(text) => {
                self.take(&["incident", key], Moment::parse_setting(text, zone)).map(Some)
            }
        };
        let (aware, discovered) =
            (moment("aware", &raw.aware), moment("discovered", &raw.discovered));
        let materiality = moment("materiality", &raw.materiality);
        let notified = moment("notified", &raw.notified);
        let mut reported = BTreeMap::new();
        for (regime, text) in &raw.reported {
            let at = Moment::parse_setting(text, zone);
            reported.insert(regime.clone(), self.take(&["incident", "reported", regime], at)?);
        }
        Some(IncidentPlan {
            reported,
            aware: aware?,
            discovered: discovered?,
            materiality: materiality?,
            notified: notified?,
        })
    }

    fn source(
        &mut self,
        index: usize,
        source: &raw::Source,
        has_endpoints: bool,
    ) -> Option<SourcePlan> {
        let index = index.to_string();
        let at = ["source", index.as_str()];
        let at = at.as_slice();
        let mut key = at.to_vec();
        key.push("url");
        let url = self.url(&key, &source.url, &source.store);
        let kept = self.kept(at, source);
        let mapping = self.mapping(at, source, has_endpoints);
        let partition_time = match &source.partition_time {
            Some(raw) => Some(self.partition_time(at, raw)?),
            None => None,
        };
        let expected = match &source.expected {
            Some(raw) => Some(self.expected(at, raw)?),
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
            kept: kept?,
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
    let as_of = as_of(overrides, problems);
    let mut b = Builder { node, base, env, problems };
    if document.source.is_empty() {
        b.problem(&["source"], "no [[source]] is given; there is nothing to read");
    }
    for (index, source) in document.source.iter().enumerate() {
        if document.source.iter().take(index).any(|s| s.name == source.name) {
            let index = index.to_string();
            b.problem(
                &["source", &index, "name"],
                format!("two sources are named `{}`", source.name),
            );
        }
    }
    let has_endpoints = document.registry.endpoints.is_some();
    let sources: Vec<SourcePlan> = document
        .source
        .iter()
        .enumerate()
        .filter_map(|(i, source)| b.source(i, source, has_endpoints))
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
    let grants = optional("grants", &reg.grants);
    let brownouts = optional("brownouts", &reg.brownouts);
    let attestations = optional("attestations", &reg.attestations);
    let thresholds = optional("thresholds", &reg.thresholds);
    let memberships = optional("memberships", &reg.memberships);
    let residency = optional("residency", &reg.residency);
    let people = match (memberships, residency) {
        (Some(memberships), Some(residency)) => {
            let of = reg.people_of.as_deref();
            let plan = people_plan(memberships, residency, of, &sources);
            b.take(&["registry", "people_of"], plan)
        }
        _ => None,
    };
    let incident = b.incident(&document.incident, zone);

    let output = match &overrides.output {
        Some(text) => flag_url(text, &document.output.store, "--output", b.problems),
        None => b.url(&["output", "url"], &document.output.url, &document.output.store),
    };
    let state = match (&overrides.state, &document.state) {
        (Some(text), state) => {
            let store = state.as_ref().map_or(&document.output.store, |state| &state.store);
            flag_url(text, store, "--state", b.problems)
        }
        (None, Some(state)) => b.url(&["state", "url"], &state.url, &state.store),
        (None, None) => output.as_ref().map(|output| output.join("state")),
    };
    let groups_limit = match &document.report.groups {
        None => Some(10_000),
        Some(GroupsLimit::Count(n)) => Some(u64::from(*n)),
        Some(GroupsLimit::Word(word)) if word == "all" => None,
        Some(GroupsLimit::Word(word)) => {
            b.problem(
                &["report", "groups"],
                format!("`report.groups` is \"{word}\"; write a number or \"all\""),
            );
            None
        }
    };
    let keyer = match overrides.id_key.as_ref().or(document.ids.key.as_ref()) {
        None => Some(Keyer::plain()),
        Some(reference) => {
            let at = flag_or(node, "--id-key", overrides.id_key.is_some(), &["ids", "key"]);
            b.take_at(at, secret("id key", reference, base, env)).map(|s| Keyer::with_secret(&s))
        }
    };
    let signer = match overrides.sign_key.as_ref().or(document.output.sign_key.as_ref()) {
        _ if overrides.unsigned => Some(None),
        None => Some(None),
        Some(reference) => {
            let given = overrides.sign_key.is_some();
            let at = flag_or(node, "--sign-key", given, &["output", "sign_key"]);
            // A flag is relative to the working folder, like other paths of the command line.
            let base = if given { Path::new(".") } else { base };
            b.take_at(at, sign_key(reference, base, env)).map(Some)
        }
    };
    let database = match &document.output.postgres {
        Some(raw) if !overrides.no_database => b.database(raw).map(Some),
        _ => Some(None),
    };
    let memory_limit = match overrides.memory_limit.as_ref().or(document.run.memory_limit.as_ref())
    {
        None => Some(crate::memory::default_limit()),
        Some(text) => {
            let given = overrides.memory_limit.is_some();
            let at = flag_or(node, "--memory-limit", given, &["run", "memory_limit"]);
            b.take_at(at, parse_bytes(text))
        }
    };
    let threads = overrides.threads.or(document.run.threads).map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |n| usize::try_from(n).unwrap_or(1),
    );
    if threads == 0 || threads > 1024 {
        let at = flag_or(node, "--threads", overrides.threads.is_some(), &["run", "threads"]);
        let message = format!("`threads` is {threads}; it must be 1 to 1024");
        b.problems.push(Problem { at, message });
    }
    let output_at = flag_or(node, "--output", overrides.output.is_some(), &["output", "url"]);
    let state_at = match (&overrides.state, &document.state) {
        (Some(_), _) => Place::Argument("--state".into()),
        (None, Some(_)) => node.place_of(&["state", "url"]),
        // It follows from the output.
        (None, None) => output_at.clone(),
    };
    for (what, place, at) in [("output", &output, &output_at), ("state", &state, &state_at)] {
        // The state follows from the output where nothing else is said: that is one problem.
        let said = what == "output" || state_at != output_at;
        if let Some(kind) = place.as_ref().and_then(StoreUrl::read_only).filter(|_| said) {
            let message = format!(
                "the {what} folder is on an {kind} server, which is only read; name a local folder, s3://, az:// or gs://"
            );
            b.problems.push(Problem { at: at.clone(), message });
        }
    }
    for source in &sources {
        for (what, place, at) in [("output", &output, &output_at), ("state", &state, &state_at)] {
            if place.as_ref().is_some_and(|place| would_be_read(&source.url, place, &WRITTEN)) {
                let message = format!(
                    "the {what} folder lies inside source `{}` ({}): the next run would read it as logs; name a folder outside",
                    source.name, source.url
                );
                b.problems.push(Problem { at: at.clone(), message });
            }
        }
    }
    if let (Some(output), Some(state)) = (&output, &state)
        && state.contains(output)
    {
        let message = "the state folder must not be the output folder or hold it; name one inside, or elsewhere";
        b.problems.push(Problem { at: state_at, message: message.into() });
    }
    let follows = match overrides.follows.as_ref().or(document.report.follows.as_ref()) {
        None => Some(None),
        Some(text) => {
            let given = overrides.follows.is_some();
            let at = flag_or(node, "--follows", given, &["report", "follows"]);
            b.take_at(at, report_named(text))
        }
    };
    let suppress_below = Some(document.report.suppress_below).filter(|below| *below > 1);
    if let (Some(below), [_, ..]) = (suppress_below, document.report.queries.as_slice()) {
        let message = format!(
            "`report.suppress_below` is {below} and `report.queries` names own queries: these read unmasked figures, and what they make of them cannot be masked; leave one of the two out"
        );
        b.problem(&["report", "suppress_below"], message);
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
            grants: grants?,
            brownouts: brownouts?,
            attestations: attestations?,
            thresholds: thresholds?,
            people: people?,
            zone: zone?,
        },
        incident: incident?,
        lookback_days: document.report.lookback_days,
        max_rejected_rows: document.report.max_rejected_rows,
        groups_limit,
        follows: follows?,
        suppress_below,
        queries,
        html: document.report.html,
        xlsx: document.report.xlsx,
        output: output?,
        history: document.output.history,
        database: database?,
        state: state?,
        keyer: keyer?,
        signer: signer?,
        memory_limit: memory_limit?,
        threads,
        temp_dir: document.run.temp_dir.as_ref().map(|dir| base.join(dir)),
        allow_incomplete: overrides.allow_incomplete,
        pruning: !overrides.no_pruning,
        recount: overrides.recount,
        keep_counts_from: overrides.keep_counts_from.unwrap_or(KEPT_FROM),
        document: serde_json::to_value(document).unwrap_or(Value::Null),
        written: Value::Null,
    })
}

/// Fewer rows are counted while a kept count is read and written.
const KEPT_FROM: u64 = 250_000;

/// A run id; nothing else becomes a path.
fn report_named(text: &str) -> Result<Option<Follows>, String> {
    match text {
        "none" => Ok(None),
        "latest" => Ok(Some(Follows::Latest)),
        run if is_run_id(run) => Ok(Some(Follows::Run(run.to_string()))),
        other => Err(format!(
            "`{other}` is no report: write latest, none, or a run id of the output (20191106T000000Z-553b66c562e7)"
        )),
    }
}

/// The end of the report.
pub fn as_of(overrides: &Overrides, problems: &mut Vec<Problem>) -> Option<Moment> {
    let at = || Place::Argument(format!("--as-of {}", overrides.as_of));
    Moment::parse_setting(&overrides.as_of, Zone::UTC)
        .map_err(|message| problems.push(Problem { at: at(), message }))
        .ok()
}

/// Where a setting was given: as a flag, or in the file.
fn flag_or(node: &Node, flag: &str, given: bool, path: &[&str]) -> Place {
    if given { Place::Argument(flag.into()) } else { node.place_of(path) }
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
