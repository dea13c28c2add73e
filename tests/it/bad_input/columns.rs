//! Columns that are missing, or hold something else than the configuration says.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};

use crate::lake::{Lake, micros, times};

const AT: &str = "2019-07-01T08:00:00Z";

/// A lake of one file with one call of person 1; every column as given.
fn lake_of(time: ArrayRef, user: ArrayRef, scope: ArrayRef) -> Lake {
    let lake = Lake::empty();
    for column in ["group = \"group_id\"", "status = \"status\"", "event_id = \"request_id\""] {
        lake.edit("afterscope.toml", &format!("{column}\n"), "");
    }
    let ten: ArrayRef = Arc::new(Int64Array::from(vec![10]));
    let columns = vec![
        ("event_time", time),
        ("app_id", text("app-1")),
        ("user_id", user),
        ("scope", scope),
        ("bytes", ten),
    ];
    lake.columns("logs/a.parquet", columns);
    lake
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn one(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn scope() -> ArrayRef {
    text("read_members")
}

fn time() -> ArrayRef {
    times(std::iter::once(Some(AT)))
}

/// The run counts the one call, at its time.
fn counts_the_call(lake: &Lake, args: &[&str]) {
    let table = lake.publishes(args).table("scope_summary");
    let row = table.row(&[("scope", "(all)")], &["requests_allowed", "first_access"]);
    assert_eq!(row, ["1", AT]);
}

#[test]
fn a_missing_column_is_named_with_the_nearest_one() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "\"user_id\"", "\"usr_id\"");
    let says = ["part-0.parquet", "no column `usr_id`", "subject", "did you mean `user_id`?"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_missing_column_may_be_null_where_the_message_says_how() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "\"user_id\"", "\"person\"");
    let advice = "{ path = \"person\", missing = \"null\" }";
    lake.refuses(&[], 1, &["no column `person`", advice]);
    lake.edit("afterscope.toml", "\"person\"", advice);
    let outcome = lake.run(&[]).succeeds();
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 6);
    assert_eq!(outcome.json()["totals"]["subjects_observed"], 0);
}

/// Some engines take names in other letters for the same column: nulls in its place would be silent.
#[test]
fn a_column_that_may_be_missing_is_not_missing_in_other_letters() {
    let id = Arc::new(Field::new("Id", DataType::Int64, true));
    let caller: ArrayRef = Arc::new(StructArray::from(vec![(id, one(1))]));
    for (name, column, here, written) in
        [("User_ID", one(1), "User_ID", "user_id"), ("Caller", caller, "Caller.Id", "caller.id")]
    {
        let lake = lake_of(time(), one(1), scope());
        let app = text("app-1");
        let columns =
            vec![("event_time", time()), ("app_id", app), ("scope", scope()), ("bytes", one(1))];
        lake.columns("logs/odd.parquet", [columns, vec![(name, column)]].concat());
        let plan = format!("subject = {{ path = \"{written}\", missing = \"null\" }}");
        lake.edit("afterscope.toml", "subject = \"user_id\"", &plan);
        let says = [format!("column `{written}`"), format!("but `{here}` is, in other letters")];
        lake.refuses(&[], 1, &["odd.parquet", &says[0], &says[1]]);
    }
}

#[test]
fn a_column_missing_from_one_file_of_many_names_that_file() {
    let lake = Lake::standard();
    lake.columns("logs/dt=2019-07-04/odd.parquet", vec![("event_time", time())]);
    lake.refuses(&[], 1, &["dt=2019-07-04/odd.parquet", "no column `app_id`"]);
}

#[test]
fn a_time_column_of_another_type_is_named_with_both_types() {
    let lake = lake_of(Arc::new(BooleanArray::from(vec![true])), one(1), scope());
    lake.refuses(&[], 1, &["a.parquet", "`event_time`", "Boolean", "a time needed", "map another"]);
}

#[test]
fn a_fraction_is_no_id() {
    let lake = lake_of(time(), Arc::new(Float64Array::from(vec![1.0])), scope());
    lake.refuses(&[], 1, &["a.parquet", "`user_id`", "subject", "Float64", "whole numbers, text"]);
}

#[test]
fn a_text_that_is_no_number_is_named_where_numbers_are_counted() {
    let lake = lake_of(time(), one(1), scope());
    lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"app_id\"");
    lake.refuses(&[], 1, &["a.parquet", "`app_id`", "bytes", "whole numbers needed"]);
}

#[test]
fn whole_numbers_as_times_need_a_unit_and_the_message_says_how() {
    let lake = lake_of(one(micros(AT) / 1000), one(1), scope());
    let advice = "{ path = \"event_time\", format = \"epoch_ms\" }";
    lake.refuses(&[], 1, &["a.parquet", "`event_time`", advice]);
    lake.edit("afterscope.toml", "\"event_time\"", advice);
    counts_the_call(&lake, &[]);
}

#[test]
fn times_without_a_zone_need_one_and_the_message_says_how() {
    let wall = TimestampMicrosecondArray::from(vec![micros(AT)]);
    let lake = lake_of(Arc::new(wall), one(1), scope());
    let advice = "{ path = \"event_time\", zone = \"UTC\" }";
    lake.refuses(&[], 1, &["a.parquet", "`event_time`", "no zone", advice]);
    lake.edit("afterscope.toml", "\"event_time\"", advice);
    counts_the_call(&lake, &[]);
}

#[test]
fn a_time_that_cannot_be_read_is_a_rejected_row() {
    let lake = lake_of(text("on Monday"), one(1), scope());
    lake.refuses(&[], 3, &["1 rows are rejected", "1 in", "a.parquet", "report.max_rejected_rows"]);
}

#[test]
fn a_list_of_scopes_needs_a_meaning_and_the_message_says_how() {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("email"), Some("read_members")]);
    let lake = lake_of(time(), one(1), Arc::new(lists.finish()));
    lake.refuses(&[], 1, &["a.parquet", "`scope`", "scopes_mean = \"exercised\" or \"held\""]);
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"logs/\"\nscopes_mean = \"exercised\"");
    counts_the_call(&lake, &[]);
}

#[test]
fn rejected_rows_above_the_limit_end_the_run_with_their_number_and_files() {
    let lake = Lake::standard();
    let timeless = |app| crate::lake::Call { time: None, ..crate::lake::call(AT, app, 9) };
    lake.log("logs/b.parquet", &[timeless("app-1"), timeless("app-2")]);
    lake.log("logs/c.parquet", &[timeless("app-3"), crate::lake::call(AT, "app-1", 1)]);
    let of = |rows: u64, name: &str| format!("{rows} in {}", lake.path(name).display());
    let (two, one) = (of(2, "logs/b.parquet"), of(1, "logs/c.parquet"));
    let says = [
        "3 rows are rejected",
        "0 are allowed",
        two.as_str(),
        one.as_str(),
        "report.max_rejected_rows",
    ];
    lake.refuses(&[], 3, &says);
    lake.refuses(&["--set", "report.max_rejected_rows=2"], 3, &["3 rows", "2 are allowed"]);
    let table = lake.publishes(&["--set", "report.max_rejected_rows=3"]).table("coverage");
    let row = table.row(&[("grain", "all")], &["rows_rejected", "rows_counted"]);
    assert_eq!(row, ["3", "7"]);
}
