//! What a value looks like.

use chrono::DateTime;
use serde_json::Value;

use crate::moment::{Moment, wall_time};

/// A look that many values of a column may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Empty,
    /// RFC 3339 with a zone.
    Rfc3339,
    /// Date and time without a zone.
    WallTime,
    /// `10/Jul/2023:12:07:57 +0000`, as web servers write it.
    ServerTime,
    EpochSeconds,
    EpochMillis,
    EpochMicros,
    EpochNanos,
    /// A whole number of 64 bits.
    Whole,
    /// A number from 100 to 599.
    HttpStatus,
    Uuid,
    /// Blanks between other characters.
    Blanks,
    Comma,
    JsonObject,
    /// A JSON array of texts.
    JsonTexts,
    /// A path or an address.
    Path,
    HttpMethod,
    IpAddress,
}

/// Years that the time of a call may lie in: 2000 to 2100, in seconds. Counts of the four units do not meet there.
const SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// The pattern of [`Form::ServerTime`].
pub const SERVER_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// A form and how it is told.
type Look = (Form, fn(&str) -> bool);

const FORMS: [Look; 18] = [
    (Form::Empty, str::is_empty),
    (Form::Rfc3339, |text| begins_like_a_date(text) && Moment::parse_rfc3339(text).is_some()),
    (Form::WallTime, |text| begins_like_a_date(text) && wall_time(text.trim()).is_some()),
    (Form::ServerTime, |text| {
        text.len() > 20 && DateTime::parse_from_str(text, SERVER_TIME).is_ok()
    }),
    (Form::EpochSeconds, |text| counts(text, 1)),
    (Form::EpochMillis, |text| counts(text, 1_000)),
    (Form::EpochMicros, |text| counts(text, 1_000_000)),
    (Form::EpochNanos, |text| counts(text, 1_000_000_000)),
    (Form::Whole, |text| whole(text).is_some()),
    (Form::HttpStatus, |text| whole(text).is_some_and(|number| (100..600).contains(&number))),
    (Form::Uuid, |text| text.len() >= 32 && uuid::Uuid::try_parse(text.trim()).is_ok()),
    (Form::Blanks, |text| text.trim().contains(char::is_whitespace)),
    (Form::Comma, |text| text.contains(',')),
    (Form::JsonObject, |text| text.trim_start().starts_with('{') && object(text).is_some()),
    (Form::JsonTexts, |text| text.trim_start().starts_with('[') && texts(text).is_some()),
    (Form::Path, |text| text.starts_with('/') || text.contains("://")),
    (Form::HttpMethod, |text| METHODS.iter().any(|method| method.eq_ignore_ascii_case(text))),
    (Form::IpAddress, |text| text.parse::<std::net::IpAddr>().is_ok()),
];

fn begins_like_a_date(text: &str) -> bool {
    matches!(text.trim().as_bytes(), [a, b, c, d, b'-', ..] if [a, b, c, d].iter().all(|c| c.is_ascii_digit()))
}

fn whole(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn counts(text: &str, unit: i64) -> bool {
    whole(text).is_some_and(|number| SECONDS.contains(&number.div_euclid(unit)))
}

fn object(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(Value::is_object)
}

/// Whether a text is a time in a form that is told.
pub fn is_time(text: &str) -> bool {
    let times = [Form::Rfc3339, Form::WallTime, Form::ServerTime];
    FORMS.iter().any(|(form, is_so)| times.contains(form) && is_so(text))
        || counts(text, 1)
        || [1_000, 1_000_000, 1_000_000_000].into_iter().any(|unit| counts(text, unit))
}

/// The texts of a JSON array of nothing else.
pub fn texts(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// How many values of a column have which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms([u64; FORMS.len()]);

impl Forms {
    /// Adds a value that occurs so often.
    pub fn add(&mut self, text: &str, times: u64) {
        for ((_, is_so), count) in FORMS.iter().zip(&mut self.0) {
            if is_so(text) {
                *count += times;
            }
        }
    }

    pub fn of(&self, form: Form) -> u64 {
        let mut all = FORMS.iter().zip(&self.0);
        all.find(|((of, _), _)| *of == form).map_or(0, |(_, count)| *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(text: &str) -> Vec<Form> {
        let found = FORMS.iter().filter(|(_, is_so)| is_so(text));
        found.map(|(form, _)| *form).collect()
    }

    #[test]
    fn times_are_told_by_zone_and_by_unit() {
        assert_eq!(forms("2023-07-10T12:07:57.1234567Z"), [Form::Rfc3339]);
        assert_eq!(forms("2023-07-10T12:07:57"), [Form::WallTime]);
        assert_eq!(forms("2023-07-10 12:07:57.5"), [Form::WallTime, Form::Blanks]);
        assert_eq!(forms("10/Jul/2023:12:07:57 +0000"), [Form::ServerTime, Form::Blanks]);
        assert_eq!(forms("2023-07-10"), []);
        assert_eq!(forms("1688990877"), [Form::EpochSeconds, Form::Whole]);
        assert_eq!(forms("1688990877123"), [Form::EpochMillis, Form::Whole]);
        assert_eq!(forms("1688990877123456"), [Form::EpochMicros, Form::Whole]);
        assert_eq!(forms("1688990877123456789"), [Form::EpochNanos, Form::Whole]);
    }

    #[test]
    fn other_values_look_like_what_they_are() {
        assert_eq!(forms("403"), [Form::Whole, Form::HttpStatus]);
        assert_eq!(forms("571.0"), []);
        assert_eq!(forms("9D2F0B1E-6d4b-4f0e-8b8e-000000000001"), [Form::Uuid]);
        assert_eq!(forms("a.read, b.read"), [Form::Blanks, Form::Comma]);
        assert_eq!(forms(" a.read "), []);
        assert_eq!(forms("[\"a\",\"b\"]"), [Form::Comma, Form::JsonTexts]);
        assert_eq!(forms("[1]"), []);
        assert_eq!(forms("{\"a\":1}"), [Form::JsonObject]);
        assert_eq!(forms("https://example.com/v1"), [Form::Path]);
        assert_eq!(forms("get"), [Form::HttpMethod]);
        assert_eq!(forms(""), [Form::Empty]);
    }
}
