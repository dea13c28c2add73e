//! A published table as the engine reads it: rows of its Parquet files, of the columns that are wanted.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Float64Type, Int64Type, Schema as ArrowSchema, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use arrow::record_batch::RecordBatchReader;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polars::prelude::{
    AnonymousScan, AnonymousScanArgs, BooleanChunked, ChunkFull, Column, DataFrame, DataType,
    Float64Chunked, Int32Chunked, Int64Chunked, IntoColumn, LazyFrame, NamedFrom, NewChunkedArray,
    PlSmallStr, PolarsError, PolarsResult, ScanArgsAnonymous, Schema, SchemaNamesAndDtypes,
    SchemaRef, Series, StringChunked, TimeUnit as PolarsUnit,
};

use crate::moment::Moment;

/// Whose rows a file has: columns in front of its own.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub run_id: String,
    pub as_of: Option<Moment>,
}

/// Columns that say whose rows a file has.
pub const STAMPED: [(&str, &str); 2] = [("run_id", "string"), ("as_of", "timestamp[us, UTC]")];

/// Where rows lie.
#[derive(Clone, Debug)]
enum Rows {
    Parquet(Bytes),
    Made(RecordBatch),
}

/// One file of a table, or rows that were made.
#[derive(Clone, Debug)]
pub struct Part {
    rows: Rows,
    stamp: Option<Stamp>,
    columns: Vec<(String, DataType)>,
}

/// The rows of some files, one file after the other.
#[derive(Clone, Debug)]
pub struct PublishedTable {
    parts: Vec<Part>,
    schema: SchemaRef,
}

fn failed(error: &dyn std::fmt::Display) -> PolarsError {
    PolarsError::ComputeError(error.to_string().into())
}

fn moment() -> DataType {
    DataType::Datetime(PolarsUnit::Microseconds, None)
}

/// The type of a column of a table; times are UTC.
fn type_of(data_type: &ArrowType) -> Option<DataType> {
    Some(match data_type {
        ArrowType::Utf8 => DataType::String,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::Float64 => DataType::Float64,
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => moment(),
        _ => return None,
    })
}

fn column(name: &str, array: &ArrayRef) -> PolarsResult<Column> {
    let name = PlSmallStr::from(name);
    let wanted = type_of(array.data_type());
    let no = || failed(&format!("column `{name}` has type {}", array.data_type()));
    let wanted = wanted.ok_or_else(no)?;
    let values = array.as_ref();
    let made: Column = match &wanted {
        DataType::String => {
            let texts = values.as_string_opt::<i32>().ok_or_else(no)?;
            StringChunked::from_iter_options(name, texts.iter()).into_column()
        }
        DataType::Boolean => {
            let flags = values.as_boolean_opt().ok_or_else(no)?;
            BooleanChunked::from_iter_options(name, flags.iter()).into_column()
        }
        DataType::Float64 => {
            let numbers = values.as_primitive_opt::<Float64Type>().ok_or_else(no)?;
            Float64Chunked::from_iter_options(name, numbers.iter()).into_column()
        }
        DataType::Date => {
            let days = values.as_primitive_opt::<Date32Type>().ok_or_else(no)?;
            Int32Chunked::from_iter_options(name, days.iter()).into_column()
        }
        DataType::Datetime(..) => {
            let micros = values.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(no)?;
            Int64Chunked::from_iter_options(name, micros.iter()).into_column()
        }
        _ => {
            let numbers = values.as_primitive_opt::<Int64Type>().ok_or_else(no)?;
            Int64Chunked::from_iter_options(name, numbers.iter()).into_column()
        }
    };
    made.cast(&wanted)
}

impl Part {
    /// # Errors
    /// A file that is no Parquet, or a column of a type that tables do not have.
    pub fn of(bytes: Bytes, stamp: Option<Stamp>) -> Result<Self, String> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone());
        let schema = builder.map_err(|e| e.to_string())?.schema().clone();
        Self::with(Rows::Parquet(bytes), stamp, &schema)
    }

    /// # Errors
    /// A column of a type that tables do not have.
    pub fn of_rows(rows: RecordBatch) -> Result<Self, String> {
        let schema = rows.schema();
        Self::with(Rows::Made(rows), None, &schema)
    }

    fn with(rows: Rows, stamp: Option<Stamp>, schema: &ArrowSchema) -> Result<Self, String> {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let known = type_of(field.data_type());
            let known = known.ok_or_else(|| {
                format!("column `{}` has type {}", field.name(), field.data_type())
            })?;
            columns.push((field.name().clone(), known));
        }
        Ok(Self { rows, stamp, columns })
    }

    /// The rows, of columns with these names alone where that spares reading others.
    fn read(&self, wanted: &[(PlSmallStr, DataType)]) -> PolarsResult<RecordBatch> {
        let bytes = match &self.rows {
            Rows::Made(rows) => return Ok(rows.clone()),
            Rows::Parquet(bytes) => bytes.clone(),
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| failed(&e))?;
        let own = wanted.iter().map(|(name, _)| name.as_str());
        let own = own.filter(|name| self.columns.iter().any(|(known, _)| known == name));
        let mask = ProjectionMask::columns(builder.parquet_schema(), own);
        let reader = builder.with_projection(mask).build().map_err(|e| failed(&e))?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
        concat_batches(&schema, &batches).map_err(|e| failed(&e))
    }

    fn frame(&self, wanted: &[(PlSmallStr, DataType)]) -> PolarsResult<DataFrame> {
        let batch = self.read(wanted)?;
        let rows = batch.num_rows();
        let mut columns = Vec::with_capacity(wanted.len());
        for (name, data_type) in wanted {
            columns.push(match (batch.column_by_name(name), self.stamped(name, rows)) {
                (_, Some(stamped)) => stamped,
                (Some(array), None) => column(name, array)?,
                // Another version had no such column.
                (None, None) => Column::full_null(name.clone(), rows, data_type),
            });
        }
        DataFrame::new(rows, columns)
    }

    fn stamped(&self, name: &str, rows: usize) -> Option<Column> {
        let stamp = self.stamp.as_ref()?;
        let name = PlSmallStr::from(name);
        match name.as_str() {
            "run_id" => Some(StringChunked::full(name, &stamp.run_id, rows).into_column()),
            "as_of" => {
                let micros = vec![stamp.as_of.map(|at| at.micros); rows];
                Series::new(name, micros).cast(&moment()).ok().map(Series::into_column)
            }
            _ => None,
        }
    }
}

impl PublishedTable {
    /// All columns of all files, those of the first file first.
    ///
    /// # Errors
    /// A column that is of one type here and of another there.
    pub fn of(parts: Vec<Part>) -> Result<Self, String> {
        let mut schema = Schema::default();
        if parts.iter().any(|part| part.stamp.is_some()) {
            schema.with_column("run_id".into(), DataType::String);
            schema.with_column("as_of".into(), moment());
        }
        for (name, data_type) in parts.iter().flat_map(|part| &part.columns) {
            match schema.get(name) {
                Some(known) if known != data_type => {
                    return Err(format!("column `{name}` has type {known} and {data_type}"));
                }
                Some(_) => {}
                None => {
                    schema.with_column(name.as_str().into(), data_type.clone());
                }
            }
        }
        Ok(Self { parts, schema: Arc::new(schema) })
    }

    pub fn columns(&self) -> Vec<String> {
        self.schema.iter_names().map(ToString::to_string).collect()
    }

    /// Columns and their types, as tables have them.
    pub fn types(&self) -> Vec<(String, &'static str)> {
        let name = |data_type: &DataType| match data_type {
            DataType::String => "string",
            DataType::Float64 => "float64",
            DataType::Boolean => "bool",
            DataType::Date => "date",
            DataType::Datetime(..) => "timestamp[us, UTC]",
            _ => "int64",
        };
        let columns = self.schema.iter_names_and_dtypes();
        columns.map(|(column, data_type)| (column.to_string(), name(data_type))).collect()
    }

    /// The same columns, and no row.
    pub fn without_rows(&self) -> DataFrame {
        DataFrame::empty_with_schema(&self.schema)
    }

    /// # Errors
    /// Says what the engine says.
    pub fn lazy(self) -> PolarsResult<LazyFrame> {
        let args = ScanArgsAnonymous {
            schema: Some(self.schema.clone()),
            name: "PUBLISHED TABLE",
            ..Default::default()
        };
        LazyFrame::anonymous_scan(Arc::new(self), args)
    }
}

impl AnonymousScan for PublishedTable {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn allows_projection_pushdown(&self) -> bool {
        true
    }

    fn scan(&self, wanted: AnonymousScanArgs) -> PolarsResult<DataFrame> {
        let field = |name: &PlSmallStr| {
            let known = self.schema.get(name);
            let known = known.ok_or_else(|| failed(&format!("there is no column `{name}`")))?;
            Ok::<_, PolarsError>((name.clone(), known.clone()))
        };
        let columns = match &wanted.with_columns {
            Some(names) => names.iter().map(field).collect::<Result<Vec<_>, _>>()?,
            None => {
                let all = self.schema.iter_names_and_dtypes();
                all.map(|(name, data_type)| (name.clone(), data_type.clone())).collect()
            }
        };
        let mut all: Option<DataFrame> = None;
        for part in &self.parts {
            let rows = part.frame(&columns)?;
            match &mut all {
                None => all = Some(rows),
                Some(all) => {
                    all.vstack_mut(&rows)?;
                }
            }
        }
        let none = || {
            DataFrame::new(
                0,
                columns.iter().map(|(n, t)| Column::new_empty(n.clone(), t)).collect(),
            )
        };
        let all = all.map_or_else(none, Ok)?;
        Ok(wanted.n_rows.map_or_else(|| all.clone(), |rows| all.head(Some(rows))))
    }
}
