//! Objects that are written while they are made.

use bytes::Bytes;
use object_store::{Error as OsError, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::{Store, StoreError, StoreErrorKind};

/// Bytes of one part of an object, but for the last: stores want at least 5 MiB.
const PART: usize = 8 << 20;

/// The same of a file in a local folder, where a part is no request and only takes memory.
const LOCAL_PART: usize = 1 << 20;

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

/// An object in the making: readers see it when it is finished. It is sent in parts while it is made; one of no more
/// than a part is sent at the end, in one request. What was written of an object that is not finished is taken away;
/// what a store keeps of it unseen, it tidies away itself.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    path: String,
    over_another: bool,
    part: usize,
    sending: Option<Sending>,
    /// Of the next part.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    size: u64,
}

#[derive(Debug)]
struct Sending {
    parts: Box<dyn MultipartUpload>,
    under_way: JoinSet<Result<(), OsError>>,
}

impl Upload {
    pub(super) fn new(store: Store, path: &str, over_another: bool) -> Self {
        let part = match store.local_root() {
            // Of an object that must not replace another the first request decides: it is kept to one as far as
            // in other stores.
            Some(_) if over_another => LOCAL_PART,
            _ => PART,
        };
        let (sending, waiting) = (None, Vec::new());
        let path = path.to_string();
        Self { store, path, over_another, part, sending, waiting, waiting_bytes: 0, size: 0 }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.waiting_bytes == self.part {
                self.wait_for(PARTS_AT_ONCE - 1)?;
                self.send()?;
            }
            let room = self.part - self.waiting_bytes;
            let taken = bytes.split_to(room.min(bytes.len()));
            self.waiting_bytes += taken.len();
            self.waiting.push(taken);
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let io = self.store.io();
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => {
                let at = self.store.at(&self.path)?;
                let parts = io.wait(self.store.inner.put_multipart(&at));
                let parts = parts.map_err(|e| self.store.error(&self.path, &e))?;
                none.insert(Sending { parts, under_way: JoinSet::new() })
            }
        };
        let part = PutPayload::from_iter(self.waiting.drain(..));
        self.waiting_bytes = 0;
        let sent = sending.parts.put_part(part);
        sending.under_way.spawn_on(sent, io.handle());
        Ok(())
    }

    /// Until at most so many parts are under way.
    fn wait_for(&mut self, parts: usize) -> Result<(), StoreError> {
        let Some(Sending { under_way, .. }) = &mut self.sending else { return Ok(()) };
        let done = self.store.io().wait(async {
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
        self.store.error(&self.path, error).of_bytes(self.size)
    }

    /// Makes the object visible; gives its size, and whether it is this one that stands, not one that somebody else
    /// has written meanwhile.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(mut self) -> Result<(u64, bool), StoreError> {
        if self.sending.is_none() {
            let parts = std::mem::take(&mut self.waiting);
            if self.over_another {
                self.store.replace_by(&self.path, parts)?;
                return Ok((self.size, true));
            }
            return Ok((self.size, self.store.create_of(&self.path, parts)?));
        }
        if !self.waiting.is_empty() {
            self.send()?;
        }
        self.wait_for(0)?;
        let Some(Sending { parts, .. }) = &mut self.sending else { return Ok((self.size, true)) };
        let completed = self.store.io().wait(parts.complete());
        completed.map_err(|e| {
            let mut failure = self.failed(&e);
            // Where the answer to the last step is lost, the step that is sent again finds no upload.
            if failure.kind == StoreErrorKind::NotFound {
                failure.kind = StoreErrorKind::Transient;
            }
            failure
        })?;
        self.sending = None;
        Ok((self.size, true))
    }
}

impl Drop for Upload {
    /// Gives up what was not finished.
    fn drop(&mut self) {
        let Some(Sending { mut parts, mut under_way }) = self.sending.take() else { return };
        self.store.io().wait(async {
            under_way.shutdown().await;
            let _ = parts.abort().await;
        });
    }
}
