//! Kinds of ids, and the key that hides them.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::lake::{Lake, Outcome, run_args, times};

/// One call of one person, whose id is a text or a number as the column says.
fn log_of(lake: &Lake, path: &str, user: ArrayRef) {
    let texts = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let number: ArrayRef = Arc::new(Int64Array::from(vec![200]));
    lake.columns(
        path,
        vec![
            ("event_time", times(std::iter::once(Some("2019-07-01T08:00:00Z")))),
            ("request_id", texts(path)),
            ("app_id", texts("app-1")),
            ("user_id", user),
            ("group_id", number.clone()),
            ("scope", texts("read_members")),
            ("status", number.clone()),
            ("bytes", number),
        ],
    );
}

fn number() -> ArrayRef {
    Arc::new(Int64Array::from(vec![7]))
}

fn text() -> ArrayRef {
    Arc::new(StringArray::from(vec!["7"]))
}

#[test]
fn numbers_and_texts_are_not_the_same_people() {
    let lake = Lake::empty();
    log_of(&lake, "logs/a.parquet", number());
    log_of(&lake, "logs/b.parquet", text());
    let outcome = lake.run(&["--threads", "1"]);
    assert_ne!(outcome.code, 0);
    let code = outcome.code;
    outcome.fails(code, &["namespace \"access\"", ".parquet", "kind = \"text\""]);
    lake.nothing_is_published();
    lake.edit("afterscope.toml", "\"user_id\"", "{ path = \"user_id\", kind = \"text\" }");
    let outcome = lake.run(&[]).succeeds();
    assert_eq!(outcome.json()["totals"]["subjects_observed"], 1);
}

#[test]
fn two_kinds_end_the_same_way_whether_they_are_met_in_one_run_or_in_two() {
    let at_once = Lake::empty();
    log_of(&at_once, "logs/a.parquet", number());
    log_of(&at_once, "logs/b.parquet", text());
    let at_once = at_once.run(&["--threads", "1"]);

    let one_by_one = Lake::empty();
    log_of(&one_by_one, "logs/a.parquet", number());
    one_by_one.publishes(&[]);
    log_of(&one_by_one, "logs/b.parquet", text());
    let one_by_one = one_by_one.run(&[]);
    assert_eq!((at_once.code, one_by_one.code), (1, 1), "{at_once:#?}\n{one_by_one:#?}");
}

#[test]
fn two_sources_with_two_kinds_cannot_share_a_namespace() {
    let lake = Lake::empty();
    log_of(&lake, "logs/a.parquet", number());
    log_of(&lake, "other/b.parquet", text());
    let config = fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let source = config.split("[registry]").next().unwrap();
    let spaces = "\n[source.namespaces]\nperson = \"people\"\n\n";
    let second = source.replace("\"access\"", "\"second\"").replace("logs/", "other/");
    let rest = &config[source.len()..];
    lake.write("afterscope.toml", &format!("{source}{spaces}{second}{spaces}{rest}"));
    lake.refuses(&[], 1, &["\"people\"", "a.parquet", "b.parquet", "kind = \"text\""]);
    lake.write("afterscope.toml", &format!("{source}{second}{rest}"));
    let outcome = lake.run(&[]).succeeds();
    assert_eq!(outcome.json()["totals"]["subjects_observed"], 2);
}

#[test]
fn a_text_that_is_no_uuid_is_named_by_file_and_column() {
    let lake = Lake::empty();
    log_of(&lake, "logs/a.parquet", text());
    lake.edit("afterscope.toml", "\"user_id\"", "{ path = \"user_id\", kind = \"uuid\" }");
    let says = ["a.parquet", "`user_id`", "map the column as text"];
    lake.refuses(&[], 3, &says);
}

#[test]
fn an_id_key_that_is_not_there_is_named() {
    let lake = Lake::standard();
    lake.refuses(&["--id-key", "env:NO_SUCH_KEY"], 1, &["NO_SUCH_KEY", "not set", "--id-key"]);
    lake.refuses(&["--id-key", "file:no.key"], 1, &["no.key", "cannot be read", "--id-key"]);
}

#[test]
fn an_id_key_is_taken_by_reference_only_and_never_repeated() {
    let lake = Lake::standard();
    let secret = "correct-horse-battery-staple";
    let outcome = lake.refuses(&["--id-key", secret], 1, &["env:NAME or file:PATH"]);
    assert!(!outcome.stderr.contains(secret), "{}", outcome.stderr);
}

#[test]
fn a_short_id_key_is_refused_and_not_repeated() {
    let lake = Lake::standard();
    lake.write("short.key", "sesame-open\n");
    let outcome =
        lake.refuses(&["--id-key", "file:short.key"], 1, &["shorter than 16 bytes", "32"]);
    assert!(!outcome.stderr.contains("sesame"), "{}", outcome.stderr);
}

#[test]
fn an_id_key_changes_no_figure_and_stands_nowhere() {
    let lake = Lake::standard();
    let plain = lake.publishes(&[]).bytes();
    let secret = "nine-swans-over-a-winter-lake-at-dusk";
    let mut command = lake.command(&run_args(&["--id-key", "env:ID_KEY", "-v"]));
    let outcome = Outcome::of(&lake, command.env("ID_KEY", secret).output().unwrap()).succeeds();
    crate::lake::assert_same(&plain, &outcome.published().bytes());
    assert!(!outcome.stderr.contains(secret));
    for name in lake.files().keys() {
        let bytes = fs::read(lake.path(name)).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{name} holds the key");
    }
}
