//! Events for OpenLineage, and metrics for Prometheus.

mod events;
mod metrics;
pub mod service;
mod trouble;

use serde_json::Value;

use crate::lake::{Lake, Outcome, run_args};

/// Runs with these variables.
fn run_with(lake: &Lake, variables: &[(&str, &str)], args: &[&str]) -> Outcome {
    let mut command = lake.command(&run_args(args));
    command.envs(variables.iter().copied());
    Outcome::of(lake, command.output().unwrap())
}

fn states(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().unwrap()).collect()
}

/// The dataset of an event (`inputs`, `outputs`) whose name ends so.
pub fn dataset<'a>(event: &'a Value, of: &str, end: &str) -> &'a Value {
    let all = event[of].as_array().unwrap();
    let found = all.iter().find(|dataset| dataset["name"].as_str().unwrap().ends_with(end));
    found.unwrap_or_else(|| panic!("no {end} among {of} of {event}"))
}
