//! Aggregates: where they may stand, and what may stand beside them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, GroupByExpr, Query, Select, SelectItem, Spanned, Value,
    ValueWithSpan, Visit, Visitor,
};
use sqlparser::tokenizer::Span;

use super::{Checked, PASSES, first, is_aggregate, is_column, refuse, shown};

/// Expressions of GROUP BY.
pub fn keys(select: &Select) -> &[Expr] {
    match &select.group_by {
        GroupByExpr::Expressions(by, _) => by,
        GroupByExpr::All(_) => &[],
    }
}

fn is_grouped(select: &Select) -> bool {
    matches!(select.group_by, GroupByExpr::All(_)) || !keys(select).is_empty()
}

/// The expression of an item of the SELECT, and the name that it gets.
pub fn item(of: &SelectItem) -> Option<(&Expr, Option<&str>)> {
    match of {
        SelectItem::UnnamedExpr(expr) => Some((expr, None)),
        SelectItem::ExprWithAlias { expr, alias } => Some((expr, Some(alias.value.as_str()))),
        _ => None,
    }
}

pub fn check(select: &Select) -> Checked {
    const ROWS: &str = "put a condition on a count into HAVING, or count in a query of FROM or WITH and join with that";
    let by = keys(select);
    for (clause, found) in [
        ("WHERE", select.selection.as_ref().and_then(|of| first(of, is_aggregate))),
        ("GROUP BY", by.iter().find_map(|of| first(of, is_aggregate))),
    ] {
        if let Some((what, at)) = found {
            let what = format!(
                "`{what}` stands in {clause}, which is asked of each row before anything is counted"
            );
            return refuse(at, what, ROWS);
        }
    }
    for (clause, found) in [
        ("SELECT", select.projection.iter().find_map(|of| first(of, is_query))),
        ("GROUP BY", by.iter().find_map(|of| first(of, is_query))),
        ("HAVING", select.having.as_ref().and_then(|of| first(of, is_query))),
    ] {
        if let Some((what, at)) = found {
            return refuse(
                at,
                format!("`{what}` stands in {clause}, where no query can"),
                "put it into WHERE, or join with the query",
            );
        }
    }
    if let Some(key) = by.iter().find(|key| is_value(key) && ordinal(key).is_none()) {
        return refuse(key.span(), format!("GROUP BY {key} is no column"), "name the columns");
    }
    match is_grouped(select) {
        false => whole(select),
        true => {
            windows(select)?;
            grouped(select)
        }
    }
}

fn is_query(of: &Expr) -> bool {
    matches!(of, Expr::InSubquery { .. })
}

fn is_value(of: &Expr) -> bool {
    matches!(of, Expr::Value(_))
}

/// The place of a column that is named by its number.
fn ordinal(of: &Expr) -> Option<usize> {
    match of {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) => {
            text.parse().ok().filter(|place| *place > 0)
        }
        _ => None,
    }
}

/// Without GROUP BY: one row of figures, or one for each row of the table.
fn whole(select: &Select) -> Checked {
    if let Some(having) = &select.having {
        let next = "name what is grouped by in GROUP BY, or ask in a query of FROM and put the condition into WHERE";
        return refuse(having.span(), "HAVING stands without GROUP BY", next);
    }
    if !has_figures(select) {
        return PASSES;
    }
    const NEXT: &str = "name the column in GROUP BY, or write MAX of it; a figure beside each row is MAX(…) OVER ()";
    for of in &select.projection {
        match item(of) {
            None => {
                return refuse(
                    of.span(),
                    format!("`{of}` stands beside figures over all rows"),
                    NEXT,
                );
            }
            Some((expression, _)) => {
                if let Some((column, at)) = outside(expression) {
                    return refuse(
                        at,
                        format!("`{column}` stands beside figures over all rows"),
                        NEXT,
                    );
                }
            }
        }
    }
    PASSES
}

fn has_figures(select: &Select) -> bool {
    select.projection.iter().any(|of| first(of, is_aggregate).is_some())
}

fn grouped(select: &Select) -> Checked {
    for (expression, _) in select.projection.iter().filter_map(item) {
        if first(expression, is_aggregate).is_none() {
            continue;
        }
        if let Some((column, at)) = outside(expression) {
            return refuse(
                at,
                format!(
                    "`{column}` stands beside a figure of its group in `{}`",
                    shown(expression)
                ),
                "write MAX of it, or do it over a query of FROM that groups",
            );
        }
    }
    match &select.having {
        Some(condition) => having(condition, select),
        None => PASSES,
    }
}

/// A condition on groups is one on their figures; the engine has no single value of a column there.
fn having(condition: &Expr, select: &Select) -> Checked {
    match condition {
        Expr::Nested(within) => return having(within, select),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            having(left, select)?;
            return having(right, select);
        }
        _ => {}
    }
    if first(condition, |of| is_aggregate(of) || is_column(of)).is_none() {
        let what = format!("`{}` is a condition of no figure", shown(condition));
        return refuse(
            condition.span(),
            what,
            "leave it out, or write it of COUNT, SUM and the like",
        );
    }
    // A name that the SELECT gives to a figure, and that no column of it has, is that figure.
    let is_figure = |name: &str| {
        let mut items = select.projection.iter().filter_map(item);
        let is_named = |of: &Expr| matches!(of, Expr::Identifier(column) if column.value == name);
        items.clone().any(|(of, alias)| alias == Some(name) && first(of, is_aggregate).is_some())
            && !items.any(|(of, _)| first(of, is_named).is_some())
    };
    let found = outside_of(condition, &|of| match of {
        Expr::Identifier(name) => !is_figure(&name.value),
        other => is_column(other),
    });
    match found {
        None => PASSES,
        Some((column, at)) => refuse(
            at,
            format!("`{column}` stands in HAVING outside of COUNT, SUM and the like"),
            "put the condition into WHERE; a figure may have a name there that no column has",
        ),
    }
}

fn windows(select: &Select) -> Checked {
    let is_window = |of: &Expr| matches!(of, Expr::Function(Function { over: Some(_), .. }));
    match select.projection.iter().find_map(|of| first(of, is_window)) {
        None => PASSES,
        Some((what, at)) => refuse(
            at,
            format!("`{what}` stands beside GROUP BY"),
            "group in a query of FROM, and count over that",
        ),
    }
}

/// ORDER BY of a query.
pub fn order(query: &Query, by: &Expr) -> Checked {
    if is_value(by) && ordinal(by).is_none() {
        return refuse(by.span(), format!("ORDER BY {by} is no column"), "name the columns");
    }
    if let Some((what, at)) = first(by, is_query) {
        return refuse(at, format!("`{what}` stands in ORDER BY"), "join with the query");
    }
    let select = query.body.as_select();
    let is_whole = select.is_some_and(|select| !is_grouped(select) && has_figures(select));
    if is_whole {
        return refuse(by.span(), "figures over all rows are one row", "leave ORDER BY out");
    }
    let Some((what, at)) = first(by, is_aggregate) else { return PASSES };
    // `rewrite` names it by its place.
    let mut items = select.iter().flat_map(|select| &select.projection).filter_map(item);
    match items.any(|(of, _)| of == by) {
        true => PASSES,
        false => refuse(
            at,
            format!("`{what}` stands in ORDER BY, and not as it is in the SELECT"),
            "give it a name there, and order by that: SELECT …, COUNT(*) AS n … ORDER BY n",
        ),
    }
}

/// The first column outside of all aggregates.
fn outside(of: &Expr) -> Option<(String, Span)> {
    outside_of(of, &is_column)
}

fn outside_of(of: &Expr, is: &dyn Fn(&Expr) -> bool) -> Option<(String, Span)> {
    struct Outside<'a> {
        is: &'a dyn Fn(&Expr) -> bool,
        aggregates: usize,
    }
    impl Visitor for Outside<'_> {
        type Break = (String, Span);

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
            self.aggregates += usize::from(is_aggregate(expression));
            if self.aggregates == 0 && (self.is)(expression) {
                return ControlFlow::Break((shown(expression), expression.span()));
            }
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
            self.aggregates -= usize::from(is_aggregate(expression));
            ControlFlow::Continue(())
        }
    }
    match of.visit(&mut Outside { is, aggregates: 0 }) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}
