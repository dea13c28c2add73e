//! Addresses as a table's metadata writes them, and paths below the source's folder.

/// The table's own address. What lies below it is looked for below the source's folder, so that a table
/// may be moved as a whole.
#[derive(Clone, Debug)]
pub struct Location(String);

impl Location {
    pub fn new(written: &str) -> Self {
        Self(normal(written))
    }

    /// The path below the table's folder; `None` for a file outside of it.
    pub fn below(&self, address: &str) -> Option<String> {
        let address = normal(address);
        let path = address.strip_prefix(&self.0)?.strip_prefix('/')?;
        let stays = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        stays.then(|| path.to_string())
    }

    /// Whether a folder, as people write its address, is this one.
    pub fn is(&self, folder: &str) -> bool {
        self.0 == normal(folder)
    }
}

/// One spelling of what several writers spell differently: `s3a://`, `file:/`, `./`, a slash at the end.
fn normal(address: &str) -> String {
    let address = address.trim_end_matches('/').trim_start_matches("./");
    if let Some(path) = address.strip_prefix("file:") {
        return format!("/{}", path.trim_start_matches('/'));
    }
    match address.split_once("://") {
        Some(("s3a" | "s3n", rest)) => format!("s3://{rest}"),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_below_the_table_s_own_address() {
        for (location, address, expected) in [
            ("data/t", "data/t/data/a.parquet", Some("data/a.parquet")),
            ("./t", "t/data/a.parquet", Some("data/a.parquet")),
            ("s3://b/t/", "s3a://b/t/metadata/m.avro", Some("metadata/m.avro")),
            (
                "file:/w/t",
                "file:///w/t/data/p=08%3A21/a b.parquet",
                Some("data/p=08%3A21/a b.parquet"),
            ),
            ("/w/t", "file:/w/t/x", Some("x")),
            ("s3://b/t", "s3://b/t2/x", None),
            ("s3://b/t", "s3://b/t", None),
            ("s3://b/t", "gs://b/t/x", None),
            ("/w/t", "/w/t/../other/x", None),
            ("/w/t", "/w/t//x", None),
        ] {
            let found = Location::new(location).below(address);
            assert_eq!(found.as_deref(), expected, "{address}");
        }
    }
}
