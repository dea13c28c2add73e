//! `afterscope inspect`: what lies at an address, and its rows.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanBuilder, Date32Array, Date32Builder,
    Int32Array, Int64Array, Int64Builder, ListArray, ListBuilder, MapBuilder, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use serde_json::{Value, json};

use crate::lake::{Lake, Outcome, call, program, skipped};
use crate::published::Table;

fn inspect(lake: &Lake, args: &[&str]) -> Outcome {
    lake.afterscope(&[&["inspect"], args].concat())
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

#[test]
fn plain_files_are_seen_whole() {
    let lake = Lake::standard();
    lake.write("logs/_SUCCESS", "");
    let seen = inspect(&lake, &["logs", "--json"]).succeeds().json_of_all();
    let of = |name: &str| seen[name].clone();
    assert_eq!([of("format"), of("version")], [json!("parquet"), Value::Null]);
    assert_eq!([of("files"), of("hidden_files_passed_over")], [json!(3), json!(1)]);
    assert_eq!([of("rows"), of("rows_deleted"), of("row_groups")], [json!(8), json!(0), json!(3)]);
    let column = |name: &str| -> Value {
        let columns = seen["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap().clone()
    };
    assert_eq!(column("event_time")["least"], "2019-07-01T08:00:00.000000Z");
    assert_eq!(column("event_time")["greatest"], "2019-07-03T09:00:00.000000Z");
    assert_eq!(column("user_id")["type"], "Int64");
    assert_eq!(column("dt")["files_without"], 3);
    let partition = &seen["partitions"][0];
    assert_eq!([&partition["name"], &partition["values"]], [&json!("dt"), &json!(3)]);
    assert_eq!(
        [&partition["least"], &partition["greatest"]],
        [&json!("2019-07-01"), &json!("2019-07-03")]
    );
    let text = inspect(&lake, &["logs"]).succeeds().stdout;
    assert!(text.contains("plain Parquet files") && text.contains("event_time"), "{text}");
}

#[test]
fn rows_come_in_the_order_of_files_with_what_folders_say() {
    let lake = Lake::standard();
    let rows = lines(&inspect(&lake, &["logs", "--rows", "all", "--quiet"]).succeeds());
    let of = |row: &Value| json!([row["dt"], row["app_id"], row["user_id"], row["status"]]);
    let seen: Vec<Value> = rows.iter().map(of).collect();
    assert_eq!(seen.len(), 8);
    assert_eq!(seen[0], json!(["2019-07-01", "app-1", 1, 200]));
    assert_eq!(seen[5], json!(["2019-07-02", "app-3", 4, 403]));
    assert_eq!(seen[7], json!(["2019-07-03", "app-1", 6, 200]));
    let two = inspect(&lake, &["logs/dt=2019-07-02/part-0.parquet", "--rows", "1"]).succeeds();
    assert_eq!(lines(&two).len(), 1);
    assert!(two.stderr.contains("1 rows written"), "{}", two.stderr);
}

#[test]
fn every_format_holds_the_same_rows() {
    let lake = Lake::empty();
    let parts = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
    ]);
    let structs = StructArray::try_new(
        parts,
        vec![ints(&[1, 2]), Arc::new(StringArray::from(vec![Some("=x"), None]))],
        None,
    );
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    lake.columns(
        "t/a.parquet",
        vec![
            ("text", Arc::new(StringArray::from(vec![Some("=1+1"), Some("a\u{202e}b,\"c")]))),
            ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b"z"])) as ArrayRef),
            ("struct", Arc::new(structs.unwrap())),
            ("list", Arc::new(lists)),
            ("negative", ints(&[-1, 2])),
        ],
    );
    let json_rows = lines(&inspect(&lake, &["t", "--rows", "all"]).succeeds());
    assert_eq!(
        json_rows,
        [
            json!({"text": "=1+1", "bytes": "00ff", "struct": {"a": 1, "b": "=x"},
                "list": [1, null], "negative": -1}),
            json!({"text": "a\u{202e}b,\"c", "bytes": "7a", "struct": {"a": 2, "b": null},
                "list": null, "negative": 2}),
        ]
    );
    // What a spreadsheet would evaluate and what a terminal would act on are texts.
    let csv = inspect(&lake, &["t", "--rows", "all", "--format", "csv"]).succeeds().stdout;
    assert_eq!(
        csv,
        "text,bytes,struct,list,negative\n\
         '=1+1,00ff,\"{\"\"a\"\":1,\"\"b\"\":\"\"=x\"\"}\",\"[1,null]\",-1\n\
         \"a[U+202E]b,\"\"c\",7a,\"{\"\"a\"\":2,\"\"b\"\":null}\",,2\n"
    );
    let out = ["--rows", "all", "--output", "rows.parquet"];
    inspect(&lake, &[&["t"], &out[..]].concat()).succeeds();
    let again = lines(&inspect(&lake, &["rows.parquet", "--rows", "all"]).succeeds());
    assert_eq!(again, json_rows);
    let bytes = fs::read(lake.path("rows.parquet")).unwrap();
    inspect(&lake, &[&["t"], &out[..]].concat()).succeeds();
    assert_eq!(fs::read(lake.path("rows.parquet")).unwrap(), bytes);
    assert_eq!(Table::read(&lake.path("rows.parquet")).column("negative"), ["-1", "2"]);
}

#[test]
fn keys_of_maps_are_texts_in_json_or_the_map_is_refused() {
    let lake = Lake::empty();
    let mut days = MapBuilder::new(None, Date32Builder::new(), StringBuilder::new());
    days.keys().append_value(18_000);
    days.values().append_value("x");
    days.append(true).unwrap();
    let numbers = MapBuilder::new(None, Int64Builder::new(), BooleanBuilder::new());
    let mut lists = ListBuilder::new(numbers);
    lists.values().keys().append_slice(&[7, -1]);
    lists.values().values().append_value(true);
    lists.values().values().append_null();
    lists.values().append(true).unwrap();
    lists.append(true);
    let columns: Vec<(&str, ArrayRef)> =
        vec![("days", Arc::new(days.finish())), ("lists", Arc::new(lists.finish()))];
    lake.columns("t/a.parquet", columns);
    let rows = lines(&inspect(&lake, &["t", "--rows", "all"]).succeeds());
    // 18,000 days after 1970-01-01.
    let expected = json!({"days": {"2019-04-14": "x"}, "lists": [{"7": true, "-1": null}]});
    assert_eq!(rows, [expected]);
    let csv = inspect(&lake, &["t", "--rows", "all", "--format", "csv"]).succeeds().stdout;
    let quoted = "\"{\"\"2019-04-14\"\":\"\"x\"\"}\",\"[{\"\"7\"\":true,\"\"-1\"\":null}]\"\n";
    assert_eq!(csv, format!("days,lists\n{quoted}"));
    let mut bytes = MapBuilder::new(None, BinaryBuilder::new(), StringBuilder::new());
    bytes.append(true).unwrap();
    lake.columns("b/a.parquet", vec![("bytes", Arc::new(bytes.finish()))]);
    for format in ["json", "csv"] {
        inspect(&lake, &["b", "--rows", "all", "--format", format])
            .fails(1, &["unsupported: column `bytes`", "keys of type Binary", "--format parquet"]);
    }
    inspect(&lake, &["b", "--rows", "all", "--output", "rows.parquet"]).succeeds();
}

#[test]
fn times_that_no_calendar_has_are_refused_and_not_written_as_errors() {
    let lake = Lake::empty();
    let far = i64::MAX / 2;
    let micros =
        |values: &[i64]| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(values.to_vec())) };
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0, far]));
    let within = StructArray::from(vec![(
        Arc::new(Field::new("at", millis.data_type().clone(), true)),
        millis.clone(),
    )]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX, 0]));
    // 8,000,000,000,000,000,000 microseconds are 253,500 years.
    lake.columns("near/a.parquet", vec![("at", micros(&[8_000_000_000_000_000_000, 0]))]);
    let rows = lines(&inspect(&lake, &["near", "--rows", "all"]).succeeds());
    assert!(rows[0]["at"].as_str().unwrap().starts_with("+2554"), "{rows:?}");
    for (name, column, value) in [
        ("at", millis, far.to_string()),
        ("nested", Arc::new(within), far.to_string()),
        ("day", days, i32::MAX.to_string()),
    ] {
        let file = format!("{name}/a.parquet");
        lake.columns(&file, vec![(name, column)]);
        for format in ["json", "csv"] {
            let says =
                ["unsupported", &format!("column `{name}` holds {value}"), "no calendar has"];
            let outcome = inspect(&lake, &[name, "--rows", "all", "--format", format]);
            assert!(outcome.code == 1 && !outcome.stdout.contains("rror"), "{outcome:#?}");
            assert!(says.iter().all(|text| outcome.stderr.contains(text)), "{outcome:#?}");
        }
        inspect(&lake, &[name, "--rows", "all", "--output", "rows.parquet"]).succeeds();
    }
}

#[test]
fn columns_of_several_files_stand_together_or_are_refused() {
    let lake = Lake::empty();
    lake.columns("t/a.parquet", vec![("a", ints(&[1]))]);
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    lake.columns("t/b.parquet", vec![("b", text.clone()), ("a", wide)]);
    let rows = lines(&inspect(&lake, &["t", "--rows", "all"]).succeeds());
    assert_eq!(rows, [json!({"a": 1, "b": null}), json!({"a": 1_i64 << 40, "b": "x"})]);
    lake.columns("t/c.parquet", vec![("a", text)]);
    inspect(&lake, &["t"])
        .fails(1, &["unsupported", "column `a` is Utf8 in", "c.parquet", "Int64"]);
}

#[test]
fn what_cannot_be_shown_is_named() {
    let lake = Lake::standard();
    inspect(&lake, &["nowhere"]).fails(1, &["nowhere", "does not exist"]);
    inspect(&lake, &["logs", "--version", "3"]).fails(1, &["plain files", "no versions"]);
    inspect(&lake, &["logs", "--timestamp", "soon"]).fails(1, &["--timestamp soon"]);
    inspect(&lake, &["logs", "--rows", "few"]).fails(2, &["write a number, or all"]);
    inspect(&lake, &["logs", "--rows", "all", "--format", "parquet"]).fails(1, &["--output FILE"]);
    let nowhere = ["logs", "--rows", "all", "--output", "none/rows.csv"];
    inspect(&lake, &nowhere).fails(1, &["none/rows.csv", "cannot be written"]);
    inspect(&lake, &["s3://key:secret@bucket/x"]).fails(1, &["credentials"]);
    lake.spoil_logs();
    inspect(&lake, &["logs"]).fails(3, &["part-0.parquet"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lake = Lake::empty();
    let calls: Vec<_> = (0..20_000).map(|n| call("2019-07-01T08:00:00Z", "app-1", n)).collect();
    lake.log("logs/a.parquet", &calls);
    let mut child = Command::new(program())
        .args(["inspect", "logs", "--rows", "all"])
        .current_dir(lake.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Every table of the public corpora, as docs/conformance.md has it.
#[test]
fn public_tables_read_as_their_makers_say() {
    let (Some(corpora), Some(python)) =
        (std::env::var_os("AFTERSCOPE_CORPORA"), std::env::var_os("AFTERSCOPE_PYTHON"))
    else {
        return skipped("AFTERSCOPE_CORPORA and AFTERSCOPE_PYTHON name what it needs");
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(root.join("tests/conformance/check.py"))
        .arg("--program")
        .arg(program())
        .arg("--check")
        .arg(root.join("docs/conformance.md"))
        .arg("--corpora")
        .arg(corpora)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_configuration_shows_what_its_mapping_makes_of_the_columns() {
    let lake = Lake::standard();
    let seen = lake.afterscope(&["inspect", "--config", "afterscope.toml", "--json"]).succeeds();
    let seen = seen.json_of_all();
    let mapped = |role: &str| {
        let all = seen["mapped"].as_array().unwrap();
        all.iter().find(|m| m["as"] == role).unwrap().clone()
    };
    let time = mapped("time");
    assert_eq!(time["column"], "event_time");
    // Three files.
    assert_eq!(time["types"].as_object().unwrap().values().next().unwrap(), 3);
    assert_eq!((&time["files_refused"], &time["refused"]), (&0.into(), &Value::Null));
    assert_eq!(mapped("subject")["types"], json!({ "Int64": 3 }));
    // A text is no time, and a column that is not there is nothing.
    lake.edit("afterscope.toml", "bytes = \"bytes\"", "bytes = \"request_id\"");
    lake.edit("afterscope.toml", "group = \"group_id\"", "group = \"grup_id\"");
    let text = lake.afterscope(&["inspect", "access", "--config", "afterscope.toml"]).succeeds();
    assert!(text.stdout.contains("as mapped"), "{}", text.stdout);
    assert!(text.stdout.contains("no column `grup_id`"), "{}", text.stdout);
    lake.afterscope(&["inspect", "acces", "--config", "afterscope.toml"])
        .fails(1, &["acces", "access"]);
}

#[test]
fn rows_are_read_within_the_limit_that_is_given() {
    let lake = Lake::standard();
    let args = ["inspect", "logs/", "--rows", "all", "--quiet", "--memory-limit"];
    let rows = lake.afterscope(&[&args[..], &["200MB"]].concat()).succeeds().stdout;
    assert_eq!(rows.lines().count(), 8);
    let little = lake.afterscope(&[&args[..], &["1MB"]].concat());
    let little = little.fails(1, &["--memory-limit 1MB", "memory limit is 1 MB", "give more"]);
    assert!(!little.stderr.contains("--threads"), "{little:#?}");
    lake.afterscope(&[&args[..], &["much"]].concat()).fails(1, &["--memory-limit much"]);
}

#[test]
fn rows_are_not_written_over_what_they_are_read_from() {
    let lake = Lake::standard();
    let log = "logs/dt=2019-07-01/part-0.parquet";
    let before = fs::read(lake.path(log)).unwrap();
    for source in ["logs", "logs/", "logs/**/*.parquet", log] {
        for output in [log, "logs/../logs/dt=2019-07-01/part-0.parquet"] {
            let args = [source, "--rows", "all", "--output", output];
            inspect(&lake, &args).fails(1, &[output, "lies in what is inspected", "--output"]);
        }
    }
    let beside = ["logs", "--rows", "all", "--output", "logs/more.parquet"];
    inspect(&lake, &beside).fails(1, &["logs/more.parquet", "would change it"]);
    assert_eq!(fs::read(lake.path(log)).unwrap(), before);
    assert!(!lake.path("logs/more.parquet").exists());
    // What a glob does not match, and what lies beside a single file, is nobody's.
    for source in ["logs/**/*.parquet", log] {
        inspect(&lake, &[source, "--rows", "1", "--output", "logs/dt=2019-07-01/rows.csv"])
            .succeeds();
    }
}

#[test]
fn only_a_regular_file_is_replaced() {
    let lake = Lake::standard();
    std::os::unix::fs::symlink("elsewhere", lake.path("link.csv")).unwrap();
    fs::create_dir(lake.path("folder.csv")).unwrap();
    for output in ["link.csv", "folder.csv", "/dev/null"] {
        let args = ["logs", "--rows", "1", "--format", "csv", "--output", output];
        inspect(&lake, &args).fails(1, &[output, "no regular file", "stdout"]);
    }
    assert!(lake.path("link.csv").is_symlink() && !lake.path("elsewhere").exists());
}

#[test]
fn rows_of_a_table_are_not_written_into_its_log() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "t", "--format", "delta", "--rows", "20000"])
        .succeeds();
    let log = || fs::read_dir(lake.path("t/logs/_delta_log")).unwrap().count();
    let (before, commit) = (log(), "t/logs/_delta_log/00000000000000000099.json");
    inspect(&lake, &["t/logs", "--rows", "1", "--output", commit])
        .fails(1, &[commit, "would change it"]);
    assert_eq!(log(), before);
}

#[test]
fn an_ending_that_stands_for_no_format_is_refused() {
    let lake = Lake::standard();
    for output in ["rows.xlsx", "rows", "rows.csv.gz"] {
        let says = [output, ".parquet, .csv or .json", "--format"];
        inspect(&lake, &["logs", "--rows", "1", "-o", output]).fails(1, &says);
        assert!(!lake.path(output).exists());
    }
    inspect(&lake, &["logs", "--rows", "1", "-o", "rows", "--format", "csv"]).succeeds();
    inspect(&lake, &["logs", "--rows", "1", "-o", "rows.CSV"]).succeeds();
    assert_eq!(fs::read(lake.path("rows")).unwrap(), fs::read(lake.path("rows.CSV")).unwrap());
    inspect(&lake, &["logs", "--rows", "1", "-o", "rows.jsonl"]).succeeds();
    let line = fs::read_to_string(lake.path("rows.jsonl")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["app_id"], "app-1");
}

#[test]
fn rows_go_to_local_files_alone() {
    let lake = Lake::standard();
    for output in ["s3://bucket/rows.csv", "file:///tmp/rows.csv"] {
        let says = [output, "local files alone", "name a path"];
        inspect(&lake, &["logs", "--rows", "1", "-o", output]).fails(1, &says);
    }
}

#[test]
fn what_is_advised_is_there() {
    let lake = Lake::standard();
    lake.spoil_logs();
    let help = inspect(&lake, &["--help"]).succeeds().stdout;
    let advised = |outcome: &Outcome| {
        let words = outcome.stderr.split(|c: char| !(c.is_alphanumeric() || c == '-'));
        let missing = |flag: &&str| flag.starts_with("--") && !help.contains(*flag);
        assert_eq!(words.clone().find(missing), None, "{outcome:#?}");
    };
    let damaged = "the file is damaged or no Parquet file; restore it";
    advised(&inspect(&lake, &["logs"]).fails(3, &["part-0.parquet", damaged]));
    advised(&inspect(&lake, &["logs", "--rows", "all"]).fails(3, &["part-0.parquet", damaged]));
    advised(&inspect(&lake, &["logs", "--rows", "1", "--memory-limit", "1MB"]).fails(1, &[]));
    lake.afterscope(&["sample", "groups-2019", "t", "--format", "delta", "--rows", "20000"])
        .succeeds();
    fs::remove_dir_all(lake.path("t/logs/dt=2019-01-01")).unwrap();
    advised(
        &inspect(&lake, &["t/logs"])
            .fails(3, &["is not there, though version 6 is the latest", "restore the file"]),
    );
}

/// Two files; of the second one value of each mapped column cannot be read.
#[test]
fn values_are_tried_as_a_run_reads_them() {
    let lake = Lake::empty();
    let texts =
        |values: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let (a, b) = ("0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7");
    let write = |path: &str, third: [&str; 5]| {
        let [time, user, scope, bytes, weight] = third;
        let status: ArrayRef = Arc::new(Int32Array::from(vec![200, 200, 200]));
        lake.columns(
            path,
            vec![
                ("event_time", texts(&[Some("2019-07-01T08:00:00Z"), None, Some(time)])),
                ("request_id", texts(&[Some("1"), Some("2"), Some("3")])),
                ("app_id", texts(&[Some("app-1"), Some("app-1"), None])),
                ("user_id", texts(&[Some(a), None, Some(user)])),
                ("group_id", ints(&[1, 2, 3])),
                ("scope", texts(&[Some("[\"read_members\"]"), None, Some(scope)])),
                ("status", status),
                ("bytes", texts(&[Some("1"), Some("2"), Some(bytes)])),
                ("times", texts(&[Some("1"), Some("1"), Some(weight)])),
            ],
        );
    };
    write("logs/a.parquet", ["2019-07-01T09:00:00+02:00", b, "[]", "3", "1"]);
    write("logs/b.parquet", ["yesterday", "user-7", "read_members", "three", "-1"]);
    lake.edit("afterscope.toml", "\"user_id\"", "{ path = \"user_id\", kind = \"uuid\" }");
    let url = "url = \"logs/\"";
    lake.edit("afterscope.toml", url, &format!("{url}\nscopes_mean = \"held\""));
    let scopes = "{ path = \"scope\", encoding = \"list\" }\nweight = \"times\"";
    lake.edit("afterscope.toml", "\"scope\"", scopes);
    let shown = lake.afterscope(&["inspect", "--config", "afterscope.toml", "--json"]).succeeds();
    let shown = shown.json_of_all();
    assert_eq!(shown["sample"], json!({"files": 2, "rows": 6}));
    let of = |role: &str| {
        let all = shown["mapped"].as_array().unwrap();
        all.iter().find(|mapped| mapped["as"] == role).unwrap().clone()
    };
    // Read, null, not read; and which.
    let expected = [
        ("time", 3, 2, 1, "yesterday"),
        ("app", 4, 2, 0, ""),
        ("subject", 3, 2, 1, "user-7"),
        ("group", 6, 0, 0, ""),
        ("scopes", 3, 2, 1, "read_members"),
        ("bytes", 5, 0, 1, "three"),
        ("weight", 5, 0, 1, "-1"),
        ("status", 6, 0, 0, ""),
        ("event_id", 6, 0, 0, ""),
    ];
    for (role, read, nulls, unread, value) in expected {
        let seen = of(role);
        assert_eq!(seen["files_refused"], 0, "{seen}");
        let counts = json!([seen["values_read"], seen["nulls"], seen["values_unread"]]);
        assert_eq!(counts, json!([read, nulls, unread]), "{seen}");
        let first = &seen["first_unread"];
        if value.is_empty() {
            assert_eq!(*first, Value::Null);
            continue;
        }
        assert_eq!((&first["value"], &first["type"]), (&value.into(), &"Utf8".into()), "{seen}");
        assert!(first["file"].as_str().unwrap().ends_with("logs/b.parquet"), "{seen}");
        assert_ne!(first["reason"], "", "{seen}");
    }
    let text = lake.afterscope(&["inspect", "--config", "afterscope.toml"]).succeeds().stdout;
    for says in [
        "tried on 6 rows: the first row group of 2 of 2 files",
        "3 values read, 2 null, 1 not read",
        "the first not read: `user-7` (Utf8) in",
    ] {
        assert!(text.contains(says), "nothing says {says:?} in {text}");
    }
    // A run says the same of them: some end it, others cost a row.
    let ends = |says: &[&str]| lake.run(&["--output", "ends"]).fails(3, says);
    ends(&["user_id", "no UUID"]);
    write("logs/b.parquet", ["yesterday", b, "read_members", "3", "-1"]);
    // Rows without a scope are none of a run's; of the last one nobody knows whether it is.
    ends(&["1 rows are rejected", "logs/b.parquet"]);
}

/// How long the only row of a file with so many columns takes to be written: the best of three, in seconds.
fn seconds_of_a_row(lake: &Lake, columns: usize) -> f64 {
    let named: Vec<String> = (0..columns).map(|column| format!("column_{column}")).collect();
    let file = format!("wide/{columns}.parquet");
    lake.columns(&file, named.iter().map(|name| (name.as_str(), ints(&[1]))).collect());
    let took = (0..3).map(|_| {
        let begun = std::time::Instant::now();
        let rows = inspect(lake, &[&file, "--rows", "all"]).succeeds();
        assert_eq!(lines(&rows)[0].as_object().unwrap().len(), columns);
        begun.elapsed().as_secs_f64()
    });
    took.fold(f64::INFINITY, f64::min)
}

#[test]
fn a_row_takes_as_long_as_it_has_columns() {
    let lake = Lake::empty();
    let (few, many) = (seconds_of_a_row(&lake, 3_000), seconds_of_a_row(&lake, 24_000));
    // Eight times as many: where each were looked for among all, it would take 64 times as long.
    assert!(many < 24.0 * few, "{few} s and {many} s");
}
