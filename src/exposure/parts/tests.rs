use std::sync::Mutex;

use super::*;
use crate::exposure::cells::{CellKey, WindowSet, now_and_then};
use crate::exposure::policy::Leaves;
use crate::exposure::rules::Rules;
use crate::memory::Budget;
use crate::registry::{App, Attestation, Brownout, Grant, Registry, Scope};
use crate::scan::scope_sets::ScopeSet;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn moment(micros: i64) -> Moment {
    Moment { micros, nanos: u16::try_from(micros.rem_euclid(3)).unwrap() * 300 }
}

/// Three scopes and an app of a developer; everything that cuts time does so within 40 microseconds.
fn registry(times: &[i64], owned: bool) -> Registry {
    let name = |i: usize| format!("s{i}");
    let at = |i: usize| moment(times[i]);
    let app = App { developer_id: owned.then(|| "dev".into()), ..Default::default() };
    let promise = |scope: Option<usize>, given: usize| Attestation {
        app: "app".into(),
        scope: scope.map(name),
        asked_at: None,
        attested_at: Some(at(given)),
        statement: None,
    };
    let restricted =
        |i: usize| Scope { restricted_at: at(i), data_fields: Vec::new(), special_fields: None };
    Registry {
        scopes: (0..3).map(|i| (name(i), restricted(i))).collect(),
        apps: BTreeMap::from([("app".into(), app)]),
        grace: BTreeMap::from([(("app".into(), name(0)), at(3))]),
        grants: Some(BTreeMap::from([(
            ("app".into(), name(1)),
            vec![Grant { granted_at: None, revoked_at: Some(at(4)) }],
        )])),
        brownouts: Some(vec![Brownout {
            scope: name(2),
            app: None,
            from: at(5).min(at(6)),
            to: at(5).max(at(6)),
        }]),
        attestations: Some(vec![promise(None, 7), promise(Some(1), 8)]),
        ..Default::default()
    }
}

/// Cells of an event with their windows, sorted: of an allowed one, as exposure and as held, and of
/// others.
#[derive(Debug, Default, PartialEq)]
struct Cells([Vec<(CellKey, WindowSet)>; 3]);

impl Cells {
    fn add(&mut self, policy: &Policy, leaf: &Leaf) {
        let lists = [&leaf.exposed, &leaf.held_only, &leaf.refused];
        for (own, list) in self.0.iter_mut().zip(lists) {
            let key = |cell: u32| policy.cells[usize::try_from(cell).unwrap()].clone();
            own.extend(list.iter().map(|(cell, windows)| (key(*cell), *windows)));
            own.sort();
        }
    }
}

proptest! {
    #[test]
    fn parts_are_together_what_the_whole_leaf_is(
        times in proptest::collection::vec(0i64..40, 9),
        (as_of, at) in (0i64..44, prop_oneof![8 => -1i64..44, 1 => Just(i64::MAX)]),
        (carried, used, owned, named) in (1u8..8, 0u8..8, any::<bool>(), any::<bool>()),
        whole in any::<bool>(),
    ) {
        // Cuts of whole microseconds are looked up otherwise than others.
        let even = |micros: i64| if whole { micros - micros.rem_euclid(3) } else { micros };
        let times: Vec<i64> = times.into_iter().map(even).collect();
        let chosen = |bits: u8| (0..3).filter(move |i| bits >> i & 1 == 1);
        let names = |bits: u8| chosen(bits).map(|i| format!("s{i}")).collect::<Vec<_>>();
        let set = ScopeSet { scopes: names(carried), exercised: names(carried & used) };
        let mut rules = Rules::new(&registry(&times, owned), moment(even(as_of)), 0);
        rules.lookback_from = moment(even(as_of / 2));
        let at = moment(at);
        let app = named.then_some("app");
        let mut policy = Policy::new(rules);
        let pair = policy.pair(app, &set);
        let (number, leaf) = pair.at(at).unwrap();
        let (whole, mut expected) = (LeafAt::of(number, leaf), Cells::default());
        expected.add(&policy, leaf);

        let (found, cells) = in_parts(policy, Era::Now, (app, &set), at);
        prop_assert_eq!(
            (found.standing, found.exercised, found.exercises),
            (whole.standing, whole.exercised, whole.exercises)
        );
        prop_assert_eq!(cells, expected);
    }
}

/// The parts of an event by these rules, and their cells together.
fn in_parts(
    mut policy: Policy,
    era: Era,
    (app, set): (Option<&str>, &ScopeSet),
    at: Moment,
) -> (LeafAt, Cells) {
    let (of, number) = policy.numbers(app, set);
    let Carried { scopes, exercises } = policy.set(number).unwrap();
    let scopes = scopes.to_vec();
    let scopes = Carried { scopes: &scopes, exercises };
    let policy = Mutex::new(policy);
    let memory = Budget::new(1 << 30, 1).unwrap().counting(1, 1);
    let (mut parts, mut out) = (Parts::default(), Vec::new());
    let mut shared = Shared::new((&policy, era), memory);
    let found = parts.find((of, scopes), at, &mut shared, &mut out).unwrap();
    let policy = policy.into_inner().unwrap();
    let mut cells = Cells::default();
    for part in &out {
        let leaf = &policy.leaves[usize::try_from(part.leaf).unwrap()];
        assert_eq!(part.exposed, !leaf.exposed.is_empty());
        assert_eq!(part.exposed, leaf.held_only.is_empty());
        cells.add(&policy, leaf);
    }
    // The second pass finds the same again.
    let mut again = Vec::new();
    Parts::default().find((of, scopes), at, &mut (&policy, era), &mut again).unwrap();
    assert_eq!(again, out);
    (found, cells)
}

/// Registry times of which one alone may differ from others.
fn two_rules(times: &[i64], other: (usize, i64), ends: [i64; 2]) -> [Rules; 2] {
    let mut others = times.to_vec();
    others[other.0] = other.1;
    let rules = |times: &[i64], as_of: i64| {
        let mut rules = Rules::new(&registry(times, true), moment(as_of), 0);
        rules.lookback_from = moment(as_of / 2);
        rules
    };
    [rules(times, ends[0]), rules(&others, ends[1])]
}

proptest! {
    /// All but promises may differ: restrictions, a grace, a grant, a brownout, the end.
    #[test]
    fn a_policy_of_two_rules_says_of_each_what_a_policy_of_its_own_says(
        times in proptest::collection::vec(0i64..40, 9),
        other in (0..7usize, 0i64..40),
        (end, other_end, at) in (41i64..44, prop_oneof![Just(41), 41..44i64], -1i64..44),
        (carried, used, named) in (1u8..8, 0u8..8, any::<bool>()),
    ) {
        let chosen = |bits: u8| (0..3).filter(move |i| bits >> i & 1 == 1);
        let names = |bits: u8| chosen(bits).map(|i| format!("s{i}")).collect::<Vec<_>>();
        let set = ScopeSet { scopes: names(carried), exercised: names(carried & used) };
        let app = named.then_some("app");
        let [now, then] = two_rules(&times, other, [end, other_end]);
        let mut both = Policy::of_both(now.clone(), then.clone());
        let whole = |policy: &mut Policy, era| match policy.find(era, app, &set) {
            Leaves::Whole(pair) => pair,
            Leaves::InParts { .. } => panic!("one set is no reason for parts"),
        };
        let pairs = [Era::Then, Era::Now].map(|era| whole(&mut both, era));
        for (pair, rules) in pairs.iter().zip([&then, &now]) {
            let mut own = Policy::new(rules.clone());
            let expected = own.pair(app, &set);
            let cells = |policy: &Policy, pair: &Pair| {
                let leaf = pair.at(moment(at)).unwrap().1;
                let mut cells = Cells::default();
                cells.add(policy, leaf);
                (leaf.standing, leaf.exercises, leaf.scopes.len(), cells)
            };
            prop_assert_eq!(cells(&both, pair), cells(&own, &expected));
            prop_assert_eq!(pair.cuts(), expected.cuts());
        }
        for (era, rules) in [(Era::Now, &now), (Era::Then, &then)] {
            let both = Policy::of_both(now.clone(), then.clone());
            let found = in_parts(both, era, (app, &set), moment(at)).1;
            let own = Policy::new(rules.clone());
            prop_assert_eq!(found, in_parts(own, Era::Now, (app, &set), moment(at)).1);
        }
        // What means the same is one leaf, and nothing else is.
        for (number, leaf) in pairs[1].leaves() {
            let alike = |(_, other): &&(u32, Arc<Leaf>)| leaf == other;
            let one = |(other, _): &&(u32, Arc<Leaf>)| number == other;
            let others = pairs[0].leaves();
            prop_assert_eq!(others.iter().any(|of| alike(&of)), others.iter().any(|of| one(&of)));
            prop_assert!(others.iter().filter(one).all(|of| alike(&of)));
        }
    }
}

proptest! {
    /// A grace, a grant or a brownout may differ: then the windows of each are those of a policy of its own.
    #[test]
    fn a_joint_policy_says_of_each_what_a_policy_of_its_own_says(
        times in proptest::collection::vec(0i64..40, 9),
        other in (3..7usize, 0i64..40),
        (end, at) in (41i64..44, -1i64..44),
        (carried, used, named) in (1u8..8, 0u8..8, any::<bool>()),
    ) {
        let chosen = |bits: u8| (0..3).filter(move |i| bits >> i & 1 == 1);
        let names = |bits: u8| chosen(bits).map(|i| format!("s{i}")).collect::<Vec<_>>();
        let set = ScopeSet { scopes: names(carried), exercised: names(carried & used) };
        let app = named.then_some("app");
        let [now, then] = two_rules(&times, other, [end, end]);
        let mut joint = Policy::joint(now.clone(), then.clone());
        let pair = joint.pair(app, &set);
        let leaf = pair.at(moment(at)).unwrap().1;
        type Side = fn((WindowSet, WindowSet)) -> WindowSet;
        let parts = Policy::joint(now.clone(), then.clone());
        let (_, parts) = in_parts(parts, Era::Now, (app, &set), moment(at));
        let mut whole = Cells::default();
        whole.add(&joint, leaf);
        prop_assert_eq!(parts, whole);
        let sides: [(Rules, Side); 2] = [(now, |sides| sides.0), (then, |sides| sides.1)];
        for (rules, side) in sides {
            let mut own = Policy::new(rules);
            let expected = own.pair(app, &set);
            let expected = expected.at(moment(at)).unwrap().1;
            let (mut found, mut cells) = (Cells::default(), Cells::default());
            found.add(&joint, leaf);
            for (_, windows) in found.0.iter_mut().flatten() {
                *windows = side(now_and_then(*windows));
            }
            cells.add(&own, expected);
            prop_assert_eq!(found, cells);
            prop_assert_eq!(
                (leaf.standing, leaf.exercises, leaf.scopes.len()),
                (expected.standing, expected.exercises, expected.scopes.len())
            );
        }
    }
}

#[test]
fn parts_of_a_scope_are_one_where_two_rules_agree() {
    let times = [3, 5, 7, 20, 22, 24, 26, 30, 31];
    let [now, then] = two_rules(&times, (3, 28), [40, 40]);
    let mut policy = Policy::of_both(now, then);
    let set = ScopeSet { scopes: vec!["s0".into()], exercised: vec!["s0".into()] };
    let (app, _) = policy.numbers(Some("app"), &set);
    // The grace of the first scope ends otherwise.
    for (scope, are_one) in [(0, false), (1, true), (2, true)] {
        let [then, now] =
            [Era::Then, Era::Now].map(|era| policy.make_scope_part(era, app, scope << 1 | 1));
        assert_eq!(Arc::ptr_eq(&then, &now), are_one, "scope {scope}");
        // After both ends it is the same again.
        let last = |pair: &Pair| pair.at(moment(35)).unwrap().0;
        assert_eq!(last(&then), last(&now), "scope {scope}");
    }
}

#[test]
fn leaves_that_outgrow_the_limit_are_refused_with_what_they_need() {
    let rules = Rules::new(&registry(&[0; 9], true), moment(40), 0);
    let policy = Mutex::new(Policy::new(rules));
    let memory = Budget::new(120 << 20, 1).unwrap().counting(1, 1);
    let mut shared = Shared::new((&policy, Era::Now), memory);
    // One cell for all, as it may be where each pair has cells that others have, too.
    let set = ScopeSet { scopes: vec!["s0".into()], exercised: Vec::new() };
    let refused = (0..1_000_000).find_map(|_| {
        shared
            .ask(|policy| {
                let leaf = policy.pair(Some("app"), &set).at(moment(20)).unwrap().1.clone();
                policy.held.leaf(&leaf);
            })
            .err()
    });
    let Some(ExposureError::Leaves { leaves, needed, threads: 1, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!((10_000..120_000).contains(&leaves), "{leaves}");
    assert!(needed > 120, "{needed}");
}
