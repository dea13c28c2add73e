//! The configuration and the arguments.

use std::fs;

use crate::lake::{AS_OF, Lake, run_args};

/// `afterscope.toml:20:`, for the line of the configuration that holds a text.
fn line_of(lake: &Lake, text: &str) -> String {
    let config = fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let index = config.lines().position(|line| line.contains(text)).unwrap();
    format!("afterscope.toml:{}:", index + 1)
}

#[test]
fn a_configuration_that_is_not_there_is_named_with_a_way_to_get_one() {
    let lake = Lake::standard();
    let outcome = lake.afterscope(&["run", "--config", "nowhere.toml", "--as-of", AS_OF]);
    outcome.fails(1, &["nowhere.toml", "--config", "afterscope sample"]);
    lake.nothing_is_published();
}

#[test]
fn a_folder_is_no_configuration() {
    let lake = Lake::standard();
    let outcome = lake.afterscope(&["run", "--config", "logs", "--as-of", AS_OF]);
    outcome.fails(1, &["logs", "--config"]);
    lake.nothing_is_published();
}

#[test]
fn broken_toml_is_named_by_line() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "name = \"access\"", "name = \"access");
    lake.refuses(&[], 1, &[&line_of(&lake, "name = \"access")]);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "lookback_days", "lookback_dayz");
    let line = line_of(&lake, "lookback_dayz");
    lake.refuses(&[], 1, &[&line, "`report.lookback_dayz`", "did you mean `lookback_days`?"]);
}

#[test]
fn problems_of_shape_are_all_told_at_once() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "lookback_days", "lookback_dayz");
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = 5");
    lake.edit("afterscope.toml", "app = \"app_id\"\n", "");
    let (key, number) = (line_of(&lake, "lookback_dayz"), line_of(&lake, "url = 5"));
    let says = ["3 problems", &key, &number, "`source.url`", "`source.columns.app` is missing"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn problems_of_values_are_all_told_at_once() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "zone = \"Mars/Olympus\"\n\n[report]");
    lake.edit("afterscope.toml", "\"out/\"", "\"ftp://results/\"");
    let (zone, url) = (line_of(&lake, "Mars"), line_of(&lake, "ftp:"));
    let says = [
        "3 problems",
        &zone,
        "`Mars/Olympus` is no time zone",
        "Europe/Dublin",
        &url,
        "`ftp://`",
        "s3://",
        "--as-of 2019-02-30",
    ];
    lake.refuses(&["--as-of", "2019-02-30"], 1, &says);
}

#[test]
fn an_unknown_key_does_not_hide_a_bad_value() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "lookback_days", "lookback_dayz");
    lake.edit("afterscope.toml", "[report]", "zone = \"Mars/Olympus\"\n\n[report]");
    let (key, zone) = (line_of(&lake, "lookback_dayz"), line_of(&lake, "Mars"));
    let says = ["3 problems", &key, &zone, "Mars/Olympus", "--as-of soon"];
    lake.refuses(&["--as-of", "soon"], 1, &says);
}

#[test]
fn a_bad_as_of_is_named_with_the_form_that_is_wanted() {
    let lake = Lake::standard();
    for bad in ["2019-13-01", "yesterday", "", "2019-09-01T25:00:00Z"] {
        lake.refuses(&["--as-of", bad], 1, &["--as-of", bad, "2018-04-04T00:00:00Z"]);
    }
}

#[test]
fn a_bad_zone_of_the_time_column_is_named_by_line() {
    let lake = Lake::standard();
    let column = "time = { path = \"event_time\", zone = \"Lunar\" }";
    lake.edit("afterscope.toml", "time = \"event_time\"", column);
    lake.refuses(&[], 1, &[&line_of(&lake, "Lunar"), "`Lunar` is no time zone", "Europe/Dublin"]);
}

#[test]
fn an_address_of_an_unknown_kind_is_named_by_line() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"ftp://example.com/logs/\"");
    lake.refuses(&[], 1, &[&line_of(&lake, "ftp:"), "`ftp://`", "file://, s3://"]);
}

#[test]
fn an_unset_variable_is_named_and_a_set_one_is_put_in_place() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"${LOGS_ROOT}/logs/\"");
    let says = [&line_of(&lake, "LOGS_ROOT"), "LOGS_ROOT is not set", "set it or remove"];
    lake.refuses(&[], 1, &says);
    let mut command = lake.command(&run_args(&[]));
    command.env("LOGS_ROOT", lake.path(""));
    crate::lake::Outcome::of(&lake, command.output().unwrap()).succeeds();
}

#[test]
fn a_bad_set_is_named_as_it_was_given() {
    let lake = Lake::standard();
    let nearest = "did you mean `lookback_days`?";
    lake.refuses(&["--set", "report.lookbak_days=3"], 1, &["report.lookbak_days", nearest]);
    // The value may hold a secret: the key alone is named.
    let soon = ["--set report.lookback_days:", "must be an integer"];
    lake.refuses(&["--set", "report.lookback_days=soon"], 1, &soon);
    let form = ["--set report.lookback_days", "--set key=value"];
    lake.refuses(&["--set", "report.lookback_days"], 1, &form);
    let third = ["--set source.2.url:", "there is no entry 2", "the array has 1"];
    lake.refuses(&["--set", "source.2.url=x"], 1, &third);
}

#[test]
fn a_bad_value_of_a_flag_is_told_of_the_flag() {
    let lake = Lake::standard();
    let limit =
        lake.refuses(&["--memory-limit", "lots"], 1, &["--memory-limit", "`lots`", "512MB"]);
    assert!(!limit.stderr.contains("afterscope.toml:"), "{}", limit.stderr);
    let threads = lake.refuses(&["--threads", "0"], 1, &["--threads", "1 to 1024"]);
    assert!(!threads.stderr.contains("afterscope.toml:"), "{}", threads.stderr);
}

#[test]
fn a_source_that_tells_no_scopes_is_refused_with_the_two_ways_out() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "scopes = \"scope\"\n", "");
    lake.refuses(&[], 1, &["`access` maps no `scopes`", "`endpoint`", "registry.endpoints"]);
}

#[test]
fn several_scopes_in_a_text_need_a_meaning_before_anything_is_read() {
    let lake = Lake::standard();
    let column = "scopes = { path = \"scope\", encoding = \"space\" }";
    lake.edit("afterscope.toml", "scopes = \"scope\"", column);
    lake.refuses(&[], 1, &["`access`", "scopes_mean = \"exercised\" or \"held\""]);
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"logs/\"\nscopes_mean = \"exercised\"");
    lake.publishes(&[]);
}

#[test]
fn a_user_query_that_fails_is_named_with_a_way_to_the_columns() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"mine.sql\"]");
    lake.refuses(&[], 1, &["mine.sql", "report.queries"]);
    lake.write("mine.sql", "SELECT no_such_column FROM exposure");
    lake.refuses(&[], 1, &["mine.sql", "no_such_column", "afterscope schema frames"]);
    lake.write("coverage.sql", "SELECT * FROM exposure");
    lake.edit("afterscope.toml", "mine.sql", "coverage.sql");
    lake.refuses(&[], 1, &["coverage.sql", "`coverage`", "rename the file"]);
}

/// It passes the look before anything is read, because there are no rows then.
#[test]
fn a_user_query_that_fails_by_what_rows_hold_leaves_no_files() {
    let lake = Lake::standard();
    lake.write("mine.sql", "SELECT CAST(app_id AS BIGINT) AS t FROM exposure");
    lake.edit("afterscope.toml", "[report]", "[report]\nqueries = [\"mine.sql\"]");
    lake.refuses(&[], 1, &["mine.sql", "afterscope schema frames"]);
    assert!(lake.files().keys().all(|path| !path.contains("/runs/")), "{:?}", lake.files().keys());
}

#[test]
fn wrong_usage_ends_with_two_and_names_what_was_wrong() {
    let lake = Lake::standard();
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["rum"], "rum"),
        (&["run", "--config", "afterscope.toml"], "--as-of"),
        (&["run", "--as-of", AS_OF, "--no-such-flag"], "--no-such-flag"),
        (&["run", "--as-of", AS_OF, "--threads", "two"], "two"),
        (&["run", "--as-of", AS_OF, "-q", "-v"], "--quiet"),
        (&["run", "--as-of", AS_OF, "--log-format", "xml"], "xml"),
        (&["sample", "groups-2019", "demo", "--rows", "3"], "3"),
    ];
    for (args, named) in cases {
        lake.afterscope(args).fails(2, &[named]);
    }
    lake.nothing_is_published();
}

#[test]
fn what_is_missing_hides_no_other_problem() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "app = \"app_id\"\n", "");
    lake.edit("afterscope.toml", "\"user_id\"", "{ path = \"user_id\", zone = \"Mars/Olympus\" }");
    lake.edit("afterscope.toml", "\"out/\"", "\"ftp://results/\"");
    lake.edit("afterscope.toml", "lookback_days = 60", "lookback_days = 99999999999");
    let (zone, url) = (line_of(&lake, "Mars/Olympus"), line_of(&lake, "ftp://"));
    let days = line_of(&lake, "99999999999");
    let says = ["`source.columns.app` is missing", &zone, "Mars/Olympus", &url, &days, "at most"];
    let outcome = lake.refuses(&["--as-of", "yesterday"], 1, &says);
    assert!(outcome.stderr.contains("--as-of yesterday"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains('\0'), "{}", outcome.stderr);
}

#[test]
fn every_key_that_must_be_there_is_said_to_be_missing_and_nothing_else() {
    for (text, missing) in [
        ("name = \"access\"\n", "`source.name` is missing"),
        ("url = \"logs/\"\n", "`source.url` is missing"),
        ("time = \"event_time\"\n", "`source.columns.time` is missing"),
        ("app = \"app_id\"\n", "`source.columns.app` is missing"),
        ("scopes = \"scopes.csv\"\n", "`registry.scopes` is missing"),
        ("url = \"out/\"\n", "`output.url` is missing"),
    ] {
        let lake = Lake::standard();
        lake.edit("afterscope.toml", text, "");
        lake.refuses(&[], 1, &["the configuration has 1 problem:", missing]);
    }
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "[source.expected]\n\n[report]");
    let every = ["`source.expected.every` is missing", "`source.expected.from` is missing"];
    lake.refuses(&[], 1, &["the configuration has 2 problems:", every[0], every[1]]);
}

#[test]
fn broken_toml_is_one_problem_and_what_could_not_be_read_is_not_said_to_be_missing() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[registry]", "[registry");
    let outcome = lake.refuses(&[], 1, &[&line_of(&lake, "[registry")]);
    assert!(!outcome.stderr.contains("is missing"), "{}", outcome.stderr);
}

#[test]
fn a_number_out_of_bounds_is_named_with_its_place_also_in_an_argument() {
    let lake = Lake::standard();
    let says = ["--set report.lookback_days", "at most 4294967295"];
    lake.refuses(&["--set", "report.lookback_days=99999999999"], 1, &says);
    let says = ["--set report.lookback_days", "at least 0"];
    lake.refuses(&["--set", "report.lookback_days=-1"], 1, &says);
}
