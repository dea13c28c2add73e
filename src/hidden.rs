//! Characters that are not seen, act on a terminal or move others, and how each sink shows them instead.

use std::borrow::Cow;
use std::fmt::Write;

/// Controls, marks of direction, and characters of no width other than the joiners that scripts and
/// emoji need.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push_visible(c: char, out: &mut String) {
    if is_hidden(c) {
        // Writing to a String cannot fail.
        let _ = write!(out, "[U+{:04X}]", u32::from(c));
    } else {
        out.push(c);
    }
}

/// The text with every hidden character written as its number: `[U+202E]` for a right-to-left override,
/// `[U+001B]` for an escape.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_visible(c, &mut out));
    out
}

/// As [`visible`], but tabs and line ends stay: CSV quotes them, and they are told apart from the end of
/// a record. A carriage return alone is no line end: it would let a terminal write over the line.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    // Nearly every cell of a table is such a text.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(is_hidden) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\t' | '\n' => out.push(c),
            '\r' if rest.peek() == Some(&'\n') => out.push(c),
            c => push_visible(c, &mut out),
        }
    }
    out.into()
}

/// JSON of the same value in which no hidden character stands bare. Those below a blank are escaped
/// within texts already; elsewhere they lay the JSON out.
pub fn in_json(json: String) -> String {
    let is_bare = |c: char| c >= ' ' && is_hidden(c);
    if !json.chars().any(is_bare) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_bare(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(visible("a\u{202e}b\x1b[2J\t\u{200b}"), "a[U+202E]b[U+001B][2J[U+0009][U+200B]");
        // A name in a script from right to left, and a family of emoji, stay as they are.
        let kept = "مثال 👨\u{200d}👩\u{200d}👧";
        assert_eq!(visible(kept), kept);
        assert_eq!(visible_lines(kept), kept);
    }

    #[test]
    fn line_ends_and_tabs_stay_where_they_are_quoted() {
        assert_eq!(visible_lines("a\tb\nc\r\nd"), "a\tb\nc\r\nd");
        assert_eq!(visible_lines("a\rb\r"), "a[U+000D]b[U+000D]");
        assert_eq!(visible_lines("\u{9b}2J\u{7f}\u{61c}\n"), "[U+009B]2J[U+007F][U+061C]\n");
    }

    #[test]
    fn json_keeps_its_value() {
        let text = "\x1b\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}é\n";
        let json = in_json(serde_json::to_string_pretty(&[text]).unwrap());
        assert!(json.chars().all(|c| c == '\n' || !is_hidden(c)), "{json:?}");
        assert!(json.contains("\\u202e") && json.contains("\\udb40\\udc41"), "{json}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
    }
}
