//! Joins: the columns of two tables beside each other, and nothing else in ON.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, Select, SelectItem, Spanned,
    Visit, Visitor,
};

use super::expressions::table_name;
use super::{Checked, PASSES, refuse, shown};

/// What the kinds of joins that are to be had compare: of a reference or of what may be changed.
macro_rules! compared {
    ($join:expr) => {{
        use JoinOperator as J;
        match $join {
            J::Join(on)
            | J::Inner(on)
            | J::Left(on)
            | J::LeftOuter(on)
            | J::Right(on)
            | J::RightOuter(on)
            | J::FullOuter(on)
            | J::Semi(on)
            | J::LeftSemi(on)
            | J::Anti(on)
            | J::LeftAnti(on) => Some(on),
            _ => None,
        }
    }};
}

/// What a join compares, and whether it is an inner one; `None` of a CROSS JOIN and of kinds that are not to be had.
pub fn constraint(join: &Join) -> Option<(&JoinConstraint, bool)> {
    let is_inner = matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_));
    compared!(&join.join_operator).map(|on| (on, is_inner))
}

/// The same, to be changed.
pub fn constraint_mut(join: &mut Join) -> Option<&mut JoinConstraint> {
    compared!(&mut join.join_operator)
}

pub fn check(select: &Select) -> Checked {
    let mut joins = select.from.iter().flat_map(|from| &from.joins);
    joins.try_for_each(|one| join(one, select))
}

fn join(of: &Join, select: &Select) -> Checked {
    let at = of.relation.span();
    if of.global {
        return refuse(at, "GLOBAL JOIN is not known here", "leave GLOBAL out");
    }
    if matches!(of.join_operator, JoinOperator::CrossJoin(JoinConstraint::None)) {
        return PASSES;
    }
    let Some((constraint, is_inner)) = constraint(of) else {
        let what = format!("`{}` is a join of another kind", shown(of));
        return refuse(
            at,
            what,
            "write JOIN, LEFT JOIN, RIGHT JOIN, FULL JOIN, SEMI JOIN or ANTI JOIN",
        );
    };
    match constraint {
        JoinConstraint::On(condition) => compares(condition, table_name(&of.relation), is_inner),
        JoinConstraint::Using(_) => using(of, select),
        JoinConstraint::Natural => refuse(
            at,
            "NATURAL JOIN compares whatever is called alike",
            "name the columns in USING",
        ),
        JoinConstraint::None => refuse(at, "a JOIN has no ON", "write ON, or CROSS JOIN"),
    }
}

/// The engine's column of USING is that of the table on the left, and `*` has both.
fn using(of: &Join, select: &Select) -> Checked {
    use JoinOperator as J;
    let at = of.relation.span();
    let next = "write ON, and COALESCE(a.x, b.x) AS x in the SELECT";
    if matches!(of.join_operator, J::Right(_) | J::RightOuter(_) | J::FullOuter(_)) {
        return refuse(
            at,
            "USING in a RIGHT or FULL JOIN has the values of one table alone here",
            next,
        );
    }
    let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
    if select.projection.iter().any(is_star) {
        return refuse(
            at,
            "SELECT * has the columns of USING twice here",
            "name the columns in the SELECT",
        );
    }
    PASSES
}

const ON: &str = "in ON, compare columns of the two tables, each under its table's name, as in a.scope = b.scope; other conditions stand in WHERE, or in a query of FROM: JOIN (SELECT … FROM b WHERE …) AS b ON …";

/// What the engine makes of ON: columns of the table on the left beside those of the one on the right, and of other
/// conditions it takes either for the left one's, and only an inner join may compare otherwise than by `=`.
fn compares(condition: &Expr, joined: Option<&Ident>, is_inner: bool) -> Checked {
    let (left, op, right) = match condition {
        // `rewrite` takes the parentheses away.
        Expr::Nested(within) => return compares(within, joined, is_inner),
        Expr::BinaryOp { left, op, right } => (left, op, right),
        _ => return refuse(condition.span(), format!("`{}` stands in ON", shown(condition)), ON),
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
        let what =
            format!("`{}` stands in ON of a join that would become an inner one", shown(condition));
        return refuse(condition.span(), what, ON);
    }
    match (tables(left), tables(right), joined) {
        (Some(left), Some(right), Some(joined))
            if left != right && [&left, &right].contains(&&joined.value) =>
        {
            PASSES
        }
        _ => refuse(condition.span(), format!("`{}` stands in ON", shown(condition)), ON),
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
                Expr::Identifier(_) | Expr::Subquery(_) | Expr::InSubquery { .. } => {
                    ControlFlow::Break(())
                }
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
