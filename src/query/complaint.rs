//! What the engine says of a statement that it cannot answer, with the place.

use std::collections::BTreeSet;

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, PolarsError, PolarsResult};
use polars::sql::SQLContext;
use sqlparser::ast::Query;

use super::locate::Complaint;
use super::statement::{Bound, LIST, Statement, written};
use super::types;
use super::{QueryError, meant};
use crate::config::shape::did_you_mean;
use crate::threads::guarded;

/// What the engine says, with the part of the statement that it says it of. `empty` has the tables without rows.
pub fn complaint(
    error: &PolarsError,
    of: &Statement,
    known: &BTreeSet<String>,
    bound: &Bound,
    empty: &[(String, DataFrame)],
) -> QueryError {
    let text = error.to_string();
    let ask = |query: &Query| {
        let mut context = SQLContext::new();
        for (name, frame) in empty {
            context.register(name, frame.clone().lazy());
        }
        let asked = guarded(|| context.execute(&written(query.clone())).and_then(answer));
        asked.ok()?.err().map(|error| error.to_string())
    };
    let told = engine(error, of, known);
    let QueryError::Engine { reason } = told else { return told };
    let part = bound
        .query()
        .and_then(|query| Complaint { source: &of.source, of: &text, ask: &ask }.part(query));
    let Some(part) = part else { return QueryError::Engine { reason } };
    // Of its columns the one that is complained of.
    let named = part.columns.iter().find(|(name, _)| is_named(&text, name));
    let at = named.map_or(part.at, |(_, at)| *at);
    let reason = match text.strip_prefix(types::IT) {
        Some(what) => format!("`{}` {what}", part.text),
        None => format!("`{}` cannot be answered: {reason}", part.text),
    };
    QueryError::Name { at, reason }
}

fn answer(frame: LazyFrame) -> PolarsResult<DataFrame> {
    LazyFrame::from(meant(frame.logical_plan)?).collect()
}

/// Whether the engine speaks of the column.
fn is_named(text: &str, column: &str) -> bool {
    [format!("\"{column}\""), format!("'{column}'")].iter().any(|name| text.contains(name))
}

/// What the engine says, with the place of a column that is not there.
pub fn engine(error: &PolarsError, of: &Statement, known: &BTreeSet<String>) -> QueryError {
    let text = error.to_string();
    let lost = of.columns.iter().find(|(name, _)| !known.contains(name) && is_named(&text, name));
    if let Some((name, at)) = lost {
        let near = did_you_mean(name, known.iter().map(String::as_str));
        let reason = format!("there is no column `{name}`{near}\n{LIST}");
        return QueryError::Name { at: *at, reason };
    }
    if text.starts_with(types::IT) {
        return QueryError::Engine { reason: text };
    }
    // What follows is the plan, as the engine holds it.
    let line = text.lines().next().unwrap_or_default();
    QueryError::Engine { reason: in_words(line) }
}

/// A complaint without the engine's own way to begin and end it.
fn in_words(line: &str) -> String {
    let line = line.trim_start_matches("not found: ").trim_end_matches("; found:");
    if line.starts_with("cross joins would produce more rows than") {
        return "a CROSS JOIN has more than 4,294,967,295 rows\njoin on columns, or take fewer rows in a query of FROM first".into();
    }
    if let Some((_, name)) = line.split_once("duplicate output name '") {
        let name = name.split('\'').next().unwrap_or_default();
        return format!(
            "two columns would have the name `{name}`\ngive each one of its own with AS"
        );
    }
    let lost = line.strip_prefix("unable to find column \"");
    let lost = lost.and_then(|rest| rest.split_once("\"; valid columns: ["));
    let Some((name, valid)) = lost else { return line.to_string() };
    let valid = valid.trim_end_matches(']').split(", ").map(|name| name.trim_matches('"'));
    format!("there is no column `{name}` here{}\n{LIST}", did_you_mean(name, valid))
}
