//! Stages of a run, each beside the way that a library gives for the same work:
//!
//! | stage | the library's way |
//! |---|---|
//! | scan: wanted rows of a file, mapped | Parquet's Arrow reader with a row filter, and loops over its arrays |
//! | ledger: rows sorted by person and written | Arrow's `lexsort_to_indices`, `take` and `ArrowWriter` |
//! | merge: packs read back in order of people | Arrow's reader, `concat_batches`, `lexsort_to_indices` and `take` |
//! | rollup: every measure of every grain and day | Polars' `group_by` with exact distinct counts, in memory |
//! | csv: a finished table as CSV | the csv crate, field by field |
//!
//! One thread each, on two million rows in four files, of which 2 % (needle) or 60 % (flood) carry a restricted
//! scope. Run by `make bench-stages`; items a second are rows of the log for scan, rows of the table for csv, else
//! matching rows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex};

use afterscope::config::{self, Overrides, RunPlan};
use afterscope::effort::Effort;
use afterscope::exposure::{self, Exposure, Grain, Rules, Settings, SourceRows, Window};
use afterscope::impact::{Table, csv_cell};
use afterscope::key::mix;
use afterscope::ledger::{
    Input, Ledger, Lineage, Merge, Names, OpenPack, PackWriter, WriterSettings,
};
use afterscope::memory::Budget;
use afterscope::moment::{Moment, day_to_date};
use afterscope::registry::{self, Registry};
use afterscope::scan::batch::Outcome;
use afterscope::scan::{
    AccessBatch, Asked, AskedScope, Progress, ScanContext, ScanError, ScanJob, Sink, UnitRecord,
    scan,
};
use afterscope::snapshot::{self, Gone, Origin, Snapshot};
use afterscope::store::Io;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, DictionaryArray, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_arrays};
use arrow::datatypes::{Date32Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use polars::prelude::{Column, DataFrame, Expr, IntoLazy, LazyFrame, NamedFrom, Series, col, len};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const FILES: u64 = 4;
const FILE_ROWS: u64 = 500_000;
const DAY: i64 = 86_400_000_000;
/// 2019-07-01T00:00:00Z, when every scope was restricted.
const RESTRICTED: i64 = 1_561_939_200_000_000;
const SCOPES: u64 = 8;
const AS_OF: &str = "2019-11-06T00:00:00Z";

/// Rows with a restricted scope in a thousand.
const LAKES: [u64; 2] = [20, 600];

fn main() {
    divan::main();
}

/// A lake on disk, and all that stages hand on about it.
struct Lake {
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    files: Vec<PathBuf>,
    plan: RunPlan,
    registry: Registry,
    snapshot: Snapshot,
    context: Arc<ScanContext>,
    budget: Budget,
    ledger: Ledger,
    /// Matching rows of each file.
    batches: Vec<(UnitRecord, AccessBatch)>,
    packs: Vec<Arc<OpenPack>>,
}

static NEEDLE: LazyLock<Lake> = LazyLock::new(|| Lake::make(LAKES[0]));
static FLOOD: LazyLock<Lake> = LazyLock::new(|| Lake::make(LAKES[1]));

fn lake(share: u64) -> &'static Lake {
    if share == LAKES[0] { &NEEDLE } else { &FLOOD }
}

/// A number below `below` that is the same each time, crowded at the lower end.
fn drawn(row: u64, what: u64, below: u64) -> u64 {
    let unit = (mix(row ^ mix(what)) >> 11) as f64 / (1u64 << 53) as f64;
    (unit * unit * below as f64) as u64
}

fn log(file: u64, share: u64) -> RecordBatch {
    let rows = file * FILE_ROWS..(file + 1) * FILE_ROWS;
    let texts = |name: &str, of: &dyn Fn(u64) -> u64| -> ArrayRef {
        let values: Vec<String> =
            rows.clone().map(|row| format!("{name}-{:04}", of(row))).collect();
        Arc::new(values.iter().map(|v| Some(v.as_str())).collect::<DictionaryArray<Int32Type>>())
    };
    let is_restricted = |row: u64| mix(row) % 1000 < share;
    let scope = |row: u64| {
        if is_restricted(row) { drawn(row, 1, SCOPES) } else { 100 + drawn(row, 1, 40) }
    };
    let app = |row: u64| drawn(row, 2, if is_restricted(row) { 240 } else { 4_000 });
    let times = rows.clone().map(|row| {
        RESTRICTED
            + i64::try_from(file).unwrap() * DAY
            + i64::try_from(row % FILE_ROWS).unwrap() * 172_000
    });
    let id =
        |row: u64, what: u64, below: u64| i64::try_from(drawn(row, what, below) * 7_919).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "event_time",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        ("app_id", texts("app", &app)),
        (
            "user_id",
            Arc::new(Int64Array::from_iter_values(rows.clone().map(|r| id(r, 3, 5_000_000)))),
        ),
        (
            "group_id",
            Arc::new(Int64Array::from_iter(
                rows.clone().map(|r| (!mix(r ^ 4).is_multiple_of(10)).then(|| id(r, 5, 200_000))),
            )),
        ),
        ("scope", texts("scope", &scope)),
        (
            "status",
            Arc::new(Int16Array::from_iter_values(
                rows.clone().map(|r| if mix(r ^ 6).is_multiple_of(3) { 403 } else { 200 }),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

impl Lake {
    fn make(share: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> =
            (0..FILES).map(|i| folder.path().join(format!("logs/part-{i}.parquet"))).collect();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        for (path, number) in files.iter().zip(0..) {
            let batch = log(number, share);
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let file = File::create(path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
        let scopes: String =
            (0..SCOPES).map(|i| format!("scope-{i:04},2019-07-01T00:00:00Z,name\n")).collect();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("scopes.csv", &format!("scope,deprecated_at,data_fields\n{scopes}"));
        write("apps.csv", "app_id,app_name,developer_id,developer_name\n");
        write("afterscope.toml", include_str!("afterscope.toml"));

        let overrides = Overrides { as_of: AS_OF.into(), threads: Some(1), ..Default::default() };
        let plan = config::load(&folder.path().join("afterscope.toml"), &overrides).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let io = Io::new(runtime.handle().clone());
        let budget = Budget::new(4 << 30, 1).unwrap();
        io.keep_buffers(budget.prefetch);
        let registry = registry::load(&plan.registry, plan.as_of, &io, plan.memory_limit).unwrap();
        let source = &plan.sources[0];
        let snapshot =
            snapshot::take(&Origin::of(source, budget.deletes, Gone::Refuse), &io).unwrap();
        let scopes = registry.scopes.iter().map(|(name, scope)| AskedScope {
            name: name.clone(),
            first_day: scope.restricted_at.day(),
        });
        let context = ScanContext {
            source: source.name.clone(),
            mapping: source.mapping.clone(),
            partition_time: None,
            table: None,
            asked: Asked::new(scopes.collect()),
            keyer: plan.keyer.clone(),
            endpoints: None,
            pruning: true,
            all_days: false,
            survey: false,
        };
        let ledger = Ledger::open(plan.state.open_or_create(&io).unwrap()).unwrap();
        let mut lake = Self {
            _runtime: runtime,
            _folder: folder,
            files,
            plan,
            registry,
            snapshot,
            context: Arc::new(context),
            budget,
            ledger,
            batches: Vec::new(),
            packs: Vec::new(),
        };
        let mut kept = Kept::default();
        lake.scan(&mut kept);
        lake.batches = kept.0;
        lake.packs = lake.write_packs();
        lake
    }

    fn scan(&self, sink: &mut Kept) {
        let job = ScanJob {
            context: self.context.clone(),
            store: self.snapshot.store.clone(),
            files: self.snapshot.files.clone(),
        };
        let progress = Arc::new(Progress::default());
        scan(&job, std::slice::from_mut(sink), &self.budget, false, &progress).unwrap();
    }

    fn matching(&self) -> usize {
        self.batches.iter().map(|(_, batch)| batch.len()).sum()
    }

    /// One pack for each file.
    fn write_packs(&self) -> Vec<Arc<OpenPack>> {
        let settings = WriterSettings {
            ledger: self.ledger.clone(),
            lineage: Lineage::new("bench", "", String::new()),
            asked: self.context.asked.clone(),
            person_namespace: "person".into(),
            group_namespace: "group".into(),
            event_namespace: "event".into(),
            budget: self.budget,
        };
        let written = Arc::new(Mutex::new(Vec::new()));
        let shown = |path: &str| self.snapshot.store.shown(path);
        for ((unit, batch), file) in self.batches.iter().zip(0..) {
            let mut writers = PackWriter::many(&settings, &self.snapshot.files, shown, 1, &written);
            writers[0].take(file, unit.clone(), batch.clone()).unwrap();
            writers[0].finish().unwrap();
        }
        let packs = std::mem::take(&mut *written.lock().unwrap());
        packs
            .into_iter()
            .map(|pack| Arc::new(OpenPack::open(&self.ledger, pack, vec![0]).unwrap()))
            .collect()
    }

    fn forget_packs(&self) {
        for pack in self.ledger.packs().unwrap() {
            self.ledger.remove(&pack.name).unwrap();
        }
    }

    fn rows(&self) -> SourceRows {
        SourceRows {
            name: String::new(),
            packs: self.packs.clone(),
            asked: Arc::new(self.context.asked.clone()),
            units: vec![None],
            person_space: 0,
            group_space: 0,
            event_space: 0,
        }
    }
}

/// What a scan hands on.
#[derive(Default)]
struct Kept(Vec<(UnitRecord, AccessBatch)>);

impl Sink for Kept {
    fn take(&mut self, _: usize, unit: UnitRecord, batch: AccessBatch) -> Result<(), ScanError> {
        self.0.push((unit, batch));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ScanError> {
        Ok(())
    }
}

#[divan::bench_group(sample_count = 20)]
mod scanning {
    use super::*;

    #[divan::bench(args = LAKES)]
    fn ours(bencher: Bencher, share: u64) {
        let lake = lake(share);
        bencher.counter(ItemsCount::new(FILES * FILE_ROWS)).bench(|| {
            let mut kept = Kept::default();
            lake.scan(&mut kept);
            kept.0.iter().map(|(_, batch)| batch.len()).sum::<usize>()
        });
    }

    #[divan::bench(args = LAKES)]
    fn arrow(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let read = || {
            let mapped: Vec<Mapped> = lake.files.iter().map(filtered).collect();
            mapped.iter().map(|rows| rows.micros.len()).sum::<usize>()
        };
        assert_eq!(read(), lake.matching());
        bencher.counter(ItemsCount::new(FILES * FILE_ROWS)).bench(read);
    }

    /// What of an [`AccessBatch`] this log fills.
    #[derive(Default)]
    struct Mapped {
        micros: Vec<i64>,
        users: Vec<u64>,
        groups: Vec<u64>,
        in_group: Vec<bool>,
        outcomes: Vec<Outcome>,
        apps: Texts,
        scopes: Texts,
    }

    /// Codes of texts that files have in common.
    #[derive(Default)]
    struct Texts {
        known: HashMap<String, u32>,
        codes: Vec<u32>,
        /// Those of the dictionary at hand, which batches of a row group share.
        of: Option<(ArrayRef, Vec<u32>)>,
    }

    impl Texts {
        fn take(&mut self, array: &ArrayRef) {
            let array = array.as_dictionary::<Int32Type>();
            if !self.of.as_ref().is_some_and(|(values, _)| Arc::ptr_eq(values, array.values())) {
                let code = |text: Option<&str>| {
                    let next = self.known.len() as u32;
                    *self.known.entry(text.unwrap().to_string()).or_insert(next)
                };
                let codes = array.values().as_string::<i32>().iter().map(code).collect();
                self.of = Some((array.values().clone(), codes));
            }
            let (_, codes) = self.of.as_ref().unwrap();
            self.codes.extend(array.keys().values().iter().map(|key| codes[*key as usize]));
        }
    }

    impl Mapped {
        fn take(&mut self, batch: &RecordBatch) {
            let ints = |name: &str| batch[name].as_primitive::<Int64Type>();
            let times = batch["event_time"].as_primitive::<TimestampMicrosecondType>();
            self.micros.extend(times.values());
            self.users.extend(ints("user_id").values().iter().map(|id| *id as u64));
            self.groups.extend(ints("group_id").iter().map(|id| id.unwrap_or_default() as u64));
            self.in_group.extend(ints("group_id").iter().map(|id| id.is_some()));
            let outcome = |status: &i16| match status {
                200 => Outcome::Allowed,
                403 => Outcome::Denied,
                _ => Outcome::Unknown,
            };
            let statuses = batch["status"].as_primitive::<Int16Type>().values();
            self.outcomes.extend(statuses.iter().map(outcome));
            self.apps.take(&batch["app_id"]);
            self.scopes.take(&batch["scope"]);
        }
    }

    fn filtered(path: &PathBuf) -> Mapped {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let schema = builder.parquet_schema();
        let all = ProjectionMask::all();
        let scope = ProjectionMask::columns(schema, ["scope"]);
        let is_restricted = ArrowPredicateFn::new(scope, |batch: RecordBatch| {
            let scopes =
                batch.column(0).as_any().downcast_ref::<DictionaryArray<Int32Type>>().unwrap();
            let names = scopes.values().as_any().downcast_ref::<StringArray>().unwrap();
            let wanted: Vec<bool> =
                names.iter().map(|n| n.is_some_and(|n| n < "scope-0100")).collect();
            let keys: &Int32Array = scopes.keys();
            Ok(BooleanArray::from_iter(keys.iter().map(|k| k.map(|k| wanted[k as usize]))))
        });
        let reader = builder
            .with_projection(all)
            .with_batch_size(8192)
            .with_row_filter(RowFilter::new(vec![Box::new(is_restricted)]))
            .build()
            .unwrap();
        let mut mapped = Mapped::default();
        reader.for_each(|batch| mapped.take(&batch.unwrap()));
        mapped
    }
}

#[divan::bench_group(sample_count = 20)]
mod ledger {
    use super::*;

    #[divan::bench(args = LAKES)]
    fn ours(bencher: Bencher, share: u64) {
        let lake = lake(share);
        bencher
            .counter(ItemsCount::new(lake.matching()))
            .with_inputs(|| lake.forget_packs())
            .bench_local_values(|()| lake.write_packs().len());
    }

    #[divan::bench(args = LAKES)]
    fn arrow(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let folder = tempfile::tempdir().unwrap();
        let batches: Vec<RecordBatch> =
            lake.batches.iter().map(|(_, batch)| columns(batch)).collect();
        bencher.counter(ItemsCount::new(lake.matching())).bench(|| {
            for (batch, number) in batches.iter().zip(0..) {
                let sorted = by_person(batch);
                let file = File::create(folder.path().join(format!("{number}.parquet"))).unwrap();
                let plain = WriterProperties::builder().set_dictionary_enabled(false).build();
                let mut writer = ArrowWriter::try_new(file, sorted.schema(), Some(plain)).unwrap();
                writer.write(&sorted).unwrap();
                writer.close().unwrap();
            }
        });
    }

    /// The columns of a pack.
    fn columns(rows: &AccessBatch) -> RecordBatch {
        let group = (0..rows.len()).map(|row| rows.group.get(row).map(|key| key.hi));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("subject_hi", Arc::new(UInt64Array::from(rows.subject.hi.clone()))),
            ("micros", Arc::new(Int64Array::from(rows.micros.clone()))),
            ("app", Arc::new(UInt32Array::from(rows.app.clone()))),
            ("scopes", Arc::new(UInt32Array::from(rows.scopes.clone()))),
            (
                "outcome",
                Arc::new(rows.outcome.iter().map(|o| Some(*o as i32)).collect::<Int32Array>()),
            ),
            ("group_hi", Arc::new(UInt64Array::from_iter(group))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }
}

/// Sorted by person.
fn by_person(batch: &RecordBatch) -> RecordBatch {
    let person = batch.column_by_name("subject_hi").unwrap().clone();
    let order = lexsort_to_indices(&[SortColumn { values: person, options: None }], None).unwrap();
    RecordBatch::try_new(batch.schema(), take_arrays(batch.columns(), &order, None).unwrap())
        .unwrap()
}

#[divan::bench_group(sample_count = 20)]
mod merge {
    use super::*;

    #[divan::bench(args = LAKES)]
    fn ours(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let input = [Input { source: 0, group_space: 0, packs: lake.packs.clone() }];
        let asked = [Arc::new(lake.context.asked.clone())];
        let merged = || {
            let mut merge =
                Merge::new(&input, &asked, &(0..=u64::MAX), 4096, Names::default()).unwrap();
            let mut rows = 0;
            while let Some(block) = merge.next_block().unwrap() {
                rows += block
                    .rows()
                    .map(|row| usize::from(black_box(row.person()).is_some()))
                    .sum::<usize>();
            }
            rows
        };
        assert_eq!(merged(), lake.matching());
        bencher.counter(ItemsCount::new(lake.matching())).bench(merged);
    }

    #[divan::bench(args = LAKES)]
    fn arrow(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let folder = lake._folder.path();
        let mut paths = Vec::new();
        find(folder, &mut paths);
        assert_eq!(paths.len(), lake.packs.len());
        let merged = || {
            let batches: Vec<RecordBatch> = paths
                .iter()
                .flat_map(|path| {
                    let file = File::open(path).unwrap();
                    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
                    reader.with_batch_size(8192).build().unwrap().map(Result::unwrap)
                })
                .collect();
            let all = concat_batches(&batches[0].schema(), &batches).unwrap();
            black_box(by_person(&all)).num_rows()
        };
        assert_eq!(merged(), lake.matching());
        bencher.counter(ItemsCount::new(lake.matching())).bench(merged);
    }

    /// Packs: Parquet files outside of the logs.
    fn find(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("logs") {
                find(&path, found);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.push(path);
            }
        }
    }
}

#[divan::bench_group(sample_count = 10)]
mod rollup {
    use super::*;

    /// With grains by developer, windows, first accesses and listed groups, which the library's way has not.
    #[divan::bench(args = LAKES)]
    fn ours(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let sources = [lake.rows()];
        bencher
            .counter(ItemsCount::new(lake.matching()))
            .bench(|| counted(lake, &sources).cells.len());
    }

    fn counted(lake: &Lake, sources: &[SourceRows]) -> Exposure {
        let (effort, stop) = (Effort::default(), AtomicBool::new(false));
        let settings = Settings {
            rules: Rules::new(&lake.registry, lake.plan.as_of, lake.plan.lookback_days),
            keyer: &lake.plan.keyer,
            group_kinds: vec![lake.batches[0].1.group.kind],
            groups_limit: lake.plan.groups_limit,
            people: None,
            budget: lake.budget,
            threads: 1,
            temp: lake._folder.path(),
            stop: &stop,
            effort: &effort,
        };
        exposure::count(sources, &settings).unwrap()
    }

    /// Polars takes as many threads as it is given: POLARS_MAX_THREADS=1.
    #[divan::bench(args = LAKES)]
    fn polars(bencher: Bencher, share: u64) {
        let lake = lake(share);
        let frame = frame(lake);
        let all = answers(frame.clone(), &[]);
        let exposure = counted(lake, &[lake.rows()]);
        let cell = exposure.cells.iter().find(|cell| cell.key.grain == Grain::All).unwrap();
        let figures = cell.windows.get(Window::AfterRestriction);
        let people = all.column("people").unwrap().get(0).unwrap().try_extract::<u64>().unwrap();
        assert_eq!(people, figures.subjects);
        bencher.counter(ItemsCount::new(lake.matching())).bench(|| {
            let grains: [&[&str]; 6] = [
                &["app", "scope"],
                &["scope"],
                &["app"],
                &[],
                &["app", "scope", "day"],
                &["scope", "day"],
            ];
            grains.iter().map(|grain| answers(frame.clone(), grain).height()).sum::<usize>()
        });
    }

    fn answers(frame: LazyFrame, grain: &[&str]) -> DataFrame {
        let figures: [Expr; 5] = [
            len().alias("requests"),
            col("person").n_unique().alias("people"),
            col("group").n_unique().alias("groups"),
            col("micros").min().alias("first"),
            col("micros").max().alias("last"),
        ];
        if grain.is_empty() {
            return frame.select(figures).collect().unwrap();
        }
        let keys: Vec<Expr> = grain.iter().map(|name| col(*name)).collect();
        frame.group_by(keys).agg(figures).collect().unwrap()
    }

    /// Allowed events; people by the upper half of their keys, which is the whole of an integer's.
    fn frame(lake: &Lake) -> LazyFrame {
        let (mut person, mut group, mut app, mut scope, mut micros) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (_, batch) in &lake.batches {
            for row in (0..batch.len()).filter(|row| batch.outcome[*row] == Outcome::Allowed) {
                person.push(batch.subject.hi[row]);
                group.push(batch.group.get(row).map(|key| key.hi));
                app.push(
                    batch.app_names.name(batch.app[row]).unwrap()[4..].parse::<u32>().unwrap(),
                );
                let set = batch.scope_sets.get(batch.scopes[row]).unwrap();
                scope.push(set.scopes[0][6..].parse::<u32>().unwrap());
                micros.push(batch.micros[row]);
            }
        }
        let day: Vec<i64> = micros.iter().map(|m| m / DAY).collect();
        let columns: Vec<Column> = vec![
            Series::new("person".into(), person).into(),
            Series::new("group".into(), group).into(),
            Series::new("app".into(), app).into(),
            Series::new("scope".into(), scope).into(),
            Series::new("day".into(), day).into(),
            Series::new("micros".into(), micros).into(),
        ];
        DataFrame::new_infer_height(columns).unwrap().lazy()
    }
}

#[divan::bench_group(sample_count = 20)]
mod csv_records {
    use super::*;

    const ROWS: u64 = 100_000;

    #[divan::bench(args = ["days", "groups"])]
    fn ours(bencher: Bencher, name: &str) {
        let table = table(name);
        bencher.counter(ItemsCount::new(ROWS)).bench(|| table.csv().unwrap().len());
    }

    #[divan::bench(args = ["days", "groups"])]
    fn csv_crate(bencher: Bencher, name: &str) {
        let table = table(name);
        assert_eq!(by_fields(&table.batch), table.csv().unwrap());
        bencher.counter(ItemsCount::new(ROWS)).bench(|| by_fields(&table.batch).len());
    }

    /// As `daily_timeline`, an app's days below each other, or `groups_exposed`, one row for each id.
    fn table(name: &str) -> Table {
        let rows = || 0..ROWS;
        let texts = |of: &dyn Fn(u64) -> String| -> ArrayRef {
            Arc::new(rows().map(|row| Some(of(row))).collect::<StringArray>())
        };
        let ints = |what: u64| -> ArrayRef {
            let value = |row| i64::try_from(drawn(row, what, 10_000)).unwrap();
            Arc::new(Int64Array::from_iter_values(rows().map(value)))
        };
        let scope = texts(&|row| format!("scope_of_group_{}", row / (ROWS / SCOPES)));
        let columns: Vec<(&str, ArrayRef)> = if name == "days" {
            let day = |row| i32::try_from(18_000 + row % 128).unwrap();
            vec![
                ("grain", texts(&|_| "scope_app".into())),
                ("scope", scope),
                ("app_id", texts(&|row| format!("app-{:04}", row / 128))),
                ("app_name", texts(&|row| format!("App, no. {}", row / 128))),
                ("day", Arc::new(Date32Array::from_iter_values(rows().map(day)))),
                ("requests", ints(1)),
                ("subjects", ints(2)),
                ("new", ints(3)),
            ]
        } else {
            let time = |row| RESTRICTED + i64::try_from(drawn(row, 4, 100)).unwrap() * DAY + 12_345;
            let times = || TimestampMicrosecondArray::from_iter_values(rows().map(time));
            vec![
                ("grain", texts(&|_| "scope_group".into())),
                ("scope", scope),
                ("group_id", texts(&|row| (100_000_000_000 + row * 7_919).to_string())),
                ("apps", ints(1)),
                ("first", Arc::new(times().with_timezone("UTC"))),
                ("last", Arc::new(times().with_timezone("UTC"))),
            ]
        };
        Table { name: name.into(), batch: RecordBatch::try_from_iter(columns).unwrap() }
    }

    fn by_fields(batch: &RecordBatch) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let schema = batch.schema();
        writer.write_record(schema.fields().iter().map(|field| field.name())).unwrap();
        let (mut digits, mut shown) = (itoa::Buffer::new(), String::new());
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                if let Some(texts) = column.as_string_opt::<i32>() {
                    writer.write_field(csv_cell(texts.value(row)).as_bytes()).unwrap();
                } else if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
                    writer.write_field(digits.format(ints.value(row))).unwrap();
                } else if let Some(days) = column.as_primitive_opt::<Date32Type>() {
                    writer.write_field(day_to_date(days.value(row).into())).unwrap();
                } else {
                    let times = column.as_primitive::<TimestampMicrosecondType>();
                    shown.clear();
                    Moment::from_micros(times.value(row)).write_rfc3339_micros(&mut shown);
                    writer.write_field(&shown).unwrap();
                }
            }
            writer.write_record(None::<&[u8]>).unwrap();
        }
        writer.into_inner().unwrap()
    }
}
