//! `manifest.json`: what a run was made from and what it made.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sha256;

/// A manifest. Its last line holds the SHA-256 of all the bytes before that line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub run_id: String,
    /// Hash of the manifest that was the latest before; null for the first.
    pub supersedes: Option<String>,
    pub outputs: Vec<Output>,
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

impl Manifest {
    pub fn render(&self) -> String {
        let pretty = serde_json::to_string_pretty(self).unwrap_or_default();
        let body = pretty.trim_end().trim_end_matches('}').trim_end();
        let body = format!("{body},\n");
        let hash = sha256(body.as_bytes());
        format!("{body}\"sha256\": \"{hash}\"}}\n")
    }

    /// # Errors
    /// Where the text is no manifest, or its hash does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        let (body, last) =
            text.trim_end().rsplit_once('\n').ok_or("it has no line with its hash")?;
        let hash = sha256(format!("{body}\n").as_bytes());
        if last != format!("\"sha256\": \"{hash}\"}}") {
            return Err("its hash does not hold".into());
        }
        serde_json::from_str(text).map_err(|e| e.to_string())
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
            details: serde_json::json!({"as_of": "x"}),
        };
        let text = manifest.render();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.get("as_of"), Some(&Value::from("x")));
        assert!(Manifest::parse(text.as_bytes()).is_ok());
        assert!(Manifest::parse(text.replace("\"x\"", "\"y\"").as_bytes()).is_err());
    }
}
