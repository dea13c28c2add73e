//! How much memory a run may use.

use std::path::Path;

use tikv_jemalloc_ctl::{Access, AsName, epoch, stats};

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
    let group = std::fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| {
        least(&groups, |file| std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(file)).ok())
    });
    match (machine, group) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The least limit of the control groups that a process is in, and of those around them: version 2 (the line
/// that begins with `0::`) and the memory controller of version 1. `groups` is the text of `/proc/self/cgroup`.
fn least(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let files = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_memory = controllers.split(',').any(|name| name == "memory");
        match controllers {
            "" => Some(("", group, "memory.max")),
            _ if is_memory => Some(("memory/", group, "memory.limit_in_bytes")),
            _ => None,
        }
    });
    let around = files.flat_map(|(top, group, file)| {
        let group = group.trim_matches('/');
        let ends = group.match_indices('/').map(|(at, _)| at).chain([0, group.len()]);
        ends.map(move |end| {
            let group = group.get(..end).unwrap_or_default();
            let slash = if group.is_empty() { "" } else { "/" };
            format!("{top}{group}{slash}{file}")
        })
    });
    // A group without a limit says `max`, or a number past any machine's memory.
    around.filter_map(|file| read(&file)?.trim().parse().ok()).min()
}

/// The most memory that this process had so far, in bytes; `None` where the system does not tell.
pub fn peak_of_process() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// What the allocator holds now, in bytes: what was asked for and is not touched yet as well. `None` where it does not
/// tell.
pub fn held() -> Option<u64> {
    // Its figures are those of the last epoch.
    epoch::advance().ok()?;
    stats::active::read().ok().map(|held| held as u64)
}

/// Keeps large pieces that are freed for the next use. At first what is past 8 MB goes back to the system at once, and
/// comes again page by page: that holds few runs to less memory, and takes those longer that read much.
fn keep_freed() {
    // It only saves time.
    let _ = b"arena.0.oversize_threshold\0".name().write(usize::MAX);
}

/// Gives freed memory back to the system after 0.15 seconds instead of a half. Counting and tables need other
/// memory, one after the other, and a count of few rows ends before the first is given back.
fn give_back_soon() {
    let milliseconds: isize = 150;
    // It only saves memory.
    let _ = b"arena.0.dirty_decay_ms\0".name().write(milliseconds);
}

/// The parts of a memory limit, in bytes. What each stage may hold follows from the limit alone, so
/// that a run can say beforehand whether it fits.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes of log files fetched ahead of decoding.
    pub prefetch: u64,
    /// What the row groups in decoding may take together, beside their fetched bytes.
    pub decode: u64,
    /// What a table's delete files may hold while its data files are read.
    pub deletes: u64,
    /// Rows of one pack in the making, per thread.
    pub pack_buffer: u64,
    /// Keys that wait to be sorted (groups, actors), per thread.
    pub sort_buffer: u64,
    /// What all packs that are merged may hold at once, together.
    merge: u64,
    /// All but the program itself: more than this no single row group can take.
    pub rest: u64,
    limit: u64,
}

/// What the answer of a run takes while its tables are made: figures, frames and files. Measured with
/// 470,000 cells (1.9 million days), with 900,000 listed groups, and with few of either.
const CELL: u64 = 2_350;
const DAY: u64 = 600;
const LISTED_GROUP: u64 = 900;

const MIB: u64 = 1 << 20;

/// One part in so many of what is left beside the program is for delete files.
const DELETES: u64 = 8;

/// One part in so many is for rows that share one event id of one person.
const REPEATS: u64 = 8;

/// The program and its metadata.
const BASE: u64 = 40 * MIB;

/// One part in so many is what the allocator holds back between two uses.
const HELD_BACK: u64 = 4;

/// A pack's row group while it is read: its bytes.
const PACK_GROUP: u64 = 800 << 10;

/// A ledger row while it waits in a merge: as columns, side by side, and its place in the order.
const MERGED_ROW: u64 = 130;

/// The least that a pack takes in a merge.
const LEAST_OF_PACK: u64 = PACK_GROUP + 1024 * MERGED_ROW;

/// Bytes of rows that make the pack after `written` others of a scan whose writers may hold `limit`
/// each.
///
/// The first packs are small: they are sorted and picked apart in the processor's third cache, which
/// is a tenth of a run's work. Later ones are larger, sixteen of each size, because a run opens few
/// packs at most before it has to merge some.
pub fn pack_bytes(limit: u64, written: u32) -> u64 {
    limit.min((24 * MIB) << (written / 16).min(16))
}

/// So many rows of the ledger are sorted, written and read in large pieces, and a limit of so many bytes has room for
/// such pieces though they are free.
const MANY_ROWS: u64 = 4_000_000;
const AMPLE: u64 = 1 << 30;

/// The least that one thread needs, and each further one.
const MINIMUM: u64 = 112 * MIB;
const EACH_MORE: u64 = 24 * MIB;

impl Budget {
    /// `None` where `limit` is below [`Self::needed`] for the number of threads.
    pub fn new(limit: u64, threads: usize) -> Option<Self> {
        let threads = u64::try_from(threads).unwrap_or(u64::MAX).max(1);
        if limit < Self::needed(threads) {
            return None;
        }
        let rest = limit.saturating_sub(BASE + limit / HELD_BACK);
        let prefetch = (rest / 8).clamp(4 * MIB, 20 * MIB * threads.max(2));
        let decode = (rest / 4).clamp(8 * MIB, 512 * MIB);
        // Fetched bytes lie in buffers, and as many may wait to be used again. A pack takes two and a
        // half times its rows while it is sorted and written.
        let deletes = (rest / DELETES).clamp(4 * MIB, 256 * MIB);
        let packs = rest.saturating_sub(prefetch * 2 + decode + deletes);
        Some(Self {
            prefetch,
            decode,
            deletes,
            pack_buffer: (packs / threads / 5 * 2).clamp(2 * MIB, 96 * MIB),
            sort_buffer: (rest / 2 / threads).clamp(2 * MIB, 512 * MIB),
            merge: rest / 3,
            rest,
            limit,
        })
    }

    /// Prepares for so many rows of the ledger: where they are many, and the limit has room, freed memory is kept.
    pub fn prepare_for(&self, rows: u64) {
        if rows >= MANY_ROWS && self.limit >= AMPLE {
            keep_freed();
        }
    }

    /// Prepares for a count of all rows of the ledger, which are so many.
    pub fn prepare_to_count(&self, rows: u64) {
        self.prepare_for(rows);
        if rows < MANY_ROWS {
            give_back_soon();
        }
    }

    /// Reads of groups with members that each of `threads` may hold, eight bytes each.
    pub fn reads(&self, threads: usize) -> usize {
        usize::try_from(self.rest / 2 / 8).unwrap_or(usize::MAX) / threads.max(1)
    }

    /// How many packs may be merged at once within the share for that.
    pub fn packs_at_once(&self) -> usize {
        usize::try_from(self.merge / LEAST_OF_PACK).unwrap_or(usize::MAX)
    }

    /// What counting `packs` packs on up to `threads` threads may hold.
    pub fn counting(&self, packs: usize, threads: usize) -> Counting {
        let packs = u64::try_from(packs).unwrap_or(u64::MAX).max(1);
        let least = packs.saturating_mul(LEAST_OF_PACK);
        let may =
            usize::try_from(self.merge / least).unwrap_or(usize::MAX).clamp(1, threads.max(1));
        let counters = u64::try_from(may).unwrap_or(1);
        let each = self.merge / counters / packs;
        let rows = (each.saturating_sub(PACK_GROUP) / MERGED_ROW).clamp(1024, 4 << 10);
        let merging = packs.saturating_mul(counters * (PACK_GROUP + rows * MERGED_ROW));
        Counting {
            threads: may,
            rows: usize::try_from(rows).unwrap_or(1024),
            merging,
            budget: *self,
        }
    }

    /// Bytes that a run is expected to reach when it keeps up to `rows` rows.
    pub fn expected(&self, threads: u64, rows: u64) -> u64 {
        // A kept row takes about 45 bytes while it waits for its pack, and half as much again twice
        // over while the pack is sorted and written; and as a record of its group, later, a half.
        let each = rows.saturating_mul(45) / threads.max(1);
        let mut written = (0, 0);
        let pack = loop {
            let pack = pack_bytes(self.pack_buffer, written.0);
            let writers = u32::try_from(threads).unwrap_or(u32::MAX);
            written = (written.0.saturating_add(writers), pack.saturating_add(written.1));
            if written.1 >= each || pack == self.pack_buffer {
                break pack;
            }
        };
        let packs = (pack / 2 * 5 * threads).min(rows.saturating_mul(110));
        let sorting = (self.sort_buffer * threads).min(rows.saturating_mul(24));
        let used = BASE + (self.prefetch * 2 + packs).max(sorting);
        used + used / HELD_BACK
    }

    /// The limit that an answer of this size needs, where that is more than the one given.
    pub fn beyond(&self, cells: u64, days: u64, groups: u64) -> Option<u64> {
        let answer = [(cells, CELL), (days, DAY), (groups, LISTED_GROUP)];
        let answer = answer.iter().map(|(count, each)| count.saturating_mul(*each));
        // What earlier stages held is not all given back.
        let needed = answer.fold(2 * BASE, u64::saturating_add);
        (needed > self.limit).then_some(needed)
    }

    /// Bytes that `threads` need at the least.
    pub fn needed(threads: u64) -> u64 {
        MINIMUM + threads.saturating_sub(1).saturating_mul(EACH_MORE)
    }

    /// The limit, in MB, that leaves so many bytes for what is read of a table's delete files at once.
    pub fn for_deletes(bytes: u64) -> u64 {
        Self::limit_for(bytes.saturating_mul(DELETES)).div_ceil(1_000_000)
    }

    /// The limit that leaves `bytes` beside the program itself.
    pub fn limit_for(bytes: u64) -> u64 {
        BASE.saturating_add(bytes).saturating_mul(HELD_BACK) / (HELD_BACK - 1)
    }
}

/// What a count may hold, and how many rows of each pack a thread decodes at once.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    pub threads: usize,
    pub rows: usize,
    /// Bytes of the rows that all threads have decoded.
    merging: u64,
    pub budget: Budget,
}

impl Counting {
    /// What is left to each of so many that count the same rows at once.
    pub fn shared_by(mut self, ways: usize) -> Self {
        let ways = u64::try_from(ways).unwrap_or(u64::MAX).max(1);
        self.budget.rest /= ways;
        self.budget.sort_buffer /= ways;
        self.merging /= ways;
        self
    }

    /// The limit that leaves of so many bytes need at the least, where that is more than the one given.
    /// Beside them records wait to be sorted: of what merging leaves, a quarter is theirs.
    pub fn beyond_leaves(&self, bytes: u64) -> Option<u64> {
        let needed = bytes.saturating_mul(4) / 3 + self.merging;
        (needed > self.budget.rest).then(|| Budget::limit_for(needed))
    }

    /// The limit that names of apps and lists of fields need, which take `packed` bytes in their packs and `held` in
    /// each thread, where that is more than the one given.
    pub fn beyond_names(&self, packed: u64, held: u64) -> Option<u64> {
        let threads = u64::try_from(self.threads).unwrap_or(u64::MAX);
        let needed =
            held.saturating_mul(threads).saturating_add(packed).saturating_add(self.merging);
        (needed > self.budget.rest).then(|| Budget::limit_for(needed))
    }

    /// What all threads may keep together of the rows of one event id each.
    pub fn repeats(&self) -> u64 {
        self.budget.rest / REPEATS
    }

    /// Keys that wait to be sorted beside leaves of so many bytes, per thread.
    pub fn sort_buffer(&self, leaves: u64) -> u64 {
        let threads = u64::try_from(self.threads).unwrap_or(u64::MAX).max(1);
        let others = self.merging.saturating_add(self.repeats());
        let left = self.budget.rest.saturating_sub(others).saturating_sub(leaves);
        (left / threads).clamp(2 * MIB, self.budget.sort_buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_least_limit_of_all_groups_around_a_process_counts() {
        let found = |groups: &str, files: &[(&str, &str)]| {
            let read = |file: &str| {
                let found = files.iter().find(|(name, _)| *name == file);
                found.map(|(_, text)| format!("{text}\n"))
            };
            least(groups, read)
        };
        // A container sees its own group as the root.
        assert_eq!(found("0::/\n", &[("memory.max", "500")]), Some(500));
        let unit = "0::/system.slice/scan.service\n";
        let own = ("system.slice/scan.service/memory.max", "700");
        assert_eq!(found(unit, &[own, ("system.slice/memory.max", "900")]), Some(700));
        assert_eq!(found(unit, &[own, ("system.slice/memory.max", "600")]), Some(600));
        assert_eq!(found(unit, &[("system.slice/scan.service/memory.max", "max")]), None);
        let first = "5:cpu,memory:/docker/1\n4:pids:/docker/1\n0::/docker/1\n";
        assert_eq!(found(first, &[("memory/docker/1/memory.limit_in_bytes", "800")]), Some(800));
        assert_eq!(found(first, &[("memory/memory.limit_in_bytes", "300")]), Some(300));
        assert_eq!(found("", &[("memory.max", "500")]), None);
    }

    proptest! {
        #[test]
        fn the_parts_of_a_limit_fit_into_it(limit in 100u64..20_000, threads in 1usize..9) {
            let Some(budget) = Budget::new(limit * MIB, threads) else {
                prop_assert!(limit * MIB < Budget::needed(threads as u64));
                return Ok(());
            };
            let scanning = budget.prefetch * 2
                + budget.decode
                + budget.deletes
                + budget.pack_buffer / 2 * 5 * threads as u64;
            prop_assert!(BASE + scanning <= limit * MIB, "{budget:?}");
            prop_assert!(budget.sort_buffer * threads as u64 + budget.merge <= limit * MIB);
            let counting = budget.counting(8, threads);
            prop_assert!((1..=threads).contains(&counting.threads) && counting.rows >= 1024);
            prop_assert!(counting.merging <= budget.merge.max(12 * MIB));
            let most = budget.counting(budget.packs_at_once().max(1), threads);
            prop_assert!(most.merging <= budget.merge.max(12 * MIB));
            let leaves = (budget.rest - counting.merging) / 4 * 3;
            prop_assert_eq!(counting.beyond_leaves(leaves), None);
            let more = counting.beyond_leaves(leaves + 8).unwrap_or_default();
            prop_assert!(more + 8 > limit * MIB && more < limit * MIB + 64);
            let sorting = counting.sort_buffer(leaves) * counting.threads as u64;
            prop_assert!(BASE + leaves + sorting + counting.merging <= limit * MIB);
            let (few, many) = (budget.expected(threads as u64, 1_000), u64::MAX);
            prop_assert!(few <= budget.expected(threads as u64, 1_000_000));
            prop_assert!(budget.expected(threads as u64, many) <= limit * MIB / 4 * 5);
        }

        #[test]
        fn packs_grow_until_they_are_as_large_as_may_be(limit in 1u64..1 << 40, written: u32) {
            let pack = pack_bytes(limit, written);
            prop_assert!(pack <= limit && pack <= pack_bytes(limit, written.saturating_add(1)));
            prop_assert_eq!(pack_bytes(limit, 15), limit.min(24 * MIB));
            prop_assert_eq!(pack_bytes(limit, 16), limit.min(48 * MIB));
        }
    }
}
