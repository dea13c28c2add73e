//! Position deletes: files that name data files and rows in them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use roaring::RoaringTreemap;

use super::held::{Once, Room, Share};
use super::manifests::FILE_PATH_ID;
use crate::snapshot::rows::{Opened, Pinned};
use crate::snapshot::{DeletesError, TableField};

/// Number of the column that holds rows' places.
const POS_ID: i32 = 2_147_483_545;

/// What a row takes while it is held, at most; and an address beside its own bytes.
const ROW: u64 = 8;
const ADDRESS: u64 = 160;

/// A position delete file.
#[derive(Debug)]
pub struct Positions {
    pub file: Pinned,
    /// Its rows by data file.
    held: Once<HashMap<String, RoaringTreemap>>,
    unchecked: AtomicBool,
}

impl Positions {
    pub fn new(file: Pinned) -> Self {
        Self { file, held: Once::default(), unchecked: AtomicBool::default() }
    }

    /// Whether a page of it that was read has no checksum.
    pub fn is_unchecked(&self) -> bool {
        self.unchecked.load(Ordering::Relaxed)
    }

    /// Adds the rows of the data file `address` that it names.
    ///
    /// # Errors
    /// Storage failures, and damage.
    pub fn add(
        &self,
        address: &str,
        room: &Room,
        rows: &mut RoaringTreemap,
    ) -> Result<(), DeletesError> {
        if let Some(held) = self.held.get(room, |share| self.all(share))? {
            *rows |= held.get(address).unwrap_or(&RoaringTreemap::new());
            return Ok(());
        }
        self.each(Some(address), |of, row| {
            if of == address {
                rows.insert(row);
            }
            true
        })?;
        Ok(())
    }

    /// The rows of all data files; `None` where they do not fit.
    fn all(
        &self,
        share: &mut Share<'_>,
    ) -> Result<Option<HashMap<String, RoaringTreemap>>, DeletesError> {
        let mut all: HashMap<String, RoaringTreemap> = HashMap::new();
        let whole = self.each(None, |address, row| {
            let mut cost = ROW;
            let rows = match all.get_mut(address) {
                Some(rows) => rows,
                None => {
                    cost += ADDRESS + address.len() as u64;
                    all.entry(address.to_string()).or_default()
                }
            };
            rows.insert(row);
            share.grow(cost)
        })?;
        Ok(whole.then_some(all))
    }

    /// Hands on addresses and rows until `take` says `false`; of row groups those that may name `address`.
    /// Whether it got to the end.
    fn each(
        &self,
        address: Option<&str>,
        mut take: impl FnMut(&str, u64) -> bool,
    ) -> Result<bool, DeletesError> {
        let opened = self.file.open()?;
        let (paths, places) =
            (column(&opened, "file_path", FILE_PATH_ID)?, column(&opened, "pos", POS_ID)?);
        for group in 0..opened.groups() {
            let details = opened.metadata.metadata().row_groups().get(group);
            let may_name =
                |address| details.is_none_or(|group| may_name(group, &opened, paths, address));
            if !address.is_none_or(may_name) {
                continue;
            }
            let batches = opened.read(group, &[paths, places])?;
            self.unchecked.fetch_or(opened.is_unchecked(), Ordering::Relaxed);
            for batch in batches {
                if !each_of(&self.file, &batch?, &mut take)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Where a column of a position delete file stands.
fn column(opened: &Opened, name: &str, id: i32) -> Result<usize, DeletesError> {
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
fn may_name(group: &RowGroupMetaData, opened: &Opened, root: usize, address: &str) -> bool {
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

fn each_of(
    file: &Pinned,
    batch: &RecordBatch,
    take: &mut impl FnMut(&str, u64) -> bool,
) -> Result<bool, DeletesError> {
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
        let place = places.value(row);
        let place = u64::try_from(place).map_err(|_| file.damaged(format!("row {place}")))?;
        if !take(paths.value(row), place) {
            return Ok(false);
        }
    }
    Ok(true)
}
