//! Sorting more records than memory holds.
//!
//! Records belong to partitions by the top bits of their key, so that partitions can be merged on
//! several threads. When the buffer is full, it is sorted and written to a temporary file, partition
//! after partition; merging reads all runs of one partition.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Read, Write};
use std::iter::Peekable;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;

use thiserror::Error;

use crate::dealer::Dealer;
use crate::key::Key;

/// Temporary files that cannot be written or read.
#[derive(Debug, Error)]
pub enum SortError {
    #[error(
        "{folder}: temporary files cannot be written or read: {error}\nfree some space, or name another folder with run.temp_dir"
    )]
    Spill { folder: String, error: std::io::Error },

    #[error(
        "{folder}: a temporary file of {bytes} bytes cannot be written: {error}\nfree as much for each of such files, or name another folder with run.temp_dir"
    )]
    Run { folder: String, bytes: u64, error: std::io::Error },

    #[error("a sorted record cannot be read back\nthis is a bug in afterscope; please report it")]
    Record,
}

/// What can be sorted.
pub trait Record: Ord + Clone {
    /// The key's first 64 bits, evenly spread: records are ordered by it before all else.
    fn prefix(&self) -> u64;

    /// Bytes that the record holds beside its own.
    fn held(&self) -> usize {
        0
    }

    /// Brings records into order.
    fn sort(records: &mut Vec<Self>) {
        records.sort_unstable();
    }

    /// Brings records into the order of their partitions, of which there are so many.
    fn place(records: &mut [Self], _partitions: usize, of: impl Fn(&Self) -> usize) {
        records.sort_unstable_by_key(of);
    }

    /// Appends the record's bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// The record that [`Self::encode`] wrote.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Brings records into order whose prefixes are spread evenly, except that many may have one.
pub fn sort_dealt<R: Record + Copy>(records: &mut Vec<R>) {
    let mut dealer = Dealer::default();
    match dealer.sort(records, R::prefix) {
        true => *records = dealer.dealt,
        false => records.sort_unstable(),
    }
}

/// Brings records into the order of their partitions by counting them first.
pub fn place_counted<R: Copy>(records: &mut [R], partitions: usize, of: impl Fn(&R) -> usize) {
    let before = records.to_vec();
    let mut next = vec![0; partitions];
    for record in &before {
        if let Some(next) = next.get_mut(of(record)) {
            *next += 1;
        }
    }
    let mut from = 0;
    for next in &mut next {
        from += std::mem::replace(next, from);
    }
    for record in before {
        let Some(next) = next.get_mut(of(&record)) else { continue };
        if let Some(place) = records.get_mut(*next) {
            *place = record;
            *next += 1;
        }
    }
}

/// Appends a key. The lower half of an integer's key is 0 or 1: one byte tells how much of it follows.
pub fn encode_key(key: Key, out: &mut Vec<u8>) {
    out.extend_from_slice(&key.hi.to_be_bytes());
    match u8::try_from(key.lo) {
        Ok(small) if small < u8::MAX => out.push(small),
        _ => {
            out.push(u8::MAX);
            out.extend_from_slice(&key.lo.to_be_bytes());
        }
    }
}

/// The key that [`encode_key`] wrote, and what follows it.
pub fn decode_key(bytes: &[u8]) -> Option<(Key, &[u8])> {
    let (hi, rest) = bytes.split_first_chunk()?;
    let (small, rest) = rest.split_first()?;
    let (lo, rest) = if *small == u8::MAX {
        let (lo, rest) = rest.split_first_chunk()?;
        (u64::from_be_bytes(*lo), rest)
    } else {
        (u64::from(*small), rest)
    };
    Some((Key { hi: u64::from_be_bytes(*hi), lo }, rest))
}

/// Collects records on one thread.
pub struct Sorter<R> {
    folder: Arc<Path>,
    budget: usize,
    partition_bits: u32,
    buffer: Vec<R>,
    /// By partition: where its records stand in the first chunks of the buffer, which are in the order of partitions.
    places: Vec<Vec<Range<usize>>>,
    /// Records in these chunks.
    placed: usize,
    held: usize,
    runs: Vec<Run<R>>,
}

/// Records that are brought into the order of their partitions at once: they lie in the processor's second cache.
const CHUNK: usize = 8 << 10;

/// A sorted run: in memory or in a file.
enum Run<R> {
    /// Records, and for each partition where its own stand, in no order.
    Memory(Vec<R>, Vec<Vec<Range<usize>>>),
    /// For each partition its bytes in the file, which has no name: it is gone with the process, however
    /// that ends.
    File(File, Vec<Range<u64>>),
}

/// Everything that was sorted, by all threads.
pub struct Sorted<R> {
    runs: Vec<Run<R>>,
    pub partitions: usize,
}

impl<R: Record> Sorter<R> {
    pub fn new(folder: Arc<Path>, budget: u64, partition_bits: u32) -> Self {
        Self {
            folder,
            budget: usize::try_from(budget).unwrap_or(usize::MAX),
            partition_bits,
            buffer: Vec::new(),
            places: vec![Vec::new(); 1 << partition_bits],
            placed: 0,
            held: 0,
            runs: Vec::new(),
        }
    }

    /// # Errors
    /// Where the temporary folder cannot take a full buffer.
    #[inline]
    pub fn push(&mut self, record: R) -> Result<(), SortError> {
        self.held += size_of::<R>() + record.held();
        if self.held > self.budget && !self.buffer.is_empty() {
            self.spill()?;
            self.held = size_of::<R>() + record.held();
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.grow();
        }
        self.buffer.push(record);
        if self.buffer.len() - self.placed >= CHUNK {
            self.place();
        }
        Ok(())
    }

    /// Brings the records that came since the last time into the order of their partitions.
    #[cold]
    fn place(&mut self) {
        let bits = self.partition_bits;
        let of = |record: &R| partition_of(record.prefix(), bits);
        let mut from = std::mem::replace(&mut self.placed, self.buffer.len());
        let Some(chunk) = self.buffer.get_mut(from..) else { return };
        R::place(chunk, 1 << bits, of);
        for own in chunk.chunk_by(|a, b| of(a) == of(b)) {
            let partition = own.first().and_then(|record| self.places.get_mut(of(record)));
            if let Some(places) = partition {
                places.push(from..from + own.len());
            }
            from += own.len();
        }
    }

    /// Leaves the buffer `budget` bytes from now on, if it had more; what it holds beyond is written. In
    /// steps of an eighth, because its records move to a smaller one.
    ///
    /// # Errors
    /// Where the temporary folder cannot take a full buffer.
    pub fn limit(&mut self, budget: u64) -> Result<(), SortError> {
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        if budget >= self.budget - self.budget / 8 {
            return Ok(());
        }
        self.budget = budget;
        if self.held > budget && !self.buffer.is_empty() {
            self.spill()?;
            self.held = 0;
        }
        // Pages that records have stood in stay with the buffer.
        if self.buffer.capacity() > budget / size_of::<R>() + 1 {
            let mut smaller = Vec::new();
            smaller.reserve_exact(self.buffer.len());
            smaller.append(&mut self.buffer);
            self.buffer = smaller;
        }
        Ok(())
    }

    /// Memory that is not touched costs nothing, and growing by copies touches it over and over: a buffer grows in few
    /// steps, and past some megabytes gets its full size.
    #[cold]
    fn grow(&mut self) {
        const LEAST: usize = 64 << 10;
        const STEP: usize = 16;
        const MOST: usize = LEAST * STEP * STEP;
        let (held, full) = (self.buffer.len(), self.budget / size_of::<R>() + 1);
        let next = held.saturating_mul(STEP).max(LEAST / size_of::<R>());
        let capacity = if next > MOST / size_of::<R>() { full } else { next.min(full) };
        self.buffer.reserve_exact(capacity.saturating_sub(held).max(1));
    }

    /// Sorts the buffer; gives each partition's place in it.
    fn sort(&mut self) -> Vec<Range<usize>> {
        self.buffer.sort_unstable();
        let (count, bits) = (1usize << self.partition_bits, self.partition_bits);
        let mut from = 0;
        (0..count)
            .map(|partition| {
                let rest = self.buffer.get(from..).unwrap_or_default();
                let own = rest.partition_point(|r| partition_of(r.prefix(), bits) <= partition);
                from += own;
                from - own..from
            })
            .collect()
    }

    fn spill(&mut self) -> Result<(), SortError> {
        let ranges = self.sort();
        let (file, partitions) = self.write(&ranges).map_err(|error| SortError::Run {
            folder: self.folder.display().to_string(),
            bytes: self.framed(),
            error,
        })?;
        self.buffer.clear();
        self.places.iter_mut().for_each(Vec::clear);
        self.placed = 0;
        self.runs.push(Run::File(file, partitions));
        Ok(())
    }

    /// Writes the sorted buffer, of which each partition has a range, to a file.
    fn write(&self, ranges: &[Range<usize>]) -> std::io::Result<(File, Vec<Range<u64>>)> {
        let file = tempfile::tempfile_in(&self.folder)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        let mut bytes = Vec::new();
        let mut at = 0;
        let mut partitions = Vec::with_capacity(ranges.len());
        for range in ranges {
            let from = at;
            for record in self.buffer.get(range.clone()).unwrap_or_default() {
                bytes.clear();
                record.encode(&mut bytes);
                at += frame(&bytes, &mut writer)?;
            }
            partitions.push(from..at);
        }
        Ok((writer.into_inner().map_err(IntoInnerError::into_error)?, partitions))
    }

    /// Bytes of a file that holds the buffer.
    fn framed(&self) -> u64 {
        let mut bytes = Vec::new();
        let lengths = self.buffer.iter().map(|record| {
            bytes.clear();
            record.encode(&mut bytes);
            frame(&bytes, &mut std::io::sink()).unwrap_or(0)
        });
        lengths.sum()
    }

    /// Ends the collection: what is left in the buffer stays in memory.
    pub fn finish(mut self, all: &mut Sorted<R>) {
        self.place();
        all.runs.append(&mut self.runs);
        all.runs.push(Run::Memory(self.buffer, self.places));
    }
}

fn partition_of(prefix: u64, bits: u32) -> usize {
    if bits == 0 { 0 } else { usize::try_from(prefix >> (64 - bits)).unwrap_or(0) }
}

/// The first 64 bits of the keys of a partition.
pub fn partition_keys(partition: usize, bits: u32) -> RangeInclusive<u64> {
    let (first, rest) = (partition as u64, 64 - bits);
    if bits == 0 {
        return 0..=u64::MAX;
    }
    first << rest..=(first << rest | (u64::MAX >> bits))
}

/// Stands for a length that one byte cannot hold; four bytes of length follow.
const LONG: u8 = u8::MAX;

/// Writes a record with its length before it; gives the bytes of both.
fn frame(record: &[u8], out: &mut impl Write) -> std::io::Result<u64> {
    let before = match u8::try_from(record.len()) {
        Ok(short) if short != LONG => {
            out.write_all(&[short])?;
            1
        }
        _ => {
            let length = u32::try_from(record.len()).map_err(std::io::Error::other)?;
            out.write_all(&[LONG])?;
            out.write_all(&length.to_be_bytes())?;
            5
        }
    };
    out.write_all(record)?;
    Ok((before + record.len()) as u64)
}

impl<R: Record> Sorted<R> {
    pub fn new(partition_bits: u32) -> Self {
        Self { runs: Vec::new(), partitions: 1 << partition_bits }
    }

    /// Bytes in temporary files.
    pub fn spilled(&self) -> u64 {
        let of = |run: &Run<R>| match run {
            Run::Memory(..) => 0,
            Run::File(_, partitions) => partitions.last().map_or(0, |range| range.end),
        };
        self.runs.iter().map(of).sum()
    }

    /// The records of one partition in order.
    ///
    /// # Errors
    /// Where a temporary file cannot be read.
    pub fn partition(&self, partition: usize) -> Result<Ordered<'_, R>, SortError> {
        let mut memory = Vec::new();
        let mut files = BinaryHeap::new();
        for run in &self.runs {
            match run {
                Run::Memory(records, partitions) => {
                    let places = partitions.get(partition).map_or(&[][..], Vec::as_slice);
                    memory.reserve(places.iter().map(Range::len).sum());
                    for place in places {
                        memory.extend_from_slice(records.get(place.clone()).unwrap_or_default());
                    }
                }
                Run::File(file, partitions) => {
                    let range = partitions.get(partition).cloned().unwrap_or(0..0);
                    let stretch = Stretch { file, at: range.start, end: range.end };
                    let reader = BufReader::with_capacity(64 << 10, stretch);
                    let mut source = Source { reader, bytes: Vec::new() };
                    if let Some(record) = source.next()? {
                        files.push(Head { record, source });
                    }
                }
            }
        }
        R::sort(&mut memory);
        Ok(Ordered { memory: memory.into_iter().peekable(), files })
    }
}

/// Records in order, from memory and from files.
pub struct Ordered<'a, R> {
    memory: Peekable<IntoIter<R>>,
    /// Files that are not at their end, the one with the least next record first.
    files: BinaryHeap<Head<'a, R>>,
}

/// The next record of a file.
struct Head<'a, R> {
    record: R,
    source: Source<'a>,
}

impl<R: Ord> PartialEq for Head<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl<R: Ord> Eq for Head<'_, R> {}

impl<R: Ord> PartialOrd for Head<'_, R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord> Ord for Head<'_, R> {
    /// A heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.record.cmp(&self.record)
    }
}

impl<R: Record> Ordered<'_, R> {
    /// # Errors
    /// Where a temporary file cannot be read.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<R>, SortError> {
        if self.files.is_empty() { Ok(self.memory.next()) } else { self.least() }
    }

    fn least(&mut self) -> Result<Option<R>, SortError> {
        let Some(mut head) = self.files.peek_mut() else { return Ok(None) };
        if self.memory.peek().is_some_and(|record| *record <= head.record) {
            return Ok(self.memory.next());
        }
        match head.source.next()? {
            Some(next) => Ok(Some(std::mem::replace(&mut head.record, next))),
            None => Ok(Some(PeekMut::pop(head).record)),
        }
    }
}

/// Records of a file.
struct Source<'a> {
    reader: BufReader<Stretch<'a>>,
    bytes: Vec<u8>,
}

/// A stretch of a file that several readers share.
struct Stretch<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        let read = self.file.read_at(out.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Source<'_> {
    fn next<R: Record>(&mut self) -> Result<Option<R>, SortError> {
        let Self { reader, bytes } = self;
        let failed = |error| SortError::Spill { folder: "the temporary folder".into(), error };
        let mut short = [0; 1];
        match reader.read_exact(&mut short) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(failed(e)),
        }
        let length = match u8::from_be_bytes(short) {
            LONG => {
                let mut long = [0; 4];
                reader.read_exact(&mut long).map_err(failed)?;
                usize::try_from(u32::from_be_bytes(long)).unwrap_or(usize::MAX)
            }
            short => usize::from(short),
        };
        bytes.resize(length, 0);
        reader.read_exact(bytes).map_err(failed)?;
        R::decode(bytes).map(Some).ok_or(SortError::Record)
    }
}

#[cfg(test)]
mod tests;
