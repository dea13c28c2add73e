//! What a schema holds.

use std::collections::BTreeMap;

use super::error::DatabaseError;
use super::session::Work;

/// Tables and views of a schema, by name.
#[derive(Debug, Default)]
pub struct Present {
    pub relations: BTreeMap<String, Relation>,
    /// Whether the schema itself is there.
    pub schema: bool,
}

#[derive(Debug, Default)]
pub struct Relation {
    pub is_view: bool,
    /// Name and type, as `format_type` writes it, in their order.
    pub columns: Vec<(String, String)>,
}

const RELATIONS: &str = "
    SELECT c.relname::text, c.relkind IN ('v', 'm'), a.attname::text,
           format_type(a.atttypid, a.atttypmod)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY c.relname, a.attnum";

impl Present {
    /// # Errors
    /// Those of the connection.
    pub fn read(work: &Work<'_, '_>, schema: &str) -> Result<Self, DatabaseError> {
        let doing = "looking at the schema";
        let there = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
        let there = work.row(doing, there, &[&schema])?;
        let mut found = Self { schema: work.value(&there, 0)?, ..Self::default() };
        for row in work.rows(doing, RELATIONS, &[&schema])? {
            let relation = found.relations.entry(work.value(&row, 0)?).or_default();
            relation.is_view = work.value(&row, 1)?;
            let (name, data_type): (Option<String>, Option<String>) =
                (work.value(&row, 2)?, work.value(&row, 3)?);
            relation.columns.extend(name.zip(data_type));
        }
        Ok(found)
    }
}
