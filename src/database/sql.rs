//! Names and texts as they stand in a statement, and the names that the schema has beside tables.

/// Tables and views that are no table of a run.
const OURS: [&str; 5] = ["afterscope_layout", "runs", "run_tables", "latest_run", "current_runs"];

/// The table that holds every run's rows of a published table.
pub fn history_of(table: &str) -> String {
    format!("history_{table}")
}

/// Every relation that a schema with the tables has: more than one of a name cannot be.
pub fn names_of_ours<'a>(tables: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let of = |table: &'a str| [table.to_string(), history_of(table)];
    OURS.iter().map(|name| (*name).to_string()).chain(tables.into_iter().flat_map(of)).collect()
}

/// A name in a statement.
pub fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text in a statement; the session's `standard_conforming_strings` is on.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_within_names_and_texts_stay_within() {
        assert_eq!(name("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("it's; --"), "'it''s; --'");
    }
}
