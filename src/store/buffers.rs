//! Buffers for reads that are used again.
//!
//! Column chunks are megabytes. A new buffer for each would be cleared before it is filled, and its
//! memory faulted in page by page: for a log in the page cache that costs more than the copy itself, and of what
//! a run from a service takes it is an eighth.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, TryStreamExt};

/// Buffers that nobody uses at the moment.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Free>>);

#[derive(Debug, Default)]
struct Free {
    /// Smallest first.
    buffers: Vec<Vec<u8>>,
    /// Bytes that may lie unused.
    limit: usize,
}

impl Buffers {
    /// The `length` bytes from `offset` on. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read, or ends before.
    pub fn read(&self, file: &File, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let mut lent = Lent { bytes: self.take(length), length, home: self.clone() };
        file.read_exact_at(lent.bytes.get_mut(..length).unwrap_or_default(), offset)?;
        Ok(Bytes::from_owner(lent))
    }

    /// What a service sends, at most `length` bytes; `None` where it sends more.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn fill<E>(
        &self,
        length: usize,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Option<Bytes>, E> {
        let mut lent = Lent { bytes: self.take(length), length: 0, home: self.clone() };
        let mut stream = std::pin::pin!(stream);
        while let Some(part) = stream.try_next().await? {
            let end = lent.length + part.len();
            let Some(room) = lent.bytes.get_mut(lent.length..end).filter(|_| end <= length) else {
                return Ok(None);
            };
            room.copy_from_slice(&part);
            lent.length = end;
        }
        Ok(Some(Bytes::from_owner(lent)))
    }

    /// Sets how many bytes may lie unused; none until then. Those beyond are given back, the largest first.
    pub fn keep(&self, bytes: u64) {
        let mut free = self.lock();
        free.limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        while free.buffers.iter().map(Vec::len).sum::<usize>() > free.limit {
            free.buffers.pop();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, length: usize) -> Vec<u8> {
        let mut free = self.lock();
        let first = free.buffers.partition_point(|buffer| buffer.len() < length);
        match free.buffers.get(first) {
            // One that is much too large waits for a larger read.
            Some(buffer) if buffer.len() / 4 <= length => free.buffers.remove(first),
            _ => {
                drop(free);
                // Room for chunks that are a little larger: those of one column differ in size.
                vec![0; length + length / 8]
            }
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut free = self.lock();
        let held: usize = free.buffers.iter().map(Vec::len).sum();
        if held + buffer.len() <= free.limit {
            let at = free.buffers.partition_point(|other| other.len() < buffer.len());
            free.buffers.insert(at, buffer);
        }
    }
}

/// A buffer in use; it goes home when the last who reads it is done.
struct Lent {
    bytes: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_used_again_shows_the_new_bytes_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), (0..=255).collect::<Vec<u8>>()).unwrap();
        let open = File::open(file.path()).unwrap();
        let buffers = Buffers::default();
        buffers.keep(1 << 20);
        let first = buffers.read(&open, 0, 100).unwrap();
        assert_eq!(first.as_ref(), (0..100).collect::<Vec<u8>>());
        drop(first);
        let second = buffers.read(&open, 200, 50).unwrap();
        assert_eq!(second.as_ref(), (200..250).collect::<Vec<u8>>());
        let at_once = buffers.read(&open, 10, 50).unwrap();
        assert_eq!((second[0], at_once[0]), (200, 10));
        assert!(buffers.read(&open, 200, 57).is_err());
        drop((second, at_once));
        let unused = || buffers.lock().buffers.iter().map(Vec::len).collect::<Vec<_>>();
        // Each with an eighth more than was asked for: 50, 57 and 100 bytes.
        assert_eq!(unused(), [56, 64, 112]);
        buffers.keep(130);
        assert_eq!(unused(), [56, 64], "the largest goes first");
        buffers.keep(0);
        assert!(unused().is_empty());
    }

    #[tokio::test]
    async fn what_a_service_sends_fills_a_buffer_and_no_more() {
        let buffers = Buffers::default();
        buffers.keep(1 << 20);
        let sent = |parts: &[&'static str]| {
            let parts: Vec<_> = parts.iter().map(|part| Ok::<_, ()>(Bytes::from(*part))).collect();
            futures::stream::iter(parts)
        };
        let first = buffers.fill(6, sent(&["abc", "", "def"])).await.unwrap().unwrap();
        assert_eq!(first.as_ref(), b"abcdef");
        drop(first);
        // The buffer holds six bytes of old, and room for more than is asked for.
        let short = buffers.fill(6, sent(&["xy"])).await.unwrap().unwrap();
        assert_eq!(short.as_ref(), b"xy");
        assert_eq!(buffers.fill(6, sent(&["abcd", "efg"])).await, Ok(None));
        let broken = futures::stream::iter([Ok(Bytes::from("abc")), Err(7)]);
        assert_eq!(buffers.fill(6, broken).await, Err(7));
    }
}
