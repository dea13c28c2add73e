//! What the query engine is asked.

use polars::prelude::{
    DataFrame, DataType, IntoLazy, LazyFrame, NULL, PolarsError, PolarsResult, lit,
};
use polars::sql::SQLContext;
use polars_async::executor::ALLOW_RAYON_THREADS;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::{ImpactError, Query, Table};

/// Columns of frames that speak of the report that is followed; null for own queries.
const ABOUT_CHANGES: [(&str, &str); 3] = [
    ("coverage_days", "files_changed"),
    ("coverage_days", "files_late"),
    ("attestations", "rows_late"),
];

/// Frames of fewer rows are asked by one thread.
pub const FEW_ROWS: usize = 200_000;

/// Does `work` with all that it asks of the query engine on this thread, as the engine itself does on threads of its own:
/// it has every step of a query done by another, and the others woken to look for something to do, which takes longer than
/// a step over few rows.
pub fn on_this_thread<T>(work: impl FnOnce() -> T) -> T {
    /// As it was before, also where `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            ALLOW_RAYON_THREADS.set(self.0);
        }
    }
    let _before = Before(ALLOW_RAYON_THREADS.replace(false));
    work()
}

/// Runs a query over the frames that it asks for.
///
/// # Errors
/// Queries that fail, with the engine's reason.
pub fn run(query: &Query, frames: &[(&'static str, LazyFrame)]) -> Result<Table, ImpactError> {
    let frame = match &query.spec {
        Some(_) => in_steps(&query.sql, frames),
        None => asked(&query.sql, own(frames)),
    };
    let frame = frame.map_err(|e| ImpactError::query(&query.file, &e))?;
    match &query.spec {
        None => Table::from_frame(&query.table, &frame),
        Some(spec) => Table::typed(spec, &frame)?.sorted(&query.file, &spec.key),
    }
}

/// The frames of own queries: what is about another report would be a change of an own table in every report.
fn own<'a>(
    frames: &'a [(&'static str, LazyFrame)],
) -> impl Iterator<Item = (&'a str, LazyFrame)> + Clone {
    frames.iter().map(|(name, frame)| {
        let about = ABOUT_CHANGES.iter().filter(|(of, _)| of == name);
        let frame = about.fold(frame.clone(), |frame, (_, column)| {
            frame.with_column(lit(NULL).cast(DataType::Int64).alias(*column))
        });
        (*name, frame)
    })
}

fn asked<'a>(
    sql: &str,
    frames: impl Iterator<Item = (&'a str, LazyFrame)>,
) -> PolarsResult<DataFrame> {
    // One context for all queries would find aliases of the one before.
    let mut context = SQLContext::new();
    frames.for_each(|(name, frame)| context.register(name, frame));
    context.execute(sql)?.collect()
}

/// The answer to a built-in query. What `WITH` names is made first, one after the other: of a query as a whole the engine
/// makes its plan anew wherever it is asked for a column's type, of all that lies below.
fn in_steps(sql: &str, frames: &[(&'static str, LazyFrame)]) -> PolarsResult<DataFrame> {
    let unread = |reason: String| PolarsError::SQLSyntax(reason.into());
    let mut parsed =
        Parser::parse_sql(&GenericDialect {}, sql).map_err(|e| unread(e.to_string()))?;
    let (Some(Statement::Query(mut query)), true) = (parsed.pop(), parsed.is_empty()) else {
        return Err(unread("it is not one query".into()));
    };
    let mut made: Vec<(String, LazyFrame)> = Vec::new();
    let ask = |sql: &str, made: &[(String, LazyFrame)]| {
        let made = made.iter().map(|(name, frame)| (name.as_str(), frame));
        let all = frames.iter().map(|(name, frame)| (*name, frame)).chain(made);
        asked(
            sql,
            all.filter(|(name, _)| names(sql, name)).map(|(name, frame)| (name, frame.clone())),
        )
    };
    let with = query.with.take();
    if with.as_ref().is_some_and(|with| with.recursive) {
        return Err(unread("WITH RECURSIVE is not made in steps".into()));
    }
    for table in with.into_iter().flat_map(|with| with.cte_tables) {
        let name = table.alias.name.value;
        if !table.alias.columns.is_empty() || frames.iter().any(|(frame, _)| *frame == name) {
            return Err(unread(format!(
                "WITH {name} has names of columns, or the name of a frame"
            )));
        }
        let frame = ask(&table.query.to_string(), &made)?;
        made.push((name, frame.lazy()));
    }
    ask(&query.to_string(), &made)
}

/// Whether the name stands in the SQL, not only as a part of another or in a comment.
pub fn names(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let stands = |line: &str, at: usize| {
        let before = line.get(..at).and_then(|line| line.chars().next_back());
        let after = line.get(at + name.len()..).and_then(|line| line.chars().next());
        ![before, after].into_iter().flatten().any(is_part)
    };
    let mut lines = sql.lines().filter(|line| !line.starts_with("--"));
    lines.any(|line| line.match_indices(name).any(|(at, _)| stands(line, at)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::whole::tests::with_report;
    use super::super::{built_in, frames};
    use super::*;
    use crate::moment::Moment;
    use crate::registry::{App, Attestation, Grant, Registry, Scope};

    fn registry() -> Registry {
        let scope = |at| Scope {
            restricted_at: Moment::from_micros(at),
            data_fields: vec!["name".into(), "mail".into()],
            special_fields: None,
        };
        let app = App { developer_id: Some("dev".into()), ..Default::default() };
        let grant = Grant { granted_at: None, revoked_at: Some(Moment::from_micros(4)) };
        let promise = |scope: Option<&str>| Attestation {
            app: "b".into(),
            scope: scope.map(Into::into),
            asked_at: None,
            attested_at: Some(Moment::from_micros(5)),
            statement: None,
        };
        Registry {
            scopes: [("s".into(), scope(-7)), ("t".into(), scope(9))].into(),
            apps: [("b".into(), app)].into(),
            grants: Some(BTreeMap::from([(("b".into(), "t".into()), vec![grant])])),
            attestations: Some(vec![promise(None), promise(Some("u"))]),
            ..Default::default()
        }
    }

    #[test]
    fn a_query_in_steps_gives_what_the_engine_gives_of_it_as_a_whole() {
        let queries: Vec<Query> = built_in().unwrap();
        let with = queries.iter().filter(|query| query.sql.contains("WITH ")).count();
        assert!(with >= 4, "{with}");
        let mut rows = BTreeMap::new();
        with_report(&registry(), |report, _| {
            let frames = frames::build(report, |_| true).unwrap();
            let frames: Vec<_> =
                frames.into_iter().map(|(name, frame)| (name, frame.lazy())).collect();
            let has = |query: &&Query| {
                // Those of very many rows do not come to the engine; the changes are asked apart.
                let other = ["exposure_days", "exposure_groups", "changes"];
                !other.iter().any(|name| query.asks(name))
            };
            for query in queries.iter().filter(has) {
                let spec = query.spec.as_ref().unwrap();
                let all = frames.iter().map(|(name, frame)| (*name, frame.clone()));
                let whole = Table::typed(spec, &asked(&query.sql, all).unwrap()).unwrap();
                let whole = whole.sorted(&query.file, &spec.key).unwrap();
                let table = run(query, &frames).unwrap();
                assert_eq!(table.batch, whole.batch, "{}", query.file);
                rows.insert(query.table.clone(), table.batch.num_rows());
            }
        });
        let some = ["scope_summary", "app_scope_exposure", "dim_scope", "coverage", "findings"];
        assert!(some.iter().all(|table| rows[*table] > 1), "{rows:?}");
    }

    #[test]
    fn a_frame_is_asked_for_where_its_name_stands_alone_in_the_query() {
        assert!(names("SELECT a FROM exposure", "exposure"));
        assert!(names("-- all\nSELECT a FROM (SELECT * FROM exposure)", "exposure"));
        assert!(!names("SELECT exposure_a FROM exposure_cells", "exposure"));
        assert!(!names("SELECT a FROM my_exposure", "exposure"));
        assert!(!names("-- what exposure is\nSELECT a FROM b", "exposure"));
    }
}
