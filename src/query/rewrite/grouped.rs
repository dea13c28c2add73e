//! Queries that group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned,
    TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::parts;
use crate::query::QueryError;
use crate::query::allowed::{first_aggregate, item, keys};

/// ORDER BY a figure that the SELECT has: by its place. The engine would make the figure of the groups.
pub fn order(query: &mut Query) {
    let Some(OrderBy { kind: OrderByKind::Expressions(by), .. }) = &mut query.order_by else {
        return;
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    for one in by.iter_mut().filter(|one| first_aggregate(&one.expr).is_some()) {
        let mut items = select.projection.iter().map(item);
        let place = items.position(|of| of.is_some_and(|(of, _)| *of == one.expr));
        if let Some(place) = place {
            let number = Value::Number((place + 1).to_string(), false);
            one.expr = Expr::Value(number.with_span(one.expr.span()));
        }
    }
}

/// Groups of joined tables: joined in a query of FROM, where each column has a name of its own. The engine knows a
/// column that two tables have by another name, and loses it when it groups.
///
/// # Errors
/// None, but for a query that cannot be written.
pub fn joined(query: &mut Query, name: &str) -> Result<(), QueryError> {
    let at = query.span();
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    let has_joins = select.from.iter().any(|from| !from.joins.is_empty());
    let is_named = select.projection.iter().all(|of| item(of).is_some());
    if keys(select).is_empty() || !has_joins || !is_named {
        return Ok(());
    }
    let columns = Columns::of(select, query.order_by.as_ref());
    let mut within = parts::query(&format!("SELECT 1 FROM (SELECT 1) AS \"{name}\""), at)?;
    let SetExpr::Select(inner) = within.body.as_mut() else { return Ok(()) };
    // The derived table of the text is the one of the query around.
    let around = std::mem::replace(&mut inner.from, std::mem::take(&mut select.from));
    inner.selection = select.selection.take();
    inner.projection = columns.items();
    select.from = around;
    if let Some(TableFactor::Derived { subquery, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    {
        **subquery = within;
    }
    for of in &mut select.projection {
        // Under the name that it would have.
        if let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) = of
            && let Some(alias) = names.last().cloned()
        {
            *of =
                SelectItem::ExprWithAlias { expr: Expr::CompoundIdentifier(names.clone()), alias };
        }
    }
    let _ = VisitMut::visit(&mut select.projection, &mut Renamed);
    let _ = VisitMut::visit(&mut select.group_by, &mut Renamed);
    let _ = VisitMut::visit(&mut select.having, &mut Renamed);
    let _ = VisitMut::visit(&mut query.order_by, &mut Renamed);
    Ok(())
}

/// A column of a table, by the name that it gets.
fn renamed(names: &[Ident]) -> Option<Ident> {
    let [table, column] = names else { return None };
    let mut name = Ident::with_quote('"', format!("{}.{}", table.value, column.value));
    name.span = table.span.union(&column.span);
    Some(name)
}

struct Renamed;

impl VisitorMut for Renamed {
    type Break = ();

    fn pre_visit_expr(&mut self, of: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = of
            && let Some(name) = renamed(names)
        {
            *of = Expr::Identifier(name);
        }
        ControlFlow::Continue(())
    }
}

/// Columns that a query names outside of FROM and WHERE.
#[derive(Default)]
struct Columns {
    /// With their tables, by the name that they get.
    of_tables: BTreeMap<String, Vec<Ident>>,
    alone: BTreeMap<String, Ident>,
}

impl Columns {
    fn of(select: &Select, order_by: Option<&OrderBy>) -> Self {
        let mut columns = Self::default();
        let _ = select.projection.visit(&mut columns);
        // Names that the SELECT gives are no columns elsewhere, but for those that it also reads.
        let given: BTreeSet<&str> = select.projection.iter().filter_map(|of| item(of)?.1).collect();
        let mut others = Self::default();
        if let GroupByExpr::Expressions(by, _) = &select.group_by {
            let _ = by.visit(&mut others);
        }
        let _ = select.having.visit(&mut others);
        let _ = order_by.cloned().visit(&mut others);
        others.alone.retain(|name, _| !given.contains(name.as_str()));
        columns.of_tables.extend(others.of_tables);
        columns.alone.extend(others.alone);
        columns
    }

    fn items(self) -> Vec<SelectItem> {
        let of_tables = self.of_tables.into_values().filter_map(|names| {
            let alias = renamed(&names)?;
            Some(SelectItem::ExprWithAlias { expr: Expr::CompoundIdentifier(names), alias })
        });
        let alone =
            self.alone.into_values().map(|name| SelectItem::UnnamedExpr(Expr::Identifier(name)));
        let mut items: Vec<SelectItem> = of_tables.chain(alone).collect();
        if items.is_empty() {
            // COUNT(*) alone, over groups of nothing.
            items.push(SelectItem::UnnamedExpr(super::null()));
        }
        items
    }
}

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, of: &Expr) -> ControlFlow<()> {
        match of {
            Expr::CompoundIdentifier(names) => {
                if let Some(name) = renamed(names) {
                    self.of_tables.insert(name.value, names.clone());
                }
            }
            Expr::Identifier(name) => {
                self.alone.insert(name.value.clone(), name.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
