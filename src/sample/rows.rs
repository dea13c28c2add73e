//! Rows of the sample's log, and files of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int16Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::truth::Call;
use super::{Failed, unwritten};

/// Sorted by time, as logs are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub micros: i64,
    pub id: String,
    pub app: String,
    pub person: Option<i64>,
    pub group: Option<i64>,
    pub scope: String,
    pub status: i16,
    pub bytes: i64,
}

impl Row {
    pub fn of(call: &Call<'_>, id: &str) -> Self {
        Self {
            micros: call.micros,
            id: id.to_string(),
            app: call.app.to_string(),
            person: call.person,
            group: call.group,
            scope: call.scope.to_string(),
            status: if call.allowed { 200 } else { 403 },
            bytes: call.bytes,
        }
    }
}

/// A column of a file: its name, its number in an Iceberg schema, its values, whether one may be missing.
pub struct Column {
    pub name: &'static str,
    pub id: i32,
    pub array: ArrayRef,
    pub nullable: bool,
}

impl Column {
    /// A column in which no value is missing.
    pub fn whole(name: &'static str, id: i32, array: ArrayRef) -> Self {
        Self { name, id, array, nullable: false }
    }
}

/// The columns of the log.
pub fn columns(rows: &[Row]) -> Vec<Column> {
    let texts = |of: fn(&Row) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let ids = |name, id, of: fn(&Row) -> Option<i64>| Column {
        name,
        id,
        array: Arc::new(Int64Array::from_iter(rows.iter().map(of))),
        nullable: true,
    };
    let time = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.micros));
    let status = Int16Array::from_iter_values(rows.iter().map(|r| r.status));
    let bytes = Int64Array::from_iter_values(rows.iter().map(|r| r.bytes));
    vec![
        Column::whole("event_time", 1, Arc::new(time.with_timezone("UTC"))),
        Column::whole("request_id", 2, texts(|r| &r.id)),
        Column::whole("app_id", 3, texts(|r| &r.app)),
        ids("user_id", 4, |r| r.person),
        ids("group_id", 5, |r| r.group),
        Column::whole("scope", 6, texts(|r| &r.scope)),
        Column::whole("status", 7, Arc::new(status)),
        Column::whole("bytes", 8, Arc::new(bytes)),
    ]
}

/// The columns of the log as an Iceberg table has them: it knows no integers of 16 bits, and its writers
/// write the partition's column, too.
pub fn iceberg_columns(rows: &[Row], day: i64) -> Vec<Column> {
    let mut columns = columns(rows);
    let status = Int32Array::from_iter_values(rows.iter().map(|r| i32::from(r.status)));
    let status: ArrayRef = Arc::new(status);
    for column in columns.iter_mut().filter(|column| column.name == "status") {
        column.array = status.clone();
    }
    let day = i32::try_from(day).unwrap_or(i32::MAX);
    let days = Date32Array::from_iter_values(rows.iter().map(|_| day));
    columns.push(Column::whole("dt", 9, Arc::new(days)));
    columns
}

/// A file that was written: rows and bytes.
#[derive(Clone, Copy)]
pub struct Size {
    pub rows: u64,
    pub bytes: u64,
}

/// Writes a Parquet file as Arrow's writers do.
///
/// # Errors
/// Files that cannot be written.
pub fn write(path: &Path, columns: Vec<Column>) -> Result<Size, Failed> {
    write_as(path, columns, false).map_err(|e| unwritten(path, &e).into())
}

/// Writes a Parquet file as those of table formats are: types by Parquet alone, columns by number.
///
/// # Errors
/// Files that cannot be written.
pub fn write_for_table(path: &Path, columns: Vec<Column>) -> Result<Size, Failed> {
    write_as(path, columns, true).map_err(|e| unwritten(path, &e).into())
}

fn write_as(path: &Path, columns: Vec<Column>, for_table: bool) -> Result<Size, Failed> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fields: Vec<Field> = columns.iter().map(|column| field(column, for_table)).collect();
    let arrays = columns.into_iter().map(|column| column.array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("afterscope sample".into())
        .build();
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(for_table);
    let file = fs::File::create(path)?;
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(Size { rows: batch.num_rows() as u64, bytes: fs::metadata(path)?.len() })
}

fn field(column: &Column, with_id: bool) -> Field {
    let data_type = match column.array.data_type() {
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => other.clone(),
    };
    let field = Field::new(column.name, data_type, column.nullable);
    let id = with_id.then(|| ("PARQUET:field_id".to_string(), column.id.to_string()));
    field.with_metadata(id.into_iter().collect())
}
