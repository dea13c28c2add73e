use super::*;
use crate::exposure::tally::Term;
use crate::moment::Moment;
use proptest::prelude::*;

/// One thread's count of a few events: leaf, cell, day, weight.
type Events = Vec<(usize, usize, i64, i64)>;

fn tally(events: &Events) -> Tally {
    let mut tally = Tally {
        terms: vec![vec![[0; Term::COUNT]; 2], vec![[0; Term::COUNT]; 1]],
        conflicts: vec![0, 0],
        ..Default::default()
    };
    for (leaf, cell, day, weight) in events {
        tally.sums.resize_with(tally.sums.len().max(leaf + 1), Sums::default);
        let sums = &mut tally.sums[*leaf];
        sums.refused += 1;
        sums.exposed.bytes += i128::from(*weight);
        let at = Moment::from_micros(*day * 86_400_000_000 + weight);
        sums.exposed.first = sums.exposed.first.min(at);
        sums.exposed.last = sums.exposed.last.max(at);
        let on = sums.days.entry(*day);
        on.events += 1;
        on.requests += weight;
        on.people.subjects += u64::from(weight % 3 == 0);
        let Surpluses { cells, then, .. } = &mut tally.surplus;
        cells.resize_with(cells.len().max(cell + 1), Surplus::default);
        let people = &mut cells[*cell];
        then.resize(then.len().max(cell + 1), ByWindow::default());
        then[*cell][leaf % Window::COUNT] += 1;
        people.subjects[cell % Window::COUNT] += 1;
        let on = people.days.entry(*day);
        on.subjects += 1;
        on.new += u64::from(weight % 2 == 0);
        tally.terms[leaf % 2][0][cell % Term::COUNT] += 1;
        tally.conflicts[leaf % 2] += 1;
    }
    tally
}

/// All that a tally says, however its days are kept.
fn said(mut tally: Tally) -> String {
    tally.sums.resize_with(8, Sums::default);
    tally.surplus.cells.resize_with(8, Surplus::default);
    tally.surplus.then.resize(8, ByWindow::default());
    let sums: Vec<_> = tally
        .sums
        .iter()
        .map(|s| {
            let mut days: Vec<_> = s.days.iter().filter(|d| d.1.events > 0).collect();
            days.sort_by_key(|d| d.0);
            (s.refused, s.exposed, format!("{days:?}"))
        })
        .collect();
    let people: Vec<_> = tally
        .surplus
        .cells
        .iter()
        .map(|p| {
            let mut days: Vec<_> = p.days.iter().filter(|d| d.1.subjects > 0).collect();
            days.sort_by_key(|d| d.0);
            (p.subjects, format!("{days:?}"))
        })
        .collect();
    let then = tally.surplus.then;
    format!("{sums:?} {people:?} {then:?} {:?} {:?}", tally.terms, tally.conflicts)
}

fn merged(mut a: Tally, b: Tally) -> Tally {
    a.merge(b).unwrap();
    a
}

fn events() -> impl Strategy<Value = Events> {
    proptest::collection::vec((0..6usize, 0..6usize, -40..400i64, 0..1000i64), 0..400)
}

proptest! {
    #[test]
    fn merging_counts_is_commutative(a in events(), b in events()) {
        prop_assert_eq!(
            said(merged(tally(&a), tally(&b))),
            said(merged(tally(&b), tally(&a)))
        );
    }

    #[test]
    fn merging_counts_is_associative(a in events(), b in events(), c in events()) {
        let left = merged(merged(tally(&a), tally(&b)), tally(&c));
        let right = merged(tally(&a), merged(tally(&b), tally(&c)));
        prop_assert_eq!(said(left), said(right));
    }

    #[test]
    fn merging_counts_is_counting_all_at_once(a in events(), b in events()) {
        let all: Events = a.iter().chain(&b).copied().collect();
        prop_assert_eq!(said(merged(tally(&a), tally(&b))), said(tally(&all)));
    }
}
