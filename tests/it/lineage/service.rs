//! A service that takes lineage events, or does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::lake::skipped;

/// What the service does with a request.
#[derive(Clone, Copy)]
pub enum Does {
    Take,
    /// Takes it after so long.
    TakeAfter(Duration),
    /// Takes it, and answers this status with these headers.
    Answer(&'static str),
    /// Takes it and says nothing, ever.
    Nothing,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /api/v1/lineage HTTP/1.1`, and headers in lower case.
    pub head: Vec<String>,
    pub body: String,
}

impl Request {
    pub fn has(&self, line: &str) -> bool {
        self.head.iter().any(|own| own == line)
    }
}

/// Listens on a free port until the tests end.
pub struct Service {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    pub fn new(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let of_all = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let requests = of_all.clone();
                std::thread::spawn(move || serve(&stream.unwrap(), does, &requests));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The events that came; each holds against the specification.
    pub fn events(&self) -> Vec<Value> {
        let bodies: Vec<String> = self.requests().into_iter().map(|r| r.body).collect();
        events_of(&bodies.concat())
    }
}

fn serve(stream: &TcpStream, does: Does, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            head.push(match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
                None => line.to_string(),
            });
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        requests.lock().unwrap().push(Request { head, body });
        let answer = match does {
            Does::Take => "201 Created",
            Does::TakeAfter(pause) => {
                std::thread::sleep(pause);
                "201 Created"
            }
            Does::Answer(status) => status,
            Does::Nothing => continue,
        };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// Events, one a line; each holds against the specification.
pub fn events_of(lines: &str) -> Vec<Value> {
    if let Some(complaint) = Schemas::find().and_then(|schemas| schemas.complaint(lines)) {
        panic!("{complaint}");
    }
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The schemas of the specification, and what holds events against them.
pub struct Schemas {
    folder: PathBuf,
    python: PathBuf,
}

impl Schemas {
    /// `None`, with the reason said, where they are not there.
    pub fn find() -> Option<Self> {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let (corpora, python) = (named("AFTERSCOPE_CORPORA"), named("AFTERSCOPE_PYTHON"));
        let found = corpora.zip(python);
        if found.is_none() {
            skipped("AFTERSCOPE_CORPORA and AFTERSCOPE_PYTHON name what events are held against");
        }
        found.map(|(corpora, python)| Self { folder: corpora.join("openlineage"), python })
    }

    /// What they say against events, one a line.
    pub fn complaint(&self, lines: &str) -> Option<String> {
        let mut checked = Command::new(&self.python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lineage/validate.py"))
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        checked.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = checked.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (!output.status.success()).then_some(said)
    }
}
