//! Credentials: asked for where they are missing, and never repeated.

use crate::lake::{Lake, Outcome, run_args};

const SECRET: &str = "hunter2-wJalrXUtnFEMI";

fn says_nothing_of_it(outcome: &Outcome) {
    let all = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn an_s3_log_without_credentials_says_which_to_set() {
    let lake = Lake::standard();
    let says = ["s3://bucket/logs", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "anonymous"];
    lake.refuses(&["--set", "source.0.url=s3://bucket/logs"], 1, &says);
}

#[test]
fn half_of_the_credentials_is_as_good_as_none() {
    let lake = Lake::standard();
    let mut command = lake.command(&run_args(&["--set", "source.0.url=s3://bucket/logs"]));
    command.env("AWS_ACCESS_KEY_ID", "tester");
    let says = ["s3://bucket/logs", "AWS_SECRET_ACCESS_KEY"];
    Outcome::of(&lake, command.output().unwrap()).fails(1, &says);
    lake.nothing_is_published();
}

#[test]
fn an_s3_output_without_credentials_says_which_to_set() {
    let lake = Lake::standard();
    lake.refuses(&["--output", "s3://bucket/out"], 1, &["s3://bucket/out", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn an_s3_registry_without_credentials_says_which_to_set() {
    let lake = Lake::standard();
    let set = "registry.scopes=s3://bucket/scopes.csv";
    lake.refuses(&["--set", set], 1, &["s3://bucket/scopes.csv", "AWS_ACCESS_KEY_ID"]);
}

#[test]
fn credentials_in_the_configuration_are_refused_and_not_repeated() {
    let lake = Lake::standard();
    let url = format!("url = \"s3://AKIA:{SECRET}@bucket/logs\"");
    lake.edit("afterscope.toml", "url = \"logs/\"", &url);
    let says = ["afterscope.toml:3:", "carries credentials", "AWS_SECRET_ACCESS_KEY"];
    says_nothing_of_it(&lake.refuses(&[], 1, &says));
    says_nothing_of_it(&lake.refuses(&["--log-format", "json", "-v"], 1, &["carries credentials"]));
}

#[test]
fn credentials_in_an_argument_are_refused_and_not_repeated() {
    let lake = Lake::standard();
    for flag in ["--output", "--state"] {
        let url = format!("s3://AKIA:{SECRET}@bucket/out");
        says_nothing_of_it(&lake.refuses(&[flag, &url], 1, &[flag, "carries credentials"]));
    }
}

#[test]
fn credentials_in_a_set_are_refused_and_not_repeated() {
    let lake = Lake::standard();
    let set = format!("source.0.url=s3://AKIA:{SECRET}@bucket/logs");
    says_nothing_of_it(&lake.refuses(
        &["--set", &set],
        1,
        &["source.0.url", "carries credentials"],
    ));
}

#[test]
fn a_signed_address_is_refused_and_not_repeated() {
    let lake = Lake::standard();
    let url = format!("url = \"s3://bucket/logs?X-Amz-Signature={SECRET}\"");
    lake.edit("afterscope.toml", "url = \"logs/\"", &url);
    says_nothing_of_it(&lake.refuses(&[], 1, &["afterscope.toml:3:", "`store`"]));
}

#[test]
fn credentials_of_an_unset_variable_do_not_turn_up() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "url = \"logs/\"", "url = \"${LOG_URL}\"");
    let mut command = lake.command(&run_args(&[]));
    command.env("LOG_URL", format!("s3://AKIA:{SECRET}@bucket/logs"));
    let outcome = Outcome::of(&lake, command.output().unwrap()).fails(1, &["carries credentials"]);
    says_nothing_of_it(&outcome);
}

#[test]
fn credentials_in_the_address_of_the_service_are_refused_and_not_repeated() {
    let lake = Lake::standard();
    let store = format!("store = {{ endpoint = \"http://AKIA:{SECRET}@127.0.0.1:9\" }}");
    lake.edit("afterscope.toml", "url = \"out/\"", &format!("url = \"out/\"\n{store}"));
    says_nothing_of_it(&lake.refuses(&[], 1, &["afterscope.toml:24:", "credentials"]));
}

#[test]
fn what_a_variable_holds_is_not_in_the_manifest() {
    let lake = Lake::standard();
    lake.edit("afterscope.toml", "[report]", "[run]\ntemp_dir = \"${FOLDER}\"\n\n[report]");
    lake.edit("afterscope.toml", "app = \"app_id\"", "app = \"${COLUMN}\"");
    let folder = format!("tmp/{SECRET}");
    std::fs::create_dir(lake.path(&folder)).unwrap();
    let mut command = lake.command(&run_args(&["--set", "source.0.name=${WORD}"]));
    command.env("FOLDER", folder).env("COLUMN", "app_id").env("WORD", "access");
    let outcome = Outcome::of(&lake, command.output().unwrap()).succeeds();
    let run = outcome.json()["run_id"].as_str().unwrap().to_string();
    let path = format!("out/runs/{run}/manifest.json");
    let text = std::fs::read_to_string(lake.path(&path)).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let written = &lake.json(&path)["configuration"];
    assert_eq!(written["source"][0]["columns"]["app"], "${COLUMN}");
    assert_eq!(written["source"][0]["name"], "${WORD}");
    assert_eq!(written["run"]["temp_dir"], "${FOLDER}");
    assert_eq!(written["report"]["lookback_days"], 60);
}

/// Whichever command is given it: an address that is none is taken for a path, and messages name paths.
#[test]
fn an_address_with_a_password_is_not_repeated_however_it_is_mistyped() {
    let lake = Lake::standard();
    for address in
        ["https:/user:hunter2@host/x", "user:hunter2@host:/x", "s3://user:hunter2@lake/x"]
    {
        let set = format!("source.0.url={address}");
        let run = run_args(&["--set", &set]);
        let others: [&[&str]; 6] = [
            &["inspect", address],
            &["init", address, "--output", "new"],
            &["verify", address],
            &["runs", "--output", address],
            &["query", "SELECT 1 AS n", "--run", address],
            &["diff", address, "out"],
        ];
        for args in std::iter::once(run.as_slice()).chain(others) {
            let outcome = lake.afterscope(args);
            assert_eq!(outcome.code, 1, "{args:?}: {}", outcome.stderr);
            let said = outcome.stdout + &outcome.stderr;
            assert!(!said.contains("hunter2"), "{args:?}: {said}");
        }
    }
}
