//! A lake of ten million rows on a real S3 server (SeaweedFS) and on disk: the same bytes.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use object_store::ObjectStoreExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;

use crate::lake::{Lake, assert_same, skipped, wait_until};

pub const KEY: &str = "tester";
pub const SECRET: &str = "a-secret-of-the-test-only";

/// The server, stopped with its test.
pub struct Seaweed {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Seaweed {
    /// `None`, with the reason said, where it is not installed.
    pub fn installed() -> Option<Self> {
        let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON").map(PathBuf::from) else {
            skipped("AFTERSCOPE_PYTHON is not set: no S3 to test with");
            return None;
        };
        Self::start(&python)
    }

    fn start(python: &Path) -> Option<Self> {
        let program = python.with_file_name("weed");
        if !program.is_file() {
            skipped(&format!("{} is not there: no SeaweedFS to test with", program.display()));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let identities = serde_json::json!({ "identities": [{
            "name": "tester",
            "credentials": [{ "accessKey": KEY, "secretKey": SECRET }],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }]});
        let config = folder.path().join("s3.json");
        std::fs::write(&config, identities.to_string()).unwrap();
        let port = free_port();
        let server = Command::new(program)
            .arg("server")
            .arg(format!("-dir={}", folder.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"])
            .arg(format!("-s3.port={port}"))
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-master.port={}", free_port()))
            .arg(format!("-volume.port={}", free_port()))
            .arg(format!("-filer.port={}", free_port()))
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=100", "-master.telemetry=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seaweed = Self { server, port, _folder: folder };
        wait_until("SeaweedFS", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(seaweed)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The server makes a bucket when its first object comes, once all its parts are up.
    pub fn make_bucket(&self, bucket: &str) -> AmazonS3 {
        let store = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region("us-east-1")
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .build()
            .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        wait_until("the bucket", || {
            runtime.block_on(store.put(&Key::from("ready"), "yes".into())).is_ok()
        });
        store
    }

    /// Copies the log files of a lake to `s3://lake/…`.
    fn upload(&self, lake: &Lake) {
        let store = self.make_bucket("lake");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for name in lake.files().into_keys().filter(|name| name.starts_with("logs/")) {
            let bytes = std::fs::read(lake.path(&name)).unwrap();
            runtime.block_on(store.put(&Key::parse(name).unwrap(), bytes.into())).unwrap();
        }
    }
}

#[test]
#[ignore = "slow"]
fn ten_million_rows_on_s3_and_on_disk_give_the_same_bytes() {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON").map(PathBuf::from) else {
        return skipped("AFTERSCOPE_PYTHON is not set: no S3 to test with");
    };
    let arguments = ["--days", "12", "--rows-per-day", "833334", "--users", "5000000"];
    let Some(lake) = Lake::generated(&arguments) else { return };
    lake.edit("afterscope.toml", "event_id = \"request_id\"\n", "");
    let Some(seaweed) = Seaweed::start(&python) else { return };
    seaweed.upload(&lake);

    let endpoint = |of: &str| format!("{of}.store.endpoint={}", seaweed.endpoint());
    let (logs, ledger) = (endpoint("source.0"), endpoint("output"));
    // One thread makes one pack, large enough to be sent in parts; the second run reads it back.
    let s3 = ["--set", "source.0.url=s3://lake/logs/", "--set", &logs, "--threads", "1"];
    let state = ["--state", "s3://lake/state", "--set", &ledger];
    for (output, as_of) in [("first", "2019-11-06T00:00:00Z"), ("second", "2019-11-05T12:00:00Z")] {
        let disk = lake.publishes(&["--as-of", as_of]);
        let args = ["run", "--config", "afterscope.toml", "--as-of", as_of, "--output", output];
        let ran = lake
            .command(&[args.as_slice(), &s3, &state].concat())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .output()
            .unwrap();
        let from_s3 = crate::lake::Outcome::of(&lake, ran).succeeds().published();
        assert_same(&disk.bytes(), &from_s3.bytes());
    }
}
