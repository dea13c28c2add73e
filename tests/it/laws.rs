//! Laws that hold for any log: the figures are those of plain sets, and nothing about how the rows are
//! stored, split, read or merged changes a byte of a table.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use proptest::prelude::*;

use crate::lake::{AS_OF, Call, Lake, assert_same, micros, times};
use crate::published::Published;

/// A call in few days, of few apps, people and groups, so that all of them meet; times lie on and
/// around the restrictions of the standard registry.
fn any_call() -> impl Strategy<Value = Call> {
    let time = prop_oneof![
        Just("2019-05-31T23:59:59.999999Z"),
        Just("2019-06-01T00:00:00Z"),
        Just("2019-06-30T12:00:00Z"),
        Just("2019-07-01T00:00:00Z"),
        Just("2019-07-02T23:59:59Z"),
        Just("2019-07-03T00:00:00Z"),
        Just("2019-08-31T23:59:59.999999Z"),
        Just("2019-09-01T00:00:00Z"),
    ];
    let scope = prop_oneof![Just("read_members"), Just("write_posts"), Just("email")];
    (
        time,
        0..4u8,
        scope,
        proptest::option::weighted(0.9, 0..12i64),
        proptest::option::weighted(0.9, 0..5i64),
        prop_oneof![4 => Just(200), 1 => Just(403)],
    )
        .prop_map(|(time, app, scope, user, group, status)| Call {
            time: Some(time.into()),
            app: format!("app-{app}"),
            scope: scope.into(),
            user,
            group,
            status,
        })
}

/// Requests, denied requests, people, groups, first and last access, as plain sets see them.
#[derive(Default)]
struct Naive {
    requests: u64,
    denied: u64,
    people: HashSet<i64>,
    groups: HashSet<i64>,
    times: BTreeSet<i64>,
    lately: u64,
}

/// By scope (or all) and app (or all).
fn naive(calls: &[Call]) -> BTreeMap<(String, String), Naive> {
    let restricted = [("read_members", "2019-06-01"), ("write_posts", "2019-07-01")];
    let mut figures: BTreeMap<(String, String), Naive> = BTreeMap::new();
    for call in calls {
        let at = micros(call.time.as_deref().unwrap());
        let Some((_, day)) = restricted.iter().find(|(scope, _)| *scope == call.scope) else {
            continue;
        };
        if at < micros(&format!("{day}T00:00:00Z")) || at >= micros(AS_OF) {
            continue;
        }
        for scope in [call.scope.as_str(), "(all)"] {
            for app in [call.app.as_str(), "(all)"] {
                let f = figures.entry((scope.into(), app.into())).or_default();
                if call.status != 200 {
                    f.denied += 1;
                    continue;
                }
                f.requests += 1;
                f.people.extend(call.user);
                f.groups.extend(call.group);
                f.times.insert(at);
                f.lately += u64::from(at >= micros(AS_OF) - 60 * 86_400_000_000);
            }
        }
    }
    figures
}

fn agree(published: &Published, calls: &[Call]) {
    let table = published.table("app_scope_exposure");
    let naive = naive(calls);
    let grain = |scope: &str, app: &str| match (scope, app) {
        ("(all)", "(all)") => "all",
        ("(all)", _) => "app",
        (_, "(all)") => "scope",
        _ => "scope_app",
    };
    assert_eq!(table.column("grain").len(), naive.len());
    for ((scope, app), f) in &naive {
        let key = [("grain", grain(scope, app)), ("scope", scope), ("app_id", app)];
        let wanted = [
            "requests_allowed",
            "requests_denied",
            "subjects_observed",
            "groups",
            "requests_lookback",
        ];
        let expected =
            [f.requests, f.denied, f.people.len() as u64, f.groups.len() as u64, f.lately]
                .map(|n| n.to_string());
        assert_eq!(table.row(&key, &wanted), expected, "{scope} {app}");
    }
}

/// The lake with its rows cut into files at `cuts` (shares of a hundred), in this order of files.
fn split(lake: &Lake, calls: &[Call], cuts: &[usize], folder: &str) {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut * calls.len() / 100).collect();
    at.extend([0, calls.len()]);
    at.sort_unstable();
    for (number, pair) in at.windows(2).enumerate() {
        lake.log(&format!("logs/{folder}/{number}.parquet"), &calls[pair[0]..pair[1]]);
    }
}

fn without_coverage(published: &Published) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = published.bytes();
    bytes.retain(|name, _| !name.starts_with("coverage."));
    bytes
}

proptest! {
    // Each case is several runs of the program.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn figures_are_those_of_plain_sets(calls in proptest::collection::vec(any_call(), 1..120)) {
        let lake = Lake::empty();
        split(&lake, &calls, &[], "one");
        agree(&lake.publishes(&[]), &calls);
    }

    #[test]
    fn any_split_into_files_any_limit_and_any_number_of_threads_give_the_same_bytes(
        calls in proptest::collection::vec(any_call(), 1..120),
        cuts in proptest::collection::vec(0..100usize, 0..6),
        threads in 1..4u32,
        limit in 160..400u32,
        turned in any::<bool>(),
    ) {
        // Without an event id no row is a repeat of another, wherever it stands.
        let (whole, parts) = (Lake::empty(), Lake::empty());
        for lake in [&whole, &parts] {
            lake.edit("afterscope.toml", "event_id = \"request_id\"\n", "");
        }
        split(&whole, &calls, &[], "one");
        let mut shuffled = calls.clone();
        if turned {
            shuffled.reverse();
        }
        split(&parts, &shuffled, &cuts, "many");
        let (threads, limit) = (threads.to_string(), format!("{limit}MiB"));
        let flags = ["--threads", threads.as_str(), "--memory-limit", limit.as_str()];
        assert_same(
            &without_coverage(&whole.publishes(&[])),
            &without_coverage(&parts.publishes(&flags)),
        );
    }

    #[test]
    fn rows_that_come_run_by_run_give_what_rows_that_come_at_once_give(
        calls in proptest::collection::vec(any_call(), 6..60),
    ) {
        let (at_once, by_and_by) = (Lake::empty(), Lake::empty());
        let third = calls.len() / 3;
        let parts = [&calls[..third], &calls[third..2 * third], &calls[2 * third..]];
        for (number, part) in parts.iter().enumerate() {
            let name = format!("logs/{number}.parquet");
            by_and_by.log(&name, part);
            at_once.log(&name, part);
            by_and_by.publishes(&["--output", &format!("out-{number}"), "--state", "state"]);
        }
        let last = by_and_by.publishes(&["--output", "out-2", "--state", "state"]);
        assert_same(&at_once.publishes(&[]).bytes(), &last.bytes());
    }
}

/// Ways of writing a file that decide what of it can be left out.
fn ways() -> Vec<(&'static str, WriterProperties)> {
    let small = || -> WriterPropertiesBuilder {
        WriterProperties::builder()
            .set_max_row_group_row_count(Some(40))
            .set_data_page_row_count_limit(5)
            .set_write_batch_size(5)
    };
    vec![
        (
            "nothing",
            small()
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true)
                .set_dictionary_enabled(false)
                .build(),
        ),
        ("chunk statistics", small().set_statistics_enabled(EnabledStatistics::Chunk).build()),
        ("page index", small().set_statistics_enabled(EnabledStatistics::Page).build()),
        ("bloom filters", small().set_bloom_filter_enabled(true).build()),
        ("plain pages", small().set_dictionary_enabled(false).build()),
    ]
}

fn write(path: &Path, properties: WriterProperties) {
    let rows = 0..400i64;
    // Every 37th row matters; most row groups have one such row, some none.
    let scope = |row: i64| if row % 37 == 5 { "read_members" } else { "email" };
    let text = |f: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.clone().map(f)))
    };
    let time = |row: i64| format!("2019-0{}-{:02}T00:00:00Z", 5 + row / 200, 1 + row % 28);
    let stamps: Vec<String> = rows.clone().map(time).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_time", times(stamps.iter().map(|t| Some(t.as_str())))),
        ("request_id", text(&|row| format!("{row}"))),
        ("app_id", text(&|row| format!("app-{}", row % 3))),
        ("user_id", Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row % 50)))),
        (
            "group_id",
            Arc::new(Int64Array::from_iter(rows.clone().map(|r| (r % 9 > 0).then_some(r % 7)))),
        ),
        ("scope", text(&|row| scope(row).into())),
        ("status", Arc::new(Int64Array::from_iter_values(rows.clone().map(|_| 200)))),
        ("bytes", Arc::new(Int64Array::from_iter(rows.clone().map(|r| (r % 5 > 0).then_some(r))))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn leaving_out_what_cannot_match_changes_no_table_but_coverage() {
    let mut all = Vec::new();
    for (name, properties) in ways() {
        let lake = Lake::empty();
        write(&lake.path("logs/part-0.parquet"), properties);
        let with = lake.publishes(&["--output", "with"]);
        let without = lake.publishes(&["--output", "without", "--no-pruning"]);
        assert_same(&without_coverage(&with), &without_coverage(&without));
        all.push((name, without_coverage(&with)));
    }
    // Days 1 to 28 of May and of June: those of June are after the restriction of read_members.
    for (name, bytes) in &all {
        assert_same(&all[0].1, bytes);
        assert!(!bytes.is_empty(), "{name}");
    }
}

#[test]
fn what_was_left_out_by_what_is_counted() {
    for (name, key) in [("chunk statistics", "time_statistics"), ("page index", "page_index")] {
        let lake = Lake::empty();
        let properties = ways().into_iter().find(|way| way.0 == name).unwrap().1;
        write(&lake.path("logs/part-0.parquet"), properties);
        let run = lake.run(&[]).succeeds().json();
        let id = run["run_id"].as_str().unwrap();
        let manifest = lake.json(&format!("out/runs/{id}/manifest.json"));
        let pruned = &manifest["sources"][0]["rows"]["outside"]["pruned"];
        assert!(pruned[key].as_u64().unwrap() > 0, "{name}: {pruned}");
    }
}

#[test]
fn packs_are_merged_as_they_grow_in_number_and_nothing_changes() {
    let lake = Lake::standard();
    let runs = 70;
    for number in 0..runs {
        let file = format!("logs/more/{number:03}.parquet");
        lake.log(&file, &[crate::lake::call("2019-07-05T08:00:00Z", "app-1", 100 + number)]);
        let output = format!("out-{number}");
        lake.publishes(&["--output", &output, "--state", "state", "--threads", "1"]);
    }
    let last = lake.publishes(&["--output", "last", "--state", "state"]);
    let fresh = lake.publishes(&["--output", "fresh", "--state", "other"]);
    assert_same(&fresh.bytes(), &last.bytes());
    let json = lake.run(&["--output", "last", "--state", "state"]).succeeds().json();
    let manifest =
        lake.json(&format!("last/runs/{}/manifest.json", json["run_id"].as_str().unwrap()));
    let opened = manifest["sources"][0]["packs"].as_array().unwrap().len();
    assert!(opened <= 64, "{opened} packs are opened");
    let kept = std::fs::read_dir(lake.path("state/packs")).unwrap().count();
    assert!(kept > 64, "a run removes no pack, and {kept} are there");
}
