//! A sealed place with a small lake whose true answers are known, and the program run in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use chrono::DateTime;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

pub use crate::published::{Published, Table, assert_same, bytes_below};

/// The end of the report in every test that does not say otherwise.
pub const AS_OF: &str = "2019-09-01T00:00:00Z";

pub const CONFIG: &str = r#"[[source]]
name = "access"
url = "logs/"

[source.columns]
time = "event_time"
app = "app_id"
subject = "user_id"
group = "group_id"
scopes = "scope"
status = "status"
bytes = "bytes"
event_id = "request_id"

[registry]
scopes = "scopes.csv"
apps = "apps.csv"

[report]
lookback_days = 60

[output]
url = "out/"
"#;

pub const SCOPES: &str = "scope,deprecated_at,data_fields
read_members,2019-06-01T00:00:00Z,name;email
write_posts,2019-07-01T00:00:00Z,posts
";

pub const APPS: &str = "app_id,app_name,developer_id,developer_name
app-1,Planner,dev-1,Ada Ltd
app-2,Mailer,dev-1,Ada Ltd
app-3,Viewer,dev-2,Bo GmbH
";

/// The program that is tested: what `AFTERSCOPE_TEST_PROGRAM` names, else the one that cargo built beside the tests.
///
/// `make test` names the one that ships: the tests themselves are compiled for a short build, not for speed.
pub fn program() -> PathBuf {
    let named = std::env::var_os("AFTERSCOPE_TEST_PROGRAM");
    std::path::absolute(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_afterscope").into())).unwrap()
}

/// Group, person, from, to.
type Membership<'a> = (i64, i64, Option<&'a str>, Option<&'a str>);

/// One row of the standard log.
#[derive(Clone, Debug)]
pub struct Call {
    pub time: Option<String>,
    pub app: String,
    pub scope: String,
    pub user: Option<i64>,
    pub group: Option<i64>,
    pub status: i32,
}

/// An allowed call of `read_members` in group 10; change what matters with struct update syntax.
pub fn call(time: &str, app: &str, user: i64) -> Call {
    Call {
        time: Some(time.into()),
        app: app.into(),
        scope: "read_members".into(),
        user: Some(user),
        group: Some(10),
        status: 200,
    }
}

/// Three days of the standard lake. True answers, after both restrictions and before [`AS_OF`]:
/// 6 requests, people 1 2 3 5, groups 10 11 12, apps app-1 and app-2; of them `read_members` has 4
/// requests of people 1 2 3 in groups 10 11, by app-1 alone, and one denied call of app-3;
/// `write_posts` has 2 requests of people 1 and 5 in groups 10 and 12, by app-2 alone.
pub fn standard_days() -> [(&'static str, Vec<Call>); 3] {
    let posts = |c: Call| Call { scope: "write_posts".into(), ..c };
    [
        (
            "logs/dt=2019-07-01/part-0.parquet",
            vec![
                call("2019-07-01T08:00:00Z", "app-1", 1),
                call("2019-07-01T09:00:00Z", "app-1", 2),
                call("2019-07-01T10:00:00Z", "app-1", 3),
                posts(call("2019-07-01T11:00:00Z", "app-2", 1)),
            ],
        ),
        (
            "logs/dt=2019-07-02/part-0.parquet",
            vec![
                Call { group: Some(11), ..call("2019-07-02T08:00:00Z", "app-1", 1) },
                Call { status: 403, ..call("2019-07-02T09:00:00Z", "app-3", 4) },
            ],
        ),
        (
            "logs/dt=2019-07-03/part-0.parquet",
            vec![
                posts(Call { group: Some(12), ..call("2019-07-03T08:00:00Z", "app-2", 5) }),
                Call { scope: "email".into(), ..call("2019-07-03T09:00:00Z", "app-1", 6) },
            ],
        ),
    ]
}

/// A temporary folder with configuration, registry and logs.
pub struct Lake {
    dir: tempfile::TempDir,
}

impl Lake {
    /// Configuration and registry, no logs.
    pub fn empty() -> Self {
        let lake = Self { dir: tempfile::tempdir().unwrap() };
        for folder in ["logs", "home", "tmp"] {
            fs::create_dir(lake.path(folder)).unwrap();
        }
        lake.write("afterscope.toml", CONFIG);
        lake.write("scopes.csv", SCOPES);
        lake.write("apps.csv", APPS);
        lake
    }

    /// A lake by the benchmarks' generator.
    pub fn generated(arguments: &[&str]) -> Option<Self> {
        let named = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.or_else(|| {
                skipped(&format!("{name} is not set: no generator of lakes"));
                None
            })
        };
        let (python, harness) = (named("AFTERSCOPE_PYTHON")?, named("AFTERSCOPE_BENCH")?);
        let lake = Self::empty();
        let made = Command::new(python)
            .arg(harness.join("gen.py"))
            .arg(lake.path(""))
            .args(arguments)
            .status()
            .unwrap();
        assert!(made.success());
        Some(lake)
    }

    /// With the logs of [`standard_days`].
    pub fn standard() -> Self {
        let lake = Self::empty();
        for (path, calls) in standard_days() {
            lake.log(path, &calls);
        }
        lake
    }

    /// The standard lake, and what became of its apps beside their calls.
    pub fn with_standing() -> Self {
        let lake = Self::standard();
        let files = ["grants", "brownouts", "attestations"];
        let keys: Vec<String> = files.iter().map(|f| format!("{f} = \"{f}.csv\"\n")).collect();
        lake.edit("afterscope.toml", "\n[report]", &format!("{}\n[report]", keys.concat()));
        lake.write(
            "grants.csv",
            "app_id,scope,granted_at,revoked_at
app-1,read_members,2016-01-01T00:00:00Z,2019-07-02T00:00:00Z
app-3,read_members,,2019-06-15
app-3,write_posts,2018-01-01,2019-07-01
app-9,write_posts,2018-01-01,
",
        );
        lake.write(
            "brownouts.csv",
            "scope,app_id,from,to
read_members,,2019-07-01T09:00:00Z,2019-07-01T10:00:00Z
read_members,app-2,2019-07-01T08:00:00Z,2019-07-03T10:00:00Z
",
        );
        lake.write(
            "attestations.csv",
            "app_id,scope,asked_at,attested_at,statement
app-1,,2019-06-20,2019-07-02T00:00:00Z,All is deleted
app-2,write_posts,2019-06-20,,
app-3,all,2019-06-20,2019-07-02,We kept nothing
",
        );
        lake
    }

    /// The standard lake, who was a member of its groups when, and where people live. Group 10 was read
    /// by app-1 at 8, 9 and 10 o'clock on July 1st and by app-2 at 11.
    pub fn with_people() -> Self {
        let lake = Self::standard();
        lake.add_people();
        lake
    }

    /// With everything that a registry may have: no table is empty.
    pub fn with_all() -> Self {
        let lake = Self::with_standing();
        lake.add_people();
        let more = "thresholds = \"thresholds.csv\"\n\n[incident]\naware = \"2019-08-30\"\n";
        lake.edit("afterscope.toml", "\n[report]", &format!("{more}\n[report]"));
        let header = "regime,jurisdiction,operator,number,counted,clock,limit,unit,source\n";
        lake.write(
            "thresholds.csv",
            &format!("{header}one,DE,>=,2,subjects,aware,72,hours,Art. 1\n"),
        );
        lake
    }

    fn add_people(&self) {
        let lake = self;
        let keys = "memberships = \"memberships.parquet\"\nresidency = \"residency.parquet\"\n";
        lake.edit("afterscope.toml", "\n[report]", &format!("{keys}\n[report]"));
        lake.memberships(&[
            (10, 1, None, None),
            (10, 20, None, Some("2019-07-01T09:00:00Z")),
            (10, 21, Some("2019-07-01T10:30:00Z"), None),
            (11, 20, None, None),
            (12, 22, Some("2019-07-04T00:00:00Z"), None),
            (13, 23, None, None),
        ]);
        lake.residency(&[
            (1, Some("DE"), None),
            (2, Some("FR"), Some("2019-01-01T00:00:00Z")),
            (2, Some("DE"), Some("2019-06-01T00:00:00Z")),
            (2, Some("US"), Some("2019-10-01T00:00:00Z")),
            (20, Some("DE"), None),
            (21, Some("FR"), None),
            (23, Some("DE"), None),
        ]);
    }

    pub fn memberships(&self, rows: &[Membership<'_>]) {
        let ints = |of: fn(&Membership<'_>) -> i64| {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(of))) as ArrayRef
        };
        self.columns(
            "memberships.parquet",
            vec![
                ("group_id", ints(|r| r.0)),
                ("subject", ints(|r| r.1)),
                ("from", times(rows.iter().map(|r| r.2))),
                ("to", times(rows.iter().map(|r| r.3))),
            ],
        );
    }

    /// Person, country, and when that was known.
    pub fn residency(&self, rows: &[(i64, Option<&str>, Option<&str>)]) {
        self.columns(
            "residency.parquet",
            vec![
                ("subject", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))),
                ("country", Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>())),
                ("as_of", times(rows.iter().map(|r| r.2))),
            ],
        );
    }

    /// One allowed call of `read_members` that names no app.
    pub fn log_without_app(&self, path: &str, time: &str) {
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
        let columns = vec![
            ("event_time", times([Some(time)].into_iter())),
            ("request_id", text(path)),
            ("app_id", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef),
            ("user_id", number(9)),
            ("group_id", number(10)),
            ("scope", text("read_members")),
            ("status", number(200)),
            ("bytes", number(100)),
        ];
        self.columns(path, columns);
    }

    /// Overwrites every log so that who opens one finds rubbish.
    pub fn spoil_logs(&self) {
        let names = self.files().into_keys().filter(|name| name.starts_with("logs/"));
        names.for_each(|name| spoil(&self.path(&name)));
    }

    /// The standard lake and more files of one call of `read_members` each, by app-1 in group 10 and
    /// of a person of its own: every file is one request and one person more.
    pub fn with_more_files(files: i64) -> Self {
        let lake = Self::standard();
        for number in 0..files {
            let calls = [call("2019-07-05T08:00:00Z", "app-1", 100 + number)];
            lake.log(&format!("logs/more/{number:03}.parquet"), &calls);
        }
        lake
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Writes a text file; gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} holds no {from:?}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// Writes calls as a log file.
    pub fn log(&self, path: &str, calls: &[Call]) -> PathBuf {
        self.log_in_groups(path, calls, calls.len().max(1))
    }

    /// Writes calls as a log file, so many in each row group.
    pub fn log_in_groups(&self, path: &str, calls: &[Call], in_group: usize) -> PathBuf {
        let texts = |f: &dyn Fn(&Call) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(calls.iter().map(f)))
        };
        let ids = (0..calls.len()).map(|row| format!("{path}#{row}"));
        self.columns_in_groups(
            path,
            in_group,
            vec![
                ("event_time", times(calls.iter().map(|c| c.time.as_deref()))),
                ("request_id", Arc::new(StringArray::from_iter_values(ids))),
                ("app_id", texts(&|c| c.app.clone())),
                ("user_id", Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.user)))),
                ("group_id", Arc::new(Int64Array::from_iter(calls.iter().map(|c| c.group)))),
                ("scope", texts(&|c| c.scope.clone())),
                ("status", Arc::new(Int32Array::from_iter_values(calls.iter().map(|c| c.status)))),
                ("bytes", Arc::new(Int64Array::from_iter_values(calls.iter().map(|_| 100)))),
            ],
        )
    }

    /// Writes columns of any kind as a Parquet file.
    pub fn columns(&self, path: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        self.columns_in_groups(path, usize::MAX, columns)
    }

    fn columns_in_groups(
        &self,
        path: &str,
        in_group: usize,
        columns: Vec<(&str, ArrayRef)>,
    ) -> PathBuf {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(in_group));
        self.columns_written(path, properties.build(), columns)
    }

    /// The same, written in a way of one's own.
    pub fn columns_written(
        &self,
        path: &str,
        properties: WriterProperties,
        columns: Vec<(&str, ArrayRef)>,
    ) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }

    /// A command in this place, with nothing of the caller's environment but the path.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `afterscope` with these arguments.
    pub fn afterscope(&self, args: &[&str]) -> Outcome {
        Outcome::of(self, self.command(args).output().unwrap())
    }

    /// `afterscope run` with the lake's configuration and [`AS_OF`], and these arguments behind; an
    /// `--as-of` among them takes its place.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.afterscope(&run_args(args))
    }

    /// Runs and expects success; gives the published tables.
    pub fn publishes(&self, args: &[&str]) -> Published {
        self.run(args).succeeds().published()
    }

    /// Runs and expects this exit code, a message with all these texts, and nothing published.
    pub fn refuses(&self, args: &[&str], code: i32, says: &[&str]) -> Outcome {
        let outcome = self.run(args).fails(code, says);
        self.nothing_is_published();
        outcome
    }

    /// No pointer and no manifest anywhere.
    pub fn nothing_is_published(&self) {
        let published: Vec<String> = self
            .files()
            .into_keys()
            .filter(|path| path.ends_with("latest.json") || path.ends_with("manifest.json"))
            .collect();
        assert_eq!(published, Vec::<String>::new());
    }

    /// Every file below with its size and the time it was written.
    pub fn files(&self) -> BTreeMap<String, (u64, SystemTime)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let details = fs::symlink_metadata(&path).unwrap();
                if details.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(self.dir.path()).unwrap();
                    let seen = (details.len(), details.modified().unwrap());
                    found.insert(name.display().to_string(), seen);
                }
            }
        }
        found
    }

    /// What `plan --json` says.
    pub fn plan(&self, args: &[&str]) -> Value {
        let mut all = run_args(args);
        all[0] = "plan";
        all.push("--json");
        let outcome = self.afterscope(&all).succeeds();
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(path)).unwrap()).unwrap()
    }
}

pub fn run_args<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "--config", "afterscope.toml"];
    if !args.contains(&"--as-of") {
        all.extend(["--as-of", AS_OF]);
    }
    all.extend(args);
    all
}

/// Times in microseconds, UTC.
pub fn times<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let micros = texts.map(|text| Some(micros(text?)));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
}

pub fn micros(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

/// Overwrites a file so that size, place and time stay: who opens it afterwards finds rubbish.
pub fn spoil(path: &Path) {
    let details = fs::metadata(path).unwrap();
    let rubbish = vec![b'?'; usize::try_from(details.len()).unwrap()];
    fs::write(path, rubbish).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(details.modified().unwrap())
        .unwrap();
}

/// What a process left behind.
#[derive(Debug)]
pub struct Outcome {
    /// A signal that ended the process counts as 128 and its number, as in a shell.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    place: PathBuf,
}

impl Outcome {
    pub fn of(lake: &Lake, output: Output) -> Self {
        let signal = output.status.signal().map(|s| 128 + s);
        Self {
            code: output.status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            place: lake.path(""),
        }
    }

    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Expects the exit code, nothing on stdout, and every text somewhere in the message.
    pub fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        for text in says {
            assert!(self.stderr.contains(text), "nothing says {text:?} in\n{}", self.stderr);
        }
        self
    }

    /// All of stdout.
    pub fn json_of_all(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}\n{self:#?}"))
    }

    /// The last line of stdout.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}\n{self:#?}"))
    }

    pub fn published(&self) -> Published {
        Published { folder: self.place.join(self.json()["tables"].as_str().unwrap()) }
    }
}

/// Sends a signal (`TERM`, `STOP`) to one process.
pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(status.unwrap().success(), "kill -{name} {process}");
}

/// Looks again and again until `done`; fails after half a minute.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Says on the real stderr that a test did not run; where nothing may be skipped, fails.
pub fn skipped(reason: &str) {
    use std::io::Write;
    // Not `eprintln`: the test harness would swallow it.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
    assert!(std::env::var_os("AFTERSCOPE_NO_SKIPS").is_none(), "skipped: {reason}");
}
