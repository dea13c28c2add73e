//! Services that are down, slow or wrong, files that cannot be written, settings that cannot be used: a warning
//! and a counter, and the run as it would be without.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::service::{Does, Service, events_of};
use super::{run_with, states};
use crate::lake::{Lake, Outcome, run_args, skipped};

/// What a run of the standard lake gives, with lineage that does not arrive.
fn goes_on(variables: &[(&str, &str)], says: &str) -> Outcome {
    let lake = Lake::standard();
    let outcome = run_with(&lake, variables, &[]).succeeds();
    let line = outcome.json();
    assert_eq!(line["totals"]["requests_allowed"], 6);
    assert_eq!(outcome.stdout.lines().count(), 1, "{}", outcome.stdout);
    let about: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains("lineage")).collect();
    assert_eq!(about.len(), 1, "{about:?}");
    assert!(about[0].starts_with("warning: ") && about[0].contains(says), "{about:?}");
    outcome
}

fn loses_all(variables: &[(&str, &str)], says: &str) -> Outcome {
    let outcome = goes_on(variables, says);
    assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 0, "lost": 3}));
    outcome
}

fn time_of(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// How much longer a run takes than one without lineage.
fn delay(work: impl FnOnce()) -> Duration {
    let without = time_of(|| drop(Lake::standard().run(&[]).succeeds()));
    time_of(work).saturating_sub(without)
}

#[test]
fn a_service_that_is_down_costs_a_warning() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let delay = delay(|| {
        let says = format!("3 of 3 lineage events did not reach {url}/api/v1/lineage");
        let outcome = loses_all(&[("OPENLINEAGE_URL", &url)], &says);
        assert!(outcome.stderr.contains("refused"), "{}", outcome.stderr);
    });
    assert!(delay < Duration::from_secs(3), "{delay:?}");
}

#[test]
fn a_service_that_never_answers_costs_two_seconds() {
    let service = Service::new(Does::Nothing);
    let delay = delay(|| {
        loses_all(&[("OPENLINEAGE_URL", &service.url)], "no answer 2 s after the run was over");
    });
    assert!(delay < Duration::from_millis(3500), "{delay:?}");
    // It was asked, and nothing but the first event was on its way.
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn of_a_slow_service_the_last_event_arrives() {
    let lake = Lake::standard();
    let service = Service::new(Does::TakeAfter(Duration::from_millis(800)));
    let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &service.url)], &[]).succeeds();
    let events = service.events();
    let states = states(&events);
    assert_eq!((states.first(), states.last()), (Some(&"START"), Some(&"COMPLETE")));
    assert_eq!(outcome.json()["effort"]["lineage"]["sent"], events.len());
}

#[test]
fn a_service_that_fails_costs_a_warning() {
    let service = Service::new(Does::Answer("500 Internal Server Error"));
    loses_all(&[("OPENLINEAGE_URL", &service.url)], "(500 Internal Server Error)");
    // The last one was at least tried.
    let last: Value = serde_json::from_str(&service.requests().last().unwrap().body).unwrap();
    assert_eq!(last["eventType"], "COMPLETE");
}

#[test]
fn a_key_that_is_refused_is_shown_nowhere() {
    let service = Service::new(Does::Answer("401 Unauthorized"));
    let lake = Lake::standard();
    let key = "hunter2hunter2";
    let variables = [("OPENLINEAGE_URL", service.url.as_str()), ("OPENLINEAGE_API_KEY", key)];
    let outcome = run_with(&lake, &variables, &["-v", "--metrics", "run.prom"]).succeeds();
    assert!(outcome.stderr.contains("(401 Unauthorized)"), "{}", outcome.stderr);
    // What is refused is refused again: nothing is tried twice.
    assert_eq!(service.requests().len(), 3);
    assert!(service.requests().iter().all(|r| r.has(&format!("authorization: Bearer {key}"))));
    assert!(!format!("{outcome:?}").contains(key));
    for (name, _) in lake.files() {
        let bytes = fs::read(lake.path(&name)).unwrap();
        assert!(!bytes.windows(key.len()).any(|w| w == key.as_bytes()), "{name}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Service::new(Does::Take);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let answer = format!("{status}\r\nlocation: {}/api/v1/lineage", other.url);
        let service = Service::new(Does::Answer(Box::leak(answer.into_boxed_str())));
        let variables =
            [("OPENLINEAGE_URL", service.url.as_str()), ("OPENLINEAGE_API_KEY", "hunter2")];
        loses_all(&variables, "another address, which is not followed");
    }
    assert!(other.requests().is_empty());
}

#[test]
fn settings_that_cannot_be_used_are_named_and_not_repeated() {
    for (name, value, says) in [
        ("OPENLINEAGE_URL", "hunter2", "OPENLINEAGE_URL is no address such as"),
        ("OPENLINEAGE_URL", "http://", "OPENLINEAGE_URL is no address such as"),
        ("OPENLINEAGE_URL", "http://me:hunter2@host", "OPENLINEAGE_URL carries credentials"),
        ("OPENLINEAGE_URL", "ftp://host/hunter2", "no http://, https:// or file://"),
        ("OPENLINEAGE__TRANSPORT__TYPE", "kafka", "none of http, file and noop"),
        (
            "OPENLINEAGE__TRANSPORT",
            "type: http, hunter2",
            "OPENLINEAGE__TRANSPORT is no JSON object",
        ),
        ("OPENLINEAGE__TRANSPORT", "[\"hunter2\"]", "OPENLINEAGE__TRANSPORT is no JSON object"),
    ] {
        let outcome = loses_all(&[(name, value)], says);
        assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
    }
    let url = "http://127.0.0.1:1";
    let key = [("OPENLINEAGE_URL", url), ("OPENLINEAGE_API_KEY", "hunter2\nx")];
    assert!(!format!("{:?}", loses_all(&key, "no request can carry")).contains("hunter2"));
    for path in ["events?key=hunter2", "events#hunter2"] {
        let plain = [("OPENLINEAGE_URL", url), ("OPENLINEAGE_ENDPOINT", path)];
        let transport = [
            ("OPENLINEAGE__TRANSPORT__TYPE", "http"),
            ("OPENLINEAGE__TRANSPORT__URL", url),
            ("OPENLINEAGE__TRANSPORT__ENDPOINT", path),
        ];
        for variables in [&plain[..], &transport] {
            let says = format!("{} takes no ? or #", variables.last().unwrap().0);
            let outcome = loses_all(variables, &says);
            assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:?}");
        }
    }
}

#[test]
fn a_transport_that_is_no_json_does_not_give_way_to_the_address() {
    let service = Service::new(Does::Take);
    let url = ("OPENLINEAGE_URL", service.url.as_str());
    loses_all(&[url, ("OPENLINEAGE__TRANSPORT", "{\"type\": \"noop\"")], "is no JSON object");
    assert!(service.requests().is_empty());
    let json = json!({"type": "http", "url": service.url, "endpoint": "events"}).to_string();
    let lake = Lake::standard();
    run_with(&lake, &[("OPENLINEAGE__TRANSPORT", &json)], &[]).succeeds();
    assert_eq!(states(&service.events()), ["START", "RUNNING", "COMPLETE"]);
    assert_eq!(service.requests()[0].head[0], "POST /events HTTP/1.1");
}

#[test]
fn a_root_without_a_parent_is_a_warning() {
    let service = Service::new(Does::Take);
    let root = "prod/reports/0193a5c1-7e2f-7b1a-8c3d-000000000000";
    let variables =
        [("OPENLINEAGE_URL", service.url.as_str()), ("OPENLINEAGE_ROOT_PARENT_ID", root)];
    let says = "OPENLINEAGE_ROOT_PARENT_ID is set without OPENLINEAGE_PARENT_ID";
    let outcome = goes_on(&variables, says);
    assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 3, "lost": 0}));
    for event in service.events() {
        assert_eq!(event["run"]["facets"]["parent"], Value::Null);
    }
}

#[test]
fn nobody_who_does_not_ask_gets_events() {
    let lake = Lake::standard();
    let service = Service::new(Does::Take);
    let off = [("OPENLINEAGE_URL", service.url.as_str()), ("OPENLINEAGE_DISABLED", "true")];
    for variables in [&off[..], &[]] {
        let outcome = run_with(&lake, variables, &[]).succeeds();
        assert_eq!(outcome.json()["effort"]["lineage"], Value::Null);
        assert!(!outcome.stderr.contains("lineage"), "{}", outcome.stderr);
    }
    assert!(service.requests().is_empty());
}

#[test]
fn a_file_gets_a_line_for_each_event_of_each_run() {
    let lake = Lake::standard();
    let path = lake.path("lineage.ndjson");
    let path = path.to_str().unwrap();
    let url = format!("file://{path}");
    run_with(&lake, &[("OPENLINEAGE_URL", &url)], &[]).succeeds();
    let variables = [
        ("OPENLINEAGE__TRANSPORT__TYPE", "file"),
        ("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", path),
        ("OPENLINEAGE__TRANSPORT__APPEND", "true"),
    ];
    let outcome = run_with(&lake, &variables, &[]).succeeds();
    assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 3, "lost": 0}));
    let whole = json!({"type": "file", "log_file_path": path, "append": true}).to_string();
    run_with(&lake, &[("OPENLINEAGE__TRANSPORT", &whole)], &[]).succeeds();
    let events = events_of(&fs::read_to_string(path).unwrap());
    let each = ["START", "RUNNING", "COMPLETE"];
    assert_eq!(states(&events), [each, each, each].concat());
    assert_ne!(events[0]["run"]["runId"], events[3]["run"]["runId"]);
}

#[test]
fn without_append_each_event_is_a_file() {
    let lake = Lake::standard();
    let path = lake.path("events").display().to_string();
    let variables = [
        ("OPENLINEAGE__TRANSPORT__TYPE", "file"),
        ("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", path.as_str()),
    ];
    run_with(&lake, &variables, &[]).succeeds();
    let named = |name: &String| name.starts_with("events-") && name.ends_with(".json");
    let files: Vec<String> = lake.files().into_keys().filter(named).collect();
    let text: Vec<String> =
        files.iter().map(|name| fs::read_to_string(lake.path(name)).unwrap()).collect();
    assert_eq!(states(&events_of(&text.concat())), ["START", "RUNNING", "COMPLETE"]);
}

#[test]
fn a_file_that_cannot_be_written_costs_a_warning() {
    loses_all(&[("OPENLINEAGE_URL", "file:///nowhere/lineage.ndjson")], "No such file");
    for device in ["file:///dev/full", "file:///dev/stdout"] {
        loses_all(&[("OPENLINEAGE_URL", device)], "something else than a plain file");
    }
}

#[test]
fn a_file_that_holds_no_events_gets_none() {
    let lake = Lake::standard();
    let told = lake.path("told");
    lake.write("told", "");
    let url = format!("file://{}", told.display());
    let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &url)], &[]).succeeds();
    assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 3, "lost": 0}));
    let manifest = format!("out/runs/{}/manifest.json", outcome.json()["run_id"].as_str().unwrap());
    lake.write("list.json", "[{\"eventType\": \"START\"}]\n");
    lake.write("later.json", "{\"a\": 1}\n{\"eventType\": \"START\"}\n");
    symlink(&told, lake.path("link")).unwrap();
    for file in [
        "afterscope.toml",
        "scopes.csv",
        "logs/dt=2019-07-01/part-0.parquet",
        "out/latest.json",
        "out/latest/scope_summary.parquet",
        manifest.as_str(),
        "list.json",
        "later.json",
        "link",
    ] {
        let bytes = fs::read(lake.path(file)).unwrap();
        let path = lake.path(file).display().to_string();
        // A path may hold what an address writes otherwise.
        let variables = [
            ("OPENLINEAGE__TRANSPORT__TYPE", "file"),
            ("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", path.as_str()),
            ("OPENLINEAGE__TRANSPORT__APPEND", "true"),
        ];
        let outcome = run_with(&lake, &variables, &[]).succeeds();
        assert_eq!(outcome.json()["effort"]["lineage"]["sent"], 0, "{file}");
        let other =
            if file == "link" { "something else than a plain file" } else { "no lineage events" };
        let why = format!("lineage events did not reach {path}: ");
        assert!(
            outcome.stderr.contains(&why) && outcome.stderr.contains(other),
            "{}",
            outcome.stderr
        );
        assert!(fs::read(lake.path(file)).unwrap() == bytes, "{file}");
    }
}

/// A disk that does not answer: whoever writes to the file waits for six seconds, and strace with them at the end.
#[test]
fn a_file_that_cannot_be_written_in_time_holds_up_no_run() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|said| said.status.success()) {
        return skipped("strace is not there: no file can be made to wait");
    }
    let lake = Lake::standard();
    let path = lake.path("lineage.ndjson");
    // It is there: only then its name is known of every call.
    lake.write("lineage.ndjson", "");
    let mut run = lake.command(&run_args(&[]));
    run.env("OPENLINEAGE_URL", format!("file://{}", path.display()));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=write", "-P"]).arg(&path);
    command.args(["-e", "inject=write:delay_enter=6000000", "-o", "log"]);
    command.arg(run.get_program()).args(run.get_args());
    command.current_dir(run.get_current_dir().unwrap()).env_clear();
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let delay = delay(|| {
        let outcome = Outcome::of(&lake, command.output().unwrap()).succeeds();
        let says = format!(
            "3 of 3 lineage events did not reach {}: it cannot be written in time",
            path.display()
        );
        assert!(outcome.stderr.contains(&says), "{}", outcome.stderr);
        assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 0, "lost": 3}));
    });
    assert!(delay < Duration::from_secs(10), "{delay:?}");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_no_run() {
    let lake = Lake::standard();
    let pipe = lake.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let url = format!("file://{}", pipe.display());
    let delay = delay(|| {
        let outcome = run_with(&lake, &[("OPENLINEAGE_URL", &url)], &[]).succeeds();
        assert_eq!(outcome.json()["effort"]["lineage"], json!({"sent": 0, "lost": 3}));
    });
    assert!(delay < Duration::from_millis(3500), "{delay:?}");
}
