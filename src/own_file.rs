//! Files that a run writes beside its output, to places that a user names: a slip in such a name must cost
//! nobody a file.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// The plain file at `path`, to see whose it is; `None` where nothing is there.
///
/// # Errors
/// In words: what is there is no plain file (a link is none: it may lead to a terminal or a table), or cannot
/// be read.
pub fn look(path: &Path) -> Result<Option<File>, String> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
        Ok(found) if !found.is_file() => {
            Err("something else than a plain file is there; name another".into())
        }
        Ok(_) => File::open(path)
            .map(Some)
            .map_err(|e| format!("whose file is there cannot be seen ({e}); name another")),
    }
}
