//! Types that SQL does not let stand beside each other: the engine takes a time for the number of its days or
//! microseconds since 1970, a truth for 0 or 1, and a number for a text.
//!
//! Asked of the plan that the engine makes of a statement, step by step: there every expression has a type, wherever it
//! comes from.

use std::fmt::{self, Display};

use polars::prelude::{
    BooleanFunction, DataType, DslPlan, Expr, FunctionExpr, LazyFrame, LiteralValue, Operator,
    PolarsError, PolarsResult, Schema, TemporalFunction,
};

/// What of a type matters to what may stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Time,
    Truth,
    /// Of time.
    Stretch,
    List,
    /// Null, or what the plan does not say: it fits all.
    Any,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Truth,
            DataType::String => Self::Text,
            DataType::Date | DataType::Datetime(..) => Self::Time,
            DataType::Duration(_) => Self::Stretch,
            DataType::List(_) => Self::List,
            other if other.is_primitive_numeric() => Self::Number,
            DataType::Unknown(kind) => match kind.materialize() {
                Some(known) if !matches!(known, DataType::Unknown(_)) => Self::of(&known),
                _ => Self::Any,
            },
            _ => Self::Any,
        }
    }

    fn fits(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::Truth => "a truth",
            Self::Stretch => "a stretch of time",
            Self::List => "a list",
            Self::Any => "a value",
        })
    }
}

/// How such an error begins; the engine's own do not.
pub const IT: &str = "it ";

const TIMES: &str = "write times as DATE '2019-11-06' or TIMESTAMP '2019-11-06 00:00:00', and parts of them as EXTRACT(YEAR FROM …)";

fn wrong<T>(what: &str, next: &str) -> PolarsResult<T> {
    Err(PolarsError::InvalidOperation(format!("{IT}{what}\n{next}").into()))
}

fn pair(does: &str, a: Kind, with: &str, b: Kind) -> PolarsResult<()> {
    let next = match (a, b) {
        (Kind::Time, _) | (_, Kind::Time) => TIMES,
        (Kind::Truth, _) | (_, Kind::Truth) => {
            "write the condition alone, or CASE WHEN … THEN 1 ELSE 0 END"
        }
        (Kind::Text, Kind::Text) => "write || between texts",
        _ => "write CAST(… AS …) around one of them",
    };
    wrong(&format!("{does} {a} {with} {b}"), next)
}

/// # Errors
/// The first expression that SQL does not know. What the engine itself cannot answer passes: it says so later.
pub fn check(plan: &DslPlan) -> PolarsResult<()> {
    match plan {
        DslPlan::IR { dsl, .. } => check(dsl),
        DslPlan::Filter { input, predicate } => of_input(input, [predicate]),
        DslPlan::Select { expr, input, .. } => of_input(input, expr),
        DslPlan::HStack { input, exprs, .. } => of_input(input, exprs),
        DslPlan::Sort { input, by_column, .. } => of_input(input, by_column),
        DslPlan::GroupBy { input, keys, predicates, aggs, .. } => {
            of_input(input, keys.iter().chain(predicates).chain(aggs))
        }
        DslPlan::Join { input_left, input_right, left_on, right_on, predicates, .. } => {
            check(input_left)?;
            check(input_right)?;
            let (Some(left), Some(right)) = (schema(input_left), schema(input_right)) else {
                return Ok(());
            };
            for (a, b) in left_on.iter().zip(right_on) {
                of_expression(a, &left)?;
                of_expression(b, &right)?;
                compares(kind(a, &left), kind(b, &right))?;
            }
            // Those of the table on the right have other names where both have one, as in what the join gives.
            match (predicates.is_empty(), schema(plan)) {
                (false, Some(both)) => {
                    predicates.iter().try_for_each(|of| of_expression(of, &both))
                }
                _ => Ok(()),
            }
        }
        DslPlan::Union { inputs, .. } => {
            inputs.iter().try_for_each(check)?;
            let schemas: Vec<Schema> = inputs.iter().filter_map(schema).collect();
            let Some((head, rest)) = schemas.split_first() else { return Ok(()) };
            for other in rest {
                for (a, b) in head.iter_values().zip(other.iter_values()) {
                    let (a, b) = (Kind::of(a), Kind::of(b));
                    if !a.fits(b) {
                        pair("puts", a, "under", b)?;
                    }
                }
            }
            Ok(())
        }
        DslPlan::HConcat { inputs, .. } => inputs.iter().try_for_each(check),
        DslPlan::ExtContext { input, contexts } => {
            check(input)?;
            contexts.iter().try_for_each(check)
        }
        DslPlan::Cache { input, .. }
        | DslPlan::Distinct { input, .. }
        | DslPlan::Slice { input, .. }
        | DslPlan::MapFunction { input, .. } => check(input),
        DslPlan::PipeWithSchema { input, .. } => input.iter().try_for_each(check),
        _ => Ok(()),
    }
}

fn of_input<'a>(input: &DslPlan, of: impl IntoIterator<Item = &'a Expr>) -> PolarsResult<()> {
    check(input)?;
    let Some(schema) = schema(input) else { return Ok(()) };
    of.into_iter().try_for_each(|of| of_expression(of, &schema))
}

/// Columns of a step; `None` where the engine has a complaint of its own.
pub fn schema(of: &DslPlan) -> Option<Schema> {
    let schema = LazyFrame::from(of.clone()).collect_schema().ok()?;
    Some(schema.as_ref().clone())
}

fn data_type(of: &Expr, schema: &Schema) -> Option<DataType> {
    of.to_field(schema).ok().map(|field| field.dtype)
}

fn kind(of: &Expr, schema: &Schema) -> Kind {
    data_type(of, schema).map_or(Kind::Any, |data_type| Kind::of(&data_type))
}

fn compares(a: Kind, b: Kind) -> PolarsResult<()> {
    match a.fits(b) {
        true => Ok(()),
        false => pair("compares", a, "with", b),
    }
}

/// An expression and all within it.
fn of_expression(of: &Expr, schema: &Schema) -> PolarsResult<()> {
    let kinds = |of: &[Expr]| of.iter().map(|of| kind(of, schema)).collect::<Vec<_>>();
    for part in of {
        match part {
            Expr::BinaryExpr { left, op, right } => {
                let (a, b) = (kind(left, schema), kind(right, schema));
                match op {
                    Operator::Eq
                    | Operator::EqValidity
                    | Operator::NotEq
                    | Operator::NotEqValidity
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq => compares(a, b)?,
                    Operator::And
                    | Operator::Or
                    | Operator::Xor
                    | Operator::LogicalAnd
                    | Operator::LogicalOr => {
                        if let Some(other) = [a, b].into_iter().find(|kind| !kind.fits(Kind::Truth))
                        {
                            let next =
                                "write a condition on both sides of AND and OR: x <> 0 of a number";
                            wrong(&format!("takes {other} for a condition"), next)?;
                        }
                    }
                    _ => calculates((left, a), *op, (right, b))?,
                }
            }
            Expr::Ternary { truthy, falsy, .. } => {
                let (a, b) = (kind(truthy, schema), kind(falsy, schema));
                if !a.fits(b) {
                    pair("gives", a, "or", b)?;
                }
            }
            Expr::Function { input, function } => match function {
                FunctionExpr::Coalesce
                | FunctionExpr::MaxHorizontal
                | FunctionExpr::MinHorizontal
                | FunctionExpr::FillNull => {
                    let kinds = kinds(input);
                    let known = kinds.iter().find(|kind| **kind != Kind::Any).copied();
                    let other =
                        kinds.iter().find(|kind| known.is_some_and(|known| !kind.fits(known)));
                    if let (Some(a), Some(b)) = (known, other) {
                        pair("gives", a, "or", *b)?;
                    }
                }
                FunctionExpr::Boolean(BooleanFunction::IsIn { .. }) => {
                    if let [of, among] = input.as_slice()
                        && let Some(DataType::List(inner)) = data_type(among, schema)
                    {
                        compares(kind(of, schema), Kind::of(&inner))?;
                    }
                }
                FunctionExpr::TemporalExpr(TemporalFunction::OffsetBy) => {
                    if let [of, Expr::Literal(by)] = input.as_slice()
                        && data_type(of, schema) == Some(DataType::Date)
                        && is_within_a_day(by)
                    {
                        let next = "write CAST(day AS TIMESTAMP) + INTERVAL '2 hours'";
                        wrong("adds hours, minutes or seconds to a day, which has none", next)?;
                    }
                }
                _ => {}
            },
            Expr::Cast { expr, dtype, .. } => {
                if let (Some(from), Some(to)) = (data_type(expr, schema), dtype.as_literal()) {
                    casts(expr, &from, to)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a stretch of time, as the engine writes it (`1mo2d3h`), has parts that are shorter than a day.
fn is_within_a_day(by: &LiteralValue) -> bool {
    by.extract_str().is_some_and(|text| text.replace("mo", "").contains(['h', 'm', 's']))
}

fn calculates(
    (left, a): (&Expr, Kind),
    op: Operator,
    (right, b): (&Expr, Kind),
) -> PolarsResult<()> {
    use Kind as K;
    let is_sum = matches!(op, Operator::Plus | Operator::Minus);
    let fits = match (a, b) {
        (K::Any, _) | (_, K::Any) | (K::Number, K::Number) => true,
        (K::Time, K::Time) => op == Operator::Minus,
        (K::Time, K::Stretch) | (K::Stretch, K::Time | K::Stretch) => is_sum,
        // `||` makes texts of both first.
        (K::Text, K::Text) => matches!((left, right), (Expr::Cast { .. }, Expr::Cast { .. })),
        // Of the engine's own COUNT(DISTINCT …): less one where there are nulls.
        (K::Number, K::Truth) => is_count_of_nulls(right),
        _ => false,
    };
    match fits {
        true => Ok(()),
        false => pair("calculates with", a, "and", b),
    }
}

fn is_count_of_nulls(of: &Expr) -> bool {
    let Expr::BinaryExpr { left, op: Operator::Gt, .. } = of else { return false };
    let mut left = left.as_ref();
    while let Expr::Cast { expr, .. } = left {
        left = expr;
    }
    matches!(left, Expr::Function { function: FunctionExpr::NullCount, .. })
}

fn casts(of: &Expr, from: &DataType, to: &DataType) -> PolarsResult<()> {
    match (Kind::of(from), Kind::of(to)) {
        (Kind::Time, Kind::Number) | (Kind::Number, Kind::Time) => {
            wrong(&format!("makes {} of {}", Kind::of(to), Kind::of(from)), TIMES)
        }
        (Kind::Number, Kind::Number) if from.is_float() && to.is_integer() && !is_whole(of) => {
            wrong(
                "cuts off what is behind the point, where others round",
                "say which: CAST(ROUND(x) AS BIGINT), CAST(TRUNC(x) AS BIGINT), FLOOR or CEIL",
            )
        }
        _ => Ok(()),
    }
}

/// Whether it has nothing behind the point.
fn is_whole(of: &Expr) -> bool {
    match of {
        Expr::Function { function, .. } => matches!(
            function,
            FunctionExpr::Round { decimals: 0, .. }
                | FunctionExpr::Truncate { decimals: 0 }
                | FunctionExpr::Floor
                | FunctionExpr::Ceil
        ),
        Expr::BinaryExpr { op: Operator::FloorDivide, .. } => true,
        _ => false,
    }
}
