//! What a table's log tells of the values in its files.

use arrow::array::{Array, AsArray, Int64Array, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use delta_kernel::expressions::ColumnName;
use delta_kernel::scan::StatsOptions;

use super::history;
use crate::moment::EpochUnit;
use crate::snapshot::bounds::{Clock, TimeBounds};
use crate::snapshot::table::TableField;

/// The log cuts times to milliseconds: the greatest may lie so many microseconds after what it says.
const CUT: i64 = 999;

/// The column of event times, where the log's statistics of it can be used.
pub struct TimeColumn {
    name: String,
    /// As statistics name it.
    physical: String,
    clock: Clock,
}

impl TimeColumn {
    /// `None` for columns that the files do not hold, and those of other types than times and whole numbers.
    pub fn of(field: &TableField) -> Option<Self> {
        let clock = match &field.data_type {
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Clock::Utc(EpochUnit::Micros),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Clock::Wall(EpochUnit::Micros),
            DataType::Int64 | DataType::Int32 => Clock::Number,
            _ => return None,
        };
        let physical = field.physical.first()?.clone();
        Some(Self { name: field.name.clone(), physical, clock })
    }

    /// The statistics of this column alone, whether a checkpoint has them as text or in columns.
    pub fn wanted(&self) -> StatsOptions {
        StatsOptions::struct_columns(vec![ColumnName::new([self.name.as_str()])])
    }
}

/// Statistics of the files of one batch of the log; what is not there is `None`.
pub struct Statistics {
    /// As JSON.
    texts: Option<StringArray>,
    rows: Option<Int64Array>,
    nulls: Option<Int64Array>,
    least: Option<Int64Array>,
    greatest: Option<Int64Array>,
    clock: Option<Clock>,
}

impl Statistics {
    pub fn of(files: &StructArray, time: Option<&TimeColumn>) -> Self {
        let texts = files.column_by_name("stats").and_then(|texts| texts.as_string_opt::<i32>());
        let parsed = files.column_by_name("stats_parsed").and_then(|of| of.as_struct_opt());
        let of_time = |group: &str| {
            let column = within(parsed?, group)?;
            numbers(within(column.as_struct_opt()?, &time?.physical)?)
        };
        Self {
            rows: parsed.and_then(|parsed| numbers(within(parsed, "numRecords")?)),
            nulls: of_time("nullCount"),
            least: of_time("minValues"),
            greatest: of_time("maxValues"),
            texts: texts.cloned(),
            clock: time.map(|time| time.clock),
        }
    }

    /// Rows of a file, the deleted ones among them.
    pub fn rows(&self, file: usize) -> Option<u64> {
        if let Some(rows) = at(&self.rows, file) {
            return u64::try_from(rows).ok();
        }
        let text = self.texts.as_ref().filter(|texts| texts.is_valid(file))?.value(file);
        serde_json::from_str::<history::Stats>(text).ok()?.num_records
    }

    /// Bounds of a file's event times. Where rows are deleted they may be those of all rows: wider, and
    /// bounds all the same; and no nulls among more rows are none among fewer.
    pub fn times(&self, file: usize) -> Option<TimeBounds> {
        if at(&self.nulls, file)? != 0 {
            return None;
        }
        let clock = self.clock?;
        let bounds = TimeBounds::new(clock, at(&self.least, file)?, at(&self.greatest, file)?)?;
        let slack = if clock == Clock::Number { 0 } else { CUT };
        Some(TimeBounds { slack, ..bounds })
    }
}

/// A part of a struct, null where the struct is.
fn within(of: &StructArray, name: &str) -> Option<arrow::array::ArrayRef> {
    let array = of.column_by_name(name)?;
    let nulls = arrow::buffer::NullBuffer::union(of.nulls(), array.logical_nulls().as_ref());
    let data = array.to_data().into_builder().nulls(nulls).build().ok()?;
    Some(arrow::array::make_array(data))
}

/// Times as their counts of microseconds.
fn numbers(array: arrow::array::ArrayRef) -> Option<Int64Array> {
    Some(cast(&array, &DataType::Int64).ok()?.as_primitive_opt()?.clone())
}

fn at(numbers: &Option<Int64Array>, file: usize) -> Option<i64> {
    let numbers = numbers.as_ref()?;
    (file < numbers.len() && numbers.is_valid(file)).then(|| numbers.value(file))
}
