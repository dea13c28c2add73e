//! Which version of a table is read, and what may be doubtful about that.

use std::sync::Arc;

use delta_kernel::history_manager::{HistoryCommitType, latest_version_as_of};
use delta_kernel::{DeltaResult, Snapshot as Version};

use super::address;
use super::engine::Engine;
use super::history::Commits;
use crate::config::At;
use crate::moment::Moment;

/// The version that is read.
pub struct Choice {
    pub version: Arc<Version>,
    by_moment: Option<ByMoment>,
}

/// What a moment was compared with.
struct ByMoment {
    asked: Moment,
    latest: u64,
    /// When the latest was made, in milliseconds: by its in-commit timestamp where the table keeps these, else by
    /// the time of its file.
    latest_at: i64,
}

impl Choice {
    /// # Errors
    /// No table, a version that is not there (any more), storage failures.
    pub fn make(at: &At, engine: &Engine) -> DeltaResult<Self> {
        let latest = || Version::builder_for(address::ROOT).build(engine);
        let numbered =
            |number| Version::builder_for(address::ROOT).at_version(number).build(engine);
        match at {
            At::Latest => Ok(Self { version: latest()?, by_moment: None }),
            At::Version(number) => Ok(Self { version: numbered(*number)?, by_moment: None }),
            At::Moment(asked) => {
                let latest = latest()?;
                let kind = HistoryCommitType::Recreatable;
                let latest_at = latest.get_timestamp(engine)?;
                let found = latest_version_as_of(&latest, engine, millis(*asked), kind)?;
                let by = ByMoment { asked: *asked, latest: latest.version(), latest_at };
                let version = if found.version == by.latest {
                    latest
                } else {
                    // What was read of later versions is no part of this one.
                    engine.files_read();
                    numbered(found.version)?
                };
                Ok(Self { version, by_moment: Some(by) })
            }
        }
    }

    /// The last version whose commit tells something of the choice.
    pub fn until(&self) -> u64 {
        self.by_moment.as_ref().map_or(self.version.version(), |by| by.latest)
    }

    /// What a reader must know of why it is this version, a sentence each.
    pub fn doubts(&self, commits: &Commits) -> Vec<String> {
        let Some(by) = &self.by_moment else { return Vec::new() };
        let (number, asked) = (self.version.version(), by.asked.to_rfc3339());
        let mut doubts = Vec::new();
        if millis(by.asked) > by.latest_at {
            doubts.push(format!(
                "`timestamp` {asked} is later than version {number}, the latest, of {}: that one is read, and of versions that were made since another run may read a later one; `version = {number}` holds it",
                of_millis(by.latest_at)
            ));
        }
        if let Some(told) = commits.instead_of(number, by.asked) {
            doubts.push(format!(
                "`timestamp` {asked} chooses version {number} by the times of the log's files, and {told} by the times that the commits themselves tell: files that were copied have the time of the copy; name the `version` that is meant"
            ));
        }
        doubts
    }
}

fn millis(of: Moment) -> i64 {
    of.micros.div_euclid(1000)
}

/// A moment of the log, for messages.
pub fn of_millis(millis: i64) -> String {
    Moment::from_micros(millis.saturating_mul(1000)).to_rfc3339()
}
