//! S3, by a server that behaves like it (moto), started here on a free port.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::lake::{AS_OF, Lake, Outcome, Table, assert_same, call, run_args, skipped, wait_until};

const SECRET: &str = "hunter2-wJalrXUtnFEMI-K7MDENG";

/// A server, stopped with its test.
pub struct Moto {
    server: Child,
    port: u16,
    runtime: Runtime,
    _home: tempfile::TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Moto {
    /// A server with these buckets; `None`, with the reason said, where it is not installed.
    pub fn start(buckets: &[&str]) -> Option<Self> {
        let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
            skipped("AFTERSCOPE_PYTHON is not set: no S3 to test with");
            return None;
        };
        let program = PathBuf::from(python).with_file_name("moto_server");
        if !program.is_file() {
            skipped(&format!("{} is not there: no S3 to test with", program.display()));
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = tempfile::tempdir().unwrap();
        let server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { server, port, runtime: Runtime::new().unwrap(), _home: home };
        wait_until("moto", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        for bucket in buckets {
            moto.make_bucket(bucket);
        }
        Some(moto)
    }

    /// By hand: object stores do not make buckets.
    fn make_bucket(&self, bucket: &str) {
        self.put_by_hand(bucket);
    }

    /// An empty object under a key that object_store would not write, or a bucket.
    fn put_by_hand(&self, path: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = format!("Host: 127.0.0.1:{}", self.port);
        let rest = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        write!(connection, "PUT /{path} HTTP/1.1\r\n{host}\r\n{rest}").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn store(&self, bucket: &str) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region("us-east-1")
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_access_key_id("tester")
            .with_secret_access_key(SECRET)
            .build()
            .unwrap()
    }

    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let (store, path) = (self.store(bucket), Path::parse(key).unwrap());
        self.runtime.block_on(store.put(&path, bytes.into())).unwrap();
    }

    /// Copies the files of a lake's folder, and its registry, to `s3://lake/…`.
    pub fn upload(&self, lake: &Lake) {
        for name in lake.files().into_keys() {
            if name.starts_with("logs/") || name.ends_with(".csv") {
                self.put("lake", &name, fs::read(lake.path(&name)).unwrap());
            }
        }
    }

    /// The objects directly below a prefix, by their last name.
    pub fn objects(&self, bucket: &str, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let (store, prefix) = (self.store(bucket), Path::parse(prefix).unwrap());
        self.runtime.block_on(async {
            let listed: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
            let mut found = BTreeMap::new();
            for object in listed {
                let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
                let name = object.location.filename().unwrap().to_string();
                found.insert(name, bytes.to_vec());
            }
            assert!(!found.is_empty(), "nothing below {prefix}");
            found
        })
    }

    fn json(&self, bucket: &str, key: &str) -> Value {
        let (store, path) = (self.store(bucket), Path::parse(key).unwrap());
        self.runtime.block_on(async {
            let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
            serde_json::from_slice(&bytes).unwrap()
        })
    }

    /// The program, told of this server as its users tell it of theirs.
    pub fn command(&self, lake: &Lake, args: &[&str]) -> Command {
        let mut command = lake.command(args);
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "tester")
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        command
    }

    fn run(&self, lake: &Lake, args: &[&str]) -> Outcome {
        Outcome::of(lake, self.command(lake, &run_args(args)).output().unwrap())
    }
}

const FROM_S3: [&str; 6] = [
    "--set",
    "source.0.url=s3://lake/logs/",
    "--set",
    "registry.scopes=s3://lake/scopes.csv",
    "--set",
    "registry.apps=s3://lake/apps.csv",
];

const TO_S3: [&str; 4] = ["--output", "s3://results/team/out", "--state", "s3://results/ledger"];

#[test]
fn the_same_lake_gives_the_same_tables_from_disk_and_from_s3() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    lake.log("logs/dt=2019-07-04/a b+c.parquet", &[call("2019-07-04T08:00:00Z", "app-3", 9)]);
    lake.write("logs/_SUCCESS", "");
    moto.upload(&lake);
    let expected = lake.publishes(&["--output", "from-disk"]).bytes();
    assert!(expected.contains_key("coverage.parquet"));
    let outcome = moto.run(&lake, &FROM_S3).succeeds();
    assert_same(&expected, &outcome.published().bytes());
    let manifest = outcome.published().folder.with_file_name("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let files = manifest["sources"][0]["files"].as_array().unwrap();
    assert_eq!(files.len(), 4);
    let of_s3 = |file: &Value| file["url"].as_str().unwrap().starts_with("s3://lake/logs/dt=");
    assert!(files.iter().all(|file| of_s3(file) && file["e_tag"].is_string()), "{files:?}");
}

#[test]
fn globs_and_single_objects_are_sources_on_s3_too() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    for (url, requests) in [
        ("s3://lake/logs/dt=2019-07-0[12]/*.parquet", 5),
        ("s3://lake/logs/dt=2019-07-01/part-0.parquet", 4),
        ("s3://lake/logs", 6),
    ] {
        let set = format!("source.0.url=\"{url}\"");
        let line = moto.run(&lake, &["--set", &set]).succeeds().json();
        assert_eq!(line["totals"]["requests_allowed"], requests, "{url}");
    }
}

#[test]
fn output_and_ledger_may_lie_on_s3() {
    let Some(moto) = Moto::start(&["lake", "results"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    let expected = lake.publishes(&["--output", "on-disk"]).bytes();
    let args: Vec<&str> = FROM_S3.into_iter().chain(TO_S3).chain(["-v"]).collect();
    let first = moto.run(&lake, &args).succeeds();
    let line = first.json();
    let tables = line["tables"].as_str().unwrap();
    assert!(tables.starts_with("s3://results/team/out/runs/"), "{tables}");
    let below = tables.strip_prefix("s3://results/").unwrap();
    assert_same(&expected, &moto.objects("results", below));
    let mut parquet = expected.clone();
    parquet.retain(|name, _| name.ends_with(".parquet"));
    assert_same(&parquet, &moto.objects("results", "team/out/latest"));
    assert_eq!(moto.json("results", "team/out/latest.json")["run_id"], line["run_id"]);

    let second = moto.run(&lake, &args).succeeds();
    assert_eq!(second.json()["reused"], true);
    lake.log("logs/dt=2019-07-04/new.parquet", &[call("2019-07-04T08:00:00Z", "app-3", 9)]);
    moto.upload(&lake);
    let third = moto.run(&lake, &args).succeeds();
    assert_eq!(third.json()["totals"]["requests_allowed"], 7);

    // A run on S3 is verified like any other, and its inputs there.
    let verify = ["verify", "s3://results/team/out", "--inputs"];
    let verified = Outcome::of(&lake, moto.command(&lake, &verify).output().unwrap()).succeeds();
    let line = verified.json();
    assert_eq!((&line["verdict"], &line["run_id"]), (&"holds".into(), &third.json()["run_id"]));
    // Four logs and two registry files.
    assert_eq!(line["inputs"]["unchanged"], 6);
    let run = format!("s3://results/team/out/runs/{}", line["run_id"].as_str().unwrap());
    let below = run.strip_prefix("s3://results/").unwrap();
    moto.put("results", &format!("{below}/tables/coverage.csv"), b"x".to_vec());
    moto.put("lake", "logs/dt=2019-07-04/new.parquet", b"x".to_vec());
    let verify = ["verify", &run, "--inputs"];
    let differs = Outcome::of(&lake, moto.command(&lake, &verify).output().unwrap());
    assert_eq!(differs.code, 3, "{differs:#?}");
    assert!(differs.stderr.contains("tables/coverage.csv was changed"), "{}", differs.stderr);
    assert_eq!(differs.json()["inputs"]["changed"], 1);

    for text in [&first.stdout, &first.stderr, &third.stderr, &differs.stderr] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for (name, bytes) in moto.objects("results", "team/out") {
        let found = bytes.windows(7).any(|window| window == b"hunter2");
        assert!(!found, "{name} holds the secret");
    }
}

#[test]
fn an_unchanged_object_is_not_read_again_and_a_replaced_one_is() {
    let Some(moto) = Moto::start(&["lake", "results"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    let args: Vec<&str> = FROM_S3.into_iter().chain(TO_S3).collect();
    moto.run(&lake, &args).succeeds();
    let day = "logs/dt=2019-07-01/part-0.parquet";
    lake.log(day, &[call("2019-07-01T08:00:00Z", "app-1", 1)]);
    moto.put("lake", day, fs::read(lake.path(day)).unwrap());
    let mut plan = run_args(&args);
    plan[0] = "plan";
    plan.push("--json");
    let plan = Outcome::of(&lake, moto.command(&lake, &plan).output().unwrap()).succeeds();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["sources"][0]["files_to_read"], 1);
    assert_eq!(plan["sources"][0]["files_reused"], 2);
    let line = moto.run(&lake, &args).succeeds().json();
    assert_eq!(line["totals"]["requests_allowed"], 3);
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let Some(moto) = Moto::start(&[]) else { return };
    let lake = Lake::standard();
    let says = ["`access`", "s3://nowhere/logs", "the bucket does not exist", "check the"];
    moto.run(&lake, &["--set", "source.0.url=s3://nowhere/logs/"]).fails(1, &says);
    let scopes = ["s3://nowhere/scopes.csv", "the bucket does not exist", "registry.scopes"];
    moto.run(&lake, &["--set", "registry.scopes=s3://nowhere/scopes.csv"]).fails(1, &scopes);
    let output = ["s3://nowhere/out", "the bucket does not exist"];
    moto.run(&lake, &["--output", "s3://nowhere/out"]).fails(1, &output);
    lake.nothing_is_published();
}

#[test]
fn a_folder_or_object_of_a_table_is_no_plain_log_on_s3_either() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    let day = "dt=2019-07-01";
    lake.write("logs/_delta_log/00000000000000000000.json", "{}");
    moto.upload(&lake);
    let refused = |url: &str, says: &[&str]| {
        let url = format!("source.0.url=s3://lake/logs/{url}");
        moto.run(&lake, &["--set", &url]).fails(1, says);
    };
    let of_delta = ["is part of a Delta table", "s3://lake/logs/_delta_log/", "format = \"delta\""];
    for url in [day.to_string(), format!("{day}/"), format!("{day}/part-0.parquet")] {
        refused(&url, &of_delta);
    }
    // As random prefixes of Delta and the layout of Iceberg for object storage put files.
    refused("Zk/part-0.parquet", &of_delta);
    refused("0110/1010/0111/01101000/", &of_delta);
    refused("", &["is a Delta table (_delta_log/", "set format = \"delta\""]);
    let iceberg = ["--set", "source.0.format=iceberg", "--set", "source.0.url=s3://lake/logs"];
    let says = ["is a Delta table (_delta_log/", "no Iceberg table", "set format = \"delta\""];
    moto.run(&lake, &iceberg).fails(1, &says);

    fs::remove_dir_all(lake.path("logs/_delta_log")).unwrap();
    let moved = lake.path("logs/table");
    fs::create_dir(&moved).unwrap();
    fs::rename(lake.path("logs").join(day), moved.join("data")).unwrap();
    lake.write("logs/table/metadata/notes.txt", "");
    lake.write("logs/table/metadata/v1.metadata.json", "{}");
    let other = Moto::start(&["lake"]).unwrap();
    other.upload(&lake);
    let of_iceberg =
        ["is part of an Iceberg table", "s3://lake/logs/table/metadata/v1.metadata.json"];
    let url = ["--set", "source.0.url=s3://lake/logs/table/data/"];
    other.run(&lake, &url).fails(1, &of_iceberg);
    let delta = ["--set", "source.0.format=delta", "--set", "source.0.url=s3://lake/logs/table"];
    let says = ["is an Iceberg table", "no Delta table", "set format = \"iceberg\""];
    other.run(&lake, &delta).fails(1, &says);
    lake.nothing_is_published();
}

#[test]
fn a_key_that_cannot_be_read_ends_the_listing() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    moto.put_by_hand("lake/logs//part-9.parquet");
    moto.run(&lake, &FROM_S3).fails(1, &["s3://lake/logs", "logs//part-9.parquet", "empty"]);
    lake.nothing_is_published();
}

/// Consoles and Hadoop show folders by objects without bytes; one that could be a file is none of them.
#[test]
fn objects_that_show_folders_are_no_files() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    let expected = lake.publishes(&["--output", "on-disk"]).bytes();
    moto.upload(&lake);
    for key in
        ["logs/", "logs/dt=2019-07-01/", "logs/dt=2019-07-04/", "logs/dt=2019-07-01_$folder$"]
    {
        moto.put_by_hand(&format!("lake/{key}"));
    }
    let published = moto.run(&lake, &FROM_S3).succeeds().published();
    assert_same(&expected, &published.bytes());
    let manifest = published.folder.with_file_name("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(manifest["sources"][0]["hidden_files_passed_over"], 3);
    // An output that was made as a folder.
    moto.put_by_hand("lake/made/");
    let made = ["--output", "s3://lake/made/", "--state", "s3://lake/made/state"];
    moto.run(&lake, &[&FROM_S3[..], &made].concat()).succeeds();
    moto.put_by_hand("lake/logs/empty.parquet");
    moto.run(&lake, &FROM_S3).fails(3, &["s3://lake/logs/empty.parquet", "0 bytes"]);
}

#[test]
fn a_prefix_or_object_that_is_not_there_is_named() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    let says = ["`access`", "s3://lake/lags/", "holds no files", "check the source's url"];
    moto.run(&lake, &["--set", "source.0.url=s3://lake/lags/"]).fails(1, &says);
    let says = ["s3://lake/scpes.csv", "does not exist", "registry.scopes"];
    moto.run(&lake, &["--set", "registry.scopes=s3://lake/scpes.csv"]).fails(1, &says);
    lake.nothing_is_published();
}

#[test]
fn a_damaged_object_is_a_hole() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    moto.put("lake", "logs/dt=2019-07-03/bad.parquet", b"no Parquet at all".to_vec());
    let says = ["s3://lake/logs/dt=2019-07-03/bad.parquet", "--allow-incomplete"];
    moto.run(&lake, &FROM_S3).fails(3, &says);
    lake.nothing_is_published();
    let args: Vec<&str> = FROM_S3.into_iter().chain(["--allow-incomplete"]).collect();
    let line = moto.run(&lake, &args).succeeds().json();
    assert_eq!(
        (&line["verdict"], &line["totals"]["requests_allowed"]),
        (&"incomplete".into(), &6.into())
    );
}

#[test]
fn an_output_on_s3_with_objects_of_another_program_is_left_alone() {
    let Some(moto) = Moto::start(&["results"]) else { return };
    let lake = Lake::standard();
    moto.put("results", "team/out/notes.txt", b"mine".to_vec());
    let says = ["s3://results/team/out", "notes.txt", "name an empty folder"];
    moto.run(&lake, &["--output", "s3://results/team/out"]).fails(1, &says);
    assert_eq!(moto.objects("results", "team/out").len(), 1);
}

#[test]
fn eight_runs_at_once_on_s3_leave_one_consistent_latest() {
    let Some(moto) = Moto::start(&["results"]) else { return };
    let lake = Lake::with_more_files(20);
    let days = ["01", "05", "08", "12", "19", "23", "28", "30"];
    let children: Vec<Child> = days
        .iter()
        .map(|day| {
            let as_of = format!("2019-08-{day}T00:00:00Z");
            // One thread: all of them make one pack of the same files, met in an order of their own.
            let args = ["--as-of", &as_of, "--threads", "1"];
            let args: Vec<&str> = args.into_iter().chain(TO_S3).collect();
            moto.command(&lake, &run_args(&args)).spawn().unwrap()
        })
        .collect();
    for child in children {
        Outcome::of(&lake, child.wait_with_output().unwrap()).succeeds();
    }
    let latest = moto.json("results", "team/out/latest.json");
    assert_eq!(latest["as_of"], "2019-08-30T00:00:00Z");
    let run = latest["run_id"].as_str().unwrap();
    let mut tables = moto.objects("results", &format!("team/out/runs/{run}/tables"));
    tables.retain(|name, _| name.ends_with(".parquet"));
    assert_same(&tables, &moto.objects("results", "team/out/latest"));
    let summary = bytes::Bytes::from(tables["scope_summary.parquet"].clone());
    let row = ["requests_allowed", "subjects_observed"];
    assert_eq!(Table::parse(summary).row(&[("scope", "(all)")], &row), ["26", "24"]);
}

#[test]
#[ignore = "slow"]
fn a_service_that_does_not_answer_is_worth_a_retry() {
    let lake = Lake::standard();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let args = ["run", "--config", "afterscope.toml", "--as-of", AS_OF];
    let mut command = lake.command(&args);
    command
        .args(["--set", "source.0.url=s3://lake/logs/"])
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{free}"))
        .env("AWS_ACCESS_KEY_ID", "tester")
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    let outcome = Outcome::of(&lake, command.output().unwrap()).fails(4, &["s3://lake/logs"]);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    lake.nothing_is_published();
}
