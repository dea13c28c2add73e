//! Columns that speak by their values alone, and those that are one of two however far ahead their name is.

use super::column::{Column, Kind};
use super::forms::Form;
use super::names::MAY;
use super::propose::{Candidate, SURE};
use super::role::Role;

/// Whether the values need no name to be asked about: times, and the codes of HTTP.
pub fn speaks_alone(role: Role, column: &Column) -> bool {
    let values = &column.values;
    match role {
        Role::Time => column.is_time() || is_epoch(column) || is_written_time(column),
        Role::Status => {
            let is_success =
                |text: &str| text.parse::<i64>().is_ok_and(|code| (200..300).contains(&code));
            values.all(Form::HttpStatus)
                && values.is_whole
                && values.different() <= CODES
                && values.counts.iter().any(|(text, _)| is_success(text))
        }
        _ => false,
    }
}

/// Different codes that services answer with.
pub const CODES: u64 = 40;

fn is_epoch(column: &Column) -> bool {
    let of = [Form::EpochSeconds, Form::EpochMillis, Form::EpochMicros, Form::EpochNanos];
    column.kind == Kind::Whole && of.into_iter().any(|form| column.values.all(form))
}

fn is_written_time(column: &Column) -> bool {
    let of = [Form::Rfc3339, Form::WallTime, Form::ServerTime];
    column.kind == Kind::Text && of.into_iter().any(|form| column.values.all(form))
}

/// Words of names that tell when something was made or stored, which need not be when the call was.
const MADE: [&str; 12] = [
    "created",
    "creation",
    "create",
    "issued",
    "registered",
    "updated",
    "modified",
    "ingested",
    "ingestion",
    "received",
    "logged",
    "stored",
];

/// Columns that may be meant as well where the first is not the only one that can be, however far ahead it is: then
/// somebody decides.
pub fn rivals(role: Role, candidates: &mut [Candidate], columns: &[Column]) {
    candidates.sort_by_key(|of| (-of.score(), of.column));
    let Some((first, others)) = candidates.split_first_mut() else { return };
    let varies = |of: &Candidate| {
        columns.get(of.column).is_some_and(|column| {
            !column.values.is_constant() && (column.is_time() || column.values.different() > 1)
        })
    };
    let name = first.place.name();
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_made = last.split('_').any(|word| MADE.contains(&word));
    let doubt = match role {
        Role::Time if is_made && others.iter().any(|of| of.fit.doubt.is_none() && varies(of)) => {
            "its name says when something was made or stored, and another column holds times"
        }
        Role::Status if others.iter().any(|of| of.named >= MAY && of.score() > SURE) => {
            "another column has the name of an outcome, too"
        }
        Role::Group if varies(first) && others.iter().any(|of| of.named >= SURE && varies(of)) => {
            "another column has the name of a group, too"
        }
        _ => return,
    };
    first.fit.doubt.get_or_insert(doubt.to_string());
}
