//! As what answers are written.

use std::process::Stdio;

use super::{answer, ask};
use crate::lake::Lake;
use crate::published::Table;

/// Apps whose names would act on what shows them.
fn hostile() -> Lake {
    let lake = Lake::standard();
    lake.write(
        "apps.csv",
        "app_id,app_name,developer_id,developer_name\napp-1,=HYPERLINK(1),dev-1,D\napp-2,\"a\u{1b}[2J\u{202e}b\",dev-1,D\n",
    );
    lake.publishes(&[]);
    lake
}

const NAMES: &str = "SELECT app_id, app_name, requests_allowed FROM app_scope_exposure
    WHERE grain = 'app' AND app_name IS NOT NULL";

#[test]
fn hostile_names_act_on_nothing_in_any_format() {
    let lake = hostile();
    let table = "app_id  app_name               requests_allowed
app-1   =HYPERLINK(1)                         4
app-2   a[U+001B][2J[U+202E]b                 2
";
    assert_eq!(ask(&lake, &[NAMES]).succeeds().stdout, table);
    let csv =
        "app_id,app_name,requests_allowed\napp-1,'=HYPERLINK(1),4\napp-2,a[U+001B][2J[U+202E]b,2\n";
    assert_eq!(answer(&lake, &[NAMES]), csv);
    let lines = ask(&lake, &[NAMES, "--format", "ndjson"]).succeeds().stdout;
    assert!(lines.contains("\\u001b[2J\\u202eb") && lines.lines().count() == 2, "{lines}");
    let array = ask(&lake, &[NAMES, "--format", "json"]).succeeds();
    assert!(!array.stdout.contains('\u{202e}'));
    let rows = array.json_of_all();
    assert_eq!(rows[1]["app_name"], "a\u{1b}[2J\u{202e}b");
    assert_eq!(rows.as_array().unwrap().len(), 2);
    ask(&lake, &[NAMES, "--output", "names.parquet"]).succeeds();
    let written = Table::read(&lake.path("names.parquet"));
    assert_eq!(written.rows[1], ["app-2", "a\u{1b}[2J\u{202e}b", "2"]);
    // A name that the statement gives is as hostile as one of a log.
    let named = format!("SELECT 1 AS \"=1+1\u{1b}[2J\" FROM ({NAMES}) x LIMIT 1");
    assert_eq!(answer(&lake, &[&named]), "'=1+1[U+001B][2J\n1\n");
}

#[test]
fn types_are_kept_and_the_same_rows_are_the_same_bytes() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    for name in ["scope_summary", "daily_timeline", "coverage", "app_scope_exposure"] {
        let sql = format!("SELECT * FROM {name}");
        ask(&lake, &[&sql, "--output", "a.parquet"]).succeeds();
        ask(&lake, &[&sql, "--output", "b.parquet"]).succeeds();
        assert_eq!(Table::read(&lake.path("a.parquet")), published.table(name), "{name}");
        let bytes = |name: &str| std::fs::read(lake.path(name)).unwrap();
        assert!(bytes("a.parquet") == bytes("b.parquet"), "{name}");
    }
}

#[test]
fn the_ending_of_the_file_says_the_format() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT scope, restricted_at FROM scope_summary";
    let written = |name: &str| {
        let outcome = ask(&lake, &[sql, "--output", name]).succeeds();
        assert_eq!(outcome.stdout, "");
        std::fs::read_to_string(lake.path(name)).unwrap()
    };
    assert_eq!(written("a.csv"), answer(&lake, &[sql]));
    assert_eq!(written("a.json"), ask(&lake, &[sql, "--format", "json"]).succeeds().stdout);
    assert_eq!(written("a.jsonl"), ask(&lake, &[sql, "--format", "ndjson"]).succeeds().stdout);
    assert_eq!(written("a.txt"), ask(&lake, &[sql]).succeeds().stdout);
    ask(&lake, &[sql, "--output", "a.xlsx"]).fails(1, &["does not end in"]);
    ask(&lake, &[sql, "--format", "parquet"]).fails(1, &["is no text"]);
    ask(&lake, &[sql, "--output", "out/latest/a.csv"]).fails(1, &["lies among what was published"]);
    ask(&lake, &[sql, "--output", "logs", "--format", "csv"]).fails(1, &["no regular file"]);
    ask(&lake, &[sql, "--output", "nowhere/a.csv"]).fails(1, &["cannot be written"]);
    // Nor over what the next run is made from.
    let before = std::fs::read(lake.path("scopes.csv")).unwrap();
    ask(&lake, &[sql, "--output", "scopes.csv"]).fails(1, &["registry.scopes"]);
    assert_eq!(std::fs::read(lake.path("scopes.csv")).unwrap(), before);
    let over = [sql, "--output", "afterscope.toml", "--format", "csv"];
    ask(&lake, &over).fails(1, &["is the configuration itself"]);
}

#[test]
fn an_answer_is_not_written_where_the_next_run_would_read_it() {
    let lake = Lake::standard();
    let run = lake.publishes(&[]).folder;
    let run = run.parent().unwrap().to_str().unwrap();
    std::os::unix::fs::symlink("logs", lake.path("link")).unwrap();
    let before = lake.files();
    let sql = "SELECT scope FROM scope_summary";
    let refused = |args: &[&str], output: &str, source: &str| {
        let args = [args, &[sql, "--output", output, "--format", "parquet"]].concat();
        ask(&lake, &args).fails(1, &[output, source, "the next run would read it", "outside"]);
    };
    for output in ["logs/a.parquet", "logs/dt=2019-07-01/a.csv", "link/../logs/a", "link/a.parquet"]
    {
        refused(&[], output, "source `access`");
        // The run says itself what it was made from.
        refused(&["--run", run, "--config", "nowhere.toml"], output, "source `access`");
    }
    refused(&[], "logs/dt=2019-07-01/part-0.parquet", "source `access`");
    assert_eq!(lake.files(), before);
    // A source that the next run will have, of which a glob takes some files.
    std::fs::create_dir(lake.path("more")).unwrap();
    let more = "\n[registry]\nscopes";
    let source = "\n[[source]]\nname = \"more\"\nurl = \"more/x-*.parquet\"\n[source.columns]\ntime = \"t\"\napp = \"a\"\nscopes = \"s\"\nsubject = \"u\"\n";
    lake.edit("afterscope.toml", more, &format!("{source}{more}"));
    refused(&[], "more/x-1.parquet", "source `more`");
    ask(&lake, &[sql, "--output", "more/y.parquet"]).succeeds();
    let inspect = ["inspect", "access", "--config", "afterscope.toml", "--rows", "1", "--output"];
    lake.afterscope(&[&inspect[..], &["more/x-1.parquet"]].concat())
        .fails(1, &["more/x-1.parquet", "source `more`", "the next run would read it"]);
    lake.afterscope(&[&inspect[..], &["more/z.parquet"]].concat()).succeeds();
}

#[test]
fn no_rows_are_an_answer() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let sql = "SELECT scope, day FROM daily_timeline WHERE scope = 'none'";
    assert_eq!(answer(&lake, &[sql]), "scope,day\n");
    assert_eq!(ask(&lake, &[sql, "--format", "json"]).succeeds().stdout, "[]\n");
    assert_eq!(ask(&lake, &[sql, "--format", "ndjson"]).succeeds().stdout, "");
    let shown = ask(&lake, &[sql]).succeeds();
    assert_eq!(shown.stdout, "scope  day\n");
    assert!(shown.stderr.starts_with("0 rows, run 20190901T000000Z-"), "{}", shown.stderr);
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    for format in ["table", "csv", "json", "ndjson"] {
        // More than a pipe holds.
        let sql = "SELECT a.*, b.* FROM coverage a CROSS JOIN app_scope_exposure b
            CROSS JOIN (SELECT scope AS one FROM daily_timeline) c
            CROSS JOIN (SELECT scope AS two FROM daily_timeline) d";
        let mut child = lake
            .command(&["query", sql, "--format", format])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{format}: {output:?}");
    }
}

#[test]
fn the_list_has_every_table_with_its_columns() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let listed = answer(&lake, &["--list"]);
    let text = ask(&lake, &["--list"]).succeeds().stdout;
    for file in published.bytes().keys().filter(|name| name.ends_with(".parquet")) {
        let name = file.trim_end_matches(".parquet");
        for column in published.table(name).columns {
            assert!(listed.contains(&format!("\n{name},{column},")), "{name}.{column}");
        }
        assert!(text.contains(&format!("\n{name}  ")) || text.starts_with(name), "{name}");
        assert!(listed.contains(&format!("\nall_runs.{name},run_id,string,")), "{name}");
    }
    // Lists of people are none of a run.
    assert!(!listed.contains("notification_list"));
}
