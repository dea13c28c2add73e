//! Which figures have to go, so that no masked one is given back by a sum.
//!
//! Nothing here knows tables: figures are numbers, sums say that a parent is made of its children.

use std::collections::HashSet;

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
        let mut left = STEPS;
        let mut together = self.given_back(&mut left);
        // What is masked for one figure can be given back itself. The longer that goes on, the more is masked
        // at once, so that it ends.
        let mut rounds = 0;
        while let Some(found) = together.as_ref().filter(|found| !found.is_empty()) {
            rounds += 1;
            let mut masks_more = false;
            for figure in found {
                for _ in 0..rounds {
                    let Some(more) = self.beside(*figure) else { break };
                    self.mask(more);
                    self.look();
                    masks_more = true;
                }
            }
            if !masks_more {
                together = None;
                break;
            }
            together = self.given_back(&mut left);
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
    fn given_back(&self, left: &mut u64) -> Option<Vec<Figure>> {
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
        linear::given_back(rows.filter(|row| !row.is_empty()).collect(), left)
    }

    /// What more to hide, so that a figure is not given back: the smallest child that stands beside it in a
    /// sum, else a parent. Where all of these are hidden, those that stand beside them, and so on: what gives a
    /// figure back may lie further away. Where none is told, nothing is given back.
    fn beside(&self, figure: Figure) -> Option<Figure> {
        let mut seen = HashSet::from([figure]);
        let mut layer = vec![figure];
        while !layer.is_empty() {
            let of = |lists: &Lists, figure: &Figure| -> Vec<Sum> {
                let numbers = lists.items.get(lists.range(*figure)).unwrap_or_default();
                numbers.iter().filter_map(|number| at(&self.of.sums, *number)).copied().collect()
            };
            let both =
                |figure| of(&self.child_of, figure).into_iter().chain(of(&self.parent_of, figure));
            let sums: Vec<Sum> = layer.iter().flat_map(both).collect();
            let told = |figure: &Figure| !self.is_masked(*figure);
            let by_value = |figure: &Figure| (self.of.value(*figure), *figure);
            let children = || sums.iter().flat_map(|sum| self.members(sum)).copied();
            let parents = || sums.iter().map(|sum| sum.parent);
            let least = children().filter(told).min_by_key(by_value);
            let found = least.or_else(|| parents().filter(told).min_by_key(by_value));
            if found.is_some() {
                return found;
            }
            layer = children().chain(parents()).filter(|figure| seen.insert(*figure)).collect();
        }
        None
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
mod tests;
