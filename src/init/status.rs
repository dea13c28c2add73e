//! Which calls were allowed, as far as the values of a column tell.

use super::column::{Column, Kind};
use super::fit::Fit;
use super::forms::Form;
use super::number;

/// How a column of outcomes is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// Status codes of HTTP: the rule without `[source.status]`, 200 to 299.
    Http,
    /// These words and numbers are allowed.
    Allowed(Vec<String>),
    /// A null is: what is written is an error.
    NullIsAllowed,
    /// Somebody has to say.
    Open,
}

/// Words that say that a call was allowed, and that it was not, in lower case.
const ALLOWED: [&str; 15] = [
    "success",
    "succeeded",
    "successful",
    "ok",
    "allow",
    "allowed",
    "grant",
    "granted",
    "permit",
    "permitted",
    "accept",
    "accepted",
    "pass",
    "passed",
    "authorized",
];
const DENIED: [&str; 15] = [
    "failure",
    "failed",
    "fail",
    "error",
    "deny",
    "denied",
    "forbidden",
    "unauthorized",
    "unauthorised",
    "reject",
    "rejected",
    "refuse",
    "refused",
    "block",
    "blocked",
];

/// How a column's values say which calls were allowed, for whatever column has the name of an outcome: what is not
/// clear is asked.
pub fn fit(name: &str, column: &Column) -> Option<Fit> {
    if !matches!(column.kind, Kind::Bool | Kind::Whole | Kind::Fraction | Kind::Text) {
        return None;
    }
    let values = &column.values;
    let last = name.rsplit('.').next().unwrap_or_default();
    let (outcomes, weight, why) = if column.kind == Kind::Bool {
        of_bools(last)
    } else if is_error(last) && values.nulls > 0 {
        of_errors(column)
    } else if values.all(Form::HttpStatus) {
        of_codes(column)
    } else {
        of_words(column)
    };
    Some(Fit { weight, why, outcomes: Some(outcomes), ..Default::default() })
}

type Told = (Outcomes, i32, String);

fn is_error(name: &str) -> bool {
    name.split('_').any(|word| word == "error")
}

fn known(words: &[&str], text: &str) -> bool {
    words.contains(&text.to_lowercase().as_str())
}

/// Whether all values are words that say how a call went.
pub fn are_outcomes(column: &Column) -> bool {
    let values = &column.values;
    let is_known = |text: &str| {
        known(&ALLOWED, text) || known(&DENIED, text) || known(&["true", "false"], text)
    };
    column.kind == Kind::Text
        && values.is_whole
        && values.different() > 0
        && values.counts.iter().all(|(text, _)| is_known(text))
}

/// Whether all values are such words, or codes of HTTP: they name nobody.
pub fn are_known(column: &Column) -> bool {
    are_outcomes(column) || column.kind == Kind::Bool || column.values.all(Form::HttpStatus)
}

fn open(why: &str) -> Told {
    (Outcomes::Open, 2, why.to_string())
}

fn of_bools(name: &str) -> Told {
    let says = |words: &[&str]| name.split('_').any(|word| known(words, word));
    let allowed = match (says(&ALLOWED), says(&DENIED)) {
        (true, false) => "true",
        (false, true) => "false",
        _ => return open("which of true and false means allowed is not to be told from the name"),
    };
    let why = format!("true or false, and the name says that {allowed} is allowed");
    (Outcomes::Allowed(vec![allowed.to_string()]), 2, why)
}

/// A number from 200 to 299.
fn is_success(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|code| (200..300).contains(&code))
}

/// Errors that are null in some rows.
fn of_errors(column: &Column) -> Told {
    let values = &column.values;
    let (nulls, rows) = (number(values.nulls), number(values.rows));
    let says_success = |text: &str| is_success(text) || known(&ALLOWED, text);
    if values.counts.iter().any(|(text, _)| says_success(text)) {
        return open("some values say success, and nothing says what its nulls are");
    }
    let why = format!("null in {nulls} of {rows} rows: written where a call failed");
    (Outcomes::NullIsAllowed, 4, why)
}

fn of_codes(column: &Column) -> Told {
    let values = &column.values;
    if values.is_whole && !values.counts.iter().any(|(text, _)| is_success(text)) {
        return open(
            "all values are from 100 to 599, and none is from 200 to 299, so that none says success",
        );
    }
    let why = format!("all {} values are from 100 to 599", number(values.values));
    (Outcomes::Http, 4, why)
}

fn of_words(column: &Column) -> Told {
    let values = &column.values;
    let texts = || values.counts.iter().map(|(text, _)| text.as_str());
    if values.is_whole && texts().all(|text| known(&ALLOWED, text) || known(&DENIED, text)) {
        let allowed: Vec<String> =
            texts().filter(|text| known(&ALLOWED, text)).map(str::to_string).collect();
        if !allowed.is_empty() {
            return (Outcomes::Allowed(allowed), 3, "words that say it".into());
        }
    }
    open("which of its values mean allowed is not to be told from them")
}
