//! The files of a run, written as they are made: large tables are never held as bytes. Readers look for the manifest,
//! which comes last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::manifest::Output;
use super::merkle::{Part, RowTree};
use super::{PublishError, Publisher};
use crate::impact::{Table, TableFile, Take};
use crate::key::hex;
use crate::store::{Store, StoreError, Upload};

/// A file that is sent and hashed while it is made; readers see it when it is finished.
pub struct NewFile {
    upload: Upload,
    hash: Sha256,
}

impl NewFile {
    pub fn of(upload: Upload) -> Self {
        Self { upload, hash: Sha256::new() }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.hash.update(&bytes);
        self.upload.write(bytes)
    }

    /// Makes the file visible; gives its size and its SHA-256.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(self) -> Result<(u64, String), StoreError> {
        let (bytes, _) = self.upload.finish()?;
        Ok((bytes, hex(&self.hash.finalize())))
    }
}

/// Threads that write files of tables, at most: each takes some memory, and those that a service is sent wait in memory
/// until they are finished.
const AT_ONCE: usize = 4;
const SENT_AT_ONCE: usize = 2;

/// A table that is to be written, with its place among all, as Parquet or as CSV.
type Job = (usize, Arc<Table>, Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Parquet,
    Csv,
}

/// A table whose files are written.
pub struct Filed {
    pub table: Arc<Table>,
    /// Its Parquet file.
    pub parquet: Bytes,
}

/// A file of a table that nobody sees yet.
struct Written {
    file: NewFile,
    path: String,
    rows: u64,
    /// The whole file, of Parquet.
    bytes: Option<Bytes>,
    /// The tree over its rows, of CSV.
    part: Option<Part>,
}

/// A file that readers see.
struct Finished {
    output: Output,
    bytes: Option<Bytes>,
    part: Option<Part>,
}

impl Written {
    fn finish(self) -> Result<Finished, StoreError> {
        let Self { file, path, rows, bytes: whole, part } = self;
        let (bytes, sha256) = file.finish()?;
        Ok(Finished { output: Output { path, bytes, rows, sha256 }, bytes: whole, part })
    }
}

/// By place of the table and form.
type Files<T> = BTreeMap<(usize, Form), T>;

/// What the threads that write have in common.
struct Writing {
    jobs: Mutex<Receiver<Job>>,
    /// Whether a file is finished as soon as it is written, and not when all are.
    at_once: bool,
    /// Nothing more is written: a file could not be, or a table not be made.
    is_over: AtomicBool,
}

/// What one of them has done.
#[derive(Default)]
struct Done {
    finished: Files<Finished>,
    unseen: Files<Written>,
    failed: Option<((usize, Form), PublishError)>,
}

/// What was written of a run.
pub struct RunFiles {
    store: Store,
    run_id: String,
    pub outputs: Vec<Output>,
    /// Of each table's CSV file, the tree over its rows.
    pub(super) parts: Vec<Part>,
}

impl RunFiles {
    pub(super) fn new(store: Store, run_id: &str) -> Self {
        Self { store, run_id: run_id.to_string(), outputs: Vec::new(), parts: Vec::new() }
    }

    fn begin(&self, path: &str) -> NewFile {
        let path = format!("{}/{path}", Publisher::run_path(&self.run_id));
        // Of two runs at once with the same id, each writes all of its files.
        NewFile::of(self.store.share_in_parts(&path))
    }

    /// Writes the tables that `make` hands on, as Parquet and as CSV. In a folder that begins while more are made, where
    /// there are threads for it, and the files are seen when all of them are written. A service is sent them when all are
    /// made, each at once, because those that are not finished wait in memory there. A table that cannot be made leaves
    /// none of the others behind. Gives the tables in their order, and what `make` gives.
    ///
    /// # Errors
    /// Those of `make`; storage failures and values that cannot be written, of which the first by table is told.
    pub fn tables<T, E: From<PublishError>>(
        &mut self,
        threads: usize,
        make: impl FnOnce(&Take<'_>) -> Result<T, E>,
    ) -> Result<(Vec<Filed>, T), E> {
        let is_near = self.store.local_root().is_some();
        let threads = threads.min(if is_near { AT_ONCE } else { SENT_AT_ONCE });
        let begins = threads > 1 && is_near;
        let (jobs, waiting) = channel::<Job>();
        let writing = Writing {
            jobs: Mutex::new(waiting),
            at_once: !is_near,
            is_over: AtomicBool::new(false),
        };
        let tables = Mutex::new(BTreeMap::new());
        // It is waited for as long as there are jobs.
        let begin = |jobs: &Sender<Job>, at: usize, table: &Arc<Table>| {
            for form in [Form::Csv, Form::Parquet] {
                let _ = jobs.send((at, table.clone(), form));
            }
        };
        let (made, done) = std::thread::scope(|scope| {
            let others = (1..threads).map(|_| scope.spawn(|| self.write_all(&writing)));
            let others: Vec<_> = others.collect();
            let made = make(&|at, table| {
                let table = Arc::new(table);
                if begins {
                    begin(&jobs, at, &table);
                }
                locked(&tables).insert(at, table);
            });
            if made.is_err() {
                writing.is_over.store(true, Ordering::Relaxed);
            } else if !begins {
                locked(&tables).iter().for_each(|(at, table)| begin(&jobs, *at, table));
            }
            drop(jobs);
            let own = self.write_all(&writing);
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            (made, std::iter::once(own).chain(others).collect::<Vec<_>>())
        });
        let made = made?;
        let (mut finished, mut unseen, mut failed) = (Files::new(), Files::new(), Files::new());
        for done in done {
            finished.extend(done.finished);
            unseen.extend(done.unseen);
            failed.extend(done.failed);
        }
        if let Some((_, error)) = failed.pop_first() {
            return Err(error.into());
        }
        for (place, file) in unseen {
            finished.insert(place, file.finish().map_err(PublishError::from)?);
        }
        let tables = tables.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut tables = tables.into_values();
        let mut filed = Vec::new();
        for Finished { output, bytes, part } in finished.into_values() {
            self.outputs.push(output);
            self.parts.extend(part);
            filed.extend(bytes.and_then(|parquet| Some(Filed { table: tables.next()?, parquet })));
        }
        Ok((filed, made))
    }

    /// Writes files until there are no more jobs, or it is over.
    fn write_all(&self, writing: &Writing) -> Done {
        let mut done = Done::default();
        loop {
            let job = locked(&writing.jobs).recv();
            let Ok((at, table, form)) = job else { return done };
            if writing.is_over.load(Ordering::Relaxed) {
                continue;
            }
            let file = match form {
                Form::Parquet => self.parquet(&table),
                Form::Csv => self.csv(&table),
            };
            let place = (at, form);
            let put = file.and_then(|file| {
                if writing.at_once {
                    done.finished.insert(place, file.finish()?);
                } else {
                    done.unseen.insert(place, file);
                }
                Ok(())
            });
            if let Err(error) = put {
                writing.is_over.store(true, Ordering::Relaxed);
                done.failed = Some((place, error));
            }
        }
    }

    fn parquet(&self, table: &Table) -> Result<Written, PublishError> {
        let made = table.parquet()?;
        let path = made.path();
        let mut file = self.begin(&path);
        file.write(made.bytes.clone())?;
        Ok(Written { file, path, rows: made.rows as u64, bytes: Some(made.bytes), part: None })
    }

    fn csv(&self, table: &Table) -> Result<Written, PublishError> {
        let path = format!("tables/{}.csv", table.name);
        let (mut file, mut tree) = (self.begin(&path), RowTree::default());
        table.csv_blocks(true, |block| {
            tree.take(&block);
            Ok::<(), PublishError>(file.write(block.bytes.into())?)
        })?;
        let (part, rows) = (Some(tree.part(&path)), table.batch.num_rows() as u64);
        Ok(Written { file, path, rows, bytes: None, part })
    }

    /// Writes a file that is made already: a report.
    ///
    /// # Errors
    /// Storage failures.
    pub fn add(&mut self, made: &TableFile) -> Result<(), PublishError> {
        let path = made.path();
        let mut file = self.begin(&path);
        file.write(made.bytes.clone())?;
        let (bytes, sha256) = file.finish()?;
        self.outputs.push(Output { path, bytes, rows: made.rows as u64, sha256 });
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::impact::ImpactError;
    use crate::store::{Io, StoreUrl};

    fn table(name: &str, rows: i64) -> Table {
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter_with_nullable([("row", rows, true)]).unwrap();
        Table { name: name.into(), batch }
    }

    /// What is written of tables that come in another order than they have, and which files are seen after it. There
    /// are folders in the place of some.
    fn write_beside(
        threads: usize,
        fails: bool,
        folders: &[&str],
    ) -> (Result<Vec<String>, PublishError>, RunFiles, usize) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (folder, io) = (tempfile::tempdir().unwrap(), Io::new(runtime.handle().clone()));
        let url = StoreUrl::parse("out/", folder.path(), &Default::default()).unwrap();
        let store = url.open_or_create(&io).unwrap();
        for name in folders {
            std::fs::create_dir_all(folder.path().join("out/runs/run/tables").join(name)).unwrap();
        }
        let mut files = RunFiles::new(store.clone(), "run");
        let written = files.tables(threads, |take| {
            take(1, table("one", 300_000));
            take(2, table("two", 0));
            // So long that what is there already can be written.
            std::thread::sleep(std::time::Duration::from_millis(50));
            if fails {
                let reason = "as it should".into();
                return Err(ImpactError::Output { table: "zero".into(), reason }.into());
            }
            take(0, table("zero", 3));
            Ok(())
        });
        let names = written.map(|(written, ())| {
            let rows = |parquet| Table::read_back("t", parquet).unwrap().batch;
            let same = |f: &Filed| rows(f.parquet.clone()) == f.table.batch;
            assert!(written.iter().all(same));
            written.into_iter().map(|filed| filed.table.name.clone()).collect()
        });
        let seen = store.list("").unwrap().len();
        // Not even under other names; but for what the library cannot give the name of a folder.
        if folders.is_empty() {
            assert_eq!(walk(&folder.path().join("out")), seen);
        }
        (names, files, seen)
    }

    fn write(threads: usize, fails: bool) -> (Result<Vec<String>, PublishError>, RunFiles, usize) {
        write_beside(threads, fails, &[])
    }

    fn walk(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| if e.path().is_dir() { walk(&e.path()) } else { 1 }).sum()
    }

    #[test]
    fn files_are_the_same_on_any_number_of_threads() {
        let (names, one, seen) = write(1, false);
        assert_eq!((names.unwrap(), seen), (vec!["zero".into(), "one".into(), "two".into()], 6));
        let paths: Vec<&str> = one.outputs.iter().map(|output| output.path.as_str()).collect();
        let both =
            ["zero", "one", "two"].map(|t| ["parquet", "csv"].map(|f| format!("tables/{t}.{f}")));
        assert_eq!(paths, both.concat());
        for threads in [2, 3, 9] {
            let (names, other, seen) = write(threads, false);
            assert_eq!((names.unwrap().len(), seen), (3, 6));
            assert_eq!(other.outputs, one.outputs);
            assert_eq!(other.parts, one.parts);
        }
    }

    #[test]
    fn a_table_that_cannot_be_made_leaves_no_file_of_the_others_behind() {
        for threads in [1, 2, 9] {
            let (names, files, seen) = write(threads, true);
            let error = names.unwrap_err().to_string();
            assert!(error.contains("as it should"), "{error}");
            assert_eq!((files.outputs.len(), files.parts.len(), seen), (0, 0, 0));
        }
    }

    #[test]
    fn of_files_that_cannot_be_written_the_first_is_told_whoever_meets_it() {
        for threads in [1, 2, 9] {
            for (folders, first) in [
                (&["one.csv", "two.parquet"][..], "one.csv"),
                (&["two.csv", "zero.csv", "one.parquet"], "zero.csv"),
            ] {
                let (names, files, _) = write_beside(threads, false, folders);
                let error = names.unwrap_err().to_string();
                assert!(error.contains(first), "{error}");
                assert!(files.outputs.is_empty());
            }
        }
    }
}
