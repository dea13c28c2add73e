//! What the engine would read otherwise, said in a way that it reads right.
//!
//! The statement is changed as a tree; what is put in stands where that stood for which it is put in, so that
//! complaints have their places.

mod grouped;
mod parts;

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    JoinConstraint, OrderByExpr, OrderByOptions, Query, Select, SetExpr, Spanned, Statement,
    TableFactor, VisitMut, VisitorMut, WindowType,
};
use sqlparser::tokenizer::Span;

use super::QueryError;
use super::allowed::constraint_mut;
use super::allowed::whole;
use parts::{expression, query};

pub use parts::place;

/// Changes a statement of which all parts are allowed.
///
/// # Errors
/// A part that cannot be put in.
pub fn rewrite(statement: &mut Statement) -> Result<(), QueryError> {
    match statement.visit(&mut Rewrite { names: 0 }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

type Changed = ControlFlow<Box<QueryError>>;

struct Rewrite {
    /// Queries that were given a name.
    names: usize,
}

impl Rewrite {
    /// A name that no query of a statement has: none may have a colon.
    fn name(&mut self) -> String {
        self.names += 1;
        format!("made:{}", self.names)
    }
}

fn or_break<T>(made: Result<T, QueryError>) -> ControlFlow<Box<QueryError>, T> {
    match made {
        Ok(made) => ControlFlow::Continue(made),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

impl VisitorMut for Rewrite {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Changed {
        grouped::order(query);
        let name = self.name();
        or_break(grouped::joined(query, &name))?;
        let name = self.name();
        or_break(ordered_union(query, &name))
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Changed {
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            if let Some(JoinConstraint::On(condition)) = constraint_mut(join) {
                bare(condition);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, of: &mut Expr) -> Changed {
        match of {
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => {
                or_break(known_first(&mut window.order_by))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, of: &mut Expr) -> Changed {
        match or_break(said(of))? {
            Some(other) => {
                *of = other;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    }
}

/// Takes the parentheses from the comparisons of ON: the engine looks for them outside of any.
fn bare(condition: &mut Expr) {
    while let Expr::Nested(within) = condition {
        let within = std::mem::replace(within.as_mut(), Expr::Nested(Box::new(null())));
        *condition = within;
    }
    if let Expr::BinaryOp { left, op: BinaryOperator::And, right } = condition {
        // The parser reads a AND b AND c from the left, and so is it compared with what was meant.
        bare(left);
        bare(right);
        while let Expr::BinaryOp { left: b, op: BinaryOperator::And, right: c } = right.as_mut() {
            let b = std::mem::replace(b.as_mut(), null());
            let c = std::mem::replace(c.as_mut(), null());
            let a = std::mem::replace(left.as_mut(), null());
            **left =
                Expr::BinaryOp { left: Box::new(a), op: BinaryOperator::And, right: Box::new(b) };
            **right = c;
            bare(left);
        }
    }
}

fn null() -> Expr {
    Expr::Value(sqlparser::ast::Value::Null.with_empty_span())
}

/// What an expression says, in the engine's words.
fn said(of: &Expr) -> Result<Option<Expr>, QueryError> {
    let at = of.span();
    let made = |template: &str, parts: &[&Expr]| expression(template, parts, at).map(Some);
    match of {
        // null is neither.
        Expr::IsTrue(truth) => made("(COALESCE($1, FALSE))", &[truth]),
        Expr::IsNotTrue(truth) => made("(NOT COALESCE($1, FALSE))", &[truth]),
        Expr::IsFalse(truth) => made("(NOT COALESCE($1, TRUE))", &[truth]),
        Expr::IsNotFalse(truth) => made("(COALESCE($1, TRUE))", &[truth]),
        Expr::IsUnknown(truth) => made("(($1) IS NULL)", &[truth]),
        Expr::IsNotUnknown(truth) => made("(($1) IS NOT NULL)", &[truth]),
        // The engine rounds down, SQL towards 0: of what is not below 0 that is the same.
        Expr::BinaryOp { left, op: BinaryOperator::Modulo, right } => remainder(left, right, at),
        Expr::BinaryOp { left, op: BinaryOperator::DuckIntegerDivide, right } => made(
            "(CASE WHEN (($1) < 0) <> (($2) < 0) THEN -(ABS($1) // ABS($2)) ELSE ABS($1) // ABS($2) END)",
            &[left, right],
        ),
        Expr::Function(function) => {
            let name = function.name.to_string().to_uppercase();
            match (name.as_str(), arguments(function).as_slice()) {
                ("MOD", [left, right]) => remainder(left, right, at),
                // Of a shorter text the engine begins as many characters before its end.
                ("RIGHT", [text, characters]) if whole(characters).is_some_and(|n| n > 0) => made(
                    "(CASE WHEN LENGTH($1) <= $2 THEN $1 ELSE RIGHT($1, $2) END)",
                    &[text, characters],
                ),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

fn remainder(left: &Expr, right: &Expr, at: Span) -> Result<Option<Expr>, QueryError> {
    let template = "(CASE WHEN ($1) < 0 THEN -(ABS($1) % ABS($2)) ELSE ABS($1) % ABS($2) END)";
    expression(template, &[left, right], at).map(Some)
}

fn arguments(of: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &of.args else { return Vec::new() };
    let plain = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    });
    plain.collect()
}

/// Where rows without the first key stand: the engine puts them first in either direction, ranks them nowhere, and
/// does not look at what the statement says of them. Last is what ascends, first what descends, as of ORDER BY.
fn known_first(keys: &mut Vec<OrderByExpr>) -> Result<(), QueryError> {
    let Some(key) = keys.first_mut() else { return Ok(()) };
    let ascends = key.options.asc != Some(false);
    let are_first = key.options.nulls_first.unwrap_or(!ascends);
    key.options.nulls_first = None;
    let template = match ascends == are_first {
        true => "CASE WHEN $1 IS NULL THEN 0 ELSE 1 END",
        false => "CASE WHEN $1 IS NULL THEN 1 ELSE 0 END",
    };
    let expr = expression(template, &[&key.expr], key.expr.span())?;
    let options = OrderByOptions { asc: key.options.asc, nulls_first: None };
    keys.insert(0, OrderByExpr { expr, options, with_fill: None });
    Ok(())
}

/// ORDER BY of queries that are put together: the engine orders each of them by it.
fn ordered_union(of: &mut Query, name: &str) -> Result<(), QueryError> {
    if of.order_by.is_none() || !matches!(of.body.as_ref(), SetExpr::SetOperation { .. }) {
        return Ok(());
    }
    let mut around = query(&format!("SELECT * FROM (SELECT 1) AS \"{name}\""), of.span())?;
    std::mem::swap(&mut around.body, &mut of.body);
    // Now `of` has the SELECT, and `around` what was put together.
    around.with = None;
    if let SetExpr::Select(select) = of.body.as_mut()
        && let Some(TableFactor::Derived { subquery, .. }) =
            select.from.first_mut().map(|from| &mut from.relation)
    {
        **subquery = around;
    }
    Ok(())
}
