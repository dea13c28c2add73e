//! Which columns of the inputs a table's column is made of. Only what is certain is told: a column that is not
//! listed here, or whose inputs are not mapped, is left out.

use serde_json::{Map, Value, json};

use super::names::Dataset;
use crate::config::{ColumnPlan, ColumnSource, RunPlan};

/// Where values come from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// The column of a log that is mapped as this.
    Log(&'static str),
    /// The first of two that is mapped.
    LogOr(&'static str, &'static str),
    /// A column of a table of the registry.
    Registry(&'static str, &'static str),
}

/// What happens to them, by the specification's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// They stand there as they are.
    Same,
    /// Read: a time, a part of a list.
    Read,
    /// Added up, or the first or last of them.
    Summed,
    /// Counted once each: no single one can be seen.
    Counted,
    /// They decide which rows count.
    Filter,
    /// They are looked up with.
    Join,
}

impl How {
    fn words(self) -> Value {
        let (kind, subtype, masking) = match self {
            Self::Same => ("DIRECT", "IDENTITY", false),
            Self::Read => ("DIRECT", "TRANSFORMATION", false),
            Self::Summed => ("DIRECT", "AGGREGATION", false),
            Self::Counted => ("DIRECT", "AGGREGATION", true),
            Self::Filter => ("INDIRECT", "FILTER", false),
            Self::Join => ("INDIRECT", "JOIN", false),
        };
        json!([{ "type": kind, "subtype": subtype, "masking": masking }])
    }
}

use How::{Counted, Filter, Join, Read, Same, Summed};
use Origin::{Log, LogOr, Registry};

type Origins = &'static [(Origin, How)];

const PEOPLE: Origins = &[(LogOr("subject", "actor"), Counted)];
const BOUND: Origins = &[
    (LogOr("subject", "actor"), Counted),
    (Registry("memberships", "subject"), Counted),
    (Log("group"), Join),
    (Registry("memberships", "group_id"), Join),
];
const TIME: Origins = &[(Log("time"), Summed)];

/// Columns of tables: name, or its beginning with a `*`; the first that fits holds.
const COLUMNS: [(&str, Origins); 42] = [
    ("scope", &[(Registry("scopes", "scope"), Same), (Log("scopes"), Join)]),
    ("restricted_at", &[(Registry("scopes", "deprecated_at"), Read)]),
    ("data_category", &[(Registry("scopes", "data_fields"), Read)]),
    ("special_category", &[(Registry("scopes", "special_fields"), Read)]),
    ("fields_returned", &[(Log("fields"), Read)]),
    ("app_id", &[(Log("app"), Same)]),
    ("app_name", &[(Registry("apps", "app_name"), Same), (Log("app"), Join)]),
    ("developer_id", &[(Registry("apps", "developer_id"), Same), (Log("app"), Join)]),
    ("developer_name", &[(Registry("apps", "developer_name"), Same), (Log("app"), Join)]),
    ("grace_until", &[(Registry("extensions", "grace_until"), Read)]),
    ("apps_capable", &[(Registry("grants", "app_id"), Counted)]),
    ("apps_used_without_grant", &[(Log("app"), Counted), (Registry("grants", "app_id"), Join)]),
    ("apps_used_*", &[(Log("app"), Counted)]),
    ("apps", &[(Log("app"), Counted)]),
    ("developers_capable", &[(Registry("apps", "developer_id"), Counted)]),
    (
        "developers_used_without_grant",
        &[
            (Registry("apps", "developer_id"), Counted),
            (Log("app"), Join),
            (Registry("grants", "app_id"), Join),
        ],
    ),
    ("developers_used_*", &[(Registry("apps", "developer_id"), Counted), (Log("app"), Join)]),
    ("developers_unknown_apps", &[(Log("app"), Counted)]),
    ("requests_*", &[(Log("weight"), Summed), (Log("status"), Filter), (Log("time"), Filter)]),
    ("subjects_observed", PEOPLE),
    ("subjects_new", PEOPLE),
    ("subjects_cumulative", PEOPLE),
    ("subjects_upper_bound*", BOUND),
    ("subjects_unknown_rows*", &[(LogOr("subject", "actor"), Filter), (Log("group"), Join)]),
    ("subjects_*", PEOPLE),
    ("actors", &[(Log("actor"), Counted)]),
    ("group_id", &[(Log("group"), Same)]),
    ("groups*", &[(Log("group"), Counted)]),
    ("members_then", &[(Registry("memberships", "subject"), Counted), (Log("group"), Join)]),
    ("records", &[(Log("records"), Summed)]),
    ("bytes", &[(Log("bytes"), Summed)]),
    ("first_*", TIME),
    ("last_*", TIME),
    ("active_days", &[(Log("time"), Counted)]),
    ("day", &[(Log("time"), Read)]),
    ("country", &[(Registry("residency", "country"), Same)]),
    ("subdivision", &[(Registry("residency", "subdivision"), Same)]),
    ("category", &[(Registry("residency", "category"), Same)]),
    ("regime", &[(Registry("thresholds", "regime"), Same)]),
    ("jurisdiction", &[(Registry("thresholds", "jurisdiction"), Same)]),
    ("operator", &[(Registry("thresholds", "operator"), Same)]),
    ("number", &[(Registry("thresholds", "number"), Same)]),
];

/// Columns that come from elsewhere in one table.
const IN_TABLES: [(&str, &str, Origins); 6] = [
    ("deletion_verification", "app_id", &[(Registry("attestations", "app_id"), Same)]),
    ("deletion_verification", "scope", &[(Registry("attestations", "scope"), Same)]),
    ("deletion_verification", "asked_at", &[(Registry("attestations", "asked_at"), Read)]),
    ("deletion_verification", "attested_at", &[(Registry("attestations", "attested_at"), Read)]),
    ("deletion_verification", "statement", &[(Registry("attestations", "statement"), Same)]),
    ("thresholds", "scope", &[(Registry("scopes", "scope"), Same)]),
];

/// Tables that no row of a log is counted into: what others are made of, or when something is due.
const WITHOUT_ROWS: [&str; 7] =
    ["coverage", "change_log", "deadlines", "dim_scope", "dim_app", "dim_developer", "dim_date"];

/// Columns of logs that decide which rows count at all.
const DECIDING: [&str; 6] = ["time", "status", "scopes", "endpoint", "method", "event_id"];

fn origins(table: &str, column: &str) -> Option<Origins> {
    let own = IN_TABLES.iter().find(|(of, name, _)| (*of, *name) == (table, column));
    own.map(|(_, _, origins)| *origins).or_else(|| {
        let fits = |name: &str| match name.strip_suffix('*') {
            Some(begin) => column.starts_with(begin),
            None => column == name,
        };
        COLUMNS.iter().find(|(name, _)| fits(name)).map(|(_, origins)| *origins)
    })
}

/// A mapped column as one that is read, and whether its values stand in it as they are; `None` where it is put
/// together of parts of which only the files say what they are.
fn column_of(plan: &ColumnPlan) -> Option<(&str, bool)> {
    match &plan.source {
        ColumnSource::Path(path) => Some((path, !plan.fold_case)),
        ColumnSource::Entry { path, .. } | ColumnSource::Json { path, .. } => Some((path, false)),
        ColumnSource::Concat(_) => None,
    }
}

fn log_fields(plan: &RunPlan, role: &str, how: How) -> Vec<Value> {
    let each = plan.sources.iter().filter_map(|source| {
        let column = source.mapping.columns().find(|column| column.role == role)?;
        let (field, is_same) = column_of(column)?;
        let how = if how == Same && !is_same { Read } else { how };
        Some(field_of(&Dataset::of(&source.url), field, how))
    });
    each.collect()
}

fn field_of(dataset: &Dataset, field: &str, how: How) -> Value {
    json!({
        "namespace": dataset.namespace,
        "name": dataset.name,
        "field": field,
        "transformations": how.words(),
    })
}

fn fields_from(plan: &RunPlan, (from, how): (Origin, How)) -> Vec<Value> {
    match from {
        Log(role) => log_fields(plan, role, how),
        LogOr(first, second) => {
            let found = log_fields(plan, first, how);
            if found.is_empty() { log_fields(plan, second, how) } else { found }
        }
        Registry(table, field) => {
            let given = plan.registry.given();
            let of = given.into_iter().filter(|(role, _)| *role == table);
            of.map(|(_, url)| field_of(&Dataset::of(url), field, how)).collect()
        }
    }
}

/// The facet of a table with these columns; `None` where nothing is certain.
pub fn facet(plan: &RunPlan, table: &str, columns: &[&str]) -> Option<Value> {
    if WITHOUT_ROWS.contains(&table) {
        return None;
    }
    let mut fields = Map::new();
    for column in columns {
        let Some(origins) = origins(table, column) else { continue };
        let found: Vec<Value> = origins.iter().flat_map(|of| fields_from(plan, *of)).collect();
        if !found.is_empty() {
            fields.insert((*column).to_string(), json!({ "inputFields": found }));
        }
    }
    let deciding: Vec<Value> =
        DECIDING.iter().flat_map(|role| log_fields(plan, role, Filter)).collect();
    (!fields.is_empty()).then(|| json!({ "fields": fields, "dataset": deciding }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impact::built_in;

    /// A column that is renamed in a table is renamed here too.
    #[test]
    fn every_listed_column_stands_in_a_table() {
        let tables: Vec<_> = built_in().unwrap().into_iter().filter_map(|q| q.spec).collect();
        for (name, _) in COLUMNS {
            let fits = |column: &str| match name.strip_suffix('*') {
                Some(begin) => column.starts_with(begin),
                None => column == name,
            };
            let is_there = tables.iter().any(|t| t.columns.iter().any(|c| fits(&c.name)));
            assert!(is_there, "{name} is no column");
        }
        for (table, name, _) in IN_TABLES {
            let table = tables.iter().find(|of| of.name == table).unwrap();
            assert!(
                table.columns.iter().any(|column| column.name == name),
                "{}.{name}",
                table.name
            );
        }
        for table in WITHOUT_ROWS {
            assert!(tables.iter().any(|of| of.name == table), "{table}");
        }
    }
}
