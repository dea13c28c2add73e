//! Counts that are kept beside the ledger: the next run counts what has changed since, and publishes what one that
//! counts everything would.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};

use crate::lake::{Call, Lake, assert_same, call, micros, times};

/// Keeps the counts of few rows, too.
const KEEP: [&str; 2] = ["--keep-counts-from", "0"];

/// Rows that a run with the state folder `ledger` found changed; `None` where it counted all. Its tables are those of
/// a run that has no ledger.
fn changed(lake: &Lake, number: u32, more: &[&str]) -> Option<u64> {
    let output = format!("kept-{number}");
    let args = [&["--output", &output, "--state", "ledger"], &KEEP[..], more].concat();
    let outcome = lake.run(&args).succeeds();
    let (output, state) = (format!("fresh-{number}"), format!("state-{number}"));
    let args = [&["--output", output.as_str(), "--state", state.as_str()], more].concat();
    assert_same(&lake.publishes(&args).bytes(), &outcome.published().bytes());
    outcome.json()["effort"]["rows_changed"].as_u64()
}

/// Calls of twenty people in ten groups, twenty days from a day of July 2019 on.
fn calls(first: u32) -> Vec<Call> {
    let person = |n: u32| Call {
        group: Some(i64::from(n % 10)),
        ..call(&format!("2019-07-{:02}T08:00:00Z", first + n), &format!("app-{}", n % 3), n.into())
    };
    (0..20).map(person).collect()
}

fn lake() -> Lake {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &calls(5));
    assert_eq!(changed(&lake, 0, &[]), None, "there is no count yet");
    lake
}

/// The file of the kept count.
fn kept(lake: &Lake) -> std::path::PathBuf {
    let mut files = fs::read_dir(lake.path("ledger/counts")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "there is one");
    file
}

#[test]
fn a_file_more_is_all_that_has_changed() {
    let lake = lake();
    lake.log("logs/b.parquet", &calls(6)[..7]);
    assert_eq!(changed(&lake, 1, &[]), Some(7));
    // The same calls again, in a file before the one that was counted: now that one's rows are the repeats.
    fs::copy(lake.path("logs/a.parquet"), lake.path("logs/0.parquet")).unwrap();
    assert_eq!(changed(&lake, 2, &[]), Some(20));
}

#[test]
fn other_dates_change_the_rows_between_then_and_now() {
    // The sixty days before 2019-09-01 begin before all of the twenty; 48 days before it is July 15, the eleventh.
    assert_eq!(changed(&lake(), 1, &["--set", "report.lookback_days=48"]), Some(10));
    // The last ten lie after it, and the sixty days before it begin in May.
    assert_eq!(changed(&lake(), 1, &["--as-of", "2019-07-15"]), Some(10));
    let later = lake();
    later.edit("scopes.csv", "2019-06-01", "2019-07-08");
    assert_eq!(changed(&later, 1, &[]), Some(3), "of July 5, 6 and 7");
    let grace = lake();
    grace.write("extensions.csv", "app_id,scope,grace_until\napp-1,read_members,2019-07-12\n");
    // Calls of app-1 are those of July 6, 9, 12, 15, 18, 21 and 24.
    let extensions = ["--set", "registry.extensions=extensions.csv"];
    assert_eq!(changed(&grace, 1, &extensions), Some(2));
    assert_eq!(changed(&grace, 2, &extensions), Some(0), "as it was a moment ago");
}

#[test]
fn counts_by_other_rules_are_kept_apart_and_no_more_than_three() {
    let lake = lake();
    for (number, day) in (1..).zip(["08", "09", "10", "11"]) {
        lake.edit("scopes.csv", "read_members,2019-06-01", &format!("read_members,2019-07-{day}"));
        assert!(changed(&lake, number, &[]).is_some_and(|rows| rows > 0));
        lake.edit("scopes.csv", &format!("read_members,2019-07-{day}"), "read_members,2019-06-01");
        if number == 1 {
            assert_eq!(changed(&lake, 9, &[]), Some(0), "by the rules of the first");
        }
    }
    assert_eq!(fs::read_dir(lake.path("ledger/counts")).unwrap().count(), 3);
}

#[test]
fn what_is_gone_or_asked_for_anew_is_counted_with_all_the_rest() {
    let lake = lake();
    lake.log("logs/b.parquet", &calls(6));
    assert_eq!(changed(&lake, 1, &[]), Some(20));
    fs::remove_file(lake.path("logs/a.parquet")).unwrap();
    assert_eq!(changed(&lake, 2, &[]), None);
    assert_eq!(changed(&lake, 3, &["--set", "report.groups=3"]), None);
}

#[test]
fn rows_that_were_kept_by_other_first_days_are_others() {
    let lake = Lake::empty();
    let posts = |c: Call| Call { scope: "write_posts".into(), ..c };
    let on = |day: &str, user| call(&format!("{day}T08:00:00Z"), "app-1", user);
    let calls = [
        on("2019-07-05", 1),
        posts(on("2019-07-05", 2)),
        on("2019-07-06", 3),
        posts(on("2019-07-06", 4)),
    ];
    lake.log("logs/a.parquet", &calls);
    let dates = |members: &str, posts: &str| {
        let lines = format!("read_members,{members},name\nwrite_posts,{posts},posts\n");
        lake.write("scopes.csv", &format!("scope,deprecated_at,data_fields\n{lines}"));
    };
    // Of either scope one row is left out before the ledger, each time another one: three are kept.
    dates("2019-07-05", "2019-07-06");
    assert_eq!(changed(&lake, 0, &[]), None);
    dates("2019-07-06", "2019-07-05");
    assert_eq!(changed(&lake, 1, &[]), None);
}

#[test]
fn a_count_that_cannot_be_kept_or_read_costs_a_warning() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &calls(5));
    fs::create_dir_all(lake.path("ledger")).unwrap();
    // A file where the folder of counts would be.
    lake.publishes(&["--output", "first", "--state", "ledger"]);
    lake.write("ledger/counts", "in the way");
    let args = [&["--output", "kept", "--state", "ledger"], &KEEP[..]].concat();
    let told = lake.run(&args).succeeds().stderr;
    assert!(told.contains("count") && told.contains("ledger"), "{told}");
}

#[test]
fn a_log_without_groups_begins_with_a_kept_count() {
    let lake = Lake::empty();
    lake.edit("afterscope.toml", "group = \"group_id\"\n", "");
    let keep = ["--keep-counts-from", "1"];
    lake.log("logs/a.parquet", &calls(5));
    lake.publishes(&[&["--output", "first", "--state", "ledger"], &keep[..]].concat());
    lake.log("logs/b.parquet", &calls(6)[..2]);
    let args = [&["--output", "kept", "--state", "ledger"], &keep[..]].concat();
    let outcome = lake.run(&args).succeeds();
    assert_eq!(outcome.json()["effort"]["rows_changed"], 2);
    assert_same(&lake.publishes(&[]).bytes(), &outcome.published().bytes());
}

#[test]
fn a_run_that_is_told_to_counts_everything() {
    let lake = lake();
    lake.log("logs/b.parquet", &calls(6));
    assert_eq!(changed(&lake, 1, &["--recount"]), None);
}

#[test]
fn a_damaged_count_is_none() {
    let lake = lake();
    let file = kept(&lake);
    let good = fs::read(&file).unwrap();
    for at in [0, 30, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let number = u32::try_from(at).unwrap() + 1;
        lake.log(&format!("logs/{at}.parquet"), &calls(1)[..3]);
        assert_eq!(changed(&lake, number, &[]), None, "byte {at}");
    }
}

/// A file of two hundred calls, by which all that a row is asked for differs: some are denied, some are rejected, some
/// name no field, and some lie between two microseconds.
fn of_every_kind(lake: &Lake, path: &str, first: i64) {
    let rows = || first..first + 200;
    let texts = |of: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new(rows().map(of).collect::<StringArray>())
    };
    let numbers =
        |of: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new(rows().map(of).collect::<Int64Array>()) };
    let start = micros("2019-06-20T00:00:00Z");
    let hour = 3_600_000_000_i64;
    let beyond = |n: i64| if first == 0 { 0 } else { n % 3 * 333 };
    let nanos = |n: i64| (n % 29 != 7).then(|| (start + n % 199 * 7 * hour) * 1_000 + beyond(n));
    let moments = rows().map(nanos).collect::<TimestampNanosecondArray>();
    let one_of = |these: [&str; 3], n: i64| these[usize::try_from(n % 3).unwrap()].to_string();
    lake.columns(
        path,
        vec![
            ("event_time", Arc::new(moments.with_timezone("UTC"))),
            ("request_id", texts(&|n| Some(format!("request-{n}")))),
            ("app_id", texts(&|n| (n % 31 != 5).then(|| format!("app-{}", n % 7)))),
            ("user_id", numbers(&|n| n % 43)),
            ("group_id", numbers(&|n| n % 17)),
            ("scope", texts(&|n| Some(one_of(["read_members", "write_posts", "other"], n / 2)))),
            ("status", numbers(&|n| if n % 5 == 3 { 403 } else { 200 })),
            ("bytes", numbers(&|n| n)),
            (
                "returned",
                texts(&|n| (n % 4 > 0).then(|| one_of(["name", "email", "mail name"], n))),
            ),
        ],
    );
}

#[test]
fn rows_of_every_kind_are_looked_at_again() {
    let lake = Lake::empty();
    let fields = "bytes = \"bytes\"\nfields = { path = \"returned\", encoding = \"space\" }";
    lake.edit("afterscope.toml", "bytes = \"bytes\"", fields);
    lake.edit("afterscope.toml", "[report]", "[report]\nmax_rejected_rows = 100");
    of_every_kind(&lake, "logs/a.parquet", 0);
    of_every_kind(&lake, "logs/b.parquet", 200);
    assert_eq!(changed(&lake, 0, &[]), None);
    let some = |rows: Option<u64>| assert!((1..400).contains(&rows.unwrap()), "{rows:?}");
    some(changed(&lake, 1, &["--as-of", "2019-08-01"]));
    some(changed(&lake, 2, &["--set", "report.lookback_days=40"]));
    lake.edit("scopes.csv", "2019-07-01T00:00:00Z", "2019-07-03T11:30:00.000000333Z");
    some(changed(&lake, 3, &[]));
    let graces = "app-1,read_members,2019-07-12\napp-2,write_posts,2019-07-20T06:00:00Z\n";
    lake.write("extensions.csv", &format!("app_id,scope,grace_until\n{graces}"));
    some(changed(&lake, 4, &["--set", "registry.extensions=extensions.csv"]));
    // The first restriction of all: rejected rows may mean something else, too.
    lake.edit("scopes.csv", "2019-06-01", "2019-06-25");
    some(changed(&lake, 5, &["--set", "registry.extensions=extensions.csv"]));
}

/// A file of one call in a group whose id is a text.
fn in_group_of_text(lake: &Lake, path: &str, user: i64, group: &str) {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values([text])) };
    let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values([number])) };
    lake.columns(
        path,
        vec![
            ("event_time", times([Some("2019-07-05T08:00:00Z")].into_iter())),
            ("request_id", text(path)),
            ("app_id", text("app-1")),
            ("user_id", number(user)),
            ("group_id", text(group)),
            ("scope", text("read_members")),
            ("status", number(200)),
            ("bytes", number(1)),
        ],
    );
}

#[test]
fn ids_are_veiled_where_there_is_an_id_key() {
    let group = "a-group-that-nobody-is-to-know-of";
    let holds = |bytes: &[u8]| bytes.windows(group.len()).any(|part| part == group.as_bytes());
    for (key, veiled) in [(&[][..], false), (&["--id-key", "file:id.key"][..], true)] {
        let lake = Lake::empty();
        lake.write("id.key", "a secret of at least thirty-two bytes\n");
        in_group_of_text(&lake, "logs/a.parquet", 4, group);
        assert_eq!(changed(&lake, 0, key), None);
        assert_eq!(holds(&fs::read(kept(&lake)).unwrap()), !veiled);
        // The group is listed as before, by its own id.
        in_group_of_text(&lake, "logs/b.parquet", 5, "another");
        assert_eq!(changed(&lake, 1, key), Some(1));
    }
}

#[test]
fn a_ledger_of_few_rows_keeps_no_count() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    assert!(!lake.path("state/counts").exists());
}

/// A file of three hundred calls, each with three of seven scopes, of which the first is exercised, and an actor
/// beside its person.
fn of_many_sets(lake: &Lake, path: &str, first: i64) {
    let rows = || first..first + 300;
    let texts = |of: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows().map(of)))
    };
    let numbers = |of: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows().map(of)))
    };
    let start = micros("2019-06-20T00:00:00Z") * 1_000;
    let hour = 3_600_000_000_000_i64;
    let moments = numbers(&|n| start + n % 211 * 7 * hour);
    let moments = moments.as_primitive::<Int64Type>().reinterpret_cast::<TimestampNanosecondType>();
    let scope = |n: i64| format!("s{}", n.rem_euclid(7));
    let carried = |n: i64| [scope(n), scope(n * 3 + 1), scope(n / 5)].join(" ");
    lake.columns(
        path,
        vec![
            ("event_time", Arc::new(moments.with_timezone("UTC"))),
            ("request_id", texts(&|n| format!("request-{n}"))),
            ("app_id", texts(&|n| format!("app-{}", n % 3))),
            (
                "user_id",
                Arc::new(Int64Array::from_iter(rows().map(|n| (n % 41 > 3).then_some(n % 37)))),
            ),
            ("actor_id", numbers(&|n| n % 11)),
            ("group_id", numbers(&|n| n % 19)),
            ("scope", texts(&carried)),
            ("path", texts(&|n| format!("/of/{}", scope(n)))),
            ("status", numbers(&|n| if n % 6 == 1 { 403 } else { 200 })),
            ("bytes", numbers(&|n| n)),
        ],
    );
}

#[test]
fn rows_of_many_scopes_are_looked_at_again_by_rules_of_each_kind() {
    let lake = Lake::empty();
    let scopes = |day: i64| -> String {
        let lines = (0..7).map(|n| format!("s{n},2019-07-{:02}T00:00:00Z,name\n", n * 2 + day));
        format!("scope,deprecated_at,data_fields\n{}", lines.collect::<String>())
    };
    lake.write("scopes.csv", &scopes(1));
    lake.edit(
        "afterscope.toml",
        "subject = \"user_id\"",
        "subject = \"user_id\"\nactor = \"actor_id\"",
    );
    let carried = "scopes = { path = \"scope\", encoding = \"space\" }\nendpoint = \"path\"";
    lake.edit("afterscope.toml", "scopes = \"scope\"", carried);
    lake.edit("afterscope.toml", "[registry]", "[registry]\nendpoints = \"endpoints.csv\"");
    let endpoints = (0..7).map(|n| format!(",/of/s{n},s{n}\n")).collect::<String>();
    lake.write("endpoints.csv", &format!("method,path,scope\n{endpoints}"));
    let promises = "app-0,,2019-06-25,2019-07-14,\napp-2,s4,2019-06-25,2019-07-20,\n";
    lake.write(
        "attestations.csv",
        &format!("app_id,scope,asked_at,attested_at,statement\n{promises}"),
    );
    lake.edit("afterscope.toml", "[registry]", "[registry]\nattestations = \"attestations.csv\"");
    of_many_sets(&lake, "logs/a.parquet", 0);
    of_many_sets(&lake, "logs/b.parquet", 300);
    assert_eq!(changed(&lake, 0, &[]), None);
    let some = |rows: Option<u64>| assert!((1..900).contains(&rows.unwrap()), "{rows:?}");
    // Windows alone differ.
    some(changed(&lake, 1, &["--set", "report.lookback_days=40"]));
    let graces = "app-1,s3,2019-07-19\napp-2,s0,2019-07-20T06:00:00Z\n";
    lake.write("extensions.csv", &format!("app_id,scope,grace_until\n{graces}"));
    let brownouts = "s2,app-1,2019-07-10,2019-07-21\ns5,,2019-07-18,2019-07-19\n";
    lake.write("brownouts.csv", &format!("scope,app_id,from,to\n{brownouts}"));
    let grants = "app-0,s1,,2019-07-25\n";
    lake.write("grants.csv", &format!("app_id,scope,granted_at,revoked_at\n{grants}"));
    let registry = |name: &str| format!("registry.{name}={name}.csv");
    let [graces, brownouts, grants] = ["extensions", "brownouts", "grants"].map(registry);
    let with_graces = ["--set", graces.as_str()];
    some(changed(&lake, 2, &with_graces));
    let with_all =
        ["--set", graces.as_str(), "--set", brownouts.as_str(), "--set", grants.as_str()];
    some(changed(&lake, 3, &with_all));
    let fewer_days = [&with_all[..], &["--set", "report.lookback_days=30"]].concat();
    some(changed(&lake, 4, &fewer_days));
    // Rows count that did not, or do no longer.
    some(changed(&lake, 5, &[&with_all[..], &["--as-of", "2019-08-09"]].concat()));
    lake.write("scopes.csv", &scopes(2));
    some(changed(&lake, 6, &with_all));
    // Rows come, by the same rules and by others.
    of_many_sets(&lake, "logs/c.parquet", 600);
    some(changed(&lake, 7, &with_all));
    of_many_sets(&lake, "logs/d.parquet", 550);
    some(changed(&lake, 8, &with_graces));
}
