//! Ids of every kind, from every kind of column; and what stands in their place.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use super::rows::holds;
use super::{args, asked, files, lines, listed, table};
use crate::lake::{Call, Lake, Outcome, call, standard_days, times};

/// Calls of `read_members` by app-1 on July 1st, an hour after another from 8 o'clock on, one for each
/// person.
pub fn calls_of(lake: &Lake, path: &str, people: ArrayRef) {
    let rows = people.len();
    let at: Vec<String> =
        (8..).take(rows).map(|hour| format!("2019-07-01T{hour:02}:00:00Z")).collect();
    let text = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
    };
    let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value; rows])) };
    let events = (0..rows).map(|row| format!("{path}#{row}"));
    lake.columns(
        path,
        vec![
            ("event_time", times(at.iter().map(|at| Some(at.as_str())))),
            ("request_id", Arc::new(StringArray::from_iter_values(events))),
            ("app_id", text("app-1")),
            ("user_id", people),
            ("group_id", number(10)),
            ("scope", text("read_members")),
            ("status", number(200)),
            ("bytes", number(100)),
        ],
    );
}

fn texts(ids: &[Option<&str>]) -> ArrayRef {
    Arc::new(ids.iter().copied().collect::<StringArray>())
}

#[test]
fn numbers_are_digits() {
    let lake = Lake::empty();
    calls_of(&lake, "logs/a.parquet", Arc::new(Int64Array::from(vec![12, -7, i64::MAX, 9])));
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["-7", "12", "9", "9223372036854775807"]);
}

#[test]
fn texts_are_what_the_mapping_makes_of_them() {
    let lake = Lake::empty();
    let ids = [Some("Ada@example.org"), Some("bo;co"), None, Some("ada@Example.org"), Some("")];
    calls_of(&lake, "logs/a.parquet", texts(&ids));
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["", "Ada@example.org", "ada@Example.org", "bo;co"]);
    // With case folded two of them are one person, whose id is the folded one.
    let folded = "subject = { path = \"user_id\", fold_case = true }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", folded);
    let line = "subject,access,ada@example.org,,,,read_members,app-1,2,2019-07-01T08:00:00.000000Z,2019-07-01T11:00:00.000000Z";
    assert_eq!(listed(&lake, &[])[1], line);
}

#[test]
fn uuids_are_canonical() {
    let lake = Lake::empty();
    let uuid = "subject = { path = \"user_id\", kind = \"uuid\" }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", uuid);
    let ids = [
        Some("67E55044-10B1-426F-9247-BB680E5FE0C8"),
        Some("67e5504410b1426f9247bb680e5fe0c8"),
        Some("00000000-0000-0000-0000-00000000000a"),
    ];
    calls_of(&lake, "logs/a.parquet", texts(&ids));
    assert_eq!(listed(&lake, &[]).len(), 2);
    let found = table(&lake);
    assert_eq!(
        found.column("subject"),
        ["00000000-0000-0000-0000-00000000000a", "67e55044-10b1-426f-9247-bb680e5fe0c8"]
    );
    assert_eq!(found.column("requests"), ["1", "2"]);
}

#[test]
fn a_source_without_subjects_lists_its_actors() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "subject = \"user_id\"", "actor = \"user_id\"");
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["1", "2", "3", "5"]);
}

#[test]
fn ids_that_are_put_together_or_stand_in_folders_are_found() {
    let lake = Lake::standard();
    let concat = "subject = { concat = [\"'u'\", \"-\", \"user_id\"] }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", concat);
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["u-1", "u-2", "u-3", "u-5"]);
    // All rows of a folder are one person's.
    lake.edit("afterscope.toml", concat, "subject = \"dt\"");
    listed(&lake, &[]);
    let found = table(&lake);
    assert_eq!(found.column("subject"), ["2019-07-01", "2019-07-02", "2019-07-03"]);
    assert_eq!(found.column("requests"), ["4", "1", "1"]);
}

#[test]
fn an_id_in_json_is_found() {
    let lake = Lake::empty();
    let json = "subject = { path = \"user_id\", json = \"who.id\" }";
    lake.edit("afterscope.toml", "subject = \"user_id\"", json);
    let ids = [Some(r#"{"who":{"id":"ada"}}"#), Some(r#"{"who":{"id":7}}"#), Some("{}")];
    calls_of(&lake, "logs/a.parquet", texts(&ids));
    listed(&lake, &[]);
    assert_eq!(table(&lake).column("subject"), ["7", "ada"]);
}

/// The standard lake, and a second source with a call of person 1 and one of person 7.
fn two_sources(shared: bool) -> Lake {
    let lake = Lake::standard();
    let config = std::fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let (source, rest) = config.split_once("[registry]").unwrap();
    let spaces = if shared { "[source.namespaces]\nperson = \"people\"\n\n" } else { "" };
    let second = source.replace("\"access\"", "\"archive\"").replace("\"logs/\"", "\"archive/\"");
    let both = format!("{source}{spaces}{second}{spaces}[registry]{rest}");
    lake.write("afterscope.toml", &both);
    let calls =
        [call("2019-07-08T08:00:00Z", "app-3", 1), call("2019-07-08T09:00:00Z", "app-3", 7)];
    lake.log("archive/a.parquet", &calls);
    lake
}

#[test]
fn one_id_in_two_namespaces_is_two_people() {
    let lake = two_sources(false);
    listed(&lake, &[]);
    let found = table(&lake);
    assert_eq!(
        found.column("namespace"),
        ["access", "access", "access", "access", "archive", "archive"]
    );
    assert_eq!(found.column("subject"), ["1", "2", "3", "5", "1", "7"]);
    assert_eq!(found.column("requests"), ["3", "1", "1", "1", "1", "1"]);
}

#[test]
fn one_id_in_a_namespace_that_sources_share_is_one_person() {
    let lake = two_sources(true);
    listed(&lake, &[]);
    let found = table(&lake);
    assert_eq!(found.column("namespace"), ["people"; 5]);
    assert_eq!(found.column("subject"), ["1", "2", "3", "5", "7"]);
    assert_eq!(found.column("requests"), ["4", "1", "1", "1", "1"]);
    assert_eq!(found.column("apps")[0], "app-1;app-2;app-3");
    assert_eq!(found.column("last_access")[0], "2019-07-08T08:00:00Z");
}

#[test]
fn an_event_that_stands_twice_counts_once() {
    let lake = Lake::empty();
    let log = |path: &str, events: &[(&str, i64)]| {
        let rows = events.len();
        let text = |value: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
        };
        let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value; rows])) };
        let at = std::iter::repeat_n(Some("2019-07-01T08:00:00Z"), rows);
        let ids = events.iter().map(|(id, _)| *id);
        lake.columns(
            path,
            vec![
                ("event_time", times(at)),
                ("request_id", Arc::new(StringArray::from_iter_values(ids))),
                ("app_id", text("app-1")),
                ("user_id", number(1)),
                ("group_id", number(10)),
                ("scope", text("read_members")),
                ("status", number(200)),
                ("bytes", Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.1)))),
            ],
        );
    };
    log("logs/a.parquet", &[("e1", 100), ("e2", 100)]);
    // e1 again, and once with other bytes: that is another event.
    log("logs/b.parquet", &[("e1", 100), ("e1", 7)]);
    assert_eq!(listed(&lake, &[]).len(), 1);
    assert_eq!(table(&lake).column("requests"), ["3"]);
}

#[test]
fn an_id_that_reads_like_a_formula_has_a_quote_mark_in_csv() {
    let lake = Lake::empty();
    let ids = [Some("=1+2"), Some("@SUM(1)"), Some("a,\"b\"\nc"), Some("(all)")];
    calls_of(&lake, "logs/a.parquet", texts(&ids));
    let outcome = asked(&lake, &["-v"]).succeeds();
    assert_eq!(table(&lake).column("subject"), ["(all)", "=1+2", "@SUM(1)", "a,\"b\"\nc"]);
    let csv = std::fs::read(lake.path("list/notification_list.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let shown: Vec<String> = reader.records().map(|r| r.unwrap()[2].to_string()).collect();
    assert_eq!(shown, ["(all)", "'=1+2", "'@SUM(1)", "a,\"b\"\nc"]);
    for id in ["=1+2", "SUM", "(all)", "a,"] {
        assert!(!outcome.stdout.contains(id) && !outcome.stderr.contains(id), "{outcome:#?}");
    }
}

const SECRET: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a0";

fn hashed(lake: &Lake, more: &[&str]) -> Outcome {
    let mut all = args(more);
    all.extend(["--hash-key", "env:LIST_KEY"]);
    Outcome::of(lake, lake.command(&all).env("LIST_KEY", SECRET).output().unwrap())
}

/// People whose ids are found nowhere by chance.
fn with_long_ids() -> Lake {
    let lake = Lake::empty();
    for (path, mut calls) in standard_days() {
        let long = |call: &mut Call| call.user = call.user.map(|user| 770_051_230_000 + user);
        calls.iter_mut().for_each(long);
        lake.log(path, &calls);
    }
    lake
}

#[test]
fn a_hash_key_leaves_no_id_in_the_open() {
    let lake = with_long_ids();
    let outcome = hashed(&lake, &[]).succeeds();
    assert_eq!((&outcome.json()["hashed"], &outcome.json()["rows"]), (&true.into(), &4.into()));
    let key = blake3::derive_key("afterscope 2026 notification list", SECRET.as_bytes());
    let mut expected: Vec<(String, &str)> = [(1, "3"), (2, "1"), (3, "1"), (5, "1")]
        .iter()
        .map(|(user, requests)| {
            let of = format!("access\0{}", 770_051_230_000i64 + user);
            (blake3::keyed_hash(&key, of.as_bytes()).to_hex().to_string(), *requests)
        })
        .collect();
    expected.sort();
    let found = table(&lake);
    let pairs =
        found.column("subject").into_iter().map(str::to_string).zip(found.column("requests"));
    assert_eq!(pairs.collect::<Vec<_>>(), expected);
    let about = lake.json("list/notification_list.json");
    assert_eq!(about["ids"]["hashed"], true);
    for (name, bytes) in files(&lake) {
        assert!(!holds(&bytes, b"77005123000"), "{name}");
        for user in [1, 2, 3, 5] {
            assert!(!holds(&bytes, &(770_051_230_000i64 + user).to_le_bytes()), "{name}");
        }
        assert!(!holds(&bytes, SECRET.as_bytes()) && !holds(&bytes, &key), "{name}");
    }
    // Without it the ids are there: what is looked for above can be found.
    let hidden = lake.path("hidden");
    std::fs::rename(lake.path("list"), &hidden).unwrap();
    listed(&lake, &[]);
    assert!(holds(&files(&lake)["notification_list.csv"], b"77005123000"));
    std::fs::remove_dir_all(lake.path("list")).unwrap();
    // Another key, another hash; the same key, the same bytes.
    hashed(&lake, &[]).succeeds();
    let first = files(&lake);
    hashed(&lake, &["--threads", "1"]).succeeds();
    crate::lake::assert_same(&first, &files(&lake));
}

#[test]
fn a_hash_key_is_a_reference_and_is_never_repeated() {
    let lake = with_long_ids();
    let given = asked(&lake, &["--hash-key", SECRET]);
    let given = given.fails(1, &["--hash-key", "by reference: env:NAME or file:PATH"]);
    assert!(!given.stderr.contains(SECRET));
    asked(&lake, &["--hash-key", "env:LIST_KEY"]).fails(1, &["--hash-key", "LIST_KEY is not set"]);
    lake.write("short", "abc\n");
    asked(&lake, &["--hash-key", "file:short"]).fails(1, &["hash key is shorter than 16 bytes"]);
    lake.write("key", &format!("{SECRET}\n"));
    asked(&lake, &["--hash-key", "file:key"]).succeeds();
    let from_file = lines(&lake);
    hashed(&lake, &[]).succeeds();
    assert_eq!(from_file, lines(&lake));
}

#[test]
fn ids_that_are_keyed_in_the_ledger_are_themselves_in_the_list() {
    let lake = with_long_ids();
    let plain = listed(&lake, &[]);
    lake.write("id.key", "0123456789abcdef0123456789abcdef");
    assert_eq!(listed(&lake, &["--id-key", "file:id.key", "--state", "keyed"]), plain);
    assert!(plain[0].starts_with("subject,access,770051230001,"), "{plain:?}");
}

#[test]
fn hashes_are_not_replaced_by_ids() {
    let lake = Lake::standard();
    hashed(&lake, &[]).succeeds();
    asked(&lake, &[]).fails(1, &["keyed hashes", "name another folder, or give --hash-key"]);
    // A folder that lets others in is told of.
    use std::os::unix::fs::PermissionsExt;
    let place = lake.path("list");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = hashed(&lake, &[]).succeeds();
    assert!(outcome.stderr.contains("others on this machine may read"), "{}", outcome.stderr);
}
