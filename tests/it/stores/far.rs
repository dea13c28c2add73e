//! A store in which every answer takes its time: what matters is how many requests wait at once.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterscope::config::{Overrides, load};
use afterscope::memory::Budget;
use afterscope::scan::{
    AccessBatch, Asked, AskedScope, Progress, ScanContext, ScanError, ScanJob, Sink, UnitRecord,
    scan,
};
use afterscope::snapshot::SnapshotFile;
use afterscope::store::{Io, Store};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::lake::{Lake, call};

/// So long nothing more is asked before the answers come.
const QUIET: Duration = Duration::from_millis(150);

/// Answers all that wait at once, when nothing more is asked.
#[derive(Debug)]
struct Far {
    inner: InMemory,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    asked: u64,
    rounds: u64,
    last: Instant,
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("far")
    }
}

impl Far {
    fn new() -> Self {
        let waiting = Waiting { asked: 0, rounds: 0, last: Instant::now() };
        Self { inner: InMemory::new(), waiting: Mutex::new(waiting) }
    }

    async fn round(&self) {
        let own = {
            let mut waiting = self.waiting.lock().unwrap();
            waiting.asked += 1;
            waiting.last = Instant::now();
            waiting.rounds
        };
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut waiting = self.waiting.lock().unwrap();
            if waiting.rounds > own {
                return;
            }
            if waiting.last.elapsed() >= QUIET {
                waiting.rounds += 1;
                return;
            }
        }
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.round().await;
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

/// Counts kept rows.
#[derive(Default)]
struct Kept(u64);

impl Sink for Kept {
    fn take(
        &mut self,
        _: usize,
        unit: UnitRecord,
        _: AccessBatch,
    ) -> std::result::Result<(), ScanError> {
        self.0 += unit.kept;
        Ok(())
    }

    fn finish(&mut self) -> std::result::Result<(), ScanError> {
        Ok(())
    }
}

/// Reads so many small files within a memory limit; gives rows kept, requests, and how often was waited.
fn read(files: i64, limit: u64) -> (u64, u64, u64) {
    let lake = Lake::empty();
    let far = Arc::new(Far::new());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for number in 0..files {
        let calls = [call("2019-07-01T08:00:00Z", "app-1", number)];
        let bytes = std::fs::read(lake.log(&format!("logs/{number}.parquet"), &calls)).unwrap();
        let at = Path::from(format!("{number}.parquet"));
        runtime.block_on(far.inner.put(&at, bytes.into())).unwrap();
    }
    let overrides = Overrides { as_of: "2019-09-01".into(), ..Default::default() };
    let plan = load(&lake.path("afterscope.toml"), &overrides).unwrap();
    let store = Store::of(far.clone(), "far://", &Io::new(runtime.handle().clone()));
    let asked = AskedScope { name: "read_members".into(), first_day: 0 };
    let context = ScanContext {
        source: "access".into(),
        mapping: plan.sources[0].mapping.clone(),
        partition_time: None,
        table: None,
        asked: Asked::new(vec![asked]),
        keyer: plan.keyer.clone(),
        endpoints: None,
        pruning: true,
        all_days: false,
        survey: false,
    };
    let listed = store.list("").unwrap().into_iter();
    let files = listed.map(|file| SnapshotFile::new(file.path, file.pin)).collect();
    let job = ScanJob { context: Arc::new(context), store, files };
    let mut sinks = [Kept::default(), Kept::default()];
    let budget = Budget::new(limit, sinks.len()).unwrap();
    scan(&job, &mut sinks, &budget, false, &Arc::new(Progress::default())).unwrap();
    let waiting = far.waiting.lock().unwrap();
    (sinks.iter().map(|kept| kept.0).sum(), waiting.asked, waiting.rounds)
}

#[test]
fn the_answers_of_many_small_files_are_waited_for_together() {
    // A small file is asked for once, and all 60 before the first answer comes. A busy machine may ask some of
    // them later.
    let (rows, requests, rounds) = read(60, 1_000_000_000);
    assert_eq!((rows, requests), (60, 60));
    assert!((1..=4).contains(&rounds), "{rounds} rounds");
}

#[test]
fn a_small_memory_limit_opens_few_files_at_once() {
    // 16 files at most: four rounds.
    let (rows, requests, rounds) = read(60, 150_000_000);
    assert_eq!((rows, requests), (60, 60));
    assert!(rounds >= 4, "{rounds} rounds");
}
