//! Pages that are damaged, that claim too much, or that nobody here can read.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::shapes::shapes;
use crate::lake::{Call, Lake, Outcome, assert_same, call, run_args, skipped};
use crate::stores::servers::python;

/// Every page of every file with checksums in turn, one byte of it: a run ends, or never read the page.
#[test]
fn a_byte_changed_in_any_page_with_a_checksum_is_noticed() {
    let Some(shapes) = shapes() else { return };
    for shape in shapes.iter().filter(|shape| shape.has_checksums()) {
        let lake = Lake::standard();
        let path = lake.path("logs/checked.parquet");
        fs::write(&path, &shape.bytes).unwrap();
        let expected = lake.publishes(&["--output", "whole"]).bytes();
        let mut noticed = 0;
        let pages = shape.pages();
        let bodies = shape.bodies();
        // Eight of them here, all of them below in the reader that takes every column.
        for (turn, body) in bodies.iter().enumerate().step_by(bodies.len() / 8) {
            let at =
                if body.is_empty() { pages[turn].end - 1 } else { body.start + body.len() / 2 };
            let mut bytes = shape.bytes.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let (output, state) = (format!("out-{turn}"), format!("state-{turn}"));
            let outcome = lake.run(&["--output", &output, "--state", &state]);
            if outcome.code == 0 {
                assert_same(&expected, &outcome.published().bytes());
            } else {
                outcome.fails(3, &["checked.parquet"]);
                noticed += 1;
            }
        }
        assert!(noticed > 0, "{}", shape.name);
    }
}

#[test]
fn a_byte_changed_in_any_page_with_a_checksum_keeps_rows_back() {
    let Some(shapes) = shapes() else { return };
    let lake = Lake::empty();
    let reader = super::hostile::Reader::new();
    for shape in shapes.iter().filter(|shape| shape.has_checksums()) {
        let path = lake.path("page.parquet");
        fs::write(&path, &shape.bytes).unwrap();
        let whole = reader.rows(&path, 1 << 30).unwrap();
        let mut unseen = 0;
        for (page, body) in shape.pages().into_iter().zip(shape.bodies()) {
            let last = if body.is_empty() { page.end - 1 } else { body.start };
            for at in [last, page.end - 1] {
                let mut bytes = shape.bytes.clone();
                bytes[at] ^= 0x01;
                fs::write(&path, bytes).unwrap();
                match reader.rows(&path, 1 << 30) {
                    Err(why) => assert!(why.contains("page.parquet"), "{why}"),
                    Ok(rows) => {
                        // Short pages of levels alone may end in bits that nobody reads; values do not.
                        assert!(rows == whole, "{}: byte {at} of {page:?}", shape.name);
                        unseen += 1;
                    }
                }
            }
        }
        assert_eq!(unseen, 0, "{}", shape.name);
    }
}

#[test]
fn files_whose_pages_have_no_checksums_are_counted_where_their_rows_matter() {
    let Some(shapes) = shapes() else { return };
    let lake = Lake::standard();
    for shape in &shapes {
        fs::write(lake.path(&format!("logs/{}.parquet", shape.name)), &shape.bytes).unwrap();
    }
    // Of a scope that nobody asked for: nothing of it matters, and pages of it may or may not be read.
    let other = Call { scope: "email".into(), ..call("2019-07-02T08:00:00Z", "app-1", 9) };
    lake.log("logs/outside.parquet", &[other]);
    let checked = shapes.iter().filter(|shape| shape.has_checksums()).count();
    let (read, unverified) = (3 + shapes.len() + 1, 3 + shapes.len() - checked);
    assert!(checked > 3 && unverified > 3, "{checked}, {unverified}");
    let expected = [read.to_string(), unverified.to_string()];
    // Read, read again from the ledger, and read without leaving anything out.
    for (as_of, more) in
        [("2019-08-31", "-v"), ("2019-08-30", "-v"), ("2019-08-29", "--no-pruning")]
    {
        let coverage = lake.publishes(&["--as-of", as_of, more]).table("coverage");
        let row = coverage.row(&[("grain", "all")], &["files_read", "files_unverified"]);
        assert_eq!(row, expected, "{as_of}");
    }
}

/// Files with one page of 160 MB, small while compressed: as they are, and with headers that say more and less.
const BOMBS: &str = r#"
import pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
folder = pathlib.Path(sys.argv[1])
def number(n, length):
    n <<= 1
    return bytes([n >> 7 * i & 127 | (128 if i < length - 1 else 0) for i in range(length)])
for codec in ['gzip', 'zstd', 'snappy', 'brotli', 'lz4']:
    table = pa.table({
        'event_time': pa.array([1561968000000000], pa.timestamp('us', 'UTC')),
        'request_id': ['a' * 160_000_000], 'app_id': ['app-1'], 'user_id': pa.array([7], pa.int64()),
        'group_id': pa.array([10], pa.int64()), 'scope': ['read_members'],
        'status': pa.array([200], pa.int32()), 'bytes': pa.array([1], pa.int64()),
    })
    place = folder / f'true-{codec}.parquet'
    pq.write_table(table, place, compression=codec, use_dictionary=False, write_statistics=False)
    at = pq.ParquetFile(place).metadata.row_group(0).column(1).data_page_offset
    data = place.read_bytes()
    # The header of a page: 1 type, 2 bytes decompressed.
    assert data[at:at + 3] == b'\x15\x00\x15' and data[at + 3 + 4] < 128 <= data[at + 3 + 3], data[at:at + 8]
    for name, claimed in [('less', 5_000), ('more', 2_000_000_000)]:
        lie = data[:at + 3] + number(claimed, 5) + data[at + 8:]
        (folder / f'{name}-{codec}.parquet').write_bytes(lie)
"#;

#[test]
fn pages_that_take_more_than_the_limit_are_not_decompressed() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(python).args(["-c", BOMBS]).arg(folder.path()).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let mut files = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let bomb = entry.unwrap().path();
        let name = bomb.file_stem().unwrap().to_str().unwrap().to_string();
        let lake = Lake::standard();
        fs::copy(&bomb, lake.path("logs/bomb.parquet")).unwrap();
        let args = run_args(&["--memory-limit", "200MB", "--threads", "1"]);
        let says = if name.starts_with("less") {
            (3, "5000")
        } else {
            (1, " bytes in column `request_id`, needs a memory limit of")
        };
        let (outcome, peak) = peak_of(&lake, &args);
        outcome.fails(says.0, &["logs/bomb.parquet", says.1]);
        assert!(peak < 200_000_000, "{name}: {peak} bytes");
        lake.nothing_is_published();
        files += 1;
    }
    assert_eq!(files, 15);
}

/// 300 rows, of which one column has the same megabyte of text in each: in a dictionary, or a page for each.
const REPEATED: &str = r#"
import pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
folder, rows = pathlib.Path(sys.argv[1]), 300
for dictionary in [True, False]:
    for column in ['user_id', 'group_id', 'request_id', 'app_id', 'scope', 'status']:
        columns = {
            'event_time': pa.array([1561968000000000 + i for i in range(rows)], pa.timestamp('us', 'UTC')),
            'request_id': [f'r{i}' for i in range(rows)], 'app_id': ['app-1'] * rows, 'user_id': ['u'] * rows,
            'group_id': ['g'] * rows, 'scope': ['read_members'] * rows, 'status': ['200'] * rows,
            'bytes': pa.array([1] * rows, pa.int64()),
        }
        text = ('read_members ' if column == 'scope' else '') + 'x' * 1_000_000
        columns[column] = pa.array([text] * rows)
        folder.joinpath(column).mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / column / f'dictionary-{dictionary}.parquet',
            compression='zstd', use_dictionary=dictionary, dictionary_pagesize_limit=1 << 30, write_statistics=False,
            write_batch_size=1, data_page_size=1, store_schema=False)
"#;

#[test]
fn a_text_that_is_repeated_takes_memory_once() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(python).args(["-c", REPEATED]).arg(folder.path()).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    for column in ["user_id", "group_id", "request_id", "app_id", "scope", "status"] {
        for kind in ["dictionary-True", "dictionary-False"] {
            let lake = Lake::empty();
            let scope = "scopes = { path = \"scope\", encoding = \"space\" }";
            lake.edit("afterscope.toml", "scopes = \"scope\"", scope);
            let meant = "scopes_mean = \"exercised\"\n\n[source.columns]";
            lake.edit("afterscope.toml", "[source.columns]", meant);
            let file = folder.path().join(column).join(format!("{kind}.parquet"));
            fs::copy(file, lake.path("logs/repeated.parquet")).unwrap();
            let (outcome, peak) =
                peak_of(&lake, &run_args(&["--memory-limit", "200MB", "--threads", "1"]));
            assert!(peak < 200_000_000, "{column}, {kind}: {peak} bytes");
            if column == "group_id" {
                // The ledger keeps each row's.
                let says =
                    ["logs/repeated.parquet", "needs a memory limit of", "smaller row groups"];
                outcome.fails(1, &says);
                continue;
            }
            // A status of another text is a refusal.
            let allowed = if column == "status" { 0 } else { 300 };
            let totals = &outcome.succeeds().json()["totals"];
            assert_eq!(totals["requests_allowed"], allowed, "{column}, {kind}");
        }
    }
    let lake = Lake::empty();
    let file = folder.path().join("group_id/dictionary-True.parquet");
    fs::copy(file, lake.path("logs/repeated.parquet")).unwrap();
    let rows = lake.path("rows.csv");
    let args = ["inspect", "logs/repeated.parquet", "--rows", "all", "--memory-limit", "200MB"];
    let args = [&args[..], &["--output", rows.to_str().unwrap()]].concat();
    let (outcome, peak) = peak_of(&lake, &args);
    outcome.succeeds();
    assert!(peak < 200_000_000, "{peak} bytes");
    assert!(fs::metadata(rows).unwrap().len() > 300_000_000);
}

/// A list of scopes in which one row of 1,001 names a text of a megabyte a thousand times, the others once or
/// not at all.
const NAMED_OFTEN: &str = r#"
import sys
import pyarrow as pa, pyarrow.parquet as pq
rows = 1001
long = 'x' * 1_000_000
scopes = [['read_members']] * rows
scopes[500] = ['read_members'] + [long] * 1000
columns = {
    'event_time': pa.array([1561968000000000 + i for i in range(rows)], pa.timestamp('us', 'UTC')),
    'request_id': [f'r{i}' for i in range(rows)], 'app_id': ['app-1'] * rows, 'user_id': ['u'] * rows,
    'group_id': ['g'] * rows, 'scope': scopes, 'status': ['200'] * rows,
    'bytes': pa.array([1] * rows, pa.int64()),
}
# One row with the long text, and another with very many short ones.
apart = [['read_members']] * rows
apart[400], apart[500] = ['read_members', long], ['read_members'] + ['short'] * 5000
for kind, scopes in [('often', scopes), ('apart', apart)]:
    columns['scope'] = scopes
    for version in ['1.0', '2.0']:
        pq.write_table(pa.table(columns), f'{sys.argv[1]}/{kind}-{version}.parquet', compression='zstd',
            dictionary_pagesize_limit=1 << 30, write_statistics=False, data_page_version=version, data_page_size=400,
            write_batch_size=10, store_schema=False)
"#;

#[test]
fn a_row_that_names_a_long_text_very_often_is_refused() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let written =
        Command::new(python).args(["-c", NAMED_OFTEN]).arg(folder.path()).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    for file in ["often-1.0", "often-2.0", "apart-1.0", "apart-2.0"] {
        let lake = Lake::empty();
        let scope = "scopes = { path = \"scope\", encoding = \"list\" }";
        lake.edit("afterscope.toml", "scopes = \"scope\"", scope);
        let meant = "scopes_mean = \"exercised\"\n\n[source.columns]";
        lake.edit("afterscope.toml", "[source.columns]", meant);
        fs::copy(folder.path().join(format!("{file}.parquet")), lake.path("logs/lists.parquet"))
            .unwrap();
        let (outcome, peak) =
            peak_of(&lake, &run_args(&["--memory-limit", "200MB", "--threads", "1"]));
        assert!(peak < 200_000_000, "{file}: {peak} bytes");
        if file.starts_with("apart") {
            assert_eq!(outcome.succeeds().json()["totals"]["requests_allowed"], 1001, "{file}");
            continue;
        }
        // A thousand texts of 1,000,000 bytes, and `read_members`.
        let row = "row 500 of row group 0 (numbers from 0), with 1000000012 bytes in column `scope.list.element`,";
        let says = ["logs/lists.parquet", row, "as it is one row"];
        let outcome = outcome.fails(1, &says);
        lake.nothing_is_published();
        // The limit that is told would do.
        let (_, told) = outcome.stderr.split_once("needs a memory limit of ").unwrap();
        let limit = told.split_whitespace().next().unwrap();
        let args = ["--memory-limit", &format!("{limit}MB"), "--threads", "1"];
        let totals = &lake.run(&args).succeeds().json()["totals"];
        assert_eq!(totals["requests_allowed"], 1001, "{file}");
    }
}

/// A row group that has no room is refused before its bytes are fetched.
#[test]
fn a_row_group_without_room_is_not_even_fetched() {
    let Some(python) = python() else { return };
    let lake = Lake::empty();
    let write = "import os, pyarrow as pa, pyarrow.parquet as pq
n = 1_000_000
column = pa.Array.from_buffers(pa.int64(), n, [None, pa.py_buffer(os.urandom(8 * n))])
pq.write_table(pa.table({f'c{i}': column for i in range(25)}), 'wide.parquet', row_group_size=n,
    use_dictionary=False, compression='none')";
    let written = Command::new(python).args(["-c", write]).current_dir(lake.path("")).output();
    assert!(written.unwrap().status.success());
    let args = ["inspect", "wide.parquet", "--rows", "1", "--memory-limit", "150MB"];
    let (outcome, peak) = peak_of(&lake, &args);
    outcome.fails(1, &["wide.parquet: row group 0 (numbers from 0) needs a memory limit of", "MB"]);
    assert!(peak < 100_000_000, "{peak} bytes");
}

/// Runs, and tells the most memory that the process held, in bytes.
fn peak_of(lake: &Lake, args: &[&str]) -> (Outcome, u64) {
    let mut child = lake.command(args).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(1));
    }
    (Outcome::of(lake, child.wait_with_output().unwrap()), peak)
}

#[test]
fn encrypted_files_are_refused_as_encrypted() {
    let Some(corpora) = std::env::var_os("AFTERSCOPE_CORPORA") else {
        return skipped("AFTERSCOPE_CORPORA is not set: no encrypted files");
    };
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(&corpora).join("parquet/data")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if !name.ends_with(".parquet.encrypted") {
            continue;
        }
        let lake = Lake::standard();
        fs::copy(&path, lake.path("logs/secret.parquet")).unwrap();
        let says = ["logs/secret.parquet", "unsupported: the file is encrypted"];
        lake.refuses(&[], 3, &says);
        lake.afterscope(&["inspect", "logs/secret.parquet"]).fails(3, &says);
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

/// Bodies are where they are said to be, so that the tests above change what they mean to.
#[test]
fn pages_lie_where_their_index_says() {
    let Some(shapes) = shapes() else { return };
    for shape in &shapes {
        let pages = shape.pages();
        assert!(pages.len() > 20, "{}: {}", shape.name, pages.len());
        assert!(pages.iter().all(|page| page.end <= shape.footer()), "{}", shape.name);
    }
}
