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
const ALLOWED: [&str; 14] = [
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

/// Values that are listed as outcomes at most.
const LISTED: u64 = 100;

pub fn fit(name: &str, column: &Column) -> Option<Fit> {
    let values = &column.values;
    let last = name.rsplit('.').next().unwrap_or_default();
    let of = |outcomes, weight, why: String| {
        Some(Fit { weight, why, outcomes: Some(outcomes), ..Default::default() })
    };
    let is_error = last.split('_').any(|word| word == "error");
    match column.kind {
        Kind::Bool => {
            let allowed = vec![if is_error { "false" } else { "true" }.to_string()];
            let why =
                format!("true or false, and the name says that {} is allowed", allowed.concat());
            return of(Outcomes::Allowed(allowed), 2, why);
        }
        Kind::Whole | Kind::Text => {}
        _ => return None,
    }
    if values.all(Form::HttpStatus) {
        let why = format!("all {} values are from 100 to 599", number(values.values));
        return of(Outcomes::Http, 4, why);
    }
    if is_error && values.nulls > 0 {
        let (nulls, rows) = (number(values.nulls), number(values.rows));
        let why = format!("null in {nulls} of {rows} rows: written where a call failed");
        return of(Outcomes::NullIsAllowed, 4, why);
    }
    if !values.is_whole || values.different() > LISTED {
        return None;
    }
    let known = |words: &[&str], text: &str| words.contains(&text.to_lowercase().as_str());
    let texts = || values.counts.iter().map(|(text, _)| text.as_str());
    if texts().all(|text| known(&ALLOWED, text) || known(&DENIED, text)) {
        let allowed: Vec<String> =
            texts().filter(|text| known(&ALLOWED, text)).map(str::to_string).collect();
        if !allowed.is_empty() {
            return of(Outcomes::Allowed(allowed), 3, "words that say it".into());
        }
    }
    of(Outcomes::Open, 2, "which of its values mean allowed is not to be told from them".into())
}
