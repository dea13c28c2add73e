//! Days that a table's deleted rows lay on are not covered by them.
//!
//! A table and its live rows as plain files must give the same verdict.

use serde_json::{Value, json};

use super::{add, commit, inline_vector, metadata, protocol, schema};
use crate::lake::{Call, Lake, call, spoil};

/// The source has rows of these days, and app-1 promised deletion before the second.
pub fn expect(lake: &Lake, from: &str, until: &str) {
    let expected =
        format!("expected = {{ every = \"1d\", from = \"{from}\", until = \"{until}\" }}");
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{expected}\n\n[source.columns]"));
    let promises = "attestations = \"attestations.csv\"\n";
    lake.edit("afterscope.toml", "\n[report]", &format!("{promises}\n[report]"));
    lake.write(
        "attestations.csv",
        "app_id,scope,asked_at,attested_at,statement\napp-1,read_members,2019-06-20,2019-07-02,All is deleted\n",
    );
}

/// Days that are expected and covered, and what comes of the promise at the end of the second.
pub fn told(lake: &Lake) -> Vec<String> {
    let published = lake.publishes(&["--as-of", "2019-07-03T00:00:00Z"]);
    let (coverage, promises) =
        (published.table("coverage"), published.table("deletion_verification"));
    let days = coverage.row(&[("source", "(all)")], &["periods_expected", "periods_covered"]);
    let verdict = promises.row(&[("app_id", "app-1")], &["verdict"]);
    days.into_iter().chain(verdict).map(str::to_string).collect()
}

/// Files of a table with the rows that it has deleted.
fn table(files: &[(&[Call], &[u64])], change: impl Fn(&mut Value)) -> Lake {
    let lake = Lake::empty();
    let mut actions =
        vec![protocol(&["deletionVectors"]), metadata(&schema(|_| json!({})), &json!({}))];
    for (number, (calls, gone)) in files.iter().enumerate() {
        let name = format!("part-{number}.parquet");
        lake.log(&format!("logs/{name}"), calls);
        let day = calls[0].time.as_deref().unwrap();
        let mut file = add(&lake, &name, &day[..10], "dt");
        if !gone.is_empty() {
            file["add"]["deletionVector"] = inline_vector(gone);
            change(&mut file);
        }
        actions.push(file);
    }
    commit(&lake, 0, &actions);
    lake.edit("afterscope.toml", "url = \"logs/\"\n", "url = \"logs/\"\nformat = \"delta\"\n");
    lake
}

/// The same rows without those that are gone; a file of none is none.
fn plain(files: &[(&[Call], &[u64])]) -> Lake {
    let lake = Lake::empty();
    for (number, (calls, gone)) in files.iter().enumerate() {
        let live = calls.iter().zip(0..).filter(|(_, row)| !gone.contains(row));
        let live: Vec<Call> = live.map(|(call, _)| call.clone()).collect();
        if !live.is_empty() {
            lake.log(&format!("logs/part-{number}.parquet"), &live);
        }
    }
    lake
}

const JULY: [&str; 2] = ["2019-07-01", "2019-07-03"];

fn same(files: &[(&[Call], &[u64])], [from, until]: [&str; 2], expected: [&str; 3]) {
    let (table, plain) = (table(files, |_| ()), plain(files));
    for lake in [&plain, &table] {
        expect(lake, from, until);
        assert_eq!(told(lake), expected);
    }
    // Whatever the partition says.
    let partition = "partition_time = { column = \"dt\", grain = \"1d\", slack = \"1d\" }\n";
    table.edit("afterscope.toml", "expected =", &format!("{partition}expected ="));
    assert_eq!(told(&table)[2], expected[2]);
}

#[test]
fn a_day_whose_rows_are_all_deleted_is_not_covered() {
    let first = [call("2019-07-01T08:00:00Z", "app-1", 1)];
    let second = ["2019-07-02T08:00:00Z", "2019-07-02T09:00:00Z"].map(|at| call(at, "app-2", 2));
    same(&[(&first, &[]), (&second, &[0, 1])], JULY, ["2", "1", "inconclusive"]);
    // One row is left of it.
    same(&[(&first, &[]), (&second, &[1])], JULY, ["2", "2", "clean"]);
}

#[test]
fn a_row_group_covers_the_days_of_the_rows_that_are_left() {
    let times = ["2019-07-01T23:55:00Z", "2019-07-01T23:59:00Z", "2019-07-02T00:01:00Z"];
    let calls = times.map(|at| call(at, "app-2", 1));
    let lake = |gone: &[u64]| {
        let files: [(&[Call], &[u64]); 1] = [(&calls, gone)];
        let lakes = [plain(&files), table(&files, |_| ())];
        lakes.map(|lake| {
            expect(&lake, JULY[0], JULY[1]);
            told(&lake)
        })
    };
    for (gone, expected) in [
        (&[2][..], ["2", "1", "inconclusive"]),
        (&[0], ["2", "2", "clean"]),
        (&[0, 1], ["2", "1", "clean"]),
    ] {
        assert_eq!(lake(gone), [expected, expected].map(|of| of.map(String::from).to_vec()));
    }
}

#[test]
fn a_file_that_is_not_opened_covers_no_day_where_all_its_rows_are_deleted() {
    let first = [call("2019-07-01T08:00:00Z", "app-1", 1)];
    let before = ["2019-05-01T08:00:00Z", "2019-05-01T09:00:00Z"].map(|at| call(at, "app-2", 2));
    for (gone, covered) in [(&[0, 1][..], "0"), (&[1], "1")] {
        let files: [(&[Call], &[u64]); 2] = [(&first, &[]), (&before, gone)];
        let table = table(&files, |file| {
            file["add"]["stats"] = json!({
                "numRecords": 2, "nullCount": {"event_time": 0}, "tightBounds": false,
                "minValues": {"event_time": "2019-05-01T08:00:00.000Z"},
                "maxValues": {"event_time": "2019-05-01T09:00:00.000Z"},
            })
            .to_string()
            .into();
        });
        spoil(&table.path("logs/part-1.parquet"));
        for lake in [plain(&files), table] {
            expect(&lake, "2019-05-01", "2019-05-02");
            assert_eq!(told(&lake)[..2], ["1", covered]);
        }
    }
}
