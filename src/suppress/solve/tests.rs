//! Laws of the solver.

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
    let (few, many, other) = (figures.add(4, false), figures.add(50, false), figures.add(4, false));
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
        .map(|column| total(&mut figures, (0..cells.len()).map(|row| at(row, column)).collect()))
        .collect();
    let all = total(&mut figures, rows);
    figures.sum(all, &of_columns, Apart);
    figures
}

#[test]
fn a_cell_that_rows_less_columns_would_tell_takes_a_neighbour_with_it() {
    // Two squares of small cells, and one that joins them, at row 1 and column 2: what rows 0 and 1 hide
    // less what columns 0 and 1 hide is that one. Each row and each column hides two at least.
    let figures =
        crossed(&[vec![4, 4, 61, 62], vec![4, 4, 3, 63], vec![64, 65, 4, 4], vec![66, 67, 4, 4]]);
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
        for (at, figure) in unknown.iter().enumerate() {
            // A figure is known where its column stands apart from all others.
            let without = rows.iter().map(|row| {
                row.iter().enumerate().filter(|(c, _)| *c != at).map(|(_, v)| *v).collect()
            });
            prop_assert_eq!(rank(without.collect()), full, "{} of {:?}", figure, cells);
        }
    }
}

#[test]
fn what_gives_a_figure_back_may_lie_beyond_its_own_sums() {
    // 2 is 0 and 1; 4 is 2 and 3; 5 is 1 and 3. 0 and 3 are small; 1 goes with 0, and 2 with 3. Then 0 is 4
    // less 5, while its own sum tells nothing: the lesser of the two goes.
    let mut figures = people(&[1, 10, 11, 3, 14, 13]);
    figures.sum(2, &[0, 1], Apart);
    figures.sum(4, &[2, 3], Apart);
    figures.sum(5, &[1, 3], Apart);
    assert_eq!(masked(&figures, 5), [0, 1, 2, 3, 5]);
    assert!(figures.solve(5).together);
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
