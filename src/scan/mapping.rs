//! From decoded columns to events: times, ids, outcomes and scopes.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, GenericListArray, Int64Array, OffsetSizeTrait,
    StringArray,
};
use arrow::compute::cast_with_options;
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use chrono::{DateTime, NaiveDateTime};

use super::ScanError;
use super::batch::{Interner, KeyColumn, NONE};
use super::columns::{Bound, strict};
use crate::config::raw::{Encoding, Kind};
use crate::config::{StatusPlan, TimeFormat};
use crate::key::{IdKind, Key, Keyer};
use crate::moment::{EpochUnit, Moment, Zone};

fn wrong(bound: &Bound, file: &str, found: &DataType, wanted: &str) -> ScanError {
    ScanError::WrongType {
        file: file.to_string(),
        role: bound.plan.role,
        column: bound.plan.source.shown(),
        found: found.to_string(),
        wanted: wanted.to_string(),
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// Moments of a time column; `None` where a value is null or unreadable.
///
/// # Errors
/// [`ScanError::WrongType`] where the column's type is no time, and [`ScanError::NoZone`] where its
/// times carry no zone and none is declared.
pub fn moments(
    bound: &Bound,
    array: &ArrayRef,
    file: &str,
) -> Result<Vec<Option<Moment>>, ScanError> {
    let zone = bound.plan.zone;
    let no_zone =
        || ScanError::NoZone { file: file.to_string(), column: bound.plan.source.shown() };
    match (array.data_type(), &bound.plan.format) {
        (DataType::Null, _) => Ok(vec![None; array.len()]),
        (DataType::Timestamp(unit, tz), _) => {
            let unit = epoch_unit(*unit);
            let values = array
                .reinterpret_as_i64()
                .ok_or_else(|| wrong(bound, file, array.data_type(), "a time"))?;
            let wall = if tz.is_some() { None } else { Some(zone.ok_or_else(no_zone)?) };
            Ok(values
                .iter()
                .map(|value| {
                    let at = Moment::from_epoch(value?, unit)?;
                    match wall {
                        None | Some(Zone::UTC) => Some(at),
                        Some(zone) => wall_time(at, zone),
                    }
                })
                .collect())
        }
        (t, Some(TimeFormat::Epoch(unit))) if t.is_integer() || is_text(t) => {
            let values = cast_with_options(array, &DataType::Int64, &Default::default())
                .map_err(|_| wrong(bound, file, t, "whole numbers"))?;
            Ok(values
                .as_primitive::<Int64Type>()
                .iter()
                .map(|v| Moment::from_epoch(v?, *unit))
                .collect())
        }
        (t, format) if is_text(t) => {
            let texts = bound.to_text(array, file)?;
            texts
                .iter()
                .map(|text| match (text, format) {
                    (None, _) => Ok(None),
                    (Some(text), None | Some(TimeFormat::Rfc3339 | TimeFormat::Epoch(_))) => {
                        match (Moment::parse_rfc3339(text), zone) {
                            (Some(at), _) => Ok(Some(at)),
                            (None, Some(zone)) => Ok(Moment::parse_setting(text, zone).ok()),
                            // A wall time needs its zone; anything else is no time at all.
                            (None, None) if Moment::parse_setting(text, Zone::UTC).is_ok() => {
                                Err(no_zone())
                            }
                            (None, None) => Ok(None),
                        }
                    }
                    (Some(text), Some(TimeFormat::Pattern(pattern))) => {
                        parse_pattern(text, pattern, zone).ok_or_else(no_zone)
                    }
                })
                .collect()
        }
        (t, _) if t.is_integer() => {
            Err(ScanError::NoFormat { file: file.to_string(), column: bound.plan.source.shown() })
        }
        (t, _) => Err(wrong(bound, file, t, "a time")),
    }
}

/// A text by its pattern: `Some(None)` where it does not fit, `None` where a zone is needed.
fn parse_pattern(text: &str, pattern: &str, zone: Option<Zone>) -> Option<Option<Moment>> {
    if let Ok(at) = DateTime::parse_from_str(text, pattern) {
        return Some(Moment::parse_rfc3339(&at.to_rfc3339()));
    }
    match (NaiveDateTime::parse_from_str(text, pattern), zone) {
        (Ok(naive), Some(zone)) => Some(zone.resolve(naive)),
        (Ok(_), None) => None,
        (Err(_), _) => Some(None),
    }
}

/// A wall time that was stored as if it were UTC.
fn wall_time(at: Moment, zone: Zone) -> Option<Moment> {
    let naive = DateTime::from_timestamp_micros(at.micros)?.naive_utc();
    let moment = zone.resolve(naive)?;
    Some(Moment { micros: moment.micros, nanos: at.nanos })
}

pub fn epoch_unit(unit: TimeUnit) -> EpochUnit {
    match unit {
        TimeUnit::Second => EpochUnit::Seconds,
        TimeUnit::Millisecond => EpochUnit::Millis,
        TimeUnit::Microsecond => EpochUnit::Micros,
        TimeUnit::Nanosecond => EpochUnit::Nanos,
    }
}

/// Timestamps of any unit as their counts.
trait ReinterpretAsI64 {
    fn reinterpret_as_i64(&self) -> Option<Int64Array>;
}

impl ReinterpretAsI64 for ArrayRef {
    fn reinterpret_as_i64(&self) -> Option<Int64Array> {
        use arrow::datatypes::{
            TimestampMicrosecondType as Us, TimestampMillisecondType as Ms,
            TimestampNanosecondType as Ns, TimestampSecondType as S,
        };
        Some(match self.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => self.as_primitive::<S>().reinterpret_cast(),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                self.as_primitive::<Ms>().reinterpret_cast()
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.as_primitive::<Us>().reinterpret_cast()
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                self.as_primitive::<Ns>().reinterpret_cast()
            }
            _ => return None,
        })
    }
}

/// What kind of id a column of this type holds.
///
/// # Errors
/// [`ScanError::WrongType`] for types that are no ids (fractions, times, nested columns).
pub fn id_kind(
    bound: &Bound,
    data_type: &DataType,
    file: &str,
) -> Result<Option<IdKind>, ScanError> {
    let declared_uuid = bound.plan.kind == Some(Kind::Uuid);
    let declared_text = bound.plan.kind == Some(Kind::Text);
    match data_type {
        // A column of nulls says nothing about its kind.
        DataType::Null => Ok(None),
        t if t.is_integer() && declared_text => Ok(Some(IdKind::Text)),
        t if t.is_integer() && !declared_uuid => Ok(Some(IdKind::Int)),
        DataType::Dictionary(_, value) => id_kind(bound, value, file),
        t if is_text(t) => Ok(Some(if declared_uuid { IdKind::Uuid } else { IdKind::Text })),
        DataType::FixedSizeBinary(16) => Ok(Some(IdKind::Uuid)),
        other => Err(wrong(bound, file, other, "an id: whole numbers, text or 16-byte UUIDs")),
    }
}

/// Keys of an id column, given to `push` row by row, with the id's own bytes where its kind is text.
///
/// # Errors
/// As [`id_kind`], and [`ScanError::BadId`] for a text that was declared a UUID and is none.
pub fn ids(
    bound: &Bound,
    array: &ArrayRef,
    keyer: &Keyer,
    file: &str,
    mut push: impl FnMut(Option<Key>, Option<&str>),
) -> Result<Option<IdKind>, ScanError> {
    // A file without the column fills it with nulls of no particular kind.
    if bound.constant() == Some(None) {
        for _ in 0..array.len() {
            push(None, None);
        }
        return Ok(None);
    }
    let kind = id_kind(bound, array.data_type(), file)?;
    match kind {
        None => {
            for _ in 0..array.len() {
                push(None, None);
            }
        }
        Some(IdKind::Int) => {
            if matches!(array.data_type(), DataType::UInt64) {
                for value in array.as_primitive::<UInt64Type>() {
                    push(value.map(|v| keyer.int(v.into())), None);
                }
            } else {
                let values = cast_with_options(array, &DataType::Int64, &strict())
                    .map_err(|_| wrong(bound, file, array.data_type(), "whole numbers"))?;
                for value in values.as_primitive::<Int64Type>() {
                    push(value.map(|v| keyer.int(v.into())), None);
                }
            }
        }
        Some(IdKind::Uuid) if matches!(array.data_type(), DataType::FixedSizeBinary(16)) => {
            for value in array.as_fixed_size_binary() {
                let bits =
                    value.and_then(|b| <[u8; 16]>::try_from(b).ok()).map(u128::from_be_bytes);
                push(bits.map(|b| keyer.uuid(b)), None);
            }
        }
        Some(IdKind::Uuid) => {
            for text in &bound.to_text(array, file)? {
                let key = match text {
                    None => None,
                    Some(text) => Some(
                        keyer.uuid(
                            uuid::Uuid::try_parse(text.trim())
                                .map_err(|_| ScanError::BadId {
                                    file: file.to_string(),
                                    column: bound.plan.source.shown(),
                                    kind: IdKind::Uuid,
                                })?
                                .as_u128(),
                        ),
                    ),
                };
                push(key, None);
            }
        }
        Some(IdKind::Text) => {
            for text in &bound.to_text(array, file)? {
                let text = text.map(|t| folded(bound, t));
                push(text.as_ref().map(|t| keyer.text(t.as_bytes())), text.as_deref());
            }
        }
    }
    Ok(kind)
}

/// Ids of whole numbers and UUIDs as texts: digits, and the form of RFC 9562.
///
/// # Errors
/// [`ScanError::WrongType`] where the column has no textual form.
pub fn id_texts(
    bound: &Bound,
    array: &ArrayRef,
    kind: IdKind,
    file: &str,
) -> Result<StringArray, ScanError> {
    let texts = bound.to_text(array, file)?;
    if kind != IdKind::Uuid {
        return Ok(texts);
    }
    let canonical = |text: &str| uuid::Uuid::try_parse(text.trim()).ok().map(|u| u.to_string());
    Ok(texts.iter().map(|text| text.and_then(canonical)).collect())
}

/// Keys of an id column with the ids themselves, given to `take` row by row; nulls are passed over. One key
/// comes with one text, however the log writes the id.
///
/// # Errors
/// As [`ids`].
pub fn ids_with_texts(
    bound: &Bound,
    array: &ArrayRef,
    keyer: &Keyer,
    file: &str,
    mut take: impl FnMut(Key, &str),
) -> Result<(), ScanError> {
    let kind = if bound.constant() == Some(None) {
        None
    } else {
        id_kind(bound, array.data_type(), file)?
    };
    match kind {
        None => {}
        Some(IdKind::Text) => {
            ids(bound, array, keyer, file, |key, text| {
                if let (Some(key), Some(text)) = (key, text) {
                    take(key, text);
                }
            })?;
        }
        Some(kind) => {
            let texts = id_texts(bound, array, kind, file)?;
            let mut texts = texts.iter();
            ids(bound, array, keyer, file, |key, _| {
                if let (Some(key), Some(text)) = (key, texts.next().flatten()) {
                    take(key, text);
                }
            })?;
        }
    }
    Ok(())
}

/// The values of a column of 64-bit integers without nulls.
pub fn plain_integers(array: &ArrayRef) -> Option<&[i64]> {
    let values = array.as_primitive_opt::<Int64Type>()?;
    (values.null_count() == 0).then(|| values.values().as_ref())
}

/// The values of a time column in microseconds, UTC, without nulls.
pub fn plain_micros<'a>(bound: &Bound, array: &'a ArrayRef) -> Option<&'a [i64]> {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = array.data_type() else { return None };
    if zone.is_none() && bound.plan.zone != Some(Zone::UTC) {
        return None;
    }
    let values = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    (values.null_count() == 0).then(|| values.values().as_ref())
}

/// Appends the keys of an id column of 64-bit integers, the most common kind by far; `None` for other
/// columns.
///
/// # Errors
/// As [`id_kind`].
pub fn plain_keys(
    bound: &Bound,
    array: &ArrayRef,
    keyer: &Keyer,
    file: &str,
    out: &mut KeyColumn,
) -> Result<Option<IdKind>, ScanError> {
    let Some(values) = array.as_primitive_opt::<Int64Type>() else { return Ok(None) };
    if keyer.is_keyed() || id_kind(bound, array.data_type(), file)? != Some(IdKind::Int) {
        return Ok(None);
    }
    let key = |id: i64| keyer.int(id.into()).hi;
    let keys = values.values().iter().map(|id| key(*id));
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => out.extend_plain(keys),
        Some(nulls) => out.extend_nullable(keys, nulls.iter()),
    }
    Ok(Some(IdKind::Int))
}

pub fn folded<'a>(bound: &Bound, text: &'a str) -> Cow<'a, str> {
    if bound.plan.fold_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

/// Codes of a text column in `names`; [`NONE`] for null. A dictionary is translated once.
///
/// # Errors
/// [`ScanError::WrongType`] where the column has no textual form.
pub fn text_codes(
    bound: &Bound,
    array: &ArrayRef,
    names: &mut Interner,
    file: &str,
) -> Result<Vec<u32>, ScanError> {
    if let Some(dictionary) = as_text_dictionary(array) {
        let values = bound.to_text(dictionary.values(), file)?;
        // Values that no row uses must not become names.
        let mut known = vec![NONE; values.len()];
        let mut learn = |known: &mut [u32], key: usize| match known.get_mut(key) {
            Some(code) if !values.is_null(key) => {
                *code = names.code(&folded(bound, values.value(key)));
                *code
            }
            _ => NONE,
        };
        let mut code = |key: i32| match usize::try_from(key) {
            Err(_) => NONE,
            Ok(key) => match known.get(key).copied().unwrap_or(NONE) {
                NONE => learn(&mut known, key),
                code => code,
            },
        };
        let keys = dictionary.keys();
        return Ok(match keys.null_count() {
            0 => keys.values().iter().map(|key| code(*key)).collect(),
            _ => keys.iter().map(|key| key.map_or(NONE, &mut code)).collect(),
        });
    }
    let texts = bound.to_text(array, file)?;
    Ok(texts
        .iter()
        .map(|text| text.map_or(NONE, |text| names.code(&folded(bound, text))))
        .collect())
}

pub fn as_text_dictionary(array: &ArrayRef) -> Option<&DictionaryArray<Int32Type>> {
    match array.data_type() {
        DataType::Dictionary(key, value) if **key == DataType::Int32 && is_text(value) => {
            array.as_dictionary_opt::<Int32Type>()
        }
        _ => None,
    }
}

/// Whole numbers of a column.
///
/// # Errors
/// [`ScanError::WrongType`] where a value is no whole number that fits 64 bits.
pub fn integers(bound: &Bound, array: &ArrayRef, file: &str) -> Result<Int64Array, ScanError> {
    let fits = match array.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Boolean => false,
        other => !other.is_nested(),
    };
    if !fits {
        return Err(wrong(bound, file, array.data_type(), "whole numbers"));
    }
    let values = cast_with_options(array, &DataType::Int64, &strict())
        .map_err(|_| wrong(bound, file, array.data_type(), "whole numbers"))?;
    Ok(values.as_primitive::<Int64Type>().clone())
}

/// Fractions of a column; what is no number is null.
///
/// # Errors
/// [`ScanError::WrongType`] where the column cannot be read so.
pub fn floats(bound: &Bound, array: &ArrayRef, file: &str) -> Result<Vec<Option<f64>>, ScanError> {
    let values = cast_with_options(array, &DataType::Float64, &strict())
        .map_err(|_| wrong(bound, file, array.data_type(), "numbers"))?;
    let values = values.as_primitive::<Float64Type>().iter();
    Ok(values.map(|value| value.filter(|v| !v.is_nan())).collect())
}

/// # Errors
/// [`ScanError::WrongType`] where nothing says which of two values is allowed.
pub fn check_status(
    rule: &StatusPlan,
    bound: &Bound,
    data_type: &DataType,
    file: &str,
) -> Result<(), ScanError> {
    let says = |word: &str| rule.words.iter().any(|w| w == word);
    if *data_type == DataType::Boolean && !says("true") && !says("false") {
        let wanted = "a number or a word, or status.allowed = [\"true\"] is";
        return Err(wrong(bound, file, data_type, wanted));
    }
    Ok(())
}

/// How several values stand in the column: as configured, or as its type says.
///
/// # Errors
/// [`ScanError::WrongType`] where a list column is declared to be something else.
pub fn encoding_of(bound: &Bound, data_type: &DataType, file: &str) -> Result<Encoding, ScanError> {
    let is_list = matches!(data_type, DataType::List(_) | DataType::LargeList(_));
    match bound.plan.encoding {
        Some(encoding) if is_list && encoding != Encoding::List => {
            Err(wrong(bound, file, data_type, "text, as the column's `encoding` says,"))
        }
        Some(encoding) => Ok(encoding),
        None if is_list => Ok(Encoding::List),
        None => Ok(Encoding::Single),
    }
}

/// The values that stand in one text.
pub fn split(text: &str, encoding: Encoding) -> impl Iterator<Item = &str> {
    let single = matches!(encoding, Encoding::Single | Encoding::List);
    let whole = single.then_some(text);
    let parts = (!single).then(|| {
        text.split(move |c: char| match encoding {
            Encoding::Comma => c == ',',
            _ => c.is_whitespace(),
        })
    });
    whole
        .into_iter()
        .chain(parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty()))
}

/// The texts of each row of a list column, given to `row` as ranges of one text array.
///
/// # Errors
/// [`ScanError::WrongType`] where the column is no list of texts.
pub fn list_rows(
    bound: &Bound,
    array: &ArrayRef,
    file: &str,
    row: impl FnMut(Option<(usize, usize)>),
) -> Result<StringArray, ScanError> {
    bound.to_text(&list_values(bound, array, file, row)?, file)
}

/// As [`list_rows`]: the values as they are.
///
/// # Errors
/// [`ScanError::WrongType`] where the column is no list.
pub fn list_values(
    bound: &Bound,
    array: &ArrayRef,
    file: &str,
    mut row: impl FnMut(Option<(usize, usize)>),
) -> Result<ArrayRef, ScanError> {
    fn walk<O: OffsetSizeTrait>(
        list: &GenericListArray<O>,
        row: &mut impl FnMut(Option<(usize, usize)>),
    ) -> ArrayRef {
        for (i, pair) in list.offsets().windows(2).enumerate() {
            let range = match pair {
                [from, to] if !list.is_null(i) => Some((from.as_usize(), to.as_usize())),
                _ => None,
            };
            row(range);
        }
        list.values().clone()
    }
    match array.data_type() {
        DataType::List(_) => Ok(walk(array.as_list::<i32>(), &mut row)),
        DataType::LargeList(_) => Ok(walk(array.as_list::<i64>(), &mut row)),
        other => Err(wrong(bound, file, other, "a list")),
    }
}
