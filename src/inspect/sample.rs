//! A bounded part of what lies at an address: some files, and the first rows of each.

use std::ops::ControlFlow;

use arrow::record_batch::RecordBatch;

use super::seen::partitions;
use super::{Inspected, PartitionSeen};
use crate::error::Error;
use crate::scan::Progress;
use crate::snapshot::Snapshot;

/// What is listed at an address, whatever of it is opened.
#[derive(Clone, Debug)]
pub struct Listed {
    pub files: u64,
    pub bytes: u64,
    pub hidden_files_passed_over: u64,
    pub partitions: Vec<PartitionSeen>,
}

impl Listed {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            files: snapshot.files.len() as u64,
            bytes: snapshot.files.iter().map(|file| file.pin.size).sum(),
            hidden_files_passed_over: snapshot.ignored,
            partitions: partitions(&snapshot.files),
        }
    }
}

/// What a sample was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub rows: u64,
    /// Files that rows were taken of.
    pub files: u64,
    /// Rows of the opened files, without the deleted.
    pub rows_of_opened: u64,
}

/// So many of all, the first and the last among them.
pub(super) fn evenly<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    if count <= most {
        return all;
    }
    let gaps = most.saturating_sub(1).max(1);
    let chosen: Vec<usize> = (0..most).map(|turn| turn * (count - 1) / gaps).collect();
    let kept = all.into_iter().enumerate().filter(|(at, _)| chosen.binary_search(at).is_ok());
    kept.map(|(_, one)| one).collect()
}

/// Files that rows are taken of, where not all are, and the bytes of their first row groups together: a row group is
/// fetched whole, whatever is taken of it.
const FILES: usize = 8;
const BYTES: u64 = 256 << 20;

/// Which of the opened files rows are taken of: all where they have no more than `most`; else some, evenly chosen.
fn chosen(files: &[Opened], most: u64) -> Vec<usize> {
    let all = || (0..files.len()).collect::<Vec<usize>>();
    let sum = |of: fn(&Opened) -> u64| files.iter().map(of).fold(0, u64::saturating_add);
    if sum(|file| file.rows) <= most && sum(|file| file.bytes) <= BYTES {
        return all();
    }
    let mut count = FILES;
    loop {
        let some = evenly(all(), count);
        let bytes = some.iter().filter_map(|at| files.get(*at)).map(|file| file.bytes);
        if count == 1 || bytes.fold(0, u64::saturating_add) <= BYTES {
            return some;
        }
        count /= 2;
    }
}

/// A file, as far as it matters for a sample.
struct Opened {
    /// Without the deleted.
    rows: u64,
    /// Of its first row group with rows.
    bytes: u64,
}

/// How many rows are taken of files that have so many: `most` in all, as evenly as they go.
fn shares(rows: &[u64], most: u64) -> Vec<u64> {
    let mut by_size: Vec<(usize, u64)> = rows.iter().copied().enumerate().collect();
    by_size.sort_by_key(|(_, rows)| *rows);
    let (mut left, mut files) = (most, rows.len() as u64);
    let mut shares = vec![0; rows.len()];
    for (at, rows) in by_size {
        let share = rows.min(left.div_ceil(files.max(1)));
        if let Some(own) = shares.get_mut(at) {
            *own = share;
        }
        left -= share.min(left);
        files -= 1;
    }
    shares
}

impl Inspected {
    /// Hands on rows of opened files with the columns of the table: the first of each file, at most `most` in all,
    /// files in the order of their paths. Where nothing bounds them, all rows of all opened files.
    ///
    /// # Errors
    /// Files that changed or are damaged, values that are none of the table's type, and what `take` says;
    /// interruption.
    pub fn sample(
        &self,
        most: Option<u64>,
        progress: &Progress,
        mut take: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<Taken, Error> {
        let opened = self
            .seen
            .iter()
            .map(|of| Opened { rows: of.rows.saturating_sub(of.deleted), bytes: of.first_group });
        let opened: Vec<Opened> = opened.collect();
        let rows_of_opened = opened.iter().map(|of| of.rows).sum();
        let mut taken = Taken { rows: 0, files: 0, rows_of_opened };
        let chosen = match most {
            None => (0..opened.len()).collect(),
            Some(most) => chosen(&opened, most),
        };
        let live: Vec<u64> =
            chosen.iter().filter_map(|at| opened.get(*at)).map(|of| of.rows).collect();
        let shares = shares(&live, most.unwrap_or(u64::MAX));
        for (at, share) in chosen.into_iter().zip(shares) {
            let Some(of) = self.snapshot.files.get(at) else { continue };
            if share == 0 {
                continue;
            }
            taken.rows += self.first_rows(of, share, progress, |rows| {
                take(rows)?;
                Ok(ControlFlow::Continue(()))
            })?;
            taken.files += 1;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_among_the_chosen() {
        assert_eq!(evenly((0..10).collect(), 4), [0, 3, 6, 9]);
        assert_eq!(evenly((0..3).collect(), 4), [0, 1, 2]);
        assert_eq!(evenly((0..9).collect(), 1), [0]);
    }

    #[test]
    fn a_large_lake_is_not_fetched_whole() {
        let files = |count, rows, bytes| -> Vec<Opened> {
            (0..count).map(|_| Opened { rows, bytes }).collect()
        };
        assert_eq!(chosen(&files(3, 10, 1_000), 30), [0, 1, 2]);
        assert_eq!(chosen(&files(15, 10, 1_000), 30), [0, 2, 4, 6, 8, 10, 12, 14]);
        // Few rows, and yet much to fetch.
        assert_eq!(chosen(&files(15, 1, 100 << 20), 30), [0, 14]);
        assert_eq!(chosen(&files(2, 1, 300 << 20), 30), [0]);
        assert_eq!(chosen(&[], 30), [0_usize; 0]);
    }

    #[test]
    fn what_a_small_file_lacks_is_taken_of_larger_ones() {
        assert_eq!(shares(&[90, 1], 100), [90, 1]);
        assert_eq!(shares(&[90, 1], 11), [10, 1]);
        assert_eq!(shares(&[5, 5, 5], 4), [2, 1, 1]);
        assert_eq!(shares(&[5, 0], u64::MAX), [5, 0]);
        assert_eq!(shares(&[], 7), [0; 0]);
    }
}
