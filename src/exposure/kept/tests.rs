use proptest::prelude::*;

use super::*;
use crate::exposure::group_ids::GroupIds;
use crate::exposure::listed::{Candidate, Met, RestGroups, ScopeGroups};
use crate::key::{IdKind, Key, Keyer};
use crate::moment::Moment;

/// A group of namespace 0 that so many people were reached in.
fn group(id: u64, subjects: u64) -> Candidate {
    let met = Met {
        key: Key { hi: id, lo: 0 },
        space: 0,
        number: None,
        apps: 1,
        subjects,
        requests: i64::try_from(subjects).unwrap() * 2,
        first: 5,
        last: 7,
    };
    Candidate::new(&id.to_string(), met)
}

fn scope(groups: Vec<Candidate>, keep: Option<u64>) -> ScopeGroups {
    let requests = groups.iter().map(|group| group.met().requests).sum();
    let all = RestGroups { groups: groups.len() as u64, requests };
    let mut scope = ScopeGroups { first: groups, all };
    scope.prune(keep);
    scope
}

fn sorted(mut scope: ScopeGroups) -> ScopeGroups {
    scope.first.sort_by(|a, b| a.rank().cmp(&b.rank()));
    scope
}

proptest! {
    /// People of some groups as they were and as they are: what is made of the kept ones and the changes is what a look
    /// at all groups makes, or it is said that it cannot be made.
    #[test]
    fn the_first_groups_are_those_of_a_look_at_all(
        groups in proptest::collection::vec((0..6u64, 0..6u64, any::<bool>()), 0..40),
        limit in proptest::option::of(0..12u64),
        more in 0..6u64
    ) {
        let keep = limit.map(|limit| limit + more);
        let at = |pick: fn(&(u64, u64, bool)) -> u64, chosen: bool| -> Vec<Candidate> {
            let groups = (0..).zip(&groups).filter(|(_, of)| !chosen || of.2 || of.0 != of.1);
            groups.filter(|(_, of)| pick(of) > 0).map(|(id, of)| group(id, pick(of))).collect()
        };
        let kept = scope(at(|of| of.0, false), keep);
        let kept = KeptGroups { first: kept.first, all: kept.all };
        let floor = kept.floor();
        let above = |groups: Vec<Candidate>| {
            let mut scope = scope(groups, None);
            scope.first.retain(|group| floor.holds(group));
            scope
        };
        let (then, now) = (above(at(|of| of.0, true)), above(at(|of| of.1, true)));
        match kept.now(then, now, (limit, keep)) {
            Ok(found) => {
                let expected = scope(at(|of| of.1, false), limit);
                let ranked = RankedGroups(vec![found.clone()]);
                let orders = ranked.orders(limit);
                let rows = ranked.listed(orders).remove(0);
                let mut listed = expected.clone();
                listed.put_in_order();
                let of_rows = rows.iter().map(|row| Key { hi: row.id().parse().unwrap(), lo: 0 });
                let of_groups = listed.first.iter().map(|group| group.met().key);
                prop_assert!(of_rows.eq(of_groups), "other groups are listed, or in another order");
                let requests: i64 = rows.iter().map(|row| row.met().requests).sum();
                let all = RestGroups {
                    groups: rows.count() as u64 + rows.rest.groups,
                    requests: requests + rows.rest.requests,
                };
                prop_assert_eq!(all, expected.all);
                let mut found = found;
                let before = found.first.clone();
                found.prune(limit);
                let mut before = before.iter();
                let in_order = found.first.iter().all(|group| before.any(|one| one == group));
                prop_assert!(in_order, "another order, or another group");
                prop_assert_eq!(sorted(found), sorted(expected));
            }
            Err(Unfit::Other) => prop_assert!(limit.is_some()),
            Err(Unfit::NoRoom | Unfit::Misfit) => prop_assert!(false, "no room, or a misfit"),
            Err(Unfit::Failed(error)) => prop_assert!(false, "{error}"),
        }
    }
}

#[test]
fn groups_that_were_not_what_they_are_said_to_have_been_do_not_fit() {
    let kept = scope(vec![group(1, 3), group(2, 4)], None);
    let tried = |then| {
        let none = scope(Vec::new(), None);
        KeptGroups { first: kept.first.clone(), all: kept.all }.now(then, none, (None, None))
    };
    assert!(tried(scope(vec![group(1, 3)], None)).is_ok());
    // Of another size, and one that was never there.
    assert!(matches!(tried(scope(vec![group(1, 2)], None)), Err(Unfit::Misfit)));
    assert!(matches!(tried(scope(vec![group(3, 1)], None)), Err(Unfit::Misfit)));
}

#[test]
fn units_serve_where_all_of_then_are_there_in_their_order() {
    let terms = |n: u64| [n; Term::COUNT];
    let then = vec![vec![(0, 1, terms(1)), (0, 2, terms(2))]];
    let now = |names: &[u64]| vec![names.iter().map(|name| (0, *name)).collect::<Vec<_>>()];
    let (kept, added) = units(&then, &now(&[9, 1, 8, 2])).unwrap();
    assert_eq!(kept, [[terms(0), terms(1), terms(0), terms(2)]]);
    assert_eq!(added, [[true, false, true, false]]);
    assert!(units(&then, &now(&[2, 1])).is_none());
    assert!(units(&then, &now(&[1, 3])).is_none());
}

/// A checksum does not tell whether a file has what it should have.
#[test]
fn cells_without_rows_that_were_counted_of_them_are_no_kept_count() {
    let key = |scope: &str| CellKey {
        grain: Grain::Scope,
        scope: Some(scope.into()),
        app: None,
        developer: None,
        attested_at: None,
    };
    let counts = CellCounts { rows: 3, ..CellCounts::default() };
    let rules = Rules::new(&crate::registry::Registry::default(), Moment::from_micros(9), 1);
    let header = Header {
        rules: KeptRules::of(&rules),
        of: String::new(),
        units: Vec::new(),
        conflicts: Vec::new(),
        fields: Vec::new(),
        groups: Vec::new(),
        exposures: (0, 0),
        cells: 2,
    };
    let mut out = CellsOut::new(1 << 20);
    ["a", "b"].iter().for_each(|scope| out.push(&key(scope), &counts));
    let file = out.finish(&header, std::iter::empty()).unwrap();
    let joined = |cells: u64, then: &[(&str, u64)]| {
        let difference = |rows_then| Difference { rows_then, change: None };
        let differences = Differences {
            cells: then.iter().map(|(scope, _)| key(scope)).collect(),
            changes: then.iter().map(|(_, rows)| difference(*rows)).collect(),
            bounds: None,
        };
        let kept = CellsIn::open(&file).unwrap().1;
        join((kept, cells), differences, &mut CellsOut::closed()).map(|cells| cells.len())
    };
    assert!(matches!(joined(2, &[]), Ok(2)));
    assert!(matches!(joined(2, &[("b", 3), ("a", 1), ("new", 0)]), Ok(2)));
    for (cells, then) in [(2, ("b", 4)), (2, ("gone", 1)), (3, ("b", 3)), (1, ("b", 3))] {
        assert!(matches!(joined(cells, &[then]), Err(Unfit::Misfit)), "{cells} {then:?}");
    }
}

#[test]
fn a_file_is_read_as_it_was_written_and_none_that_was_damaged() {
    let mut counts = CellCounts { rows: 3, ..CellCounts::default() };
    counts.windows[0].bytes = i128::from(i64::MAX) * 4;
    counts.windows[0].requests = -5;
    counts.events.insert(0b101, vec![(-4, 1), (18_000, 2)]);
    let key = CellKey {
        grain: Grain::ScopeApp,
        scope: Some("read".into()),
        app: None,
        developer: None,
        attested_at: Some(Moment { micros: 7, nanos: 9 }),
    };
    let registry = crate::registry::Registry::default();
    let rules = Rules::new(&registry, Moment::from_micros(9), 1);
    let header = || Header {
        rules: KeptRules::of(&rules),
        of: "it".into(),
        units: vec![vec![(u64::MAX, 1, [2; Term::COUNT])]],
        conflicts: vec![4],
        fields: Vec::new(),
        groups: vec![(2, RestGroups { groups: 4, requests: 9 })],
        exposures: (9, 4),
        cells: 1,
    };
    // An id that its key gives back, and one that it does not.
    let keyer = Keyer::plain();
    let ids = GroupIds { keyer: &keyer, kinds: &[Some(IdKind::Int), Some(IdKind::Text)] };
    let met = |key, space| Met { key, space, ..group(1, 3).met().clone() };
    let number = Candidate::new("-7", met(keyer.int(-7), 0));
    let text = Candidate::new("a group with a long name", met(Key { hi: 1, lo: 2 }, 1));
    let groups = || [&number, &text].map(|group| KeptGroup::of(group, ids)).into_iter();
    let mut out = CellsOut::new(1 << 20);
    out.push(&key, &counts);
    let file = out.finish(&header(), groups()).unwrap();
    let (found, mut cells) = CellsIn::open(&file).unwrap();
    assert_eq!(format!("{found:?}"), format!("{:?}", header()));
    let mut shown = String::new();
    assert_eq!(cells.group().unwrap().candidate(ids, &mut shown), number);
    assert_eq!(cells.group().unwrap().candidate(ids, &mut shown), text);
    assert_eq!(cells.next().unwrap(), Some((key.clone(), counts.clone())));
    assert_eq!(cells.next().unwrap(), None);

    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(CellsIn::open(&damaged).is_none(), "byte {at}");
    }
    assert!(CellsIn::open(&file[..file.len() - 1]).is_none());
    let mut small = CellsOut::new(file.len() as u64 / 2);
    small.push(&key, &counts);
    assert!(small.finish(&header(), groups()).is_none());
}
