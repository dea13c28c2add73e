//! A PostgreSQL server in a folder of its own, on a free port of the loopback, ended with its test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::lake::{Lake, Outcome, run_args, signal, skipped, wait_until};
use crate::stores::servers::{free_port, python};

/// The server's first user, and the password of every user.
pub const BOSS: &str = "boss";
pub const PASSWORD: &str = "pass@word:of/the?test#only";

/// How [`PASSWORD`] is written in an address.
pub const ESCAPED: &str = "pass%40word%3Aof%2Fthe%3Ftest%23only";

/// The variable that holds the address.
pub const VARIABLE: &str = "AFTERSCOPE_TEST_DATABASE";

pub struct Postgres {
    process: Child,
    pub port: u16,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: nothing of it is needed any more.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// The programs of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").is_file().then_some((version, bin))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Whom the server runs as: it refuses to run as root.
pub fn server_user() -> Option<(u32, u32)> {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let ids = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    ids("postgres").or_else(|| ids("nobody"))
}

impl Postgres {
    /// `None`, with the reason said, where it is not installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("there is no /usr/lib/postgresql/*/bin: install the package postgresql");
            return None;
        };
        python()?;
        let folder = tempfile::tempdir().unwrap();
        let user = server_user();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
            let password = folder.path().join("password");
            std::os::unix::fs::chown(password, Some(user), Some(group)).unwrap();
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command
        };
        let made = command("initdb")
            .args(["-D", "data", "-U", BOSS, "--pwfile=password", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command("postgres")
            .args(["-D", "data", "-p", &port.to_string(), "-k"])
            .arg(folder.path())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "min_wal_size=2MB", "-c", "max_wal_size=32MB"])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { process, port, programs, folder };
        wait_until("PostgreSQL", || {
            server.psql("postgres", "SELECT 1").status().unwrap().success()
        });
        server.sql("postgres", "CREATE DATABASE bi");
        Some(server)
    }

    /// A statement in a database, as the first user.
    pub fn psql(&self, database: &str, statement: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-U", BOSS, "-d", database, "-c", statement])
            .env("PGPASSWORD", PASSWORD)
            .env("PGTZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a statement gives; it must succeed.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = self.psql(database, statement).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}\n{said}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_string()
    }

    /// All that a schema holds, as pg_dump writes it.
    pub fn dump(&self, schema: &str) -> String {
        let output = Command::new(self.programs.join("pg_dump"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", BOSS, "-n", schema, "bi"])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // A key of the dump alone, another one each time.
        text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// A user with the password of all.
    pub fn user(&self, name: &str) {
        self.sql("bi", &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"));
    }

    /// An address of the database `bi`.
    pub fn url(&self, user: &str, parameters: &str) -> String {
        format!("postgresql://{user}:{ESCAPED}@127.0.0.1:{}/bi{parameters}", self.port)
    }

    /// The server's folder: its user may write there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the server read its settings and pg_hba.conf again.
    pub fn reload(&self) {
        signal("HUP", self.process.id());
    }

    /// Appends to a file of the server's.
    pub fn append(&self, file: &str, text: &str) {
        use std::io::Write;
        let path = self.folder().join("data").join(file);
        fs::File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// A file that the server alone may read.
    pub fn give(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = server_user() {
            std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
        }
    }
}

/// `afterscope run` of a lake, with the database at this address.
pub fn command(lake: &Lake, url: &str, args: &[&str]) -> Command {
    let reference = format!("output.postgres.url=env:{VARIABLE}");
    let mut command = lake.command(&run_args(&[&["--set", reference.as_str()], args].concat()));
    command.env(VARIABLE, url);
    command
}

/// Runs it. Nothing that it says or leaves behind holds the password.
pub fn run(lake: &Lake, url: &str, args: &[&str]) -> Outcome {
    let outcome = Outcome::of(lake, command(lake, url, args).output().unwrap());
    for said in [&outcome.stdout, &outcome.stderr] {
        assert!(!said.contains(PASSWORD) && !said.contains(ESCAPED), "{said}");
    }
    outcome
}

/// The run's tables and those of the database are the same, as DuckDB sees both: `from` is the schema's relation
/// for a table, with a condition.
pub fn assert_holds(server: &Postgres, schema: &str, tables: &Path, from: impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copied = |file: &str, query: &str| {
        let to = "TO STDOUT (FORMAT csv, HEADER, NULL '\\N', FORCE_QUOTE *)";
        let text = server.sql("bi", &format!("COPY ({query}) {to}"));
        fs::write(folder.path().join(format!("{file}.csv")), text + "\n").unwrap();
    };
    copied(
        "types",
        &format!(
            "SELECT substr(table_name, 9), column_name, data_type FROM information_schema.columns
             WHERE table_schema = '{schema}' AND table_name LIKE 'history\\_%'"
        ),
    );
    let mut count = 0;
    for entry in fs::read_dir(tables).unwrap() {
        let path = entry.unwrap().path();
        let table = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let columns = server.sql(
                "bi",
                &format!(
                    "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
                     FROM information_schema.columns WHERE table_schema = '{schema}'
                       AND table_name = 'history_{table}' AND column_name NOT IN ('run_id', 'as_of')"
                ),
            );
            copied(table, &format!("SELECT {columns} FROM {}", from(table)));
            count += 1;
        }
    }
    assert!(count >= 17, "{count}");
    let compared = Command::new(python().unwrap().parent().unwrap().join("python"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/database/same.py"))
        .args([tables, folder.path()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stdout);
    assert!(compared.status.success(), "{said}{}", String::from_utf8_lossy(&compared.stderr));
}
