//! Values as a configuration has them.

use toml_writer::{ToTomlValue, TomlStringBuilder};

use crate::config::raw::{ColumnTable, Encoding, Kind, Missing};
use crate::hidden::is_hidden;

/// A text as a configuration means it: no variable of the environment is put in.
pub fn quoted(text: &str) -> String {
    literal(&text.replace("${", "$${"))
}

/// A text on one line: what is not seen is escaped.
pub fn literal(text: &str) -> String {
    let basic = TomlStringBuilder::new(text).as_basic().to_toml_value();
    let mut out = String::with_capacity(basic.len());
    for c in basic.chars() {
        if is_hidden(c) {
            let number = u32::from(c);
            out.push_str(&format!("\\U{number:08X}"));
        } else {
            out.push(c);
        }
    }
    out
}

/// Texts in an array.
pub fn array(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A column: its name alone where that is all, else an inline table. An empty `encoding` says that somebody has to
/// fill it in.
pub fn column(of: &ColumnTable, encoding_is_open: bool) -> String {
    let mut keys: Vec<(&str, String)> = Vec::new();
    let mut text = |key, value: &Option<String>| {
        keys.extend(value.as_ref().map(|value| (key, quoted(value))));
    };
    text("path", &of.path);
    text("json", &of.json);
    text("format", &of.format);
    text("zone", &of.zone);
    if let Some(parts) = &of.concat {
        keys.push(("concat", array(parts)));
    }
    if let Some(entry) = &of.entry {
        let mut parts = vec![format!("equals = {}", quoted(&entry.equals))];
        for (key, value, default) in
            [("name", &entry.name, "name"), ("value", &entry.value, "value")]
        {
            if value != default {
                parts.push(format!("{key} = {}", quoted(value)));
            }
        }
        keys.push(("entry", format!("{{ {} }}", parts.join(", "))));
    }
    let encoding = of.encoding.map(|encoding| match encoding {
        Encoding::List => "list",
        Encoding::Space => "space",
        Encoding::Comma => "comma",
        Encoding::Single => "single",
    });
    if let Some(encoding) = encoding.or(encoding_is_open.then_some("")) {
        keys.push(("encoding", quoted(encoding)));
    }
    if of.kind == Some(Kind::Uuid) {
        keys.push(("kind", quoted("uuid")));
    }
    if of.missing == Missing::Null {
        keys.push(("missing", quoted("null")));
    }
    match keys.as_slice() {
        [("path", name)] => name.clone(),
        keys => {
            let keys: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::{Column, Entry};

    fn back(value: &str) -> serde_json::Value {
        let text = format!("v = {value}");
        assert_eq!(text.lines().count(), 1, "{text}");
        toml::from_str::<serde_json::Value>(&text).unwrap()["v"].clone()
    }

    #[test]
    fn what_is_quoted_comes_back_and_stays_on_its_line() {
        for text in
            ["a", "", "a\"b'c\\", "a\nb\r\t\u{7f}\u{1b}[2J", "\u{202e}x\u{85}", "é 👨\u{200d}👩"]
        {
            let quoted = quoted(text);
            assert_eq!(back(&quoted), text);
            assert!(!quoted.chars().any(is_hidden), "{quoted:?}");
        }
        assert_eq!(quoted("a${HOME}"), "\"a$${HOME}\"");
    }

    #[test]
    fn a_column_comes_back_as_what_it_is() {
        let entry = Entry { name: "name".into(), equals: "scope".into(), value: "multi".into() };
        let of = ColumnTable {
            path: Some("parameters".into()),
            entry: Some(entry),
            encoding: Some(Encoding::List),
            missing: Missing::Null,
            ..Default::default()
        };
        let written = column(&of, false);
        let wanted = "{ path = \"parameters\", entry = { equals = \"scope\", value = \"multi\" }, encoding = \"list\", missing = \"null\" }";
        assert_eq!(written, wanted);
        let read: Column = serde_json::from_value(back(&written)).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(&of).unwrap());
        let name = ColumnTable { path: Some("a\"b".into()), ..Default::default() };
        assert_eq!(column(&name, false), "\"a\\\"b\"");
        let open = ColumnTable { path: Some("s".into()), ..Default::default() };
        assert_eq!(column(&open, true), "{ path = \"s\", encoding = \"\" }");
    }
}
