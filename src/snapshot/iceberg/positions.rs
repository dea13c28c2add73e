//! Position deletes: files that name data files and rows in them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use roaring::RoaringTreemap;

use super::manifests::FILE_PATH_ID;
use super::rows::{Opened, Pinned};
use crate::snapshot::{DeletesError, TableField};

/// Number of the column that holds rows' places.
const POS_ID: i32 = 2_147_483_545;

/// Adds the rows of the data file `address` that a position delete file names.
///
/// # Errors
/// Storage failures, and damage.
pub fn add(file: &Pinned, address: &str, rows: &mut RoaringTreemap) -> Result<(), DeletesError> {
    let opened = file.open()?;
    let (paths, places) =
        (column(&opened, "file_path", FILE_PATH_ID)?, column(&opened, "pos", POS_ID)?);
    for group in 0..opened.groups() {
        let details = opened.metadata.metadata().row_groups().get(group);
        if details.is_some_and(|group| !may_name(group, &opened, paths, address)) {
            continue;
        }
        for batch in opened.read(group, &[paths, places])? {
            take(file, &batch?, address, rows)?;
        }
    }
    Ok(())
}

/// Where a column of a position delete file stands.
fn column(opened: &Opened<'_>, name: &str, id: i32) -> Result<usize, DeletesError> {
    let wanted = TableField {
        name: name.into(),
        physical: vec![name.into()],
        id: Some(id),
        data_type: DataType::Null,
        default: None,
        children: Vec::new(),
    };
    let fields = opened.schema().fields();
    let found = wanted.find(fields).and_then(|found| opened.schema().index_of(found.name()).ok());
    found.ok_or_else(|| opened.file.damaged(format!("it has no column `{name}`")))
}

/// Rows are sorted by data file: most row groups speak of few.
fn may_name(group: &RowGroupMetaData, opened: &Opened<'_>, root: usize, address: &str) -> bool {
    let schema = opened.metadata.parquet_schema();
    let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
    let column = leaf.and_then(|leaf| group.columns().get(leaf));
    let Some(statistics) = column.and_then(|column| column.statistics()) else { return true };
    match statistics {
        Statistics::ByteArray(s) if !statistics.is_min_max_deprecated() => {
            let below = s.max_opt().is_some_and(|greatest| greatest.data() < address.as_bytes());
            let above = s.min_opt().is_some_and(|least| least.data() > address.as_bytes());
            !below && !above
        }
        _ => true,
    }
}

fn take(
    file: &Pinned,
    batch: &RecordBatch,
    address: &str,
    rows: &mut RoaringTreemap,
) -> Result<(), DeletesError> {
    let of = |id: i32, name: &str, data_type: &DataType| {
        let schema = batch.schema();
        let place = schema.fields().iter().position(|field| {
            field.metadata().get("PARQUET:field_id").is_some_and(|own| *own == id.to_string())
                || field.name() == name
        });
        let array = place.map(|place| batch.column(place).clone());
        let array = array.ok_or_else(|| file.damaged(format!("it has no column `{name}`")))?;
        if array.null_count() > 0 {
            return Err(file.damaged(format!("column `{name}` has nulls")));
        }
        cast(&array, data_type).map_err(|e| file.damaged(e))
    };
    let paths = of(FILE_PATH_ID, "file_path", &DataType::Utf8)?;
    let places = of(POS_ID, "pos", &DataType::Int64)?;
    let (paths, places) = (paths.as_string::<i32>(), places.as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        if paths.value(row) == address {
            let place = places.value(row);
            let place = u64::try_from(place).map_err(|_| file.damaged(format!("row {place}")))?;
            rows.insert(place);
        }
    }
    Ok(())
}
