//! As which of Arrow's types the columns of a file are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;

use super::ScanError;
use super::columns::Bound;
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
    let mut leaves = columns.iter().map(|column| column.physical_type());
    if !leaves.clone().any(|leaf| leaf == PhysicalType::INT96) {
        return Ok(plain);
    }
    let fields: Fields =
        plain.schema().fields().iter().map(|field| in_micros(field, &mut leaves)).collect();
    of(options().with_schema(Arc::new(Schema::new(fields)))).map_err(|e| file.unreadable(&e))
}

/// Legacy timestamps in microseconds: as nanoseconds, which the library takes, those before 1677 and after
/// 2262 would silently become others.
fn in_micros(field: &FieldRef, leaves: &mut impl Iterator<Item = PhysicalType>) -> FieldRef {
    let of = match field.data_type() {
        DataType::Struct(parts) => {
            DataType::Struct(parts.iter().map(|part| in_micros(part, leaves)).collect())
        }
        DataType::List(element) => DataType::List(in_micros(element, leaves)),
        DataType::Map(entries, sorted) => DataType::Map(in_micros(entries, leaves), *sorted),
        other => match leaves.next() {
            Some(PhysicalType::INT96) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => other.clone(),
        },
    };
    Arc::new(field.as_ref().clone().with_data_type(of))
}

/// Reads app and scope columns as dictionaries where the file has them so.
pub(super) fn with_dictionaries(
    plain: &ArrowReaderMetadata,
    columns: &Columns,
) -> ArrowReaderMetadata {
    let first = plain.metadata().row_groups().first();
    let wanted: Vec<usize> = [Some(&columns.app), columns.scopes.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(Bound::single_leaf)
        .filter(|leaf| {
            first.is_some_and(|g| {
                g.columns().get(*leaf).is_some_and(|c| c.dictionary_page_offset().is_some())
            })
        })
        .filter_map(|leaf| {
            let column = plain.parquet_schema().columns().get(leaf)?;
            let [name] = column.path().parts() else { return None };
            plain.schema().index_of(name).ok()
        })
        .collect();
    let fields: Vec<Field> = plain
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| {
            if wanted.contains(&i) && *field.data_type() == DataType::Utf8 {
                let text =
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                Field::new(field.name(), text, field.is_nullable())
            } else {
                field.as_ref().clone()
            }
        })
        .collect();
    let options = options().with_schema(Arc::new(Schema::new(fields)));
    // Only a faster way to the same values: without it all is read as plain text.
    ArrowReaderMetadata::try_new(plain.metadata().clone(), options)
        .unwrap_or_else(|_| plain.clone())
}
