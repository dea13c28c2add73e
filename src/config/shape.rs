//! Checks a document against the JSON Schema of [`super::raw`], and finds every problem, not the
//! first: unknown keys (with the nearest known one), missing keys, wrong types, unknown words.

use serde_json::Value;

use super::document::{Item, Node, Place, Problem};

/// The JSON Schema of the configuration.
pub fn schema() -> Value {
    schemars::schema_for!(super::raw::Document).to_value()
}

/// Appends what is wrong with the shape of `document`; of a part of one (not `whole`), nothing is
/// said to be missing.
pub fn check(document: &Node, whole: bool, problems: &mut Vec<Problem>) {
    let root = schema();
    Checker { root: &root, whole }.node(document, &root, "", problems);
}

/// Stands for a text that is missing: no file can hold it.
const ASSUMED: &str = "\0";

/// `document` with a value for every key that is missing and must not be.
pub fn complete(document: &Node) -> Node {
    let root = schema();
    Checker { root: &root, whole: true }.completed(document, &root)
}

/// Whether a problem is one of a value that [`complete`] put in.
pub fn is_assumed(problem: &Problem) -> bool {
    problem.at == Place::Assumed || problem.message.contains(ASSUMED)
}

/// The known word nearest to `word`, as the tail of a message.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|candidate| {
            (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

struct Checker<'a> {
    root: &'a Value,
    /// Whether keys may be said to be missing.
    whole: bool,
}

impl<'a> Checker<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|pointer| pointer.strip_prefix('#'))
            .and_then(|pointer| self.root.pointer(pointer))
            .unwrap_or(schema)
    }

    fn node(&self, node: &Node, schema: &'a Value, name: &str, problems: &mut Vec<Problem>) {
        let schema = self.resolve(schema);
        let options = self.options(schema);
        if !options.is_empty() {
            // An option of the right type speaks best about what is wrong inside.
            let fitting: Vec<&Value> =
                options.iter().copied().filter(|s| type_fits(node, s)).collect();
            let words: Vec<&str> = options.iter().copied().flat_map(words_of).collect();
            if let (Item::Text(text), false) = (&node.item, words.is_empty()) {
                if !words.contains(&text.as_str()) {
                    problems.push(unknown_word(node, name, text, &words));
                }
                return;
            }
            match fitting.first() {
                Some(option) => self.node(node, option, name, problems),
                None => problems.push(wrong_type(node, name, &options)),
            }
            return;
        }
        if !type_fits(node, schema) {
            problems.push(wrong_type(node, name, &[schema]));
            return;
        }
        let words = words_of(schema);
        if let (Item::Text(text), false) = (&node.item, words.is_empty())
            && !words.contains(&text.as_str())
        {
            problems.push(unknown_word(node, name, text, &words));
        }
        if let Item::Integer(n) = &node.item {
            let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
            let most = match schema.get("format").and_then(Value::as_str) {
                Some("uint32") => i64::from(u32::MAX),
                _ => i64::MAX,
            };
            let bound = if *n < least { Some(("least", least)) } else { None };
            if let Some((word, bound)) = bound.or((*n > most).then_some(("most", most))) {
                problems.push(Problem {
                    at: node.at.clone(),
                    message: format!("`{name}` is {n}; it must be at {word} {bound}"),
                });
            }
        }
        match &node.item {
            Item::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for item in items {
                        self.node(item, inner, name, problems);
                    }
                }
            }
            Item::Table(entries) => self.table(node, entries, schema, name, problems),
            _ => {}
        }
    }

    fn table(
        &self,
        node: &Node,
        entries: &[(String, Place, Node)],
        schema: &'a Value,
        name: &str,
        problems: &mut Vec<Problem>,
    ) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let inside = |key: &str| if name.is_empty() { key.into() } else { format!("{name}.{key}") };
        for (key, at, value) in entries {
            match properties.get(key) {
                Some(property) => self.node(value, property, &inside(key), problems),
                None => problems.push(Problem {
                    at: at.clone(),
                    message: format!(
                        "unknown key `{}`{}",
                        inside(key),
                        did_you_mean(key, properties.keys().map(String::as_str))
                    ),
                }),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str).filter(|_| self.whole) {
            if !entries.iter().any(|(k, _, _)| k == key) {
                problems.push(Problem {
                    at: node.at.clone(),
                    message: format!("`{}` is missing", inside(key)),
                });
            }
        }
    }
}

impl<'a> Checker<'a> {
    fn options(&self, schema: &'a Value) -> Vec<&'a Value> {
        let listed = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(key)?.as_array());
        listed.flatten().map(|s| self.resolve(s)).collect()
    }

    fn completed(&self, node: &Node, schema: &'a Value) -> Node {
        let schema = self.resolve(schema);
        let options = self.options(schema);
        if let Some(option) = options.into_iter().find(|s| type_fits(node, s)) {
            return self.completed(node, option);
        }
        let item = match &node.item {
            Item::Array(items) => match schema.get("items") {
                Some(inner) => {
                    Item::Array(items.iter().map(|item| self.completed(item, inner)).collect())
                }
                None => node.item.clone(),
            },
            Item::Table(entries) => Item::Table(self.completed_table(entries, schema)),
            other => other.clone(),
        };
        Node { at: node.at.clone(), item, written: node.written.clone() }
    }

    fn completed_table(
        &self,
        entries: &[(String, Place, Node)],
        schema: &'a Value,
    ) -> Vec<(String, Place, Node)> {
        let property = |key: &str| schema.get("properties").and_then(|p| p.get(key));
        let mut all: Vec<_> = entries
            .iter()
            .map(|(key, at, node)| {
                let node = property(key).map_or(node.clone(), |s| self.completed(node, s));
                (key.clone(), at.clone(), node)
            })
            .collect();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            if let (false, Some(schema)) = (entries.iter().any(|e| e.0 == key), property(key)) {
                all.push((key.to_string(), Place::Assumed, self.assumed(schema)));
            }
        }
        all
    }

    /// A value of the right shape.
    fn assumed(&self, schema: &'a Value) -> Node {
        let schema = self.resolve(schema);
        if let Some(option) = self.options(schema).first() {
            return self.assumed(option);
        }
        let item = match (types_of(schema).first(), words_of(schema).first()) {
            (_, Some(word)) => Item::Text((*word).to_string()),
            (Some(&"object"), _) => Item::Table(self.completed_table(&[], schema)),
            (Some(&"array"), _) => Item::Array(Vec::new()),
            (Some(&"integer" | &"number"), _) => Item::Integer(1),
            (Some(&"boolean"), _) => Item::Bool(false),
            _ => Item::Text(ASSUMED.into()),
        };
        Node::new(Place::Assumed, item)
    }
}

fn types_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn words_of(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let single = schema.get("const");
    let nested = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    listed.chain(single).filter_map(Value::as_str).chain(nested.flat_map(words_of)).collect()
}

fn type_fits(node: &Node, schema: &Value) -> bool {
    let types = types_of(schema);
    if types.is_empty() {
        // Word lists of schemars have no type of their own.
        return words_of(schema).is_empty() || matches!(node.item, Item::Text(_));
    }
    types.iter().any(|t| {
        matches!(
            (*t, &node.item),
            ("string", Item::Text(_))
                | ("integer", Item::Integer(_))
                | ("number", Item::Integer(_) | Item::Float(_))
                | ("boolean", Item::Bool(_))
                | ("array", Item::Array(_))
                | ("object", Item::Table(_))
        )
    })
}

fn unknown_word(node: &Node, name: &str, text: &str, words: &[&str]) -> Problem {
    Problem {
        at: node.at.clone(),
        message: format!(
            "`{name}` is \"{text}\"; it must be one of {}{}",
            words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", "),
            did_you_mean(text, words.iter().copied())
        ),
    }
}

fn wrong_type(node: &Node, name: &str, options: &[&Value]) -> Problem {
    let wanted: Vec<&str> = options
        .iter()
        .flat_map(|s| types_of(s))
        .filter_map(|t| match t {
            "string" => Some("a text"),
            "integer" => Some("an integer"),
            "number" => Some("a number"),
            "boolean" => Some("true or false"),
            "array" => Some("an array"),
            "object" => Some("a table"),
            _ => None,
        })
        .collect();
    Problem {
        at: node.at.clone(),
        message: format!(
            "`{name}` is {}; it must be {}",
            node.item.type_name(),
            wanted.join(" or ")
        ),
    }
}
