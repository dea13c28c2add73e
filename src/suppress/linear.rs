//! Sums taken together. Each alone may hide what it has to, and two of them give it back: where every row and
//! every column of a table hides two cells, what some rows hide less what some columns hide can be one cell.
//!
//! Gauss-Jordan elimination over the masked figures, modulo a prime: a figure is given back where a row of the
//! reduced system holds it alone. Coefficients are small whole numbers in the beginning; that a row of them
//! vanishes modulo a prime of 61 bits and not else does not happen by chance, and would mask one figure more.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::solve::Figure;

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

/// The figures that the rows give back, ascending; `None` where it takes more than `limit` steps to know.
pub fn given_back(rows: Vec<Row>, limit: u64) -> Option<Vec<Figure>> {
    let mut system = System::new(rows, limit);
    let apart = system.take_apart();
    let mut solved = system.eliminate()?;
    system.put_back(&apart)?;
    solved.extend(apart.iter().map(|(number, _)| number));
    let alone = |number: usize| match system.rows.get(number).map(Vec::as_slice) {
        Some([(figure, _)]) => at(&system.names, *figure).copied(),
        _ => None,
    };
    let mut known: Vec<Figure> = solved.into_iter().filter_map(alone).collect();
    known.sort_unstable();
    Some(known)
}

fn at<T>(of: &[T], figure: Figure) -> Option<&T> {
    of.get(usize::try_from(figure).ok()?)
}

/// Rows over figures with new numbers, from 0 on and in the same order.
struct System {
    names: Vec<Figure>,
    rows: Vec<Row>,
    /// Rows that hold a figure, of those that are left.
    holds: Vec<BTreeSet<usize>>,
    is_done: Vec<bool>,
    /// The reduced row in which a figure is the one that stands for it.
    pivots: Vec<Option<usize>>,
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
        let (is_done, pivots) = (vec![false; rows.len()], vec![None; names.len()]);
        Self { names, rows, holds, is_done, pivots, left: limit }
    }

    fn held(&mut self, figure: Figure) -> Option<&mut BTreeSet<usize>> {
        self.holds.get_mut(usize::try_from(figure).ok()?)
    }

    /// Takes away, one after the other, rows with a figure that no other row holds: they say nothing of other
    /// figures. Gives the rows and those figures. Most rows go here.
    fn take_apart(&mut self) -> Vec<(usize, Figure)> {
        let mut apart = Vec::new();
        let mut single: Vec<Figure> = (0..).take(self.holds.len()).collect();
        while let Some(figure) = single.pop() {
            let holds = at(&self.holds, figure).filter(|rows| rows.len() == 1);
            let Some(number) = holds.and_then(|rows| rows.first()).copied() else { continue };
            apart.push((number, figure));
            if let Some(done) = self.is_done.get_mut(number) {
                *done = true;
            }
            for (other, _) in self.rows.get(number).cloned().unwrap_or_default() {
                if let Some(rows) = self.held(other) {
                    rows.remove(&number);
                    if rows.len() == 1 {
                        single.push(other);
                    }
                }
            }
        }
        apart
    }

    /// Gauss-Jordan elimination of the rows that are left; gives them.
    fn eliminate(&mut self) -> Option<Vec<usize>> {
        // The shortest row first: what it holds goes from all others.
        let rows = self.rows.iter().zip(&self.is_done).enumerate().filter(|(_, (_, done))| !**done);
        let mut waiting: BinaryHeap<Reverse<(usize, usize)>> =
            rows.map(|(number, (row, _))| Reverse((row.len(), number))).collect();
        let mut solved = Vec::new();
        while let Some(Reverse((length, number))) = waiting.pop() {
            let Some(row) = self.rows.get(number).filter(|row| row.len() == length) else {
                continue;
            };
            if self.is_done.get(number) != Some(&false) {
                continue;
            }
            let rare = |term: &&(Figure, u64)| (at(&self.holds, term.0).map(BTreeSet::len), term.0);
            let Some((pivot, value)) = row.iter().min_by_key(rare).copied() else { continue };
            let unit = scaled(row, inverse(value));
            for other in at(&self.holds, pivot).cloned().unwrap_or_default() {
                if other == number {
                    continue;
                }
                self.reduce(other, &unit, pivot)?;
                if self.is_done.get(other) == Some(&false) {
                    waiting.push(Reverse((self.rows.get(other).map_or(0, Vec::len), other)));
                }
            }
            self.keep(number, unit, pivot);
            solved.push(number);
        }
        Some(solved)
    }

    /// Puts back the rows that were taken away, the last first, each without what others stand for.
    fn put_back(&mut self, apart: &[(usize, Figure)]) -> Option<()> {
        for (number, figure) in apart.iter().rev() {
            let mut row = self.rows.get(*number).cloned().unwrap_or_default();
            for (other, value) in row.clone().into_iter().filter(|term| term.0 != *figure) {
                let pivot = at(&self.pivots, other).copied().flatten();
                let Some(unit) = pivot.and_then(|pivot| self.rows.get(pivot)) else { continue };
                self.left = self.left.checked_sub((row.len() + unit.len()) as u64)?;
                row = less(&row, unit, value);
            }
            let value = row.iter().find(|term| term.0 == *figure).map_or(1, |term| term.1);
            self.keep(*number, scaled(&row, inverse(value)), *figure);
        }
        Some(())
    }

    fn keep(&mut self, number: usize, row: Row, pivot: Figure) {
        if let Some(place) = self.rows.get_mut(number) {
            *place = row;
        }
        if let Some(done) = self.is_done.get_mut(number) {
            *done = true;
        }
        if let Some(place) = usize::try_from(pivot).ok().and_then(|at| self.pivots.get_mut(at)) {
            *place = Some(number);
        }
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
}

fn coefficient(row: &Row, figure: Figure) -> u64 {
    let found = row.binary_search_by_key(&figure, |term| term.0).ok();
    found.and_then(|place| row.get(place)).map_or(0, |term| term.1)
}

fn scaled(row: &Row, factor: u64) -> Row {
    row.iter().map(|(figure, value)| (*figure, times(*value, factor))).collect()
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
        given_back(rows.collect(), 1_000).unwrap()
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
        assert_eq!(given_back(ring.to_vec(), 2), None);
    }
}
