//! Whether the values of a column can be those of a role, and how they would be read.

use super::column::{Column, Kind, Place};
use super::forms::{Form, SERVER_TIME, texts};
use super::names::NOT_EXERCISED;
use super::number;
use super::role::Role;
use super::status::{self, Outcomes};
use crate::config::raw::Encoding;
use crate::scan::split;

/// What a column's values say for a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Added to the weight of its name.
    pub weight: i32,
    /// What was seen of the values.
    pub why: String,
    pub format: Option<&'static str>,
    /// The times carry no zone.
    pub lacks_zone: bool,
    pub encoding: Option<Encoding>,
    /// Some values are parted in one way and some in another.
    pub lacks_encoding: bool,
    /// More than one scope may stand in a row.
    pub is_several: bool,
    pub outcomes: Option<Outcomes>,
    /// Why somebody has to decide, however well the name fits.
    pub doubt: Option<String>,
}

/// How the values of a column fit a role; `None` where they cannot be its.
pub fn fit(role: Role, name: &str, column: &Column) -> Option<Fit> {
    if column.values.with_value() == 0 {
        return None;
    }
    let fit = of_values(role, name, column)?;
    // An error code is written where there is an error.
    let is_column = matches!(column.place, Place::Path(_));
    let is_meant = is_column && fit.outcomes == Some(Outcomes::NullIsAllowed);
    let less = if is_meant { 0 } else { scarcity(column) };
    Some(Fit { weight: fit.weight - less, ..fit })
}

/// What a column is less that most rows lack.
fn scarcity(column: &Column) -> i32 {
    let (with, rows) = (column.values.with_value(), column.values.rows);
    match with.saturating_mul(100).checked_div(rows).unwrap_or(0) {
        0..2 => 12,
        2..10 => 5,
        10..50 => 2,
        _ => 0,
    }
}

fn of_values(role: Role, name: &str, column: &Column) -> Option<Fit> {
    match role {
        Role::Time => {
            time(column).map(|fit| Fit { doubt: doubtful_time(name, column), ..fit })
        }
        Role::App if column.values.all(Form::IpAddress) => None,
        Role::App => id(column).map(|fit| not_an_event(fit, column)),
        Role::Subject | Role::Actor | Role::Person => id(column).map(|fit| a_person(fit, column)),
        Role::Group => id(column),
        Role::EventId => id(column).map(|fit| an_event(fit, column)),
        Role::Scopes => several(column)
            .filter(|_| !column.values.all(Form::Whole))
            .map(|fit| exercised(fit, name)),
        Role::Fields => several(column),
        Role::Status => status::fit(name, column),
        Role::Bytes | Role::Records => whole(column),
        Role::Weight => whole(column).map(|fit| Fit {
            doubt: Some(
                "a row then counts as so many calls in every figure: right where it says how often the call was made, wrong where it counts what was returned"
                    .into(),
            ),
            ..fit
        }),
        Role::Endpoint => endpoint(column),
        Role::Method => method(column),
    }
}

/// How a time can be told from the values: which values, the format to declare, whether a zone is lacking, weight.
type Reading = (Form, &'static str, Option<&'static str>, bool, i32);

const TIMES: [Reading; 7] = [
    (Form::Rfc3339, "RFC 3339 with a zone", None, false, 4),
    (Form::WallTime, "dates and times without a zone", None, true, 3),
    (Form::ServerTime, "times as web servers write them", Some(SERVER_TIME), false, 4),
    (Form::EpochSeconds, "seconds since 1970", Some("epoch_s"), false, 2),
    (Form::EpochMillis, "milliseconds since 1970", Some("epoch_ms"), false, 2),
    (Form::EpochMicros, "microseconds since 1970", Some("epoch_us"), false, 2),
    (Form::EpochNanos, "nanoseconds since 1970", Some("epoch_ns"), false, 2),
];

fn time(column: &Column) -> Option<Fit> {
    let of_type = |why: &str, lacks_zone| {
        Some(Fit { weight: 4, why: why.into(), lacks_zone, ..Default::default() })
    };
    match column.kind {
        Kind::Moment => return of_type("a time with a zone", false),
        Kind::WallTime => return of_type("a time without a zone", true),
        Kind::Text | Kind::Whole => {}
        _ => return None,
    }
    let values = &column.values;
    let (_, what, format, lacks_zone, weight) =
        TIMES.into_iter().find(|(form, ..)| values.all(*form))?;
    let why = format!("all {} values are {what}", number(values.values));
    Some(Fit { weight, why, format, lacks_zone, ..Default::default() })
}

/// Structs whose time is that of something else than the call.
const ENTITIES: [&str; 18] = [
    "app",
    "application",
    "service",
    "user",
    "token",
    "client",
    "consumer",
    "account",
    "actor",
    "owner",
    "org",
    "organization",
    "team",
    "tenant",
    "group",
    "route",
    "session",
    "device",
];

/// Why a column of times may not hold those of calls.
fn doubtful_time(name: &str, column: &Column) -> Option<String> {
    if column.values.is_constant() {
        return Some("all rows have the same time".into());
    }
    let above = name.rsplit_once('.').map(|(above, _)| above)?;
    let entity = above.rsplit(['.', '_']).find(|word| ENTITIES.contains(word))?;
    Some(format!(
        "it lies within `{entity}`, and may say when that was made rather than when the call was"
    ))
}

fn id(column: &Column) -> Option<Fit> {
    let is_id = matches!(column.kind, Kind::Text | Kind::Whole | Kind::Uuid);
    let is_json = column.values.all(Form::JsonObject);
    (is_id && !is_json).then(|| Fit { weight: 2, ..Default::default() })
}

/// What differs in nearly every row names the row, not who called.
fn not_an_event(fit: Fit, column: &Column) -> Fit {
    let is_event = column.values.values >= 100 && column.values.differ();
    Fit { weight: if is_event { -3 } else { fit.weight }, ..fit }
}

/// Words that say how a call went name nobody.
fn a_person(fit: Fit, column: &Column) -> Fit {
    if !status::are_outcomes(column) {
        return fit;
    }
    let doubt = "its values are words that say how a call went, and name nobody".into();
    Fit { weight: -2, doubt: Some(doubt), ..fit }
}

/// What stands for no id.
const NO_IDS: [&str; 8] = ["", "-", "null", "none", "nil", "n/a", "undefined", "unknown"];

/// What identifies a row is another in nearly every one; rows that share it count once.
fn an_event(fit: Fit, column: &Column) -> Fit {
    let values = &column.values;
    let kept = values.values - values.not_kept();
    let different = values.different();
    let no_ids: u64 = values
        .counts
        .iter()
        .filter(|(text, _)| NO_IDS.contains(&text.trim().to_lowercase().as_str()))
        .map(|(_, times)| times)
        .sum();
    // Of few rows a call that is logged twice is a large part.
    let is_another = match kept {
        0..100 => different * 4 >= kept * 3,
        _ => different * 1_000 >= kept * 999,
    };
    if no_ids > 1 {
        let doubt = format!(
            "{} of its values are empty or stand for none, and rows that share a value count as one call",
            number(no_ids)
        );
        return Fit { doubt: Some(doubt), ..fit };
    }
    if is_another {
        let why = "nearly every value is another".into();
        return Fit { why, ..fit };
    }
    let doubt = format!(
        "{} values are only {} different ones, and rows that share a value count as one call",
        number(kept),
        number(different)
    );
    let weight = if different * 2 < kept { -4 } else { 0 };
    Fit { weight, doubt: Some(doubt), ..fit }
}

/// Scopes that stand in the log and need not have been exercised.
fn exercised(fit: Fit, name: &str) -> Fit {
    let Some(word) = name.split(['.', '_']).find(|word| NOT_EXERCISED.contains(word)) else {
        return fit;
    };
    let doubt = format!(
        "its name says `{word}`: a call need not have exercised the scopes that stand there"
    );
    let doubt = match fit.doubt {
        Some(other) => format!("{doubt}; {other}"),
        None => doubt,
    };
    Fit { weight: fit.weight - 4, doubt: Some(doubt), ..fit }
}

/// What parts scopes in some logs and no encoding reads.
const PARTING: [char; 3] = [';', '|', '+'];

/// One text or several a row.
fn several(column: &Column) -> Option<Fit> {
    let values = &column.values;
    let of = |encoding: Option<Encoding>, why: &str| Fit {
        weight: 2,
        why: why.into(),
        encoding,
        is_several: true,
        ..Default::default()
    };
    if column.kind == Kind::Texts {
        // Of a list column that is the default; of JSON it has to be said.
        let is_json = column.data_type.ends_with("JSON");
        let fit = of(is_json.then_some(Encoding::List), "a list of texts");
        let parted = values.forms.of(Form::Blanks).max(values.forms.of(Form::Comma));
        let doubt = (parted > 0).then(|| {
            let parted = number(parted);
            format!("blanks or commas stand in {parted} entries of the lists, which a run takes for one scope each")
        });
        return Some(Fit { doubt, ..fit });
    }
    if column.kind != Kind::Text || values.all(Form::JsonObject) {
        return None;
    }
    if values.all(Form::JsonTexts) {
        return Some(of(Some(Encoding::List), "every value is a JSON array of texts"));
    }
    let count = |form| values.forms.of(form);
    let single = || Fit { weight: 2, ..Default::default() };
    let arrays = count(Form::JsonTexts);
    if arrays > 0 {
        let doubt = format!(
            "{} values are JSON arrays and the others are not, which no encoding reads",
            number(arrays)
        );
        return Some(Fit { doubt: Some(doubt), is_several: true, ..single() });
    }
    let parting = |text: &str| text.trim().contains(PARTING);
    let parted: u64 =
        values.counts.iter().filter(|(text, _)| parting(text)).map(|(_, times)| times).sum();
    if parted > 0 {
        let doubt = format!(
            "one of ; | + stands in {} values: where it parts scopes, no encoding reads them",
            number(parted)
        );
        return Some(Fit { doubt: Some(doubt), ..single() });
    }
    let blanks_alone = || {
        let parted = |text: &str| text.trim().contains(char::is_whitespace) && !text.contains(',');
        values.counts.iter().any(|(text, _)| parted(text))
    };
    Some(match (count(Form::Blanks), count(Form::Comma)) {
        (0, 0) => Fit {
            weight: 2,
            why: "one text a row: no blanks, no commas".into(),
            ..Default::default()
        },
        (some, 0) => {
            of(Some(Encoding::Space), &format!("blanks part {} of the values", number(some)))
        }
        (_, some) if !blanks_alone() => {
            of(Some(Encoding::Comma), &format!("commas part {} of the values", number(some)))
        }
        (blanks, commas) => Fit {
            lacks_encoding: true,
            ..of(
                None,
                &format!(
                    "blanks stand in {} of the values and commas in {}",
                    number(blanks),
                    number(commas)
                ),
            )
        },
    })
}

/// The single values in a column and how often each occurs, as far as they were kept.
pub fn parted(column: &Column, encoding: Option<Encoding>) -> Vec<(String, u64)> {
    let mut counts: std::collections::BTreeMap<String, u64> = Default::default();
    for (text, times) in &column.values.counts {
        let parts: Vec<String> = match encoding {
            Some(Encoding::List) if column.kind == Kind::Text => texts(text).unwrap_or_default(),
            Some(encoding @ (Encoding::Space | Encoding::Comma)) => {
                split(text, encoding).map(str::to_string).collect()
            }
            _ => vec![text.clone()],
        };
        for part in parts {
            *counts.entry(part).or_default() += times;
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

fn whole(column: &Column) -> Option<Fit> {
    let values = &column.values;
    let is_whole = match column.kind {
        Kind::Whole => true,
        Kind::Text => values.all(Form::Whole),
        _ => false,
    };
    is_whole.then(|| Fit { weight: 2, why: "whole numbers".into(), ..Default::default() })
}

fn endpoint(column: &Column) -> Option<Fit> {
    let is_text = column.kind == Kind::Text && !column.values.all(Form::JsonObject);
    let is_path = column.values.all(Form::Path);
    let why = if is_path { "every value is a path or an address".into() } else { String::new() };
    is_text.then(|| Fit { weight: if is_path { 2 } else { 0 }, why, ..Default::default() })
}

fn method(column: &Column) -> Option<Fit> {
    let are_methods = column.kind == Kind::Text && column.values.all(Form::HttpMethod);
    let why = "every value is an HTTP method".into();
    are_methods.then(|| Fit { weight: 4, why, ..Default::default() })
}
