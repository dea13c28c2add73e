//! Events on their way, in the background: a service that is down or slow, or a file that cannot be written,
//! costs a run at most [`AT_THE_END`].

use std::error::Error as _;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::settings::{Endpoint, Target};
use crate::own_file;
use crate::store::Io;

/// How long a run that is over waits for events that are still on their way.
const AT_THE_END: Duration = Duration::from_secs(2);
/// Events that wait; more are lost.
const WAITING: usize = 32;
/// How often an event is tried, and what is waited before the second time.
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(200);
/// An event is shorter by far; what is read to see whether a line is one.
const LONGEST_LINE: u64 = 16 << 20;
/// A service that takes longer is slow: it is asked for no more than it must be when a run is over.
const SLOW: Duration = Duration::from_millis(500);

/// What became of a run's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Events {
    pub sent: u64,
    pub lost: u64,
}

/// Takes events and sees to it that they arrive, one after the other.
pub struct Sender {
    queue: mpsc::Sender<Event>,
    told: Arc<Told>,
    task: JoinHandle<()>,
    /// Where events go; `None` where what is set cannot be used.
    shown: Option<String>,
}

struct Event {
    text: Vec<u8>,
    /// Whether others tell all that it tells.
    is_spare: bool,
}

#[derive(Default)]
struct Told {
    given: AtomicU64,
    sent: AtomicU64,
    /// Why the first that was lost was.
    reason: Mutex<Option<String>>,
    is_over: AtomicBool,
}

impl Told {
    fn lost(&self, reason: String) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }
}

impl Sender {
    pub fn new(target: Target, io: &Io) -> Self {
        let shown = match &target {
            Target::Http(endpoint) => Some(endpoint.url.to_string()),
            Target::Append(path) | Target::Each(path) => Some(path.display().to_string()),
            Target::Unusable => None,
        };
        let (queue, waiting) = mpsc::channel(WAITING);
        let told = Arc::new(Told::default());
        let task = io.handle().spawn(deliver(target, waiting, told.clone()));
        Self { queue, told, task, shown }
    }

    /// Takes an event; nobody waits.
    pub fn send(&self, event: &Value, is_spare: bool) {
        self.told.given.fetch_add(1, Ordering::Relaxed);
        let mut text = event.to_string().into_bytes();
        text.push(b'\n');
        if self.queue.try_send(Event { text, is_spare }).is_err() {
            self.told.lost(format!("{WAITING} events were waiting already"));
        }
    }

    /// Waits for what is on its way, and says what became of it; in words too, where an event was lost for
    /// another reason than the settings, which were told of before.
    pub fn finish(self, io: &Io) -> (Events, Option<String>) {
        let Self { queue, told, mut task, shown } = self;
        told.is_over.store(true, Ordering::SeqCst);
        drop(queue);
        let ended = io.wait(async { timeout(AT_THE_END, &mut task).await });
        if ended.is_err() {
            task.abort();
            told.lost(format!("no answer {} s after the run was over", AT_THE_END.as_secs()));
        }
        let sent = told.sent.load(Ordering::SeqCst);
        let events = Events { sent, lost: told.given.load(Ordering::SeqCst) - sent };
        let reason = told.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        let warning = shown.filter(|_| events.lost > 0).map(|place| {
            let (lost, all) = (events.lost, events.sent + events.lost);
            let reason = reason.unwrap_or_default();
            format!(
                "{lost} of {all} lineage events did not reach {place}: {reason}; the run itself is not touched by it"
            )
        });
        (events, warning)
    }
}

async fn deliver(target: Target, mut waiting: mpsc::Receiver<Event>, told: Arc<Told>) {
    let way = match target {
        // Certificates are read, which takes a moment.
        Target::Http(endpoint) => match spawn_blocking(|| Service::new(endpoint)).await {
            Ok(Ok(service)) => Way::Http(service),
            Ok(Err(reason)) => Way::None(reason),
            Err(_) => Way::None("it cannot be asked".into()),
        },
        Target::Append(path) => Way::File { path, appends: true },
        Target::Each(path) => Way::File { path, appends: false },
        Target::Unusable => Way::None(String::new()),
    };
    let mut is_slow = false;
    while let Some(event) = waiting.recv().await {
        let is_over = told.is_over.load(Ordering::SeqCst);
        if is_slow && is_over && event.is_spare {
            told.lost("it is slow, and the run was over".into());
            continue;
        }
        let begun = Instant::now();
        match way.put(event.text, &told).await {
            Ok(()) => {
                told.sent.fetch_add(1, Ordering::SeqCst);
                is_slow = begun.elapsed() > SLOW;
            }
            Err(reason) => {
                told.lost(reason);
                is_slow = true;
            }
        }
    }
}

enum Way {
    Http(Service),
    File { path: PathBuf, appends: bool },
    None(String),
}

impl Way {
    async fn put(&self, text: Vec<u8>, told: &Told) -> Result<(), String> {
        match self {
            Self::Http(service) => service.put(text, told).await,
            Self::File { path, appends } => {
                let (path, appends) = (path.clone(), *appends);
                // A disk that does not answer would hold up everything.
                let written = spawn_blocking(move || write(&path, appends, &text));
                match timeout(AT_THE_END, written).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(_) => Err("it cannot be written in time".into()),
                }
            }
            Self::None(reason) => Err(reason.clone()),
        }
    }
}

/// Writes a line to the end of a file of events, or a file of its own, named as clients of OpenLineage name it.
///
/// # Errors
/// Why not, in words.
fn write(path: &Path, appends: bool, line: &[u8]) -> Result<(), String> {
    let opened = if appends {
        takes_events(path)?;
        OpenOptions::new().append(true).create(true).open(path)
    } else {
        OpenOptions::new().write(true).create_new(true).open(named_by_time(path))
    };
    opened.and_then(|mut file| file.write_all(line)).map_err(|e| e.to_string())
}

/// Whether a file holds events or nothing: a line more would spoil any other.
///
/// # Errors
/// What is there instead, in words.
fn takes_events(path: &Path) -> Result<(), String> {
    let Some(file) = own_file::look(path)? else { return Ok(()) };
    let mut line = Vec::new();
    let read = BufReader::new(file.take(LONGEST_LINE)).read_until(b'\n', &mut line);
    read.map_err(|e| e.to_string())?;
    let event = serde_json::from_slice::<Value>(&line);
    if line.is_empty() || event.is_ok_and(|event| event.get("eventType").is_some()) {
        return Ok(());
    }
    Err("the file that is there holds no lineage events (its first line is no JSON object with `eventType`), and stays as it is; name another".into())
}

fn named_by_time(path: &Path) -> OsString {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    let mut name = path.as_os_str().to_owned();
    name.push(now.format("-%Y%m%d-%H%M%S%.6f.json").to_string());
    name
}

/// A service that takes events.
struct Service {
    client: Client,
    endpoint: Endpoint,
}

/// Why an event was not taken, and whether it may be at the next try.
struct Refused {
    reason: String,
    again: bool,
}

impl Service {
    fn new(endpoint: Endpoint) -> Result<Self, String> {
        let client = Client::builder()
            .user_agent(concat!("afterscope/", env!("CARGO_PKG_VERSION")))
            .timeout(endpoint.timeout)
            // Another address is not what the user named, and would get the key.
            .redirect(Policy::none())
            .build()
            .map_err(|e| told_of(&e))?;
        Ok(Self { client, endpoint })
    }

    async fn put(&self, text: Vec<u8>, told: &Told) -> Result<(), String> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(text.clone()).await {
                Ok(()) => return Ok(()),
                Err(Refused { reason, again }) => {
                    if !again || tries >= TRIES || told.is_over.load(Ordering::SeqCst) {
                        return Err(reason);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(&self, text: Vec<u8>) -> Result<(), Refused> {
        let mut request = self.client.post(self.endpoint.url.clone());
        if let Some(key) = &self.endpoint.key {
            request = request.bearer_auth(key);
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(text);
        let answer = request.send().await.map_err(|error| Refused {
            reason: told_of(&error),
            // One that was late is late again.
            again: !error.is_timeout(),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let again = status.is_server_error() || status.as_u16() == 429;
        let what = if status.is_redirection() {
            "it answers with another address, which is not followed"
        } else {
            "it answers"
        };
        Err(Refused { reason: format!("{what} ({status})"), again })
    }
}

/// The cause at the bottom; without the address, which is shown already.
fn told_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    let text = cause.to_string();
    if error.source().is_none() { "the request failed".into() } else { text }
}
