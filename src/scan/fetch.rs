//! What a step needs from storage, and how it is read.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::file::OpenFile;
use super::pages::{FewRows, Places};
use super::step::Step;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::threads::guarded;

/// Bytes wanted from one file, and what to do with them.
pub(super) struct Fetch {
    pub file: Arc<OpenFile>,
    pub ranges: Vec<Range<u64>>,
    pub step: Step,
    /// Rows of which alone the pages are wanted, where they can be found on the way.
    few: Option<FewRows>,
    /// The pages of columns that were not read whole.
    pub places: Places,
}

impl Fetch {
    pub fn new(file: Arc<OpenFile>, ranges: Vec<Range<u64>>, step: Step) -> Self {
        Self { file, ranges, step, few: None, places: Places::new() }
    }

    /// The same, but that `ranges` are more than is wanted.
    pub fn of_few(self, few: Option<FewRows>) -> Self {
        Self { few, ..self }
    }

    /// Reads what is wanted, in the background, and hands it to `arrived`.
    pub fn start(
        mut self,
        store: &Store,
        arrived: impl FnOnce(Self, Result<Vec<Bytes>, StoreError>) + Send + 'static,
    ) {
        let (store, handle) = (store.clone(), store.io().handle().clone());
        if store.local_root().is_none() {
            handle.spawn(async move {
                let result = self.read(&store).await;
                arrived(self, result);
            });
            return;
        }
        // One change of threads for each read, not three: of small files there are thousands.
        let again = handle.clone();
        handle.spawn_blocking(move || {
            let shown = self.file.shown.clone();
            if let Some(result) = without_panic(&shown, || self.read_near(&store)).transpose() {
                return arrived(self, result);
            }
            // Not on this thread: while it waited for others of its kind, they could wait for it.
            again.spawn(async move {
                let result = self.read(&store).await;
                arrived(self, result);
            });
        });
    }

    /// What is wanted, by the store's library.
    async fn read(&self, store: &Store) -> Result<Vec<Bytes>, StoreError> {
        store.read_ranges(&self.file.path, &self.file.pin, &self.ranges).await
    }

    /// What is wanted, from a folder; `None` where the library is to be asked. Blocks.
    fn read_near(&mut self, store: &Store) -> Result<Option<Vec<Bytes>>, StoreError> {
        let (path, pin) = (&self.file.path, &self.file.pin);
        let Some(few) = self.few.take() else {
            return store.wait_for_near(path, pin, &self.ranges);
        };
        let seek = move |file: &File| few.seek(|into, at| file.read_at(into, at));
        let found = store.wait_for_sought(path, pin, seek)?;
        Ok(found.map(|found| {
            (self.ranges, self.places) = (found.ranges, found.learnt);
            found.bytes
        }))
    }

    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// Whether it is the last of its row group.
    pub fn is_last(&self) -> bool {
        self.step.rank() + 1 == Step::RANKS
    }
}

/// What `read` gives. Whoever waits for it would wait for ever if a panic ended the thread.
fn without_panic<T>(
    shown: &str,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    guarded(read).unwrap_or_else(|what| {
        let reason = format!("reading it stopped at something impossible ({what})");
        Err(StoreError::new(StoreErrorKind::Transient, shown.to_string(), reason))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::snapshot::SnapshotFile;
    use crate::store::{Io, StoreUrl};

    /// What arrives of a file of which `then` makes another after it was listed.
    fn arrives(then: impl FnOnce(&std::path::Path)) -> Result<Vec<Bytes>, StoreError> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (folder, io) = (tempfile::tempdir().unwrap(), Io::new(runtime.handle().clone()));
        let path = folder.path().join("rows");
        std::fs::write(&path, b"0123456789").unwrap();
        let url = StoreUrl::parse("./", folder.path(), &Default::default()).unwrap();
        let store = url.open(&io).unwrap();
        let pin = store.head("rows").unwrap().unwrap();
        let file = Arc::new(OpenFile::new(0, &SnapshotFile::new("rows".into(), pin), &store));
        then(&path);
        let (send, receive) = channel();
        Fetch::new(file, vec![0..2, 7..10], Step::Open)
            .start(&store, move |_, result| send.send(result).unwrap());
        receive.recv().unwrap()
    }

    #[test]
    fn a_local_file_is_read_here() {
        assert_eq!(arrives(|_| {}).unwrap(), [&b"01"[..], b"789"]);
    }

    #[test]
    fn a_local_file_that_changed_or_is_gone_is_told_as_such() {
        let error = arrives(|path| std::fs::write(path, b"01234").unwrap()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Changed, "{error}");
        let error = arrives(|path| std::fs::remove_file(path).unwrap()).unwrap_err();
        assert!(error.to_string().contains("gone since it was listed"), "{error}");
    }

    #[test]
    fn a_panic_is_an_error_that_names_the_file() {
        let read = || -> Result<(), StoreError> { panic!("no such place") };
        let error = without_panic("logs/rows", read).unwrap_err().to_string();
        assert!(error.contains("logs/rows") && error.contains("no such place"), "{error}");
    }
}
