//! Values of parameters: `--param name=value`, `--param name:type=value`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use sqlparser::ast::{
    DataType, Expr, TimezoneInfo, TypedString, UnaryOperator, Value, ValueWithSpan,
};

use super::QueryError;
use super::statement::At;
use crate::config::shape::did_you_mean;
use crate::moment::{Moment, Zone};

/// The values, by name.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, Expr>);

const TYPES: &str = "text, int, number, date, time or bool";

fn wrong(name: &str, reason: impl Into<String>) -> QueryError {
    QueryError::Parameter { name: name.to_string(), reason: reason.into() }
}

impl Parameters {
    /// # Errors
    /// What is no `name=value`, twice there, or no value of its type.
    pub fn read(given: &[String]) -> Result<Self, QueryError> {
        let mut values = BTreeMap::new();
        for text in given {
            let Some((name, value)) = text.split_once('=') else {
                return Err(wrong(text, "it has no value\nwrite --param name=value"));
            };
            let (name, of) = name.split_once(':').unwrap_or((name, "text"));
            let fits = |c: char| c.is_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(fits) {
                return Err(wrong(name, "a name has letters, digits and _ alone"));
            }
            let literal = literal(of, value).map_err(|reason| wrong(name, reason))?;
            if values.insert(name.to_string(), literal).is_some() {
                return Err(wrong(name, "it is given twice\nleave one out"));
            }
        }
        Ok(Self(values))
    }

    /// The name and value of a place in the statement: `$name` or `:name`.
    pub(super) fn value(&self, place: &str, at: At) -> Result<(String, Expr), QueryError> {
        let name = place.strip_prefix(['$', ':']).filter(|name| !name.is_empty());
        let Some(name) = name else {
            let reason =
                format!("`{place}` names no parameter\nwrite $name, and --param name=value");
            return Err(QueryError::Name { at, reason });
        };
        let Some(value) = self.0.get(name) else {
            let near = did_you_mean(name, self.0.keys().map(String::as_str));
            let reason = format!(
                "the parameter `{name}` has no value{near}\ngive it with --param {name}=VALUE"
            );
            return Err(QueryError::Name { at, reason });
        };
        Ok((name.to_string(), value.clone()))
    }

    /// # Errors
    /// Names the first that the statement does not use.
    pub(super) fn all_used(&self, used: &BTreeSet<String>) -> Result<(), QueryError> {
        match self.0.keys().find(|name| !used.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(wrong(name, format!("the statement has no ${name}\nleave it out"))),
        }
    }
}

fn typed(data_type: DataType, text: String) -> Expr {
    let value = Value::SingleQuotedString(text).with_empty_span();
    Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false })
}

/// A value as an expression of the statement.
fn literal(of: &str, text: &str) -> Result<Expr, String> {
    let value = |value: Value| Expr::Value(value.with_empty_span());
    let no = |what: &str| format!("`{text}` is no {what}");
    Ok(match of {
        "text" => value(Value::SingleQuotedString(text.to_string())),
        "int" => {
            let number: i64 = text.parse().map_err(|_| no("whole number of 64 bits"))?;
            number_of(number < 0, number.unsigned_abs().to_string())
        }
        "number" => {
            let number: f64 = text.parse().map_err(|_| no("number"))?;
            if !number.is_finite() {
                return Err(no("number that can be compared"));
            }
            let digits = format!("{}", number.abs());
            // Without a point it would be a whole number.
            let point = if digits.contains('.') { "" } else { ".0" };
            number_of(number.is_sign_negative(), format!("{digits}{point}"))
        }
        "date" => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d");
            let day = day.map_err(|_| no("date; write it as 2019-11-06"))?;
            typed(DataType::Date, day.format("%Y-%m-%d").to_string())
        }
        "time" => {
            let at = Moment::parse_setting(text, Zone::UTC)?;
            let mut written = String::new();
            at.write_rfc3339_micros(&mut written);
            let written = written.trim_end_matches('Z').replace('T', " ");
            typed(DataType::Timestamp(None, TimezoneInfo::None), written)
        }
        "bool" => value(Value::Boolean(text.parse().map_err(|_| no("true or false"))?)),
        other => return Err(format!("there is no type `{other}`\nwrite {TYPES}")),
    })
}

fn number_of(is_negative: bool, digits: String) -> Expr {
    let digits = Expr::Value(ValueWithSpan::from(Value::Number(digits, false)));
    if is_negative {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(digits) }
    } else {
        digits
    }
}
