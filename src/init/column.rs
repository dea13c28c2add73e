//! A column as a configuration can name it, and what a sample shows of it.

use super::forms::Form;
use super::tally::Values;
use super::words::normal;
use crate::config::raw::{ColumnTable, Entry};

/// Where values stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A column, or a field of a struct by its dotted path.
    Path(String),
    /// The entry of a list of name/value structs.
    Entry { path: String, name: String, equals: String, value: String },
    /// A value in JSON text.
    Json { path: String, json: String },
    /// Two columns with a text between them.
    Concat([String; 3]),
}

impl Place {
    /// As the configuration writes it.
    pub fn column(&self) -> ColumnTable {
        let of = ColumnTable::default();
        match self {
            Self::Path(path) => ColumnTable { path: Some(path.clone()), ..of },
            Self::Entry { path, name, equals, value } => {
                let entry =
                    Entry { name: name.clone(), equals: equals.clone(), value: value.clone() };
                ColumnTable { path: Some(path.clone()), entry: Some(entry), ..of }
            }
            Self::Json { path, json } => {
                ColumnTable { path: Some(path.clone()), json: Some(json.clone()), ..of }
            }
            Self::Concat(parts) => ColumnTable { concat: Some(parts.to_vec()), ..of },
        }
    }

    /// As texts name it: `parameters[client_id].value`, `details → client.id`.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => path.clone(),
            Self::Entry { path, equals, value, .. } => format!("{path}[{equals}].{value}"),
            Self::Json { path, json } => format!("{path} → {json}"),
            Self::Concat([first, between, second]) => format!("{first} + \"{between}\" + {second}"),
        }
    }

    /// As rules compare it.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => normal(path),
            Self::Entry { path, equals, .. } => normal(&format!("{path}.{equals}")),
            Self::Json { path, json } => normal(&format!("{path}.{json}")),
            Self::Concat([first, _, second]) => format!("{}+{}", normal(first), normal(second)),
        }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A time with a zone.
    Moment,
    /// A time without one.
    WallTime,
    Whole,
    Fraction,
    Bool,
    Text,
    /// 16 bytes.
    Uuid,
    /// A list of texts.
    Texts,
    /// What no key of the configuration takes.
    Other,
}

/// A column of a sample.
#[derive(Clone, Debug)]
pub struct Column {
    pub place: Place,
    pub kind: Kind,
    pub data_type: String,
    pub values: Values,
    /// Opened files that lack it.
    pub files_without: u64,
}

impl Column {
    /// Whether its type is one of times.
    pub fn is_time(&self) -> bool {
        matches!(self.kind, Kind::Moment | Kind::WallTime)
    }

    /// Whether its values are UUIDs written as text.
    pub fn are_uuids(&self) -> bool {
        self.kind == Kind::Text && self.values.all(Form::Uuid)
    }
}
