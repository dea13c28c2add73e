//! The configuration's JSON Schema as a page for readers.

use std::fmt::Write;

use serde_json::Value;

/// `docs/configuration-keys.md`: every key.
pub fn configuration(schema: &Value) -> String {
    let mut out = String::from(
        "# Configuration keys\n\n<!-- Generated: afterscope schema config --markdown. Do not edit. -->\n\n",
    );
    out.push_str(text_of(schema));
    out.push('\n');
    let mut waiting = vec![(String::new(), schema)];
    let mut at = 0;
    while let Some((path, node)) = waiting.get(at).cloned() {
        at += 1;
        let Some(properties) = node.get("properties").and_then(Value::as_object) else { continue };
        let required: Vec<&str> = node
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let title = if path.is_empty() { "Top level".to_string() } else { format!("`[{path}]`") };
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {title}\n\n");
        if !path.is_empty() {
            let _ = write!(out, "{}\n\n", text_of(node));
        }
        let _ = writeln!(out, "| key | | meaning |\n|---|---|---|");
        for (key, property) in properties {
            let inner = resolve(schema, property);
            let need = if required.contains(&key.as_str()) { "required" } else { "" };
            let meaning = match text_of(property) {
                "" => text_of(inner),
                text => text,
            };
            let words = words(schema, property);
            let words = if words.is_empty() {
                String::new()
            } else {
                format!(" One of: {}.", words.join(", "))
            };
            let default = property.get("default").filter(|d| !d.is_null() && !d.is_object());
            let default = match default {
                Some(Value::Array(items)) if items.is_empty() => String::new(),
                Some(value) => format!(" Default: `{value}`."),
                None => String::new(),
            };
            let meaning = meaning.replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(out, "| `{key}` | {need} | {meaning}{words}{default} |");
            for child in children(schema, property) {
                let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let known = waiting.iter().any(|(_, other)| std::ptr::eq(*other, child));
                if child.get("properties").is_some() && !known {
                    waiting.push((name, child));
                }
            }
        }
    }
    out
}

fn text_of(node: &Value) -> &str {
    node.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn resolve<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    node.get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix('#'))
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(node)
}

/// The tables that a property leads to.
fn children<'a>(root: &'a Value, property: &'a Value) -> Vec<&'a Value> {
    let mut found = Vec::new();
    let mut waiting = vec![property];
    while let Some(node) = waiting.pop() {
        let node = resolve(root, node);
        if node.get("properties").is_some() {
            found.push(node);
            continue;
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            waiting.extend(node.get(key).and_then(Value::as_array).into_iter().flatten());
        }
        waiting.extend(node.get("items"));
    }
    found
}

fn words(root: &Value, property: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![property];
    while let Some(node) = waiting.pop() {
        let node = resolve(root, node);
        let listed = node.get("enum").and_then(Value::as_array).into_iter().flatten();
        for word in listed.chain(node.get("const")).filter_map(Value::as_str) {
            found.push(format!("`{word}`"));
        }
        for key in ["anyOf", "oneOf"] {
            let inner = node.get(key).and_then(Value::as_array).into_iter().flatten();
            waiting.extend(inner.rev());
        }
    }
    found
}
