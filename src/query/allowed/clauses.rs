//! Clauses of queries and of FROM. Each structure is taken apart whole: a clause that the parser learns to read is one
//! that somebody must look at here.

use std::collections::BTreeSet;

use sqlparser::ast::{
    BinaryOperator, Expr, Fetch, GroupByExpr, LimitClause, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, TableFactor, Value,
    ValueWithSpan, WildcardAdditionalOptions,
};
use sqlparser::tokenizer::Span;

use super::{Checked, PASSES, first, groups, is_aggregate, is_column, refuse, shown};

/// Queries put together.
const MOST_TOGETHER: usize = 200;

pub fn query(of: &Query) -> Checked {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = of;
    let at = of.span();
    let is_read = locks.is_empty() && for_clause.is_none() && settings.is_none();
    if !is_read || format_clause.is_some() || !pipe_operators.is_empty() {
        let next = "end it with LIMIT at the most; --format says as what rows are written";
        return refuse(at, "the query ends in FOR, SETTINGS, FORMAT or |>", next);
    }
    if with.as_ref().is_some_and(|with| with.recursive) {
        return refuse(
            at,
            "WITH RECURSIVE is not known here",
            "write the steps out as queries of WITH",
        );
    }
    let mut given = with.iter().flat_map(|with| &with.cte_tables);
    if let Some(other) = given.find(|cte| cte.materialized.is_some() || cte.from.is_some()) {
        let what = format!("`{}` of WITH is MATERIALIZED, or has a FROM", other.alias.name);
        return refuse(other.alias.name.span, what, "leave it out: write name AS (SELECT …)");
    }
    together(body, 0)?;
    if let Some(order) = order_by {
        let OrderByKind::Expressions(by) = &order.kind else {
            return refuse(at, "ORDER BY ALL is not known here", "name the columns");
        };
        let by_fill = by.iter().any(|one| one.with_fill.is_some());
        if order.interpolate.is_some() || by_fill {
            return refuse(at, "ORDER BY has FILL or INTERPOLATE", "leave it out");
        }
        by.iter().try_for_each(|one| groups::order(of, &one.expr))?;
    }
    limit(limit_clause.as_ref(), fetch.as_ref(), at)
}

/// Queries that are put together: the engine reads EXCEPT and INTERSECT beside each other and beside UNION as if they
/// were one of them.
fn together(body: &SetExpr, depth: usize) -> Checked {
    if depth > MOST_TOGETHER {
        let what = format!("it puts more than {MOST_TOGETHER} queries together");
        return refuse(Span::empty(), what, "ask in several parts");
    }
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => PASSES,
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            let at = right.span();
            let is_union = *op == SetOperator::Union;
            let fits = match set_quantifier {
                SetQuantifier::None | SetQuantifier::Distinct => true,
                SetQuantifier::All => is_union,
                _ => false,
            };
            if !fits
                || !matches!(op, SetOperator::Union | SetOperator::Except | SetOperator::Intersect)
            {
                let next = "there are UNION ALL, UNION, INTERSECT and EXCEPT, which compare columns by their place";
                return refuse(at, format!("{op} {set_quantifier} is not known here"), next);
            }
            for side in [left, right] {
                if let SetExpr::SetOperation { op: other, .. } = side.as_ref()
                    && other != op
                {
                    return refuse(
                        at,
                        format!("{op} stands beside {other}, and which comes first is not said"),
                        "put one of them into a query of FROM: SELECT … FROM (SELECT … EXCEPT SELECT …) AS a UNION ALL …",
                    );
                }
                together(side, depth + 1)?;
            }
            PASSES
        }
        other => refuse(
            other.span(),
            format!("`{}` is no SELECT", shown(other)),
            "write SELECT … FROM …",
        ),
    }
}

fn limit(clause: Option<&LimitClause>, fetch: Option<&Fetch>, at: Span) -> Checked {
    let mut numbers = Vec::new();
    match clause {
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
            if !limit_by.is_empty() {
                let next = "number the rows in a query of FROM: ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) AS n, and WHERE n <= 2";
                return refuse(at, "LIMIT … BY is not known here", next);
            }
            numbers.extend(limit);
            numbers.extend(offset.as_ref().map(|offset| &offset.value));
        }
        Some(LimitClause::OffsetCommaLimit { .. }) => {
            return refuse(at, "LIMIT has two numbers", "write LIMIT … OFFSET …");
        }
        None => {}
    }
    if let Some(Fetch { with_ties, percent, quantity }) = fetch {
        if *with_ties || *percent {
            return refuse(
                at,
                "FETCH has TIES or PERCENT",
                "write FETCH FIRST 5 ROWS ONLY, or LIMIT 5",
            );
        }
        numbers.extend(quantity);
    }
    let is_number = |of: &&Expr| {
        matches!(
            of,
            Expr::Value(ValueWithSpan { value: Value::Number(..) | Value::Placeholder(_), .. })
        )
    };
    match numbers.into_iter().find(|of| !is_number(of)) {
        None => PASSES,
        Some(other) => refuse(
            other.span(),
            format!("`{}` of LIMIT, OFFSET or FETCH is no number", shown(other)),
            "write it out, or give it as a parameter; without LIMIT all rows come",
        ),
    }
}

pub fn select(of: &Select) -> Checked {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into: _,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = of;
    let at = of.span();
    if let Some(condition) = qualify {
        let next = "number the rows in a query of FROM, and put the condition into WHERE: SELECT … FROM (SELECT …, ROW_NUMBER() OVER (…) AS n FROM …) AS q WHERE n = 1";
        return refuse(condition.span(), "QUALIFY is not known here", next);
    }
    if let [_, other, ..] = from.as_slice() {
        let next = "write JOIN … ON, or CROSS JOIN";
        return refuse(other.relation.span(), "FROM names tables with a comma between them", next);
    }
    for (is_there, what, next) in [
        (top.is_some(), "TOP", "write LIMIT at the end"),
        (!named_window.is_empty(), "WINDOW", "write the window out in OVER (…)"),
        (
            exclude.is_some(),
            "EXCLUDE behind the SELECT",
            "write * EXCLUDE (…), or name the columns",
        ),
        (!sort_by.is_empty(), "SORT BY", "write ORDER BY"),
        (
            !cluster_by.is_empty() || !distribute_by.is_empty(),
            "CLUSTER BY or DISTRIBUTE BY",
            "leave it out",
        ),
        (!lateral_views.is_empty(), "LATERAL VIEW", "write UNNEST(…) in the SELECT"),
        (prewhere.is_some(), "PREWHERE", "write WHERE"),
        (!connect_by.is_empty(), "CONNECT BY", "write the steps out as queries of WITH"),
        (value_table_mode.is_some(), "SELECT AS", "name the columns"),
        (
            select_modifiers.is_some() || !optimizer_hints.is_empty(),
            "a hint to an optimizer",
            "leave it out",
        ),
        (*flavor != SelectFlavor::Standard, "FROM before SELECT", "write SELECT * FROM …"),
        (
            from.is_empty() && selection.is_some(),
            "WHERE without FROM",
            "leave it out, or name a table",
        ),
    ] {
        if is_there {
            return refuse(at, format!("{what} is not known here"), next);
        }
    }
    match group_by {
        GroupByExpr::All(_) => {
            return refuse(at, "GROUP BY ALL is not known here", "name the columns");
        }
        GroupByExpr::Expressions(_, with) if !with.is_empty() => {
            let next = "put queries together with UNION ALL, one for each level";
            return refuse(at, "GROUP BY WITH ROLLUP, CUBE or TOTALS is not known here", next);
        }
        GroupByExpr::Expressions(..) => {}
    }
    projection.iter().try_for_each(|one| item(one, at))?;
    names(projection)?;
    let grouped = groups::keys(of).first().map(|_| projection);
    let found = first(selection, is_unnest)
        .or_else(|| first(group_by, is_unnest))
        .or_else(|| grouped.and_then(|projection| first(projection, is_unnest)));
    if let Some((what, at)) = found {
        return refuse(at, format!("`{what}` stands elsewhere than alone in a SELECT"), UNNEST);
    }
    selection.as_ref().map_or(PASSES, constant)
}

const UNNEST: &str = "write SELECT UNNEST(…) AS x in a query of FROM, and the rest over that";

fn is_unnest(of: &Expr) -> bool {
    matches!(of, Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("UNNEST"))
}

fn item(of: &SelectItem, select: Span) -> Checked {
    let options = match of {
        SelectItem::UnnamedExpr(expression)
        | SelectItem::ExprWithAlias { expr: expression, .. } => {
            return unnest(expression);
        }
        SelectItem::ExprWithAliases { expr, .. } => {
            return refuse(
                expr.span(),
                format!("`{}` has several names", shown(of)),
                "give it one",
            );
        }
        SelectItem::QualifiedWildcard(_, options) | SelectItem::Wildcard(options) => options,
    };
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude: _,
        opt_except: _,
        opt_replace: _,
        opt_rename: _,
        opt_alias,
    } = options;
    if opt_ilike.is_some() || opt_alias.is_some() {
        let what = format!("`{}` is no * that is known here", shown(of));
        return refuse(select, what, "write * EXCLUDE (…), * REPLACE (…), or name the columns");
    }
    PASSES
}

/// Two columns of one name: of an answer nobody knows which is which.
fn names(projection: &[SelectItem]) -> Checked {
    let mut known = BTreeSet::new();
    for (expression, alias) in projection.iter().filter_map(groups::item) {
        let own = match expression {
            Expr::Identifier(name) => Some(name.value.as_str()),
            Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.as_str()),
            _ => None,
        };
        let Some(name) = alias.or(own) else { continue };
        if !known.insert(name) {
            let next = "give each column a name of its own with AS";
            return refuse(expression.span(), format!("`{name}` is the name of two columns"), next);
        }
    }
    PASSES
}

/// UNNEST makes rows: it is a whole item of the SELECT.
fn unnest(expression: &Expr) -> Checked {
    if is_unnest(expression) {
        return PASSES;
    }
    match first(expression, is_unnest) {
        None => PASSES,
        Some((what, at)) => refuse(at, format!("`{what}` stands within an expression"), UNNEST),
    }
}

/// Conditions of no column: the engine compares how two values are written, and loses others where it asks them of a
/// SELECT without FROM.
fn constant(condition: &Expr) -> Checked {
    if truth(condition).is_some() {
        return PASSES;
    }
    let mut within = vec![condition];
    while let Some(of) = within.pop() {
        match of {
            Expr::Nested(of) => within.push(of),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                within.extend([left.as_ref(), right])
            }
            _ if first(of, is_told_elsewhere).is_some() || truth(of) == Some(true) => {}
            _ => {
                let what = format!("`{}` is a condition of no column", shown(of));
                return refuse(of.span(), what, "leave it out, or write it of a column");
            }
        }
    }
    PASSES
}

/// A column, or what a WHERE cannot have at all.
fn is_told_elsewhere(of: &Expr) -> bool {
    is_column(of)
        || is_aggregate(of)
        || matches!(
            of,
            Expr::Exists { .. } | Expr::Subquery(_) | Expr::AnyOp { .. } | Expr::AllOp { .. }
        )
}

/// Of TRUE and FALSE, and of two values of one type that are written in one way.
fn truth(of: &Expr) -> Option<bool> {
    let value = |of: &Expr| match of {
        Expr::Value(of) => Some(of.value.clone()),
        _ => None,
    };
    let (left, op, right) = match of {
        Expr::BinaryOp { left, op, right } => (value(left)?, op, value(right)?),
        other => match value(other)? {
            Value::Boolean(truth) => return Some(truth),
            _ => return None,
        },
    };
    let is_plain = match (&left, &right) {
        (Value::Number(a, _), Value::Number(b, _)) => {
            [a, b].into_iter().all(|text| text.parse::<u64>().is_ok_and(|n| n.to_string() == *text))
        }
        (Value::SingleQuotedString(_), Value::SingleQuotedString(_)) => true,
        (Value::Boolean(_), Value::Boolean(_)) => true,
        _ => false,
    };
    match op {
        BinaryOperator::Eq if is_plain => Some(left == right),
        BinaryOperator::NotEq if is_plain => Some(left != right),
        _ => None,
    }
}

pub fn table(factor: &TableFactor) -> Checked {
    let at = factor.span();
    match factor {
        TableFactor::Table {
            name,
            alias: _,
            args: _,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            let is_plain = with_hints.is_empty() && version.is_none() && !with_ordinality;
            let is_whole = partitions.is_empty() && json_path.is_none() && sample.is_none();
            match is_plain && is_whole && index_hints.is_empty() {
                true => PASSES,
                false => {
                    let next = "name the table alone; LIMIT and WHERE take fewer rows";
                    refuse(at, format!("`{name}` has hints, a version or a sample"), next)
                }
            }
        }
        TableFactor::Derived { lateral: false, sample: None, .. } => PASSES,
        TableFactor::UNNEST { .. } => refuse(at, "UNNEST stands in FROM", UNNEST),
        TableFactor::NestedJoin { .. } => refuse(
            at,
            "joins stand in parentheses",
            "write them one after the other, or as a query of FROM",
        ),
        other => refuse(
            at,
            format!("`{}` is no table that is known here", shown(other)),
            "write a table's name, or a query in parentheses with a name behind it",
        ),
    }
}
