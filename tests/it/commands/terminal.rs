//! Colour, and names from outside that must not reach the terminal or a spreadsheet as commands.

use std::fs;
use std::process::Command;

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

fn is_tame(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let wild: Vec<char> = text
            .chars()
            .filter(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c))
            .collect();
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

#[test]
fn an_id_that_reads_like_a_total_is_told_apart_from_it() {
    let lake = Lake::empty();
    let real = |app| call("2019-07-01T08:00:00Z", app, 1);
    lake.log("logs/a.parquet", &[real("(all)"), real("app-1"), real("\\(all)")]);
    let table = lake.publishes(&[]).table("app_scope_exposure");
    let of = |app| table.row(&[("scope", "read_members"), ("app_id", app)], &["requests_allowed"]);
    assert_eq!((of("(all)"), of("\\(all)"), of("\\\\(all)")), (vec!["3"], vec!["1"], vec!["1"]));
}
