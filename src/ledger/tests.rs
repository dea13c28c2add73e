//! Whole merges of real packs, held against sorting all their rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::call::CallBits;
use super::merge::{Input, Merge, Names};
use super::order::Order;
use super::pack::{
    Common, Kinds, Lineage, PackFooter, PackNames, PackUnit, PersonColumn, Picked, to_arrow,
};
use super::read::{KeyRange, OpenPack};
use super::store::{Ledger, Pack};
use super::write::{PackEncoder, write_pack};
use super::{Chosen, Cursor, FAN_IN, Halves, LedgerError, compact};
use crate::config::raw;
use crate::key::{IdKind, Key};
use crate::scan::batch::{AccessBatch, KeyColumn, NONE, Outcome};
use crate::scan::scope_sets::ScopeSet;
use crate::scan::{Asked, AskedScope, UnitRecord};
use crate::store::{Io, Pin, StoreUrl};

/// Person, event id, and a value by which rows are told apart.
type Row = (Option<Key>, Option<Key>, i64);

struct Place {
    ledger: Ledger,
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::parse("state/", folder.path(), &raw::Store::default()).unwrap();
        let store = url.open_or_create(&Io::new(runtime.handle().clone())).unwrap();
        Self { ledger: Ledger::open(store).unwrap(), _runtime: runtime, folder }
    }

    fn asked() -> Asked {
        Asked::new(vec![AskedScope { name: "read".into(), first_day: 0 }])
    }

    /// Rows of two units.
    fn batch(rows: &[Row]) -> (AccessBatch, Kinds) {
        let mut batch = AccessBatch::default();
        let app = batch.app_names.code("app");
        let set = ScopeSet { scopes: vec!["read".into()], exercised: vec!["read".into()] };
        let set = batch.scope_sets.code(&set);
        for (i, (person, event, value)) in rows.iter().enumerate() {
            batch.unit.push(u32::from(i % 3 == 0));
            batch.micros.push(1);
            batch.app.push(app);
            batch.scopes.push(set);
            batch.outcome.push(Outcome::Allowed);
            batch.subject.push(*person);
            batch.event.push(*event);
            batch.bytes.push(Some(*value));
        }
        (batch, Kinds { person: Some(IdKind::Int), group: None, event: Some(IdKind::Int) })
    }

    /// A pack of the rows of two units.
    fn pack(&self, number: usize, rows: &[Row]) -> Pack {
        let (batch, kinds) = Self::batch(rows);
        self.pack_of(number, &batch, kinds, PersonColumn::Subject)
    }

    /// A pack of the rows as they come, which is no pack that is ever written.
    fn pack_as_it_comes(&self, rows: &[Row]) -> Pack {
        let (batch, kinds) = Self::batch(rows);
        let mut footer = Self::footer(0, &batch, kinds, PersonColumn::Subject);
        footer.name = footer.name_from(&[]).unwrap();
        footer.call = CallBits::of(2, 1, 1).unwrap();
        let picked = Picked {
            people: batch.subject.hi.clone(),
            rows: Common::all(&batch, footer.call).collect(),
            unknown: false,
        };
        let columns = to_arrow(&batch, PersonColumn::Subject, footer.call, picked).unwrap();
        let mut out = self.ledger.create(&footer.name);
        let mut encoder = PackEncoder::new(columns.schema(), footer).unwrap();
        out.write(encoder.write(&columns).unwrap()).unwrap();
        let (footer, tail) = encoder.finish(&PackNames::of(&batch)).unwrap();
        out.write(tail).unwrap();
        out.finish(footer).unwrap()
    }

    /// A pack of rows of two units.
    fn pack_of(
        &self,
        number: usize,
        batch: &AccessBatch,
        kinds: Kinds,
        person: PersonColumn,
    ) -> Pack {
        let footer = Self::footer(number, batch, kinds, person);
        write_pack(&self.ledger, batch, footer, &mut Order::default()).unwrap()
    }

    fn footer(
        number: usize,
        batch: &AccessBatch,
        kinds: Kinds,
        person: PersonColumn,
    ) -> PackFooter {
        let units = [0, 1].map(|row_group| PackUnit {
            file: format!("file-{number}"),
            pin: Pin { size: 1, ..Default::default() },
            record: UnitRecord {
                row_group,
                of: 2,
                kept: batch.unit.iter().filter(|unit| **unit == row_group).count() as u64,
                ..Default::default()
            },
        });
        PackFooter {
            name: String::new(),
            lineage: Lineage::new("mapping", "", String::new()),
            asked: Self::asked(),
            kinds,
            person,
            rows: batch.len() as u64,
            call: CallBits::default(),
            units: units.into(),
            checksums: Vec::new(),
            names_checksum: String::new(),
        }
    }

    /// The rows of a merge; of `skipped` packs the second unit is left out.
    fn merged(
        &self,
        packs: &[Pack],
        range: KeyRange,
        batch_rows: usize,
        skipped: usize,
    ) -> Vec<Row> {
        self.merged_if_sound(packs, range, batch_rows, skipped).unwrap()
    }

    fn merged_if_sound(
        &self,
        packs: &[Pack],
        range: KeyRange,
        batch_rows: usize,
        skipped: usize,
    ) -> Result<Vec<Row>, LedgerError> {
        let open = |(i, pack): (usize, &Pack)| {
            let units = if i < skipped { vec![0, NONE] } else { vec![0, 1] };
            OpenPack::open(&self.ledger, pack.clone(), units).map(Arc::new)
        };
        let packs = packs.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        let inputs = [Input { source: 0, group_space: 0, packs }];
        let asked = [Arc::new(Self::asked())];
        let mut merge = Merge::new(&inputs, &asked, &range, batch_rows, Names::default())?;
        let mut rows = Vec::new();
        while let Some(block) = merge.next_block()? {
            rows.extend(block.rows().map(|row| (row.person(), row.event(), row.bytes().unwrap())));
        }
        Ok(rows)
    }
}

#[test]
fn rows_that_are_not_in_order_are_refused() {
    let key = |hi, lo| Some(Key { hi, lo });
    let (somebody, event) = (key(5, 1), key(2, 0));
    for (rows, sorted) in [
        ([(somebody, None), (key(5, 2), None)], true),
        ([(somebody, event), (somebody, event)], true),
        ([(None, event), (somebody, None)], true),
        ([(somebody, None), (key(4, 9), None)], false),
        ([(somebody, None), (key(5, 0), None)], false),
        ([(somebody, event), (somebody, key(1, 0))], false),
        ([(somebody, event), (somebody, None)], false),
        ([(somebody, None), (None, None)], false),
        ([(None, event), (None, None)], false),
    ] {
        let rows = rows.map(|(person, event)| (person, event, 7));
        let place = Place::new();
        let pack = [place.pack_as_it_comes(&rows)];
        // In one block, and in two.
        for batch_rows in [10, 1] {
            match place.merged_if_sound(&pack, 0..=u64::MAX, batch_rows, 0) {
                Ok(found) => assert!(sorted && found == rows, "{rows:?}"),
                Err(LedgerError::Internal { what }) => {
                    assert!(!sorted && what.contains("is not sorted"), "{rows:?}: {what}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Subject, actor, group, outcome, and what else may be null: the id of the group and bytes.
type Event = (Option<u64>, Option<u64>, Option<u64>, Outcome, Option<u8>, Option<i64>);

fn events() -> impl Strategy<Value = Vec<Event>> {
    // Halves that lie in ranges of their own, and the one that nulls have below them.
    let half = || proptest::option::weighted(0.8, (0..5u64).prop_map(|half| half << 60));
    let outcome =
        proptest::sample::select(vec![Outcome::Allowed, Outcome::Denied, Outcome::Unknown]);
    let event = (half(), half(), half(), outcome, any::<Option<u8>>(), any::<Option<i64>>());
    proptest::collection::vec(event, 0..60)
}

/// All that a cursor gives.
fn read(mut cursor: Cursor) -> Vec<(u32, Event)> {
    let mut rows = Vec::new();
    while cursor.read().unwrap() {
        let block = &cursor.block;
        let half = |keys: &KeyColumn, row| keys.get(row).map(|key| key.hi);
        rows.extend((0..block.len()).map(|row| {
            let id = block.group_id.get(row).and_then(|id| id.as_deref()?.first().copied());
            let event = (
                half(&block.subject, row),
                half(&block.actor, row),
                half(&block.group, row),
                block.outcome[row],
                id,
                block.bytes.get(row),
            );
            (block.unit[row], event)
        }));
    }
    rows
}

proptest! {
    #[test]
    fn of_all_rows_a_cursor_gives_those_of_the_chosen(
        events in events(),
        person in proptest::sample::select(
            vec![PersonColumn::Subject, PersonColumn::Actor, PersonColumn::None],
        ),
        (people, nobody) in (proptest::collection::vec(0..5u64, 0..3), any::<bool>()),
        groups in proptest::collection::vec(0..5u64, 0..3),
        actors in proptest::collection::vec(0..5u64, 0..3),
        batch_rows in 1..9usize,
    ) {
        let mut batch = AccessBatch::default();
        let app = batch.app_names.code("app");
        let set = ScopeSet { scopes: vec!["read".into()], exercised: vec!["read".into()] };
        let set = batch.scope_sets.code(&set);
        let key = |half: Option<u64>| half.map(|hi| Key { hi, lo: 7 });
        for (i, (subject, actor, group, outcome, id, bytes)) in events.iter().enumerate() {
            batch.unit.push(u32::from(i % 3 == 0));
            batch.micros.push(1);
            batch.app.push(app);
            batch.scopes.push(set);
            batch.outcome.push(*outcome);
            batch.subject.push(key(*subject));
            batch.actor.push(key(*actor));
            batch.group.push(key(*group));
            batch.group_id.push(id.map(|id| [id].into()));
            batch.bytes.push(*bytes);
        }
        let place = Place::new();
        let kinds = Kinds { person: Some(IdKind::Uuid), group: Some(IdKind::Text), event: None };
        let pack = place.pack_of(0, &batch, kinds, person);
        let pack = Arc::new(OpenPack::open(&place.ledger, pack, vec![0, 1]).unwrap());
        let mut names = Names::default();
        let mut cursor = |chosen| {
            let (asked, range) = (Place::asked(), 0..=u64::MAX);
            let cursor =
                Cursor::new(pack.clone(), (0, 0), range, &asked, batch_rows, &mut names);
            read(cursor.unwrap().of(chosen))
        };
        let held = |halves: &[u64]| -> Vec<u64> { halves.iter().map(|half| half << 60).collect() };
        let (people, groups, actors) = (held(&people), held(&groups), held(&actors));
        let chosen = Chosen {
            people: Halves::of(&people),
            nobody,
            groups: Halves::of(&groups),
            actors: Halves::of(&actors),
        };
        let is_chosen = |(subject, actor, group, outcome, ..): &Event| {
            let person = match person {
                PersonColumn::Subject => *subject,
                PersonColumn::Actor => *actor,
                PersonColumn::None => None,
            };
            let among = |half: &Option<u64>, of: &[u64]| half.is_some_and(|h| of.contains(&h));
            person.map_or(nobody, |half| people.contains(&half))
                || *outcome == Outcome::Allowed && (among(group, &groups) || among(actor, &actors))
        };
        let mut expected = cursor(None);
        let in_some_order = |rows: &[(u32, Event)]| {
            let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort_unstable();
            rows
        };
        let written: Vec<(u32, Event)> =
            events.iter().enumerate().map(|(i, event)| (u32::from(i % 3 == 0), *event)).collect();
        prop_assert_eq!(in_some_order(&expected), in_some_order(&written));
        expected.retain(|(_, event)| is_chosen(event));
        prop_assert_eq!(cursor(Some(Arc::new(chosen))), expected);
    }
}

/// Few people and events, the least and the greatest keys among them.
fn key() -> impl Strategy<Value = Option<Key>> {
    let hi = prop_oneof![Just(0), Just(1), Just(1 << 63), Just(u64::MAX - 1), Just(u64::MAX)];
    let key = (hi, 0..2u64).prop_map(|(hi, lo)| Key { hi, lo });
    proptest::option::weighted(0.8, key)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::vec((key(), key(), 0..1000i64), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_gives_each_row_once_in_order(
        packs in proptest::collection::vec(rows(), 1..6),
        cut in prop_oneof![Just(0), Just(1), Just(1 << 63), Just(u64::MAX - 1)],
        batch_rows in 1..9usize,
        skipped in 0..3usize,
    ) {
        let place = Place::new();
        let files: Vec<Pack> =
            packs.iter().enumerate().map(|(i, rows)| place.pack(i, rows)).collect();
        let mut found = place.merged(&files, 0..=cut, batch_rows, skipped);
        let inside = |row: &Row| row.0.is_none_or(|key| key.hi <= cut);
        prop_assert!(found.iter().all(inside));
        found.extend(place.merged(&files, cut + 1..=u64::MAX, batch_rows, skipped));
        prop_assert!(found.is_sorted_by_key(|row| (row.0, row.1)));
        let counts = |rows: &mut dyn Iterator<Item = Row>| {
            let mut counts: BTreeMap<Row, u32> = BTreeMap::new();
            rows.for_each(|row| *counts.entry(row).or_default() += 1);
            counts
        };
        let kept = packs.iter().enumerate().flat_map(|(pack, rows)| {
            let kept = rows.iter().enumerate();
            kept.filter(move |(i, _)| pack >= skipped || i % 3 != 0).map(|(_, row)| *row)
        });
        prop_assert_eq!(counts(&mut found.into_iter()), counts(&mut { kept }));
    }
}

/// Rows without a person are equal in all that a merge sorts by, and fill many blocks.
#[test]
fn many_rows_of_nobody_beside_the_person_whose_key_is_zero_keep_their_number() {
    let place = Place::new();
    let zero = Some(Key { hi: 0, lo: 0 });
    let rows = |from: i64| -> Vec<Row> {
        (from..from + 10_000).map(|i| (if i % 2 == 0 { None } else { zero }, None, i)).collect()
    };
    let packs = [place.pack(0, &rows(0)), place.pack(1, &rows(10_000))];
    let mut found = place.merged(&packs, 0..=u64::MAX, 4096, 0);
    assert!(found.is_sorted_by_key(|row| row.0));
    found.sort_by_key(|row| row.2);
    let mut expected = rows(0);
    expected.extend(rows(10_000));
    assert_eq!(found, expected);
}

/// Two runs that merge the same packs must write the same bytes: one's may stand for the other's.
#[test]
fn a_merged_pack_is_the_same_bytes_in_every_place() {
    let merged = || {
        let place = Place::new();
        let selected: Vec<(Pack, Vec<u32>)> = (0..=FAN_IN)
            .map(|number| {
                let from = (number * 100) as i64;
                let rows: Vec<Row> = (from..from + 100).map(|value| (None, None, value)).collect();
                (place.pack(number, &rows), vec![0, 1])
            })
            .collect();
        let pack = compact(&place.ledger, &selected, FAN_IN, &AtomicBool::new(false)).unwrap();
        let pack = pack.unwrap();
        assert!(pack.footer.rows > 3_000);
        let path = place.folder.path().join("state/packs").join(&pack.name);
        (pack.name, std::fs::read(path).unwrap())
    };
    assert_eq!(merged(), merged());
}

/// What a damaged footer or index says is not believed: rows are read anew, or the pack is named.
#[test]
fn one_changed_byte_of_what_a_pack_says_of_itself_is_noticed() {
    let place = Place::new();
    let rows = |from: i64| -> Vec<Row> {
        let key = |i: i64| Some(Key { hi: i.unsigned_abs() << 40, lo: 0 });
        (from..from + 50).map(|i| (key(i), key(i), i)).collect()
    };
    let packs = [place.pack(0, &rows(0)), place.pack(1, &rows(50))];
    let merged = |packs: &[Pack]| place.merged_if_sound(packs, 0..=u64::MAX, 4096, 0);
    let expected = merged(&packs).unwrap();
    place.ledger.write_index(&packs).unwrap();
    let state = place.folder.path().join("state");
    let said = |packs: &[Pack]| format!("{packs:?}");
    let whole = said(&place.ledger.packs().unwrap());
    let changed = |path: &std::path::Path, at: usize, bit: u8| {
        let bytes = std::fs::read(path).unwrap();
        let mut other = bytes.clone();
        other[at] ^= 1 << bit;
        std::fs::write(path, other).unwrap();
        let found = place.ledger.packs();
        // One that says that it is of another format serves nobody.
        let served = found.ok().filter(|packs| packs.len() == 2);
        let rows = served.as_ref().and_then(|packs| merged(packs).ok());
        if let Some((packs, rows)) = served.zip(rows.as_ref()) {
            let is_same = said(&packs) == whole && rows == &expected;
            assert!(is_same, "byte {at} of {}", path.display());
        }
        std::fs::write(path, bytes).unwrap();
        rows.is_none()
    };
    let index = state.join("index.json");
    for at in (0..std::fs::read(&index).unwrap().len()).step_by(11) {
        assert!(!changed(&index, at, at as u8 % 8), "an index is not needed");
    }
    std::fs::remove_file(&index).unwrap();
    let pack = state.join("packs").join(&packs[0].name);
    let length = std::fs::read(&pack).unwrap();
    let footer = u32::from_le_bytes(length[length.len() - 8..length.len() - 4].try_into().unwrap());
    let from = length.len() - 8 - footer as usize;
    let refused =
        (from..length.len()).step_by(2).filter(|at| changed(&pack, *at, *at as u8 % 8)).count();
    // Some bytes say nothing that anybody relies on.
    assert!(refused * 4 > footer as usize, "{refused} of {footer}");
}

/// A whole pack that lies where another is looked for.
#[test]
fn a_pack_under_another_s_name_is_named() {
    let place = Place::new();
    let row = |i: u64| (Some(Key { hi: i << 40, lo: 0 }), Some(Key { hi: i << 40, lo: 0 }), 1);
    let [one, other] = [place.pack(0, &[row(1)]), place.pack(1, &[row(2), row(3)])];
    let packs = place.folder.path().join("state/packs");
    std::fs::copy(packs.join(&other.name), packs.join(&one.name)).unwrap();
    let says = format!("it is pack {} under another's name", other.name);
    for found in [place.ledger.packs().map(|_| ()), place.ledger.find(&one.name).map(|_| ())] {
        let error = found.unwrap_err().to_string();
        assert!(error.contains(&one.name) && error.contains(&says), "{error}");
    }
}

/// A limit that holds few packs at once merges earlier, and as few at a time.
#[test]
fn packs_are_merged_as_soon_as_they_are_more_than_may_be_open_at_once() {
    let place = Place::new();
    let selected: Vec<(Pack, Vec<u32>)> = (0..6)
        .map(|number| {
            let from = (number * 10) as i64;
            let rows: Vec<Row> = (from..from + 10).map(|value| (None, None, value)).collect();
            (place.pack(number, &rows), vec![0, 1])
        })
        .collect();
    let rows_of_merged = |most| {
        let pack = compact(&place.ledger, &selected, most, &AtomicBool::new(false)).unwrap();
        pack.map(|pack| pack.footer.rows)
    };
    // Half of as many as may be open are left alone; of six packs with ten rows each the others are merged.
    assert_eq!([6, 5, 4, 2].map(rows_of_merged), [None, Some(40), Some(40), Some(20)]);
}
