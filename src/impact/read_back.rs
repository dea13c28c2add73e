//! A published table, read back from its Parquet file.

use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{ImpactError, Table};

impl Table {
    /// The table that [`Table::parquet`] wrote.
    ///
    /// # Errors
    /// [`ImpactError::Output`] where the file cannot be read.
    pub fn read_back(name: &str, parquet: Bytes) -> Result<Self, ImpactError> {
        let failed = |reason: String| ImpactError::Output { table: name.to_string(), reason };
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(parquet).map_err(|e| failed(e.to_string()))?;
        let schema = builder.schema().clone();
        let reader = builder.build().map_err(|e| failed(e.to_string()))?;
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| failed(e.to_string()))?;
        let batch = concat_batches(&schema, &batches).map_err(|e| failed(e.to_string()))?;
        Ok(Self { name: name.to_string(), batch })
    }
}
