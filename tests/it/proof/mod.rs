//! A run that proves itself: roots, evidence, signatures, recomputation, and what a figure comes from.

mod diff;
mod evidence;
mod explain;
mod explain_coverage;
mod explain_places;
mod flips;
mod follows;
mod forged;
mod recompute;
mod roots;
mod signature;
mod verify;

use std::path::PathBuf;

use serde_json::Value;

use crate::lake::{Lake, Outcome};

/// The folder of the latest run below `out/`.
pub fn run_folder(lake: &Lake) -> PathBuf {
    let run = lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string();
    lake.path("out/runs").join(run)
}

pub fn manifest(lake: &Lake) -> Value {
    let text = std::fs::read(run_folder(lake).join("manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Expects exit code 3, a message with these texts, and the verdict on the last line; gives the
/// differences there.
pub fn differs(outcome: &Outcome, says: &[&str]) -> Vec<String> {
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    for text in says {
        assert!(outcome.stderr.contains(text), "nothing says {text:?} in\n{}", outcome.stderr);
    }
    let line = outcome.json();
    assert_eq!(line["verdict"], "differs", "{outcome:#?}");
    let differences = line["differences"].as_array().unwrap();
    assert!(!differences.is_empty());
    differences.iter().map(|d| d.as_str().unwrap().to_string()).collect()
}

/// `verify` that must find nothing; gives its last line.
pub fn holds(lake: &Lake, args: &[&str]) -> Value {
    let all: Vec<&str> = std::iter::once("verify").chain(args.iter().copied()).collect();
    let line = lake.afterscope(&all).succeeds().json();
    assert_eq!(line["verdict"], "holds");
    line
}
