//! Values of arrays as texts, as a run reads them.

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, max, min};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;

use super::column::Kind;

/// The least and the greatest of times, in their own unit.
pub fn span(array: &ArrayRef) -> Option<(i64, i64)> {
    if !matches!(array.data_type(), DataType::Timestamp(..)) {
        return None;
    }
    let counts = cast_with_options(array, &DataType::Int64, &CastOptions::default()).ok()?;
    let counts = counts.as_primitive_opt::<Int64Type>()?;
    min(counts).zip(max(counts))
}

/// Rows that are not null.
pub fn valid(rows: usize, nulls: Option<&NullBuffer>) -> impl Iterator<Item = usize> {
    (0..rows).filter(move |row| nulls.is_none_or(|nulls| nulls.is_valid(*row)))
}

/// Values as a run reads them as texts; `None` of types whose values say nothing here.
pub fn as_texts(array: &ArrayRef) -> Option<(Kind, StringArray)> {
    let kind = match array.data_type() {
        of if of.is_integer() => Kind::Whole,
        of if of.is_floating() => return fractions(array),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Kind::Fraction,
        DataType::Boolean => Kind::Bool,
        DataType::Utf8 => Kind::Text,
        DataType::FixedSizeBinary(16) => {
            let ids = array.as_fixed_size_binary().iter();
            let text = |bytes: &[u8]| Some(uuid::Uuid::from_slice(bytes).ok()?.to_string());
            return Some((Kind::Uuid, ids.map(|bytes| bytes.and_then(text)).collect()));
        }
        _ => return None,
    };
    let texts = cast_with_options(array, &DataType::Utf8, &CastOptions::default()).ok()?;
    Some((kind, texts.as_string_opt::<i32>()?.clone()))
}

/// Whole numbers as such, because a run reads codes from them: some writers make fractions of a column with nulls.
fn fractions(array: &ArrayRef) -> Option<(Kind, StringArray)> {
    let values = cast_with_options(array, &DataType::Float64, &CastOptions::default()).ok()?;
    let values = values.as_primitive_opt::<Float64Type>()?.iter();
    // What is no number is a null to a run.
    let text = |value: f64| (!value.is_nan()).then(|| value.to_string());
    Some((Kind::Fraction, values.map(|value| value.and_then(text)).collect()))
}

/// A part of name/value structs.
pub enum Part {
    One(Kind, StringArray),
    Several(ListArray),
}

impl Part {
    pub fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::List(element) if element.data_type() == &DataType::Utf8 => {
                Some(Self::Several(array.as_list().clone()))
            }
            _ => as_texts(array).map(|(kind, texts)| Self::One(kind, texts)),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::One(kind, _) => *kind,
            Self::Several(_) => Kind::Texts,
        }
    }

    /// The values at a place; `None` where it is null.
    pub fn values(&self, at: usize) -> Option<Vec<String>> {
        match self {
            Self::One(_, texts) => texts.is_valid(at).then(|| vec![texts.value(at).to_string()]),
            Self::Several(lists) => lists.is_valid(at).then(|| {
                let list = lists.value(at);
                list.as_string::<i32>().iter().flatten().map(str::to_string).collect()
            }),
        }
    }
}

/// The texts of a column, or of a field of a struct.
pub fn at_path(rows: &RecordBatch, path: &str) -> Option<Vec<Option<String>>> {
    let (array, nulls) = match rows.column_by_name(path) {
        Some(array) => (array.clone(), None),
        None => {
            let mut segments = path.split('.');
            let mut array = rows.column_by_name(segments.next()?)?.clone();
            let mut nulls: Option<NullBuffer> = None;
            for segment in segments {
                nulls = NullBuffer::union(nulls.as_ref(), array.nulls());
                let part = array.as_struct_opt()?.column_by_name(segment)?.clone();
                array = part;
            }
            (array, nulls)
        }
    };
    let (_, texts) = as_texts(&array)?;
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let of =
        |(row, text): (usize, Option<&str>)| text.filter(|_| !is_null(row)).map(str::to_string);
    Some(texts.iter().enumerate().map(of).collect())
}
