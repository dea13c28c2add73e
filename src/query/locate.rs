//! Where in a statement the engine's complaint comes from: it names no place.
//!
//! Parts of the statement are asked by themselves over tables without rows, and the smallest that brings the same
//! complaint is the one. What only a value of a row brings about is found by nobody here.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Expr, GroupByExpr, Ident, Join, JoinConstraint, OrderByKind, Query, Select, SelectItem,
    SetExpr, Spanned, Visit, Visitor, WildcardAdditionalOptions, With,
};
use sqlparser::tokenizer::{Location, Span};

use super::allowed::{constraint, shown};
use super::statement::At;

/// Part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub at: At,
    /// As it was written, but for blanks and upper case.
    pub text: String,
    /// Its columns, and where they stand.
    pub columns: Vec<(String, At)>,
}

/// What complains, and how a query is asked.
pub struct Complaint<'a> {
    /// The statement as it was written.
    pub source: &'a str,
    /// What the engine says of the whole statement.
    pub of: &'a str,
    /// What it says of a query over tables without rows; `None` where it has no complaint.
    pub ask: &'a dyn Fn(&Query) -> Option<String>,
}

/// The beginning of a complaint, without its numbers; what follows is different in every part.
fn beginning(complaint: &str) -> String {
    let line = complaint.lines().next().unwrap_or_default();
    let beginning = line.split_once(';').map_or(line, |(beginning, _)| beginning);
    beginning.chars().filter(|c| !c.is_ascii_digit()).collect()
}

impl Complaint<'_> {
    /// The smallest part of the query that brings the complaint.
    pub fn part(&self, query: &Query) -> Option<Part> {
        self.within(query, &[])
    }

    fn is_brought_by(&self, query: &Query) -> bool {
        (self.ask)(query).is_some_and(|says| beginning(&says) == beginning(self.of))
    }

    /// `before` are the queries that `WITH` has given names to so far.
    fn within(&self, query: &Query, before: &[Cte]) -> Option<Part> {
        let mut given = before.to_vec();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            if let Some(part) = self.within(&cte.query, &given) {
                return Some(part);
            }
            given.push(cte.clone());
        }
        let mut whole = query.clone();
        whole.with = (!given.is_empty()).then(|| With {
            with_token: query.with.as_ref().map_or_else(
                sqlparser::ast::helpers::attached_token::AttachedToken::empty,
                |with| with.with_token.clone(),
            ),
            recursive: false,
            cte_tables: given.clone(),
        });
        if !self.is_brought_by(&whole) {
            return None;
        }
        self.below(&whole, query.body.as_ref(), &given)
            .or_else(|| self.of_order(&whole))
            .or_else(|| self.of_limit(&whole))
            .or_else(|| of_operation(&whole))
    }

    /// Of a body: its queries first, then its clauses.
    fn below(&self, whole: &Query, body: &SetExpr, given: &[Cte]) -> Option<Part> {
        match body {
            SetExpr::Query(query) => self.within(query, given),
            SetExpr::SetOperation { left, right, .. } => {
                self.below(whole, left, given).or_else(|| self.below(whole, right, given))
            }
            SetExpr::Select(select) => {
                let inner = queries_of(select);
                inner
                    .iter()
                    .find_map(|query| self.within(query, given))
                    .or_else(|| self.of_select(whole, select))
            }
            _ => None,
        }
    }

    /// Of a SELECT without its queries: the clause, in the order in which the engine looks at them.
    fn of_select(&self, whole: &Query, select: &Select) -> Option<Part> {
        let brings = |select: Select| {
            let body = Box::new(SetExpr::Select(Box::new(select)));
            self.is_brought_by(&Query { body, order_by: None, limit_clause: None, ..whole.clone() })
        };
        let bare = || {
            let mut bare = select.clone();
            bare.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
            (bare.distinct, bare.selection, bare.having, bare.qualify) = (None, None, None, None);
            bare.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
            bare
        };
        for (table, from) in select.from.iter().enumerate() {
            for joins in 0..=from.joins.len() {
                let mut only = bare();
                only.from.truncate(table + 1);
                if let Some(last) = only.from.last_mut() {
                    last.joins.truncate(joins);
                }
                if brings(only) {
                    return from
                        .joins
                        .get(joins.checked_sub(1)?)
                        .and_then(|join| self.of_join(join));
                }
            }
        }
        for condition in select.selection.iter().flat_map(conjuncts) {
            if brings(Select { selection: Some(condition.clone()), ..bare() }) {
                return Some(self.shown(condition));
            }
        }
        if let GroupByExpr::Expressions(by, _) = &select.group_by {
            for expression in by {
                let projection = vec![SelectItem::UnnamedExpr(expression.clone())];
                if brings(Select { projection, ..bare() }) {
                    return Some(self.shown(expression));
                }
            }
        }
        for item in &select.projection {
            let alone = Select { projection: vec![item.clone()], having: None, ..select.clone() };
            if brings(alone) {
                return expression_of(item).map(|of| self.shown(of));
            }
        }
        let having = select.having.iter().find(|_| brings(select.clone()));
        having.map(|of| self.shown(of))
    }

    /// The condition of a join; the columns of USING are one.
    fn of_join(&self, join: &Join) -> Option<Part> {
        let (on, _) = constraint(join)?;
        match on {
            JoinConstraint::On(condition) => Some(self.shown(condition)),
            JoinConstraint::Using(names) => {
                let columns = names.iter().filter_map(|name| name.0.last()?.as_ident());
                let columns: Vec<(String, At)> =
                    columns.map(|name| (name.value.clone(), At::begin(name.span))).collect();
                let text: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                let text = format!("USING ({})", text.join(", "));
                let at = columns.first().map(|(_, at)| *at)?;
                Some(Part { at, text, columns })
            }
            _ => None,
        }
    }

    fn of_order(&self, whole: &Query) -> Option<Part> {
        let order = whole.order_by.as_ref()?;
        let OrderByKind::Expressions(by) = &order.kind else { return None };
        let only = |one: &sqlparser::ast::OrderByExpr| {
            let kind = OrderByKind::Expressions(vec![one.clone()]);
            let order_by = Some(sqlparser::ast::OrderBy { kind, ..order.clone() });
            Query { order_by, ..whole.clone() }
        };
        let without = Query { order_by: None, ..whole.clone() };
        if self.is_brought_by(&without) {
            return None;
        }
        by.iter().find(|one| self.is_brought_by(&only(one))).map(|one| self.shown(&one.expr))
    }

    fn of_limit(&self, whole: &Query) -> Option<Part> {
        let limit = whole.limit_clause.as_ref()?;
        let text = limit.to_string().trim().to_string();
        let without = Query { limit_clause: None, ..whole.clone() };
        let brings = self.is_brought_by(&without);
        (!brings).then(|| Part { at: At::begin(limit.span()), text, columns: Vec::new() })
    }
}

/// Two queries that are put together, where it is neither of them.
fn of_operation(whole: &Query) -> Option<Part> {
    let SetExpr::SetOperation { op, right, .. } = whole.body.as_ref() else { return None };
    let at = At::begin(right.span());
    Some(Part { at, text: op.to_string(), columns: Vec::new() })
}

impl Complaint<'_> {
    fn shown(&self, expression: &Expr) -> Part {
        let mut columns = Columns::default();
        let _ = expression.visit(&mut columns);
        // Tables that were registered are written under their names again.
        let text = expression.to_string().replace("\"table:", "\"");
        let span = expression.span();
        let text = shown(as_written(self.source, span, &text).unwrap_or(text));
        Part { at: At::begin(span), text, columns: columns.0 }
    }
}

/// What the statement has where a part stands that was put in another way: at least that, and as far as its
/// parentheses go. `None` where the part is as it was written.
fn as_written(source: &str, span: Span, text: &str) -> Option<String> {
    let bare = |text: &str| text.split_whitespace().collect::<String>().to_lowercase();
    if bare(source).contains(&bare(text)) {
        return None;
    }
    let (begin, end) = (place(source, span.start)?, place(source, span.end)?);
    let mut open = 0_i32;
    let mut taken = String::new();
    for (i, c) in source.get(begin..)?.char_indices() {
        // COUNT(*) ends where its name does.
        let goes_on = open > 0 || (c == '(' && begin + i == end);
        if begin + i >= end && !goes_on {
            break;
        }
        open += i32::from(c == '(') - i32::from(c == ')');
        taken.push(c);
    }
    let taken = taken.split_whitespace().collect::<Vec<_>>().join(" ");
    (!taken.is_empty()).then_some(taken)
}

/// Where a place of the text is among its bytes.
fn place(source: &str, at: Location) -> Option<usize> {
    let mut lines = source.split_inclusive('\n');
    let line = usize::try_from(at.line.checked_sub(1)?).ok()?;
    let before: usize = lines.by_ref().take(line).map(str::len).sum();
    let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let text = lines.next().unwrap_or_default();
    let within = text.char_indices().nth(column).map_or(text.len(), |(i, _)| i);
    Some(before + within)
}

#[derive(Default)]
struct Columns(Vec<(String, At)>);

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        let name: Option<&Ident> = match expression {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        self.0.extend(name.map(|name| (name.value.clone(), At::begin(name.span))));
        ControlFlow::Continue(())
    }
}

/// The conditions that AND puts together.
fn conjuncts(of: &Expr) -> Vec<&Expr> {
    match of {
        Expr::BinaryOp { left, op: sqlparser::ast::BinaryOperator::And, right } => {
            [conjuncts(left), conjuncts(right)].concat()
        }
        other => vec![other],
    }
}

fn expression_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The queries within a SELECT, not those within them.
fn queries_of(select: &Select) -> Vec<Query> {
    #[derive(Default)]
    struct Direct {
        depth: usize,
        found: Vec<Query>,
    }
    impl Visitor for Direct {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            if self.depth == 1 {
                self.found.push(query.clone());
            }
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    let mut direct = Direct::default();
    let _ = select.visit(&mut direct);
    direct.found
}
