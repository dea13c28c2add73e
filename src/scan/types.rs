//! As which of Arrow's types the columns of a file are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;

use super::ScanError;
use super::events::Columns;
use super::file::OpenFile;

/// The Arrow schema that writers add says nothing that Parquet's own does not; without it files of
/// different writers look alike.
fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

/// A file's columns in Arrow's types.
///
/// # Errors
/// Damaged files.
pub(super) fn arrow_metadata(
    file: &OpenFile,
    footer: Arc<ParquetMetaData>,
) -> Result<ArrowReaderMetadata, ScanError> {
    let of = |options| ArrowReaderMetadata::try_new(footer.clone(), options);
    let plain = of(options()).map_err(|e| file.unreadable(&e))?;
    let columns = plain.parquet_schema().columns();
    let leaves = columns.iter().map(|column| column.physical_type());
    if !leaves.clone().any(|leaf| leaf == PhysicalType::INT96) {
        return Ok(plain);
    }
    let fields = in_micros(plain.schema().fields(), leaves);
    of(options().with_schema(Arc::new(Schema::new(fields)))).map_err(|e| file.unreadable(&e))
}

/// Legacy timestamps in microseconds: as nanoseconds, which the library takes, those before 1677 and after
/// 2262 would silently become others.
fn in_micros(fields: &Fields, mut leaves: impl Iterator<Item = PhysicalType>) -> Fields {
    with_leaves(fields, &mut |field| match leaves.next() {
        Some(PhysicalType::INT96) => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => field.clone(),
    })
}

/// The fields with other types of their leaves: `of` is asked for each, in their order.
fn with_leaves(fields: &Fields, of: &mut dyn FnMut(&DataType) -> DataType) -> Fields {
    fields.iter().map(|field| with_leaves_of(field, of)).collect()
}

fn with_leaves_of(field: &FieldRef, of: &mut dyn FnMut(&DataType) -> DataType) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(parts) => DataType::Struct(with_leaves(parts, of)),
        DataType::List(element) => DataType::List(with_leaves_of(element, of)),
        DataType::Map(entries, sorted) => DataType::Map(with_leaves_of(entries, of), *sorted),
        other => of(other),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Reads app and scope columns, lists of scopes among them, as dictionaries where the file has them so.
pub(super) fn with_dictionaries(
    plain: &ArrowReaderMetadata,
    columns: &Columns,
) -> ArrowReaderMetadata {
    let first = plain.metadata().row_groups().first();
    let wanted: Vec<usize> = [Some(&columns.app), columns.scopes.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|bound| Some((bound, bound.single_leaf()?)))
        .filter(|(bound, leaf)| {
            let chunk = first.and_then(|group| group.columns().get(*leaf));
            chunk.is_some_and(|chunk| {
                let column = chunk.column_descr();
                let path = column.path().parts();
                let whole = match column.max_rep_level() {
                    0 => bound.is_leaf(path),
                    1 => bound.is_list_of_texts(plain.schema().fields(), path),
                    _ => false,
                };
                chunk.dictionary_page_offset().is_some() && whole
            })
        })
        .map(|(_, leaf)| leaf)
        .collect();
    let mut leaf = 0;
    let fields = with_leaves(plain.schema().fields(), &mut |field| {
        let is_wanted = wanted.contains(&leaf) && *field == DataType::Utf8;
        leaf += 1;
        match is_wanted {
            true => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            false => field.clone(),
        }
    });
    let options = options().with_schema(Arc::new(Schema::new(fields)));
    // Only a faster way to the same values: without it all is read as plain text.
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options)
        .unwrap_or_else(|_| plain.clone())
}
