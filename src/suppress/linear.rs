//! Sums taken together. Each alone may hide what it has to, and two of them give it back: where every row and
//! every column of a table hides two cells, what some rows hide less what some columns hide can be one cell.
//!
//! The masked figures are solved modulo a prime, as far as the sums go, and what remains open is set at random:
//! figures that could be other than they are then differ from nothing, those that are given back do not. That
//! one of the first comes out as nothing by chance, in one of 10^18 cases, would mask one figure more.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::solve::Figure;
use crate::key::mix;

/// 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// Figures with their coefficients, by figure.
type Row = Vec<(Figure, u64)>;

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // Both halves are less than 2^61: the prime is one less than a power of two.
    plus((product & u128::from(PRIME)) as u64, (product >> 61) as u64)
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

fn inverse(of: u64) -> u64 {
    let (mut result, mut power, mut exponent) = (1, of, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, power);
        }
        power = times(power, power);
        exponent >>= 1;
    }
    result
}

/// Masked figures of one sum: its parent, if masked, and its masked children.
pub fn row(parent: Option<Figure>, children: impl Iterator<Item = Figure>) -> Row {
    let mut row: Row = children.map(|child| (child, PRIME - 1)).collect();
    row.extend(parent.map(|parent| (parent, 1)));
    row.sort_unstable();
    row
}

/// The figures that the rows give back, ascending; `None` where it takes more steps to know than are `left`,
/// which become fewer.
pub fn given_back(rows: Vec<Row>, left: &mut u64) -> Option<Vec<Figure>> {
    // To set up a term takes about as long as to look at so many.
    const SET_UP: u64 = 16;
    let terms: usize = rows.iter().map(Vec::len).sum();
    *left = left.checked_sub(SET_UP * terms as u64)?;
    let mut system = System::new(rows, *left);
    system.take_apart();
    let known = system.eliminate();
    *left = system.left;
    known?;
    let back = system.open().into_iter().zip(&system.names).filter(|(open, _)| *open == 0);
    Some(back.map(|(_, name)| *name).collect())
}

fn at<T>(of: &[T], figure: Figure) -> Option<&T> {
    of.get(usize::try_from(figure).ok()?)
}

/// Rows over figures with new numbers, from 0 on and in the same order.
struct System {
    names: Vec<Figure>,
    rows: Vec<Row>,
    /// Of rows that wait, those that hold a figure.
    holds: Vec<BTreeSet<usize>>,
    /// Rows that wait no more, each with a figure that no row behind it holds.
    solved: Vec<(usize, Figure)>,
    is_solved: Vec<bool>,
    /// Terms that may still be looked at.
    left: u64,
}

impl System {
    fn new(mut rows: Vec<Row>, limit: u64) -> Self {
        let mut names: Vec<Figure> = rows.iter().flatten().map(|term| term.0).collect();
        names.sort_unstable();
        names.dedup();
        let mut holds = vec![BTreeSet::new(); names.len()];
        for (number, row) in rows.iter_mut().enumerate() {
            for term in row {
                let at = names.binary_search(&term.0).unwrap_or(0);
                term.0 = Figure::try_from(at).unwrap_or(Figure::MAX);
                if let Some(rows) = holds.get_mut(at) {
                    rows.insert(number);
                }
            }
        }
        let is_solved = vec![false; rows.len()];
        Self { names, rows, holds, solved: Vec::new(), is_solved, left: limit }
    }

    fn held(&mut self, figure: Figure) -> Option<&mut BTreeSet<usize>> {
        self.holds.get_mut(usize::try_from(figure).ok()?)
    }

    /// A row waits no more; gives figures that one waiting row holds now.
    fn solve(&mut self, number: usize, figure: Figure) -> Vec<Figure> {
        self.solved.push((number, figure));
        if let Some(solved) = self.is_solved.get_mut(number) {
            *solved = true;
        }
        let mut single = Vec::new();
        for (other, _) in self.rows.get(number).cloned().unwrap_or_default() {
            if let Some(rows) = self.held(other) {
                rows.remove(&number);
                if rows.len() == 1 {
                    single.push(other);
                }
            }
        }
        single
    }

    /// Solves, one after the other, rows with a figure that no other row holds: they say nothing of other
    /// figures. Most rows go here.
    fn take_apart(&mut self) {
        let mut single: Vec<Figure> = (0..).take(self.holds.len()).collect();
        while let Some(figure) = single.pop() {
            let holds = at(&self.holds, figure).filter(|rows| rows.len() == 1);
            if let Some(number) = holds.and_then(|rows| rows.first()).copied() {
                single.extend(self.solve(number, figure));
            }
        }
    }

    /// Gauss elimination of the rows that wait, the shortest first.
    fn eliminate(&mut self) -> Option<()> {
        let rows = self.rows.iter().zip(&self.is_solved).enumerate();
        let mut waiting: BinaryHeap<Reverse<(usize, usize)>> = rows
            .filter(|(_, (_, solved))| !**solved)
            .map(|(number, (row, _))| Reverse((row.len(), number)))
            .collect();
        while let Some(Reverse((length, number))) = waiting.pop() {
            if self.is_solved.get(number) != Some(&false) {
                continue;
            }
            let Some(row) = self.rows.get(number).filter(|row| row.len() == length) else {
                continue;
            };
            let rare = |term: &&(Figure, u64)| (at(&self.holds, term.0).map(BTreeSet::len), term.0);
            let Some((pivot, value)) = row.iter().min_by_key(rare).copied() else { continue };
            let factor = inverse(value);
            let unit: Row = row.iter().map(|(figure, v)| (*figure, times(*v, factor))).collect();
            self.solve(number, pivot);
            for other in at(&self.holds, pivot).cloned().unwrap_or_default() {
                self.reduce(other, &unit, pivot)?;
                waiting.push(Reverse((self.rows.get(other).map_or(0, Vec::len), other)));
            }
        }
        Some(())
    }

    /// Takes the pivot out of a row: less a multiple of `unit`, in which its coefficient is 1.
    fn reduce(&mut self, number: usize, unit: &Row, pivot: Figure) -> Option<()> {
        let row = self.rows.get_mut(number).map(std::mem::take)?;
        self.left = self.left.checked_sub((row.len() + unit.len()) as u64)?;
        let reduced = less(&row, unit, coefficient(&row, pivot));
        for (figure, _) in unit {
            let (was, is) = (coefficient(&row, *figure) != 0, coefficient(&reduced, *figure) != 0);
            if let Some(rows) = self.held(*figure).filter(|_| was != is) {
                if is {
                    rows.insert(number)
                } else {
                    rows.remove(&number)
                };
            }
        }
        if let Some(place) = self.rows.get_mut(number) {
            *place = reduced;
        }
        Some(())
    }

    /// By how much each figure could be another one, in a change that keeps all rows.
    fn open(&self) -> Vec<u64> {
        // Figures that no row was solved for may be anything; the others follow from them.
        let mut open: Vec<u64> =
            (1..).take(self.names.len()).map(|n| mix(n) % (PRIME - 1) + 1).collect();
        for (number, figure) in self.solved.iter().rev() {
            let (mut sum, mut own) = (0, 1);
            for (other, value) in self.rows.get(*number).into_iter().flatten() {
                if other == figure {
                    own = *value;
                } else {
                    sum = plus(sum, times(*value, at(&open, *other).copied().unwrap_or(0)));
                }
            }
            if let Some(place) = usize::try_from(*figure).ok().and_then(|at| open.get_mut(at)) {
                *place = times(PRIME - sum, inverse(own)) % PRIME;
            }
        }
        open
    }
}

fn coefficient(row: &Row, figure: Figure) -> u64 {
    let found = row.binary_search_by_key(&figure, |term| term.0).ok();
    found.and_then(|place| row.get(place)).map_or(0, |term| term.1)
}

/// `row` - `factor` × `unit`.
fn less(row: &Row, unit: &Row, factor: u64) -> Row {
    let minus = PRIME - factor;
    let mut out = Row::with_capacity(row.len() + unit.len());
    let mut old = row.iter().copied().peekable();
    for (figure, value) in unit.iter().copied() {
        while let Some(term) = old.next_if(|term| term.0 < figure) {
            out.push(term);
        }
        let was = old.next_if(|term| term.0 == figure).map_or(0, |term| term.1);
        let value = plus(was, times(minus, value));
        if value != 0 {
            out.push((figure, value));
        }
    }
    out.extend(old);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a parent, if it is masked, and masked children.
    fn back(rows: &[(Option<u32>, &[u32])]) -> Vec<u32> {
        let rows = rows.iter().map(|(parent, children)| row(*parent, children.iter().copied()));
        given_back(rows.collect(), &mut 10_000).unwrap()
    }

    #[test]
    fn a_figure_alone_in_a_sum_is_given_back_and_what_then_stands_alone_too() {
        assert_eq!(back(&[(None, &[7])]), [7]);
        assert_eq!(back(&[(None, &[7]), (Some(9), &[7])]), [7, 9]);
        assert_eq!(back(&[(None, &[7, 8]), (Some(9), &[7])]), Vec::<u32>::new());
    }

    #[test]
    fn a_difference_of_sums_gives_back_what_neither_does() {
        // 1 + 2 and 1 + 2 + 3.
        assert_eq!(back(&[(None, &[1, 2]), (None, &[1, 2, 3])]), [3]);
        // Three pairs of three figures: each is half of two pairs less the third.
        assert_eq!(back(&[(None, &[1, 2]), (None, &[2, 3]), (None, &[1, 3])]), [1, 2, 3]);
        // A figure that only one row holds, beside two that another row holds together.
        assert_eq!(back(&[(None, &[1, 2, 3]), (None, &[2, 3])]), [1]);
        // Four pairs in a ring tell none.
        let ring: [(Option<u32>, &[u32]); 4] =
            [(None, &[1, 2]), (None, &[2, 3]), (None, &[3, 4]), (None, &[1, 4])];
        assert_eq!(back(&ring), Vec::<u32>::new());
    }

    #[test]
    fn what_takes_too_long_is_not_known() {
        let ring = [[1, 2], [2, 3], [3, 4], [1, 4]].map(|pair| row(None, pair.into_iter()));
        // Eight terms, and what it takes to look at them.
        assert_eq!(given_back(ring.to_vec(), &mut 100), None);
        assert_eq!(given_back(ring.to_vec(), &mut 130), None);
        let mut left = 1_000;
        assert!(given_back(ring.to_vec(), &mut left).is_some() && left < 1_000 - 128);
    }
}
