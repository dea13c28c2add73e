//! The columns of a sample while its rows go by, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use super::column::{Column, Kind, Place};
use super::tally::Tally;

/// Bytes that kept values of all columns take at most, and the least for one.
const ROOM: u64 = 64 << 20;
const LEAST_ROOM: u64 = 8 << 10;

/// Columns that are made of one column: entries of a list, values in JSON.
const MADE: usize = 200;

/// Texts of a column that are read as JSON.
const PARSED: u64 = 20_000;

/// A column that rows are added to.
pub struct Growing {
    kind: Kind,
    data_type: String,
    tally: Tally,
    room: usize,
    /// Rows that were looked at; of a column in another's JSON fewer than there are.
    rows: Rows,
}

/// What the rows of a column are.
enum Rows {
    All,
    /// Those of the texts that were parsed in this column.
    Parsed(String),
}

impl Growing {
    /// As [`Tally::row`].
    pub fn row(&mut self) {
        self.tally.row();
    }

    /// As [`Tally::value`], within what the column may keep.
    pub fn value(&mut self, text: &str) {
        self.tally.value(text, self.room);
    }

    /// As [`Tally::span`].
    pub fn span(&mut self, least: i64, greatest: i64) {
        self.tally.span(least, greatest);
    }
}

/// All columns that were met.
pub struct Columns {
    /// Bytes that values of one may take.
    room: usize,
    columns: Vec<(Place, Growing)>,
    known: HashMap<Place, usize>,
    /// Columns made of a column.
    made: HashMap<String, usize>,
    /// Texts parsed of a column, and rows up to the last of them.
    parsed: HashMap<String, (u64, u64)>,
}

impl Columns {
    /// For about so many columns, whose values may take so many bytes.
    pub fn new(columns: usize, room: u64) -> Self {
        let room = (ROOM.min(room) / (columns.max(1) as u64)).max(LEAST_ROOM);
        Self {
            room: usize::try_from(room).unwrap_or(usize::MAX),
            columns: Vec::new(),
            known: HashMap::new(),
            made: HashMap::new(),
            parsed: HashMap::new(),
        }
    }

    /// In the order in which they were met.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.columns.iter().map(|(place, _)| place)
    }

    /// The column of a place; `None` where too many are made of one column.
    pub fn at(
        &mut self,
        place: Place,
        kind: Kind,
        data_type: impl FnOnce() -> String,
    ) -> Option<&mut Growing> {
        let at = match self.known.get(&place) {
            Some(at) => *at,
            None => {
                let of = match &place {
                    Place::Path(_) | Place::Concat(_) => None,
                    Place::Entry { path, .. } | Place::Json { path, .. } => Some(path.clone()),
                };
                if let Some(of) = of {
                    let made = self.made.entry(of).or_default();
                    if *made == MADE {
                        return None;
                    }
                    *made += 1;
                }
                let rows = match &place {
                    Place::Json { path, .. } => Rows::Parsed(path.clone()),
                    _ => Rows::All,
                };
                let (tally, room) = (Tally::new(), self.room);
                let data_type = data_type();
                self.columns.push((place.clone(), Growing { kind, data_type, tally, room, rows }));
                self.known.insert(place, self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        self.columns.get_mut(at).map(|(_, growing)| growing)
    }

    /// Whether one more text of a column is parsed: the last of so many rows.
    pub fn parses(&mut self, path: &str, rows: u64) -> bool {
        let (parsed, until) = self.parsed.entry(path.to_string()).or_default();
        if *parsed == PARSED {
            return false;
        }
        *parsed += 1;
        *until = rows;
        true
    }

    /// What was counted in so many rows; `without` says of how many files a top-level column is missing.
    pub fn finish(self, rows: u64, without: &BTreeMap<&str, u64>) -> Vec<Column> {
        let parsed = self.parsed;
        let columns = self.columns.into_iter().map(|(place, growing)| {
            let rows = match growing.rows {
                Rows::All => rows,
                Rows::Parsed(of) => parsed
                    .get(&of)
                    .map_or(rows, |(count, until)| if *count == PARSED { *until } else { rows }),
            };
            let top = |path: &str| {
                let top = path.split('.').next().unwrap_or_default();
                without.get(path).or_else(|| without.get(top)).copied().unwrap_or(0)
            };
            let files_without = match &place {
                Place::Path(path) | Place::Entry { path, .. } | Place::Json { path, .. } => {
                    top(path)
                }
                Place::Concat([first, _, second]) => top(first).max(top(second)),
            };
            let (kind, data_type) = (growing.kind, growing.data_type);
            Column { place, kind, data_type, values: growing.tally.finish(rows), files_without }
        });
        columns.collect()
    }
}
