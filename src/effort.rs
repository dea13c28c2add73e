//! What a run took: where its threads spent their time, what they read and decoded, and how much memory
//! that needed.
//!
//! None of it is part of a report: the same run takes something else on another day, and its bytes are to
//! be the same. It is told on the last line of stdout and with `--verbose`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::lineage::Events;
use crate::memory::{held, peak_of_process};

/// What threads are busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waiting for bytes from storage.
    Reading,
    /// Decompressing, decoding, picking rows.
    Decoding,
    /// Sorting rows into packs and sending them.
    Sorting,
    /// Merging packs and counting.
    Counting,
    /// Queries, reports, publishing.
    Tables,
}

impl Part {
    const ALL: [Self; 5] =
        [Self::Reading, Self::Decoding, Self::Sorting, Self::Counting, Self::Tables];
}

/// Counts as a run goes on. All only grow.
#[derive(Debug)]
pub struct Effort {
    began: Instant,
    /// Names of the stages so far and when each began.
    stages: Mutex<Vec<(String, Instant)>>,
    /// Microseconds of all threads together, by [`Part`].
    spent: [AtomicU64; Part::ALL.len()],
    /// Bytes of the pages that were decoded, once decompressed.
    pub decoded: AtomicU64,
    pub pages: AtomicU64,
    /// Files that the ledger held already.
    pub reused: AtomicU64,
    /// Rows that had changed since the count that was begun with, and one more; 0 where all were counted.
    pub recounted: AtomicU64,
    /// Bytes written to temporary files.
    pub spilled: AtomicU64,
    /// The most that the allocator was seen to hold.
    active: AtomicU64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            stages: Mutex::default(),
            spent: Default::default(),
            decoded: AtomicU64::default(),
            pages: AtomicU64::default(),
            reused: AtomicU64::default(),
            recounted: AtomicU64::default(),
            spilled: AtomicU64::default(),
            active: AtomicU64::default(),
        }
    }
}

impl Effort {
    /// Does `work` and puts its time down. Meant for pieces of a millisecond and more.
    pub fn timed<T>(&self, part: Part, work: impl FnOnce() -> T) -> T {
        let from = Instant::now();
        let done = work();
        self.add(part, from.elapsed());
        done
    }

    /// A stage begins, and the one before it ends.
    pub fn stage(&self, name: &str) {
        self.see_memory();
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.last().is_none_or(|(last, _)| last != name) {
            stages.push((name.to_string(), Instant::now()));
        }
    }

    /// Puts down what a thread has waited for.
    pub fn add(&self, part: Part, spent: Duration) {
        if let Some(sum) = self.spent.get(part as usize) {
            let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
            sum.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// Looks at what the allocator holds; to be called now and then.
    pub fn see_memory(&self) {
        if let Some(held) = held() {
            self.active.fetch_max(held, Ordering::Relaxed);
        }
    }

    /// Seconds of each part: by the clock if all of `threads` did nothing else.
    fn seconds(&self, threads: usize) -> [f64; Part::ALL.len()] {
        let mut seconds = self.spent.each_ref().map(|micros| {
            Duration::from_micros(micros.load(Ordering::Relaxed)).as_secs_f64()
                / threads.max(1) as f64
        });
        // Of tables it is what they took by the clock, whoever made them.
        if let Some(tables) = seconds.get_mut(Part::Tables as usize) {
            *tables *= threads.max(1) as f64;
        }
        seconds
    }

    /// What it came to. `limit` bytes were allowed, and `threads` worked.
    pub fn told(&self, read: Read, limit: u64, threads: usize) -> Told {
        self.see_memory();
        let seconds = self.began.elapsed().as_secs_f64();
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = stages.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let mut by_stage = serde_json::Map::new();
        for ((name, from), end) in stages.iter().zip(ends) {
            let before = by_stage.get(name).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
            let sum = rounded(before + (end - *from).as_secs_f64());
            by_stage.insert(name.clone(), sum.into());
        }
        let parts = self.seconds(threads);
        let largest = Part::ALL.into_iter().zip(parts).max_by(|a, b| a.1.total_cmp(&b.1));
        let of = |part: Part| rounded(parts.get(part as usize).copied().unwrap_or(0.0));
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let reading = by_stage.get(READING).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Told {
            seconds: rounded(seconds),
            stages: by_stage,
            threads: Threads {
                count: threads,
                reading: of(Part::Reading),
                decoding: of(Part::Decoding),
                sorting: of(Part::Sorting),
                counting: of(Part::Counting),
                tables: of(Part::Tables),
            },
            bound_by: largest.filter(|(_, seconds)| *seconds > 0.0).map(|(part, _)| match part {
                Part::Reading => "reading",
                Part::Decoding => "decoding",
                Part::Sorting => "sorting",
                Part::Counting => "counting",
                Part::Tables => "tables",
            }),
            rows_per_second: (reading > 0.0).then(|| (read.rows as f64 / reading).round()),
            read,
            files_reused: now(&self.reused),
            rows_changed: now(&self.recounted).checked_sub(1),
            pages_decoded: now(&self.pages),
            bytes_decoded: now(&self.decoded),
            bytes_spilled: now(&self.spilled),
            memory: Memory {
                limit,
                system_peak: peak_of_process(),
                allocator_peak: now(&self.active),
            },
            lineage: None,
        }
    }
}

/// The stage in which logs are read.
pub const READING: &str = "reading logs";

/// Milliseconds are as fine as anybody looks.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// What was read of logs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Read {
    #[serde(rename = "files_read")]
    pub files: u64,
    #[serde(rename = "bytes_read")]
    pub bytes: u64,
    /// Rows of the files that were read, left out or not.
    #[serde(rename = "rows_read")]
    pub rows: u64,
    #[serde(rename = "rows_matched")]
    pub matched: u64,
}

/// Seconds by the clock, bytes, and counts.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    pub seconds: f64,
    /// By name, in the order in which they began.
    pub stages: serde_json::Map<String, serde_json::Value>,
    pub threads: Threads,
    /// What most of the time went to; null where there was nothing to do.
    pub bound_by: Option<&'static str>,
    #[serde(flatten)]
    pub read: Read,
    pub rows_per_second: Option<f64>,
    pub files_reused: u64,
    /// Rows that were new or meant something else than in the count that was begun with; null where all were counted.
    pub rows_changed: Option<u64>,
    pub pages_decoded: u64,
    pub bytes_decoded: u64,
    pub bytes_spilled: u64,
    pub memory: Memory,
    /// Lineage events; null where none are sent.
    pub lineage: Option<Events>,
}

/// How long all threads were busy with what, divided by their number.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Threads {
    pub count: usize,
    pub reading: f64,
    pub decoding: f64,
    pub sorting: f64,
    pub counting: f64,
    pub tables: f64,
}

/// Bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    pub limit: u64,
    /// The process at its largest, program and libraries with it; null where the system does not tell.
    pub system_peak: Option<u64>,
    /// What the allocator was seen to hold, at the ends of stages and every fifth of a second.
    pub allocator_peak: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longest_is_named_and_stages_of_one_name_are_one() {
        let effort = Effort::default();
        effort.stage("reading a");
        effort.stage("counting");
        effort.stage("counting");
        let pause = |part, millis| {
            effort.timed(part, || std::thread::sleep(Duration::from_millis(millis)));
        };
        pause(Part::Decoding, 2);
        pause(Part::Counting, 20);
        let told = effort.told(Read { rows: 10, ..Default::default() }, 1, 2);
        assert_eq!(told.bound_by, Some("counting"));
        assert_eq!(told.stages.keys().collect::<Vec<_>>(), ["reading a", "counting"]);
        // Two threads might have shared it.
        assert!((0.01..0.05).contains(&told.threads.counting), "{}", told.threads.counting);
        assert!(told.memory.allocator_peak > 0);
        assert!(told.memory.system_peak.is_some_and(|peak| peak > 1 << 20));
    }

    #[test]
    fn a_run_that_did_nothing_is_bound_by_nothing() {
        let told = Effort::default().told(Read::default(), 1, 2);
        assert_eq!((told.bound_by, told.rows_per_second), (None, None));
    }
}
