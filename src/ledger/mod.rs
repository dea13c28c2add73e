//! The rows that matter, sorted by person, in immutable packs.
//!
//! A pack holds facts only: it knows no restriction, no grace, no `as_of`. So a changed registry
//! needs no rescan, and a pack that a crashed run left behind serves the next one.

mod call;
mod chosen;
mod compact;
mod group_rows;
mod merge;
mod order;
pub mod pack;
mod read;
mod repeats;
pub mod shelf;
mod slots;
mod store;
#[cfg(test)]
mod tests;
mod write;

use thiserror::Error;

use crate::store::StoreError;

pub use chosen::{Chosen, Halves};
pub use compact::compact;
pub use merge::{Block, Input, Merge, Merged, Names, Row};
pub use pack::{Lineage, PackFooter, PackUnit};
pub use read::{Cursor, KeyRange, OpenPack};
pub use repeats::{Repeat, Repeats};
pub use store::{Ledger, Pack, Selection, Wanted, counted, kind_of};
pub use write::{PackWriter, WriterSettings};

/// Packs of a source that a run opens; beyond it they are merged first.
pub const FAN_IN: usize = 64;

#[derive(Debug, Error)]
pub enum LedgerError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error("pack {pack}: {reason}\ndelete that file and run again; its rows are then read anew")]
    Damaged { pack: String, reason: String },

    #[error(
        "the state folder {folder} holds files that afterscope did not write ({example})\nname an empty folder with --state, or one that afterscope has written to before"
    )]
    Foreign { folder: String, example: String },

    #[error("{what}\nthis is a bug in afterscope; please report it")]
    Internal { what: String },
}
