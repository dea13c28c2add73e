//! Texts as people see them: nothing from a log can hide, act or overflow.

use std::fmt::Write;

use chrono::{DateTime, Utc};

pub use crate::hidden::visible;

/// Characters of one text that a page shows; what is longer is cut, and says so.
const LONGEST: usize = 240;

/// As [`visible`], at most 240 characters.
pub fn shown(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(LONGEST) else { return visible(text) };
    let (head, rest) = text.split_at(end);
    let more = number(rest.chars().count() as i64);
    format!("{}… [{more} characters more]", visible(head))
}

/// Appends the text to HTML, between tags or in a quoted attribute.
pub fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// Appends the text as a JSON string that may stand inside a script element.
pub fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' | '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `1,234,567`.
pub fn number(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 app`, `3 apps`, `2 people`.
pub fn count(n: i64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// At most two places, rounded down in size: 99.995 must not read as 100.
pub fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let cut = (value * 100.0).trunc() / 100.0;
    let text = format!("{cut:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// `2019-11-05 23:17:04`, cut to the second.
pub fn time(micros: i64) -> String {
    match at(micros) {
        Some(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => format!("{micros} µs"),
    }
}

/// `4 April 2018`, and the time of day where it is not midnight.
pub fn day_in_words(micros: i64) -> String {
    let Some(at) = at(micros) else { return format!("{micros} µs") };
    let midnight = micros.rem_euclid(crate::moment::DAY_MICROS) == 0;
    at.format(if midnight { "%-d %B %Y" } else { "%-d %B %Y, %H:%M:%S" }).to_string()
}

fn at(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let long = "x".repeat(1_240);
        assert_eq!(shown(&long), format!("{}… [1,000 characters more]", "x".repeat(240)));
        assert_eq!(shown(&"x".repeat(240)), "x".repeat(240));
    }

    #[test]
    fn markup_is_text() {
        let mut out = String::new();
        escape("<b a='1' b=\"2\">&amp;", &mut out);
        assert_eq!(out, "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;");
        let mut out = String::new();
        let hostile = "</script><!--\u{2028}\"\\\n";
        json_string(hostile, &mut out);
        assert!(!out.contains(['<', '>', '\u{2028}', '\n']), "{out}");
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), hostile);
    }

    #[test]
    fn figures_read_well_and_never_better_than_they_are() {
        assert_eq!((number(1_234_567), number(-1_000)), ("1,234,567".into(), "-1,000".into()));
        assert_eq!(
            (decimal(99.9999), decimal(100.0), decimal(0.5)),
            ("99.99".into(), "100".into(), "0.5".into())
        );
        assert_eq!(time(1_572_995_879_459_342), "2019-11-05 23:17:59");
        assert_eq!(day_in_words(1_522_800_000_000_000), "4 April 2018");
    }
}
