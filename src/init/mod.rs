//! A first configuration for a lake that nobody has described yet: what is seen of it, which columns seem to hold
//! what, and the files to fill in. Nothing is guessed in silence: what is proposed says from what it was taken, and
//! what is doubtful stays open.

mod column;
mod columns;
mod draft;
mod facts;
mod fit;
mod forms;
mod look;
mod mapping;
mod names;
mod people;
mod propose;
mod quoting;
mod registry;
mod rivals;
mod role;
mod rows;
mod status;
mod tally;
mod tried;
mod values;
mod words;
mod write;
mod written;

pub use draft::Draft;
pub use facts::facts;
pub use look::{Bounds, Seen, look};
pub use names::names_people;
pub use propose::{Candidate, Proposal, Verdict, propose};
pub use registry::files;
pub use role::Role;
pub use tried::{Tried, tried};
pub use write::{check, write};

/// The configuration's name.
pub const CONFIGURATION: &str = "afterscope.toml";

/// `1,234,567`.
fn number(count: u64) -> String {
    crate::report::number(i64::try_from(count).unwrap_or(i64::MAX))
}
