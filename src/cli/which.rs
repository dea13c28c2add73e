//! Which run is meant: its folder or address, an output, its id, or the latest of a configuration's output.

use std::path::Path;

use serde_json::Value;

use super::Failure;
use super::verify::find;
use crate::config::{self, Overrides, RunPlan, is_run_id};
use crate::error::Error;
use crate::publish::{Manifest, merkle};
use crate::store::Io;
use crate::verify::Place;

/// A configuration whose output is looked at, and nothing else of it.
pub fn plan_of(config: &Path) -> Result<RunPlan, Error> {
    // Nothing that is asked of a place depends on it.
    let overrides = Overrides { as_of: "1970-01-01".into(), unsigned: true, ..Default::default() };
    Ok(config::load(config, &overrides)?)
}

/// The run that `run` means, as `verify` and the others find it; or, of the output of `config`, the run of
/// that id, or the latest.
pub fn run_of(run: Option<&str>, config: &Path, io: &Io) -> Result<Place, Failure> {
    match run {
        Some(run) if is_id(run) && !Path::new(run).exists() => {
            let output = plan_of(config)?.output;
            // What is no output is told as that.
            let found = Place::find(&output, io)?;
            Ok(Place::of_run(found.store, run)?)
        }
        Some(address) => find(address, io),
        None => Ok(Place::find(&plan_of(config)?.output, io)?),
    }
}

/// Whether the text has the form of a run's id, `20191106T000000Z-553b66c562e7`.
fn is_id(text: &str) -> bool {
    let hash = |text: &str| text.len() == 12 && text.chars().all(|c| c.is_ascii_hexdigit());
    let parts = text.rsplit_once('-');
    is_run_id(text) && parts.is_some_and(|(at, id)| at.ends_with('Z') && hash(id))
}

/// What a configuration is to be read with so that it is that of a published run: what the command line
/// said then stands in the manifest.
pub fn as_then(manifest: &Manifest, others: Overrides) -> Overrides {
    let option = |name: &str, default: bool| {
        let found = manifest.details.pointer(&format!("/options/{name}"));
        found.and_then(Value::as_bool).unwrap_or(default)
    };
    Overrides {
        as_of: merkle::as_of(&manifest.details).to_string(),
        allow_incomplete: option("allow_incomplete", false),
        no_pruning: !option("pruning", true),
        // What it followed stands in the manifest.
        follows: Some("none".into()),
        ..others
    }
}
