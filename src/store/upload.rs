//! Objects that are written in parts.

use bytes::Bytes;
use object_store::WriteMultipart;

use super::{Io, StoreError, StoreErrorKind};

/// Bytes of one part of an upload: stores want at least 5 MiB.
const PART: usize = 8 << 20;

/// Parts under way at once.
const PARTS_AT_ONCE: usize = 2;

/// An object in the making.
#[derive(Debug)]
pub struct Upload {
    parts: WriteMultipart,
    size: u64,
    shown: String,
    io: Io,
}

impl Upload {
    pub(super) fn new(
        parts: Box<dyn object_store::MultipartUpload>,
        shown: String,
        io: Io,
    ) -> Self {
        Self { parts: WriteMultipart::new_with_chunk_size(parts, PART), size: 0, shown, io }
    }

    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        let parts = &mut self.parts;
        let written = self.io.wait(async {
            parts.wait_for_capacity(PARTS_AT_ONCE).await?;
            parts.put(bytes);
            Ok(())
        });
        written.map_err(|e| StoreError::from_os(&e, self.shown.clone()))
    }

    /// Makes the object visible; gives its size.
    ///
    /// # Errors
    /// Storage failures.
    pub fn finish(self) -> Result<u64, StoreError> {
        let Self { parts, size, shown, io } = self;
        io.wait(parts.finish()).map_err(|e| {
            let mut failure = StoreError::from_os(&e, shown);
            // Where the answer to the last step is lost, the step that is sent again finds no upload.
            if failure.kind == StoreErrorKind::NotFound {
                failure.kind = StoreErrorKind::Transient;
            }
            failure
        })?;
        Ok(size)
    }

    /// Gives the object up. What was sent may stay behind unseen until the store tidies it away.
    pub fn abort(self) {
        let _ = self.io.wait(self.parts.abort());
    }
}
