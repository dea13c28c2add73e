//! A published table as the database has it: columns, types, key and comments.

use arrow::datatypes::{DataType, Schema, TimeUnit};

use super::{sql, views};
use crate::config::LONGEST_NAME;
use crate::impact::TableSpec;

/// Columns that stand before those of the table.
const FIRST: [(&str, &str, &str); 2] = [
    ("run_id", "text", "The run that published the row (runs.run_id)."),
    ("as_of", "timestamp with time zone", "The end of the run's report, not included."),
];

/// Columns that a table may have (MaxHeapAttributeNumber).
const MOST_COLUMNS: usize = 1600;

/// Names of the columns that the server gives to every table.
const TAKEN: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// A table of the schema that holds the rows of every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// As published; the table is `history_<table>`, the view of the latest run `<table>`.
    pub table: String,
    pub about: String,
    pub columns: Vec<Column>,
    /// Unique within a run, by an index; empty where nothing is, or texts are.
    key: Vec<String>,
    /// Whether a column of the key may be null.
    key_has_nulls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// As `format_type` writes it.
    pub data_type: &'static str,
    pub comment: String,
}

impl Shape {
    /// The table of a Parquet file; `spec` is what is known of it, none of an own query's.
    ///
    /// # Errors
    /// Names and types that a database cannot have.
    pub fn of(table: &str, schema: &Schema, spec: Option<&TableSpec>) -> Result<Self, String> {
        let mut columns: Vec<Column> = FIRST
            .iter()
            .map(|(name, data_type, comment)| Column {
                name: (*name).into(),
                data_type,
                comment: (*comment).into(),
            })
            .collect();
        let count = schema.fields().len() + FIRST.len();
        if count > MOST_COLUMNS {
            return Err(format!(
                "table `{table}` would have {count} columns, and PostgreSQL's tables have at most {MOST_COLUMNS}; select fewer in the query"
            ));
        }
        for field in schema.fields() {
            let name = field.name();
            if name.is_empty() || name.contains('\0') {
                return Err(format!(
                    "table `{table}` has a column whose name is empty or holds U+0000, and PostgreSQL has none such; give it another with AS in the query"
                ));
            }
            if TAKEN.contains(&name.as_str()) {
                return Err(format!(
                    "table `{table}` has a column `{name}`, as every table of PostgreSQL has one of its own; give it another name in the query"
                ));
            }
            if name.len() > LONGEST_NAME {
                return Err(format!(
                    "column `{name}` of table `{table}` has a name of {} bytes, and PostgreSQL's names have at most {LONGEST_NAME}; give it a shorter one in the query",
                    name.len()
                ));
            }
            if columns.iter().any(|column| column.name == *name) {
                return Err(format!(
                    "table `{table}` has a column `{name}`, which the database puts in front of every table; give it another name in the query"
                ));
            }
            let data_type = type_of(field.data_type()).ok_or_else(|| {
                format!(
                    "column `{name}` of table `{table}` is {}, which no table holds",
                    field.data_type()
                )
            })?;
            let known = spec.and_then(|spec| spec.columns.iter().find(|c| c.name == *name));
            let of_query = || "Of a query of the configuration (report.queries).".to_string();
            let comment = known.map_or_else(of_query, |c| match c.unit.as_str() {
                "" => c.meaning.clone(),
                unit => format!("{unit}: {}", c.meaning),
            });
            columns.push(Column { name: name.clone(), data_type, comment });
        }
        let key = spec.map(|spec| spec.key.clone()).unwrap_or_default();
        let may_be_null = |name: &String| {
            let column = spec.and_then(|spec| spec.columns.iter().find(|c| c.name == *name));
            column.is_none_or(|column| column.meaning.to_lowercase().contains("null"))
        };
        let key_has_nulls = key.iter().any(may_be_null);
        // Ids come from logs and may be of any length, and an index holds 2,704 bytes of a row: one long id would
        // keep a run out for good. That each key stands once was seen to when the table was published.
        let is_text = |name: &String| {
            columns.iter().any(|column| column.name == *name && column.data_type == "text")
        };
        let key = if key.iter().any(is_text) { Vec::new() } else { key };
        let about =
            spec.map_or_else(|| "A query of the configuration.".into(), |s| s.about.clone());
        Ok(Self { table: table.to_string(), about, columns, key, key_has_nulls })
    }

    /// Statements that make the table, empty, with its comments.
    pub fn create(&self, schema: &str) -> Vec<String> {
        let history = self.history(schema);
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|c| {
                let must = if FIRST.iter().any(|f| f.0 == c.name) { " NOT NULL" } else { "" };
                format!("{} {}{must}", sql::name(&c.name), c.data_type)
            })
            .collect();
        parts.push(format!(
            "FOREIGN KEY (run_id) REFERENCES {}.runs ON DELETE CASCADE",
            sql::name(schema)
        ));
        let key: Vec<String> = std::iter::once("run_id")
            .chain(self.key.iter().map(String::as_str))
            .map(sql::name)
            .collect();
        let key = key.join(", ");
        match (self.key.is_empty(), self.key_has_nulls) {
            (true, _) => {}
            (false, false) => parts.push(format!("PRIMARY KEY ({key})")),
            (false, true) => parts.push(format!("UNIQUE NULLS NOT DISTINCT ({key})")),
        }
        let mut statements = vec![format!("CREATE TABLE {history} ({})", parts.join(", "))];
        if self.key.is_empty() {
            statements.push(format!("CREATE INDEX ON {history} (run_id)"));
        }
        statements.push(format!(
            "COMMENT ON TABLE {history} IS {}",
            sql::literal(&format!("{} Of every run.", self.about))
        ));
        statements.extend(self.comments(schema, &self.columns));
        statements
    }

    /// Statements that add columns which the table lacks.
    pub fn add(&self, schema: &str, columns: &[Column]) -> Vec<String> {
        let history = self.history(schema);
        let add = columns.iter().map(|c| {
            format!("ALTER TABLE {history} ADD COLUMN {} {}", sql::name(&c.name), c.data_type)
        });
        add.chain(self.comments(schema, columns)).collect()
    }

    fn comments(&self, schema: &str, columns: &[Column]) -> Vec<String> {
        let history = self.history(schema);
        columns
            .iter()
            .map(|c| {
                let (name, text) = (sql::name(&c.name), sql::literal(&c.comment));
                format!("COMMENT ON COLUMN {history}.{name} IS {text}")
            })
            .collect()
    }

    /// Statements that make the view of the latest run anew, with the columns in the table's order.
    pub fn view(&self, schema: &str, order: &[String]) -> Vec<String> {
        let view = format!("{}.{}", sql::name(schema), sql::name(&self.table));
        let mut statements = vec![
            format!(
                "CREATE OR REPLACE VIEW {view} AS {}",
                views::selects(schema, &self.table, order)
            ),
            format!(
                "COMMENT ON VIEW {view} IS {}",
                sql::literal(&format!("{} Of the latest run.", self.about))
            ),
        ];
        for column in &self.columns {
            let (name, text) = (sql::name(&column.name), sql::literal(&column.comment));
            statements.push(format!("COMMENT ON COLUMN {view}.{name} IS {text}"));
        }
        statements
    }

    /// The table's name in a statement.
    pub fn history(&self, schema: &str) -> String {
        format!("{}.{}", sql::name(schema), sql::name(&sql::history_of(&self.table)))
    }
}

/// The type of the same values.
fn type_of(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Utf8 => "text",
        DataType::Int64 => "bigint",
        DataType::Float64 => "double precision",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp with time zone",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impact::{Table, built_in};

    /// By hand from the headers: the one key without a text.
    #[test]
    fn tables_whose_keys_hold_no_texts_get_a_primary_key() {
        let mut primary = Vec::new();
        for spec in built_in().unwrap().iter().filter_map(|query| query.spec.as_ref()) {
            let shape = Shape::of(&spec.name, &Table::schema(spec), Some(spec)).unwrap();
            let statements = shape.create("bi").join(";\n");
            assert!(statements.contains("FOREIGN KEY (run_id)"), "{statements}");
            match statements.contains("PRIMARY KEY (\"run_id\"") {
                true => primary.push(spec.name.clone()),
                false => assert!(statements.contains("CREATE INDEX ON"), "{statements}"),
            }
        }
        assert_eq!(primary, ["dim_date"]);
    }
}
