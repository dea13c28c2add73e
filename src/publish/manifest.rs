//! `manifest.json`: what a run was made from and what it made.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::merkle::Merkle;
use crate::seal::{seal, unseal};

/// A manifest. Its last line holds the SHA-256 of all the bytes before that line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub run_id: String,
    /// Hash of the manifest that was the latest before; null for the first.
    pub supersedes: Option<String>,
    pub outputs: Vec<Output>,
    pub merkle: Merkle,
    /// Everything else: version, as_of, configuration, inputs, packs, rows, totals.
    #[serde(flatten)]
    pub details: Value,
}

/// A file of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Below the run's folder.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: String,
}

impl Output {
    /// Whether it is a table's CSV file: what rows are proven by.
    pub fn is_csv_table(&self) -> bool {
        table_of(&self.path).is_some()
    }
}

/// The table of which a file of a run, by its path, is the CSV file.
pub fn table_of(path: &str) -> Option<&str> {
    path.strip_prefix("tables/")?.strip_suffix(".csv")
}

impl Manifest {
    pub fn render(&self) -> String {
        seal(&serde_json::to_string_pretty(self).unwrap_or_default())
    }

    /// # Errors
    /// Where the text is no manifest, or its hash does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut manifest: Self = serde_json::from_str(unseal(bytes)?).map_err(|e| e.to_string())?;
        // The last line is none of its content.
        manifest.details.as_object_mut().map(|details| details.shift_remove("sha256"));
        Ok(manifest)
    }
}

impl Manifest {
    /// Names of the tables.
    pub fn tables(&self) -> BTreeSet<String> {
        let names = self.outputs.iter().filter_map(|output| {
            let name = output.path.strip_prefix("tables/")?;
            name.strip_suffix(".parquet").map(str::to_string)
        });
        names.collect()
    }

    /// The tables' Parquet files, by the names of the tables.
    pub fn parquet_tables(&self) -> impl Iterator<Item = (&str, &Output)> {
        self.outputs.iter().filter_map(|output| {
            let file = output.path.strip_prefix("tables/")?;
            Some((file.strip_suffix(".parquet")?, output))
        })
    }

    /// Whether both say the same of one run. Which run was the latest before may differ, and which
    /// packs served: of two runs at once, each may have written its own.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let of = |manifest: &Self| {
            let mut details = manifest.details.clone();
            for source in
                details.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten()
            {
                source.as_object_mut().map(|source| source.shift_remove("packs"));
            }
            (manifest.run_id.clone(), manifest.outputs.clone(), manifest.merkle.clone(), details)
        };
        of(self) == of(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_json_and_its_last_line_proves_the_rest() {
        let manifest = Manifest {
            run_id: "r".into(),
            supersedes: None,
            outputs: Vec::new(),
            merkle: Merkle::over("r", "x", Vec::new()),
            details: serde_json::json!({"as_of": "x"}),
        };
        let text = manifest.render();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.get("as_of"), Some(&Value::from("x")));
        let parsed = Manifest::parse(text.as_bytes()).unwrap();
        assert!(parsed.says_the_same(&manifest));
        assert_eq!(parsed.render(), text);
        assert!(Manifest::parse(text.replace("\"x\"", "\"y\"").as_bytes()).is_err());
    }
}
