//! Which figures have to go, so that no masked one is given back by a sum.
//!
//! Nothing here knows tables: figures are numbers, sums say that a parent is made of its children.

/// A figure, by the order in which figures were told.
pub type Figure = u32;

/// Figures and what holds between them.
#[derive(Debug, Default)]
pub struct Figures {
    values: Vec<i64>,
    is_people: Vec<bool>,
    /// A count of people, and one of events of the same people.
    bounds: Vec<(Figure, Figure)>,
    sums: Vec<Sum>,
    /// Children of all sums, one behind the other; each sum's by value, then by number.
    members: Vec<Figure>,
}

/// A parent and its children: `members[from..to]`.
#[derive(Clone, Copy, Debug)]
struct Sum {
    parent: Figure,
    from: usize,
    to: usize,
}

/// What is masked of a sum so far.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    parent: bool,
    children: usize,
    /// Sum of the masked children.
    people: i64,
    /// Children before this one are masked.
    next: usize,
    waits: bool,
}

impl Figures {
    /// Takes a figure. One of people is masked where it is small; one of events only beside people who
    /// are masked, see [`Self::bound`].
    pub fn add(&mut self, value: i64, is_people: bool) -> Figure {
        let figure = Figure::try_from(self.values.len()).unwrap_or(Figure::MAX);
        self.values.push(value);
        self.is_people.push(is_people);
        figure
    }

    pub fn value(&self, figure: Figure) -> i64 {
        at(&self.values, figure).copied().unwrap_or(0)
    }

    /// Events of these people: where the people are masked, a small number of events is masked too.
    pub fn bound(&mut self, people: Figure, events: Figure) {
        self.bounds.push((people, events));
    }

    /// The parent is made of the children. Distinct people do not add up; to take them as a sum is the
    /// safe side. Zeros hide nothing and are left out; a parent of nobody tells nothing of others.
    pub fn sum(&mut self, parent: Figure, children: &[Figure]) {
        if self.value(parent) <= 0 {
            return;
        }
        let from = self.members.len();
        let told = children.iter().filter(|child| self.value(**child) > 0 && **child != parent);
        let mut told: Vec<Figure> = told.copied().collect();
        told.sort_unstable_by_key(|child| (self.value(*child), *child));
        told.dedup();
        self.members.append(&mut told);
        let to = self.members.len();
        if to > from {
            self.sums.push(Sum { parent, from, to });
        }
    }

    /// Figures that are one and the same, as whoever reads both can tell.
    pub fn same(&mut self, a: Figure, b: Figure) {
        self.sum(a, &[b]);
    }

    /// Which figures are masked so that no count of 1 to `below` - 1 people is told, nor follows from a sum.
    pub fn solve(&self, below: i64) -> Vec<bool> {
        Solver::new(self, below).solve()
    }
}

/// Lists of numbers, one for each figure.
struct Lists {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    fn new(figures: usize, pairs: impl Iterator<Item = (Figure, u32)> + Clone) -> Self {
        let mut starts = vec![0_usize; figures + 1];
        for (figure, _) in pairs.clone() {
            if let Some(count) = starts.get_mut(figure as usize + 1) {
                *count += 1;
            }
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let mut items = vec![0; end];
        let mut next = starts.clone();
        for (figure, item) in pairs {
            let Some(place) = next.get_mut(figure as usize) else { continue };
            if let Some(slot) = items.get_mut(*place) {
                *slot = item;
            }
            *place += 1;
        }
        Self { starts, items }
    }

    fn range(&self, figure: Figure) -> std::ops::Range<usize> {
        let bound = |at: usize| self.starts.get(at).copied().unwrap_or(0);
        bound(figure as usize)..bound(figure as usize + 1)
    }
}

fn at<T>(of: &[T], figure: Figure) -> Option<&T> {
    of.get(usize::try_from(figure).ok()?)
}

struct Solver<'a> {
    of: &'a Figures,
    below: i64,
    masked: Vec<bool>,
    states: Vec<State>,
    /// The sums that a figure is a child of, and those that it is the parent of.
    child_of: Lists,
    parent_of: Lists,
    events_of: Lists,
    /// Sums to look at, first come, first served.
    waiting: std::collections::VecDeque<u32>,
}

impl<'a> Solver<'a> {
    fn new(of: &'a Figures, below: i64) -> Self {
        let figures = of.values.len();
        let sums = || (0_u32..).zip(&of.sums);
        let children = sums().flat_map(|(number, sum)| {
            let members = of.members.get(sum.from..sum.to).unwrap_or_default();
            members.iter().map(move |child| (*child, number))
        });
        Self {
            of,
            below,
            masked: vec![false; figures],
            states: vec![State::default(); of.sums.len()],
            child_of: Lists::new(figures, children),
            parent_of: Lists::new(figures, sums().map(|(number, sum)| (sum.parent, number))),
            events_of: Lists::new(figures, of.bounds.iter().copied()),
            waiting: std::collections::VecDeque::new(),
        }
    }

    fn solve(mut self) -> Vec<bool> {
        for (figure, (value, is_people)) in (0..).zip(self.of.values.iter().zip(&self.of.is_people))
        {
            if *is_people && self.is_small(*value) {
                self.mask(figure);
            }
        }
        while let Some(number) = self.waiting.pop_front() {
            if let Some(state) = self.states.get_mut(number as usize) {
                state.waits = false;
            }
            while let Some(more) = self.lacking(number) {
                self.mask(more);
            }
        }
        self.masked
    }

    fn is_small(&self, value: i64) -> bool {
        (1..self.below).contains(&value)
    }

    /// Masks a figure, and events that would bound its people. Masks only grow, so this ends.
    fn mask(&mut self, figure: Figure) {
        let mut all = vec![figure];
        while let Some(figure) = all.pop() {
            let Some(masked) = self.masked.get_mut(figure as usize) else { continue };
            if std::mem::replace(masked, true) {
                continue;
            }
            let value = self.of.value(figure);
            for place in self.child_of.range(figure) {
                let Some(number) = self.child_of.items.get(place).copied() else { continue };
                if let Some(state) = self.states.get_mut(number as usize) {
                    state.children += 1;
                    state.people = state.people.saturating_add(value);
                }
                self.look_at(number);
            }
            for place in self.parent_of.range(figure) {
                let Some(number) = self.parent_of.items.get(place).copied() else { continue };
                if let Some(state) = self.states.get_mut(number as usize) {
                    state.parent = true;
                }
                self.look_at(number);
            }
            for place in self.events_of.range(figure) {
                let Some(events) = self.events_of.items.get(place).copied() else { continue };
                if self.is_small(self.of.value(events)) {
                    all.push(events);
                }
            }
        }
    }

    fn look_at(&mut self, number: u32) {
        if let Some(state) = self.states.get_mut(number as usize)
            && !std::mem::replace(&mut state.waits, true)
        {
            self.waiting.push_back(number);
        }
    }

    /// The figure that a sum has to hide, too: its smallest child that is told, else its parent. None where
    /// what it hides cannot be found from what it tells:
    /// - with the parent hidden, a child is hidden as well;
    /// - with the parent told, two children at least are hidden, and together they are neither fewer than
    ///   the least that is told, nor so few that each must be one.
    fn lacking(&mut self, number: u32) -> Option<Figure> {
        let sum = *self.of.sums.get(number as usize)?;
        let state = self.states.get_mut(number as usize)?;
        let hides = match (state.parent, state.children) {
            (false, 0) => true,
            (true, hidden) => hidden > 0,
            (false, 1) => false,
            (false, hidden) => {
                let least = i64::try_from(hidden).unwrap_or(i64::MAX).saturating_add(1);
                state.people >= self.below.max(least)
            }
        };
        if hides {
            return None;
        }
        let members = self.of.members.get(sum.from..sum.to)?;
        while let Some(child) = members.get(state.next).copied() {
            if at(&self.masked, child) == Some(&false) {
                return Some(child);
            }
            state.next += 1;
        }
        (!state.parent).then_some(sum.parent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Figures of people with these values.
    fn people(values: &[i64]) -> Figures {
        let mut figures = Figures::default();
        values.iter().for_each(|value| _ = figures.add(*value, true));
        figures
    }

    fn masked(figures: &Figures, below: i64) -> Vec<Figure> {
        let masked = figures.solve(below);
        (0..).zip(masked).filter(|(_, is)| *is).map(|(figure, _)| figure).collect()
    }

    #[test]
    fn a_single_small_child_takes_its_smallest_neighbour_with_it() {
        let mut figures = people(&[60, 3, 40, 17, 0]);
        figures.sum(0, &[1, 2, 3, 4]);
        assert_eq!(masked(&figures, 5), [1, 3]);
    }

    #[test]
    fn where_there_is_no_other_child_the_parent_goes() {
        let mut figures = people(&[7, 3, 0]);
        figures.sum(0, &[1, 2]);
        assert_eq!(masked(&figures, 5), [0, 1]);
    }

    #[test]
    fn a_parent_goes_with_a_child() {
        // 0 is hidden because of 1; it is the parent of 2 and 3, and they would give it back.
        let mut figures = people(&[9, 4, 8, 6]);
        figures.same(0, 1);
        figures.sum(0, &[2, 3]);
        assert_eq!(masked(&figures, 5), [0, 1, 3]);
    }

    #[test]
    fn hidden_children_that_are_few_together_or_each_one_are_not_hidden() {
        // 1 and 2 are together 4, fewer than 5: one more goes.
        let mut figures = people(&[30, 1, 3, 20, 6]);
        figures.sum(0, &[1, 2, 3, 4]);
        assert_eq!(masked(&figures, 5), [1, 2, 4]);
        // Six children of one each are six together: each must be one.
        let mut figures = people(&[26, 1, 1, 1, 1, 1, 1, 20]);
        figures.sum(0, &[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(masked(&figures, 5), [1, 2, 3, 4, 5, 6, 7]);
        // One of them two: who it is cannot be said.
        let mut figures = people(&[27, 1, 1, 1, 2, 1, 1, 20]);
        figures.sum(0, &[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(masked(&figures, 5), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn few_events_are_masked_only_beside_people_who_are() {
        let mut figures = people(&[3, 8]);
        let (few, many, other) =
            (figures.add(4, false), figures.add(50, false), figures.add(4, false));
        figures.bound(0, few);
        figures.bound(0, many);
        figures.bound(1, other);
        assert_eq!(masked(&figures, 5), [0, few]);
        // Their sum with one other part gives them back.
        let (total, rest) = (figures.add(14, false), figures.add(10, false));
        figures.sum(total, &[few, rest]);
        assert_eq!(masked(&figures, 5), [0, few, rest]);
    }

    #[test]
    fn nothing_is_masked_below_one_or_two() {
        let mut figures = people(&[3, 1, 2]);
        figures.sum(0, &[1, 2]);
        assert!(masked(&figures, 0).is_empty());
        assert!(masked(&figures, 1).is_empty());
    }

    /// Values, and sums as a parent and children among them.
    fn problems() -> impl Strategy<Value = (Vec<i64>, Vec<(u32, Vec<u32>)>)> {
        prop::collection::vec(0_i64..14, 2..24).prop_flat_map(|values| {
            let figure = 0..u32::try_from(values.len()).unwrap();
            let sum = (figure.clone(), prop::collection::vec(figure, 1..6));
            (Just(values), prop::collection::vec(sum, 0..16))
        })
    }

    fn made(values: &[i64], sums: &[(u32, Vec<u32>)]) -> Figures {
        let mut figures = people(values);
        sums.iter().for_each(|(parent, children)| figures.sum(*parent, children));
        figures
    }

    proptest! {
        #[test]
        fn no_sum_keeps_exactly_one_masked_member((values, sums) in problems(), below in 2_i64..9) {
            let masked = made(&values, &sums).solve(below);
            for (parent, children) in &sums {
                if values[*parent as usize] == 0 { continue; }
                let mut told: Vec<u32> = children.clone();
                told.sort_unstable();
                told.dedup();
                told.retain(|child| values[*child as usize] > 0 && child != parent);
                if told.is_empty() { continue; }
                let hidden = told.iter().filter(|child| masked[**child as usize]).count();
                let all = hidden + usize::from(masked[*parent as usize]);
                prop_assert!(all != 1, "{parent} of {told:?}: {masked:?}");
            }
        }

        #[test]
        fn small_counts_are_masked_and_zeros_never((values, sums) in problems(), below in 2_i64..9) {
            let masked = made(&values, &sums).solve(below);
            for (value, masked) in values.iter().zip(&masked) {
                if (1..below).contains(value) { prop_assert!(*masked); }
                if *value == 0 { prop_assert!(!*masked); }
            }
        }

        #[test]
        fn the_same_figures_give_the_same_mask((values, sums) in problems(), below in 2_i64..9) {
            prop_assert_eq!(made(&values, &sums).solve(below), made(&values, &sums).solve(below));
        }

        #[test]
        fn nothing_is_masked_where_nothing_is_small((values, sums) in problems(), below in 2_i64..9) {
            let values: Vec<i64> =
                values.iter().map(|v| if *v > 0 { v + below } else { 0 }).collect();
            prop_assert!(made(&values, &sums).solve(below).iter().all(|masked| !masked));
        }
    }
}
