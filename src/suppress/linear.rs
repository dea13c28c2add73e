//! Sums taken together. Each alone may hide what it has to, and two of them give it back: where every row and
//! every column of a table hides two cells, what some rows hide less what some columns hide can be one cell.
//!
//! Gauss-Jordan elimination over the masked figures, modulo a prime: a figure is given back where a row of the
//! reduced system holds it alone. Coefficients are small whole numbers in the beginning; that a row of them
//! vanishes modulo a prime of 61 bits and not else does not happen by chance, and would mask one figure more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::solve::Figure;

const PRIME: u64 = (1 << 61) - 1;

/// Figures with their coefficients, by figure.
type Row = Vec<(Figure, u64)>;

fn times(a: u64, b: u64) -> u64 {
    // The remainder is less than the prime.
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
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

/// `row` - `factor` × `pivot`.
fn less(row: &Row, pivot: &Row, factor: u64) -> Row {
    let minus = PRIME - factor;
    let mut out = Row::with_capacity(row.len() + pivot.len());
    let (mut a, mut b) = (row.iter().peekable(), pivot.iter().peekable());
    loop {
        let term = match (a.peek(), b.peek()) {
            (None, None) => return out,
            (Some((x, v)), Some((y, w))) if x == y => {
                let term = (*x, (*v + times(minus, *w)) % PRIME);
                (a.next(), b.next());
                term
            }
            (Some((x, v)), other) if other.is_none_or(|(y, _)| x < y) => {
                let term = (*x, *v);
                a.next();
                term
            }
            (_, Some((y, w))) => {
                let term = (*y, times(minus, *w));
                b.next();
                term
            }
            (Some(_), None) => return out,
        };
        if term.1 != 0 {
            out.push(term);
        }
    }
}

/// Masked figures of one sum: its parent, if masked, and its masked children.
pub fn row(parent: Option<Figure>, children: impl Iterator<Item = Figure>) -> Row {
    let mut row: Row = children.map(|child| (child, PRIME - 1)).collect();
    row.extend(parent.map(|parent| (parent, 1)));
    row.sort_unstable();
    row
}

/// The figures that the rows give back, ascending; `None` where it takes more than `limit` steps to know.
pub fn given_back(mut rows: Vec<Row>, limit: u64) -> Option<Vec<Figure>> {
    let mut holds: BTreeMap<Figure, BTreeSet<usize>> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        for (figure, _) in row {
            holds.entry(*figure).or_default().insert(number);
        }
    }
    // The shortest row first: what it holds goes from all others.
    let mut waiting: BinaryHeap<Reverse<(usize, usize)>> =
        rows.iter().enumerate().map(|(number, row)| Reverse((row.len(), number))).collect();
    let mut is_done = vec![false; rows.len()];
    let mut steps = 0;
    let mut solved = Vec::new();
    while let Some(Reverse((length, number))) = waiting.pop() {
        let Some(row) = rows.get(number).filter(|row| row.len() == length) else { continue };
        let rare = |(figure, _): &&(Figure, u64)| (holds.get(figure).map(BTreeSet::len), *figure);
        if is_done.get(number) != Some(&false) {
            continue;
        }
        let Some((pivot, value)) = row.iter().min_by_key(rare).copied() else { continue };
        let factor = inverse(value);
        let unit: Row = row.iter().map(|(figure, v)| (*figure, times(*v, factor))).collect();
        if let Some(done) = is_done.get_mut(number) {
            *done = true;
        }
        solved.push(number);
        for other in holds.get(&pivot).cloned().unwrap_or_default() {
            let Some(row) = rows.get_mut(other).filter(|_| other != number) else { continue };
            let Ok(at) = row.binary_search_by_key(&pivot, |term| term.0) else { continue };
            let factor = row.get(at).map_or(0, |term| term.1);
            let reduced = less(row, &unit, factor);
            steps += (row.len() + unit.len()) as u64;
            if steps > limit {
                return None;
            }
            for (figure, _) in &unit {
                let is_there = reduced.binary_search_by_key(figure, |term| term.0).is_ok();
                let rows = holds.entry(*figure).or_default();
                if is_there {
                    rows.insert(other);
                } else {
                    rows.remove(&other);
                }
            }
            *row = reduced;
            if is_done.get(other) == Some(&false) {
                waiting.push(Reverse((row.len(), other)));
            }
        }
        if let Some(row) = rows.get_mut(number) {
            *row = unit;
        }
    }
    let alone = |number: usize| match rows.get(number).map(Vec::as_slice) {
        Some([(figure, _)]) => Some(*figure),
        _ => None,
    };
    let mut found: Vec<Figure> = solved.into_iter().filter_map(alone).collect();
    found.sort_unstable();
    Some(found)
}
