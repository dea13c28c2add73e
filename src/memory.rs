//! How much memory a run may use.

/// A quarter of the memory that this process may use (the machine's, or its control group's), in
/// bytes; 1 GiB where it cannot be known.
pub fn default_limit() -> u64 {
    available().map_or(1 << 30, |bytes| bytes / 4)
}

fn available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    });
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    match (machine, group) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The parts of a memory limit, in bytes. What each stage may hold follows from the limit alone, so
/// that a run can say beforehand whether it fits.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of log files fetched ahead of decoding.
    pub prefetch: u64,
    /// Rows of one pack in the making, per thread.
    pub pack_buffer: u64,
    /// Keys that wait to be sorted (groups, actors), per thread.
    pub sort_buffer: u64,
    /// What the packs that one thread merges may have decoded at once, together.
    pub merge: u64,
}

/// Bytes of a ledger row while it waits in a merge, about.
const MERGED_ROW: u64 = 64;

/// The least that a run needs: below it, row groups of common size do not fit.
pub const MINIMUM: u64 = 64 << 20;

impl Budget {
    /// `None` where `limit` is below [`MINIMUM`] for the number of threads.
    pub fn new(limit: u64, threads: usize) -> Option<Self> {
        let threads = u64::try_from(threads).unwrap_or(u64::MAX).max(1);
        if limit < Self::needed(threads) {
            return None;
        }
        // The program itself, its metadata and the rows in decoding take about 40 MB.
        let rest = limit.saturating_sub(40 << 20);
        Some(Self {
            prefetch: (rest / 4).clamp(4 << 20, 64 << 20),
            pack_buffer: (rest / 2 / threads).clamp(2 << 20, 96 << 20),
            sort_buffer: (rest / 4 / threads).clamp(2 << 20, 224 << 20),
            merge: rest / 2 / threads,
        })
    }

    /// Rows that each of `packs` may decode at once while one thread merges them.
    pub fn rows_at_once(&self, packs: usize) -> usize {
        let rows = self.merge / MERGED_ROW / u64::try_from(packs).unwrap_or(1).max(1);
        usize::try_from(rows).unwrap_or(usize::MAX).clamp(1024, 32 << 10)
    }

    /// Bytes that a run is expected to reach when it keeps up to `rows` rows.
    pub fn expected(&self, threads: u64, rows: u64) -> u64 {
        // A kept row takes about 50 bytes while it waits for its pack, as much again while the pack
        // is sorted and written, and about 60 as a record of its group.
        let packs = (self.pack_buffer * 2 * threads).min(rows * 100);
        let sorting = (self.sort_buffer * threads).min(rows * 60);
        (60 << 20) + self.prefetch / 2 * 3 + packs.max(sorting)
    }

    /// Bytes that `threads` need at the least.
    pub fn needed(threads: u64) -> u64 {
        MINIMUM + threads.saturating_sub(1).saturating_mul(16 << 20)
    }
}
