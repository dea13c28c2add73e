//! Help, schemas, completions and man pages.

use std::fs;

use serde_json::Value;

use crate::lake::{CONFIG, Lake};

const COMMANDS: [&str; 11] = [
    "run",
    "plan",
    "init",
    "inspect",
    "query",
    "runs",
    "show",
    "sample",
    "schema",
    "state",
    "completions",
];

#[test]
fn help_lists_every_command_and_exit_code() {
    let lake = Lake::empty();
    let help = lake.afterscope(&["--help"]).succeeds();
    assert_eq!(help.stderr, "");
    for command in COMMANDS {
        let listed = help.stdout.lines().any(|line| line.trim_start().starts_with(command));
        assert!(listed, "{command} is not in\n{}", help.stdout);
    }
    for code in ["0 complete", "1 ", "2 usage", "3 input", "4 ", "130/143"] {
        assert!(help.stdout.contains(code), "exit code {code:?} is not in\n{}", help.stdout);
    }
    let longest = help.stdout.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(100), "{longest:?}");
}

#[test]
fn help_of_every_command_shows_an_example() {
    let lake = Lake::empty();
    for command in COMMANDS {
        let help = lake.afterscope(&[command, "--help"]).succeeds().stdout;
        if command != "state" {
            assert!(help.contains(&format!("afterscope {command} ")), "{help}");
        }
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    let version = Lake::empty().afterscope(&["--version"]).succeeds().stdout;
    assert_eq!(version, format!("afterscope {}\n", env!("CARGO_PKG_VERSION")));
}

/// Paths of all keys of a TOML text, without array indexes.
fn keys(value: &toml::Value, path: &str, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, found);
                found.push(path);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| keys(item, path, found)),
        _ => {}
    }
}

#[test]
fn the_schema_of_the_configuration_knows_every_key_that_is_used_here() {
    let lake = Lake::empty();
    let printed = lake.afterscope(&["schema", "config"]).succeeds().stdout;
    let schema: Value = serde_json::from_str(&printed).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert_eq!(schema["additionalProperties"], false);
    let markdown = lake.afterscope(&["schema", "config", "--markdown"]).succeeds().stdout;
    let mut found = Vec::new();
    keys(&toml::from_str(CONFIG).unwrap(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for key in found {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let title = if table.is_empty() { "Top level".into() } else { format!("`[{table}]`") };
        let (_, section) = markdown.split_once(&format!("\n## {title}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert!(section.contains(&format!("| `{name}` |")), "{key} is not in\n{section}");
    }
}

#[test]
fn completions_know_every_command() {
    let lake = Lake::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = lake.afterscope(&["completions", shell]).succeeds();
        assert_eq!(script.stderr, "");
        for command in COMMANDS.iter().chain(&["--as-of"]) {
            let word = command.trim_start_matches("--");
            assert!(script.stdout.contains(word), "{shell} does not know {command}");
        }
    }
    let script = lake.write("completions.bash", &lake.afterscope(&["completions", "bash"]).stdout);
    let checked = std::process::Command::new("bash").arg("-n").arg(script).status().unwrap();
    assert!(checked.success(), "bash cannot read the script");
    lake.afterscope(&["completions", "tcl"]).fails(2, &["tcl"]);
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let lake = Lake::empty();
    let outcome = lake.afterscope(&["man", "pages"]).succeeds();
    assert_eq!(outcome.stdout, "");
    let names: Vec<String> = ["afterscope.1".to_string()]
        .into_iter()
        .chain(COMMANDS.iter().map(|command| format!("afterscope-{command}.1")))
        .collect();
    for name in names {
        let page = fs::read_to_string(lake.path(&format!("pages/{name}"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH NAME"), "{name}");
    }
    lake.write("taken", "mine");
    lake.afterscope(&["man", "taken"]).fails(1, &["taken"]);
}

#[test]
fn output_that_nobody_reads_to_the_end_is_no_failure() {
    let lake = Lake::empty();
    let mut child = lake.command(&["schema", "config"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
