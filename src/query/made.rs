//! Tables that no run publishes: made from the configuration's ledger and registry when a statement names them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;

/// A table, and its columns: name, type, unit and meaning.
#[derive(Clone, Copy, Debug)]
pub struct MadeTable {
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    pub columns: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// The events behind the figures.
pub const EVENTS: &str = "events";

/// What tables of the registry are called by: `registry.apps`.
pub const REGISTRY: &str = "registry";

const TEXT: &str = "string";
const TIME: &str = "timestamp[us, UTC]";
const INT: &str = "int64";
const APP: (&str, &str, &str, &str) = ("app_id", TEXT, "", "App, as in the tables.");
const SCOPE: (&str, &str, &str, &str) = ("scope", TEXT, "", "Scope.");

pub const MADE: [MadeTable; 7] = [
    MadeTable {
        name: EVENTS,
        about: "One row for each event that the run's figures are counted from, read from the ledger of the configuration: those of a scope that was restricted by then, before as_of; no repeats, no rejected rows.",
        columns: &[
            ("at", TIME, "UTC", "When it was, floored to the microsecond."),
            (
                "app_id",
                TEXT,
                "",
                "Who called, as in the tables; null where the event names no app.",
            ),
            ("app_name", TEXT, "", "From the registry; null where the app is in no row of it."),
            ("developer_id", TEXT, "", "The app's developer; null where it is not known."),
            (
                "scopes",
                TEXT,
                "",
                "Scopes that it exercised after their restriction, with ; between them; empty where it exercised none.",
            ),
            (
                "scopes_held",
                TEXT,
                "",
                "Scopes of the registry that the token carried, with ; between them, restricted by then or later.",
            ),
            ("outcome", TEXT, "", "allowed, denied or unknown."),
            ("weight", INT, "requests", "Requests that it stands for."),
            (
                "person",
                TEXT,
                "",
                "Key of whose data was reached, 32 hexadecimal digits; null where nobody is named.",
            ),
            (
                "group_id",
                TEXT,
                "",
                "Group that was read; empty where its id is not known, null where there is none.",
            ),
            ("source", TEXT, "", "Source of the configuration."),
            ("file", TEXT, "", "Its file, below the url of the source."),
            ("row_group", INT, "", "Row group of the file, from 0."),
        ],
    },
    MadeTable {
        name: "registry.scopes",
        about: "One row for each restricted scope, as the run read them.",
        columns: &[
            SCOPE,
            ("restricted_at", TIME, "UTC", "From when on it must not be used."),
            ("data_fields", TEXT, "", "What it gives access to, with ; between them."),
            (
                "special_fields",
                TEXT,
                "",
                "Special categories of them; null where the registry does not say.",
            ),
        ],
    },
    MadeTable {
        name: "registry.apps",
        about: "One row for each registered app, as the run read them.",
        columns: &[
            APP,
            ("app_name", TEXT, "", "Its name."),
            ("developer_id", TEXT, "", "Who owns it."),
            ("developer_name", TEXT, "", "Their name."),
        ],
    },
    MadeTable {
        name: "registry.extensions",
        about: "One row for each app and scope that had longer.",
        columns: &[APP, SCOPE, ("grace_until", TIME, "UTC", "End of the grace, not included.")],
    },
    MadeTable {
        name: "registry.grants",
        about: "One row for each stretch of time in which an app could use a scope.",
        columns: &[
            APP,
            SCOPE,
            ("granted_at", TIME, "UTC", "Its beginning; null where that is not known."),
            ("revoked_at", TIME, "UTC", "Its end, not included; null where it goes on."),
        ],
    },
    MadeTable {
        name: "registry.brownouts",
        about: "One row for each stretch of time in which calls of a scope had to fail.",
        columns: &[
            SCOPE,
            ("app_id", TEXT, "", "App, as in the tables; null for every app."),
            ("begins", TIME, "UTC", "`from` of the file."),
            ("ends", TIME, "UTC", "`to` of the file, not included."),
        ],
    },
    MadeTable {
        name: "registry.attestations",
        about: "One row for each promise of deletion.",
        columns: &[
            APP,
            ("scope", TEXT, "", "Scope; null for all."),
            ("asked_at", TIME, "UTC", "When it was asked for."),
            ("attested_at", TIME, "UTC", "When it was given; null where it never was."),
            ("statement", TEXT, "", "What was said."),
        ],
    },
];

/// Names of the columns of a made table.
pub fn columns(name: &str) -> impl Iterator<Item = &'static str> + use<> {
    let table = MADE.iter().find(|table| table.name == name);
    table.into_iter().flat_map(|table| table.columns).map(|(column, ..)| *column)
}

/// A made table without a row: a statement is looked at with it before rows are made.
pub fn without_rows(table: &MadeTable) -> RecordBatch {
    let field = |(name, data_type, ..): &(&str, &str, &str, &str)| {
        let data_type = match *data_type {
            TIME => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            INT => DataType::Int64,
            _ => DataType::Utf8,
        };
        Field::new(*name, data_type, true)
    };
    let fields: Vec<Field> = table.columns.iter().map(field).collect();
    RecordBatch::new_empty(Arc::new(Schema::new(fields)))
}
