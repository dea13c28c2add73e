//! Messages on stderr: plain or JSON, coloured where that is wanted, never with control characters
//! from outside.

use std::io::{IsTerminal, Write};

use super::args::{Global, LogFormat};
use crate::hidden::is_hidden;

/// Replaces hidden characters: names from logs and listings must not move the cursor.
pub fn tame(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

fn coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
}

fn say(level: &str, colour: &str, text: &str, global: &Global) {
    let mut out = std::io::stderr().lock();
    let text = tame(text);
    let line = match global.log_format {
        LogFormat::Json => serde_json::json!({ "level": level, "message": text }).to_string(),
        LogFormat::Text if coloured() => format!("\x1b[{colour}m{level}:\x1b[0m {text}"),
        LogFormat::Text => format!("{level}: {text}"),
    };
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(out, "{line}");
}

pub fn error(text: &str, global: &Global) {
    say("error", "1;31", text, global);
}

/// Says that rows are lacking, where files were left out.
pub fn left_out(files: u64) {
    if files > 0 {
        let files = number(files);
        plain(&format!("incomplete: {files} files were left out, none of whose rows counts"));
    }
}

pub fn warning(text: &str, global: &Global) {
    if !global.quiet {
        say("warning", "1;33", text, global);
    }
}

pub fn info(text: &str, global: &Global) {
    if !global.quiet {
        say("info", "1;32", text, global);
    }
}

/// A line without a level.
pub fn plain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", tame(text));
}

/// Lines in aligned columns: the first column to the left, the others to the right.
pub fn table(lines: &[Vec<String>]) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| lines.iter().filter_map(|l| l.get(c)).map(|t| t.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    for line in lines {
        let mut out = String::new();
        for (i, (text, width)) in line.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(text.chars().count()));
            let parts =
                if i == 0 { [text.as_str(), gap.as_str()] } else { [gap.as_str(), text.as_str()] };
            out.push_str(if i == 0 { "" } else { "  " });
            out.push_str(&parts.concat());
        }
        plain(out.trim_end());
    }
}

/// `12.3 MB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or("B");
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {name}") }
}

/// `1,234,567`.
pub fn number(count: impl Into<i128>) -> String {
    let count: i128 = count.into();
    let digits = count.unsigned_abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if count < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_move_the_cursor() {
        assert_eq!(tame("a\x1b[2Jb\u{202e}c\nd"), "a\u{fffd}[2Jb\u{fffd}c\nd");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (number(1_234_567), number(-12), bytes(1_500_000)),
            ("1,234,567".into(), "-12".into(), "1.5 MB".into())
        );
    }
}
