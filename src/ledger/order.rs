//! The order of a pack's rows.

use super::call::CallBits;
use super::pack::{Common, PersonColumn, Picked};
use crate::codes::index;
use crate::dealer::Dealer;
use crate::scan::batch::{AccessBatch, KeyColumn, Outcome};

/// The upper half of a person's key, and the row's place in its batch.
type Placed = (u64, u32);

/// Rows of a pack in order, in memory that is used again.
#[derive(Debug, Default)]
pub struct Order {
    /// In order.
    placed: Vec<Placed>,
    /// As they lie in the batch.
    rows: Vec<Common>,
    dealer: Dealer<Placed>,
    /// Whether any row has an outcome that is not known.
    unknown: bool,
}

impl Order {
    /// Rows are dealt by so many first bits of keys, which leaves stretches that fit the processor's first cache; one
    /// bucket more is nobody's.
    const BITS: u32 = 11;
    const BUCKETS: usize = 1 + (1 << Self::BITS);

    /// Puts rows in the order of (person, event id, time, unit, place there), which does not depend on
    /// when their units came: packs of the same units are the same bytes. Rows without a person come
    /// first.
    pub fn sort(&mut self, batch: &AccessBatch, person: PersonColumn, call: CallBits) {
        self.unknown = batch.outcome.contains(&Outcome::Unknown);
        make_room(&mut self.rows, batch.len());
        self.rows.clear();
        self.rows.extend(Common::all(batch, call));
        let keys = person.keys(batch);
        let mut from = 0;
        for end in self.deal(batch.len(), keys) {
            if let Some(bucket) = self.placed.get_mut(from..end) {
                if self.dealer.deal(bucket, |(hi, _)| *hi) {
                    bucket.copy_from_slice(&self.dealer.dealt);
                } else {
                    bucket.sort_unstable();
                }
            }
            from = end;
        }
        // Runs of one `hi`, which are short but for nobody's, need the rest of the key.
        let rest = |(_, row): &Placed| {
            let row = index(*row);
            let key = keys.and_then(|keys| keys.get(row));
            let at = (batch.micros.get(row), batch.nanos.get(row));
            (key, batch.event.get(row), at, batch.unit.get(row))
        };
        for run in self.placed.chunk_by_mut(|a, b| a.0 == b.0) {
            if run.len() > 1 {
                run.sort_by(|a, b| rest(a).cmp(&rest(b)));
            }
        }
    }

    /// Deals rows to buckets by the keys of their people, in which they stay in their order; gives where each bucket ends.
    fn deal(&mut self, rows: usize, keys: Option<&KeyColumn>) -> [usize; Self::BUCKETS] {
        let (hi, valid) = keys.map_or((&[][..], &[][..]), |keys| (&keys.hi[..], &keys.valid[..]));
        let rows = (0..rows).zip(0u32..).map(|(row, number)| match hi.get(row) {
            Some(hi) if valid.get(row) != Some(&false) => {
                (1 + usize::try_from(hi >> (u64::BITS - Self::BITS)).unwrap_or(0), (*hi, number))
            }
            _ => (0, (0, number)),
        });
        let mut ends = [0; Self::BUCKETS];
        for (bucket, _) in rows.clone() {
            if let Some(count) = ends.get_mut(bucket) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut ends {
            // Where the bucket begins, for now; it moves to its end as the bucket fills.
            sum += std::mem::replace(count, sum);
        }
        make_room(&mut self.placed, sum);
        // Each of them is written below: what stands there need not be cleared.
        self.placed.resize(sum, (0, 0));
        for (bucket, row) in rows {
            let Some(next) = ends.get_mut(bucket) else { continue };
            if let Some(slot) = self.placed.get_mut(*next) {
                *slot = row;
            }
            *next += 1;
        }
        ends
    }

    /// No rows, of the pack at hand.
    pub fn none(&self) -> Picked {
        Picked { people: Vec::new(), rows: Vec::new(), unknown: self.unknown }
    }

    /// The rows in their order, so many at once.
    pub fn chunks(&self, rows: usize) -> impl Iterator<Item = Picked> + '_ {
        let common = |(_, row): &Placed| self.rows.get(index(*row)).copied();
        self.placed.chunks(rows).map(move |placed| Picked {
            people: placed.iter().map(|(hi, _)| *hi).collect(),
            rows: placed.iter().map(|row| common(row).unwrap_or(Common::NONE)).collect(),
            unknown: self.unknown,
        })
    }

    /// Gives memory back that rows of more than so many bytes took.
    pub fn limit(&mut self, bytes: usize) {
        if self.placed.capacity() > bytes / size_of::<Placed>() {
            *self = Self::default();
        }
    }
}

/// Makes room for so many values in a buffer that is used again. One that grows would be copied first, as long as it is.
fn make_room<T>(buffer: &mut Vec<T>, len: usize) {
    if buffer.capacity() < len {
        *buffer = Vec::new();
        buffer.reserve_exact(len + len / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use proptest::prelude::*;

    /// Person, event, time with its nanoseconds, and unit of a row.
    type Drawn = (Option<(u64, u64)>, Option<u64>, i64, u16, u32);

    /// Few people, and people all over, and nobody.
    fn person() -> impl Strategy<Value = Option<(u64, u64)>> {
        let keys = prop_oneof![
            0u64..3,
            any::<u64>(),
            // All over one bucket.
            any::<u64>().prop_map(|key| key >> Order::BITS),
            Just(u64::MAX),
        ];
        proptest::option::of((keys, 0u64..2))
    }

    proptest! {
        #[test]
        fn rows_come_by_person_event_time_unit_and_place(
            rows in proptest::collection::vec(
                (person(), proptest::option::of(0u64..2), 0i64..2, 0u16..2, 0u32..2), 0..300),
            copies in 1usize..60,
            more in proptest::collection::vec(person(), 0..300),
        ) {
            let key = |of: Option<(u64, u64)>| of.map(|(hi, lo)| Key { hi, lo });
            let call = CallBits::of(2, 1, 1).unwrap();
            let batch_of = |rows: &[Drawn]| {
                let mut batch = AccessBatch::default();
                for (person, event, micros, nanos, unit) in rows {
                    batch.subject.push(key(*person));
                    batch.event.push(event.map(|event| Key { hi: event, lo: 0 }));
                    batch.micros.push(*micros);
                    batch.nanos.push(*nanos);
                    batch.unit.push(*unit);
                    batch.app.push(0);
                    batch.scopes.push(0);
                    batch.outcome.push(Outcome::Allowed);
                }
                batch
            };
            // Even keys: those of real ids are, those of a test need not be.
            let even = |person: Option<(u64, u64)>, i| match person {
                Some((hi, lo)) if i % 3 > 0 => Some((crate::key::mix(hi ^ i), lo)),
                person => person,
            };
            let many = rows.iter().cycle().take(rows.len() * copies).zip(0..);
            let rows: Vec<_> = many.map(|(row, i)| (even(row.0, i), row.1, row.2, row.3, row.4)).collect();
            let more: Vec<_> = more.into_iter().map(|person| (person, None, 0, 0, 0)).collect();
            let mut order = Order::default();
            // In memory that held other rows before.
            for rows in [more, rows] {
                let batch = batch_of(&rows);
                order.sort(&batch, PersonColumn::Subject, call);
                let mut expected: Vec<_> = rows.iter().zip(0u32..).collect();
                expected.sort();
                let found: Vec<u32> = order.chunks(7)
                    .flat_map(|picked| picked.rows.into_iter().map(|common| common.row)).collect();
                prop_assert_eq!(found, expected.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
                let people: Vec<u64> = order.chunks(7).flat_map(|picked| picked.people).collect();
                let names = |keys: &KeyColumn, row: u32| keys.get(index(row)).map_or(0, |key| key.hi);
                let rows = order.chunks(1 << 10).flat_map(|picked| picked.rows);
                let own: Vec<u64> = rows.map(|common| names(&batch.subject, common.row)).collect();
                prop_assert_eq!(people, own);
            }
        }
    }
}
