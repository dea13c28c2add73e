//! Rows of files, with the columns of the table.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;

use super::{Inspected, RowFormat, RowWriter, Watched, for_good};
use crate::error::Error;
use crate::scan::{Progress, ScanError, WholeFile};
use crate::snapshot::SnapshotFile;

impl Inspected {
    /// Hands on the first rows of a file, at most `most`, until `take` breaks; gives their number.
    ///
    /// # Errors
    /// Files that changed or are damaged, values that are none of the table's type, and what `take` says;
    /// interruption.
    pub(super) fn first_rows(
        &self,
        of: &SnapshotFile,
        most: u64,
        progress: &Progress,
        mut take: impl FnMut(&RecordBatch) -> Result<ControlFlow<()>, Error>,
    ) -> Result<u64, Error> {
        let file = WholeFile::open(&self.snapshot.store, of, self.snapshot.schema())
            .map_err(|error| for_good(error.into()))?
            .within(self.memory_limit);
        let mut left = most;
        // All batches of a file have the same fields.
        let mut positions: Option<Vec<Option<usize>>> = None;
        for group in 0..file.parquet().num_row_groups() {
            if progress.stop.load(Ordering::Relaxed) {
                return Err(ScanError::Interrupted.into());
            }
            let done = file.read::<Error>(group, |rows| {
                let positions = match &positions {
                    Some(known) => known,
                    None => {
                        let found = self.shape.positions(rows.schema_ref().fields());
                        let file = || file.shown().to_string();
                        positions.insert(
                            found.map_err(|what| ScanError::Unsupported { file: file(), what })?,
                        )
                    }
                };
                let rows = self.shape.conform(&rows, positions, &of.partitions);
                let rows = rows.map_err(|reason| ScanError::Damaged {
                    file: file.shown().to_string(),
                    reason,
                })?;
                let some = usize::try_from(left).unwrap_or(usize::MAX).min(rows.num_rows());
                let next = take(&rows.slice(0, some))?;
                left -= some as u64;
                Ok(if left == 0 { ControlFlow::Break(()) } else { next })
            });
            if done.map_err(for_good)?.is_break() {
                break;
            }
        }
        Ok(most - left)
    }

    /// Writes rows, at most `limit`, to a place that messages call `shown`: files in the order of their paths,
    /// rows in theirs. Gives their number.
    ///
    /// # Errors
    /// Files that changed or are damaged, values that are none of the table's type, and failures of the
    /// place; interruption.
    pub fn rows<W: Write + Send>(
        &self,
        limit: Option<u64>,
        format: RowFormat,
        (shown, out): (&str, W),
        progress: &Progress,
        is_gone: impl Fn() -> bool,
    ) -> Result<(u64, W), Error> {
        let (out, told) = Watched::new(out);
        let failed = |reason: String| told.error(shown, reason);
        let mut writer = RowWriter::new(format, &self.shape.schema, out).map_err(failed)?;
        let most = limit.unwrap_or(u64::MAX);
        let mut written = 0;
        for of in &self.snapshot.files {
            if written == most || is_gone() {
                break;
            }
            written += self.first_rows(of, most - written, progress, |rows| {
                writer.write(rows).map_err(failed)?;
                Ok(if is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        Ok((written, writer.finish().map_err(failed)?.into_inner()))
    }
}
