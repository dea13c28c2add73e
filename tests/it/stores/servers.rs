//! The servers, each started on a free port of the loopback and stopped with its test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use afterscope::config::raw;

use super::secret;
use crate::lake::{skipped, wait_until};

/// The folder of the virtual environment's programs; `None`, with the reason said, where there is none.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("AFTERSCOPE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        skipped("AFTERSCOPE_PYTHON is not set: no server to test with");
    }
    python
}

/// A program beside Python.
fn installed(name: &str) -> Option<PathBuf> {
    let program = python()?.with_file_name(name);
    if program.is_file() {
        return Some(program);
    }
    skipped(&format!("{} is not there: run `make .venv/ready-slow`", program.display()));
    None
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that listens on a port, ended with its test.
pub struct Server {
    process: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(name: &str, command: &mut Command, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port, _folder: folder };
        wait_until(name, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    /// One request by hand, for what object stores do not do; gives the body of a good answer.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(body).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 2") || head.starts_with("HTTP/1.0 2"), "{head}");
        answer.split_off((end + 4).min(answer.len()))
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Azure's blob store: azurite, with the account and key that it is known for.
pub struct Azurite(pub Server);

impl Azurite {
    pub const ACCOUNT: &str = "devstoreaccount1";
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// With one container.
    pub fn start(container: &str) -> Option<Self> {
        let program = installed("azurite-blob")?;
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
        command.args(["--inMemoryPersistence", "--silent", "--skipApiVersionCheck"]);
        command.arg("--disableTelemetry");
        let azurite = Self(Server::start("azurite", &mut command, port));
        let made = Command::new(python()?)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stores/azure_container.py"))
            .args([&azurite.endpoint(), Self::ACCOUNT, Self::KEY, container])
            .status();
        assert!(made.unwrap().success());
        Some(azurite)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.0.port, Self::ACCOUNT)
    }

    pub fn options(&self, folder: &Path) -> raw::Store {
        raw::Store {
            endpoint: Some(self.endpoint()),
            account: Some(Self::ACCOUNT.into()),
            account_key: secret(folder, "azure.key", Self::KEY),
            ..Default::default()
        }
    }
}

/// Google Cloud Storage, for reading: its XML writes know no preconditions, so that objects come by the
/// JSON interface.
pub struct FakeGcs {
    server: Server,
    bucket: String,
}

impl FakeGcs {
    pub fn start(bucket: &str) -> Option<Self> {
        let program = installed("fake-gcs-server")?;
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"]);
        command.args(["-port", &port.to_string(), "-public-host", &format!("127.0.0.1:{port}")]);
        let server = Server::start("fake-gcs-server", &mut command, port);
        let body = format!("{{\"name\":\"{bucket}\"}}");
        server.ask("POST", "/storage/v1/b?project=test", body.as_bytes());
        Some(Self { server, bucket: bucket.to_string() })
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// A key file by which no token is asked for, anywhere.
    pub fn key(&self) -> String {
        let address = self.address();
        serde_json::json!({
            "gcs_base_url": address, "disable_oauth": true,
            "client_email": "", "private_key": "", "private_key_id": "",
        })
        .to_string()
    }

    pub fn options(&self, folder: &Path) -> raw::Store {
        raw::Store {
            service_account_key: secret(folder, "gcs.json", &self.key()),
            ..Default::default()
        }
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let (bucket, name) = (&self.bucket, escaped(key));
        let path = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}");
        self.server.ask("POST", &path, bytes);
    }
}

/// A web server of files.
pub struct Web {
    server: Server,
    pub folder: tempfile::TempDir,
}

impl Web {
    /// `--plain`: no listings; `--weak`, `--untagged`: weak ETags, or none; `--whole`: no ranges.
    pub fn start(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(python()?);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stores/web.py"))
            .arg(port.to_string())
            .arg(folder.path())
            .args(options);
        Some(Self { server: Server::start("the web server", &mut command, port), folder })
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As a new file, so that its ETag is another whatever the clock says.
        let staged = self.folder.path().join(".staged").join(escaped(key));
        std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
        std::fs::write(&staged, bytes).unwrap();
        std::fs::rename(staged, path).unwrap();
    }
}

/// Stands between a client and a server, and does what its rules say.
pub struct FaultProxy(Server);

impl FaultProxy {
    /// `None`, with the reason said, where the proxy is not there.
    pub fn before(upstream: u16) -> Option<Self> {
        let Some(tools) = std::env::var_os("AFTERSCOPE_TOOLS").map(PathBuf::from) else {
            skipped("AFTERSCOPE_TOOLS does not name the folder of faultproxy.py");
            return None;
        };
        let port = free_port();
        let mut command = Command::new(python()?);
        command.arg(tools.join("faultproxy.py")).args([port.to_string(), upstream.to_string()]);
        Some(Self(Server::start("the fault proxy", &mut command, port)))
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    pub fn rules(&self, rules: &serde_json::Value) {
        let body = serde_json::json!({ "rules": rules }).to_string();
        self.0.ask("POST", "/__fault", body.as_bytes());
    }

    /// Every request since the rules were made: method, path, range, action.
    pub fn log(&self) -> Vec<serde_json::Value> {
        serde_json::from_slice(&self.0.ask("GET", "/__log", b"")).unwrap()
    }

    /// What was done to requests: the action of each that a rule met.
    pub fn actions(&self) -> Vec<String> {
        self.log().iter().filter_map(|entry| entry[3].as_str().map(str::to_string)).collect()
    }
}
