//! A service that fails at any request: a run gives what an undisturbed one gives, or ends with a message
//! that names the object and the cause; nothing is half published, and the next run goes on from there.

use std::any::Any;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::share;
use crate::lake::{AS_OF, Lake, Outcome, run_args};
use crate::seaweed::{self, Seaweed};
use crate::storage::Moto;
use crate::stores::servers::FaultProxy;

pub type Files = BTreeMap<String, Vec<u8>>;

/// A run before the usual one, of the same inputs.
pub const EARLIER: &str = "2019-08-15T00:00:00Z";

/// Tables of undisturbed runs, by how the names of these begin.
pub type Expected = BTreeMap<&'static str, Files>;

pub fn expected(lake: &Lake) -> Expected {
    let output = ["--output", "undisturbed"];
    let earlier = lake.publishes(&[&output[..], &["--as-of", EARLIER]].concat()).bytes();
    [("20190901T", lake.publishes(&output).bytes()), ("20190815T", earlier)].into()
}

/// Whatever stands among these files is whole: a run with a manifest has its tables, and what `latest.json`
/// names has a manifest.
pub fn whole(files: &Files, expected: &Expected) -> Result<(), String> {
    let runs = files.keys().filter_map(|name| name.strip_suffix("/manifest.json"));
    let mut whole = Vec::new();
    for run in runs {
        let tables = format!("{run}/tables/");
        let tables = files.iter().filter_map(|(name, bytes)| {
            Some((name.strip_prefix(&tables)?.to_string(), bytes.clone()))
        });
        let id = run.rsplit_once('/').unwrap().1;
        let of = expected.iter().find(|(begin, _)| id.starts_with(**begin)).unwrap().1;
        // What a killed run left half written has a name that is no table's.
        same(of, &tables.filter(|(name, _)| !name.contains('#')).collect())?;
        whole.push(id);
    }
    let Some(pointer) = files.get("out/latest.json") else { return Ok(()) };
    let pointer: Value =
        serde_json::from_slice(pointer).map_err(|e| format!("latest.json: {e}"))?;
    let run = pointer["run_id"].as_str().unwrap_or_default();
    if whole.contains(&run) { Ok(()) } else { Err(format!("latest.json names {run}")) }
}

/// What is done to one request: the proxy's rule, without where.
fn faults() -> [(&'static str, Value); 6] {
    [
        ("503", json!({ "action": "status", "status": 503, "retry_after": 0 })),
        ("reset", json!({ "action": "reset" })),
        ("truncated", json!({ "action": "truncate" })),
        ("corrupted", json!({ "action": "corrupt" })),
        ("delay", json!({ "action": "delayed", "delay": 0.2 })),
        ("lost", json!({ "action": "lost" })),
    ]
}

/// A service with a lake in it, and the proxy before it.
pub struct Troubled {
    pub lake: Lake,
    pub proxy: FaultProxy,
    store: AmazonS3,
    credentials: (&'static str, &'static str),
    runtime: Runtime,
    expected: Expected,
    _service: Box<dyn Any>,
}

impl Troubled {
    pub fn by_moto() -> Option<Self> {
        let moto = Moto::start(&["lake"])?;
        let (port, store) = (moto.port(), moto.store("lake"));
        Self::new(port, store, ("tester", "any-secret"), Box::new(moto))
    }

    pub fn by_seaweedfs() -> Option<Self> {
        let seaweed = Seaweed::installed()?;
        let (port, store) = (seaweed.port(), seaweed.make_bucket("lake"));
        Self::new(port, store, (seaweed::KEY, seaweed::SECRET), Box::new(seaweed))
    }

    fn new(
        port: u16,
        store: AmazonS3,
        credentials: (&'static str, &'static str),
        service: Box<dyn Any>,
    ) -> Option<Self> {
        let proxy = FaultProxy::before(port)?;
        let lake = Lake::standard();
        // Fewer requests.
        lake.edit("afterscope.toml", "[report]\n", "[report]\nhtml = false\nxlsx = false\n");
        let expected = expected(&lake);
        let runtime = Runtime::new().unwrap();
        for name in lake.files().into_keys().filter(|name| name.starts_with("logs/")) {
            let bytes = std::fs::read(lake.path(&name)).unwrap();
            runtime.block_on(store.put(&Path::parse(name).unwrap(), bytes.into())).unwrap();
        }
        Some(Self { lake, proxy, store, credentials, runtime, expected, _service: service })
    }

    /// Writes the file anew with a column of a million bytes that nobody asks for: it is read in parts.
    pub fn enlarge(&mut self, name: &str) {
        let file = std::fs::File::open(self.lake.path(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        // Digits without an order, so that they do not compress to nothing.
        let digit = |i: u64| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let note: String = (1..100_000).map(digit).collect();
        let notes = (0..batch.num_rows()).map(|_| note.as_str());
        let schema = batch.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let mut columns: Vec<(&str, ArrayRef)> =
            names.zip(batch.columns().iter().cloned()).collect();
        columns.push(("note", Arc::new(StringArray::from_iter_values(notes))));
        let path = self.lake.columns(name, columns);
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.len() > 512 << 10, "{}", bytes.len());
        self.put(name, bytes);
        self.expected = expected(&self.lake);
    }

    /// A run from and to the service, into a place of its own.
    pub fn run(&self, place: &str) -> Outcome {
        Outcome::of(&self.lake, self.command(place).output().unwrap())
    }

    pub fn command(&self, place: &str) -> Command {
        self.command_as_of(place, AS_OF)
    }

    pub fn command_as_of(&self, place: &str, as_of: &str) -> Command {
        let [output, state] = ["out", "state"].map(|of| format!("s3://lake/{place}/{of}"));
        let source = ["--set", "source.0.url=s3://lake/logs/", "--output", &output];
        let more = ["--state", &state, "--threads", "1", "--as-of", as_of];
        // Counts are read and written, too.
        let keep = ["--keep-counts-from", "0"];
        let mut command = self.lake.command(&run_args(&[&source[..], &more, &keep].concat()));
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.proxy.port()))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", self.credentials.0)
            .env("AWS_SECRET_ACCESS_KEY", self.credentials.1);
        command
    }

    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        let path = Path::parse(key).unwrap();
        self.runtime.block_on(self.store.put(&path, bytes.into())).unwrap();
    }

    pub fn delete(&self, key: &str) {
        self.runtime.block_on(self.store.delete(&Path::parse(key).unwrap())).unwrap();
    }

    /// All objects below a place, by their names below it; past the proxy.
    fn objects(&self, place: &str) -> Files {
        let prefix = Path::parse(place).unwrap();
        self.runtime.block_on(async {
            let listed: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.unwrap();
            let mut found = BTreeMap::new();
            for object in listed {
                let name = object.location.as_ref()[place.len() + 1..].to_string();
                let bytes = self.store.get(&object.location).await.unwrap().bytes().await.unwrap();
                found.insert(name, bytes.to_vec());
            }
            found
        })
    }

    /// Whatever stands there is whole.
    pub fn is_whole(&self, place: &str) -> Result<(), String> {
        whole(&self.objects(place), &self.expected)
    }

    /// What a run that ended well has left.
    pub fn is_done(&self, place: &str, outcome: &Outcome) -> Result<(), String> {
        let id = outcome.json()["run_id"].as_str().unwrap().to_string();
        let expected = &self.expected["20190901T"];
        same(expected, &self.objects(&format!("{place}/out/runs/{id}/tables")))?;
        let mut parquet = expected.clone();
        parquet.retain(|name, _| name.ends_with(".parquet"));
        same(&parquet, &self.objects(&format!("{place}/out/latest")))
    }

    /// One run under these rules, and a clean one after it.
    fn survives(&self, place: &str, rules: &Value) -> Result<Ending, String> {
        self.proxy.rules(rules);
        let outcome = self.run(place);
        let actions = self.proxy.actions();
        self.proxy.rules(&json!([]));
        self.is_whole(place)?;
        let ending = match outcome.code {
            0 => {
                self.is_done(place, &outcome)?;
                if actions.is_empty() { Ending::NotMet } else { Ending::Undisturbed }
            }
            3 | 4 if outcome.stderr.contains("s3://lake/") && outcome.stdout.is_empty() => {
                Ending::Named
            }
            _ => return Err(format!("{outcome:#?}")),
        };
        // After an undisturbed one there is nothing left to do; what it kept may have been altered on its way.
        if ending != Ending::Named && !actions.iter().any(|action| action == "corrupt") {
            return Ok(ending);
        }
        let clean = self.run(place);
        if clean.code != 0 {
            return Err(format!("the clean run after it: {clean:#?}"));
        }
        self.is_done(place, &clean)?;
        Ok(ending)
    }

    /// All of some cases: rules by a name that can stand in a key.
    fn survives_all(&self, cases: Vec<(String, Value)>) {
        let (mut endings, mut failures) = (BTreeMap::new(), Vec::new());
        for (name, rules) in cases {
            match self.survives(&name, &rules) {
                Ok(ending) => *endings.entry(ending).or_insert(0) += 1,
                Err(what) => failures.push(format!("{name}, by {rules}: {what}")),
            }
        }
        eprintln!("{endings:?}, {} failed", failures.len());
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    /// Each fault at every `step`-th request of a run.
    fn at_each(&self, step: usize) -> Vec<(String, Value)> {
        self.proxy.rules(&json!([]));
        self.run("undisturbed").succeeds();
        let requests = self.proxy.log().len();
        eprintln!("{requests} requests");
        assert!(requests > 40, "{requests}");
        let each = (0..requests).step_by(step).flat_map(|at| {
            faults().map(|(name, mut rule)| {
                rule["skip"] = at.into();
                rule["times"] = 1.into();
                (format!("{name}-{at}"), json!([rule]))
            })
        });
        each.collect()
    }
}

/// One to four faults at random for each of `runs`.
pub fn at_random(runs: u64, seed: u64) -> Vec<(String, Value)> {
    eprintln!("AFTERSCOPE_SEED={seed}");
    let mut dice = seed | 1;
    let mut below = |limit: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % limit as u64).unwrap()
    };
    let mut rules = || -> Vec<Value> {
        let rule = |below: &mut dyn FnMut(usize) -> usize| {
            let mut rule = faults()[below(6)].1.clone();
            rule["skip"] = below(80).into();
            // Up to more than a client tries again.
            rule["times"] = [1, 1, 2, 3, 12][below(5)].into();
            rule["method"] = ["", "", "GET", "PUT"][below(4)].into();
            rule
        };
        (0..=below(4)).map(|_| rule(&mut below)).collect()
    };
    (0..runs).map(|run| (format!("random-{run}"), json!(rules()))).collect()
}

pub fn same(wanted: &Files, found: &Files) -> Result<(), String> {
    let differs = |name: &&String| wanted.get(*name) != found.get(*name);
    let names: Vec<&String> = wanted.keys().chain(found.keys()).filter(differs).collect();
    if names.is_empty() { Ok(()) } else { Err(format!("these differ: {names:?}")) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Undisturbed,
    /// With exit code 3 or 4.
    Named,
    /// The run was over before the fault.
    NotMet,
}

pub fn seed() -> u64 {
    let given = std::env::var("AFTERSCOPE_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(20_191_106)
}

#[test]
#[ignore = "slow"]
fn each_fault_at_each_request_is_survived_or_named() {
    let Some(troubled) = Troubled::by_moto() else { return };
    let cases = troubled.at_each(share());
    // Services of their own, as many as one waits for another.
    let parts =
        [0, 1, 2].map(|part| -> Vec<_> { cases.iter().skip(part).step_by(3).cloned().collect() });
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| Troubled::by_moto().unwrap().survives_all(part));
        }
    });
}

#[test]
#[ignore = "slow"]
fn each_fault_at_some_requests_to_seaweedfs_is_survived_or_named() {
    let Some(troubled) = Troubled::by_seaweedfs() else { return };
    troubled.survives_all(troubled.at_each(7 * share()));
}

#[test]
#[ignore = "slow"]
fn faults_at_random_are_survived_or_named() {
    let Some(troubled) = Troubled::by_moto() else { return };
    troubled.survives_all(at_random(200 / share() as u64, seed()));
}
