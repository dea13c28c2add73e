//! What the sample's log went through where it is a table: rows that were written and are gone again.

use super::Failed;
use super::rows::Row;

/// Writes a log, day by day.
pub trait Lake {
    /// Takes the rows of a day as they must be in the end, sorted; `strangers` were never called and may be
    /// written, if they are taken out again.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn day(&mut self, day: i64, rows: Vec<Row>, strangers: Vec<Row>) -> Result<(), Failed>;

    /// What follows is written later than what was deleted so far.
    ///
    /// # Errors
    /// Files that cannot be written.
    fn turn(&mut self) -> Result<(), Failed>;
}

/// What becomes of the file of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// Strangers among its rows are deleted by their places.
    Marked,
    /// One call was written with another person: it is deleted, and written again in a second file.
    Corrected,
    /// Strangers among its rows: a second file without them takes its place.
    Rewritten,
    /// A second file of nothing but strangers is removed.
    Dropped,
}

/// Files of a day, in the order in which they are written.
pub struct Day {
    pub fate: Fate,
    pub first: Vec<Row>,
    /// Places of rows in the first file that are deleted.
    pub gone: Vec<u64>,
    /// Empty where there is no second file.
    pub second: Vec<Row>,
}

impl Day {
    /// Decides what becomes of day `number` of the log.
    pub fn new(number: i64, rows: Vec<Row>, strangers: Vec<Row>) -> Self {
        let fate = match number % 40 {
            5 => Fate::Marked,
            15 => Fate::Corrected,
            25 => Fate::Rewritten,
            35 => Fate::Dropped,
            _ => Fate::Kept,
        };
        let plain = |rows| Self { fate, first: rows, gone: Vec::new(), second: Vec::new() };
        match fate {
            Fate::Kept => plain(rows),
            Fate::Marked => {
                let first = together(rows, &strangers);
                let gone = places(&first, |row| strangers.contains(row));
                Self { gone, ..plain(first) }
            }
            Fate::Corrected => corrected(rows, &strangers),
            Fate::Rewritten => Self { second: rows.clone(), ..plain(together(rows, &strangers)) },
            Fate::Dropped => Self { second: strangers, ..plain(rows) },
        }
    }
}

fn together(mut rows: Vec<Row>, more: &[Row]) -> Vec<Row> {
    rows.extend_from_slice(more);
    rows.sort();
    rows
}

/// The day's first call, with a stranger's id at first; the collector may have delivered it twice.
fn corrected(rows: Vec<Row>, strangers: &[Row]) -> Day {
    let id = rows.first().map(|row| row.id.clone()).unwrap_or_default();
    let (second, _): (Vec<Row>, Vec<Row>) = rows.iter().cloned().partition(|row| row.id == id);
    let wrong = strangers.first().and_then(|stranger| stranger.person);
    let mut first = rows;
    for row in first.iter_mut().filter(|row| row.id == id) {
        row.person = wrong;
    }
    let gone = places(&first, |row| row.id == id);
    Day { fate: Fate::Corrected, first, gone, second }
}

fn places(rows: &[Row], is_gone: impl Fn(&Row) -> bool) -> Vec<u64> {
    let places = (0u64..).zip(rows).filter(|(_, row)| is_gone(row));
    places.map(|(place, _)| place).collect()
}
