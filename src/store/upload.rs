//! Objects that are written in parts.

use bytes::Bytes;
use object_store::{Error as OsError, MultipartUpload, PutPayload};
use tokio::task::JoinSet;

use super::{Io, StoreError, StoreErrorKind};

/// Bytes of one part of an upload, but for the last: stores want at least 5 MiB.
const PART: usize = 8 << 20;

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

/// An object in the making. Whatever fails, what was written of it is taken away before that is told.
#[derive(Debug)]
pub struct Upload {
    parts: Box<dyn MultipartUpload>,
    under_way: JoinSet<Result<(), OsError>>,
    /// Of the next part.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    size: u64,
    shown: String,
    io: Io,
}

impl Upload {
    pub(super) fn new(parts: Box<dyn MultipartUpload>, shown: String, io: Io) -> Self {
        let under_way = JoinSet::new();
        Self { parts, under_way, waiting: Vec::new(), waiting_bytes: 0, size: 0, shown, io }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PART - self.waiting_bytes;
            let taken = bytes.split_to(room.min(bytes.len()));
            self.waiting_bytes += taken.len();
            self.waiting.push(taken);
            if self.waiting_bytes == PART {
                self.wait_for(PARTS_AT_ONCE - 1)?;
                self.send();
            }
        }
        Ok(())
    }

    fn send(&mut self) {
        let part = PutPayload::from_iter(self.waiting.drain(..));
        self.waiting_bytes = 0;
        let sent = self.parts.put_part(part);
        self.under_way.spawn_on(sent, self.io.handle());
    }

    /// Until at most so many parts are under way.
    fn wait_for(&mut self, parts: usize) -> Result<(), StoreError> {
        let Self { under_way, io, .. } = self;
        let done = io.wait(async {
            while under_way.len() > parts {
                match under_way.join_next().await {
                    Some(Ok(sent)) => sent?,
                    Some(Err(error)) => return Err(error.into()),
                    None => break,
                }
            }
            Ok(())
        });
        done.map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &OsError) -> StoreError {
        StoreError::from_os(error, self.shown.clone()).of_bytes(self.size)
    }

    /// Makes the object visible; gives its size.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        let finished = self.complete();
        if finished.is_err() {
            self.abort();
        }
        finished
    }

    fn complete(&mut self) -> Result<u64, StoreError> {
        if !self.waiting.is_empty() {
            self.send();
        }
        self.wait_for(0)?;
        let completed = self.io.wait(self.parts.complete());
        completed.map_err(|e| {
            let mut failure = self.failed(&e);
            // Where the answer to the last step is lost, the step that is sent again finds no upload.
            if failure.kind == StoreErrorKind::NotFound {
                failure.kind = StoreErrorKind::Transient;
            }
            failure
        })?;
        Ok(self.size)
    }

    /// Gives the object up. What was sent may stay behind unseen until the store tidies it away.
    pub fn abort(mut self) {
        let Self { parts, under_way, io, .. } = &mut self;
        io.wait(async {
            under_way.shutdown().await;
            let _ = parts.abort().await;
        });
    }
}
