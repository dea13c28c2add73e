//! A query's header comment: what its table is.
//!
//! ```sql
//! -- One row for each restricted scope, and one for all.
//! -- key: grain, scope
//! -- column: requests_allowed | int64 | events | Allowed, exercised events.
//! -- column: apps_capable | int64 | apps | null: No grants are read yet.
//! ```

use serde::Serialize;

/// A table: its grain, key and columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSpec {
    pub name: String,
    /// What one row is.
    pub about: String,
    /// Unique; the table is sorted by it, nulls first.
    pub key: Vec<String>,
    pub columns: Vec<ColumnSpec>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnSpec {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    pub unit: String,
    pub meaning: String,
    /// Always null in this version; `meaning` says why.
    pub always_null: bool,
}

/// Type of a column, as it is written to Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ColumnType {
    #[serde(rename = "string")]
    Text,
    #[serde(rename = "int64")]
    Int,
    #[serde(rename = "float64")]
    Float,
    #[serde(rename = "timestamp[us, UTC]")]
    Time,
    #[serde(rename = "date")]
    Date,
    #[serde(rename = "bool")]
    Bool,
}

impl ColumnType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int64",
            Self::Float => "float64",
            Self::Time => "timestamp[us, UTC]",
            Self::Date => "date",
            Self::Bool => "bool",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::Int, Self::Float, Self::Time, Self::Date, Self::Bool]
            .into_iter()
            .find(|t| t.name() == text)
    }
}

impl TableSpec {
    /// Reads the header of `sql`, the query file `NN_name`.
    ///
    /// # Errors
    /// Says which line cannot be read.
    pub fn parse(file: &str, sql: &str) -> Result<Self, String> {
        let name = file.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').to_string();
        let (mut about, mut key, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for line in sql.lines().map_while(|l| l.strip_prefix("--")).map(str::trim) {
            if let Some(names) = line.strip_prefix("key:") {
                key = names.split(',').map(|n| n.trim().to_string()).collect();
            } else if let Some(column) = line.strip_prefix("column:") {
                columns.push(ColumnSpec::parse(column)?);
            } else if columns.is_empty() {
                about.push(line);
            } else if let (Some(last), false) = (columns.last_mut(), line.is_empty()) {
                last.meaning = format!("{} {line}", last.meaning);
            }
        }
        if key.is_empty() || columns.is_empty() {
            return Err("its header has no key or no columns".into());
        }
        if let Some(lost) = key.iter().find(|k| !columns.iter().any(|c| c.name == **k)) {
            return Err(format!("its key names `{lost}`, which is no column"));
        }
        Ok(Self { name, about: about.join(" ").trim().to_string(), key, columns })
    }
}

impl ColumnSpec {
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.splitn(4, '|').map(str::trim).collect();
        let [name, data_type, unit, meaning] = parts.as_slice() else {
            return Err(format!("write `column: name | type | unit | meaning`, not `{text}`"));
        };
        let data_type =
            ColumnType::parse(data_type).ok_or(format!("unknown type `{data_type}`"))?;
        let (always_null, meaning) = match meaning.strip_prefix("null:") {
            Some(reason) => (true, format!("Null in this version: {}", reason.trim())),
            None => (false, (*meaning).to_string()),
        };
        Ok(Self {
            name: (*name).to_string(),
            data_type,
            unit: (*unit).to_string(),
            meaning,
            always_null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::QUERIES;
    use super::*;

    #[test]
    fn every_query_says_what_its_table_is() {
        for (file, sql) in QUERIES {
            let spec = TableSpec::parse(file, sql).unwrap();
            assert!(spec.columns.iter().any(|c| c.name == "grain"), "{file} has no grain");
            assert!(!spec.about.is_empty(), "{file}");
        }
    }
}
