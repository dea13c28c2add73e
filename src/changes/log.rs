//! From which cause each changed figure comes: the old report is counted again step by step, and each step
//! lets one cause in.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, StringArray};
use arrow::error::ArrowError;
use bytes::Bytes;
use thiserror::Error;

use super::causes::Cause;
use super::compare::{Change, compare, only_one};
use crate::impact::{ChangeRow, ImpactError, Table, is_dimension};

/// The tables of a report as Parquet files, by name.
pub type Tables = BTreeMap<String, Bytes>;

/// A count between the old report and the new one, or the new one itself.
#[derive(Debug)]
pub struct Step {
    /// What this step lets in, beside what those before it did. Several where they could not be told apart;
    /// none where the step must give what the one before gave.
    pub causes: Vec<Cause>,
    pub tables: Tables,
}

#[derive(Debug, Error)]
pub enum Unexplained {
    #[error("{0}")]
    Impact(#[from] ImpactError),

    #[error("table {table} cannot be compared: {error}")]
    Compare { table: String, error: ArrowError },

    #[error(
        "{count} figures are not those of the report that this one follows, and nothing that they were made from has changed:\n{shown}\nthe earlier report, or what was kept for it, was altered, or this is a bug in afterscope; look at it with `afterscope verify` and `afterscope diff` before either report is used"
    )]
    NoCause { count: usize, shown: String },
}

/// Changes of a row, or of a table, one after another.
type Chain = Vec<(Change, Vec<Cause>)>;

/// Collects what changes from step to step.
pub struct Log {
    /// Keys of the tables that have one.
    keys: BTreeMap<String, Vec<String>>,
    first: Tables,
    last: Tables,
    chains: BTreeMap<(String, Option<String>), Chain>,
}

impl Log {
    /// `old` are the tables of the report that is followed.
    pub fn new(keys: BTreeMap<String, Vec<String>>, old: Tables) -> Self {
        Self { keys, last: old.clone(), first: old, chains: BTreeMap::new() }
    }

    /// Takes the next step.
    ///
    /// # Errors
    /// Tables that cannot be read, and changes without a cause.
    pub fn push(&mut self, step: Step) -> Result<(), Unexplained> {
        let changes = self.between(&self.last, &step.tables)?;
        if step.causes.is_empty() {
            no_cause(&changes)?;
        }
        for change in changes {
            let chain = self.chains.entry((change.table.clone(), change.key.clone())).or_default();
            chain.push((change, step.causes.clone()));
        }
        self.last = step.tables;
        Ok(())
    }

    /// What the last step's tables have that the old ones do not, with its causes.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(self) -> Result<Vec<ChangeRow>, Unexplained> {
        let mut entries = Vec::new();
        let mut bare = Vec::new();
        for change in self.between(&self.first, &self.last)? {
            let chain = self.chains.get(&(change.table.clone(), change.key.clone()));
            let chain = chain.map(Vec::as_slice).unwrap_or_default();
            let own: Vec<_> = chain.iter().filter(|(c, _)| c.column == change.column).collect();
            let meets = own.windows(2).all(|pair| match pair {
                [(a, _), (b, _)] => a.new == b.old,
                _ => true,
            });
            let ends = own.first().is_some_and(|(first, _)| first.old == change.old)
                && own.last().is_some_and(|(last, _)| last.new == change.new);
            let is_value = !change.column.starts_with('(');
            if is_value && meets && ends {
                for ((change, causes), step) in own.into_iter().zip(1..) {
                    entries.push(row(change.clone(), step, either(causes)));
                }
                continue;
            }
            // What only one report has comes from all that moved it; so does a value whose row was gone
            // between.
            let mut reasons: Vec<String> = chain.iter().map(|(_, causes)| either(causes)).collect();
            reasons.dedup();
            let mut seen = BTreeSet::new();
            reasons.retain(|reason| seen.insert(reason.clone()));
            if reasons.is_empty() {
                bare.push(change);
            } else {
                entries.push(row(change, 1, reasons.join(" and ")));
            }
        }
        no_cause(&bare)?;
        Ok(entries)
    }

    /// Whether a table of changes says something else than what `new` has and the old tables do not. Its
    /// reasons are believed.
    ///
    /// # Errors
    /// Tables that cannot be read.
    pub fn contradicts(&self, said: &Table, new: &Tables) -> Result<Option<String>, Unexplained> {
        let column = |name: &str| said.batch.column_by_name(name).map(|c| c.as_string::<i32>());
        let columns = ["table", "key", "column", "old", "new"].map(column);
        let [Some(table), Some(key), Some(name), Some(old), Some(after)] = columns else {
            return Ok(Some("change_log has other columns".into()));
        };
        let of =
            |array: &StringArray, row| array.is_valid(row).then(|| array.value(row).to_string());
        let mut told: BTreeMap<_, Change> = BTreeMap::new();
        for row in 0..said.batch.num_rows() {
            let change = Change {
                table: table.value(row).to_string(),
                key: of(key, row),
                column: name.value(row).to_string(),
                old: of(old, row),
                new: of(after, row),
            };
            let place = (change.table.clone(), change.key.clone(), change.column.clone());
            told.entry(place)
                .and_modify(|first| first.new.clone_from(&change.new))
                .or_insert(change);
        }
        for change in self.between(&self.first, new)? {
            let place = (change.table.clone(), change.key.clone(), change.column.clone());
            if told.remove(&place).as_ref() != Some(&change) {
                return Ok(Some(format!("change_log does not say that {}", shown(&change))));
            }
        }
        Ok(told.values().next().map(|change| format!("change_log says that {}", shown(change))))
    }

    /// Changes between two states of all tables.
    fn between(&self, old: &Tables, new: &Tables) -> Result<Vec<Change>, Unexplained> {
        let mut changes = Vec::new();
        let is_looked_at = |name: &&String| !is_dimension(name);
        for name in old.keys().filter(is_looked_at).filter(|name| !new.contains_key(*name)) {
            changes.push(only_one(name, None, "table", true));
        }
        for (name, after) in new.iter().filter(|(name, _)| is_looked_at(name)) {
            let Some(before) = old.get(name) else {
                changes.push(only_one(name, None, "table", false));
                continue;
            };
            if before == after {
                continue;
            }
            let (a, b) =
                (Table::read_back(name, before.clone())?, Table::read_back(name, after.clone())?);
            let key = self.keys.get(name).map(Vec::as_slice);
            let found = compare(&a, &b, key)
                .map_err(|error| Unexplained::Compare { table: name.clone(), error })?;
            changes.extend(found.into_iter().filter(|change| !about_changes(change)));
        }
        Ok(changes)
    }
}

/// Figures that say themselves what changed since the report before: they belong to one report only.
const ABOUT_CHANGES: [(&str, &str); 3] = [
    ("coverage", "files_late"),
    ("coverage", "files_changed"),
    ("deletion_verification", "rows_late"),
];

/// Whether a change is about what changed, and no figure.
pub fn about_changes(change: &Change) -> bool {
    ABOUT_CHANGES.contains(&(change.table.as_str(), change.column.as_str()))
}

fn row(change: Change, step: u64, reason: String) -> ChangeRow {
    let grain = match (&change.key, change.column.as_str()) {
        (_, "(row)") => "row",
        (_, "(table)") => "table",
        (None, _) => "column",
        _ => "value",
    };
    let Change { table, key, column, old, new } = change;
    ChangeRow { grain, table, key, column, step, old, new, reason }
}

fn either(causes: &[Cause]) -> String {
    causes.iter().map(|cause| cause.name()).collect::<Vec<_>>().join(" or ")
}

fn no_cause(changes: &[Change]) -> Result<(), Unexplained> {
    const SHOWN: usize = 5;
    if changes.is_empty() {
        return Ok(());
    }
    let lines = changes.iter().take(SHOWN).map(|change| format!("  {}", shown(change)));
    let shown = lines.collect::<Vec<_>>().join("\n");
    Err(Unexplained::NoCause { count: changes.len(), shown })
}

fn shown(change: &Change) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
    let Change { table, key, column, old, new } = change;
    let key = key.as_deref().map(|key| format!("{key} ")).unwrap_or_default();
    format!("{table} {key}{column} was {} and is {}", value(old), value(new))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;

    use super::*;

    fn tables(rows: Rows<'_>) -> Tables {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
        let batch = RecordBatch::try_from_iter([("app", ids), ("people", values)]).unwrap();
        let file = Table { name: "t".into(), batch }.parquet().unwrap();
        [("t".to_string(), file.bytes)].into()
    }

    type Rows<'a> = &'a [(&'a str, i64)];

    fn log(old: Rows<'_>, steps: &[(&[Cause], Rows<'_>)]) -> Result<Vec<String>, Unexplained> {
        let mut log = Log::new([("t".to_string(), vec!["app".to_string()])].into(), tables(old));
        for (causes, rows) in steps {
            log.push(Step { causes: causes.to_vec(), tables: tables(rows) })?;
        }
        let shown = |value: Option<String>| value.unwrap_or("-".into());
        let entries = log.finish()?.into_iter().map(|row| {
            let ChangeRow { key, column, step, old, new, reason, .. } = row;
            format!("{} {column} {step} {}>{} {reason}", shown(key), shown(old), shown(new))
        });
        Ok(entries.collect())
    }

    #[test]
    fn a_figure_is_followed_through_its_causes() {
        let found = log(
            &[("a", 1), ("b", 5), ("c", 7), ("d", 1)],
            &[
                (&[], &[("a", 1), ("b", 5), ("c", 7), ("d", 1)]),
                (&[Cause::Policy], &[("a", 2), ("b", 5), ("c", 8), ("e", 1)]),
                (&[Cause::LateFile], &[("a", 4), ("b", 6), ("c", 7), ("e", 2)]),
            ],
        );
        assert_eq!(
            found.unwrap(),
            [
                "app=a people 1 1>2 policy change",
                "app=a people 2 2>4 late file",
                "app=b people 1 5>6 late file",
                // c is what it was.
                "app=d (row) 1 there>- policy change",
                "app=e (row) 1 ->there policy change and late file",
            ]
        );
    }

    #[test]
    fn a_row_that_was_gone_between_has_all_its_causes() {
        let found = log(
            &[("a", 1)],
            &[(&[Cause::Mapping], &[]), (&[Cause::RewrittenFile, Cause::LateFile], &[("a", 3)])],
        );
        let expected = ["app=a people 1 1>3 mapping change and rewritten file or late file"];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn a_change_without_a_cause_is_an_error() {
        let error = log(&[("a", 1)], &[(&[], &[("a", 2)])]).unwrap_err();
        assert!(error.to_string().contains("t app=a people was 1 and is 2"), "{error}");
        assert!(log(&[("a", 1)], &[(&[], &[])]).is_err());
        assert!(log(&[("a", 1)], &[(&[], &[("a", 1)])]).unwrap().is_empty());
    }
}
