//! Times compared with numbers.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Query, Spanned, Value, Visit, Visitor};

use super::QueryError;
use super::statement::At;

type Checked = ControlFlow<Box<QueryError>>;

/// A time beside a number is one number beside another for the engine: days or microseconds since 1970. `times` are
/// columns that hold times wherever they are.
///
/// # Errors
/// The comparison, with its place.
pub fn check(query: &Query, times: &BTreeSet<String>) -> Result<(), QueryError> {
    struct Compared<'a>(&'a BTreeSet<String>);
    impl Compared<'_> {
        fn is_time(&self, of: &Expr) -> bool {
            match of {
                Expr::Identifier(name) => self.0.contains(&name.value),
                Expr::CompoundIdentifier(names) => {
                    names.last().is_some_and(|name| self.0.contains(&name.value))
                }
                _ => false,
            }
        }
    }
    impl Visitor for Compared<'_> {
        type Break = Box<QueryError>;

        fn pre_visit_expr(&mut self, expression: &Expr) -> Checked {
            let pairs: Vec<(&Expr, &Expr)> = match expression {
                Expr::BinaryOp { left, op, right } if compares(op) => vec![(left, right)],
                Expr::Between { expr, low, high, .. } => vec![(expr, low), (expr, high)],
                _ => return ControlFlow::Continue(()),
            };
            let is_wrong = |(a, b): &(&Expr, &Expr)| {
                (self.is_time(a) && is_number(b)) || (is_number(a) && self.is_time(b))
            };
            if !pairs.iter().any(is_wrong) {
                return ControlFlow::Continue(());
            }
            let at = At::begin(expression.span());
            let reason = format!(
                "`{expression}` compares a time with a number\nwrite the time as DATE '2019-11-06' or TIMESTAMP '2019-11-06 00:00:00'"
            );
            ControlFlow::Break(Box::new(QueryError::Name { at, reason }))
        }
    }
    match query.visit(&mut Compared(times)) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn is_number(of: &Expr) -> bool {
    match of {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_number(expr),
        _ => false,
    }
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::Spaceship)
}
