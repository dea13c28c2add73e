//! Values of one column of a sample, counted in bounded memory.

use std::collections::HashMap;

use super::forms::{Form, Forms};

/// Texts that are longer, in bytes, are counted and not kept. Lists of scopes in one text stay below it.
const LONGEST: usize = 64 << 10;

/// What a kept value takes beside its text.
const ENTRY: usize = 64;

/// Rows from which on a single value is no chance.
const CONSTANT: u64 = 10;

/// Counts while rows go by.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    values: u64,
    /// Rows that have a value: less than values where a row has a list.
    rows_with: u64,
    counts: HashMap<String, u64>,
    held: usize,
    is_whole: bool,
    others: Forms,
    span: Option<(i64, i64)>,
}

impl Tally {
    pub fn new() -> Self {
        Self { is_whole: true, ..Default::default() }
    }

    /// A row with a value, whatever it is.
    pub fn row(&mut self) {
        self.rows_with += 1;
    }

    /// A value, kept where so many bytes are not taken yet.
    pub fn value(&mut self, text: &str, room: usize) {
        self.values += 1;
        if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
            return;
        }
        let takes = text.len() + ENTRY;
        if text.len() > LONGEST || self.held + takes > room {
            self.is_whole = false;
            self.others.add(text, 1);
            return;
        }
        self.held += takes;
        self.counts.insert(text.to_string(), 1);
    }

    /// The least and the greatest of values that are not kept.
    pub fn span(&mut self, least: i64, greatest: i64) {
        let (from, to) = self.span.unwrap_or((least, greatest));
        self.span = Some((from.min(least), to.max(greatest)));
    }

    /// What was counted in so many rows.
    pub fn finish(self, rows: u64) -> Values {
        let mut counts: Vec<(String, u64)> = self.counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut forms = self.others;
        counts.iter().for_each(|(text, times)| forms.add(text, *times));
        Values {
            rows,
            nulls: rows.saturating_sub(self.rows_with),
            values: self.values,
            counts,
            is_whole: self.is_whole,
            forms,
            span: self.span,
        }
    }
}

/// The values of one column in a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    pub rows: u64,
    pub nulls: u64,
    /// Values in all rows; of lists their elements. None are counted of types whose values say nothing here.
    pub values: u64,
    /// Different values and how often each occurs, the most frequent first.
    pub counts: Vec<(String, u64)>,
    /// Whether all values are among them.
    pub is_whole: bool,
    pub forms: Forms,
    /// The least and the greatest time, of columns whose type is one.
    pub span: Option<(i64, i64)>,
}

impl Values {
    pub fn with_value(&self) -> u64 {
        self.rows.saturating_sub(self.nulls)
    }

    /// Different values; the least number where not all were kept.
    pub fn different(&self) -> u64 {
        self.counts.len() as u64
    }

    /// Values that were counted and are not among the different ones.
    pub fn not_kept(&self) -> u64 {
        self.values.saturating_sub(self.counts.iter().map(|(_, times)| times).sum())
    }

    /// Whether so many rows hold one and the same value that it cannot be what differs from call to call.
    pub fn is_constant(&self) -> bool {
        let is_one = match self.span {
            Some((least, greatest)) => least == greatest,
            None => self.is_whole && self.different() == 1,
        };
        is_one && self.with_value() >= CONSTANT
    }

    /// Whether all values that are not empty have this form, and there are any.
    pub fn all(&self, form: Form) -> bool {
        let wanted = self.values - self.forms.of(Form::Empty);
        wanted > 0 && self.forms.of(form) == wanted
    }

    /// Whether nearly every value is another.
    pub fn differ(&self) -> bool {
        !self.is_whole || self.different() * 10 >= self.values * 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_comes_first_and_equals_by_name() {
        let mut tally = Tally::new();
        for text in ["b", "a", "c", "c", ""] {
            tally.row();
            tally.value(text, 1 << 20);
        }
        let values = tally.finish(7);
        let counts: Vec<(&str, u64)> =
            values.counts.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        assert_eq!(counts, [("c", 2), ("", 1), ("a", 1), ("b", 1)]);
        assert_eq!((values.rows, values.nulls, values.values, values.is_whole), (7, 2, 5, true));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_looked_at() {
        let mut tally = Tally::new();
        for number in 0..1_000 {
            tally.row();
            tally.value(&(1_688_990_000 + number).to_string(), 1_000);
        }
        let values = tally.finish(1_000);
        assert!(!values.is_whole && values.different() < 20 && values.differ());
        assert!(values.all(Form::EpochSeconds));
    }
}
