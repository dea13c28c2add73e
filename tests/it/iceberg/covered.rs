//! Days that a table's deleted rows lay on are not covered by them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::table::{DAY, Ice, partition};
use crate::delta::covered::{expect, told};
use crate::lake::{Lake, standard_days};

#[test]
fn a_day_whose_rows_are_all_deleted_is_not_covered() {
    let expect = |lake: &Lake| expect(lake, "2019-07-01", "2019-07-03");
    let plain = Lake::empty();
    let (name, calls) = &standard_days()[0];
    plain.log(name, calls);
    expect(&plain);
    let covered = told(&plain);
    assert_eq!(covered, ["2", "1", "inconclusive"]);
    let by_position = |rows: &[i64]| {
        let mut table = Ice::standard(2);
        let deletes = table.positions("data/gone.parquet", &table.day(1), rows);
        table.commit(vec![deletes]);
        expect(&table.lake);
        told(&table.lake)
    };
    assert_eq!(by_position(&[0, 1]), covered);
    // The refused call of app-3 is left.
    assert_eq!(by_position(&[0]), ["2", "2", "clean"]);
    let mut table = Ice::standard(2);
    let persons: ArrayRef = Arc::new(Int64Array::from(vec![1, 4]));
    let mut deletes = table.equals("data/gone.parquet", vec![("user_id", 4, persons)]);
    table.commit(vec![deletes.partition(partition(DAY + 1)).build().unwrap()]);
    expect(&table.lake);
    assert_eq!(told(&table.lake), covered);
}
