//! The program from outside on each kind of store: the same tables as from disk.

use serde_json::Value;

use super::servers::{Azurite, FakeGcs, Web};
use crate::lake::{Lake, Outcome, assert_same, call, run_args};

/// The standard lake, with a name that wants escapes, and its tables as of a run on disk.
fn lake() -> (Lake, std::collections::BTreeMap<String, Vec<u8>>) {
    let lake = Lake::standard();
    lake.log("logs/dt=2019-07-04/a b+c%20.parquet", &[call("2019-07-04T08:00:00Z", "app-3", 9)]);
    let tables = lake.publishes(&["--output", "on-disk"]).bytes();
    (lake, tables)
}

/// Files of the lake that are read.
fn inputs(lake: &Lake) -> Vec<(String, Vec<u8>)> {
    let names = lake.files().into_keys().filter(|n| n.starts_with("logs/") || n.ends_with(".csv"));
    names
        .filter(|n| !n.contains('/') || n.starts_with("logs/"))
        .map(|name| (name.clone(), std::fs::read(lake.path(&name)).unwrap()))
        .collect()
}

/// Runs on `root` as the place of logs and registry; gives what `verify --inputs` says, too.
fn runs_the_same(
    root: &str,
    env: &[(&str, String)],
    lake: &Lake,
    expected: &std::collections::BTreeMap<String, Vec<u8>>,
) -> Value {
    let set = [
        format!("source.0.url={root}/logs/"),
        format!("registry.scopes={root}/scopes.csv"),
        format!("registry.apps={root}/apps.csv"),
    ];
    let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let ask = |args: &[&str]| {
        let mut command = lake.command(args);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        Outcome::of(lake, command.output().unwrap())
    };
    let ran = ask(&run_args(&args)).succeeds();
    assert_same(expected, &ran.published().bytes());
    let verified = ask(&["verify", "out", "--inputs"]).succeeds();
    // Four logs and two registry files.
    assert_eq!(verified.json()["inputs"]["unchanged"], 6, "{verified:#?}");
    let manifest = ran.published().folder.with_file_name("manifest.json");
    serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap()
}

#[test]
#[ignore = "slow"]
fn a_log_on_azure_gives_the_tables_that_disk_gives() {
    let Some(azurite) = Azurite::start("lake") else { return };
    let (lake, expected) = lake();
    let folder = tempfile::tempdir().unwrap();
    let place = super::Place::new("az://lake", azurite.options(folder.path()), 0);
    for (name, bytes) in inputs(&lake) {
        place.put("", &name, &bytes);
    }
    let key = Azurite::KEY.to_string();
    let env = [
        ("AZURE_STORAGE_ACCOUNT_NAME", Azurite::ACCOUNT.to_string()),
        ("AZURE_STORAGE_ACCOUNT_KEY", key.clone()),
        ("AZURE_STORAGE_ENDPOINT", azurite.endpoint()),
    ];
    let manifest = runs_the_same("az://lake", &env, &lake, &expected);
    assert!(!manifest.to_string().contains(&key));
    // As the `az` command and Azure's libraries are told of an account.
    let all = format!(
        "AccountName={};AccountKey={key};BlobEndpoint={};",
        Azurite::ACCOUNT,
        azurite.endpoint()
    );
    lake_again(&lake);
    runs_the_same("az://lake", &[("AZURE_STORAGE_CONNECTION_STRING", all)], &lake, &expected);

    // A signature is part of each request's address: it is not repeated where the service refuses it.
    let set = "source.0.url=az://lake/logs/";
    let mut command = lake.command(&run_args(&["--as-of", "2019-08-01", "--set", set]));
    command.envs([env[0].clone(), env[2].clone()]);
    command.env("AZURE_STORAGE_SAS_TOKEN", "sv=2021-08-06&se=2030-01-01&sr=c&sp=rl&sig=hunter2");
    let outcome = Outcome::of(&lake, command.output().unwrap()).fails(1, &["az://lake/logs"]);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);

    // And as a place to write to.
    let args =
        run_args(&["--output", "az://lake/results/out", "--state", "az://lake/results/state"]);
    let run = || {
        let mut command = lake.command(&args);
        command.envs(env.clone());
        Outcome::of(&lake, command.output().unwrap()).succeeds().json()
    };
    let line = run();
    let tables = line["tables"].as_str().unwrap();
    let below = tables.strip_prefix("az://lake/").unwrap();
    let store = place.open(below);
    for (name, bytes) in &expected {
        assert!(store.read(name).unwrap().unwrap().0 == *bytes, "{name}");
    }
    assert_eq!(run()["reused"], true);
}

/// Forgets what earlier runs left, so that the next reads everything.
fn lake_again(lake: &Lake) {
    std::fs::remove_dir_all(lake.path("out")).unwrap();
}

#[test]
#[ignore = "slow"]
fn a_log_on_google_cloud_storage_gives_the_tables_that_disk_gives() {
    let Some(gcs) = FakeGcs::start("lake") else { return };
    let (lake, expected) = lake();
    for (name, bytes) in inputs(&lake) {
        gcs.put(&name, &bytes);
    }
    let key = lake.write("home/key.json", &gcs.key());
    let env =
        [("GOOGLE_SERVICE_ACCOUNT", key.display().to_string()), ("GOOGLE_BASE_URL", gcs.address())];
    let manifest = runs_the_same("gs://lake", &env, &lake, &expected);
    let files = manifest["sources"][0]["files"].as_array().unwrap();
    assert!(files.iter().all(|f| f["url"].as_str().unwrap().starts_with("gs://lake/logs/dt=")));
}

#[test]
fn a_log_on_a_web_server_gives_the_tables_that_disk_gives() {
    let Some(web) = Web::start(&[]) else { return };
    let (lake, expected) = lake();
    for (name, bytes) in inputs(&lake) {
        web.put(&name, &bytes);
    }
    let manifest = runs_the_same(&web.address(), &[], &lake, &expected);
    let last = &manifest["sources"][0]["files"][3]["url"];
    let name = "/logs/dt=2019-07-04/a%20b+c%2520.parquet";
    assert_eq!(*last, format!("{}{name}", web.address()));
}

#[test]
fn a_server_without_listings_gives_single_files_and_says_so_of_folders() {
    let Some(web) = Web::start(&["--plain"]) else { return };
    let lake = Lake::standard();
    for (name, bytes) in inputs(&lake) {
        web.put(&name, &bytes);
    }
    let set = |below: &str| format!("source.0.url={}/logs/{below}", web.address());
    let line = lake.run(&["--set", &set("dt=2019-07-01/part-0.parquet")]).succeeds().json();
    assert_eq!(line["totals"]["requests_allowed"], 4);
    let url = format!("{}/logs/dt=2019-07-01/part-0.parquet", web.address());
    let rows = lake.afterscope(&["inspect", &url, "--rows", "all", "--quiet"]).succeeds().stdout;
    assert_eq!(rows.lines().count(), 4, "{rows}");
    std::fs::remove_dir_all(lake.path("out")).unwrap();
    let says = ["has no listing", "PROPFIND", "name a single file", "check the source's url"];
    for glob in ["", "*/*.parquet"] {
        let outcome = lake.refuses(&["--set", &set(glob)], 1, &says);
        // What is wrong with which object, and what to do, on lines of their own.
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines[0].ends_with("the server has no listing (WebDAV's PROPFIND)"), "{lines:?}");
        assert!(lines[1].starts_with("name a single file"), "{lines:?}");
    }
    let says = ["is not there", "ends in /"];
    lake.refuses(&["--set", &set("dt=2019-07-09/part-0.parquet")], 1, &says);
}

#[test]
fn a_server_whose_files_have_no_version_is_refused() {
    for (option, says) in
        [("--untagged", "no ETag"), ("--weak", "a weak ETag"), ("--whole", "Range request")]
    {
        let Some(web) = Web::start(&[option]) else { return };
        let lake = Lake::standard();
        for (name, bytes) in inputs(&lake) {
            web.put(&name, &bytes);
        }
        let set = format!("source.0.url={}/logs/", web.address());
        let outcome = lake.refuses(&["--set", &set], 1, &[says, &web.address()]);
        let next = |line: &str| line.starts_with("use a server that gives strong ETags");
        assert!(option == "--whole" || outcome.stderr.lines().any(next), "{outcome:#?}");
    }
}

#[test]
fn a_token_is_sent_to_a_web_server_and_never_shown() {
    const TOKEN: &str = "hunter2-wJalrXUtnFEMI";
    let Some(web) = Web::start(&["--token", TOKEN]) else { return };
    let (lake, expected) = lake();
    for (name, bytes) in inputs(&lake) {
        web.put(&name, &bytes);
    }
    let set = format!("source.0.url={}/logs/", web.address());
    let denied = "status code: 401 Unauthorized\ngive this user the rights";
    lake.run(&["--set", &set]).fails(1, &["`access`", &web.address(), denied]);
    let reference = "source.0.store.bearer_token=env:LOG_TOKEN";
    let mut command = lake.command(&run_args(&["-v", "--set", &set, "--set", reference]));
    command.env("LOG_TOKEN", TOKEN);
    let outcome = Outcome::of(&lake, command.output().unwrap()).succeeds();
    assert_same(&expected, &outcome.published().bytes());
    let manifest = outcome.published().folder.with_file_name("manifest.json");
    let text = std::fs::read_to_string(manifest).unwrap();
    for text in [&text, &outcome.stderr, &outcome.stdout] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(text.contains("env:LOG_TOKEN"));
}

/// As they come from a file of variables that was written on another system.
#[test]
fn credentials_with_a_line_end_are_told_by_their_name() {
    let lake = Lake::standard();
    for (name, url) in [
        ("AWS_SESSION_TOKEN", "s3://bucket/logs/"),
        ("AZURE_STORAGE_TOKEN", "az://account/container/logs/"),
    ] {
        let set = format!("source.0.url={url}");
        let mut command = lake.command(&run_args(&["--set", &set]));
        command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env(name, "hunter2\r");
        let outcome = Outcome::of(&lake, command.output().unwrap());
        let outcome = outcome.fails(1, &[name, "a line end", "take it out"]);
        assert!(!outcome.stderr.contains("hunter2"), "{outcome:#?}");
    }
    let mut command = lake.command(&run_args(&["--set", "source.0.url=gs://bucket/logs/"]));
    command.env("GOOGLE_SERVICE_ACCOUNT_KEY", "\"hunter2\"");
    let outcome = Outcome::of(&lake, command.output().unwrap());
    let outcome = outcome.fails(1, &["GOOGLE_SERVICE_ACCOUNT_KEY", "no JSON object"]);
    assert!(!outcome.stderr.contains("hunter2"), "{outcome:#?}");
}
