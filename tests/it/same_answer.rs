//! The sample as plain files, as a Delta table and as an Iceberg table, on disk and in S3: one answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;

use crate::lake::{Lake, Outcome, assert_same, skipped};
use crate::published::{Published, Table};
use crate::seaweed::{KEY, SECRET, Seaweed};
use crate::storage::Moto;

const AS_OF: &str = "2019-11-06T00:00:00Z";

/// The committed samples, plain files first.
const FORMATS: [(&str, &str); 3] = [
    ("parquet", "groups-2019"),
    ("delta", "groups-2019-delta"),
    ("iceberg", "groups-2019-iceberg"),
];

fn committed(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data-samples").join(folder)
}

/// Every file below a folder, by its path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_string();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The command of a run over a committed sample.
fn command(lake: &Lake, folder: &str, output: &str, more: &[&str]) -> Command {
    let config = committed(folder).join("afterscope.toml").display().to_string();
    let args = ["run", "--config", &config, "--as-of", AS_OF, "--output", output];
    lake.command(&[args.as_slice(), more].concat())
}

fn published(lake: &Lake, command: &mut Command) -> Published {
    Outcome::of(lake, command.output().unwrap()).succeeds().published()
}

/// All tables but `coverage`, which says how many files were read and how many rows were deleted.
fn answer(published: &Published) -> BTreeMap<String, Vec<u8>> {
    let mut tables = published.bytes();
    tables.retain(|name, _| !name.starts_with("coverage"));
    assert!(tables.len() > 20, "{:?}", tables.keys());
    tables
}

/// What `coverage` says of the rows that are there, and of the days, line by line.
fn considered(coverage: &Table) -> Vec<Vec<String>> {
    let same = [
        "grain",
        "source",
        "file_day",
        "rows_outside",
        "rows_rejected",
        "rows_deduplicated",
        "rows_after_as_of",
        "rows_denied",
        "rows_unknown",
        "rows_held_only",
        "rows_counted",
        "event_id_conflicts",
        "periods_expected",
        "periods_covered",
        "coverage_pct",
        "verdict",
    ];
    let columns: Vec<Vec<&str>> = same.iter().map(|name| coverage.column(name)).collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let all = coverage.column("rows_in_metadata").into_iter().map(number);
    let deleted = coverage.column("rows_deleted").into_iter().map(number);
    let live: Vec<u64> = all.zip(deleted).map(|(all, deleted)| all - deleted).collect();
    let line = |row: usize| {
        let texts = columns.iter().map(|column| column[row].to_string());
        texts.chain([live[row].to_string()]).collect()
    };
    (0..live.len()).map(line).collect()
}

fn assert_same_answer(expected: &Published, found: &Published, which: &str) {
    assert_same(&answer(expected), &answer(found));
    let (expected, found) = (expected.table("coverage"), found.table("coverage"));
    assert_eq!(considered(&expected), considered(&found), "{which}");
}

#[test]
fn the_committed_tables_are_what_the_program_makes() {
    for (format, folder) in &FORMATS[1..] {
        let lake = Lake::empty();
        let args = ["sample", "groups-2019", "made", "--rows", "20000", "--format", format];
        let registry = ["--registry", "../groups-2019"];
        lake.afterscope(&[args.as_slice(), &registry].concat()).succeeds();
        let (made, kept) = (lake.path("made"), committed(folder));
        assert_same(&tree(&kept.join("logs")), &tree(&made.join("logs")));
        let config = |folder: &Path| fs::read_to_string(folder.join("afterscope.toml")).unwrap();
        assert_eq!(config(&kept), config(&made));
    }
}

#[test]
fn a_sample_that_stands_alone_has_its_registry_and_gives_the_same_answer() {
    let lake = Lake::empty();
    let plain = published(&lake, &mut command(&lake, FORMATS[0].1, "plain", &[]));
    for format in ["delta", "iceberg"] {
        let args = ["sample", "groups-2019", format, "--rows", "20000", "--format", format];
        lake.afterscope(&args).succeeds();
        let config = format!("{format}/afterscope.toml");
        let args = ["run", "--config", &config, "--as-of", AS_OF];
        let found = lake.afterscope(&args).succeeds().published();
        assert_same_answer(&plain, &found, format);
    }
}

#[test]
fn plain_files_and_tables_give_the_same_answer_from_disk() {
    let lake = Lake::empty();
    let plain = published(&lake, &mut command(&lake, FORMATS[0].1, "plain", &[]));
    for (format, folder) in &FORMATS[1..] {
        for more in [&[][..], &["--no-pruning"]] {
            let out = format!("{format}-{}", more.len());
            let found = published(&lake, &mut command(&lake, folder, &out, more));
            assert_same_answer(&plain, &found, format);
            // Days by number: 5, 45, … 525 three strangers each; 15, 55, … 535 a call that was corrected,
            // which the collector may have delivered twice.
            let coverage = found.table("coverage");
            let of = |day: &str| {
                let key = [("grain", "source_day"), ("file_day", day)];
                coverage.row(&key, &["rows_deleted"])[0].to_string()
            };
            assert_eq!(of("2018-05-11"), "3", "{format}");
            assert_eq!(of("2018-05-21"), "1", "{format}");
            assert_eq!(of("2018-05-12"), "0", "{format}");
            let all = coverage.row(&[("grain", "all")], &["rows_deleted"])[0].to_string();
            assert_eq!(all, "56", "{format}: 14 days of three rows and 14 of one");
        }
    }
}

#[test]
fn what_tables_took_out_would_change_the_answer() {
    let lake = Lake::empty();
    let plain = published(&lake, &mut command(&lake, FORMATS[0].1, "plain", &[]));
    let all = |published: &Published| {
        let table = published.table("scope_summary");
        let names = ["requests_allowed", "subjects_observed"];
        table.row(&[("grain", "all")], &names).join(" ")
    };
    // The Delta table after its files were written and before anything was deleted.
    for version in ["1", "2", "4", "5"] {
        let set = format!("source.0.version={version}");
        let more = ["--set", &set, "--allow-incomplete"];
        let found = published(&lake, &mut command(&lake, FORMATS[1].1, version, &more));
        assert_ne!(all(&found), all(&plain), "version {version}");
    }
}

/// Copies the logs of all committed samples to `s3://lake/FORMAT/`.
fn upload(store: &AmazonS3) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (format, folder) in FORMATS {
        let files = tree(&committed(folder).join("logs")).into_iter();
        let puts = files.map(|(name, bytes)| {
            let key = Key::parse(format!("{format}/{name}")).unwrap();
            async move { store.put(&key, bytes.into()).await.map(drop) }
        });
        let puts = futures::stream::iter(puts).buffer_unordered(8).try_collect::<Vec<()>>();
        runtime.block_on(puts).unwrap();
    }
}

fn assert_same_from_s3(endpoint: &str, (key, secret): (&str, &str)) {
    let lake = Lake::empty();
    let plain = published(&lake, &mut command(&lake, FORMATS[0].1, "plain", &[]));
    for (format, folder) in FORMATS {
        let url = format!("source.0.url=s3://lake/{format}/");
        let endpoint = format!("source.0.store.endpoint={endpoint}");
        let more = ["--set", &url, "--set", &endpoint];
        let mut command = command(&lake, folder, format, &more);
        command
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", "us-east-1");
        assert_same_answer(&plain, &published(&lake, &mut command), format);
    }
}

#[test]
fn plain_files_and_tables_give_the_same_answer_from_s3() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    upload(&moto.store("lake"));
    assert_same_from_s3(&moto.endpoint(), ("tester", "secret-of-the-test"));
}

#[test]
#[ignore = "slow"]
fn plain_files_and_tables_give_the_same_answer_from_seaweedfs() {
    let Some(seaweed) = Seaweed::installed() else { return };
    upload(&seaweed.make_bucket("lake"));
    assert_same_from_s3(&seaweed.endpoint(), (KEY, SECRET));
}

#[test]
#[ignore = "wants ClickHouse's library"]
fn other_programs_read_the_same_rows_in_the_committed_tables() {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        return skipped("AFTERSCOPE_PYTHON is not set: no other programs to compare with");
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/rows.py");
    let output = Command::new(python).arg(script).arg(committed("")).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().count(), 3, "{told}");
}
