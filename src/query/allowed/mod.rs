//! What a statement may hold: clauses, joins, expressions and functions that the engine reads as SQL says.
//!
//! polars-sql 0.55 answers some others otherwise, without a word. So what is on no list is refused by name, with its
//! place and what to write instead. tests/it/query/engines.rs shows each entry beside DuckDB. What a list cannot say,
//! because it hangs on types, is in `types`; what the engine would read otherwise and can be said in another way is
//! changed by `rewrite`.

mod clauses;
mod expressions;
mod functions;
mod groups;
mod joins;
mod windows;

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, Query, Select, Spanned, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::tokenizer::Span;

use super::QueryError;
use super::statement::At;

pub use expressions::whole;
use functions::AGGREGATES;
pub use groups::{item, keys};
pub use joins::{constraint, constraint_mut};

/// Expressions within one another: more of them are no statement that somebody wrote, and the engine's own steps down
/// into them have no end but the stack's.
const DEEPEST: usize = 400;

/// Characters of a part that a message shows.
const SHOWN: usize = 120;

type Checked = ControlFlow<Box<QueryError>>;

const PASSES: Checked = ControlFlow::Continue(());

/// A part that is on no list, where it stands, and what to write.
fn refuse(at: Span, what: impl Into<String>, next: impl Into<String>) -> Checked {
    let (what, next) = (what.into(), next.into());
    // COUNT(*) within nothing else, say, is nowhere.
    ControlFlow::Break(Box::new(match at.start.line {
        0 => QueryError::refused(what, next),
        _ => QueryError::Name { at: At::begin(at), reason: format!("{what}\n{next}") },
    }))
}

/// A part as a message shows it.
pub fn shown(part: impl ToString) -> String {
    let text = part.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// # Errors
/// The first part that is on no list.
pub fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement.visit(&mut Allowed { depth: 0 }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Allowed {
    depth: usize,
}

impl Visitor for Allowed {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &Query) -> Checked {
        clauses::query(query)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Checked {
        clauses::select(select)?;
        groups::check(select)?;
        joins::check(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Checked {
        clauses::table(factor)
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Checked {
        self.depth += 1;
        if self.depth > DEEPEST {
            let what = format!("it has more than {DEEPEST} expressions within one another");
            let next = "write x IN (…) for many ORs, or ask in several parts";
            return ControlFlow::Break(Box::new(QueryError::refused(what, next)));
        }
        expressions::check(expression)
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Checked {
        self.depth -= 1;
        PASSES
    }
}

/// The first expression that is one of those asked for, and where it stands; not those of queries within.
fn first(within: &impl Visit, is: impl Fn(&Expr) -> bool) -> Option<(String, Span)> {
    struct First<F> {
        is: F,
        queries: usize,
    }
    impl<F: Fn(&Expr) -> bool> Visitor for First<F> {
        type Break = (String, Span);

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
            if self.queries == 0 && (self.is)(expression) {
                return ControlFlow::Break((shown(expression), expression.span()));
            }
            ControlFlow::Continue(())
        }
    }
    match within.visit(&mut First { is, queries: 0 }) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

/// The first aggregate, and where it stands.
pub fn first_aggregate(within: &impl Visit) -> Option<(String, Span)> {
    first(within, is_aggregate)
}

fn is_column(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// Whether it makes one value of many rows; windows do not.
pub fn is_aggregate(expression: &Expr) -> bool {
    match expression {
        Expr::Function(of) => of.over.is_none() && AGGREGATES.contains(&called(of).as_str()),
        _ => false,
    }
}

/// The name of a function, in upper case.
fn called(of: &Function) -> String {
    of.name.to_string().to_uppercase()
}
