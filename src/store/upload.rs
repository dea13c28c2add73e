//! Objects that are written while they are made.

use std::collections::VecDeque;

use bytes::Bytes;
use object_store::{Error as OsError, MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::{Store, StoreError, StoreErrorKind};

/// Bytes of one part of an object, but for the last: stores want at least 5 MiB.
const PART: usize = 8 << 20;

/// The same of a file in a local folder, where a part is no request and only takes memory.
const LOCAL_PART: usize = 1 << 20;

/// Bytes up to which an object that others may write at the same time is sent in one request: of two uploads in parts
/// of one object, what the one has sent goes in Azure when the other is done.
const SHARED: usize = 256 << 20;

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

/// What an upload may find at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// An older object, which it replaces.
    Older,
    /// The same from another run, which may write it at the same time.
    Same,
    /// Nothing; where it is small, what is there stays.
    Nothing,
}

/// An object in the making: readers see it when it is finished. It is sent in parts while it is made; a small one is
/// sent at the end, in one request. What was written of an object that is not finished is taken away;
/// what a store keeps of it unseen, it tidies away itself.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    path: String,
    over: Over,
    /// Bytes of an object that is sent in one request, and of a part of a larger one.
    small: usize,
    part: usize,
    sending: Option<Sending>,
    /// What was not sent yet.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    size: u64,
}

#[derive(Debug)]
struct Sending {
    parts: Box<dyn MultipartUpload>,
    under_way: JoinSet<Result<(), OsError>>,
}

impl Upload {
    pub(super) fn new(store: Store, path: &str, over: Over) -> Self {
        let (small, part) = match (store.local_root(), over) {
            // Of one that must not replace another the first request decides.
            (_, Over::Nothing) | (None, Over::Older) => (PART, PART),
            (None, Over::Same) => (SHARED, PART),
            (Some(_), _) => (LOCAL_PART, LOCAL_PART),
        };
        let (sending, waiting, path) = (None, VecDeque::new(), path.to_string());
        Self { store, path, over, small, part, sending, waiting, waiting_bytes: 0, size: 0 }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
        // Some is left for the end: the last part is sent by `finish`, whatever its size.
        while self.size > self.small as u64 && self.waiting_bytes > self.part {
            self.send()?;
        }
        Ok(())
    }

    /// The next part of what waits.
    fn next_part(&mut self) -> PutPayload {
        let (mut parts, mut room) = (Vec::new(), self.part);
        while let Some(mut bytes) = self.waiting.pop_front() {
            if bytes.len() > room {
                let rest = bytes.split_off(room);
                self.waiting.push_front(rest);
            }
            room -= bytes.len();
            parts.push(bytes);
            if room == 0 {
                break;
            }
        }
        self.waiting_bytes -= self.part - room;
        PutPayload::from_iter(parts)
    }

    /// Sends the next part, when few enough are under way.
    fn send(&mut self) -> Result<(), StoreError> {
        self.wait_for(PARTS_AT_ONCE - 1)?;
        let part = self.next_part();
        let store = &self.store;
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => {
                let at = store.at(&self.path)?;
                let parts = store.wait(store.inner.put_multipart(&at));
                let parts = parts.map_err(|e| store.error(&self.path, &e))?;
                none.insert(Sending { parts, under_way: JoinSet::new() })
            }
        };
        let sent = sending.parts.put_part(part);
        if store.local_root().is_some() {
            return store.wait(sent).map_err(|e| self.failed(&e));
        }
        sending.under_way.spawn_on(sent, store.io().handle());
        Ok(())
    }

    /// Until at most so many parts are under way.
    fn wait_for(&mut self, parts: usize) -> Result<(), StoreError> {
        let Some(Sending { under_way, .. }) = &mut self.sending else { return Ok(()) };
        let done = self.store.wait(async {
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
        self.store.error(&self.path, error).after_bytes(self.size)
    }

    /// Makes the object visible; gives its size, and whether it is this one that stands, not one that somebody else
    /// has written meanwhile.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(mut self) -> Result<(u64, bool), StoreError> {
        if self.sending.is_none() {
            let parts = std::mem::take(&mut self.waiting).into();
            if self.over == Over::Nothing {
                return Ok((self.size, self.store.create_of(&self.path, parts)?));
            }
            self.store.replace_by(&self.path, parts)?;
            return Ok((self.size, true));
        }
        while self.waiting_bytes > 0 {
            self.send()?;
        }
        self.wait_for(0)?;
        let Some(Sending { parts, .. }) = &mut self.sending else { return Ok((self.size, true)) };
        let completed = self.store.wait(parts.complete());
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
        self.store.wait(async {
            under_way.shutdown().await;
            let _ = parts.abort().await;
        });
    }
}
