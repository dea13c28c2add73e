//! The tables whose figures can be explained, and how a row of each is found.

use super::conditions::Asking;
use super::row::Row;
use super::sums::Measure;
use super::{cells, files, groups, places, standing};
use crate::error::Error;

/// A table whose figures can be explained.
pub struct Explainable {
    pub table: &'static str,
    /// Columns that name a row, and `PARTS`.
    pub key: &'static [&'static str],
    /// Finds the row that is asked for.
    pub find: fn(&Asking<'_>) -> Result<Row, Error>,
}

/// What is no column of a table: `window` takes the figures of one of a row's windows, `people` those of
/// one part of its people.
pub const PARTS: [&str; 2] = ["window", "people"];

pub const EXPLAINED: [Explainable; 11] = [
    Explainable { table: "scope_summary", key: &["scope", "window"], find: cells::scope },
    Explainable {
        table: "app_scope_exposure",
        key: &["scope", "app_id", "window"],
        find: cells::app,
    },
    Explainable {
        table: "developer_exposure",
        key: &["scope", "developer_id", "window"],
        find: cells::developer,
    },
    Explainable { table: "daily_timeline", key: &["scope", "app_id", "day"], find: cells::day },
    Explainable {
        table: "deletion_verification",
        key: &["scope", "app_id", "attested_at"],
        find: standing::promise,
    },
    Explainable {
        table: "findings",
        key: &["scope", "app_id", "finding"],
        find: standing::finding,
    },
    Explainable {
        table: "groups_exposed",
        key: &["scope", "namespace", "group_id"],
        find: groups::group,
    },
    Explainable {
        table: "data_categories",
        key: &["scope", "data_category"],
        find: cells::data_category,
    },
    Explainable {
        table: "subjects_by_jurisdiction",
        key: &["scope", "app_id", "is_known", "country", "subdivision", "category"],
        find: places::place,
    },
    Explainable {
        table: "thresholds",
        key: &["scope", "regime", "jurisdiction", "people"],
        find: places::threshold,
    },
    Explainable { table: "coverage", key: &["source", "file_day"], find: files::files },
];

impl Explainable {
    /// # Errors
    /// Where the table is none of them.
    pub fn find(table: &str) -> Result<&'static Self, Error> {
        EXPLAINED.iter().find(|known| known.table == table).ok_or_else(|| {
            let known: Vec<&str> = EXPLAINED.iter().map(|known| known.table).collect();
            Error::argument(
                format!("--table {table}"),
                format!("its figures cannot be explained; those of {} can", known.join(", ")),
            )
        })
    }
}

/// Requests and people, as most tables call them.
pub const REQUESTS_AND_PEOPLE: [(Measure, &str); 2] =
    [(Measure::Requests, "requests_allowed"), (Measure::People, "subjects_observed")];

/// Everything that is followed.
pub const ALL: [(Measure, &str); 5] = [
    (Measure::Requests, "requests_allowed"),
    (Measure::People, "subjects_observed"),
    (Measure::HeldOnly, "requests_held_only"),
    (Measure::Denied, "requests_denied"),
    (Measure::Unknown, "requests_unknown"),
];
