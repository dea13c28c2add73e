//! Sorting more records than memory holds.
//!
//! Records are byte strings compared as such. Each belongs to a partition (the top bits of its key),
//! so that partitions can be merged on several threads. When the buffer is full, it is sorted and
//! written to a temporary file, partition after partition; merging reads all runs of one partition.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ExposureError;

/// Collects records on one thread.
pub struct Sorter {
    folder: Arc<Path>,
    budget: usize,
    partition_bits: u32,
    arena: Vec<u8>,
    /// First 8 bytes of each record, and where it begins in the arena.
    index: Vec<(u64, u32)>,
    runs: Vec<Run>,
}

/// A sorted run: in memory or in a file.
struct Run {
    place: Place,
    /// For each partition its bytes in the run.
    partitions: Vec<Range<u64>>,
}

enum Place {
    Memory(Vec<u8>),
    File(PathBuf),
}

/// Everything that was sorted, by all threads.
pub struct Sorted {
    runs: Vec<Run>,
    pub partitions: usize,
}

impl Sorter {
    pub fn new(folder: Arc<Path>, budget: u64, partition_bits: u32) -> Self {
        Self {
            folder,
            budget: usize::try_from(budget).unwrap_or(usize::MAX).min(1 << 31),
            partition_bits,
            arena: Vec::new(),
            index: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds a record; its first 8 bytes are an evenly spread big-endian number.
    ///
    /// # Errors
    /// Where the temporary folder cannot take a full buffer.
    pub fn push(&mut self, record: &[u8]) -> Result<(), ExposureError> {
        let held = self.arena.len() + record.len() + LONG + (self.index.len() + 1) * 16;
        if held > self.budget && !self.index.is_empty() {
            self.spill()?;
        }
        let prefix = record.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
        let at = u32::try_from(self.arena.len()).unwrap_or(u32::MAX);
        frame(record, |part| {
            self.arena.extend_from_slice(part);
            Ok(())
        })
        .map_err(|error| ExposureError::Spill { folder: "memory".into(), error })?;
        self.index.push((prefix, at));
        Ok(())
    }

    fn record(arena: &[u8], at: u32) -> &[u8] {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        unframe(arena.get(at..).unwrap_or_default()).map_or(&[], |(record, _)| record)
    }

    /// Sorts the buffer and hands its records, framed, to `out`; gives each partition's bytes.
    fn drain(
        &mut self,
        mut out: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<Vec<Range<u64>>> {
        let arena = std::mem::take(&mut self.arena);
        let mut index = std::mem::take(&mut self.index);
        index.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| Self::record(&arena, a.1).cmp(Self::record(&arena, b.1)))
        });
        let count = 1usize << self.partition_bits;
        let mut partitions = Vec::with_capacity(count);
        let (mut from, mut at) = (0, 0u64);
        for (prefix, record) in &index {
            let partition = partition_of(*prefix, self.partition_bits);
            while partitions.len() < partition {
                partitions.push(from..at);
                from = at;
            }
            let record = Self::record(&arena, *record);
            at += frame(record, &mut out)?;
        }
        while partitions.len() < count {
            partitions.push(from..at);
            from = at;
        }
        // The buffers are used again.
        self.arena = arena;
        self.arena.clear();
        index.clear();
        self.index = index;
        Ok(partitions)
    }

    fn spill(&mut self) -> Result<(), ExposureError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = self.folder.join(format!("{}.run", NEXT.fetch_add(1, Ordering::Relaxed)));
        let failed = |error| ExposureError::Spill { folder: path.display().to_string(), error };
        let file = File::create_new(&path).map_err(failed)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        let partitions = self.drain(|bytes| writer.write_all(bytes)).map_err(failed)?;
        writer.flush().map_err(failed)?;
        self.runs.push(Run { place: Place::File(path), partitions });
        Ok(())
    }

    /// Ends the collection.
    ///
    /// # Errors
    /// Never in practice: the last run stays in memory.
    pub fn finish(mut self, all: &mut Sorted) -> Result<(), ExposureError> {
        let mut bytes = Vec::with_capacity(self.arena.len());
        let partitions = self
            .drain(|part| {
                bytes.extend_from_slice(part);
                Ok(())
            })
            .map_err(|error| ExposureError::Spill { folder: "memory".into(), error })?;
        all.runs.append(&mut self.runs);
        all.runs.push(Run { place: Place::Memory(bytes), partitions });
        Ok(())
    }
}

/// Stands before records that two bytes cannot measure; four bytes of length follow.
const LONG_MARK: u16 = u16::MAX;
/// Bytes before a record at most.
const LONG: usize = 6;

/// Hands on a record with its length before it; gives the bytes of both.
fn frame(
    record: &[u8],
    mut out: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    let before = match u16::try_from(record.len()) {
        Ok(short) if short != LONG_MARK => {
            out(&short.to_be_bytes())?;
            2
        }
        _ => {
            let length = u32::try_from(record.len()).map_err(std::io::Error::other)?;
            out(&LONG_MARK.to_be_bytes())?;
            out(&length.to_be_bytes())?;
            LONG
        }
    };
    out(record)?;
    Ok((before + record.len()) as u64)
}

/// The first record of framed bytes, and the rest.
fn unframe(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (short, rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match u16::from_be_bytes(*short) {
        LONG_MARK => {
            let (long, rest) = rest.split_first_chunk::<4>()?;
            (usize::try_from(u32::from_be_bytes(*long)).ok()?, rest)
        }
        short => (usize::from(short), rest),
    };
    rest.split_at_checked(length)
}

fn partition_of(prefix: u64, bits: u32) -> usize {
    if bits == 0 { 0 } else { usize::try_from(prefix >> (64 - bits)).unwrap_or(0) }
}

impl Sorted {
    pub fn new(partition_bits: u32) -> Self {
        Self { runs: Vec::new(), partitions: 1 << partition_bits }
    }

    /// Gives the records of one partition in order.
    ///
    /// # Errors
    /// Where a temporary file cannot be read, and what `take` returns.
    pub fn each(
        &self,
        partition: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), ExposureError>,
    ) -> Result<(), ExposureError> {
        let mut heads = Vec::new();
        for run in &self.runs {
            let Some(range) = run.partitions.get(partition).filter(|r| !r.is_empty()) else {
                continue;
            };
            let mut head = Head::open(run, range.clone())?;
            if head.next()? {
                heads.push(head);
            }
        }
        while heads.len() > 1 {
            // Few runs are open at once: the least is found by looking at all.
            let Some(least) = (0..heads.len()).min_by(|a, b| {
                heads.get(*a).map(Head::record).cmp(&heads.get(*b).map(Head::record))
            }) else {
                break;
            };
            let Some(head) = heads.get_mut(least) else { break };
            take(head.record())?;
            if !head.next()? {
                heads.swap_remove(least);
            }
        }
        if let Some(head) = heads.first_mut() {
            loop {
                take(head.record())?;
                if !head.next()? {
                    break;
                }
            }
        }
        Ok(())
    }
}

enum Source<'a> {
    Memory(&'a [u8]),
    File(BufReader<std::io::Take<File>>, String),
}

struct Head<'a> {
    source: Source<'a>,
    current: Vec<u8>,
    /// In memory the record is borrowed.
    borrowed: &'a [u8],
}

impl<'a> Head<'a> {
    fn open(run: &'a Run, range: Range<u64>) -> Result<Self, ExposureError> {
        let source = match &run.place {
            Place::Memory(bytes) => {
                let from = usize::try_from(range.start).unwrap_or(usize::MAX);
                let to = usize::try_from(range.end).unwrap_or(usize::MAX);
                Source::Memory(bytes.get(from..to).unwrap_or_default())
            }
            Place::File(path) => {
                let name = path.display().to_string();
                let failed = |error| ExposureError::Spill { folder: name.clone(), error };
                let mut file = File::open(path).map_err(failed)?;
                file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
                let part = file.take(range.end - range.start);
                Source::File(BufReader::with_capacity(64 << 10, part), name)
            }
        };
        Ok(Self { source, current: Vec::new(), borrowed: &[] })
    }

    fn record(&self) -> &[u8] {
        match self.source {
            Source::Memory(_) => self.borrowed,
            Source::File(..) => &self.current,
        }
    }

    fn next(&mut self) -> Result<bool, ExposureError> {
        match &mut self.source {
            Source::Memory(rest) => {
                let Some((record, tail)) = unframe(rest) else { return Ok(false) };
                self.borrowed = record;
                *rest = tail;
                Ok(true)
            }
            Source::File(reader, name) => {
                let failed = |error| ExposureError::Spill { folder: name.clone(), error };
                let mut short = [0; 2];
                match reader.read_exact(&mut short) {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
                    Err(e) => return Err(failed(e)),
                }
                let length = match u16::from_be_bytes(short) {
                    LONG_MARK => {
                        let mut long = [0; 4];
                        reader.read_exact(&mut long).map_err(failed)?;
                        usize::try_from(u32::from_be_bytes(long)).unwrap_or(usize::MAX)
                    }
                    short => usize::from(short),
                };
                self.current.resize(length, 0);
                reader.read_exact(&mut self.current).map_err(failed)?;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_however_often_the_buffer_was_full() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Sorted::new(2);
        let mut expected = Vec::new();
        for (thread, budget) in [(0u64, 300), (1, 1 << 20)] {
            let mut sorter = Sorter::new(folder.path().into(), budget, 2);
            for i in 0..500u64 {
                let mut record = crate::key::mix(i % 97).to_be_bytes().to_vec();
                record.extend_from_slice(&(i * 2 + thread).to_be_bytes());
                if i % 50 == 0 {
                    // Past what two bytes can measure.
                    record.resize(65_520 + usize::try_from(i).unwrap(), 7);
                }
                sorter.push(&record).unwrap();
                expected.push(record);
            }
            sorter.finish(&mut all).unwrap();
        }
        expected.sort();
        let mut found = Vec::new();
        for partition in 0..all.partitions {
            all.each(partition, |r| {
                found.push(r.to_vec());
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(found, expected);
    }
}
