//! A membership table sorted twice: by group, which numbers groups and cuts their time, then by person.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ids::{Bad, keys, micros};
use super::input::{Input, Opened, Refusal};
use super::members::{
    ALWAYS, About, FOREVER, GREATEST_NUMBER, Member, OPEN_END, Stretch, groups_of, marked,
    people_of,
};
use super::table::{Row, TableWriter, Values};
use super::{IdRule, MadeFrom, PeopleError, Workshop};
use crate::key::Key;
use crate::ledger::LedgerError;
use crate::sorter::{Ordered, Record, SortError, Sorted, Sorter, decode_key, encode_key};

/// Bits of the key that make a partition of a sort.
const PARTITION_BITS: u32 = 6;

/// A membership in the order of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ByGroup {
    group: Key,
    subject: Key,
    from: i64,
    to: i64,
}

impl Record for ByGroup {
    fn prefix(&self) -> u64 {
        self.group.hi
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.group, out);
        encode_key(self.subject, out);
        if (self.from, self.to) != (ALWAYS, FOREVER) {
            out.extend_from_slice(&self.from.to_be_bytes());
            out.extend_from_slice(&self.to.to_be_bytes());
        }
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (group, rest) = decode_key(bytes)?;
        let (subject, rest) = decode_key(rest)?;
        let Some((from, rest)) = rest.split_first_chunk() else {
            return Some(Self { group, subject, from: ALWAYS, to: FOREVER });
        };
        let to = rest.first_chunk()?;
        let (from, to) = (i64::from_be_bytes(*from), i64::from_be_bytes(*to));
        Some(Self { group, subject, from, to })
    }
}

/// What was met while a table was read.
#[derive(Default)]
struct Met {
    /// Whether any key needs its lower half, of groups and of people.
    low: (bool, bool),
    /// Whether any membership has a beginning or an end.
    bounded: bool,
    empty: u64,
    rows: u64,
}

/// Sorts a membership table into the pack `name`.
///
/// # Errors
/// Tables that cannot be used; storage failures.
pub(super) fn make(
    input: &Input,
    person: &IdRule,
    group: &IdRule,
    shop: &Workshop<'_>,
    name: &str,
) -> Result<(), PeopleError> {
    let (sorted, met) = sort(input, (person, group), shop)?;
    let made = MadeFrom::of(input);
    let mut about = About { made, rows: met.rows, empty: met.empty, ..Default::default() };
    let mut by_person = Sorter::<Member>::new(shop.temp.into(), shop.sort_buffer, PARTITION_BITS);
    let mut columns = vec![("group_hi", Values::U64(Vec::new()))];
    if met.low.0 {
        columns.push(("group_lo", Values::U64(Vec::new())));
    }
    columns.push(("marked", Values::U32(Vec::new())));
    columns.push(("from", Values::I64(Vec::new())));
    let mut groups = TableWriter::new(&shop.shelf, &groups_of(name), columns);
    for partition in 0..sorted.partitions {
        shop.go_on()?;
        // One reader finds where a group's membership changes, the other follows with that knowledge.
        let mut ahead = Intervals::open(&sorted, partition)?;
        let mut rows = Intervals::open(&sorted, partition)?;
        let mut changes: Vec<(i64, i64)> = Vec::new();
        while let Some(first) = ahead.next()? {
            let key = first.group;
            changes.clear();
            let mut held = 0i64;
            let mut next = Some(first);
            while let Some(row) = next {
                if row.from == ALWAYS {
                    held += 1
                } else {
                    changes.push((row.from, 1))
                }
                if row.to != FOREVER {
                    changes.push((row.to, -1));
                }
                next = ahead.next_of(key)?;
            }
            let number = u32::try_from(about.groups).ok().filter(|n| *n <= GREATEST_NUMBER);
            let number = number.ok_or_else(|| LedgerError::Internal {
                what: "more than 2,147,483,648 groups have members".into(),
            })?;
            about.groups += 1;
            let stretches = stretches(&mut changes, held);
            let place = |at: i64| {
                let place = stretches.partition_point(|s| s.from < at);
                u32::try_from(place).unwrap_or(OPEN_END)
            };
            while let Some(row) = rows.next_of(key)? {
                by_person.push(Member {
                    subject: row.subject,
                    group: number,
                    from: if row.from == ALWAYS { 0 } else { place(row.from) },
                    to: if row.to == FOREVER { OPEN_END } else { place(row.to) },
                })?;
            }
            for stretch in &stretches {
                let numbers = &[marked(number, stretch.inhabited)];
                groups.push(&Row { key, numbers, moment: stretch.from })?;
            }
        }
        about.overlapping += ahead.overlapping;
    }
    drop(sorted);
    groups.finish(&about)?;
    let mut people = Sorted::new(PARTITION_BITS);
    by_person.finish(&mut people);
    write_people(&people, &met, &about, shop, name)
}

/// Time cut at every change, where `held` memberships have no beginning.
fn stretches(changes: &mut [(i64, i64)], mut held: i64) -> Vec<Stretch> {
    changes.sort_unstable();
    let mut stretches = vec![Stretch { from: ALWAYS, inhabited: held > 0 }];
    for at in changes.chunk_by(|a, b| a.0 == b.0) {
        held += at.iter().map(|(_, change)| change).sum::<i64>();
        let from = at.first().map_or(ALWAYS, |first| first.0);
        stretches.push(Stretch { from, inhabited: held > 0 });
    }
    stretches
}

fn sort(
    input: &Input,
    (person, group): (&IdRule, &IdRule),
    shop: &Workshop<'_>,
) -> Result<(Sorted<ByGroup>, Met), PeopleError> {
    const COLUMNS: [&str; 4] = ["group_id", "subject", "from", "to"];
    let opened = Opened::open(input, &COLUMNS)?.within(shop.memory_limit, shop.threads);
    let temp: Arc<std::path::Path> = shop.temp.into();
    let next = AtomicUsize::new(0);
    let work = || -> Result<(Sorter<ByGroup>, Met), PeopleError> {
        let mut sorter = Sorter::new(temp.clone(), shop.sort_buffer, PARTITION_BITS);
        let mut met = Met::default();
        while let Some(part) = opened.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            shop.go_on()?;
            opened.read(part, &COLUMNS, |batch| {
                let column = |name: &'static str| {
                    let missing = || Bad { row: 0, reason: "is not there".into() };
                    batch.column_by_name(name).ok_or_else(|| Refusal::Row(name, missing()))
                };
                let of = |name: &'static str| move |bad: Bad| Refusal::Row(name, bad);
                let groups =
                    keys(column("group_id")?, group, shop.keyer).map_err(of("group_id"))?;
                let people = keys(column("subject")?, person, shop.keyer).map_err(of("subject"))?;
                let from = micros(column("from")?, shop.zone).map_err(of("from"))?;
                let to = micros(column("to")?, shop.zone).map_err(of("to"))?;
                met.rows += batch.num_rows() as u64;
                let rows = groups.into_iter().zip(people).zip(from.into_iter().zip(to));
                for (row, ((group, subject), (from, to))) in rows.enumerate() {
                    let (from, to) = (from.unwrap_or(ALWAYS), to.unwrap_or(FOREVER));
                    if to < from {
                        let reason = "is before `from`".to_string();
                        return Err(Refusal::Row("to", Bad { row, reason }));
                    }
                    if to == from {
                        met.empty += 1;
                        continue;
                    }
                    met.low.0 |= group.lo != 0;
                    met.low.1 |= subject.lo != 0;
                    met.bounded |= (from, to) != (ALWAYS, FOREVER);
                    sorter.push(ByGroup { group, subject, from, to })?;
                }
                Ok(())
            })?;
        }
        Ok((sorter, met))
    };
    let parts = shop.sort(work)?;
    let (mut sorted, mut all) = (Sorted::new(PARTITION_BITS), Met::default());
    for (sorter, met) in parts {
        sorter.finish(&mut sorted);
        all.low = (all.low.0 | met.low.0, all.low.1 | met.low.1);
        all.bounded |= met.bounded;
        all.empty += met.empty;
        all.rows += met.rows;
    }
    shop.effort.spilled.fetch_add(sorted.spilled(), Ordering::Relaxed);
    Ok((sorted, all))
}

/// Memberships of one partition in the order of (group, person), those of a person and group that meet
/// joined into one.
struct Intervals<'a> {
    rows: Ordered<'a, ByGroup>,
    next: Option<ByGroup>,
    overlapping: u64,
}

impl<'a> Intervals<'a> {
    fn open(sorted: &'a Sorted<ByGroup>, partition: usize) -> Result<Self, SortError> {
        let mut rows = sorted.partition(partition)?;
        let next = rows.next_record()?;
        Ok(Self { rows, next, overlapping: 0 })
    }

    fn next(&mut self) -> Result<Option<ByGroup>, SortError> {
        let Some(mut row) = self.next.take() else { return Ok(None) };
        loop {
            self.next = self.rows.next_record()?;
            match &self.next {
                Some(next)
                    if (next.group, next.subject) == (row.group, row.subject)
                        && next.from <= row.to =>
                {
                    self.overlapping += u64::from(next.from < row.to);
                    row.to = row.to.max(next.to);
                }
                _ => return Ok(Some(row)),
            }
        }
    }

    /// The next one, if it is of the group.
    fn next_of(&mut self, group: Key) -> Result<Option<ByGroup>, SortError> {
        if self.next.is_some_and(|next| next.group == group) { self.next() } else { Ok(None) }
    }
}

fn write_people(
    sorted: &Sorted<Member>,
    met: &Met,
    about: &About,
    shop: &Workshop<'_>,
    name: &str,
) -> Result<(), PeopleError> {
    let mut columns = vec![("subject_hi", Values::U64(Vec::new()))];
    if met.low.1 {
        columns.push(("subject_lo", Values::U64(Vec::new())));
    }
    let bounds = ["from", "to"].into_iter().filter(|_| met.bounded);
    columns.extend(["group"].into_iter().chain(bounds).map(|name| (name, Values::U32(Vec::new()))));
    let mut table = TableWriter::new(&shop.shelf, &people_of(name), columns);
    for partition in 0..sorted.partitions {
        shop.go_on()?;
        let mut rows = sorted.partition(partition)?;
        while let Some(member) = rows.next_record()? {
            let numbers = &[member.group, member.from, member.to];
            table.push(&Row { key: member.subject, numbers, moment: 0 })?;
        }
    }
    Ok(table.finish(about)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::GroupStretches;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn memberships_survive_their_encoding(
            hi: u64, lo in prop_oneof![Just(0u64), any::<u64>()],
            from in prop_oneof![Just(ALWAYS), any::<i64>()], to in prop_oneof![Just(FOREVER), any::<i64>()],
            group: u32, first in prop_oneof![Just(0u32), any::<u32>()],
            end in prop_oneof![Just(OPEN_END), any::<u32>()],
        ) {
            let key = Key { hi, lo };
            let by_group = ByGroup { group: key, subject: key, from, to };
            let mut bytes = Vec::new();
            by_group.encode(&mut bytes);
            prop_assert_eq!(ByGroup::decode(&bytes), Some(by_group));
            let member = Member { subject: key, group, from: first, to: end };
            bytes.clear();
            member.encode(&mut bytes);
            prop_assert_eq!(Member::decode(&bytes), Some(member));
        }
    }

    #[test]
    fn time_is_cut_where_membership_changes() {
        // Two members from 10 on, one leaves at 20, the other at 30, one comes back at 40.
        let mut changes = vec![(10, 1), (10, 1), (20, -1), (30, -1), (40, 1)];
        let cut = stretches(&mut changes, 0);
        let shown: Vec<(i64, bool)> = cut.iter().map(|s| (s.from, s.inhabited)).collect();
        assert_eq!(shown, [(ALWAYS, false), (10, true), (20, true), (30, false), (40, true)]);
        let group = GroupStretches { number: 0, stretches: cut };
        assert_eq!([9, 10, 29, 30, 99].map(|at| group.at(at)), [0, 1, 2, 3, 4]);
        assert!(group.inhabited(2) && !group.inhabited(3));
    }
}
