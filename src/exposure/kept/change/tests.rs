use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::exposure::ExposureError;
use crate::exposure::cells::{Grain, of_then};
use crate::exposure::leaf::{LeafScope, Standing};
use crate::exposure::tally::{Surplus, Surpluses};
use crate::exposure::totals::Second;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Allowed,
    Denied,
    Unknown,
}

/// Of one row: a person, a leaf, a day, a weight.
type Event = (u8, usize, i64, i64, Kind);

const LEAVES: usize = 5;

/// Of grains with days and without.
fn keys() -> Vec<CellKey> {
    let key = |grain, name: &str| CellKey {
        grain,
        scope: Some(name.into()),
        app: None,
        developer: None,
        attested_at: None,
    };
    vec![
        key(Grain::ScopeApp, "a"),
        key(Grain::ScopeDeveloper, "b"),
        key(Grain::Scope, "c"),
        key(Grain::All, "d"),
    ]
}

/// Each has some of the cells in some windows; the last one holds its scope only.
fn leaves() -> Vec<Arc<Leaf>> {
    let cells = [
        vec![(0, 1), (2, 0b101), (3, 1)],
        vec![(0, 0b11), (2, 1)],
        vec![(1, 1), (2, 0b100), (3, 0b110)],
        vec![(1, 0b1000), (3, 1)],
        vec![(0, 1), (1, 1), (3, 1)],
    ];
    let leaf = |(number, cells): (usize, Vec<(u32, WindowSet)>)| {
        let used = number + 1 < LEAVES;
        let mut leaf = Leaf::new(Standing::Counts, used);
        leaf.refused.clone_from(&cells);
        if used {
            leaf.exposed = cells;
            leaf.scopes = vec![LeafScope { scope: 0, app_cell: None }];
        } else {
            leaf.held_only = cells;
        }
        Arc::new(leaf)
    };
    cells.into_iter().enumerate().map(leaf).collect()
}

/// Sums of events, by the words of docs/counting.md.
fn counted(events: &[Event], actors_are_people: bool) -> Counts {
    counted_in(&leaves(), events, actors_are_people)
}

fn counted_in(leaves: &[Arc<Leaf>], events: &[Event], actors_are_people: bool) -> Counts {
    let cells = keys().len();
    let mut sums = vec![Sums::default(); LEAVES];
    // Who was exposed in each leaf, on which days.
    let mut seen: Vec<BTreeSet<(u8, i64)>> = vec![BTreeSet::new(); LEAVES];
    let mut groups = vec![[0; Window::COUNT]; cells];
    for (person, leaf, day, weight, kind) in events {
        let of = &mut sums[*leaf];
        match kind {
            Kind::Allowed if leaves[*leaf].scopes.is_empty() => {
                of.refused += 1;
                of.held_only += weight;
            }
            Kind::Allowed => {
                let at = Moment::from_micros(*day * 86_400_000_000 + weight);
                of.exposed.first = of.exposed.first.min(at);
                of.exposed.last = of.exposed.last.max(at);
                of.exposed.bytes += i128::from(*weight) << 70;
                of.exposed.bytes_known += u64::from(weight % 2 == 0);
                of.records += i128::from(weight % 3);
                of.records_known += 1;
                of.subjects_unknown_rows += u64::from(*person == 0);
                let on = of.days.entry(*day);
                on.events += 1;
                on.requests += weight;
                if *person > 0 {
                    seen[*leaf].insert((*person, *day));
                }
                for (cell, windows) in &leaves[*leaf].exposed {
                    for (i, groups) in groups[index(*cell)].iter_mut().enumerate() {
                        *groups += u64::from(windows >> i & 1 == 1 && weight % 4 == 0);
                    }
                }
            }
            Kind::Denied => {
                of.refused += 1;
                of.denied_events += 1;
                of.denied += weight;
            }
            Kind::Unknown => {
                of.refused += 1;
                of.unknown += weight;
            }
        }
    }
    // People by day, and those whose first day it is.
    let days = |seen: &BTreeSet<(u8, i64)>| {
        let mut days: BTreeMap<i64, DayPeople> = BTreeMap::new();
        let mut met = BTreeSet::new();
        for (person, day) in seen {
            let on = days.entry(*day).or_default();
            on.subjects += 1;
            on.new += u64::from(met.insert(*person));
        }
        days
    };
    let people = |seen: &BTreeSet<(u8, i64)>| -> BTreeSet<u8> {
        seen.iter().map(|(person, _)| *person).collect()
    };
    for (of, seen) in sums.iter_mut().zip(&seen) {
        for (day, people) in days(seen) {
            of.days.entry(day).people = people;
        }
    }
    let mut surplus = Surpluses::default();
    surplus.cells.resize_with(cells, Surplus::default);
    for (cell, of) in (0..).zip(&mut surplus.cells) {
        let of_cell = |leaf: usize| leaves[leaf].exposed.iter().find(|(own, _)| *own == cell);
        let own: Vec<usize> = (0..LEAVES).filter(|leaf| of_cell(*leaf).is_some()).collect();
        for i in 0..Window::COUNT {
            let within: Vec<usize> =
                own.iter().copied().filter(|l| of_cell(*l).unwrap().1 >> i & 1 == 1).collect();
            let each: usize = within.iter().map(|leaf| people(&seen[*leaf]).len()).sum();
            let all: BTreeSet<u8> = within.iter().flat_map(|leaf| people(&seen[*leaf])).collect();
            of.subjects[i] = (each - all.len()) as u64;
        }
        let all = own.iter().flat_map(|leaf| seen[*leaf].iter().copied()).collect();
        for (day, once) in days(&all) {
            let on = of.days.entry(day);
            for people in own.iter().filter_map(|leaf| days(&seen[*leaf]).remove(&day)) {
                on.subjects += people.subjects;
                on.new += people.new;
            }
            on.subjects -= once.subjects;
            on.new -= once.new;
        }
    }
    let actors = match actors_are_people {
        true => vec![[0; Window::COUNT]; cells],
        false => groups.iter().map(|of| of.map(|groups| groups / 2)).collect(),
    };
    let second = Second { groups, actors, actors_are_people, ..Second::default() };
    Counts { sums, surplus, second }
}

/// As the cells of a whole count.
fn cells(counts: Counts) -> BTreeMap<CellKey, CellCounts> {
    cells_of(&leaves(), counts)
}

fn cells_of(leaves: &[Arc<Leaf>], counts: Counts) -> BTreeMap<CellKey, CellCounts> {
    let mut cells = BTreeMap::new();
    let each = |key, counts| {
        cells.insert(key, counts);
        Ok::<(), ExposureError>(())
    };
    counts.roll_up(keys(), leaves, each).unwrap();
    cells
}

fn between(then: &[Event], now: &[Event], people: bool) -> Vec<Option<CellChange>> {
    let counted = Counted { now: counted(now, people), then: Some(counted(then, people)) };
    let changes = counted.changes(&keys(), &leaves(), (u64::MAX, || ())).unwrap();
    let kept = cells(self::counted(then, people));
    // Of all that was counted then.
    for (key, change) in keys().iter().zip(&changes) {
        assert_eq!(change.rows_then, kept.get(key).map_or(0, |counts| counts.rows));
    }
    changes.into_iter().map(|of_cell| of_cell.change).collect()
}

/// Leaves in which every row lies in the same cells, and in these windows more by the one rules or the other.
fn joint_leaves(more: &[(WindowSet, WindowSet)]) -> [Vec<Arc<Leaf>>; 3] {
    let with = |windows: &dyn Fn(WindowSet, (WindowSet, WindowSet)) -> WindowSet| {
        let leaf = |(leaf, more): (Arc<Leaf>, &(WindowSet, WindowSet))| {
            let mut leaf = leaf.as_ref().clone();
            let lists = [&mut leaf.refused, &mut leaf.held_only, &mut leaf.exposed];
            for (_, own) in lists.into_iter().flatten() {
                *own = windows(*own, *more);
            }
            Arc::new(leaf)
        };
        leaves().into_iter().zip(more).map(leaf).collect()
    };
    [
        with(&|own, (now, _)| own | now),
        with(&|own, (_, then)| own | then),
        with(&|own, (now, then)| own | now | of_then(own | then)),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let kind = prop_oneof![
        4 => Just(Kind::Allowed),
        1 => Just(Kind::Denied),
        1 => Just(Kind::Unknown),
    ];
    // Some days lie far from all others.
    let day = prop_oneof![6 => -3..6i64, 1 => 5_000..5_003i64];
    proptest::collection::vec((0..4u8, 0..LEAVES, day, 0..9i64, kind), 0..14)
}

/// First and last moments of what is left are told from elsewhere.
fn without_bounds(counts: &CellCounts) -> CellCounts {
    let mut counts = counts.clone();
    for window in &mut counts.windows {
        (window.first, window.last) = (Moment::MAX, Moment::MIN);
    }
    counts
}

proptest! {
    #[test]
    fn what_was_counted_then_is_with_what_changes_what_is_counted_now(
        (both, gone, new) in (events(), events(), events()),
        (only_new, people) in (any::<bool>(), any::<bool>()),
    ) {
        let gone = if only_new { Vec::new() } else { gone };
        let then: Vec<Event> = both.iter().chain(&gone).copied().collect();
        let now: Vec<Event> = both.iter().chain(&new).copied().collect();
        let (kept, mut expected) = (cells(counted(&then, people)), cells(counted(&now, people)));
        for (key, change) in keys().into_iter().zip(between(&then, &now, people)) {
            let mut found = kept.get(&key).cloned().unwrap_or_default();
            let expected = expected.remove(&key).unwrap_or_default();
            if let Some(change) = change {
                found.change(change).unwrap();
                found.tidy().unwrap();
            }
            if only_new {
                prop_assert_eq!(&found, &expected, "{:?}", key);
            }
            prop_assert_eq!(without_bounds(&found), without_bounds(&expected), "{:?}", key);
        }
    }

    #[test]
    fn what_was_counted_by_windows_of_then_is_with_what_changes_what_is_counted_by_those_of_now(
        events in events(),
        more in proptest::collection::vec((0..0b111_1111u16, 0..0b111_1111u16), LEAVES),
        people: bool,
    ) {
        let [of_now, of_then, of_both] = joint_leaves(&more);
        let mut joint = counted_in(&of_now, &events, people);
        let then = counted_in(&of_then, &events, people);
        joint.surplus.then = then.surplus.cells.iter().map(|surplus| surplus.subjects).collect();
        joint.second.groups_then.clone_from(&then.second.groups);
        joint.second.actors_then.clone_from(&then.second.actors);
        let counted = Counted { now: joint, then: None };
        let changes = counted.changes(&keys(), &of_both, (u64::MAX, || ())).unwrap();
        let kept = cells_of(&of_then, then);
        let mut expected = cells_of(&of_now, counted_in(&of_now, &events, people));
        for (key, Difference { rows_then, change }) in keys().into_iter().zip(changes) {
            let mut found = kept.get(&key).cloned().unwrap_or_default();
            prop_assert_eq!(rows_then, found.rows);
            if let Some(change) = change {
                found.change(change).unwrap();
                found.tidy().unwrap();
            }
            let expected = expected.remove(&key).unwrap_or_default();
            prop_assert_eq!(without_bounds(&found), without_bounds(&expected), "{:?}", key);
        }
    }

    #[test]
    fn nothing_changes_where_all_is_as_it_was(events in events(), people: bool) {
        prop_assert!(between(&events, &events, people).iter().all(Option::is_none));
    }

    #[test]
    fn what_is_not_there_cannot_be_taken(events in events(), people: bool) {
        let there = cells(counted(&events, people));
        let twice: Vec<Event> = events.iter().chain(&events).copied().collect();
        for (key, change) in keys().into_iter().zip(between(&twice, &[], people)) {
            let mut found = there.get(&key).cloned().unwrap_or_default();
            let fits = change.is_none_or(|change| found.change(change).is_ok());
            prop_assert_eq!(fits, !there.contains_key(&key));
        }
    }
}

#[test]
fn no_more_cells_change_than_there_is_room_for() {
    let events = [(1, 0, 3, 4, Kind::Allowed)];
    let tried = |most| {
        let counted = Counted { now: counted(&events, false), then: Some(Counts::default()) };
        counted.changes(&keys(), &leaves(), (most, || "too many"))
    };
    let changes = tried(3).unwrap();
    assert_eq!(changes.iter().filter(|of_cell| of_cell.change.is_some()).count(), 3);
    assert_eq!(tried(2).unwrap_err(), "too many");
}

#[test]
fn a_sum_that_does_not_fit_is_told() {
    let most = [(1, 0, 3, i64::MAX, Kind::Denied)];
    let mut kept = cells(counted(&most, false)).into_values().next().unwrap();
    let more = between(&[], &[(1, 0, 3, 1, Kind::Denied)], false).remove(0);
    assert_eq!(kept.change(more.unwrap()), Err(Misfit));
    // The difference of two that fit need not fit itself.
    let least = [(1, 0, 3, i64::MIN, Kind::Denied)];
    let mut kept = cells(counted(&least, false)).into_values().next().unwrap();
    kept.change(between(&least, &most, false).remove(0).unwrap()).unwrap();
    assert_eq!(kept.windows[0].denied, i64::MAX);
}
