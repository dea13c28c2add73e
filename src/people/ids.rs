//! Ids and times of registry tables, column by column.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::IdRule;
use crate::key::{IdKind, Key, Keyer};
use crate::moment::{Moment, Zone};
use crate::scan::epoch_unit;

/// What is wrong with a row of a batch.
pub struct Bad {
    pub row: usize,
    pub reason: String,
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn strict(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Bad> {
    let options = CastOptions { safe: false, ..Default::default() };
    cast_with_options(array, to, &options).map_err(|e| Bad { row: 0, reason: e.to_string() })
}

/// The keys of a column of ids.
///
/// # Errors
/// The first row without an id, or whose id is none of the kind.
pub fn keys(array: &ArrayRef, rule: &IdRule, keyer: &Keyer) -> Result<Vec<Key>, Bad> {
    if array.null_count() > 0 {
        let row = (0..array.len()).find(|row| array.is_null(*row)).unwrap_or(0);
        return Err(Bad { row, reason: "is empty".into() });
    }
    let integer = array.data_type().is_integer();
    match (rule.kind, array.data_type()) {
        (IdKind::Int, DataType::UInt64) => {
            let values = array.as_primitive::<UInt64Type>().values();
            Ok(values.iter().map(|id| keyer.int((*id).into())).collect())
        }
        (IdKind::Int, _) if integer => {
            let values = strict(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values();
            Ok(values.iter().map(|id| keyer.int((*id).into())).collect())
        }
        (IdKind::Uuid, DataType::FixedSizeBinary(16)) => {
            let values = array.as_fixed_size_binary();
            let bits = |id: &[u8]| <[u8; 16]>::try_from(id).map_or(0, u128::from_be_bytes);
            Ok(values.iter().flatten().map(|id| keyer.uuid(bits(id))).collect())
        }
        (_, found) if !integer && !is_text(found) => {
            let reason = format!("has type {found}; ids are whole numbers, text or 16-byte UUIDs");
            Err(Bad { row: 0, reason })
        }
        _ => {
            let texts = strict(array, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            let of = |(row, text): (usize, Option<&str>)| {
                let text = text.unwrap_or_default();
                key_of_text(text, rule, keyer).ok_or_else(|| Bad {
                    row,
                    reason: format!("`{text}` is no {} id, as those of the log are", rule.kind),
                })
            };
            texts.iter().enumerate().map(of).collect()
        }
    }
}

fn key_of_text(text: &str, rule: &IdRule, keyer: &Keyer) -> Option<Key> {
    match rule.kind {
        IdKind::Int => {
            let id: i128 = text.parse().ok()?;
            let fits = i128::from(i64::MIN)..=i128::from(u64::MAX);
            fits.contains(&id).then(|| keyer.int(id))
        }
        IdKind::Uuid => uuid::Uuid::try_parse(text).ok().map(|id| keyer.uuid(id.as_u128())),
        // An id that says nothing is a slip.
        IdKind::Text if text.is_empty() => None,
        IdKind::Text => {
            let text: Cow<'_, str> =
                if rule.folds { text.to_lowercase().into() } else { text.into() };
            Some(keyer.text(text.as_bytes()))
        }
    }
}

/// Moments of a column in whole microseconds, UTC; `None` where a row has none.
///
/// # Errors
/// The first row whose value is no moment, or lies between two microseconds.
pub fn micros(array: &ArrayRef, zone: Zone) -> Result<Vec<Option<i64>>, Bad> {
    let whole = |row: usize, at: Moment| {
        (at.nanos == 0).then_some(at.micros).ok_or_else(|| Bad {
            row,
            reason: format!("{at} lies between two microseconds, which moments here may not"),
        })
    };
    match array.data_type() {
        DataType::Null => Ok(vec![None; array.len()]),
        DataType::Timestamp(unit, tz) if tz.is_some() || zone == Zone::UTC => {
            let unit = epoch_unit(*unit);
            let values = strict(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            let of = |(row, value): (usize, Option<i64>)| {
                let Some(value) = value else { return Ok(None) };
                let at = Moment::from_epoch(value, unit)
                    .ok_or_else(|| Bad { row, reason: format!("{value} is no moment") })?;
                whole(row, at).map(Some)
            };
            values.iter().enumerate().map(of).collect()
        }
        _ => {
            let options = FormatOptions::default();
            let cells = ArrayFormatter::try_new(array.as_ref(), &options)
                .map_err(|e| Bad { row: 0, reason: e.to_string() })?;
            let of = |row: usize| {
                if array.is_null(row) {
                    return Ok(None);
                }
                let text = cells.value(row).to_string();
                let at =
                    Moment::parse_setting(&text, zone).map_err(|reason| Bad { row, reason })?;
                whole(row, at).map(Some)
            };
            (0..array.len()).map(of).collect()
        }
    }
}

/// Texts of a column; `None` where a row has none, or an empty one.
///
/// # Errors
/// A column that cannot be read as text.
pub fn texts(array: &ArrayRef) -> Result<Vec<Option<String>>, Bad> {
    let texts = strict(array, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    Ok(texts.map(|t| t.filter(|t| !t.is_empty()).map(str::to_string)).collect())
}
