//! Files with bytes changed at random: nothing stops, hangs or takes memory that it may not.
//!
//! The tests run themselves again in a process that cannot have more memory than the limit says: what
//! takes too much ends it, and the file that did it is left behind.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use afterscope::config::{At, raw};
use afterscope::inspect::{Inspected, RowFormat};
use afterscope::moment::Zone;
use afterscope::scan::Progress;
use afterscope::store::{Io, StoreUrl};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Runtime;

use super::shapes::{Shape, shapes, shapes_of_people};
use super::share;
use crate::lake::{Lake, assert_same};

/// `afterscope inspect --rows all`, in this process.
pub struct Reader {
    runtime: Runtime,
}

impl Reader {
    pub fn new() -> Self {
        Self { runtime: Runtime::new().unwrap() }
    }

    /// All rows as JSON; else what is said.
    pub fn rows(&self, path: &Path, memory_limit: u64) -> Result<Vec<u8>, String> {
        let io = Io::new(self.runtime.handle().clone());
        let address = path.display().to_string();
        let url = StoreUrl::parse(&address, Path::new("/"), &raw::Store::default()).unwrap();
        let progress = Progress::default();
        let read =
            || {
                Inspected::open(url, At::Latest, Zone::UTC, &io, &progress)?
                    .within(memory_limit)
                    .rows(None, RowFormat::Json, ("memory", Vec::new()), &progress, || false)
            };
        read().map(|(_, rows)| rows).map_err(|error| error.to_string())
    }
}

/// What is done to a file. Places are anywhere in a region, whatever the file's length.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Set(Index, u8),
    /// Numbers as the format has them: little-endian, or seven bits a byte.
    Number(Index, Vec<u8>),
    Cut(Index),
    Remove(Index, usize),
    Repeat(Index, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    Anywhere,
    Footer,
    /// The first bytes of a page.
    Header,
    Body,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let large = prop::sample::select(vec![
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0xfe, 0xff, 0xff, 0xff, 0x0f],
        vec![0x80, 0x80, 0x80, 0x80, 0x08],
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        vec![0xff, 0xff, 0xff, 0x7f],
        vec![0x00, 0x00, 0x00, 0x80],
        vec![0xff; 8],
        vec![0x00; 8],
    ]);
    prop_oneof![
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Mutation::Set(at, value)),
        2 => (any::<Index>(), large).prop_map(|(at, bytes)| Mutation::Number(at, bytes)),
        1 => any::<Index>().prop_map(Mutation::Cut),
        1 => (any::<Index>(), 1usize..40).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (any::<Index>(), 1usize..40).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn region() -> impl Strategy<Value = Region> {
    prop_oneof![
        2 => Just(Region::Anywhere),
        4 => Just(Region::Footer),
        4 => Just(Region::Header),
        2 => Just(Region::Body),
    ]
}

/// A place in a region of the file.
fn place(shape: &Shape, region: Region, at: Index) -> usize {
    let within = |range: std::ops::Range<usize>| range.start + at.index(range.len().max(1));
    match region {
        Region::Anywhere => at.index(shape.bytes.len()),
        Region::Footer => within(shape.footer()..shape.bytes.len()),
        Region::Header => {
            let pages = shape.pages();
            let page = &pages[at.index(pages.len())];
            page.start + at.index(page.len().min(40))
        }
        Region::Body => {
            let mut bodies = shape.bodies();
            bodies.retain(|body| !body.is_empty());
            within(bodies[at.index(bodies.len())].clone())
        }
    }
}

fn mutated(shape: &Shape, mutations: &[(Region, Mutation)]) -> Vec<u8> {
    let mut bytes = shape.bytes.clone();
    for (region, mutation) in mutations {
        let (Mutation::Flip(at, _)
        | Mutation::Set(at, _)
        | Mutation::Number(at, _)
        | Mutation::Cut(at)
        | Mutation::Remove(at, _)
        | Mutation::Repeat(at, _)) = mutation;
        let at = place(shape, *region, *at).min(bytes.len().saturating_sub(1));
        if bytes.is_empty() {
            break;
        }
        let end = |length: usize| (at + length).min(bytes.len());
        match mutation {
            Mutation::Flip(_, bit) => bytes[at] ^= 1 << bit,
            Mutation::Set(_, value) => bytes[at] = *value,
            Mutation::Number(_, number) => {
                let end = end(number.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            Mutation::Cut(_) => bytes.truncate(at),
            Mutation::Remove(_, length) => drop(bytes.drain(at..end(*length))),
            Mutation::Repeat(_, length) => {
                let again = bytes[at..end(*length)].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// Whether a checksum covers all that was changed, and nothing moved.
fn is_covered(shape: &Shape, mutations: &[(Region, Mutation)]) -> bool {
    let stays = |of: &(Region, Mutation)| {
        of.0 == Region::Body && matches!(of.1, Mutation::Flip(..) | Mutation::Set(..))
    };
    shape.has_checksums() && mutations.iter().all(stays)
}

const LIMIT: u64 = 200_000_000;

/// Beside the limit: the program, its threads' stacks, and what the allocator sets aside.
const CONFINED_TO: u64 = 1_600_000_000;

/// In a process of its own, which it gives `cases` files of what was mutated.
pub fn confined(test: &str, cases: u32, work: impl FnOnce(u32, u64)) {
    let seed = std::env::var("AFTERSCOPE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(20_191_106);
    if std::env::var_os("AFTERSCOPE_CONFINED").is_some() {
        return work(cases, seed);
    }
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v \"$1\"; shift; exec \"$@\"", "sh"])
        .arg((CONFINED_TO / 1024).to_string())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("AFTERSCOPE_CONFINED", "yes")
        // The library stops at some damage, each time with a page of text.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(1800) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}; see above, AFTERSCOPE_SEED={seed}");
}

pub fn runner(cases: u32, seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Reads mutated files whole.
fn read_mutated(cases: u32, seed: u64) {
    let Some(shapes) = shapes() else { return };
    let reader = Reader::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.parquet");
    let rows: Vec<Vec<u8>> = shapes
        .iter()
        .map(|shape| {
            fs::write(&path, &shape.bytes).unwrap();
            reader.rows(&path, LIMIT).unwrap()
        })
        .collect();
    let [refused, equal, others] = [const { Cell::new(0) }; 3];
    let strategy = (0..shapes.len(), prop::collection::vec((region(), mutation()), 1..4));
    let done = runner(cases, seed).run(&strategy, |(number, mutations)| {
        let shape = &shapes[number];
        fs::write(&path, mutated(shape, &mutations)).unwrap();
        let begun = Instant::now();
        let outcome = reader.rows(&path, LIMIT);
        prop_assert!(begun.elapsed() < Duration::from_secs(10), "{}: too slow", shape.name);
        match outcome {
            Err(why) => {
                prop_assert!(why.contains("hostile.parquet"), "{}: {}", shape.name, why);
                refused.set(refused.get() + 1);
            }
            Ok(seen) if seen == rows[number] => equal.set(equal.get() + 1),
            Ok(_) => {
                prop_assert!(!is_covered(shape, &mutations), "{}: not noticed", shape.name);
                others.set(others.get() + 1);
            }
        }
        Ok(())
    });
    if let Err(failure) = done {
        let left = folder.keep();
        panic!("{failure}\nin {}", left.display());
    }
    let [refused, equal, others] = [refused, equal, others].map(Cell::into_inner);
    eprintln!("{cases} files: {refused} refused, {equal} read as they were, {others} as others");
}

/// Runs over mutated log files.
fn run_mutated(cases: u32, seed: u64) {
    run_over(shapes, &Lake::standard(), "logs/hostile.parquet", cases, seed);
}

/// Runs over mutated tables of people.
fn run_mutated_people(cases: u32, seed: u64) {
    for table in ["memberships.parquet", "residency.parquet"] {
        run_over(shapes_of_people, &Lake::with_people(), table, cases / 2, seed);
    }
}

fn run_over(shapes: fn() -> Option<Vec<Shape>>, lake: &Lake, mutates: &str, cases: u32, seed: u64) {
    let Some(shapes) = shapes() else { return };
    let path = lake.path(mutates);
    let run = || {
        for folder in ["out", "state"] {
            let _ = fs::remove_dir_all(lake.path(folder));
        }
        lake.run(&["--memory-limit", "200MB", "--threads", "1", "--state", "state"])
    };
    let expected: Vec<_> = shapes
        .iter()
        .map(|shape| {
            fs::write(&path, &shape.bytes).unwrap();
            run().succeeds().published().bytes()
        })
        .collect();
    let strategy = (0..shapes.len(), prop::collection::vec((region(), mutation()), 1..3));
    let codes = RefCell::new(BTreeMap::new());
    let done = runner(cases, seed).run(&strategy, |(number, mutations)| {
        let shape = &shapes[number];
        fs::write(&path, mutated(shape, &mutations)).unwrap();
        let begun = Instant::now();
        let outcome = run();
        let name = &shape.name;
        prop_assert!(begun.elapsed() < Duration::from_secs(20), "{name}: too slow");
        *codes.borrow_mut().entry(outcome.code).or_insert(0) += 1;
        match outcome.code {
            0 if is_covered(shape, &mutations) => {
                assert_same(&expected[number], &outcome.published().bytes());
            }
            0 => {}
            // 1: a column is missing, has another type, or a row group is too large.
            1 | 3 => {
                prop_assert!(outcome.stderr.contains(mutates), "{name}: {outcome:#?}")
            }
            _ => prop_assert!(false, "{name}: {outcome:#?}"),
        }
        Ok(())
    });
    if let Err(failure) = done {
        panic!("{failure}");
    }
    eprintln!("{mutates}: {cases} files, by exit code: {:?}", codes.into_inner());
}

#[test]
fn mutated_files_are_read_as_they_were_or_refused() {
    let name = "trouble::hostile::mutated_files_are_read_as_they_were_or_refused";
    confined(name, 1500, read_mutated);
}

#[test]
#[ignore = "slow"]
fn many_mutated_files_are_read_as_they_were_or_refused() {
    let name = "trouble::hostile::many_mutated_files_are_read_as_they_were_or_refused";
    confined(name, 100_000 / share() as u32, read_mutated);
}

#[test]
fn runs_over_mutated_files_end_with_a_name() {
    let name = "trouble::hostile::runs_over_mutated_files_end_with_a_name";
    confined(name, 60, run_mutated);
}

#[test]
#[ignore = "slow"]
fn many_runs_over_mutated_files_end_with_a_name() {
    let name = "trouble::hostile::many_runs_over_mutated_files_end_with_a_name";
    confined(name, 2_000 / share() as u32, run_mutated);
}

#[test]
fn runs_over_mutated_tables_of_people_end_with_a_name() {
    let name = "trouble::hostile::runs_over_mutated_tables_of_people_end_with_a_name";
    confined(name, 60, run_mutated_people);
}

#[test]
#[ignore = "slow"]
fn many_runs_over_mutated_tables_of_people_end_with_a_name() {
    let name = "trouble::hostile::many_runs_over_mutated_tables_of_people_end_with_a_name";
    confined(name, 2_000 / share() as u32, run_mutated_people);
}
