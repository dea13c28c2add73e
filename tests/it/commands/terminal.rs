//! Colour, and names from outside that must not reach the terminal or a spreadsheet as commands.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::lake::{AS_OF, Call, Lake, Outcome, call, skipped};

/// Runs `afterscope run` with a configuration that is not there, on a terminal of its own.
fn error_on_a_terminal(lake: &Lake, no_color: Option<&str>) -> Option<String> {
    let program = lake.command(&[]).get_program().to_str().unwrap().to_string();
    let shell = format!("'{program}' run --config nowhere.toml --as-of {AS_OF}");
    let mut command = Command::new("script");
    command.args(["-qec", &shell, "/dev/null"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm");
    command.current_dir(lake.path(""));
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    let Ok(output) = command.output() else {
        skipped("`script` is missing: no terminal can be made");
        return None;
    };
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("nowhere.toml"), "{shown:?}");
    Some(shown)
}

#[test]
fn an_error_is_coloured_on_a_terminal_unless_no_color_is_set() {
    let lake = Lake::standard();
    let Some(plain) = error_on_a_terminal(&lake, Some("1")) else { return };
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    // no-color.org: an empty value counts as none.
    for value in [None, Some("")] {
        let coloured = error_on_a_terminal(&lake, value).unwrap();
        assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    }
}

#[test]
fn nothing_is_coloured_where_stderr_is_no_terminal() {
    let lake = Lake::standard();
    assert!(!lake.run(&["-v"]).succeeds().stderr.contains('\u{1b}'));
    assert!(!lake.run(&["--memory-limit", "1MB"]).stderr.contains('\u{1b}'));
}

/// Clears the screen, rings, turns the writing direction.
const COMMANDS: &str = "x\u{1b}[2J\u{7}\u{202e}y";

/// Acts on a terminal, or moves what stands beside it.
fn is_wild(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_tame(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let wild: Vec<char> = text.chars().filter(|c| *c != '\n' && is_wild(*c)).collect();
        assert!(wild.is_empty(), "{wild:?} in {text:?}");
    }
}

fn wild_call() -> Call {
    Call { scope: COMMANDS.into(), ..call("2019-07-01T08:00:00Z", COMMANDS, 1) }
}

#[test]
fn names_in_logs_and_registry_cannot_move_the_cursor() {
    let lake = Lake::empty();
    lake.log("logs/a.parquet", &[wild_call()]);
    lake.write("scopes.csv", &format!("scope,deprecated_at\n{COMMANDS},2019-06-01\n"));
    lake.write("apps.csv", &format!("app_id,app_name\n{COMMANDS},{COMMANDS}\n"));
    let outcome = lake.run(&["-v"]).succeeds();
    assert!(outcome.stderr.contains("[2J"), "the scope is shown: {}", outcome.stderr);
    is_tame(&outcome);
    is_tame(&lake.run(&["--log-format", "json", "-v"]).succeeds());
    lake.write("apps.csv", &format!("app_id,app_name\n{COMMANDS},a\n{COMMANDS},b\n"));
    let contradiction = lake.run(&[]).fails(1, &["apps.csv", "line 3", "[2J"]);
    is_tame(&contradiction);
    is_tame(&lake.run(&["--log-format", "json"]).fails(1, &["apps.csv"]));
}

#[test]
fn names_of_files_and_columns_cannot_move_the_cursor() {
    let lake = Lake::standard();
    lake.write(&format!("logs/{COMMANDS}.parquet"), "no Parquet, though it is long enough");
    let outcome = lake.run(&[]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("[2J"), "{}", outcome.stderr);
    is_tame(&outcome);
    let lake = Lake::standard();
    lake.write("logs/x\u{202e}y.parquet", "no Parquet, though it is long enough");
    is_tame(&lake.run(&[]).fails(3, &["y.parquet", "--allow-incomplete"]));
    is_tame(&lake.run(&["--allow-incomplete"]).succeeds());
    let lake = Lake::empty();
    let times = crate::lake::times(std::iter::once(Some(AS_OF)));
    lake.columns("logs/a.parquet", vec![("event_time", times.clone()), (COMMANDS, times)]);
    is_tame(&lake.run(&[]).fails(1, &["no column `app_id`", "[2J"]));
}

#[test]
fn names_in_the_configuration_cannot_move_the_cursor() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "\"access\"", "\"acc\\u001b[2Jess\"");
    let mut plan = crate::lake::run_args(&[]);
    plan[0] = "plan";
    is_tame(&lake.afterscope(&plan).succeeds());
    is_tame(&lake.run(&["-v"]).succeeds());
    let folder = format!("ledger-{COMMANDS}");
    is_tame(&lake.run(&["--state", &folder, "-v", "--output", "second"]).succeeds());
    let show = ["state", "show", "--config", "afterscope.toml", "--state", &folder];
    is_tame(&lake.afterscope(&show).succeeds());
}

#[test]
fn ids_that_read_like_formulas_are_texts_in_a_spreadsheet() {
    let lake = Lake::empty();
    let formulas = ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1+1", " =1+1", "=HYPERLINK(\"x\",\"y\")"];
    let calls: Vec<Call> =
        formulas.iter().map(|app| call("2019-07-01T08:00:00Z", app, 1)).collect();
    lake.log("logs/a.parquet", &calls);
    let published = lake.publishes(&[]);
    let table = published.table("app_scope_exposure");
    let text = fs::read_to_string(published.folder.join("app_scope_exposure.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let at = reader.headers().unwrap().iter().position(|name| name == "app_id").unwrap();
    let cells: Vec<String> =
        reader.records().map(|record| record.unwrap()[at].to_string()).collect();
    for formula in formulas {
        assert!(table.column("app_id").contains(&formula), "{formula:?} as it is in Parquet");
        assert!(!cells.iter().any(|cell| cell == formula), "{formula:?} stands bare");
        assert!(cells.contains(&format!("'{formula}")), "{formula:?} is lost: {cells:?}");
    }
}

/// One of every kind: escape, bell, delete, a control of eight bits, and marks of direction.
const WILD: &str = "x\u{1b}[2J\u{7}\u{7f}\u{80}\u{9b}31m\u{9f}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}y";
const WILD_IN_CSV: &str = "x[U+001B][2J[U+0007][U+007F][U+0080][U+009B]31m[U+009F]\
    [U+061C][U+200E][U+200F][U+202A][U+202E][U+2066][U+2069]y";

/// The same, as far as a path of the object store takes it.
const WILD_NAME: &str =
    "x\u{80}\u{9b}31m\u{9f}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}y";

/// A lake in which scope, app, developer and promise are [`WILD`], and the log's file is
/// [`WILD_NAME`].
fn wild_lake() -> Lake {
    let lake = Lake::empty();
    let wild = Call { scope: WILD.into(), ..call("2019-07-01T08:00:00Z", WILD, 1) };
    let plain = Call { app: "x".into(), ..wild.clone() };
    lake.log(&format!("logs/{WILD_NAME}.parquet"), &[wild, plain]);
    lake.write(
        "scopes.csv",
        &format!("scope,deprecated_at,data_fields\n{WILD},2019-06-01,{WILD}\n"),
    );
    lake.write(
        "apps.csv",
        &format!("app_id,app_name,developer_id,developer_name\n{WILD},{WILD},{WILD},{WILD}\n"),
    );
    let promise = format!("{WILD}\tone\ntwo\r\nthree\rfour");
    lake.write(
        "attestations.csv",
        &format!(
            "app_id,scope,asked_at,attested_at,statement\n{WILD},,,2019-06-20,\"{promise}\"\n"
        ),
    );
    lake.edit("afterscope.toml", "[registry]", "[registry]\nattestations = \"attestations.csv\"");
    lake
}

#[test]
fn csv_files_show_what_a_terminal_would_act_on() {
    let lake = wild_lake();
    let published = lake.publishes(&[]);
    let mut shown = 0;
    for (name, bytes) in published.bytes() {
        if !name.ends_with(".csv") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        // A line end within a cell, and a tab, stand there as they are.
        let left = text.replace("\r\n", "").replace(['\n', '\t'], "");
        let wild: Vec<char> = left.chars().filter(|c| is_wild(*c)).collect();
        assert!(wild.is_empty(), "{wild:?} in {name}:\n{text:?}");
        shown += usize::from(text.contains(WILD_IN_CSV));
    }
    assert!(shown >= 7, "{shown} tables");
    let cells = |name: &str, column: &str| -> Vec<String> {
        let mut reader = csv::Reader::from_path(published.folder.join(name)).unwrap();
        let at = reader.headers().unwrap().iter().position(|name| name == column).unwrap();
        reader.records().map(|record| record.unwrap()[at].to_string()).collect()
    };
    let statement = format!("{WILD_IN_CSV}\tone\ntwo\r\nthree[U+000D]four");
    assert_eq!(cells("deletion_verification.csv", "statement"), [statement]);
    // Parquet has them as they are, and both are still one table.
    let table = published.table("app_scope_exposure");
    assert!(table.column("app_id").contains(&WILD), "{:?}", table.column("app_id"));
    let shown = cells("app_scope_exposure.csv", "app_id");
    assert_eq!(shown.len(), table.rows.len());
    assert!(shown.iter().any(|cell| cell == WILD_IN_CSV), "{shown:?}");
    lake.afterscope(&["verify", "out"]).succeeds();
    let args = ["notification-list", "--config", "afterscope.toml", "--as-of", AS_OF];
    lake.afterscope(&[args.as_slice(), &["--out", "list"]].concat()).succeeds();
    let list = fs::read_to_string(lake.path("list/notification_list.csv")).unwrap();
    assert!(list.contains(WILD_IN_CSV) && !list.contains(WILD), "{list}");
    // What `diff` writes, too.
    let first = published.folder.parent().unwrap().display().to_string();
    lake.write("scopes.csv", &format!("scope,deprecated_at,data_fields\n{WILD},2019-06-01,x\n"));
    lake.publishes(&[]);
    lake.afterscope(&["diff", &first, "out", "--out", "changes.csv"]).succeeds();
    let changes = fs::read_to_string(lake.path("changes.csv")).unwrap();
    // A key is written as JSON where it needs quotes: controls of seven bits are escaped already.
    assert!(changes.contains("[2J\\u0007[U+007F][U+0080][U+009B]31m"), "{changes}");
    assert!(!changes.chars().any(|c| c != '\n' && is_wild(c)), "{changes:?}");
}

/// What a command says on stdout, as JSON, after no character of it was found wild.
fn tame_json(outcome: Outcome) -> Value {
    let outcome = outcome.succeeds();
    is_tame(&outcome);
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e} in {:?}", outcome.stdout))
}

#[test]
fn json_on_stdout_escapes_what_a_terminal_would_act_on() {
    let lake = wild_lake();
    let folder = format!("out-{WILD_NAME}");
    let output = ["--output", &folder];
    let of = |command: &'static str, more: &[&str]| {
        let mut args = crate::lake::run_args(more);
        args[0] = command;
        lake.afterscope(&args)
    };
    let ran = tame_json(of("run", &output));
    let tables = ran["tables"].as_str().unwrap();
    assert!(tables.contains(WILD_NAME), "{ran}");
    let planned = tame_json(of("plan", &[&output[..], &["--json"]].concat()));
    assert!(planned["output"].as_str().unwrap().contains(WILD_NAME), "{planned}");
    let ledger = ["state", "show", "--config", "afterscope.toml", "--json", "--output", &folder];
    let ledger = lake.afterscope(&ledger);
    let packs = tame_json(ledger).to_string();
    assert!(packs.contains("\u{9b}31m\u{9f}"), "{packs}");

    let question = ["--scope", WILD, "--at", "2019-06-15", "--grace", "0d"];
    let answer = tame_json(of("what-if", &[&output[..], &question].concat()));
    assert_eq!(answer["scope"], WILD);
    assert!(answer["apps"].as_array().unwrap().iter().any(|app| app["app_id"] == WILD), "{answer}");

    let row = format!("app_id={WILD}");
    let table = ["--table", "app_scope_exposure", "--where", &row];
    let explained = tame_json(of("explain", &[&output[..], &table].concat()));
    assert_eq!(explained["key"]["app_id"], WILD);
    // The row is found by its cell in the CSV file.
    assert_eq!(explained["published"]["requests_allowed"], 1);
    assert!(explained["files"][0]["url"].as_str().unwrap().contains(WILD_NAME), "{explained}");

    let evidence = lake.afterscope(&["evidence", &folder, "--app", WILD]).succeeds();
    is_tame(&evidence);
    lake.write("evidence.json", &evidence.stdout);
    assert_eq!(lake.json("evidence.json")["app"], WILD);
    for more in [&[][..], &[folder.as_str()]] {
        let args = [&["verify", "--evidence", "evidence.json"][..], more].concat();
        let proven = tame_json(lake.afterscope(&args));
        assert_eq!((&proven["app"], &proven["verdict"]), (&WILD.into(), &"holds".into()));
    }
    let verified = tame_json(lake.afterscope(&["verify", &folder]));
    assert_eq!(verified["verdict"], "holds");

    let first = std::path::Path::new(tables).parent().unwrap().display().to_string();
    let late = Call { scope: WILD.into(), ..call("2019-07-02T08:00:00Z", WILD, 2) };
    lake.log(&format!("logs/late-{WILD_NAME}.parquet"), &[late]);
    tame_json(of("run", &output));
    let differs = tame_json(lake.afterscope(&["diff", &first, &folder]));
    assert!(differs["sources"].to_string().contains("late-x"), "{differs}");
}

#[test]
fn a_row_is_not_taken_for_one_that_reads_the_same_in_csv() {
    let lake = Lake::empty();
    let apps = ["x\u{202e}y", "x[U+202E]y"];
    lake.log("logs/a.parquet", &[call("2019-07-01T08:00:00Z", apps[0], 1)]);
    let twice = ["08", "09"].map(|hour| call(&format!("2019-07-01T{hour}:00:00Z"), apps[1], 1));
    lake.log("logs/b.parquet", &twice);
    lake.publishes(&[]);
    for (app, requests) in apps.into_iter().zip([1, 2]) {
        let row = format!("app_id={app}");
        let mut args = crate::lake::run_args(&["--table", "app_scope_exposure", "--where", &row]);
        args[0] = "explain";
        let line = lake.afterscope(&args).succeeds().json();
        let found = (&line["sums"]["requests_allowed"], &line["published"]);
        assert_eq!(found, (&requests.into(), &Value::Null), "{app:?}");
    }
}

#[test]
fn an_id_that_reads_like_a_total_is_told_apart_from_it() {
    let lake = Lake::empty();
    let real = |app| call("2019-07-01T08:00:00Z", app, 1);
    lake.log("logs/a.parquet", &[real("(all)"), real("app-1"), real("\\(all)")]);
    let table = lake.publishes(&[]).table("app_scope_exposure");
    let of = |app| table.row(&[("scope", "read_members"), ("app_id", app)], &["requests_allowed"]);
    assert_eq!((of("(all)"), of("\\(all)"), of("\\\\(all)")), (vec!["3"], vec!["1"], vec!["1"]));
}
