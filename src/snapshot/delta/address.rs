//! Paths below a table's folder as the addresses that the kernel works with, and back.

use delta_kernel::{DeltaResult, Error};
use url::Url;

use crate::snapshot::listing::percent_decoded;

/// Stands for the table's folder. The kernel never sees the real address, which may hold more than it
/// should know.
pub const ROOT: &str = "table://root/";

/// Says which checkpoint is the newest: it is written anew with each, and nothing depends on it.
pub const HINT: &str = "_delta_log/_last_checkpoint";

/// # Errors
/// A path that cannot be part of an address.
pub fn url_of(path: &str) -> DeltaResult<Url> {
    let mut url = Url::parse(ROOT)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(path.split('/'));
    }
    Ok(url)
}

/// The path below the folder.
///
/// # Errors
/// An address outside of it.
pub fn path_of(url: &Url) -> DeltaResult<String> {
    let below = url.as_str().strip_prefix(ROOT);
    below
        .map(percent_decoded)
        .ok_or_else(|| Error::unsupported(format!(
                "files outside of the table's folder, as shallow clones have them ({url}); a deep clone has its own"
            )))
}

/// The path of a file as the table's log writes it: an address below the folder, parts of which are
/// escaped.
///
/// # Errors
/// An address outside of the folder.
pub fn path_in_log(written: &str) -> DeltaResult<String> {
    path_of(&Url::parse(ROOT)?.join(written)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_survive_the_way_there_and_back() {
        for path in [
            "a.parquet",
            "p=a b/x y.parquet",
            "p=50%25/q#1?.parquet",
            "ü/z=%20",
            "_delta_log/0.json",
        ] {
            assert_eq!(path_of(&url_of(path).unwrap()).unwrap(), path);
        }
        // The log escapes once more what the file's name holds escaped.
        assert_eq!(path_in_log("p=a%2520b/x.parquet").unwrap(), "p=a%20b/x.parquet");
        assert_eq!(path_in_log("a%3Ab.parquet").unwrap(), "a:b.parquet");
        assert!(path_in_log("s3://other/x.parquet").is_err());
        assert!(path_in_log("file:///x.parquet").is_err());
    }
}
