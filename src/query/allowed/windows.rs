//! Windows: what stands in OVER.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr, Spanned, WindowFrame,
    WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};
use sqlparser::tokenizer::Span;

use super::{Checked, PASSES, called, is_column, refuse, shown};

/// Functions with OVER: those that count on from row to row, those of a place among rows, and AVG over whole partitions.
pub const WINDOWS: [&str; 11] = [
    "SUM",
    "COUNT",
    "MIN",
    "MAX",
    "AVG",
    "ROW_NUMBER",
    "RANK",
    "DENSE_RANK",
    "LAG",
    "LEAD",
    "FIRST_VALUE",
];

const RUNNING: [&str; 4] = ["SUM", "COUNT", "MIN", "MAX"];

/// What is counted over, and in which order.
pub fn window(name: &str, at: Span, over: &WindowType) -> Checked {
    let WindowType::WindowSpec(WindowSpec { order_by, window_frame, window_name: None, .. }) = over
    else {
        return refuse(at, format!("{name} … OVER names a window"), "write the window out");
    };
    let is_running = RUNNING.contains(&name);
    let is_place = !is_running && name != "AVG";
    match (order_by.is_empty(), window_frame) {
        (true, None) if !is_place => PASSES,
        (true, _) if is_place => {
            refuse(at, format!("{name} … OVER has no ORDER BY"), "write OVER (ORDER BY …)")
        }
        (false, Some(frame)) if is_running && is_up_to_here(frame) => keys(name, order_by),
        (false, None) if is_place => keys(name, order_by),
        (false, _) if is_running => refuse(
            at,
            format!("{name} … OVER (ORDER BY …) counts rows with equal keys one by one here"),
            "say so: ORDER BY … ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        ),
        _ => refuse(
            at,
            format!("{name} … OVER with this ORDER BY or frame would be another figure here"),
            "leave the order and the frame out, or use SUM, COUNT, MIN or MAX with ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        ),
    }
}

/// What a window is ordered by. Where its first key is not known `rewrite` puts last or first, as it is asked for; the
/// engine has one direction for all, and puts rows without any other key first.
fn keys(name: &str, order_by: &[OrderByExpr]) -> Checked {
    let is_descending = |key: &OrderByExpr| key.options.asc == Some(false);
    let Some((head, rest)) = order_by.split_first() else { return PASSES };
    if !is_named(&head.expr) {
        return refuse(
            head.expr.span(),
            format!("`{}` is a key of {name} … OVER, and no column", shown(&head.expr)),
            "give it a name in a query of FROM; the order is turned around by DESC",
        );
    }
    if let Some(other) = rest.iter().find(|key| is_descending(key) != is_descending(head)) {
        return refuse(
            other.expr.span(),
            format!("{name} … OVER is ordered in two directions"),
            "order all keys in one; a number is turned around by a minus, in a query of FROM that gives it a name",
        );
    }
    let is_known = |key: &&OrderByExpr| match &key.expr {
        Expr::Function(of) => called(of) == "COALESCE",
        _ => false,
    };
    if let Some(other) = rest.iter().find(|key| !is_known(key) || key.options.nulls_first.is_some())
    {
        return refuse(
            other.expr.span(),
            format!("`{}` is a second key of {name} … OVER, and may be null", shown(&other.expr)),
            format!("say what stands for null: COALESCE({}, '') or COALESCE({0}, 0)", other.expr),
        );
    }
    PASSES
}

/// Whether the engine calls an expression as it does its column: two keys may not be called alike, and `rewrite` puts
/// a constant before the first.
fn is_named(of: &Expr) -> bool {
    match of {
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => match list.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) => is_named(first),
                _ => false,
            },
            _ => false,
        },
        other => is_column(other),
    }
}

fn is_up_to_here(frame: &WindowFrame) -> bool {
    frame.units == WindowFrameUnits::Rows
        && frame.start_bound == WindowFrameBound::Preceding(None)
        && matches!(&frame.end_bound, None | Some(WindowFrameBound::CurrentRow))
}
