//! The database beside the output, as far as it can be checked without asking it.

use super::build::Builder;
use super::plan::DatabasePlan;
use super::raw::Postgres;
use crate::moment::parse_duration;

/// Longer names are cut by the server, in bytes (NAMEDATALEN).
pub const LONGEST_NAME: usize = 63;

/// Microseconds in the unit of the server's time-outs.
const MICROS: i64 = 1000;

impl Builder<'_> {
    /// `None` where something is wrong with it.
    pub(super) fn database(&mut self, raw: &Postgres) -> Option<DatabasePlan> {
        let at = |key: &'static str| ["output", "postgres", key];
        let url = self.take(&at("url"), self.reference(&raw.url));
        let length = raw.schema.len();
        let schema = match length {
            0 => Err("a schema must have a name".to_string()),
            _ if length > LONGEST_NAME => Err(format!(
                "the schema's name has {length} bytes, and PostgreSQL's names have at most {LONGEST_NAME}"
            )),
            _ if raw.schema.contains('\0') => Err("a schema's name cannot hold U+0000".into()),
            _ => Ok(raw.schema.clone()),
        };
        let schema = self.take(&at("schema"), schema);
        let timeout = parse_duration(&raw.lock_timeout).map(|micros| micros / MICROS);
        let timeout = timeout.and_then(|ms| match i32::try_from(ms) {
            Ok(1..) => Ok(ms),
            _ => Err(format!(
                "`{}` is no time to wait for locks: write one from 1s to 24d, such as 60s",
                raw.lock_timeout
            )),
        });
        let lock_timeout_ms = self.take(&at("lock_timeout"), timeout);
        Some(DatabasePlan { url: url?, schema: schema?, lock_timeout_ms: lock_timeout_ms? })
    }

    /// A reference that leads to the same from anywhere.
    fn reference(&self, text: &str) -> Result<String, String> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = std::path::absolute(self.base.join(path)).map_err(|e| e.to_string())?;
            return Ok(format!("file:{}", path.display()));
        }
        if text.starts_with("env:") {
            return Ok(text.to_string());
        }
        Err("output.postgres.url is given by reference, not itself: env:NAME or file:PATH (a password that stood here must be changed: it stood in a file)".into())
    }
}
