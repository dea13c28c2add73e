//! Packs as sorted streams of rows.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use super::LedgerError;
use super::merge::Names;
use super::pack::{PersonColumn, read_schema, scope_set};
use super::store::{Ledger, Pack};
use super::write::{checksum, group_bytes};
use crate::key::Key;
use crate::scan::Asked;
use crate::scan::batch::{AccessBatch, IntColumn, KeyColumn, NONE, Outcome, Reject, translated};

/// A stretch of keys by their upper half. Rows without a person belong to the stretch that begins
/// at 0.
pub type KeyRange = RangeInclusive<u64>;

/// A pack, opened once and shared by the cursors of all ranges.
#[derive(Debug)]
pub struct OpenPack {
    ledger: Ledger,
    pub pack: Pack,
    /// Positions of the pack's units among the run's; [`NONE`] for units to skip.
    pub units: Vec<u32>,
    metadata: ArrowReaderMetadata,
    /// Byte range of each row group.
    groups: Vec<std::ops::Range<u64>>,
}

impl OpenPack {
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn open(ledger: &Ledger, pack: Pack, units: Vec<u32>) -> Result<Self, LedgerError> {
        let damaged =
            |reason: String| LedgerError::Damaged { pack: ledger.shown(&pack.name), reason };
        let parquet = Arc::new(ledger.metadata(&pack.name, pack.size)?);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::try_new(parquet, options.clone())
            .map_err(|e| damaged(e.to_string()))?;
        let options = options.with_schema(Arc::new(read_schema(plain.schema())));
        let metadata = ArrowReaderMetadata::try_new(plain.metadata().clone(), options)
            .map_err(|e| damaged(e.to_string()))?;
        let groups: Vec<_> = metadata.metadata().row_groups().iter().map(group_bytes).collect();
        if groups.len() != pack.footer.checksums.len() {
            return Err(damaged(format!(
                "it has {} row groups and {} checksums",
                groups.len(),
                pack.footer.checksums.len()
            )));
        }
        Ok(Self { ledger: ledger.clone(), pack, units, metadata, groups })
    }

    /// The pack's columns.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    fn damaged(&self, reason: impl ToString) -> LedgerError {
        LedgerError::Damaged {
            pack: self.ledger.shown(&self.pack.name),
            reason: reason.to_string(),
        }
    }

    /// Row groups that may hold keys of the range.
    fn groups_in(&self, range: &KeyRange) -> Vec<usize> {
        let column = match self.pack.footer.person {
            PersonColumn::Subject => "subject_hi",
            PersonColumn::Actor => "actor_hi",
            PersonColumn::None => "",
        };
        let leaf = self.metadata.parquet_schema().columns().iter().position(|c| c.name() == column);
        let rows = self.metadata.metadata().row_groups();
        (0..rows.len())
            .filter(|i| {
                let statistics = leaf.and_then(|leaf| {
                    rows.get(*i).and_then(|g| g.columns().get(leaf)).and_then(|c| c.statistics())
                });
                let Some(Statistics::Int64(s)) = statistics else { return true };
                let nobody = s.null_count_opt().is_none_or(|n| n > 0) && *range.start() == 0;
                let (Some(least), Some(greatest)) = (s.min_opt(), s.max_opt()) else { return true };
                // Parquet stores unsigned numbers in signed ones, bit by bit.
                let (least, greatest) = (*least as u64, *greatest as u64);
                nobody || (least <= *range.end() && greatest >= *range.start())
            })
            .collect()
    }
}

/// The rows of one pack within a key range, in order, a block at a time.
pub struct Cursor {
    pack: Arc<OpenPack>,
    range: KeyRange,
    groups: std::vec::IntoIter<usize>,
    reader: Option<ParquetRecordBatchReader>,
    batch_rows: usize,
    /// Codes in the merge's names, by the text that the pack holds.
    sets: HashMap<(String, String), u32>,
    asked: Arc<Asked>,
    /// The source, and the namespace of its groups.
    pub source: (usize, usize),
    /// The current block; its codes are the merge's.
    pub block: AccessBatch,
    pub row: usize,
}

impl Cursor {
    /// A cursor before its first row; see [`Self::load`].
    pub fn new(
        pack: Arc<OpenPack>,
        source: (usize, usize),
        range: KeyRange,
        asked: Arc<Asked>,
        batch_rows: usize,
    ) -> Self {
        let groups = pack.groups_in(&range).into_iter();
        Self {
            pack,
            range,
            groups,
            reader: None,
            batch_rows,
            sets: HashMap::new(),
            asked,
            source,
            block: AccessBatch::default(),
            row: 0,
        }
    }

    pub fn person_column(&self) -> PersonColumn {
        self.pack.pack.footer.person
    }

    pub fn person(&self) -> Option<Key> {
        self.person_column().keys(&self.block).and_then(|k| k.get(self.row))
    }

    /// Makes sure that `row` is a row of `block`; `false` at the end.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn load(&mut self, names: &mut Names) -> Result<bool, LedgerError> {
        while self.row >= self.block.len() {
            let Some(batch) = self.next_batch()? else {
                self.block = AccessBatch::default();
                return Ok(false);
            };
            self.block = self.decode(&batch, names)?;
            self.row = 0;
        }
        Ok(true)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LedgerError> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Some(Ok(batch)) => return Ok(Some(batch)),
                    Some(Err(e)) => return Err(self.pack.damaged(e)),
                    None => self.reader = None,
                }
            }
            let Some(group) = self.groups.next() else { return Ok(None) };
            let pack = &self.pack;
            let range = pack.groups.get(group).cloned().unwrap_or(0..0);
            let bytes = pack.ledger.read(&pack.pack.name, pack.pack.size, range.clone())?;
            if Some(&checksum(&bytes)) != pack.pack.footer.checksums.get(group) {
                return Err(pack.damaged(format!("row group {group} does not match its checksum")));
            }
            let chunk = GroupBytes { size: pack.pack.size, start: range.start, bytes };
            let reader =
                ParquetRecordBatchReaderBuilder::new_with_metadata(chunk, pack.metadata.clone())
                    .with_row_groups(vec![group])
                    .with_batch_size(self.batch_rows)
                    .build()
                    .map_err(|e| pack.damaged(e))?;
            self.reader = Some(reader);
        }
    }

    /// The rows of `batch` that lie in the range and belong to units that count.
    fn decode(
        &mut self,
        batch: &RecordBatch,
        names: &mut Names,
    ) -> Result<AccessBatch, LedgerError> {
        let column = |name: &str| batch.column_by_name(name);
        let keys = |role: &str| -> KeyColumn {
            let Some(hi) = column(&format!("{role}_hi")) else { return KeyColumn::default() };
            let lo = column(&format!("{role}_lo")).and_then(u64s).unwrap_or_default();
            KeyColumn { kind: None, hi: u64s(hi).unwrap_or_default(), lo, valid: validity(hi) }
        };
        let ints = |name: &str| -> IntColumn {
            let Some(array) = column(name) else { return IntColumn::default() };
            let values = array.as_primitive_opt::<Int64Type>();
            IntColumn {
                values: values.map(|v| v.values().to_vec()).unwrap_or_default(),
                valid: validity(array),
            }
        };
        let pack = self.pack.clone();
        let missing = |name: &str| pack.damaged(format!("it has no column `{name}` of its type"));
        let unit = column("unit")
            .and_then(|a| a.as_primitive_opt::<UInt32Type>())
            .ok_or_else(|| missing("unit"))?;
        let micros = column("time")
            .and_then(|a| a.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| missing("time"))?;
        let mut out = AccessBatch {
            unit: unit.values().iter().map(|u| translated(&self.pack.units, *u)).collect(),
            micros: micros.values().to_vec(),
            nanos: column("time_nanos")
                .and_then(|a| a.as_primitive_opt::<UInt16Type>())
                .map(|a| a.values().to_vec())
                .unwrap_or_default(),
            subject: keys("subject"),
            actor: keys("actor"),
            group: keys("group"),
            event: keys("event"),
            weight: ints("weight"),
            bytes: ints("bytes"),
            records: ints("records"),
            ..Default::default()
        };
        let (codes, texts) = column("app").and_then(dictionary).ok_or_else(|| missing("app"))?;
        let map: Vec<u32> = texts.iter().map(|t| t.map_or(NONE, |t| names.apps.code(t))).collect();
        out.app = codes.map(|c| translated(&map, c)).collect();
        out.scopes = self.scope_codes(batch, names)?;
        let allowed =
            column("allowed").and_then(|a| a.as_boolean_opt()).ok_or_else(|| missing("allowed"))?;
        out.outcome = allowed
            .iter()
            .map(|allowed| match allowed {
                Some(true) => Outcome::Allowed,
                Some(false) => Outcome::Denied,
                None => Outcome::Unknown,
            })
            .collect();
        if let Some((codes, texts)) = column("reject").and_then(dictionary) {
            let rejects: Vec<Option<Reject>> = texts
                .iter()
                .map(|t| Reject::ALL.into_iter().find(|r| Some(r.name()) == t))
                .collect();
            out.reject = codes
                .map(|c| usize::try_from(c).ok().and_then(|c| rejects.get(c)).copied().flatten())
                .collect();
        }
        if let Some((codes, texts)) = column("fields").and_then(dictionary) {
            let map: Vec<u32> =
                texts.iter().map(|t| t.map_or(NONE, |t| names.fields.code(t))).collect();
            out.fields = codes.map(|c| translated(&map, c)).collect();
        }
        if let Some(ids) = column("group_id").and_then(|a| a.as_binary_opt::<i32>()) {
            out.group_id = ids.iter().map(|id| id.map(Into::into)).collect();
        }
        self.trim(&mut out);
        Ok(out)
    }

    fn scope_codes(
        &mut self,
        batch: &RecordBatch,
        names: &mut Names,
    ) -> Result<Vec<u32>, LedgerError> {
        let pack = self.pack.clone();
        let missing = |name: &str| pack.damaged(format!("it has no column `{name}` of its type"));
        let (scopes, scope_texts) =
            batch.column_by_name("scopes").and_then(dictionary).ok_or_else(|| missing("scopes"))?;
        // Where the column is missing, every scope was exercised.
        let (exercised, exercised_texts) = match batch.column_by_name("exercised") {
            Some(column) => dictionary(column).ok_or_else(|| missing("exercised"))?,
            None => batch
                .column_by_name("scopes")
                .and_then(dictionary)
                .ok_or_else(|| missing("scopes"))?,
        };
        let text = |texts: &arrow::array::StringArray, code: u32| -> String {
            let code = usize::try_from(code).unwrap_or(usize::MAX);
            if code < texts.len() { texts.value(code).to_string() } else { "[]".into() }
        };
        let mut local: HashMap<(u32, u32), u32> = HashMap::new();
        let mut out = Vec::with_capacity(batch.num_rows());
        for pair in scopes.zip(exercised) {
            let code = match local.get(&pair) {
                Some(code) => *code,
                None => {
                    let key = (text(scope_texts, pair.0), text(exercised_texts, pair.1));
                    let code = match self.sets.get(&key) {
                        Some(code) => *code,
                        None => {
                            let mut set = scope_set(&key.0, &key.1)
                                .ok_or_else(|| pack.damaged("a scope list is no JSON array"))?;
                            // A pack may hold more scopes than this run asks for.
                            let asked = |name: &String| {
                                self.asked.scopes.binary_search_by(|s| s.name.cmp(name)).is_ok()
                            };
                            set.scopes.retain(asked);
                            set.exercised.retain(asked);
                            let code = names.sets.code(set);
                            self.sets.insert(key, code);
                            code
                        }
                    };
                    local.insert(pair, code);
                    code
                }
            };
            out.push(code);
        }
        Ok(out)
    }

    /// Drops what lies outside the key range (at the ends: rows are sorted) by moving the first row
    /// and cutting the tail. Units to skip stay in the block; the merge passes over them.
    fn trim(&self, block: &mut AccessBatch) {
        let Some(keys) = self.person_column().keys(block) else {
            if *self.range.start() != 0 {
                block.clear();
            }
            return;
        };
        let inside = |row: usize| match keys.get(row) {
            None => *self.range.start() == 0,
            Some(key) => self.range.contains(&key.hi),
        };
        let rows = block.len();
        if rows > 0 && inside(0) && inside(rows - 1) {
            return;
        }
        let keep: Vec<bool> = (0..rows).map(inside).collect();
        block.retain(&keep);
    }
}

fn u64s(array: &ArrayRef) -> Option<Vec<u64>> {
    array.as_primitive_opt::<UInt64Type>().map(|a| a.values().to_vec())
}

fn validity(array: &ArrayRef) -> Vec<bool> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => nulls.iter().collect(),
        _ => Vec::new(),
    }
}

fn dictionary(array: &ArrayRef) -> Option<(impl Iterator<Item = u32>, &arrow::array::StringArray)> {
    if !matches!(array.data_type(), DataType::Dictionary(..)) {
        return None;
    }
    let dictionary = array.as_dictionary_opt::<Int32Type>()?;
    let values = dictionary.values().as_string_opt::<i32>()?;
    let codes =
        dictionary.keys().iter().map(|k| k.and_then(|k| u32::try_from(k).ok()).unwrap_or(NONE));
    Some((codes, values))
}

/// One row group's bytes, as a file.
struct GroupBytes {
    size: u64,
    start: u64,
    bytes: Bytes,
}

impl Length for GroupBytes {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for GroupBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        match at {
            Some(at) if at <= self.bytes.len() => Ok(bytes::Buf::reader(self.bytes.slice(at..))),
            _ => Err(ParquetError::EOF(format!("byte {start} lies outside the row group"))),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = start
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| at.checked_add(length).is_some_and(|end| end <= self.bytes.len()))
            .map(|at| self.bytes.slice(at..at + length));
        bytes.ok_or_else(|| {
            ParquetError::EOF(format!("{length} bytes at {start} lie outside the row group"))
        })
    }
}
