//! Why a table is not read.

use delta_kernel::Error;
use delta_kernel::history_manager::error::{LogHistoryError, NearestTimestamp};

use super::choice::of_millis;
use super::engine::Engine;
use super::log::Log;
use crate::config::{At, Format};
use crate::snapshot::{Origin, SnapshotError, other_format};

/// As people write the format's name.
pub const FORMAT: &str = "Delta";

/// What the kernel says, sorted; it knows neither the table's address nor what else its log holds.
pub fn refused(source: &Origin<'_>, at: &At, engine: &Engine, error: &Error) -> SnapshotError {
    let source_name = source.name.to_string();
    let url = match at {
        At::Latest => source.url.to_string(),
        At::Version(version) => format!("{} at version {version}", source.url),
        At::Moment(at) => format!("{} as of {}", source.url, at.to_rfc3339()),
    };
    if let Some(error) = engine.failure() {
        return SnapshotError::store(source, error);
    }
    if let Some(reason) = engine.damage() {
        return SnapshotError::Damaged { source_name, url, format: FORMAT, reason };
    }
    let what = error.to_string();
    match error {
        Error::Unsupported(what) => {
            SnapshotError::Unsupported { source_name, url, format: FORMAT, what: what.clone() }
        }
        // Commits may lie where its folder's log does not tell of them.
        Error::MaxCatalogVersion(_) => {
            let what = "the feature catalogManaged: its catalog alone tells which version is the current one";
            SnapshotError::Unsupported { source_name, url, format: FORMAT, what: what.into() }
        }
        // Types that it does not know are errors of the schema there.
        _ if what.contains("Unsupported") => {
            SnapshotError::Unsupported { source_name, url, format: FORMAT, what }
        }
        other => match Log::list(engine.store()) {
            Ok(log) => {
                // Of an older version than the log begins with, an empty log is all that is seen.
                if matches!(other, Error::EmptyLog) && log.first().is_none() {
                    return empty(source, url, engine);
                }
                let reason = reason(at, &log, other);
                SnapshotError::Table { source_name, url, format: FORMAT, reason }
            }
            Err(error) => SnapshotError::store(source, error),
        },
    }
}

/// A folder without a log.
fn empty(source: &Origin<'_>, url: String, engine: &Engine) -> SnapshotError {
    other_format(source, engine.store(), Format::Delta).unwrap_or_else(|| SnapshotError::Table {
        source_name: source.name.to_string(),
        url,
        format: FORMAT,
        reason:
            "its log holds neither a commit nor a checkpoint, and a table of none is unsupported"
                .into(),
    })
}

/// What is wrong, and which versions there are.
fn reason(at: &At, log: &Log, error: &Error) -> String {
    let there = log.shown();
    match (at, error) {
        (At::Version(version), _) if !log.holds(*version) => {
            format!("version {version} is not there; its log has {there}")
        }
        (At::Moment(asked), Error::LogHistory(of)) => match (of.as_ref(), log.first()) {
            (
                LogHistoryError::TimestampOutOfRange {
                    nearest_timestamp: NearestTimestamp::Earliest(millis),
                    ..
                },
                Some(first),
            ) => format!(
                "the first version that its log still has is {first}, of {} (by the time of its file, which may be that of a copy, unless the table keeps times of commits), later than {}; its log has {there}: name one with `version`",
                of_millis(*millis),
                asked.to_rfc3339()
            ),
            _ => format!("{of}; its log has {there}"),
        },
        (At::Moment(_), Error::MissingVersion(_)) => format!(
            "its log does not have the commits that tell when versions were made; it has {there}: name one with `version`"
        ),
        (_, other) => format!("{other}; its log has {there}"),
    }
}
