//! What the second pass sorts: events by group, actors, and the groups' own ids.

use crate::key::Key;
use crate::sorter::{Record, decode_key, encode_key, place_counted, sort_dealt};

/// Stands for nobody where a person's number is asked for.
pub const NOBODY: u64 = u64::MAX;

/// What tells the leaves of an event.
pub trait Of: Copy + Ord {
    fn encode(self, out: &mut Vec<u8>);

    /// What [`Self::encode`] wrote, and what follows it.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])>;
}

/// A leaf's number.
impl Of for u32 {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (leaf, rest) = bytes.split_first_chunk()?;
        Some((Self::from_be_bytes(*leaf), rest))
    }
}

/// An event in parts: they follow from the numbers of its app and scope set, and its time to the
/// nanosecond. A record of each part would be several times as much to sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InParts {
    pub app: u32,
    pub set: u32,
    /// Beyond the record's microseconds.
    pub nanos: u16,
}

impl Of for InParts {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.app.to_be_bytes());
        out.extend_from_slice(&self.set.to_be_bytes());
        out.extend_from_slice(&self.nanos.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (app, rest) = bytes.split_first_chunk()?;
        let (set, rest) = rest.split_first_chunk()?;
        let (nanos, rest) = rest.split_first_chunk()?;
        let (app, set) = (u32::from_be_bytes(*app), u32::from_be_bytes(*set));
        Some((Self { app, set, nanos: u16::from_be_bytes(*nanos) }, rest))
    }
}

/// One event in the order of (group, person).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupRecord<L> {
    pub group: Key,
    /// A number that is the person's alone; [`NOBODY`] where the event names none.
    pub subject: u64,
    pub of: L,
    pub micros: i64,
    pub weight: i64,
}

impl<L: Of> Record for GroupRecord<L> {
    #[inline]
    fn prefix(&self) -> u64 {
        self.group.hi
    }

    fn sort(records: &mut Vec<Self>) {
        sort_dealt(records);
    }

    fn place(records: &mut [Self], partitions: usize, of: impl Fn(&Self) -> usize) {
        place_counted(records, partitions, of);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.group, out);
        out.extend_from_slice(&self.subject.to_be_bytes());
        self.of.encode(out);
        out.extend_from_slice(&self.micros.to_be_bytes());
        if self.weight != 1 {
            out.extend_from_slice(&self.weight.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (group, rest) = decode_key(bytes)?;
        let (subject, rest) = rest.split_first_chunk()?;
        let (of, rest) = L::decode(rest)?;
        let (micros, rest) = rest.split_first_chunk()?;
        Some(Self {
            group,
            subject: u64::from_be_bytes(*subject),
            of,
            micros: i64::from_be_bytes(*micros),
            weight: rest.first_chunk().map_or(1, |w| i64::from_be_bytes(*w)),
        })
    }
}

/// A [`GroupRecord`] of weight 1 whose key's lower half is 0 or 1: those of integer ids. It takes half
/// the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SmallRecord<L> {
    // In the order of a `GroupRecord`.
    hi: u64,
    /// The lower half of the group's key in the top bit, and the subject in the others; all of them are
    /// set where there is none.
    subject: u32,
    of: L,
    micros: i64,
}

/// Stands for nobody in a small record.
const SMALL_NOBODY: u32 = u32::MAX >> 1;

impl<L: Of> SmallRecord<L> {
    /// `None` where the record is not small.
    #[inline]
    pub fn of(record: &GroupRecord<L>) -> Option<Self> {
        let GroupRecord { group, subject, of, micros, weight } = *record;
        let lo = u32::try_from(group.lo).ok().filter(|lo| *lo <= 1 && weight == 1)?;
        let subject = match subject {
            NOBODY => SMALL_NOBODY,
            subject => u32::try_from(subject).ok().filter(|s| *s < SMALL_NOBODY)?,
        };
        Some(Self { hi: group.hi, subject: lo << 31 | subject, of, micros })
    }

    #[inline]
    pub fn record(&self) -> GroupRecord<L> {
        let subject = self.subject & SMALL_NOBODY;
        GroupRecord {
            group: Key { hi: self.hi, lo: u64::from(self.subject >> 31) },
            subject: if subject == SMALL_NOBODY { NOBODY } else { subject.into() },
            of: self.of,
            micros: self.micros,
            weight: 1,
        }
    }
}

impl<L: Of> Record for SmallRecord<L> {
    #[inline]
    fn prefix(&self) -> u64 {
        self.hi
    }

    fn sort(records: &mut Vec<Self>) {
        sort_dealt(records);
    }

    fn place(records: &mut [Self], partitions: usize, of: impl Fn(&Self) -> usize) {
        place_counted(records, partitions, of);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.record().encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::of(&GroupRecord::decode(bytes)?)
    }
}

/// An actor, and one of the leaves of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActorRecord {
    pub actor: Key,
    pub leaf: u32,
}

impl Record for ActorRecord {
    fn prefix(&self) -> u64 {
        self.actor.hi
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.actor, out);
        out.extend_from_slice(&self.leaf.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (actor, rest) = decode_key(bytes)?;
        Some(Self { actor, leaf: u32::from_be_bytes(*rest.first_chunk()?) })
    }
}

/// A group's own id, where its key does not give it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName {
    pub group: Key,
    pub id: Box<[u8]>,
}

impl Record for GroupName {
    fn prefix(&self) -> u64 {
        self.group.hi
    }

    fn held(&self) -> usize {
        // An allocation costs about this much beside its bytes.
        self.id.len() + 16
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_key(self.group, out);
        out.extend_from_slice(&self.id);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (group, id) = decode_key(bytes)?;
        Some(Self { group, id: id.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through<R: Record>(record: &R) -> Option<R> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        R::decode(&bytes)
    }

    fn survives<L: Of + std::fmt::Debug>(event: GroupRecord<L>) {
        assert_eq!(through(&event), Some(event));
        let GroupRecord { group, subject, weight, .. } = event;
        if let Some(small) = SmallRecord::of(&event) {
            assert_eq!(small.record(), event);
            assert_eq!(through(&small), Some(small));
        } else {
            assert!(group.lo > 1 || weight != 1 || subject >= u64::from(u32::MAX >> 1));
        }
    }

    proptest! {
        #[test]
        fn records_survive_their_encoding(
            hi: u64,
            lo in prop_oneof![Just(0u64), Just(1), Just(254), Just(255), any::<u64>()],
            subject in prop_oneof![
                0u64..9, Just(NOBODY), Just(u64::from(u32::MAX >> 1)), any::<u64>()
            ],
            leaf: u32,
            micros: i64,
            weight in prop_oneof![Just(1i64), any::<i64>()],
            id: Vec<u8>,
        ) {
            let key = Key { hi, lo };
            survives(GroupRecord { group: key, subject, of: leaf, micros, weight });
            let of = InParts { app: leaf, set: leaf / 3, nanos: u16::try_from(hi % 1000).unwrap() };
            survives(GroupRecord { group: key, subject, of, micros, weight });
            let actor = ActorRecord { actor: key, leaf };
            prop_assert_eq!(through(&actor), Some(actor));
            let name = GroupName { group: key, id: id.into() };
            prop_assert_eq!(through(&name), Some(name));
        }
    }
}
