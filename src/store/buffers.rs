//! Buffers for local reads that are used again.
//!
//! Column chunks are megabytes. A new buffer for each would be cleared before it is filled, and its
//! memory faulted in page by page: for a log in the page cache that costs more than the copy itself.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

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

    /// Sets how many bytes may lie unused; none until then.
    pub fn keep(&self, bytes: u64) {
        self.lock().limit = usize::try_from(bytes).unwrap_or(usize::MAX);
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
    }
}
