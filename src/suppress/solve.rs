//! Which figures have to go, so that no masked one is given back by a sum.
//!
//! Nothing here knows tables: figures are numbers, sums say that a parent is made of its children.

use super::linear;

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

/// What children say of their parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// They add up to it: nobody is in two of them.
    Apart,
    /// They make it up together: it is no more than their sum.
    Overlapping,
}

/// A parent and its children: `members[from..to]`.
#[derive(Clone, Copy, Debug)]
struct Sum {
    parent: Figure,
    parts: Parts,
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

    /// The parent is made of the children. Zeros hide nothing and are left out; a parent of nobody tells
    /// nothing of others.
    pub fn sum(&mut self, parent: Figure, children: &[Figure], parts: Parts) {
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
            self.sums.push(Sum { parent, parts, from, to });
        }
    }

    /// Figures that are one and the same, as whoever reads both can tell.
    pub fn same(&mut self, a: Figure, b: Figure) {
        self.sum(a, &[b], Parts::Apart);
    }

    /// Which figures are masked so that no count of 1 to `below` - 1 people is told, nor follows from a sum, nor
    /// from several taken together.
    pub fn solve(&self, below: i64) -> Masked {
        Solver::new(self, below).solve()
    }
}

/// What goes.
#[derive(Debug)]
pub struct Masked {
    /// By figure.
    pub figures: Vec<bool>,
    /// Whether all sums were looked at together, too; false where there were too many to do so.
    pub together: bool,
}

/// Steps of elimination that are tried, some seconds; and masked members of sums, some hundred megabytes.
const STEPS: u64 = 300_000_000;
const TERMS: usize = 2_000_000;

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

    fn solve(mut self) -> Masked {
        for (figure, (value, is_people)) in (0..).zip(self.of.values.iter().zip(&self.of.is_people))
        {
            if *is_people && self.is_small(*value) {
                self.mask(figure);
            }
        }
        self.look();
        let mut together = self.given_back();
        while let Some(found) = together.as_ref().filter(|found| !found.is_empty()) {
            for figure in found {
                if let Some(more) = self.beside(*figure) {
                    self.mask(more);
                    self.look();
                }
            }
            together = self.given_back();
        }
        Masked { figures: self.masked, together: together.is_some() }
    }

    /// Looks at all sums that wait.
    fn look(&mut self) {
        while let Some(number) = self.waiting.pop_front() {
            if let Some(state) = self.states.get_mut(number as usize) {
                state.waits = false;
            }
            while let Some(more) = self.lacking(number) {
                self.mask(more);
            }
        }
    }

    fn is_masked(&self, figure: Figure) -> bool {
        at(&self.masked, figure) == Some(&true)
    }

    fn members(&self, sum: &Sum) -> &'a [Figure] {
        self.of.members.get(sum.from..sum.to).unwrap_or_default()
    }

    /// Masked figures that all sums together give back; `None` where that takes too long. Parts that do overlap
    /// add up to more than their parent: such a sum tells nothing.
    fn given_back(&self) -> Option<Vec<Figure>> {
        if self.states.iter().map(|state| state.children).sum::<usize>() > TERMS {
            return None;
        }
        let adds_up = |sum: &&Sum| {
            let values = self.members(sum).iter().map(|child| self.of.value(*child));
            values.sum::<i64>() == self.of.value(sum.parent)
        };
        let rows = self.of.sums.iter().filter(adds_up).map(|sum| {
            let parent = Some(sum.parent).filter(|parent| self.is_masked(*parent));
            let children = self.members(sum).iter().copied();
            linear::row(parent, children.filter(|child| self.is_masked(*child)))
        });
        linear::given_back(rows.filter(|row| !row.is_empty()).collect(), STEPS)
    }

    /// What more to hide, so that a figure is not given back: the smallest child that stands beside it in a
    /// sum, else a parent.
    fn beside(&self, figure: Figure) -> Option<Figure> {
        let of = |lists: &Lists| -> Vec<Sum> {
            let numbers = lists.items.get(lists.range(figure)).unwrap_or_default();
            numbers.iter().filter_map(|number| at(&self.of.sums, *number)).copied().collect()
        };
        let sums = || of(&self.child_of).into_iter().chain(of(&self.parent_of));
        let told = |figure: &Figure| !self.is_masked(*figure);
        let by_value = |figure: &Figure| (self.of.value(*figure), *figure);
        let children = sums().flat_map(|sum| self.members(&sum)).copied().filter(told);
        let parents = sums().map(|sum| sum.parent).filter(told);
        children.min_by_key(by_value).or_else(|| parents.min_by_key(by_value))
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
    /// - with the parent told, two children at least are hidden, and together they are no fewer than the least
    ///   that is told; where they add up, nor so few that each must be one.
    fn lacking(&mut self, number: u32) -> Option<Figure> {
        let sum = *self.of.sums.get(number as usize)?;
        let state = self.states.get_mut(number as usize)?;
        let hides = match (state.parent, state.children) {
            (false, 0) => true,
            (true, hidden) => hidden > 0,
            (false, 1) => false,
            (false, hidden) => {
                let least = match sum.parts {
                    Parts::Apart => i64::try_from(hidden).unwrap_or(i64::MAX).saturating_add(1),
                    Parts::Overlapping => 0,
                };
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

    use super::Parts::{Apart, Overlapping};
    use super::*;

    /// Figures of people with these values.
    fn people(values: &[i64]) -> Figures {
        let mut figures = Figures::default();
        values.iter().for_each(|value| _ = figures.add(*value, true));
        figures
    }

    fn masked(figures: &Figures, below: i64) -> Vec<Figure> {
        let masked = figures.solve(below).figures;
        (0..).zip(masked).filter(|(_, is)| *is).map(|(figure, _)| figure).collect()
    }

    #[test]
    fn a_single_small_child_takes_its_smallest_neighbour_with_it() {
        let mut figures = people(&[60, 3, 40, 17, 0]);
        figures.sum(0, &[1, 2, 3, 4], Apart);
        assert_eq!(masked(&figures, 5), [1, 3]);
    }

    #[test]
    fn where_there_is_no_other_child_the_parent_goes() {
        let mut figures = people(&[7, 3, 0]);
        figures.sum(0, &[1, 2], Apart);
        assert_eq!(masked(&figures, 5), [0, 1]);
    }

    #[test]
    fn a_parent_goes_with_a_child() {
        // 0 is hidden because of 1; it is the parent of 2 and 3, and they would give it back.
        let mut figures = people(&[9, 4, 8, 6]);
        figures.same(0, 1);
        figures.sum(0, &[2, 3], Apart);
        assert_eq!(masked(&figures, 5), [0, 1, 3]);
    }

    #[test]
    fn hidden_children_that_are_few_together_or_each_one_are_not_hidden() {
        // 1 and 2 are together 4, fewer than 5: one more goes.
        let mut figures = people(&[30, 1, 3, 20, 6]);
        figures.sum(0, &[1, 2, 3, 4], Apart);
        assert_eq!(masked(&figures, 5), [1, 2, 4]);
        // Six children of one each are six together: each must be one.
        let mut figures = people(&[26, 1, 1, 1, 1, 1, 1, 20]);
        figures.sum(0, &[1, 2, 3, 4, 5, 6, 7], Apart);
        assert_eq!(masked(&figures, 5), [1, 2, 3, 4, 5, 6, 7]);
        // Where they may overlap, their sum is not known.
        let mut figures = people(&[26, 1, 1, 1, 1, 1, 1, 20]);
        figures.sum(0, &[1, 2, 3, 4, 5, 6, 7], Overlapping);
        assert_eq!(masked(&figures, 5), [1, 2, 3, 4, 5, 6]);
        // One of them two: who it is cannot be said.
        let mut figures = people(&[27, 1, 1, 1, 2, 1, 1, 20]);
        figures.sum(0, &[1, 2, 3, 4, 5, 6, 7], Apart);
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
        figures.sum(total, &[few, rest], Apart);
        assert_eq!(masked(&figures, 5), [0, few, rest]);
    }

    #[test]
    fn nothing_is_masked_below_one_or_two() {
        let mut figures = people(&[3, 1, 2]);
        figures.sum(0, &[1, 2], Apart);
        assert!(masked(&figures, 0).is_empty());
        assert!(masked(&figures, 1).is_empty());
    }

    /// A table of cells with a total for each row, each column and all: figures 0.. are the cells.
    fn crossed(cells: &[Vec<i64>]) -> Figures {
        let columns = cells[0].len();
        let mut figures = people(&cells.concat());
        let total = |figures: &mut Figures, children: Vec<Figure>| {
            let value = children.iter().map(|child| figures.value(*child)).sum();
            let parent = figures.add(value, true);
            figures.sum(parent, &children, Apart);
            parent
        };
        let at = |row: usize, column: usize| Figure::try_from(row * columns + column).unwrap();
        let rows: Vec<Figure> = (0..cells.len())
            .map(|row| total(&mut figures, (0..columns).map(|column| at(row, column)).collect()))
            .collect();
        let of_columns: Vec<Figure> = (0..columns)
            .map(|column| {
                total(&mut figures, (0..cells.len()).map(|row| at(row, column)).collect())
            })
            .collect();
        let all = total(&mut figures, rows);
        figures.sum(all, &of_columns, Apart);
        figures
    }

    #[test]
    fn a_cell_that_rows_less_columns_would_tell_takes_a_neighbour_with_it() {
        // Two squares of small cells, and one that joins them, at row 1 and column 2: what rows 0 and 1 hide
        // less what columns 0 and 1 hide is that one. Each row and each column hides two at least.
        let figures = crossed(&[
            vec![4, 4, 61, 62],
            vec![4, 4, 3, 63],
            vec![64, 65, 4, 4],
            vec![66, 67, 4, 4],
        ]);
        // The smallest told one beside it is the 61 of its column.
        assert_eq!(masked(&figures, 5), [0, 1, 2, 4, 5, 6, 10, 11, 14, 15]);
    }

    /// Rank of a matrix modulo a prime.
    fn rank(mut rows: Vec<Vec<i64>>) -> usize {
        const P: i64 = 1_000_003;
        let power = |mut base: i64, mut exponent: i64| {
            let mut result = 1;
            while exponent > 0 {
                if exponent % 2 == 1 {
                    result = result * base % P;
                }
                base = base * base % P;
                exponent /= 2;
            }
            result
        };
        let mut rank = 0;
        for column in 0..rows.first().map_or(0, Vec::len) {
            let Some(at) = (rank..rows.len()).find(|r| rows[*r][column].rem_euclid(P) != 0) else {
                continue;
            };
            rows.swap(rank, at);
            let inverse = power(rows[rank][column].rem_euclid(P), P - 2);
            for other in rank + 1..rows.len() {
                let factor = rows[other][column].rem_euclid(P) * inverse % P;
                for c in 0..rows[other].len() {
                    rows[other][c] = (rows[other][c] - factor * rows[rank][c]).rem_euclid(P);
                }
            }
            rank += 1;
        }
        rank
    }

    proptest! {
        #[test]
        fn all_rows_and_columns_together_tell_no_masked_cell(
            cells in (2..6_usize).prop_flat_map(|columns| {
                prop::collection::vec(prop::collection::vec(0_i64..16, columns), 2..6)
            }),
            below in 2_i64..9,
        ) {
            let figures = crossed(&cells);
            let masked = figures.solve(below).figures;
            let unknown: Vec<usize> = (0..masked.len()).filter(|figure| masked[*figure]).collect();
            let row = |sum: &Sum| -> Vec<i64> {
                let members = &figures.members[sum.from..sum.to];
                let is_child = |figure: &usize| members.contains(&Figure::try_from(*figure).unwrap());
                let is_parent = |figure: &usize| *figure == sum.parent as usize;
                unknown.iter().map(|f| i64::from(is_parent(f)) - i64::from(is_child(f))).collect()
            };
            let rows: Vec<Vec<i64>> = figures.sums.iter().map(row).collect();
            let full = rank(rows.clone());
            for at in 0..unknown.len() {
                // A figure is known where its column stands apart from all others.
                let without = rows.iter().map(|row| {
                    row.iter().enumerate().filter(|(c, _)| *c != at).map(|(_, v)| *v).collect()
                });
                prop_assert_eq!(rank(without.collect()), full, "{} of {:?}", unknown[at], cells);
            }
        }
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
        sums.iter().for_each(|(parent, children)| figures.sum(*parent, children, Apart));
        figures
    }

    proptest! {
        #[test]
        fn no_sum_keeps_exactly_one_masked_member((values, sums) in problems(), below in 2_i64..9) {
            let masked = made(&values, &sums).solve(below).figures;
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
            let masked = made(&values, &sums).solve(below).figures;
            for (value, masked) in values.iter().zip(&masked) {
                if (1..below).contains(value) { prop_assert!(*masked); }
                if *value == 0 { prop_assert!(!*masked); }
            }
        }

        #[test]
        fn the_same_figures_give_the_same_mask((values, sums) in problems(), below in 2_i64..9) {
            let once = made(&values, &sums).solve(below).figures;
            prop_assert_eq!(once, made(&values, &sums).solve(below).figures);
        }

        #[test]
        fn nothing_is_masked_where_nothing_is_small((values, sums) in problems(), below in 2_i64..9) {
            let values: Vec<i64> =
                values.iter().map(|v| if *v > 0 { v + below } else { 0 }).collect();
            prop_assert!(made(&values, &sums).solve(below).figures.iter().all(|masked| !masked));
        }
    }
}
