//! Disks that are full at any moment: a run ends with the place, what it needed and what to do; the latest
//! report stays as it was, and with room the next run gives what an undisturbed one gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use afterscope::config::raw;
use afterscope::exposure::ExposureError;
use afterscope::sorter::{Record, SortError, Sorted, Sorter};
use afterscope::store::{Io, StoreErrorKind, StoreUrl};
use tokio::runtime::Runtime;

use super::share;
use crate::disk::Disk;
use crate::lake::{AS_OF, Lake, Outcome, assert_same, bytes_below, call, run_args};

/// Everything that a run writes, on one disk.
const ON_DISK: [&str; 6] =
    ["--output", "disk/out", "--state", "disk/state", "--set", "run.temp_dir=disk/tmp"];

/// All files below, but for the ballast.
fn contents(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let names = lake.files().into_keys().filter(|name| name.starts_with("disk/"));
    let names = names.filter(|name| name != "disk/ballast");
    names.map(|name| (name.clone(), fs::read(lake.path(&name)).unwrap())).collect()
}

fn below<'a>(files: &'a BTreeMap<String, Vec<u8>>, folder: &str) -> Vec<(&'a String, &'a Vec<u8>)> {
    files.iter().filter(|(name, _)| name.starts_with(folder)).collect()
}

/// Where the message says that there was no room.
fn stage(outcome: &Outcome) -> &'static str {
    let stages = [
        ("report.xlsx", "workbook"),
        ("disk/tmp", "temporary"),
        ("disk/state", "ledger"),
        (".latest.next", "latest"),
        ("latest.lock", "latest"),
        ("manifest.json", "manifest"),
        ("disk/out/runs", "tables"),
        ("disk/out", "output"),
    ];
    let found = stages.into_iter().find(|(says, _)| outcome.stderr.contains(says));
    found.unwrap_or_else(|| panic!("{outcome:#?}")).1
}

/// Runs with more and more room, `step` bytes at a time, until a run succeeds; gives the stages that were
/// short of it.
fn with_ever_more_room(
    lake: &Lake,
    args: &[&str],
    step: u64,
) -> Option<BTreeMap<&'static str, u32>> {
    let expected = lake.publishes(&[args, &["--output", "roomy"]].concat()).bytes();
    let disk = Disk::mount(lake.path("disk"), "size=256m")?;
    fs::create_dir(lake.path("disk/tmp")).unwrap();
    let args = [args, &ON_DISK[..]].concat();
    // The latest report, which stays until there is another.
    lake.publishes(&[&args[..], &["--as-of", "2019-07-20"]].concat());
    fs::remove_dir_all(lake.path("disk/state")).unwrap();
    let before = contents(lake);
    let mut stages = BTreeMap::new();
    for turn in 0.. {
        disk.leave(turn * step);
        let outcome = lake.run(&args);
        let after = contents(lake);
        if outcome.code == 0 {
            assert_same(&expected, &outcome.published().bytes());
            let mut tables = expected;
            tables.retain(|name, _| name.ends_with(".parquet"));
            assert_same(&tables, &bytes_below(&lake.path("disk/out/latest")));
            break;
        }
        let outcome = outcome.fails(4, &["No space left", "space"]);
        let stage = stage(&outcome);
        assert!(outcome.stderr.contains("bytes") || stage == "temporary", "{outcome:#?}");
        for kept in ["disk/out/latest", "disk/out/latest.json", "disk/tmp"] {
            assert_eq!(below(&before, kept), below(&after, kept), "{kept}: {outcome:#?}");
        }
        let half = |name: &&String| name.contains('#') || name.contains(".latest.next");
        assert_eq!(after.keys().find(half), None, "{outcome:#?}");
        *stages.entry(stage).or_insert(0) += 1;
        // From the start, so that each turn meets the first place that is too small for it.
        for folder in ["disk/state", "disk/out"] {
            fs::remove_dir_all(lake.path(folder)).unwrap_or_default();
        }
        for (name, bytes) in &before {
            fs::create_dir_all(lake.path(name).parent().unwrap()).unwrap();
            fs::write(lake.path(name), bytes).unwrap();
        }
    }
    eprintln!("{stages:?}");
    Some(stages)
}

#[test]
fn a_disk_that_is_full_at_any_stage_leaves_the_latest_report_as_it_was() {
    let lake = Lake::with_people();
    let Some(stages) = with_ever_more_room(&lake, &[], 32 << 10) else { return };
    for stage in ["ledger", "workbook", "tables", "latest"] {
        assert!(stages.contains_key(stage), "{stage}: {stages:?}");
    }
}

#[test]
#[ignore = "slow"]
fn a_disk_that_is_full_by_any_page_leaves_the_latest_report_as_it_was() {
    let lake = Lake::with_people();
    let Some(stages) = with_ever_more_room(&lake, &[], 4096 * share() as u64) else { return };
    assert!(share() > 1 || stages.contains_key("manifest"), "{stages:?}");
}

/// Ids of people must not stay behind in a list that was not finished.
#[test]
fn a_list_of_people_on_a_full_disk_leaves_nothing_behind() {
    let lake = Lake::with_people();
    let Some(disk) = Disk::mount(lake.path("disk"), "size=16m") else { return };
    let list = [
        "notification-list",
        "--config",
        "afterscope.toml",
        "--as-of",
        AS_OF,
        "--out",
        "disk/list",
    ];
    let names = || -> Vec<String> {
        let inside = lake.files().into_keys().filter(|name| name.starts_with("disk/list/"));
        inside.filter(|name| !name.ends_with("afterscope-notification-list.json")).collect()
    };
    let mut ended = 0;
    for pages in 0.. {
        disk.leave(pages * 4096);
        let outcome = lake.afterscope(&list);
        if outcome.code == 0 {
            assert_eq!(names().len(), 3);
            break;
        }
        outcome.fails(4, &["No space left"]);
        assert_eq!(names(), Vec::<String>::new(), "{pages} pages");
        ended += 1;
    }
    assert!(ended > 2, "{ended}");
}

/// A large object on a disk that has room for a part of it, or for all but its end.
#[test]
fn a_large_object_without_room_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("disk"), "size=32m") else { return };
    let runtime = Runtime::new().unwrap();
    let io = Io::new(runtime.handle().clone());
    fs::create_dir(folder.path().join("disk/out")).unwrap();
    let address = folder.path().join("disk/out").display().to_string();
    let url = StoreUrl::parse(&address, Path::new("/"), &raw::Store::default()).unwrap();
    let store = url.open(&io).unwrap();
    let bytes = vec![7; 18 << 20];
    let mut ended = 0;
    for room in [1, 9, 17, 20] {
        disk.leave(room << 20);
        let mut upload = store.replace_in_parts("large");
        let written = bytes.chunks(1 << 20).try_for_each(|part| upload.write(part.to_vec().into()));
        let outcome = match written {
            Ok(()) => upload.finish(),
            Err(error) => {
                drop(upload);
                Err(error)
            }
        };
        let left: Vec<_> = fs::read_dir(folder.path().join("disk/out")).unwrap().collect();
        match outcome {
            Ok(size) => {
                assert_eq!((room, size), (20, (18 << 20, true)));
                assert!(store.read("large").unwrap().unwrap().0 == bytes);
            }
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
                assert!(error.to_string().contains("bytes were to be written"), "{error}");
                assert_eq!(left.len(), 0, "{left:?}");
                ended += 1;
            }
        }
    }
    assert_eq!(ended, 3);
}

/// A record of sixteen bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair(u64, u64);

impl Record for Pair {
    fn prefix(&self) -> u64 {
        self.0
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&self.1.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (a, b) = bytes.split_first_chunk::<8>()?;
        Some(Self(u64::from_be_bytes(*a), u64::from_be_bytes(*b.first_chunk()?)))
    }
}

/// Sorts 40,000 records in a folder, with memory for 10,000: three files of 170,000 bytes.
fn sort(folder: &Path) -> Result<Vec<Pair>, SortError> {
    let mut sorter = Sorter::new(folder.into(), 160_000, 2);
    for i in 0..40_000u64 {
        sorter.push(Pair(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i))?;
    }
    let mut sorted = Sorted::new(2);
    sorter.finish(&mut sorted);
    let mut all = Vec::new();
    for partition in 0..sorted.partitions {
        let mut records = sorted.partition(partition)?;
        while let Some(record) = records.next_record()? {
            all.push(record);
        }
    }
    Ok(all)
}

#[test]
fn a_full_disk_while_records_are_sorted_is_named_with_what_is_needed() {
    let roomy = tempfile::tempdir().unwrap();
    let mut expected: Vec<Pair> =
        (0..40_000u64).map(|i| Pair(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i)).collect();
    expected.sort();
    assert!(sort(roomy.path()).unwrap() == expected);
    let Some(disk) = Disk::mount(roomy.path().join("disk"), "size=4m") else { return };
    let folder = roomy.path().join("disk/tmp");
    fs::create_dir(&folder).unwrap();
    let mut ended = 0;
    for room in (0..=640).step_by(64) {
        disk.leave(room << 10);
        match sort(&folder) {
            Ok(found) => assert!(found == expected, "with {room} KiB"),
            Err(error) => {
                let text = error.to_string();
                // 10,000 records of 16 bytes, each with its length in one.
                for says in ["disk/tmp", "170000 bytes", "No space left", "run.temp_dir"] {
                    assert!(text.contains(says), "{text}");
                }
                assert_eq!(
                    afterscope::error::Error::from(ExposureError::from(error)).exit_code() as u8,
                    4
                );
                ended += 1;
            }
        }
        assert!(fs::read_dir(&folder).unwrap().next().is_none());
    }
    // Three files of 170,000 bytes fit into 512 KiB.
    assert_eq!(ended, 8);
}

#[test]
fn a_full_standard_output_is_no_success() {
    let lake = Lake::standard();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = lake.command(&run_args(&[]));
    let outcome = Outcome::of(&lake, command.stdout(Stdio::from(full)).output().unwrap());
    outcome.fails(4, &["standard output", "No space left"]);
    lake.publishes(&[]);
}

#[test]
fn rows_for_which_there_is_no_room_are_none() {
    let lake = Lake::standard();
    let calls: Vec<_> = (0..20_000).map(|n| call("2019-07-01T08:00:00Z", "app-1", n)).collect();
    lake.log("logs/more.parquet", &calls);
    let Some(disk) = Disk::mount(lake.path("disk"), "size=16m") else { return };
    for format in ["csv", "json", "parquet"] {
        let output = format!("disk/rows.{format}");
        let args = ["inspect", "logs", "--rows", "all", "--quiet", "--output", &output];
        disk.leave(64 << 10);
        lake.afterscope(&args).fails(4, &[&output, "No space left", "65536 bytes", "--output"]);
        assert_eq!(contents(&lake), BTreeMap::new());
        disk.leave(0);
        lake.afterscope(&args).fails(4, &[&output, "No space left", "free some space"]);
        assert_eq!(contents(&lake), BTreeMap::new());
        disk.leave(12 << 20);
        lake.afterscope(&args).succeeds();
        fs::remove_file(lake.path(&output)).unwrap();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = lake.command(&["inspect", "logs", "--rows", "all", "--format", "csv"]);
        let outcome = Outcome::of(&lake, command.stdout(Stdio::from(full)).output().unwrap());
        outcome.fails(4, &["standard output", "No space left"]);
    }
}
