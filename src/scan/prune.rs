//! What cannot match is left out before it is read: by partition value, time statistics, scope
//! statistics and page indexes. What was left out by what is counted, and turning it all off gives
//! the same tables.

use std::ops::Range;

use parquet::basic::{
    ConvertedType, Encoding, LogicalType, TimeUnit as ParquetTimeUnit, Type as PhysicalType,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use serde::{Deserialize, Serialize};

use super::Asked;
use crate::config::{ColumnPlan, PartitionTimePlan, TimeFormat};
use crate::moment::{DAY_MICROS, EpochUnit, Moment, Zone};
use crate::snapshot::Partition;

/// Rows that were not read, by what showed that they cannot match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub partition: u64,
    pub time_statistics: u64,
    pub scope_statistics: u64,
    pub bloom_filter: u64,
    pub dictionary: u64,
    pub page_index: u64,
}

impl Pruned {
    pub fn total(&self) -> u64 {
        self.partition
            + self.time_statistics
            + self.scope_statistics
            + self.bloom_filter
            + self.dictionary
            + self.page_index
    }

    pub fn add(&mut self, other: &Self) {
        self.partition += other.partition;
        self.time_statistics += other.time_statistics;
        self.scope_statistics += other.scope_statistics;
        self.bloom_filter += other.bloom_filter;
        self.dictionary += other.dictionary;
        self.page_index += other.page_index;
    }
}

/// The time that a file's partition value bounds: [from, to).
///
/// # Errors
/// A text that says why the value cannot be read.
pub fn partition_bound(
    plan: &PartitionTimePlan,
    partitions: &[Partition],
) -> Result<Option<Range<Moment>>, String> {
    let Some(partition) = partitions.iter().find(|p| p.name == plan.column) else {
        return Err(format!("its path has no partition `{}`", plan.column));
    };
    let Some(value) = &partition.value else { return Ok(None) };
    let text = if value.len() == 13 && value.get(10..11).is_some_and(|c| c == "-" || c == "T") {
        // An hour: 2019-07-01-13 or 2019-07-01T13.
        format!(
            "{}T{}:00:00",
            value.get(..10).unwrap_or_default(),
            value.get(11..).unwrap_or_default()
        )
    } else {
        value.clone()
    };
    let from = Moment::parse_setting(&text, Zone::UTC)?;
    let to = from.plus_micros(plan.grain).plus_micros(plan.slack);
    Ok(Some(from.plus_micros(-plan.slack)..to))
}

/// The last day of a stretch of time; its end is not included.
pub fn last_day(bound: &Range<Moment>) -> i64 {
    bound.end.plus_micros(-1).day()
}

/// The day that a partition value names, where it names one.
///
/// # Errors
/// A text that says why the value cannot be read.
pub fn partition_day(
    plan: &PartitionTimePlan,
    partitions: &[Partition],
) -> Result<Option<i64>, String> {
    if plan.grain > DAY_MICROS {
        return Ok(None);
    }
    Ok(partition_bound(plan, partitions)?.map(|bound| bound.start.plus_micros(plan.slack).day()))
}

/// How the statistics of a time column are to be read; `None` where they say nothing about moments
/// (text, legacy INT96, wall times in a zone with clock changes).
pub fn time_unit(metadata: &ParquetMetaData, leaf: usize, plan: &ColumnPlan) -> Option<EpochUnit> {
    let column = metadata.file_metadata().schema_descr().columns().get(leaf)?;
    let is_integer = matches!(column.physical_type(), PhysicalType::INT64 | PhysicalType::INT32);
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp { is_adjusted_to_u_t_c, unit }) => {
            if !is_adjusted_to_u_t_c && plan.zone != Some(Zone::UTC) {
                return None;
            }
            Some(match unit {
                ParquetTimeUnit::MILLIS => EpochUnit::Millis,
                ParquetTimeUnit::MICROS => EpochUnit::Micros,
                ParquetTimeUnit::NANOS => EpochUnit::Nanos,
            })
        }
        // Times of old writers are always in UTC.
        None if column.converted_type() == ConvertedType::TIMESTAMP_MILLIS => {
            Some(EpochUnit::Millis)
        }
        None if column.converted_type() == ConvertedType::TIMESTAMP_MICROS => {
            Some(EpochUnit::Micros)
        }
        None if is_integer => match &plan.format {
            Some(TimeFormat::Epoch(unit)) => Some(*unit),
            _ => None,
        },
        _ => None,
    }
}

/// Least and greatest moment of a row group, where its statistics show them and no null.
pub fn time_range(
    group: &RowGroupMetaData,
    leaf: usize,
    unit: EpochUnit,
) -> Option<(Moment, Moment)> {
    let statistics = group.columns().get(leaf)?.statistics()?;
    if statistics.null_count_opt() != Some(0) {
        return None;
    }
    time_extremes(group, leaf, unit)
}

/// Least and greatest moment of a row group, whether or not it has nulls beside them.
pub fn time_extremes(
    group: &RowGroupMetaData,
    leaf: usize,
    unit: EpochUnit,
) -> Option<(Moment, Moment)> {
    let statistics = group.columns().get(leaf)?.statistics()?;
    let (least, greatest) = match statistics {
        Statistics::Int64(s) => (*s.min_opt()?, *s.max_opt()?),
        Statistics::Int32(s) => (i64::from(*s.min_opt()?), i64::from(*s.max_opt()?)),
        _ => return None,
    };
    Some((Moment::from_epoch(least, unit)?, Moment::from_epoch(greatest, unit)?))
}

/// Whether the scope column's statistics leave room for an asked scope. Only for a column in which
/// one value is one scope.
pub fn scope_may_occur(group: &RowGroupMetaData, leaf: usize, asked: &Asked) -> bool {
    let Some(statistics) = group.columns().get(leaf).and_then(|c| c.statistics()) else {
        return true;
    };
    // Old writers compared bytes as signed numbers.
    if statistics.is_min_max_deprecated() {
        return true;
    }
    let Statistics::ByteArray(s) = statistics else { return true };
    // Truncated bounds are still bounds.
    let (Some(least), Some(greatest)) = (s.min_opt(), s.max_opt()) else { return true };
    asked.scopes.iter().any(|scope| {
        scope.name.as_bytes() >= least.data() && scope.name.as_bytes() <= greatest.data()
    })
}

/// Where the bloom filter of a column lies, if there is one.
pub fn bloom_range(group: &RowGroupMetaData, leaf: usize) -> Option<Range<u64>> {
    let column = group.columns().get(leaf)?;
    let from = u64::try_from(column.bloom_filter_offset()?).ok()?;
    let length = u64::try_from(column.bloom_filter_length()?).ok()?;
    Some(from..from.checked_add(length)?)
}

/// Whether every page of a column refers to its dictionary.
pub fn only_dictionary_pages(group: &RowGroupMetaData, leaf: usize) -> bool {
    group.columns().get(leaf).is_some_and(|column| {
        column.dictionary_page_offset().is_some()
            && column.page_encoding_stats_mask().is_some_and(|mask| {
                mask.is_only(Encoding::PLAIN_DICTIONARY) || mask.is_only(Encoding::RLE_DICTIONARY)
            })
    })
}

/// Row ranges of a row group whose pages may match, by the page index; `None` where it cannot tell.
pub fn pages_that_may_match(
    metadata: &ParquetMetaData,
    group: usize,
    time: Option<(usize, EpochUnit)>,
    scope: Option<usize>,
    asked: &Asked,
) -> Option<Vec<Range<usize>>> {
    let rows = usize::try_from(metadata.row_groups().get(group)?.num_rows()).ok()?;
    let by_time = time.and_then(|(leaf, unit)| {
        page_ranges(metadata, group, leaf, rows, |index, page| {
            time_page_may_match(index, page, unit, asked)
        })
    });
    let by_scope = scope.and_then(|leaf| {
        page_ranges(metadata, group, leaf, rows, |index, page| {
            scope_page_may_match(index, page, asked)
        })
    });
    match (by_time, by_scope) {
        (Some(a), Some(b)) => Some(intersect(&a, &b)),
        (a, b) => a.or(b),
    }
}

fn page_ranges(
    metadata: &ParquetMetaData,
    group: usize,
    leaf: usize,
    rows: usize,
    may_match: impl Fn(&ColumnIndexMetaData, usize) -> bool,
) -> Option<Vec<Range<usize>>> {
    let index = metadata.column_index()?.get(group)?.get(leaf)?;
    if matches!(index, ColumnIndexMetaData::NONE) {
        return None;
    }
    let pages = metadata.offset_index()?.get(group)?.get(leaf)?.page_locations();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (page, location) in pages.iter().enumerate() {
        let from = usize::try_from(location.first_row_index).ok()?;
        let to = match pages.get(page + 1) {
            Some(next) => usize::try_from(next.first_row_index).ok()?,
            None => rows,
        };
        if may_match(index, page) {
            match ranges.last_mut() {
                Some(last) if last.end == from => last.end = to,
                _ => ranges.push(from..to),
            }
        }
    }
    Some(ranges)
}

fn time_page_may_match(
    index: &ColumnIndexMetaData,
    page: usize,
    unit: EpochUnit,
    asked: &Asked,
) -> bool {
    if index.null_count(page) != Some(0) {
        return true;
    }
    let greatest = match index {
        ColumnIndexMetaData::INT64(i) => i.max_value(page).copied(),
        ColumnIndexMetaData::INT32(i) => i.max_value(page).copied().map(i64::from),
        _ => None,
    };
    greatest
        .and_then(|v| Moment::from_epoch(v, unit))
        .is_none_or(|greatest| greatest.day() >= asked.first_day)
}

fn scope_page_may_match(index: &ColumnIndexMetaData, page: usize, asked: &Asked) -> bool {
    let ColumnIndexMetaData::BYTE_ARRAY(i) = index else { return true };
    if i.is_null_page(page) {
        return false;
    }
    let (Some(least), Some(greatest)) = (i.min_value(page), i.max_value(page)) else { return true };
    asked
        .scopes
        .iter()
        .any(|scope| scope.name.as_bytes() >= least && scope.name.as_bytes() <= greatest)
}

/// Rows that lie in a range of both; in order.
pub fn intersect(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let both = x.start.max(y.start)..x.end.min(y.end);
        if both.start < both.end {
            out.push(both);
        }
        if x.end <= y.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_intersect_where_both_may_match() {
        assert_eq!(intersect(&[0..10, 20..30], &[5..25]), vec![5..10, 20..25]);
    }
}
