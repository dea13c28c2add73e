//! What is given to name a row: `column=value`.

use std::collections::BTreeMap;

use super::super::prepare::Prepared;
use super::tables::Explainable;
use crate::error::Error;
use crate::impact::escaped;
use crate::moment::{Moment, Zone};

/// Values by column, each of them one that names rows of the table.
pub struct Conditions<'a> {
    pub table: &'static str,
    given: BTreeMap<&'a str, &'a str>,
}

/// A row that is asked for, and what it may be of.
pub struct Asking<'a> {
    pub of: &'a Conditions<'a>,
    pub prepared: &'a Prepared<'a>,
}

impl<'a> Conditions<'a> {
    /// # Errors
    /// Texts of another form, columns that name no row of the table, columns that are given twice.
    pub fn read(of: &Explainable, conditions: &'a [String]) -> Result<Self, Error> {
        let (table, columns) = (of.table, of.key);
        let mut given: BTreeMap<&str, &str> = BTreeMap::new();
        for condition in conditions {
            let argument = format!("--where {condition}");
            let Some((column, value)) = condition.split_once('=') else {
                return Err(Error::argument(argument, "write column=value"));
            };
            let column = column.trim();
            if !columns.contains(&column) {
                let names = columns.join(", ");
                return Err(Error::argument(
                    argument,
                    format!("a row of {table} is named by {names}"),
                ));
            }
            if given.insert(column, value).is_some() {
                return Err(Error::argument(argument, format!("{column} is given twice")));
            }
        }
        Ok(Self { table, given })
    }

    pub fn get(&self, column: &str) -> Option<&'a str> {
        self.given.get(column).copied()
    }

    /// What stands for a column: one that is not given is a total.
    pub fn id(&self, column: &str) -> Id {
        match self.get(column).unwrap_or("(all)") {
            "(all)" => Id::All,
            "" => Id::None,
            text => Id::One(unescaped(text)),
        }
    }

    /// The value of a column without which no row is named, as the table shows it.
    ///
    /// # Errors
    /// Where it is not given.
    pub fn named(&self, column: &str) -> Result<&'a str, Error> {
        self.get(column).ok_or_else(|| {
            let table = self.table;
            Error::argument(
                "--where",
                format!("a row of {table} names its {column}; give {column}=…"),
            )
        })
    }

    /// A moment, where one is given.
    ///
    /// # Errors
    /// Texts that are none.
    pub fn moment(&self, column: &str) -> Result<Option<Moment>, Error> {
        let read = |text: &str| {
            Moment::parse_setting(text, Zone::UTC)
                .map_err(|reason| Error::argument(format!("--where {column}={text}"), reason))
        };
        self.get(column).map(read).transpose()
    }
}

/// A value that names a row.
pub enum Id {
    All,
    None,
    One(String),
}

impl Id {
    pub fn into_one(self) -> Option<String> {
        match self {
            Self::One(id) => Some(id),
            Self::All | Self::None => None,
        }
    }

    /// As the table shows it.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::All => Some("(all)".to_string()),
            Self::None => None,
            Self::One(id) => Some(escaped(id).into_owned()),
        }
    }
}

/// The id that a table shows so: one that reads like a total has a backslash more.
pub fn unescaped(shown: &str) -> String {
    let bare = shown.trim_start_matches('\\');
    let is_total = bare == "(all)" || bare == "(rest)";
    shown.strip_prefix('\\').filter(|_| is_total).unwrap_or(shown).to_string()
}
