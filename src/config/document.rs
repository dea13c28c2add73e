//! A TOML file as a tree that remembers where each value stands.

use std::collections::BTreeSet;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub at: Place,
    pub message: String,
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line and column of the file, from 1.
    Line(usize, usize),
    /// An argument such as `--set report.lookback_days=30`.
    Argument(String),
    /// The file as a whole.
    File,
    /// Nowhere: the value was put in for one that is missing.
    Assumed,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: Place,
    pub item: Item,
    /// A text as it stands in the file, where variables of the environment were put in.
    pub written: Option<String>,
}

impl Node {
    pub fn new(at: Place, item: Item) -> Self {
        Self { at, item, written: None }
    }
}

#[derive(Clone, Debug)]
pub enum Item {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Array(Vec<Node>),
    /// Key, the key's place, value; in the file's order.
    Table(Vec<(String, Place, Node)>),
}

impl Item {
    /// The name that a message uses.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a fraction",
            Self::Bool(_) => "true or false",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect())
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.0.partition_point(|start| *start <= offset).max(1);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        Place::Line(line, offset - start + 1)
    }
}

/// Reads TOML. Environment variables (`${NAME}`) are put in place; syntax errors and unset variables
/// become problems. `false` beside the document where its syntax is broken: what could be read of it
/// is not all that it says.
pub fn parse(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> (Node, bool) {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let whole = errors.is_empty();
    for error in errors {
        let at = error.span().map_or(Place::File, |span| lines.place(span.start));
        problems.push(Problem { at, message: error.message().trim().replace('\n', "; ") });
    }
    (convert_table(table.as_ref(), Place::Line(1, 1), &lines, env, problems), whole)
}

fn convert_table(
    table: &DeTable<'_>,
    at: Place,
    lines: &Lines,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Node {
    let mut entries = Vec::new();
    for (key, value) in table {
        let key_at = lines.place(key.span().start);
        let value = convert(value, lines, env, problems);
        entries.push((key.get_ref().to_string(), key_at, value));
    }
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    Node::new(at, Item::Table(entries))
}

fn convert(
    value: &Spanned<DeValue<'_>>,
    lines: &Lines,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Node {
    let at = lines.place(value.span().start);
    let item = match value.get_ref() {
        DeValue::String(text) => return text_node(text, at, env, problems),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            if let Ok(n) = i64::from_str_radix(&digits, number.radix()) {
                Item::Integer(n)
            } else {
                problems.push(Problem {
                    at: at.clone(),
                    message: format!("the number {digits} is too large"),
                });
                Item::Integer(0)
            }
        }
        DeValue::Float(number) => {
            Item::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN))
        }
        DeValue::Boolean(b) => Item::Bool(*b),
        // Dates are text everywhere else; TOML's own dates are taken as their text.
        DeValue::Datetime(date) => Item::Text(date.to_string()),
        DeValue::Array(items) => {
            Item::Array(items.iter().map(|item| convert(item, lines, env, problems)).collect())
        }
        DeValue::Table(table) => return convert_table(table, at, lines, env, problems),
    };
    Node::new(at, item)
}

fn text_node(
    text: &str,
    at: Place,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Node {
    let item = Item::Text(expand(text, env, &at, problems));
    let written = text.contains("${").then(|| text.to_string());
    Node { at, item, written }
}

/// Puts environment variables in place of `${NAME}`; `$${` stands for `${`.
fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    at: &Place,
    problems: &mut Vec<Problem>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            problems.push(Problem {
                at: at.clone(),
                message: "`${` without `}`; write $${ for the two characters themselves".into(),
            });
            return out;
        };
        match env(name) {
            Some(value) => out.push_str(&value),
            None => problems.push(Problem {
                at: at.clone(),
                message: format!(
                    "the environment variable {name} is not set; set it or remove ${{{name}}}"
                ),
            }),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl Node {
    /// Applies `--set key=value`: the value is read as TOML, and as plain text where it is none.
    pub fn set(
        &mut self,
        assignment: &str,
        env: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) {
        let (path, value) = assignment.split_once('=').unzip();
        // The value may hold a secret: a message names the key only.
        let path = path.unwrap_or(assignment).trim();
        let place = Place::Argument(format!("--set {path}"));
        let Some(text) = value else {
            problems.push(Problem { at: place, message: "write --set key=value".into() });
            return;
        };
        let mut ignored = Vec::new();
        let (parsed, _) = parse(&format!("v = {text}"), env, &mut ignored);
        let value = match parsed.item {
            Item::Table(entries) if ignored.is_empty() && entries.len() == 1 => {
                entries.into_iter().next().map(|(_, _, node)| Node { at: place.clone(), ..node })
            }
            _ => None,
        };
        let value = value.unwrap_or_else(|| text_node(text, place.clone(), env, problems));
        let mut node = self;
        for key in path.split('.') {
            // `source.0.url` names the first source.
            if let (Item::Array(items), Ok(index)) = (&node.item, key.parse::<usize>()) {
                let count = items.len();
                let Item::Array(items) = &mut node.item else { return };
                let Some(next) = items.get_mut(index) else {
                    problems.push(Problem {
                        at: place,
                        message: format!("there is no entry {index}; the array has {count}"),
                    });
                    return;
                };
                node = next;
                continue;
            }
            let what = node.item.type_name();
            let Item::Table(entries) = &mut node.item else {
                problems.push(Problem {
                    at: place,
                    message: format!("`{key}` cannot be set inside {what}"),
                });
                return;
            };
            let index = entries.iter().position(|(k, _, _)| k == key).unwrap_or_else(|| {
                let empty = Node::new(place.clone(), Item::Table(Vec::new()));
                entries.push((key.to_string(), place.clone(), empty));
                entries.len() - 1
            });
            let Some((_, _, next)) = entries.get_mut(index) else { return };
            node = next;
        }
        *node = value;
    }

    /// The same without the entries whose key or value stands at one of `places`.
    pub fn without(&self, places: &BTreeSet<Place>) -> Self {
        let item = match &self.item {
            Item::Table(entries) => Item::Table(
                entries
                    .iter()
                    .filter(|(_, at, node)| !places.contains(at) && !places.contains(&node.at))
                    .map(|(key, at, node)| (key.clone(), at.clone(), node.without(places)))
                    .collect(),
            ),
            Item::Array(items) => {
                Item::Array(items.iter().map(|item| item.without(places)).collect())
            }
            other => other.clone(),
        };
        Self { at: self.at.clone(), item, written: self.written.clone() }
    }

    /// The same with texts as they were written: what variables hold may be secret.
    pub fn as_written(&self) -> Self {
        let item = match (&self.item, &self.written) {
            (_, Some(written)) => Item::Text(written.clone()),
            (Item::Table(entries), _) => Item::Table(
                entries
                    .iter()
                    .map(|(k, at, node)| (k.clone(), at.clone(), node.as_written()))
                    .collect(),
            ),
            (Item::Array(items), _) => Item::Array(items.iter().map(Self::as_written).collect()),
            (other, _) => other.clone(),
        };
        Self::new(self.at.clone(), item)
    }

    /// The same value for serde.
    pub fn to_json(&self) -> Value {
        match &self.item {
            Item::Text(text) => Value::from(text.as_str()),
            Item::Integer(n) => Value::from(*n),
            Item::Float(n) => Value::from(*n),
            Item::Bool(b) => Value::from(*b),
            Item::Array(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Item::Table(entries) => Value::Object(
                entries.iter().map(|(key, _, node)| (key.clone(), node.to_json())).collect(),
            ),
        }
    }

    /// The place of the value at `path`, or of the nearest table that is there.
    pub fn place_of(&self, path: &[&str]) -> Place {
        let mut node = self;
        for key in path {
            let next = match &node.item {
                Item::Table(entries) => entries.iter().find(|(k, _, _)| k == key).map(|e| &e.2),
                Item::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at.clone()
    }
}
