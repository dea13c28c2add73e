//! From `afterscope.toml`, flags and environment to a checked [`RunPlan`].
//!
//! Everything that can be wrong without touching data is found here, and all of it at once.
//! Nothing downstream sees an unchecked text.

mod build;
mod database;
pub mod document;
mod kept;
mod people;
mod places;
mod plan;
pub mod raw;
pub mod shape;
mod values;

use std::path::{Path, PathBuf};

use document::{Place, Problem};
use thiserror::Error;

pub use database::LONGEST_NAME;
pub use places::{is_metadata, metadata_of, reader_of, readers, would_be_read, would_be_read_at};
pub use plan::{
    At, CatalogPlan, ColumnPlan, ColumnSource, DatabasePlan, ExpectedPlan, Follows, IcebergPlan,
    IncidentPlan, Kept, MappingPlan, PartitionTimePlan, PeoplePlan, RegistryPlan, RunPlan,
    SnapshotAt, SourcePlan, StatusPlan, TimeFormat, is_run_id,
};
pub use raw::Format;
pub use values::{parse_bytes, referenced, secret};

/// What the command line adds to the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub as_of: String,
    pub set: Vec<String>,
    pub output: Option<String>,
    pub state: Option<String>,
    pub id_key: Option<String>,
    pub follows: Option<String>,
    pub sign_key: Option<String>,
    /// Nothing is signed, whatever the configuration says: its key may not be at hand.
    pub unsigned: bool,
    /// The database beside the output is left as it is.
    pub no_database: bool,
    pub memory_limit: Option<String>,
    pub threads: Option<u32>,
    pub allow_incomplete: bool,
    pub no_pruning: bool,
    /// Everything is counted anew.
    pub recount: bool,
    /// As [`RunPlan::keep_counts_from`], where it is not the usual.
    pub keep_counts_from: Option<u64>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error(
        "cannot read the configuration {path}: {reason}\nname the file with --config, or write one: afterscope init SOURCE proposes one for a lake, afterscope sample groups-2019 OUT makes an example"
    )]
    Unreadable { path: String, reason: String },

    #[error("{}", render(.path, .problems))]
    Invalid { path: String, problems: Vec<Problem> },
}

fn render(path: &str, problems: &[Problem]) -> String {
    let mut out = match problems.len() {
        1 => "the configuration has 1 problem:".to_string(),
        n => format!("the configuration has {n} problems:"),
    };
    for problem in problems {
        let at = match &problem.at {
            Place::Line(line, column) => format!("{path}:{line}:{column}"),
            Place::Argument(argument) => argument.clone(),
            Place::File | Place::Assumed => path.to_string(),
        };
        out.push_str(&format!("\n  {at}: {}", problem.message));
    }
    out
}

/// Reads and checks the configuration.
///
/// # Errors
/// [`ConfigError::Unreadable`] where the file cannot be read, [`ConfigError::Invalid`] with every
/// problem that it has.
pub fn load(path: &Path, overrides: &Overrides) -> Result<RunPlan, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: shown.clone(),
        reason: error.to_string(),
    })?;
    let base = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    from_text(&text, &base, overrides, &|name| std::env::var(name).ok())
        .map_err(|problems| ConfigError::Invalid { path: shown, problems })
}

/// The plan that `text` describes; relative paths are relative to `base`.
///
/// # Errors
/// Every problem found.
pub fn from_text(
    text: &str,
    base: &Path,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<RunPlan, Vec<Problem>> {
    let mut problems = Vec::new();
    let (mut node, whole) = document::parse(text, env, &mut problems);
    for assignment in &overrides.set {
        node.set(assignment, env, &mut problems);
    }
    let mut misshapen = problems.clone();
    shape::check(&node, false, &mut misshapen);
    shape::check(&node, whole, &mut problems);
    // What has a wrong shape is taken out and what is missing is put in, so that the values beside it
    // are looked at too.
    let sound = node.without(&misshapen.iter().map(|p| p.at.clone()).collect());
    let sound = shape::complete(&sound);
    let plan = match serde_json::from_value::<raw::Document>(sound.to_json()) {
        Ok(document) if whole => {
            build::build(&document, &sound, base, overrides, env, &mut problems)
        }
        Ok(_) => {
            build::as_of(overrides, &mut problems);
            None
        }
        Err(error) => {
            if problems.is_empty() {
                problems.push(Problem { at: Place::File, message: error.to_string() });
            }
            build::as_of(overrides, &mut problems);
            None
        }
    };
    problems.retain(|problem| !shape::is_assumed(problem));
    problems.sort();
    problems.dedup();
    match plan {
        Some(mut plan) if problems.is_empty() => {
            let written = sound.as_written().to_json();
            // With defaults, where no variable stands for one of a few words.
            let full = serde_json::from_value::<raw::Document>(written.clone());
            plan.written = full.and_then(serde_json::to_value).unwrap_or(written);
            Ok(plan)
        }
        _ => Err(problems),
    }
}
