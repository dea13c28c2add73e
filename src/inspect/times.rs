//! The times and dates of a file, as far as its statistics show them.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::{DataType, TimeUnit};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::moment::{EpochUnit, Moment, day_to_date};
use crate::scan::WholeFile;

/// The least and the greatest of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extremes {
    range: (i64, i64),
    is_date: bool,
    has_zone: bool,
}

impl Extremes {
    /// Those of two files together.
    pub fn with(self, other: Self) -> Self {
        let (a, b) = (self.range, other.range);
        Self { range: (a.0.min(b.0), a.1.max(b.1)), ..self }
    }

    pub fn least(&self) -> String {
        self.shown(self.range.0)
    }

    pub fn greatest(&self) -> String {
        self.shown(self.range.1)
    }

    fn shown(&self, at: i64) -> String {
        if self.is_date {
            return day_to_date(at);
        }
        let mut out = String::new();
        Moment::from_micros(at).write_rfc3339_micros(&mut out);
        // A time without zone is none of UTC's.
        if !self.has_zone {
            out.truncate(out.trim_end_matches('Z').len());
        }
        out
    }
}

/// By top-level column: `None` where a row group with rows has no statistics of it.
pub fn of_file(file: &WholeFile) -> BTreeMap<String, Option<Extremes>> {
    let mut found = BTreeMap::new();
    let schema = file.parquet().file_metadata().schema_descr();
    let mut leaves: HashMap<&str, usize> = HashMap::new();
    for (leaf, column) in schema.columns().iter().enumerate() {
        if let Some(top) = column.path().parts().first() {
            leaves.entry(top).or_insert(leaf);
        }
    }
    for field in file.fields() {
        let leaf = leaves.get(field.name().as_str()).copied();
        let (is_date, has_zone, unit) = match field.data_type() {
            DataType::Date32 => (true, false, None),
            DataType::Timestamp(unit, zone) => (false, zone.is_some(), Some(epoch(*unit))),
            _ => continue,
        };
        let mut range: Option<(i64, i64)> = None;
        let mut whole = true;
        for group in file.parquet().row_groups().iter().filter(|group| group.num_rows() > 0) {
            match leaf.and_then(|leaf| extremes(group, leaf, unit)) {
                Some((least, greatest)) => {
                    let (a, b) = range.unwrap_or((least, greatest));
                    range = Some((a.min(least), b.max(greatest)));
                }
                None => whole = false,
            }
        }
        let range = range.filter(|_| whole);
        found
            .insert(field.name().clone(), range.map(|range| Extremes { range, is_date, has_zone }));
    }
    found
}

fn epoch(unit: TimeUnit) -> EpochUnit {
    match unit {
        TimeUnit::Second => EpochUnit::Seconds,
        TimeUnit::Millisecond => EpochUnit::Millis,
        TimeUnit::Microsecond => EpochUnit::Micros,
        TimeUnit::Nanosecond => EpochUnit::Nanos,
    }
}

/// Days, or microseconds.
fn extremes(group: &RowGroupMetaData, leaf: usize, unit: Option<EpochUnit>) -> Option<(i64, i64)> {
    let (least, greatest) = match group.columns().get(leaf)?.statistics()? {
        Statistics::Int64(s) => (*s.min_opt()?, *s.max_opt()?),
        Statistics::Int32(s) => (i64::from(*s.min_opt()?), i64::from(*s.max_opt()?)),
        _ => return None,
    };
    let Some(unit) = unit else { return Some((least, greatest)) };
    let micros = |count| Some(Moment::from_epoch(count, unit)?.micros);
    Some((micros(least)?, micros(greatest)?))
}
