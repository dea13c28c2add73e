//! The generated pages are what the program would generate, and the README's commands do what it
//! shows.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::lake::{Lake, times};

fn is_generated(page: &str, what: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let written = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/{page}: {e}"));
    let lake = Lake::empty();
    let printed = lake.afterscope(&["schema", what, "--markdown"]).succeeds().stdout;
    assert!(written == printed, "docs/{page} is out of date: run `make docs`");
}

#[test]
fn the_page_of_tables_is_what_the_program_says() {
    is_generated("tables.md", "tables");
}

#[test]
fn the_page_of_frames_is_what_the_program_says() {
    is_generated("frames.md", "frames");
}

#[test]
fn the_page_of_configuration_keys_is_what_the_program_says() {
    is_generated("configuration-keys.md", "config");
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).unwrap()
}

/// The text between the first line that begins with `from` and the next that is `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, after) = text.split_once(&format!("\n{from}\n")).unwrap();
    after.split_once(&format!("\n{to}\n")).unwrap().0
}

/// Runs a command line of the README in the lake's folder.
fn typed(lake: &Lake, line: &str) -> crate::lake::Outcome {
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], "afterscope", "{line}");
    lake.afterscope(&words[1..]).succeeds()
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let readme = readme();
    let lake = Lake::empty();
    let mut run = 0;
    for block in between(&readme, "```console", "```").split("$ ").skip(1) {
        let (command, shown) = block.split_once('\n').unwrap();
        let outcome = typed(&lake, command);
        let printed = format!("{}{}", outcome.stderr, outcome.stdout);
        // The last lines hold a path and an id of the machine.
        let fixed = |line: &&str| !line.starts_with("complete:") && !line.starts_with('{');
        for line in shown.lines().filter(fixed) {
            assert!(printed.lines().any(|l| l.trim_end() == line), "{line:?}\n{printed}");
        }
        run += 1;
    }
    assert_eq!(run, 2);
}

#[test]
fn the_readmes_configuration_and_commands_work_as_they_stand() {
    let readme = readme();
    let lake = Lake::empty();
    let config = between(&readme, "```toml", "```");
    lake.write("afterscope.toml", &config.replacen("/data/access-logs/", "logs/", 1));
    let (_, own) = readme.split_once("## Your own logs").unwrap();
    let indented = |text: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.strip_prefix("    ")).map(str::to_string).collect()
    };
    let lines = indented(own);
    let table = |head: &str| {
        let at = lines.iter().position(|l| l.starts_with(head)).unwrap();
        lines[at..at + 2].join("\n")
    };
    lake.write("scopes.csv", &table("scope,"));
    lake.write("apps.csv", &table("app_id,"));
    let text = |values: &[&'static str]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values.iter()))
    };
    let ids = |values: [i64; 2]| -> ArrayRef { Arc::new(Int64Array::from_iter_values(values)) };
    lake.columns(
        "logs/part-0.parquet",
        vec![
            (
                "event_time",
                times([Some("2018-04-03T10:00:00Z"), Some("2019-10-01T10:00:00Z")].into_iter()),
            ),
            ("client_id", ids([1_140_000_000_000; 2])),
            ("scope", text(&["groups.members.read"; 2])),
            ("user_id", ids([1, 2])),
            ("group_id", ids([10, 11])),
            ("status", ids([200, 200])),
            ("request_id", text(&["a", "b"])),
        ],
    );
    let text = lines.join("\n").replace("\\\n", " ");
    let commands: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("afterscope "))
        .map(|line| line.split(" # ").next().unwrap())
        .collect();
    let (samples, commands): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|line| line.contains("data-samples/"));
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/");
    let sample = |line: &str| typed(&lake, &line.replace("data-samples/", here));
    assert_eq!(samples.len(), 2, "{samples:?}");
    // What `expected/` of the plain sample says.
    assert_eq!(sample(samples[0]).json()["totals"]["requests_allowed"], 2249);
    let seen = sample(samples[1]).stdout;
    assert!(seen.contains("position-deletes") && seen.contains("equality-deletes"), "{seen}");
    assert_eq!(commands.len(), 6, "{commands:?}");
    typed(&lake, commands[0]);
    let outcome = typed(&lake, commands[1]);
    assert_eq!(outcome.json()["totals"]["requests_allowed"], 1);
    assert_eq!(outcome.json()["totals"]["subjects_observed"], 1);
    // What is said of verifying comes after a run.
    assert_eq!(typed(&lake, commands[2]).json()["inputs"]["unchanged"], 3);
    assert_eq!(typed(&lake, commands[3]).json()["recomputed"], true);
    typed(&lake, commands[4]);
    assert!(lake.path("app.json").is_file());
    assert_eq!(typed(&lake, commands[5]).json()["sums"]["requests_allowed"], 1);
}
