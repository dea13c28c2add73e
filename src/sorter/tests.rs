//! Records in order, however often the buffer was full; and how it grows.

use super::*;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes(Vec<u8>);

impl Record for Bytes {
    fn prefix(&self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().unwrap())
    }
    fn held(&self) -> usize {
        self.0.len()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.to_vec()))
    }
}

fn in_order<R: Record>(all: &Sorted<R>) -> Vec<R> {
    let mut found = Vec::new();
    for partition in 0..all.partitions {
        let mut ordered = all.partition(partition).unwrap();
        while let Some(record) = ordered.next_record().unwrap() {
            found.push(record);
        }
    }
    found
}

/// A record of whose kind no whole number takes 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Three([u64; 3]);

impl Record for Three {
    fn prefix(&self) -> u64 {
        self.0[0]
    }
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &[u8]) -> Option<Self> {
        None
    }
}

fn grows_in_few_steps<R: Record>(record: &R) {
    let folder = tempfile::tempdir().unwrap();
    for (budget, most_steps) in [(100, 1), (1 << 20, 3), (64 << 20, 4), (1 << 30, 4)] {
        let most = budget / size_of::<R>() + 1;
        let mut sorter = Sorter::<R>::new(folder.path().into(), budget as u64, 2);
        let mut steps = Vec::new();
        while sorter.buffer.capacity() < most {
            // Full, without what would take the test long.
            sorter.buffer.resize(sorter.buffer.capacity(), record.clone());
            sorter.grow();
            steps.push(sorter.buffer.capacity());
        }
        assert_eq!(steps.last(), Some(&most));
        assert!(steps.len() <= most_steps, "{steps:?}");
        // Never copied when it is large.
        let last = steps.len().checked_sub(2).map_or(0, |before| steps[before]);
        assert!(last * size_of::<R>() <= 16 << 20, "{steps:?}");
    }
}

#[test]
fn buffers_grow_in_few_steps_and_are_not_larger_than_their_budget() {
    grows_in_few_steps(&Number(0, 0));
    grows_in_few_steps(&Three([0; 3]));
}

#[test]
fn records_come_back_in_order_however_often_the_buffer_was_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Sorted::new(2);
    let mut expected = Vec::new();
    for (thread, budget) in [(0u64, 2_000), (1, 1 << 30)] {
        let mut sorter = Sorter::new(folder.path().into(), budget, 2);
        for i in 0..500u64 {
            let mut record = crate::key::mix(i % 97).to_be_bytes().to_vec();
            record.extend_from_slice(&(i * 2 + thread).to_be_bytes());
            if i % 50 == 0 {
                // Around and past what one byte can measure.
                record.resize(250 + usize::try_from(i).unwrap(), 7);
            }
            sorter.push(Bytes(record.clone())).unwrap();
            if i == 300 {
                sorter.limit(3_000).unwrap();
            }
            expected.push(Bytes(record));
        }
        sorter.finish(&mut all);
    }
    expected.sort();
    assert_eq!(in_order(&all), expected);
}

/// A record that lies in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u64, u32);

impl Record for Number {
    fn prefix(&self) -> u64 {
        self.0
    }
    fn sort(records: &mut Vec<Self>) {
        sort_dealt(records);
    }
    fn place(records: &mut [Self], partitions: usize, of: impl Fn(&Self) -> usize) {
        place_counted(records, partitions, of);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&self.1.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_first_chunk()?;
        Some(Self(u64::from_be_bytes(*prefix), u32::from_be_bytes(*rest.first_chunk()?)))
    }
}

#[test]
fn records_of_many_chunks_come_back_in_order_from_memory_and_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Sorted::new(3);
    let mut expected = Vec::new();
    let rows = 3 * CHUNK as u32 + 5;
    // The second spills, in the middle of a chunk.
    for (thread, budget) in [(0, 1 << 30), (1, (CHUNK + CHUNK / 2) * size_of::<Number>())] {
        let mut sorter = Sorter::new(folder.path().into(), budget as u64, 3);
        for i in 0..rows {
            // One prefix has a fifth of all, each of the first half about eight records, others stand alone.
            let of = match i {
                _ if i.is_multiple_of(5) => 0,
                _ if i < rows / 2 => i % (rows / 16),
                _ => i,
            };
            let record = Number(crate::key::mix(of.into()), rows - i * 2 % 7 + thread);
            sorter.push(record).unwrap();
            expected.push(record);
        }
        sorter.finish(&mut all);
    }
    assert!(all.spilled() > 0);
    expected.sort_unstable();
    assert_eq!(in_order(&all), expected);
}
