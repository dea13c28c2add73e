//! From decoded batches to sorted packs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::LedgerError;
use super::call::CallBits;
use super::order::Order;
use super::pack::{
    self, FOOTER_KEY, Kinds, Lineage, NAMES_KEY, PackFooter, PackNames, PackUnit, PersonColumn,
};
use super::shelf::{Encoder, checksum, internal};
use super::store::{Ledger, Pack};
use crate::key::IdKind;
use crate::memory::{Budget, pack_bytes};
use crate::scan::batch::{AccessBatch, NONE};
use crate::scan::{Asked, ScanError, Sink, UnitRecord};
use crate::snapshot::SnapshotFile;
use crate::store::Pin;

/// Rows of a pack's row group: what a merge decodes at the ends of its range in vain.
pub const GROUP_ROWS: usize = 16 << 10;

/// A crash loses at most the work of this time.
const FLUSH_AFTER: Duration = Duration::from_secs(20);

/// Packs with nothing but units (files without a match) are kept small in number.
const FLUSH_UNITS: usize = 100_000;

/// Collects rows on one decoding thread and writes them out as packs.
pub struct PackWriter {
    ledger: Ledger,
    lineage: Lineage,
    asked: Asked,
    person_namespace: String,
    group_namespace: String,
    event_namespace: String,
    /// Address and pin of each file of the job.
    files: Arc<Vec<(String, Pin)>>,
    budget: Budget,
    /// Packs that were written before, about: by this writer, and as many by each of the others.
    packs: u32,
    writers: u32,
    reserved: bool,
    rows: AccessBatch,
    units: Vec<PackUnit>,
    kinds: Kinds,
    order: Order,
    begun: Instant,
    written: Arc<Mutex<Vec<Pack>>>,
}

/// What every writer of one scan shares.
#[derive(Clone)]
pub struct WriterSettings {
    pub ledger: Ledger,
    pub lineage: Lineage,
    pub asked: Asked,
    pub person_namespace: String,
    pub group_namespace: String,
    pub event_namespace: String,
    pub budget: Budget,
}

impl PackWriter {
    /// One writer for each thread; together they hand their packs to `written`.
    pub fn many(
        settings: &WriterSettings,
        files: &[SnapshotFile],
        shown: impl Fn(&str) -> String,
        threads: usize,
        written: &Arc<Mutex<Vec<Pack>>>,
    ) -> Vec<Self> {
        let files: Arc<Vec<(String, Pin)>> =
            Arc::new(files.iter().map(|f| (shown(&f.path), f.pin.clone())).collect());
        (0..threads)
            .map(|_| Self {
                ledger: settings.ledger.clone(),
                lineage: settings.lineage.clone(),
                asked: settings.asked.clone(),
                person_namespace: settings.person_namespace.clone(),
                group_namespace: settings.group_namespace.clone(),
                event_namespace: settings.event_namespace.clone(),
                files: files.clone(),
                budget: settings.budget,
                packs: 0,
                writers: u32::try_from(threads).unwrap_or(u32::MAX),
                reserved: false,
                rows: AccessBatch::default(),
                units: Vec::new(),
                kinds: Kinds::default(),
                order: Order::default(),
                begun: Instant::now(),
                written: written.clone(),
            })
            .collect()
    }

    fn check_kinds(&mut self, file: &str, batch: &AccessBatch) -> Result<(), ScanError> {
        let check =
            |role, namespace: &str, known: &mut Option<IdKind>, found: Option<IdKind>| match (
                *known, found,
            ) {
                (Some(before), Some(found)) if before != found => Err(ScanError::MixedKinds {
                    file: file.to_string(),
                    role,
                    namespace: namespace.to_string(),
                    found,
                    before,
                }),
                _ => {
                    *known = known.or(found);
                    Ok(())
                }
            };
        check("subject", &self.person_namespace, &mut self.kinds.person, batch.subject.kind)?;
        check("actor", &self.person_namespace, &mut self.kinds.person, batch.actor.kind)?;
        check("group", &self.group_namespace, &mut self.kinds.group, batch.group.kind)?;
        check("event", &self.event_namespace, &mut self.kinds.event, batch.event.kind)
    }

    fn flush(&mut self) -> Result<(), ScanError> {
        if self.units.is_empty() {
            return Ok(());
        }
        let numbers = sort_units(&mut self.units);
        self.rows.renumber(&numbers);
        let rows = &self.rows;
        let footer = PackFooter {
            name: String::new(),
            lineage: self.lineage.clone(),
            asked: self.asked.clone(),
            kinds: std::mem::take(&mut self.kinds),
            person: PersonColumn::of(rows),
            rows: rows.len() as u64,
            call: Default::default(),
            units: std::mem::take(&mut self.units),
            checksums: Vec::new(),
            names_checksum: String::new(),
        };
        let pack = write_pack(&self.ledger, rows, footer, &mut self.order).map_err(into_scan)?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(pack);
        self.packs = self.packs.saturating_add(self.writers);
        // By all writers so far, about.
        self.budget.prepare_for((self.rows.len() as u64).saturating_mul(self.packs.into()));
        // What comes next brings its own memory; that of an uncommonly large row group is not kept.
        self.order.limit(self.full());
        self.rows = AccessBatch::default();
        self.begun = Instant::now();
        Ok(())
    }

    /// Bytes of rows that make a pack.
    fn full(&self) -> usize {
        usize::try_from(pack_bytes(self.budget.pack_buffer, self.packs)).unwrap_or(usize::MAX)
    }

    /// Makes room for a full pack as soon as it is clear that there will be one.
    fn make_room(&mut self) {
        let (held, full) = (self.rows.bytes_held(), self.full());
        if self.reserved || held < full / 16 {
            return;
        }
        self.reserved = true;
        let each = (held / self.rows.len().max(1)).max(1);
        // The batch that fills the buffer runs over it.
        self.rows.reserve(full / each + full / each / 8);
    }
}

fn into_scan(error: LedgerError) -> ScanError {
    match error {
        LedgerError::Store(e) => ScanError::Store(e),
        other => ScanError::Internal { what: other.to_string() },
    }
}

impl Sink for PackWriter {
    fn take(&mut self, file: usize, unit: UnitRecord, batch: AccessBatch) -> Result<(), ScanError> {
        let Some((address, pin)) = self.files.get(file).cloned() else {
            return Err(ScanError::Internal { what: format!("file {file} is in no list") });
        };
        let held = self.rows.bytes_held();
        let full = self.full();
        if held > 0 && held + batch.bytes_held() > full + full / 8 {
            self.flush()?;
        }
        self.check_kinds(&address, &batch)?;
        let index = u32::try_from(self.units.len()).unwrap_or(NONE);
        self.units.push(PackUnit { file: address, pin, record: unit });
        if self.rows.is_empty() {
            // The rows of a large row group are a pack of their own, nearly: they need no copy.
            self.rows = batch;
            self.rows.unit.fill(index);
            self.reserved = false;
        } else {
            self.make_room();
            self.rows.append(&batch, index);
        }
        if self.rows.bytes_held() >= self.full()
            || self.units.len() >= FLUSH_UNITS
            || self.begun.elapsed() >= FLUSH_AFTER
        {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ScanError> {
        self.flush()
    }
}

/// Sorts units by file and row group; gives the new number of each.
fn sort_units(units: &mut Vec<PackUnit>) -> Vec<u32> {
    let mut sorted: Vec<(PackUnit, usize)> = std::mem::take(units).into_iter().zip(0..).collect();
    sorted.sort_by(|(a, _), (b, _)| {
        (&a.file, a.record.row_group).cmp(&(&b.file, b.record.row_group))
    });
    let mut numbers = vec![NONE; sorted.len()];
    for ((_, old), new) in sorted.iter().zip(0u32..) {
        if let Some(slot) = numbers.get_mut(*old) {
            *slot = new;
        }
    }
    units.extend(sorted.into_iter().map(|(unit, _)| unit));
    numbers
}

/// How packs are written: keys are noise that no encoding makes smaller; texts are codes.
pub fn properties() -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_size_limit(1 << 20)
        .set_data_page_row_count_limit(usize::MAX)
        .set_write_batch_size(8192)
        .set_created_by("afterscope".into());
    for key in ["subject_hi", "actor_hi"] {
        builder =
            builder.set_column_statistics_enabled(ColumnPath::from(key), EnabledStatistics::Chunk);
    }
    builder.build()
}

/// Writes `rows` as a pack, unless one of the same units is there already.
pub(super) fn write_pack(
    ledger: &Ledger,
    rows: &AccessBatch,
    mut footer: PackFooter,
    order: &mut Order,
) -> Result<Pack, LedgerError> {
    let name = footer.name_from(&[])?;
    footer.name.clone_from(&name);
    if let Some(pack) = ledger.find(&name)? {
        return Ok(pack);
    }
    let person = footer.person;
    let of = (footer.units.len(), rows.app_names.len(), rows.scope_sets.len());
    let call = CallBits::of(of.0, of.1, of.2).ok_or_else(|| LedgerError::Internal {
        what: format!("{of:?} units, apps and scope sets of a pack have no common number"),
    })?;
    footer.call = call;
    order.sort(rows, person, call);
    let schema = pack::to_arrow(rows, person, call, order.none())?.schema();
    let mut encoder = PackEncoder::new(schema, footer)?;
    let mut out = ledger.create(&name);
    for picked in order.chunks(GROUP_ROWS) {
        out.write(encoder.write(&pack::to_arrow(rows, person, call, picked)?)?)?;
    }
    let (footer, tail) = encoder.finish(&PackNames::of(rows))?;
    out.write(tail)?;
    out.finish(footer)
}

/// Writes sorted row groups, each with its checksum, and hands their bytes on at once.
pub struct PackEncoder {
    groups: Encoder,
    footer: PackFooter,
}

impl PackEncoder {
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn new(schema: SchemaRef, footer: PackFooter) -> Result<Self, LedgerError> {
        Ok(Self { groups: Encoder::new(schema, properties())?, footer })
    }

    /// The bytes of one more row group.
    ///
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Bytes, LedgerError> {
        self.groups.write(batch)
    }

    /// The footer, and the bytes that end the pack.
    ///
    /// # Errors
    /// [`LedgerError::Internal`] only.
    pub fn finish(mut self, names: &PackNames) -> Result<(PackFooter, Bytes), LedgerError> {
        let names = serde_json::to_string(names).map_err(|e| internal(&e))?;
        self.footer.names_checksum = checksum(names.as_bytes());
        self.footer.checksums = std::mem::take(&mut self.groups.checksums);
        let footer = serde_json::to_string(&self.footer).map_err(|e| internal(&e))?;
        let bytes = self.groups.finish_sealed([(FOOTER_KEY, footer), (NAMES_KEY, names)])?;
        Ok((self.footer, bytes))
    }
}
