//! What the engine would answer otherwise than SQL says, without a word: refused, with how to write it.
//!
//! Found by comparing its answers with DuckDB's (polars-sql 0.55). What is left, and cannot be seen in a statement,
//! docs/analysts.md tells.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chrono::NaiveDate;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArguments, GroupByExpr, Ident, Join,
    JoinConstraint, JoinOperator, Query, Select, SetExpr, Spanned, TableFactor, Value, Visit,
    Visitor, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::QueryError;
use super::statement::At;

/// Expressions within one another, and queries put together: more of them are no statement that somebody wrote, and
/// the engine's own steps down into them have no end but the stack's.
const DEEPEST: usize = 400;
const MOST_TOGETHER: usize = 200;

type Checked = ControlFlow<Box<QueryError>>;

fn refuse(what: impl Into<String>, next: &str) -> Checked {
    ControlFlow::Break(Box::new(QueryError::refused(what, next)))
}

/// Looks at a whole statement.
#[derive(Default)]
pub struct Meaning {
    depth: usize,
    /// Of the SELECTs around: whether they group.
    groups: Vec<bool>,
}

impl Visitor for Meaning {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &Query) -> Checked {
        let mut together = 0;
        let mut body = query.body.as_ref();
        while let SetExpr::SetOperation { left, .. } = body {
            together += 1;
            body = left;
        }
        if together > MOST_TOGETHER {
            return refuse(format!("it puts {together} queries together"), "ask in several parts");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Checked {
        let groups = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(by, _) => !by.is_empty(),
        };
        self.groups.push(groups);
        const ROWS: &str = "which is asked of each row before anything is counted\nput a condition on a count into HAVING, or count in a query of FROM or WITH and join with that";
        if let Some((what, at)) = select.selection.as_ref().and_then(aggregate_in) {
            let reason = format!("{what} stands in WHERE, {ROWS}");
            return ControlFlow::Break(Box::new(QueryError::Name { at, reason }));
        }
        if let GroupByExpr::Expressions(by, _) = &select.group_by
            && let Some((what, at)) = by.iter().find_map(aggregate_in)
        {
            let reason = format!("{what} stands in GROUP BY, {ROWS}");
            return ControlFlow::Break(Box::new(QueryError::Name { at, reason }));
        }
        select.from.iter().flat_map(|from| &from.joins).try_for_each(join)
    }

    fn post_visit_select(&mut self, _: &Select) -> Checked {
        self.groups.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Checked {
        self.depth += 1;
        if self.depth > DEEPEST {
            let what = format!("it has more than {DEEPEST} expressions within one another");
            return refuse(what, "write x IN (…) for many ORs, or ask in several parts");
        }
        match expression {
            Expr::Function(of) => self.function(of),
            Expr::IsNotTrue(of) => refuse(
                format!("`{expression}` is no truth here where `{of}` is null"),
                &format!("write COALESCE({of}, FALSE) = FALSE"),
            ),
            Expr::IsNotFalse(of) => refuse(
                format!("`{expression}` is no truth here where `{of}` is null"),
                &format!("write COALESCE({of}, TRUE) = TRUE"),
            ),
            Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => {
                refuse(format!("`{expression}` is not known here"), "write IS NULL or IS NOT NULL")
            }
            Expr::TypedString(typed) if typed.data_type == DataType::Date => {
                let Value::SingleQuotedString(text) = &typed.value.value else {
                    return ControlFlow::Continue(());
                };
                match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
                    Ok(_) => ControlFlow::Continue(()),
                    Err(_) => refuse(format!("there is no day {text}"), "write it as 2019-11-06"),
                }
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Checked {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

impl Meaning {
    fn function(&self, of: &Function) -> Checked {
        let name = of.name.to_string().to_uppercase();
        if of.filter.is_some() || !of.within_group.is_empty() || of.null_treatment.is_some() {
            return refuse(
                format!("{name} has FILTER, WITHIN GROUP, or IGNORE or RESPECT NULLS"),
                "put the condition into CASE WHEN … THEN … END, or into WHERE",
            );
        }
        if name == "LOG" && arguments(of) > 1 {
            let next = "divide LN of the one by LN of the other";
            return refuse("LOG has its two arguments in another order here than elsewhere", next);
        }
        if (is_aggregate(&name) || is_count(&name))
            && let Some((inner, at)) = aggregate_in(&of.args)
        {
            let reason = format!(
                "{inner} stands within {name}, of one group both cannot be\nmake the inner one in a query of FROM or WITH, and the outer one over that"
            );
            return ControlFlow::Break(Box::new(QueryError::Name { at, reason }));
        }
        if is_aggregate(&name) && !names_a_column(&of.args) {
            return refuse(
                format!("{name} of no column is that constant here, however many rows there are"),
                "multiply COUNT(*) by it",
            );
        }
        if name == "LAST_VALUE" {
            let next = "write FIRST_VALUE with the order turned around: ORDER BY … DESC";
            return refuse("LAST_VALUE gives each row its own value here", next);
        }
        of.over.as_ref().map_or(ControlFlow::Continue(()), |over| self.window(&name, over))
    }

    fn window(&self, name: &str, over: &WindowType) -> Checked {
        const WITHIN: &str = "group in a query of FROM, and count over that";
        if self.groups.last() == Some(&true) {
            return refuse(format!("{name} … OVER stands beside GROUP BY"), WITHIN);
        }
        let WindowType::WindowSpec(WindowSpec { order_by, window_frame, .. }) = over else {
            return refuse(format!("{name} … OVER names a window"), "write the window out");
        };
        let running = ["SUM", "COUNT", "MIN", "MAX"].contains(&name);
        let by_place =
            ["ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "FIRST_VALUE"].contains(&name);
        match (order_by.is_empty(), window_frame) {
            (true, None) => ControlFlow::Continue(()),
            (false, Some(frame)) if running && is_up_to_here(frame) => ControlFlow::Continue(()),
            (false, None) if by_place => ControlFlow::Continue(()),
            (false, _) if running => refuse(
                format!("{name} … OVER (ORDER BY …) counts rows with equal keys one by one here"),
                "say so: ORDER BY … ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            ),
            _ => refuse(
                format!("{name} … OVER with this ORDER BY or frame would be another figure here"),
                "leave the order and the frame out, or use SUM, COUNT, MIN or MAX with ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            ),
        }
    }
}

fn is_up_to_here(frame: &WindowFrame) -> bool {
    frame.units == WindowFrameUnits::Rows
        && frame.start_bound == WindowFrameBound::Preceding(None)
        && matches!(&frame.end_bound, None | Some(WindowFrameBound::CurrentRow))
}

/// Functions that make one value of many rows, COUNT aside.
fn is_aggregate(name: &str) -> bool {
    const BEGIN: [&str; 12] = [
        "SUM", "AVG", "MEAN", "MIN", "MAX", "MEDIAN", "STD", "VAR", "QUANTILE", "FIRST", "LAST",
        "CORR",
    ];
    BEGIN.iter().any(|begin| name.starts_with(begin))
}

fn is_count(name: &str) -> bool {
    ["COUNT", "ARRAY_AGG", "STRING_AGG"].contains(&name)
}

/// The first function that makes one value of many rows, and where it stands; not those of windows, nor those within
/// a query in place of a value.
fn aggregate_in(within: &impl Visit) -> Option<(String, At)> {
    #[derive(Default)]
    struct Aggregate(usize);
    impl Visitor for Aggregate {
        type Break = (String, At);

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
            let Expr::Function(of) = expression else { return ControlFlow::Continue(()) };
            let name = of.name.to_string().to_uppercase();
            if self.0 > 0 || of.over.is_some() || !(is_aggregate(&name) || is_count(&name)) {
                return ControlFlow::Continue(());
            }
            ControlFlow::Break((format!("`{of}`"), At::begin(of.name.span())))
        }
    }
    match within.visit(&mut Aggregate::default()) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

fn arguments(of: &Function) -> usize {
    match &of.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    }
}

fn names_a_column(within: &impl Visit) -> bool {
    struct Column;
    impl Visitor for Column {
        type Break = ();

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            match expression {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    within.visit(&mut Column).is_break()
}

/// What a join compares, and whether it is an inner one; `None` of a CROSS JOIN and of kinds that are not to be had.
pub fn constraint(join: &Join) -> Option<(&JoinConstraint, bool)> {
    use JoinOperator as J;
    match &join.join_operator {
        J::Join(on) | J::Inner(on) => Some((on, true)),
        J::Left(on)
        | J::LeftOuter(on)
        | J::Right(on)
        | J::RightOuter(on)
        | J::FullOuter(on)
        | J::Semi(on)
        | J::LeftSemi(on)
        | J::RightSemi(on)
        | J::Anti(on)
        | J::LeftAnti(on)
        | J::RightAnti(on) => Some((on, false)),
        _ => None,
    }
}

/// What the engine makes of ON: columns of the table on the left beside those of the one on the right, and of other
/// conditions it takes either for the left one's, and only an inner join may compare otherwise than by `=`.
fn join(join: &Join) -> Checked {
    if matches!(join.join_operator, JoinOperator::CrossJoin(JoinConstraint::None)) {
        return ControlFlow::Continue(());
    }
    let Some((constraint, is_inner)) = constraint(join) else {
        return refuse(format!("`{join}` is a join of another kind"), "write JOIN or LEFT JOIN");
    };
    match constraint {
        JoinConstraint::On(condition) => {
            let called = match &join.relation {
                TableFactor::Table { name, alias, .. } => {
                    let last = name.0.last().and_then(|part| part.as_ident());
                    alias.as_ref().map(|alias| &alias.name).or(last)
                }
                TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| &alias.name),
                _ => None,
            };
            compares(condition, called, is_inner)
        }
        JoinConstraint::Using(_) => ControlFlow::Continue(()),
        JoinConstraint::Natural => {
            refuse("NATURAL JOIN compares whatever is called alike", "name the columns in USING")
        }
        JoinConstraint::None => refuse("a JOIN has no ON", "write ON, or CROSS JOIN"),
    }
}

const ON: &str = "in ON, compare columns of the two tables, each under its table's name, as in a.scope = b.scope; other conditions stand in WHERE, or in a query of FROM: JOIN (SELECT … FROM b WHERE …) AS b ON …";

fn compares(condition: &Expr, joined: Option<&Ident>, is_inner: bool) -> Checked {
    if let Expr::Nested(within) = condition {
        let what =
            format!("`{condition}` stands in parentheses in ON, where the engine knows none");
        return refuse(what, &format!("write ON {within}"));
    }
    let Expr::BinaryOp { left, op, right } = condition else {
        return refuse(format!("`{condition}` stands in ON"), ON);
    };
    if *op == BinaryOperator::And {
        compares(left, joined, is_inner)?;
        return compares(right, joined, is_inner);
    }
    let may_differ = matches!(
        op,
        BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq
    );
    if *op != BinaryOperator::Eq && !(is_inner && may_differ) {
        return refuse(
            format!("`{condition}` stands in ON of a join that would become an inner one"),
            ON,
        );
    }
    match (tables(left), tables(right), joined) {
        (Some(left), Some(right), Some(joined))
            if left != right && [&left, &right].contains(&&joined.value) =>
        {
            ControlFlow::Continue(())
        }
        _ => refuse(format!("`{condition}` stands in ON"), ON),
    }
}

/// The one table whose columns an expression names; `None` where it names none, several, or no table's.
fn tables(of: &Expr) -> Option<String> {
    #[derive(Default)]
    struct Named(BTreeSet<String>);
    impl Visitor for Named {
        type Break = ();

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            match expression {
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [table, _] => {
                        self.0.insert(table.value.clone());
                        ControlFlow::Continue(())
                    }
                    _ => ControlFlow::Break(()),
                },
                Expr::Identifier(_) | Expr::Subquery(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    let mut named = Named::default();
    if of.visit(&mut named).is_break() || named.0.len() != 1 {
        return None;
    }
    named.0.pop_first()
}
