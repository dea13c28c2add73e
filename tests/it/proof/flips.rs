//! Bits of published files, flipped in turn: `verify` notices every one.
//!
//! The run is the standard lake's, signed, and `verify` is asked about the whole output, so that every
//! published file is among them: tables, manifest, signature, `latest.json`, `latest/` and the mark of
//! the folder. The ledger below `state/` and the lock file are not published. It is called in this
//! process, on a store in memory: a process for each bit would take days.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use afterscope::store::{Io, Store};
use afterscope::verify::{Demands, Place, check};
use object_store::memory::InMemory;

use super::signature::write_keys;
use crate::lake::Lake;
use crate::trouble::share;

type Files = BTreeMap<String, Vec<u8>>;

/// A signed run's output.
fn published() -> Files {
    let lake = Lake::standard();
    write_keys(&lake);
    lake.publishes(&["--as-of", "2019-08-01"]);
    lake.publishes(&["--sign-key", "key.pem"]);
    let below_out = lake.files().into_keys().filter_map(|path| {
        let below = path.strip_prefix("out/")?.to_string();
        (!below.starts_with("state/") && below != ".latest.lock").then_some(below)
    });
    let files: Files = below_out
        .map(|path| (path.clone(), fs::read(lake.path("out").join(&path)).unwrap()))
        .collect();
    assert!(files.keys().any(|path| path.ends_with("manifest.json.sig")));
    assert!(files.contains_key("latest.json") && files.contains_key("latest/coverage.parquet"));
    files
}

/// An output in memory, and `verify` on it.
struct Output {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Output {
    fn of(files: &Files) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let io = Io::new(runtime.handle().clone());
        let output = Self { store: Store::of(Arc::new(InMemory::new()), "memory:", &io), runtime };
        files.iter().for_each(|(path, bytes)| output.write(path, bytes.clone()));
        output
    }

    fn write(&self, path: &str, bytes: Vec<u8>) {
        let _inside = self.runtime.enter();
        self.store.replace(path, bytes.into()).unwrap();
    }

    /// What is wrong with it; `None` where nothing is.
    fn complaint(&self) -> Option<String> {
        let found = Place::latest_of(self.store.clone())
            .and_then(|place| check(&place, &Demands::default(), &mut |_| ()));
        match found {
            Err(error) => Some(error.to_string()),
            Ok((report, _)) => report.differences.first().cloned(),
        }
    }
}

/// Bits of files that `verify` must notice, shared among threads; gives how many there were.
fn all_are_noticed(files: &Files, bits: impl Fn(&str, usize) -> Vec<usize> + Sync) -> usize {
    let tasks: Vec<(&String, usize, usize)> = files
        .iter()
        // The run before is only looked for: a changed one is a warning.
        .filter(|(path, _)| !path.starts_with("runs/20190801"))
        .flat_map(|(path, bytes)| {
            let bits = &bits;
            (0..bytes.len())
                .flat_map(move |at| bits(path, at).into_iter().map(move |bit| (path, at, bit)))
        })
        .collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for part in 0..threads {
            let tasks = &tasks;
            scope.spawn(move || {
                let output = Output::of(files);
                assert_eq!(output.complaint(), None);
                for (path, at, bit) in tasks.iter().skip(part).step_by(threads) {
                    let mut flipped = files[*path].clone();
                    flipped[*at] ^= 1 << bit;
                    output.write(path, flipped);
                    assert!(output.complaint().is_some(), "bit {bit} of byte {at} of {path}");
                    output.write(path, files[*path].clone());
                }
                assert_eq!(output.complaint(), None);
            });
        }
    });
    tasks.len()
}

/// Every bit of the small files (pointer, mark, signature), and of every seventeenth byte of the others
/// one bit, another one each time.
#[test]
fn a_sample_of_all_bits_is_noticed() {
    let files = published();
    let small = |path: &str| {
        path == "latest.json" || path == "afterscope-output.json" || path.ends_with(".sig")
    };
    let flipped = all_are_noticed(&files, |path, at| match at {
        _ if small(path) => (0..8).collect(),
        at if at % 17 == 0 => vec![at / 17 % 8],
        _ => Vec::new(),
    });
    assert!(flipped > 8000, "{flipped}");
}

/// Literally every bit of every published file, about a million: half an hour.
#[test]
#[ignore = "slow"]
fn every_bit_is_noticed() {
    let files = published();
    let share = share();
    // Where not all are flipped, each of a byte's eight has its turn: no share is a multiple of this prime.
    let flipped = all_are_noticed(&files, |_, at| {
        (0..8).filter(|bit| (at * 7919 + bit).is_multiple_of(share)).collect()
    });
    let bytes: usize =
        files.iter().filter(|f| !f.0.starts_with("runs/20190801")).map(|f| f.1.len()).sum();
    assert!(flipped.abs_diff(bytes * 8 / share) <= 8 * files.len(), "{flipped}");
    assert!(share > 1 || flipped == bytes * 8, "{flipped}");
}

#[test]
fn every_file_that_goes_and_any_that_comes_is_noticed() {
    let files = published();
    let mut seen = 0;
    for path in files.keys().filter(|path| !path.starts_with("runs/20190801")) {
        let mut fewer = files.clone();
        fewer.remove(path);
        // Whether a run is signed is for the reader to demand.
        let unsigned = path.ends_with(".sig");
        assert_eq!(Output::of(&fewer).complaint().is_none(), unsigned, "{path}");
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
    let run = files.keys().find(|path| path.ends_with(".sig")).unwrap();
    let run = run.trim_end_matches("manifest.json.sig");
    for path in [format!("{run}notes.txt"), format!("{run}tables/x/y.csv"), "latest/z.csv".into()] {
        let mut more = files.clone();
        more.insert(path.clone(), Vec::new());
        assert!(Output::of(&more).complaint().is_some_and(|c| c.contains(&path)), "{path}");
    }
}
