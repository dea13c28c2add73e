//! Expressions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chrono::NaiveDate;
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, ExactNumberInfo, Expr, Ident,
    Interval, Query, Spanned, TableFactor, TimezoneInfo, UnaryOperator, Value, ValueWithSpan,
    Visit, Visitor,
};
use sqlparser::tokenizer::Span;

use super::{Checked, PASSES, first, functions, refuse, shown};

/// An expression by itself; those within it are looked at one by one.
pub fn check(of: &Expr) -> Checked {
    match of {
        Expr::Identifier(_)
        | Expr::Nested(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::Between { .. }
        | Expr::Case { .. } => PASSES,
        Expr::CompoundIdentifier(names) if names.len() == 2 => PASSES,
        Expr::Value(value) => literal(value),
        Expr::UnaryOp {
            op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not,
            ..
        } => PASSES,
        Expr::BinaryOp { left, op, right } => binary(of, left, op, right),
        Expr::InList { list, .. } => match list.iter().find(|one| !is_literal(one)) {
            None => PASSES,
            Some(other) => refuse(
                other.span(),
                format!("`{}` stands in a list of IN, where values alone can", shown(other)),
                "write x = a OR x = b",
            ),
        },
        Expr::InSubquery { subquery, .. } => uncorrelated(subquery),
        Expr::Like { any: false, pattern, escape_char: None, .. }
        | Expr::ILike { any: false, pattern, escape_char: None, .. } => like(pattern),
        Expr::Cast { kind, data_type, array: false, format: None, .. } => cast(of, kind, data_type),
        Expr::Extract { field, .. } if is_part(field) => PASSES,
        Expr::Ceil { field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime), .. }
        | Expr::Floor { field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime), .. } => {
            PASSES
        }
        Expr::Substring { substring_from: Some(from), substring_for, .. } => {
            let length =
                substring_for.as_ref().is_none_or(|length| whole(length).is_some_and(|n| n >= 0));
            if length && whole(from).is_some_and(|n| n > 0) {
                return PASSES;
            }
            refuse(
                of.span(),
                format!("`{}` begins or is as long as no number from 1 says", shown(of)),
                "give the beginning, from 1, and the length as numbers; RIGHT(x, n) has the last characters",
            )
        }
        Expr::Trim { trim_characters: None, .. } => PASSES,
        Expr::TypedString(typed) => {
            let Value::SingleQuotedString(text) = &typed.value.value else {
                return unknown(of);
            };
            match typed.data_type {
                DataType::Date if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_err() => {
                    refuse(of.span(), format!("there is no day {text}"), "write it as 2019-11-06")
                }
                DataType::Date | DataType::Timestamp(None, TimezoneInfo::None) => PASSES,
                _ => unknown(of),
            }
        }
        Expr::Interval(interval) => interval_of(of, interval),
        Expr::Function(function) => functions::check(function),
        other => unknown(other),
    }
}

/// What is on no list.
fn unknown(of: &Expr) -> Checked {
    let next = match of {
        Expr::Exists { negated: false, .. } => "write x IN (SELECT y FROM …), or SEMI JOIN",
        Expr::Exists { negated: true, .. } => {
            "write x NOT IN (SELECT y FROM … WHERE y IS NOT NULL), or ANTI JOIN"
        }
        Expr::Subquery(_) => {
            "join with it: CROSS JOIN (SELECT AVG(x) AS mean FROM …) AS m, and m.mean in place of the query"
        }
        Expr::Tuple(_) => "compare one by one: a = 1 AND b = 2; or join with the other table",
        Expr::AnyOp { .. } | Expr::AllOp { .. } => "write x IN (…), or compare with MIN or MAX",
        Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            "write LIKE, and OR for more than one pattern"
        }
        Expr::Like { .. } | Expr::ILike { .. } => {
            "write LIKE without ANY and ESCAPE; _ is any character"
        }
        Expr::Position { .. } => "write x LIKE '%…%', or SPLIT_PART(x, …, 1)",
        Expr::AtTimeZone { .. } => "times are UTC: leave it out, or add an INTERVAL",
        Expr::CompoundIdentifier(_) => "give the table a name (FROM … AS t) and write t.column",
        Expr::TypedString(_) => {
            "write times as DATE '2019-11-06' or TIMESTAMP '2019-11-06 00:00:00', in UTC"
        }
        Expr::Extract { .. } => {
            "there are YEAR, ISOYEAR, QUARTER, MONTH, WEEK, DAY, DOY, DOW, ISODOW, HOUR, MINUTE and SECOND"
        }
        Expr::Ceil { .. } | Expr::Floor { .. } => "write CEIL(x) or FLOOR(x) alone",
        Expr::Convert { .. } => "write CAST(x AS …)",
        Expr::Array(_) => "write STRING_TO_ARRAY('a;b', ';')",
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => {
            "put queries together with UNION ALL, one for each level"
        }
        _ => "docs/analysts.md has what can be said",
    };
    refuse(of.span(), format!("`{}` is no expression that is known here", shown(of)), next)
}

fn literal(of: &ValueWithSpan) -> Checked {
    let next = match &of.value {
        Value::Number(text, false) if text.contains(['e', 'E']) => {
            "write the number out: 1000, not 1e3"
        }
        Value::Number(_, false)
        | Value::SingleQuotedString(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => return PASSES,
        _ => "write texts as '…', numbers in digits",
    };
    refuse(of.span, format!("`{of}` is no value that is known here"), next)
}

pub fn is_literal(of: &Expr) -> bool {
    match of {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            matches!(expr.as_ref(), Expr::Value(ValueWithSpan { value: Value::Number(..), .. }))
        }
        _ => false,
    }
}

/// The whole number that is written there; a parameter is as good as 1 until it has its value.
pub fn whole(of: &Expr) -> Option<i64> {
    match of {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) => text.parse().ok(),
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => Some(1),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
        _ => None,
    }
}

/// Whether a division rounds down where SQL cuts: `rewrite` says it otherwise.
pub fn is_cutting(of: &Expr) -> bool {
    match of {
        Expr::BinaryOp {
            op: BinaryOperator::Modulo | BinaryOperator::DuckIntegerDivide, ..
        } => true,
        Expr::Function(function) => function.name.to_string().eq_ignore_ascii_case("MOD"),
        _ => false,
    }
}

fn binary(of: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Checked {
    use BinaryOperator as B;
    match op {
        B::Plus
        | B::Minus
        | B::Multiply
        | B::Divide
        | B::Eq
        | B::NotEq
        | B::Lt
        | B::LtEq
        | B::Gt
        | B::GtEq
        | B::And
        | B::Or
        | B::StringConcat => PASSES,
        B::Modulo | B::DuckIntegerDivide => {
            match first(left, is_cutting).or_else(|| first(right, is_cutting)) {
                None => PASSES,
                Some((inner, at)) => refuse(
                    at,
                    format!("`{inner}` stands within another remainder or whole division"),
                    "give it a name in a query of FROM",
                ),
            }
        }
        _ => {
            let next = match op {
                B::Spaceship => "write IS NOT DISTINCT FROM",
                B::PGExp | B::BitwiseXor => "write POWER(x, n)",
                B::Xor => "write a <> b",
                B::PGRegexMatch | B::PGRegexIMatch | B::PGRegexNotMatch | B::PGRegexNotIMatch => {
                    "write LIKE or ILIKE"
                }
                _ => "docs/analysts.md has what can be said",
            };
            refuse(of.span(), format!("{op} is no operator that is known here"), next)
        }
    }
}

fn like(pattern: &Expr) -> Checked {
    match pattern {
        // Other engines take it for an escape.
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. })
            if text.contains('\\') =>
        {
            refuse(
                pattern.span(),
                format!("the pattern {pattern} has a backslash"),
                "write _ in its place",
            )
        }
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(_) | Value::Placeholder(_),
            ..
        }) => PASSES,
        other => refuse(
            other.span(),
            format!("the pattern `{}` is no text", shown(other)),
            "write it as '…' or as a parameter; STARTS_WITH and ENDS_WITH take columns",
        ),
    }
}

fn cast(of: &Expr, kind: &CastKind, to: &DataType) -> Checked {
    let is_known = matches!(
        to,
        DataType::Varchar(None)
            | DataType::Text
            | DataType::String(None)
            | DataType::TinyInt(None)
            | DataType::SmallInt(None)
            | DataType::Int(None)
            | DataType::Integer(None)
            | DataType::BigInt(None)
            | DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision
            | DataType::Boolean
            | DataType::Date
            | DataType::Timestamp(None, TimezoneInfo::None)
    );
    if is_known && *kind != CastKind::SafeCast {
        return PASSES;
    }
    let next = "there are VARCHAR, BIGINT, INTEGER, SMALLINT, TINYINT, DOUBLE, BOOLEAN, DATE and TIMESTAMP, with CAST and TRY_CAST";
    refuse(of.span(), format!("`{to}` is no type that is known here"), next)
}

fn is_part(field: &DateTimeField) -> bool {
    use DateTimeField as F;
    matches!(
        field,
        F::Year
            | F::Isoyear
            | F::Quarter
            | F::Month
            | F::Week(None)
            | F::Day
            | F::Doy
            | F::DayOfYear
            | F::Dow
            | F::DayOfWeek
            | F::Isodow
            | F::Hour
            | F::Minute
            | F::Second
    )
}

fn interval_of(of: &Expr, interval: &Interval) -> Checked {
    let text = match interval.value.as_ref() {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => text,
        _ => "-",
    };
    let plain = interval.leading_field.is_none() && interval.last_field.is_none();
    if plain && !text.contains('-') {
        return PASSES;
    }
    let next = "write INTERVAL '1 day', INTERVAL '2 hours', with its sign before the word";
    refuse(of.span(), format!("`{}` is no stretch of time that is known here", shown(of)), next)
}

/// A query of IN by itself: the engine takes the columns of the tables around it for its own.
fn uncorrelated(query: &Query) -> Checked {
    #[derive(Default)]
    struct Names {
        tables: BTreeSet<String>,
        named: Vec<(String, Span)>,
    }
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            self.tables.extend(table_name(factor).map(|name| name.value.clone()));
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            if let Expr::CompoundIdentifier(names) = expression {
                let table = names.first().map(|name| name.value.clone()).unwrap_or_default();
                self.named.push((table, expression.span()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names::default();
    let _ = query.visit(&mut names);
    match names.named.iter().find(|(table, _)| !names.tables.contains(table)) {
        None => PASSES,
        Some((table, at)) => refuse(
            *at,
            format!("the query of IN asks for columns of `{table}`, which stands outside of it"),
            "join with the other table: SEMI JOIN … ON for IN, ANTI JOIN … ON for NOT IN",
        ),
    }
}

/// What a table of FROM is called in the statement.
pub fn table_name(factor: &TableFactor) -> Option<&Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let last = name.0.last().and_then(|part| part.as_ident());
            alias.as_ref().map(|alias| &alias.name).or(last)
        }
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| &alias.name),
        _ => None,
    }
}
