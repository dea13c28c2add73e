//! Equality deletes: files of values; rows of older data files that have them are gone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StructArray, UInt64Array, make_array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use roaring::RoaringTreemap;

use super::held::{Once, Room, Share};
use crate::snapshot::rows::{Opened, Pinned};
use crate::snapshot::{Constant, DeletesError, TableField};

/// What a held value takes beside its own bytes.
const OVERHEAD: u64 = 80;

/// Delete files that compare the same columns, and count for data files of the same partition (or of all).
#[derive(Debug)]
pub struct Group {
    /// The ways to the columns.
    pub ways: Vec<Vec<TableField>>,
    /// With their sequence numbers, sorted by path.
    pub files: Vec<(i64, Pinned)>,
    held: Once<Values>,
    /// Paths of those of which a page that was read has no checksum.
    unchecked: Mutex<HashSet<String>>,
}

/// Deleted values, each with the greatest sequence number of a file that deletes it: it is deleted in all data
/// that is older.
#[derive(Debug)]
struct Values {
    converter: RowConverter,
    newest: HashMap<Box<[u8]>, i64>,
}

/// What is compared with the rows of one data file.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub group: Arc<Group>,
    pub columns: Vec<Column>,
    /// Sequence number of the data file.
    pub sequence: i64,
}

impl Comparison {
    /// Delete files that are newer than the data file.
    pub fn files(&self) -> impl Iterator<Item = &Pinned> {
        let newer = self.group.files.iter().filter(|(sequence, _)| *sequence > self.sequence);
        newer.map(|(_, file)| file)
    }

    /// Whether a page that was read of one of them has no checksum.
    fn is_unchecked(&self) -> bool {
        let unchecked = self.group.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        self.files().any(|file| unchecked.contains(&file.path))
    }
}

/// A column that is compared.
#[derive(Clone, Debug)]
pub struct Column {
    /// The way to it: itself, or the structs that it lies in and itself.
    pub way: Vec<TableField>,
    /// What the data file's partition says of it.
    pub constant: Option<Constant>,
}

fn data_type(way: &[TableField]) -> &DataType {
    way.last().map_or(&DataType::Null, |field| &field.data_type)
}

impl Group {
    pub fn new(ways: Vec<Vec<TableField>>, files: Vec<(i64, Pinned)>) -> Self {
        Self { ways, files, held: Once::default(), unchecked: Mutex::default() }
    }

    fn converter(&self, file: &Pinned) -> Result<RowConverter, DeletesError> {
        let types = self.ways.iter().map(|way| SortField::new(data_type(way).clone()));
        RowConverter::new(types.collect()).map_err(|e| file.damaged(e))
    }

    /// All values; `None` where they do not fit.
    fn all(&self, share: &mut Share<'_>) -> Result<Option<Values>, DeletesError> {
        let Some((_, first)) = self.files.first() else { return Ok(None) };
        let mut all = Values { converter: self.converter(first)?, newest: HashMap::new() };
        for (sequence, file) in &self.files {
            let newest = &mut all.newest;
            let take = |value: &[u8]| Ok(share.grow(hold(newest, value, *sequence)));
            if !self.each(file, &all.converter, take)? {
                return Ok(None);
            }
        }
        Ok(Some(all))
    }

    /// Hands on the values of a file until `take` says `false`; whether it got to the end.
    fn each(
        &self,
        file: &Pinned,
        converter: &RowConverter,
        mut take: impl FnMut(&[u8]) -> Result<bool, DeletesError>,
    ) -> Result<bool, DeletesError> {
        let opened = file.open()?;
        let roots = roots(&opened, self.ways.iter())?;
        for group in 0..opened.groups() {
            let batches = opened.read(group, &roots)?;
            if opened.is_unchecked() {
                let mut unchecked = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
                unchecked.insert(file.path.clone());
            }
            for batch in batches {
                let batch = batch?;
                let found: Vec<ArrayRef> = self
                    .ways
                    .iter()
                    .map(|way| {
                        let name = way.last().map_or("", |field| field.name.as_str());
                        let value = value(way, &batch, file)?;
                        value.ok_or_else(|| file.damaged(format!("it has no column `{name}`")))
                    })
                    .collect::<Result<_, _>>()?;
                let encoded = converter.convert_columns(&found).map_err(|e| file.damaged(e))?;
                for value in encoded.iter() {
                    if !take(value.as_ref())? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Gives the bytes that a value takes more.
fn hold(newest: &mut HashMap<Box<[u8]>, i64>, value: &[u8], sequence: i64) -> u64 {
    if let Some(known) = newest.get_mut(value) {
        *known = sequence.max(*known);
        return 0;
    }
    newest.insert(value.into(), sequence);
    value.len() as u64 + OVERHEAD
}

/// Adds the rows of `data` whose values are deleted. Null equals null; a number that is none equals any
/// such; −0 and 0 differ, as in the table format's own implementation. Gives whether a page that was read, of
/// deletes or of data, has no checksum.
///
/// # Errors
/// Storage failures, damage, and defaults within structs.
pub fn add(
    comparison: &Comparison,
    data: &Pinned,
    room: &Room,
    rows: &mut RoaringTreemap,
) -> Result<bool, DeletesError> {
    let data = data.open()?;
    compare(comparison, &data, room, rows)?;
    Ok(comparison.is_unchecked() || data.is_unchecked())
}

fn compare(
    comparison: &Comparison,
    data: &Opened,
    room: &Room,
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    let group = &comparison.group;
    if let Some(held) = group.held.get(room, |share| group.all(share))? {
        return mark(&held, comparison, data, rows);
    }
    // They do not fit together: part by part, and the data file is read once for each.
    let (most, _turn) = room.part();
    let mut part = Values { converter: group.converter(&data.file)?, newest: HashMap::new() };
    let mut bytes = 0;
    for (sequence, file) in &group.files {
        if *sequence <= comparison.sequence {
            continue;
        }
        let converter = group.converter(file)?;
        group.each(file, &converter, |value| {
            bytes += hold(&mut part.newest, value, *sequence);
            if bytes > most {
                mark(&part, comparison, data, rows)?;
                part.newest = HashMap::new();
                bytes = 0;
            }
            Ok(true)
        })?;
    }
    mark(&part, comparison, data, rows)
}

/// Adds the rows of the data file whose values are held.
fn mark(
    values: &Values,
    comparison: &Comparison,
    data: &Opened,
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    if values.newest.is_empty() {
        return Ok(());
    }
    let columns = &comparison.columns;
    let roots = roots(data, columns.iter().map(|column| &column.way))?;
    let mut first = 0u64;
    for group in 0..data.groups() {
        let mut at = first;
        for batch in data.read(group, &roots)? {
            let batch = batch?;
            let found: Vec<ArrayRef> = columns
                .iter()
                .map(|column| match value(&column.way, &batch, &data.file)? {
                    Some(value) => Ok(value),
                    None => absent(column, batch.num_rows(), &data.file),
                })
                .collect::<Result<_, DeletesError>>()?;
            let encoded =
                values.converter.convert_columns(&found).map_err(|e| data.file.damaged(e))?;
            for (row, value) in encoded.iter().enumerate() {
                let newest = values.newest.get(value.as_ref());
                if newest.is_some_and(|newest| *newest > comparison.sequence) {
                    rows.insert(at + row as u64);
                }
            }
            at += batch.num_rows() as u64;
        }
        first += data.rows_of(group);
    }
    Ok(())
}

/// The places of the file's columns that are read.
fn roots<'a>(
    file: &Opened,
    ways: impl Iterator<Item = &'a Vec<TableField>>,
) -> Result<Vec<usize>, DeletesError> {
    let fields = file.schema().fields();
    let mut roots = Vec::new();
    for first in ways.filter_map(|way| way.first()) {
        if let Some(what) = first.in_another_case(fields) {
            return Err(DeletesError::Unsupported(format!("in {} {what}", file.file.shown())));
        }
        let field = first.find(fields);
        roots.extend(field.and_then(|field| file.schema().index_of(field.name()).ok()));
    }
    Ok(roots)
}

/// A column's values, of the table's type; `None` where the file does not have it.
fn value(
    way: &[TableField],
    batch: &RecordBatch,
    file: &Pinned,
) -> Result<Option<ArrayRef>, DeletesError> {
    let mut within = StructArray::from(batch.clone());
    let mut nulls: Option<NullBuffer> = None;
    let (last, structs) = match way.split_last() {
        Some((last, structs)) => (last, structs),
        None => return Ok(None),
    };
    for step in structs {
        let Some(field) = step.find(within.fields()) else { return Ok(None) };
        let inner = within.column_by_name(field.name()).and_then(|array| array.as_struct_opt());
        let inner =
            inner.ok_or_else(|| file.damaged(format!("`{}` is no struct", step.name)))?.clone();
        nulls = NullBuffer::union(nulls.as_ref(), inner.nulls());
        within = inner;
    }
    let Some(field) = last.find(within.fields()) else {
        return match (structs.is_empty(), &last.default) {
            (true, _) => Ok(None),
            (false, None) => Ok(Some(new_null_array(&last.data_type, batch.num_rows()))),
            (false, Some(_)) => Err(DeletesError::Unsupported(format!(
                "the default of `{}`, which lies in a struct, and which {} does not hold",
                last.name,
                file.shown()
            ))),
        };
    };
    let array = within.column_by_name(field.name()).cloned();
    let array = array.ok_or_else(|| file.damaged(format!("`{}` is not there", field.name())))?;
    let nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
    let data = array.to_data().into_builder().nulls(nulls).build();
    let array = make_array(data.map_err(|e| file.damaged(e))?);
    let strict = CastOptions { safe: false, ..Default::default() };
    let array = cast_with_options(&array, &last.data_type, &strict)
        .map_err(|e| file.damaged(format!("column `{}`: {e}", last.name)))?;
    Ok(Some(one_nan(&array)))
}

/// What stands for a column that the data file does not hold.
fn absent(column: &Column, rows: usize, file: &Pinned) -> Result<ArrayRef, DeletesError> {
    let of = data_type(&column.way);
    let constant = match column.way.as_slice() {
        [own] => column.constant.as_ref().or(own.default.as_ref()),
        _ => column.constant.as_ref(),
    };
    let Some(constant) = constant.filter(|constant| constant.text.is_some()) else {
        return Ok(new_null_array(of, rows));
    };
    let one = constant.array(of).map_err(|e| file.damaged(e))?;
    take(&one_nan(&one), &UInt64Array::from(vec![0; rows]), None).map_err(|e| file.damaged(e))
}

/// Numbers that are none have many bit patterns; here they are one.
fn one_nan(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Float32Type>(|n| if n.is_nan() { f32::NAN } else { n }))
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Float64Type>(|n| if n.is_nan() { f64::NAN } else { n }))
        }
        _ => array.clone(),
    }
}
