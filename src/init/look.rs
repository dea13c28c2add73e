//! What is seen of a lake: its files, and the columns of a sample of rows.

use std::collections::{BTreeMap, BTreeSet};

use super::column::Column;
use super::rows::Walk;
use crate::config::{At, Format};
use crate::error::Error;
use crate::inspect::{Inspected, Listed, Place, Taken};
use crate::moment::Zone;
use crate::scan::Progress;
use crate::store::{Io, StoreUrl};

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Files that are opened; all where nothing is said.
    pub files: Option<usize>,
    /// Rows that are read of them.
    pub rows: Option<u64>,
    /// Bytes of memory.
    pub memory_limit: u64,
}

/// Values of a sample, rows times columns, that are looked at where nobody asks for all rows.
const VALUES: u64 = 20_000_000;

/// A lake, seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub url: StoreUrl,
    pub format: Format,
    /// The version of the table.
    pub version: Option<u64>,
    pub warnings: Vec<String>,
    pub listed: Listed,
    pub opened: u64,
    pub taken: Taken,
    pub columns: Vec<Column>,
    /// Columns, and parts of them, that no configuration can name.
    pub unnamed: Vec<String>,
}

impl Seen {
    /// Whether every row was read.
    pub fn is_whole(&self) -> bool {
        self.opened == self.listed.files && self.taken.rows == self.taken.rows_of_opened
    }
}

/// Looks at a lake; what is opened of it knows which places lie in it.
///
/// # Errors
/// As [`Inspected::of`] and [`Inspected::sample`].
pub fn look(
    url: StoreUrl,
    bounds: Bounds,
    io: &Io,
    progress: &Progress,
) -> Result<(Seen, Inspected), Error> {
    let place = Place::detect(url.clone(), At::Latest, io)?;
    let most = bounds.files.unwrap_or(usize::MAX);
    let limits = (bounds.memory_limit, most);
    let (listed, inspected) = Inspected::of_some(place, Zone::UTC, io, progress, limits)?;
    let told = inspected.inspection();
    let count = told.columns.len();
    let most_rows = VALUES / (count.max(1) as u64);
    let rows = bounds.rows.map(|rows| rows.min(most_rows.max(1)));
    let mut walk = Walk::new(count, bounds.memory_limit / 8);
    let taken = inspected.sample(rows, progress, |rows| {
        walk.add(rows);
        Ok(())
    })?;
    let unnamed = std::mem::take(&mut walk.unnamed).into_iter().collect();
    let in_folders: BTreeSet<&str> = listed.partitions.iter().map(|of| of.name.as_str()).collect();
    let without: BTreeMap<&str, u64> = told
        .columns
        .iter()
        // A folder's value stands for all its rows.
        .filter(|column| !in_folders.contains(column.name.as_str()))
        .map(|column| (column.name.as_str(), column.files_without))
        .collect();
    let columns = walk.finish(&without);
    let seen = Seen {
        url,
        format: told.format,
        version: told.version,
        warnings: told.warnings,
        opened: told.files,
        listed,
        taken,
        columns,
        unnamed,
    };
    Ok((seen, inspected))
}
