//! Log files and folders that cannot be read as they are.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::lake::{Call, Lake, Outcome, call, run_args, skipped, standard_days};

/// A standard lake with one file more, whose bytes are no whole Parquet file.
fn lake_with(bad: &[u8]) -> Lake {
    let lake = Lake::standard();
    fs::write(lake.path("logs/bad.parquet"), bad).unwrap();
    lake
}

/// Ends with exit 3 and the file's name; goes on without it where that is allowed, and says so.
fn is_a_hole(lake: &Lake) {
    lake.refuses(&[], 3, &["logs/bad.parquet", "damaged or no Parquet file", "--allow-incomplete"]);
    let outcome = lake.run(&["--allow-incomplete"]).succeeds();
    assert!(outcome.stderr.contains("bad.parquet"), "{}", outcome.stderr);
    assert_eq!(outcome.json()["verdict"], "incomplete");
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 6);
    let coverage = outcome.published().table("coverage");
    let wanted = ["files_read", "files_unreadable", "rows_in_metadata", "verdict"];
    let row = coverage.row(&[("grain", "all")], &wanted);
    assert_eq!(row, ["3", "1", "8", "incomplete"]);
    let manifest = outcome.published().folder.with_file_name("manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let unreadable = manifest["sources"][0]["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0]["file"].as_str().unwrap().contains("bad.parquet"));
}

#[test]
fn a_truncated_file_is_a_hole() {
    let lake = Lake::standard();
    let bytes = fs::read(lake.path("logs/dt=2019-07-01/part-0.parquet")).unwrap();
    fs::write(lake.path("logs/bad.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    is_a_hole(&lake);
}

#[test]
fn a_file_without_a_byte_is_a_hole() {
    let lake = lake_with(b"");
    lake.refuses(&[], 3, &["bad.parquet", "0 bytes"]);
    is_a_hole(&lake);
}

#[test]
fn a_file_that_is_no_parquet_is_a_hole() {
    is_a_hole(&lake_with("time,app,user\n2019-07-01,app-1,1\n".repeat(50).as_bytes()));
}

#[test]
fn a_footer_that_claims_to_be_longer_than_the_file_is_a_hole() {
    let mut bytes = b"PAR1".to_vec();
    bytes.extend([0; 64]);
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.extend(b"PAR1");
    is_a_hole(&lake_with(&bytes));
}

#[test]
fn a_hole_stands_under_the_day_that_its_partition_declares() {
    let lake = Lake::standard();
    let partition = "url = \"logs/\"\npartition_time = { column = \"dt\", grain = \"1d\" }";
    lake.edit("afterscope.toml", "url = \"logs/\"", partition);
    fs::write(lake.path("logs/dt=2019-07-02/bad.parquet"), b"").unwrap();
    let coverage = lake.publishes(&["--allow-incomplete"]).table("coverage");
    let day = [("grain", "source_day"), ("file_day", "2019-07-02")];
    let row = coverage.row(&day, &["files_read", "files_unreadable", "verdict"]);
    assert_eq!(row, ["1", "1", "incomplete"]);
    let day = [("grain", "source_day"), ("file_day", "2019-07-01")];
    assert_eq!(coverage.row(&day, &["files_unreadable", "verdict"]), ["0", "complete"]);
}

/// Written by pyarrow: the Rust writer has no page checksums.
const WITH_CHECKSUMS: &str = "
import sys, datetime
import pyarrow as pa, pyarrow.parquet as pq
at = datetime.datetime(2019, 7, 1, 8, tzinfo=datetime.timezone.utc)
table = pa.table({
    'event_time': pa.array([at], pa.timestamp('us', 'UTC')),
    'request_id': ['r'], 'app_id': ['app-1'],
    'user_id': pa.array([0x1122334455667788]), 'group_id': pa.array([10]),
    'scope': ['read_members'], 'status': pa.array([200], pa.int32()), 'bytes': pa.array([100]),
})
pq.write_table(table, sys.argv[1], compression='none', use_dictionary=False,
               write_statistics=False, write_page_checksum=True)
";

#[test]
fn a_page_whose_checksum_does_not_hold_is_a_hole() {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        return skipped("AFTERSCOPE_PYTHON is not set: no writer of page checksums");
    };
    let lake = Lake::standard();
    let path = lake.path("logs/bad.parquet");
    let written = Command::new(python).args(["-c", WITH_CHECKSUMS]).arg(&path).output().unwrap();
    if !written.status.success() {
        return skipped(&format!("pyarrow: {}", String::from_utf8_lossy(&written.stderr)));
    }
    let whole = lake.run(&["--as-of", "2019-08-31"]).succeeds();
    assert_eq!(whole.json()["totals"]["subjects_observed"], 5);
    fs::remove_dir_all(lake.path("out")).unwrap();

    let mut bytes = fs::read(&path).unwrap();
    let user = 0x1122_3344_5566_7788_i64.to_le_bytes();
    let at = bytes.windows(8).position(|window| window == user).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    is_a_hole(&lake);
}

/// Three row groups of one call each, of the people 101 to 103; the scopes of one are overwritten.
fn three_row_groups(lake: &Lake, damaged: Option<usize>) {
    let path = lake.path("logs/bad.parquet");
    let mut writer: Option<ArrowWriter<File>> = None;
    for user in 101..104 {
        let one = lake.log("logs/one.parquet", &[call("2019-07-01T08:00:00Z", "app-1", user)]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&one).unwrap()).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap()
        });
        writer.write(&batch).unwrap();
        writer.flush().unwrap();
        fs::remove_file(one).unwrap();
    }
    let metadata = writer.unwrap().close().unwrap();
    if let Some(group) = damaged {
        let (from, length) = metadata.row_group(group).column(5).byte_range();
        let mut bytes = fs::read(&path).unwrap();
        let (from, length) = (usize::try_from(from).unwrap(), usize::try_from(length).unwrap());
        bytes[from..from + length].fill(0xff);
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_file_with_one_damaged_row_group_is_left_out_whole_until_it_is_mended() {
    for group in 0..3 {
        let lake = Lake::standard();
        three_row_groups(&lake, Some(group));
        is_a_hole(&lake);
        three_row_groups(&lake, None);
        let mended = lake.run(&[]).succeeds().json();
        assert_eq!(mended["verdict"], "complete");
        assert_eq!(mended["totals"]["subjects_observed"], 7);
    }
}

#[test]
fn a_row_outside_the_day_that_its_folder_declares_ends_the_run() {
    let lake = Lake::standard();
    let partition = "partition_time = { column = \"dt\", grain = \"1d\", slack = \"1d\" }";
    lake.edit("afterscope.toml", "url = \"logs/\"", &format!("url = \"logs/\"\n{partition}"));
    let late = |day| call(&format!("2019-07-{day}T08:00:00Z"), "app-1", 8);
    lake.log("logs/dt=2019-07-01/late.parquet", &[late("02"), late("03"), late("04")]);
    let says = [
        "dt=2019-07-01/late.parquet",
        "2 rows",
        "2019-07-03T08:00:00Z",
        "[2019-06-30T00:00:00Z, 2019-07-03T00:00:00Z)",
        "partition_time.slack",
    ];
    lake.refuses(&[], 3, &says);
    lake.edit("afterscope.toml", "slack = \"1d\"", "slack = \"3d\"");
    let outcome = lake.run(&[]).succeeds();
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 9);
}

#[test]
fn a_folder_that_is_no_day_is_named_where_a_day_is_declared() {
    let lake = Lake::standard();
    let partition = "url = \"logs/\"\npartition_time = { column = \"dt\", grain = \"1d\" }";
    lake.edit("afterscope.toml", "url = \"logs/\"", partition);
    let path = lake.log("logs/dt=someday/a.parquet", &[]);
    lake.refuses(&[], 1, &["dt=someday/a.parquet", "`someday`", "2018-04-04"]);
    fs::remove_file(path).unwrap();
    lake.log("logs/a.parquet", &[]);
    lake.refuses(&[], 1, &["logs/a.parquet", "no partition `dt`"]);
}

#[test]
fn a_log_folder_that_is_not_there_is_named_with_its_source() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"nowhere/\"");
    lake.refuses(&[], 1, &["`access`", "nowhere", "does not exist", "check the source's url"]);
    lake.edit("afterscope.toml", "nowhere/", "nowhere/2019/*.parquet");
    lake.refuses(&[], 1, &["`access`", "nowhere/2019", "does not exist", "check the source's url"]);
}

#[test]
fn a_prefix_without_files_is_named_with_the_number_passed_over() {
    let lake = Lake::empty();
    for hidden in ["logs/_SUCCESS", "logs/.part.crc", "logs/_temporary/part-0.parquet"] {
        lake.write(hidden, "x");
    }
    lake.refuses(
        &[],
        1,
        &["`access`", "logs", "holds no files", "3 were passed over", "check the"],
    );
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"logs/dt=2018-*/*.parquet\"");
    lake.refuses(&[], 1, &["`access`", "dt=2018-*", "holds no files", "check the source's url"]);
}

#[test]
fn a_glob_that_cannot_be_read_is_named() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"logs/dt=[2019/*.parquet\"");
    lake.refuses(&[], 1, &["`access`", "dt=[2019"]);
}

#[test]
fn an_empty_file_of_a_quiet_day_is_no_hole() {
    let lake = Lake::standard();
    let none: [Call; 0] = [];
    lake.log("logs/dt=2019-07-04/part-0.parquet", &none);
    let outcome = lake.run(&[]).succeeds();
    assert_eq!(outcome.json()["verdict"], "complete");
    let coverage = outcome.published().table("coverage");
    let row = coverage.row(&[("grain", "all")], &["files_read", "rows_in_metadata"]);
    assert_eq!(row, ["4", "8"]);
}

#[test]
fn a_byte_that_was_changed_anywhere_never_looks_like_a_bug_of_the_program() {
    let lake = Lake::standard();
    let path = lake.path("logs/dt=2019-07-01/part-0.parquet");
    let whole = fs::read(&path).unwrap();
    // Bytes at even distances, each set to a few values: headers, levels, values, footer.
    for (turn, at) in (4..whole.len()).step_by(whole.len() / 61).enumerate() {
        let mut bytes = whole.clone();
        bytes[at] = [0x00, 0x7f, 0xff, bytes[at] ^ 0x04][turn % 4];
        fs::write(&path, bytes).unwrap();
        let state = format!("state-{turn}");
        let outcome = lake.run(&["--output", &format!("out-{turn}"), "--state", &state]);
        // A changed value may be as good as the true one; nothing in the file tells.
        assert!(
            [0, 1, 3].contains(&outcome.code),
            "byte {at}: {} {}",
            outcome.code,
            outcome.stderr
        );
        if outcome.code == 3 {
            assert!(outcome.stderr.contains("part-0.parquet"), "byte {at}: {}", outcome.stderr);
        }
    }
}

#[test]
fn a_folder_or_file_of_a_table_is_no_plain_log() {
    let lake = Lake::standard();
    let marker = "logs/_delta_log/00000000000000000000.json";
    lake.write(marker, "{}");
    let day = "logs/dt=2019-07-01";
    let refused = |url: &str, format: &str, parts: &[&str]| {
        let url_key = format!("source.0.url={url}");
        let wanted = [&[url.trim_end_matches(['/', '*']), format], parts].concat();
        lake.run(&["--set", &url_key]).fails(1, &wanted);
        lake.afterscope(&["inspect", url]).fails(1, &wanted);
    };
    for url in
        [day.to_string(), format!("{day}/"), format!("{day}/part-0.parquet"), format!("{day}/*")]
    {
        refused(&url, "is part of a Delta table", &[marker, "/logs as url", "format = \"delta\""]);
    }
    fs::remove_dir_all(lake.path("logs/_delta_log")).unwrap();
    lake.publishes(&[]);

    let marker = "table/metadata/v1.metadata.json";
    lake.write(marker, "{}");
    fs::rename(lake.path("logs"), lake.path("table/data")).unwrap();
    for url in ["table/data", "table/data/dt=2019-07-01/part-0.parquet"] {
        let way = "/table as url, and set format = \"iceberg\"";
        refused(url, "is part of an Iceberg table", &[marker, way]);
    }
    // A table that was migrated keeps its files where they were.
    fs::rename(lake.path("table/data"), lake.path("table/logs")).unwrap();
    refused("table/logs", "is part of an Iceberg table", &[marker]);
    // Not all that lies beside a folder of that name belongs to a table.
    fs::rename(lake.path(marker), lake.path("table/metadata/notes.json")).unwrap();
    lake.publishes(&["--set", "source.0.url=table/logs", "--output", "again"]);

    let marker = "table/.hoodie/hoodie.properties";
    lake.write(marker, "");
    refused("table/logs/dt=2019-07-01", "is part of a Hudi table", &[marker, "export the version"]);
}

#[test]
fn links_into_a_table_are_no_plain_logs() {
    let lake = Lake::standard();
    let marker = "logs/_delta_log/00000000000000000000.json";
    lake.write(marker, "{}");
    let day = lake.path("logs/dt=2019-07-01");
    symlink(&day, lake.path("day")).unwrap();
    lake.log("plain/a.parquet", &standard_days()[1].1);
    fs::create_dir(lake.path("deep")).unwrap();
    symlink(&day, lake.path("deep/day")).unwrap();
    symlink(day.join("part-0.parquet"), lake.path("plain/b.parquet")).unwrap();
    let urls = ["day", "day/", "day/part-0.parquet", "deep/", "deep/day/*.parquet", "plain/"];
    for url in urls.into_iter().chain(["deep/*/*.parquet"]) {
        let set = format!("source.0.url={url}");
        lake.run(&["--set", &set]).fails(1, &["is part of a Delta table", marker]);
    }
    // What the glob does not match is none of the source's.
    lake.publishes(&["--set", "source.0.url=plain/a*"]);
    // A link to plain files is one of them; what a link of the table leads to is the table's.
    lake.log("elsewhere/part-0.parquet", &standard_days()[0].1);
    fs::remove_file(lake.path("plain/b.parquet")).unwrap();
    symlink(lake.path("elsewhere"), lake.path("plain/b")).unwrap();
    lake.publishes(&["--set", "source.0.url=plain/", "--output", "again"]);
    symlink(lake.path("elsewhere"), lake.path("logs/out")).unwrap();
    lake.run(&["--set", "source.0.url=logs/out"]).fails(1, &["is part of a Delta table", marker]);
}

/// Makes a FIFO, which nobody writes to.
fn fifo(lake: &Lake, path: &str) {
    let made = Command::new("mkfifo").arg(lake.path(path)).status().unwrap();
    assert!(made.success(), "mkfifo {path}");
}

/// Ends what would wait for a writer: that is code 124.
fn within_a_while(lake: &Lake, args: &[&str]) -> Outcome {
    let inner = lake.command(args);
    let mut command = Command::new("timeout");
    command.arg("60").arg(inner.get_program()).args(inner.get_args());
    let envs = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(envs).current_dir(lake.path("")).stdin(Stdio::null());
    Outcome::of(lake, command.output().unwrap())
}

#[test]
fn what_is_no_regular_file_is_named_and_not_passed_over() {
    let lake = Lake::standard();
    let as_before = lake.publishes(&["--output", "elsewhere"]).bytes();
    fifo(&lake, "logs/pipe.parquet");
    let named = ["logs/pipe.parquet", "it is a FIFO and no regular file", "nothing is left out"];
    within_a_while(&lake, &run_args(&[])).fails(3, &named);
    within_a_while(&lake, &["inspect", "logs"]).fails(3, &named);
    // What a glob does not mean, and what is hidden, is no data.
    within_a_while(&lake, &["inspect", "logs/**/part-*.parquet"]).succeeds();
    fs::rename(lake.path("logs/pipe.parquet"), lake.path("logs/.pipe")).unwrap();
    let outcome = within_a_while(&lake, &run_args(&[])).succeeds();
    crate::lake::assert_same(&as_before, &outcome.published().bytes());
    fs::remove_file(lake.path("logs/.pipe")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(lake.path("logs/socket"));
    lake.run(&[]).fails(3, &["logs/socket", "it is a socket"]);
    drop(socket);
}

#[test]
fn what_is_no_regular_file_is_refused_where_it_is_the_address() {
    let lake = Lake::with_people();
    fifo(&lake, "pipe");
    let named = ["pipe: is a FIFO and no regular file", "name a regular file"];
    within_a_while(&lake, &["inspect", "pipe"]).fails(1, &named);
    within_a_while(&lake, &["inspect", "/dev/zero"]).fails(1, &["/dev/zero: is a device"]);
    let source = run_args(&["--set", "source.0.url=pipe"]);
    within_a_while(&lake, &source).fails(1, &[&named[..], &["source `access`"]].concat());
    for key in ["scopes", "apps", "memberships"] {
        let set = format!("registry.{key}=pipe");
        let outcome = within_a_while(&lake, &run_args(&["--set", &set]));
        outcome.fails(1, &["pipe", "a FIFO and no regular file"]);
    }
    fs::create_dir(lake.path("members")).unwrap();
    fs::copy(lake.path("memberships.parquet"), lake.path("members/a.parquet")).unwrap();
    fifo(&lake, "members/b.parquet");
    let set = run_args(&["--set", "registry.memberships=members/"]);
    within_a_while(&lake, &set).fails(1, &["members/b.parquet", "a FIFO", "memberships"]);
    lake.nothing_is_published();
}

#[test]
fn a_table_whose_newest_version_is_no_regular_file_is_not_read_at_an_older_one() {
    let lake = Lake::empty();
    for (format, pipe) in [
        ("delta", "_delta_log/00000000000000000099.json"),
        ("iceberg", "metadata/v99.metadata.json"),
    ] {
        let sample = ["sample", "groups-2019", format, "--format", format, "--rows", "20000"];
        lake.afterscope(&sample).succeeds();
        let logs = format!("{format}/logs");
        lake.afterscope(&["inspect", &logs]).succeeds();
        let pipe = format!("{logs}/{pipe}");
        fifo(&lake, &pipe);
        within_a_while(&lake, &["inspect", &logs]).fails(3, &[&pipe, "a FIFO"]);
        fs::remove_file(lake.path(&pipe)).unwrap();
        symlink("nowhere", lake.path(&pipe)).unwrap();
        within_a_while(&lake, &["inspect", &logs]).fails(3, &[&pipe, "a link that leads nowhere"]);
    }
}
