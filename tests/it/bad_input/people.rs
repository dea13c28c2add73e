//! Tables of members and residences, thresholds, and the dates of an incident.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampNanosecondArray};

use crate::lake::{Lake, times};

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn open() -> ArrayRef {
    times([None, None].into_iter())
}

#[test]
fn a_table_of_people_that_is_not_there_or_lacks_a_column_is_named() {
    let lake = Lake::with_people();
    fs::remove_file(lake.path("memberships.parquet")).unwrap();
    lake.refuses(&[], 1, &["memberships.parquet", "does not exist", "registry.memberships"]);
    lake.columns(
        "memberships.parquet",
        vec![("group", ints(&[Some(10)])), ("subject", ints(&[Some(1)]))],
    );
    let says = ["memberships.parquet", "no column `group_id`", "group, subject"];
    lake.refuses(&[], 1, &says);
    lake.write("memberships.parquet", "group_id,subject,from,to\n10,1,,\n");
    lake.refuses(&[], 1, &["memberships.parquet", "registry.memberships"]);
}

#[test]
fn an_empty_id_is_named_with_its_row() {
    let lake = Lake::with_people();
    let ids = [("group_id", ints(&[Some(10), Some(11)])), ("subject", ints(&[Some(1), None]))];
    let columns = ids.into_iter().chain([("from", open()), ("to", open())]).collect();
    lake.columns("memberships.parquet", columns);
    lake.refuses(&[], 1, &["memberships.parquet", "row 2", "`subject`", "is empty"]);
}

#[test]
fn an_id_of_another_kind_than_the_logs_is_named() {
    let lake = Lake::with_people();
    lake.columns(
        "residency.parquet",
        vec![
            ("subject", Arc::new(StringArray::from(vec!["1", "user-2"]))),
            ("country", Arc::new(StringArray::from(vec!["DE", "DE"]))),
        ],
    );
    let says = ["residency.parquet", "row 2", "`subject`", "`user-2` is no integer id"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_membership_that_ends_before_it_begins_is_named() {
    let lake = Lake::with_people();
    lake.memberships(&[
        (10, 1, None, None),
        (10, 2, Some("2019-07-02T00:00:00Z"), Some("2019-07-01T00:00:00Z")),
    ]);
    lake.refuses(&[], 1, &["memberships.parquet", "row 2", "`to`", "before `from`"]);
}

#[test]
fn a_moment_between_two_microseconds_is_refused_and_not_rounded() {
    let lake = Lake::with_people();
    let from = TimestampNanosecondArray::from(vec![None, Some(1_500)]).with_timezone("UTC");
    lake.columns(
        "memberships.parquet",
        vec![
            ("group_id", ints(&[Some(10), Some(11)])),
            ("subject", ints(&[Some(1), Some(2)])),
            ("from", Arc::new(from)),
            ("to", open()),
        ],
    );
    let says = ["memberships.parquet", "row 2", "`from`", "between two microseconds"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn sources_with_ids_of_their_own_ask_whose_people_the_tables_speak_of() {
    let lake = Lake::with_people();
    let config = fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let second = config.split("[registry]").next().unwrap().replace("\"access\"", "\"audit\"");
    lake.write("afterscope.toml", &format!("{second}{config}"));
    lake.refuses(&[], 1, &["registry.people_of", "several sources"]);
    lake.edit("afterscope.toml", "[report]", "people_of = \"acess\"\n\n[report]");
    lake.refuses(&[], 1, &["people_of", "no source is named `acess`"]);
    lake.edit("afterscope.toml", "\"acess\"", "\"access\"");
    lake.publishes(&[]);
}

#[test]
fn a_threshold_with_an_unknown_word_is_named_with_what_it_may_be() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "\n[report]", "thresholds = \"thresholds.csv\"\n\n[report]");
    let header = "regime,jurisdiction,operator,number,counted,clock,limit,unit,source\n";
    let cases: [(&str, &[&str]); 13] = [
        ("a,DE,>=,1,subjects,aware,3,weeks,", &["`unit`", "`weeks`", "business_days"]),
        ("a,DE,=,1,,,,,", &["`operator`", "`=`", ">="]),
        ("a,DE,>=,many,,,,,", &["`number`", "`many` is no whole number"]),
        ("a,DE,>=,,,,,,", &["`number`", "goes together with `operator`"]),
        ("a,DE,>=,1,records,,,,", &["`counted`", "`records`", "subjects"]),
        ("a,DE,>=,1,,noticed,,,", &["`clock`", "`noticed`", "discovered"]),
        ("a,DE,>=,1,,,3,hours,", &["`clock`", "is empty"]),
        ("a,;DE,>=,1,,,,,", &["`jurisdiction`", "`` is no place"]),
        ("a,us-ca,>=,1,,,,,", &["`jurisdiction`", "`us-ca` is no place", "US-CA"]),
        ("a,Germany,>=,1,,,,,", &["`jurisdiction`", "`Germany` is no place"]),
        ("a,all;DE,>=,1,,,,,", &["`jurisdiction`", "`all` is no place"]),
        ("a,UK,>=,1,,,,,", &["`jurisdiction`", "the code of ISO 3166 for `UK` is GB"]),
        ("a,DE;EL,>=,1,,,,,", &["`jurisdiction`", "for `EL` is GR"]),
    ];
    for (row, says) in cases {
        lake.write("thresholds.csv", &format!("{header}{row}\n"));
        lake.refuses(&[], 1, &[&["thresholds.csv", "line 2"], says].concat());
    }
    lake.write("thresholds.csv", &format!("{header}a,DE,>=,1,,,,,\na,DE,>=,2,,,,,\n"));
    lake.refuses(&[], 1, &["thresholds.csv", "line 3", "line 2", "regime `a` for `DE`"]);
}

#[test]
fn a_duty_of_a_regime_that_no_rule_knows_is_refused() {
    let lake = Lake::standard();
    let incident =
        "thresholds = \"thresholds.csv\"\n\n[incident.reported]\nGDPR = \"2019-07-02\"\n";
    lake.edit("afterscope.toml", "\n[report]", &format!("{incident}\n[report]"));
    let header = "regime,jurisdiction,operator,number,counted,clock,limit,unit,source\n";
    lake.write("thresholds.csv", &format!("{header}gdpr,all,>=,1,,aware,72,hours,\n"));
    let says = ["[incident.reported]", "`GDPR`", "did you mean `gdpr`", "not kept"];
    lake.refuses(&[], 1, &says);
    lake.edit("afterscope.toml", "GDPR", "gdpr");
    lake.publishes(&[]);
}

#[test]
fn a_date_of_the_incident_that_is_none_is_named_with_its_line() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "[incident]\naware = \"yesterday\"\n\n[report]");
    lake.refuses(&[], 1, &["afterscope.toml", "`yesterday` is no date"]);
}

#[test]
fn an_empty_file_and_a_column_of_no_ids_are_no_tables_of_people() {
    let lake = Lake::with_people();
    lake.write("residency.parquet", "");
    lake.refuses(&[], 1, &["residency.parquet", "no Parquet file", "0 bytes"]);
    let dates = arrow::array::Date32Array::from(vec![1, 2]);
    lake.columns(
        "residency.parquet",
        vec![
            ("subject", Arc::new(dates)),
            ("country", Arc::new(StringArray::from(vec!["DE", "DE"]))),
        ],
    );
    lake.refuses(&[], 1, &["residency.parquet", "`subject`", "Date32", "ids are whole numbers"]);
}
