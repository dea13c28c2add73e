//! Functions, those over many rows and windows among them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, ObjectNamePart, Spanned, Value, ValueWithSpan,
};
use sqlparser::tokenizer::Span;

use super::expressions::{is_literal, whole};
use super::windows::{WINDOWS, window};
use super::{Checked, PASSES, called, first, is_aggregate, is_column, refuse, shown};
use crate::config::shape::did_you_mean;

/// Functions of the values of one row, with the fewest and the most arguments.
pub const SCALARS: [(&str, usize, usize); 43] = [
    ("ABS", 1, 1),
    ("ARRAY_CONTAINS", 2, 2),
    ("ARRAY_LENGTH", 1, 1),
    ("ARRAY_TO_STRING", 2, 2),
    ("CEILING", 1, 1),
    ("CHARACTER_LENGTH", 1, 1),
    ("CHAR_LENGTH", 1, 1),
    ("COALESCE", 1, MANY),
    ("CONCAT", 1, MANY),
    ("CONCAT_WS", 2, MANY),
    ("DATE_PART", 2, 2),
    ("ENDS_WITH", 2, 2),
    ("EXP", 1, 1),
    ("GREATEST", 1, MANY),
    ("IF", 3, 3),
    ("IFNULL", 2, 2),
    ("LEAST", 1, MANY),
    ("LEFT", 2, 2),
    ("LENGTH", 1, 1),
    ("LN", 1, 1),
    ("LOG10", 1, 1),
    ("LOG2", 1, 1),
    ("LOWER", 1, 1),
    ("LPAD", 3, 3),
    ("LTRIM", 1, 2),
    ("MOD", 2, 2),
    ("NULLIF", 2, 2),
    ("POW", 2, 2),
    ("POWER", 2, 2),
    ("REPLACE", 3, 3),
    ("REVERSE", 1, 1),
    ("RIGHT", 2, 2),
    ("ROUND", 1, 2),
    ("RPAD", 3, 3),
    ("RTRIM", 1, 2),
    ("SIGN", 1, 1),
    ("SPLIT_PART", 3, 3),
    ("SQRT", 1, 1),
    ("STARTS_WITH", 2, 2),
    ("STRFTIME", 2, 2),
    ("STRING_TO_ARRAY", 2, 2),
    ("TRUNC", 1, 1),
    ("UPPER", 1, 1),
];

/// Functions that make one value of many rows.
pub const AGGREGATES: [&str; 17] = [
    "ARRAY_AGG",
    "AVG",
    "CORR",
    "COUNT",
    "COVAR_POP",
    "COVAR_SAMP",
    "MAX",
    "MEDIAN",
    "MIN",
    "QUANTILE_CONT",
    "QUANTILE_DISC",
    "STDDEV",
    "STDDEV_SAMP",
    "STRING_AGG",
    "SUM",
    "VARIANCE",
    "VAR_SAMP",
];

/// The one function that makes rows: it stands in the SELECT alone.
const UNNEST: &str = "UNNEST";

const MANY: usize = usize::MAX;

/// Functions of other engines, or that this one reads otherwise, and what says the same.
const INSTEAD: [(&str, &str); 22] = [
    ("BOOL_AND", "write MIN(CASE WHEN … THEN 1 ELSE 0 END) = 1"),
    ("BOOL_OR", "write MAX(CASE WHEN … THEN 1 ELSE 0 END) = 1"),
    ("CONTAINS", "write x LIKE '%…%'"),
    ("COUNT_IF", "write SUM(CASE WHEN … THEN 1 ELSE 0 END)"),
    ("CURRENT_DATE", "give the day as a parameter: --param today:date=2019-11-06"),
    ("CURRENT_TIMESTAMP", "give the time as a parameter: --param now:time=2019-11-06T00:00:00Z"),
    ("DATE_TRUNC", "write CAST(at AS DATE), or EXTRACT(YEAR FROM at) and EXTRACT(MONTH FROM at)"),
    ("DIV", "write a // b"),
    ("FIRST", "write MIN, or FIRST_VALUE(…) OVER (ORDER BY …)"),
    ("GROUP_CONCAT", "write STRING_AGG(x, ',')"),
    ("INSTR", "write x LIKE '%…%', or SPLIT_PART(x, …, 1)"),
    ("LAST", "write MAX, or FIRST_VALUE(…) OVER (ORDER BY … DESC)"),
    ("LAST_VALUE", "write FIRST_VALUE with the order turned around: ORDER BY … DESC"),
    ("LISTAGG", "write STRING_AGG(x, ',')"),
    ("LOG", "write LOG10(x) or LOG2(x), or divide LN(x) by LN of the base"),
    ("NOW", "give the time as a parameter: --param now:time=2019-11-06T00:00:00Z"),
    ("OCTET_LENGTH", "write LENGTH(x) for its characters"),
    ("REGEXP_LIKE", "write LIKE or ILIKE, and OR for more than one pattern"),
    ("STRPOS", "write x LIKE '%…%', or SPLIT_PART(x, …, 1)"),
    ("TOTAL", "write COALESCE(SUM(x), 0)"),
    ("TO_CHAR", "write STRFTIME(at, '%Y-%m')"),
    ("XOR", "write a <> b"),
];

pub fn check(of: &Function) -> Checked {
    let name = called(of);
    let at = of.name.span();
    let is_plain = matches!(of.name.0.as_slice(), [ObjectNamePart::Identifier(word)] if word.quote_style.is_none());
    if !is_plain || of.uses_odbc_syntax || !matches!(of.parameters, FunctionArguments::None) {
        return refuse(at, format!("`{}` is no plain function", shown(of)), "write NAME(…)");
    }
    if of.filter.is_some() || !of.within_group.is_empty() || of.null_treatment.is_some() {
        return refuse(
            at,
            format!("{name} has FILTER, WITHIN GROUP, or IGNORE or RESPECT NULLS"),
            "put the condition into CASE WHEN … THEN … END, or into WHERE",
        );
    }
    let arguments = arguments(of, &name)?;
    if let Some(over) = &of.over {
        if !WINDOWS.contains(&name.as_str()) {
            return refuse(
                at,
                format!("{name} … OVER is no window that is known here"),
                format!("there are {}", WINDOWS.join(", ")),
            );
        }
        if ["LAG", "LEAD"].contains(&name.as_str()) && !(1..=2).contains(&arguments.len()) {
            let next = "give it a column, and how many rows away; COALESCE(…, 0) says what stands for none";
            return refuse(at, format!("{name} has {} arguments here", arguments.len()), next);
        }
        constant(&name, at, of)?;
        return window(&name, at, over);
    }
    if AGGREGATES.contains(&name.as_str()) {
        if let Some((inner, at)) = first(&of.args, is_aggregate) {
            return refuse(
                at,
                format!("`{inner}` stands within {name}, of one group both cannot be"),
                "make the inner one in a query of FROM or WITH, and the outer one over that",
            );
        }
        return constant(&name, at, of);
    }
    let Some((_, least, most)) = SCALARS.iter().find(|(known, ..)| *known == name) else {
        return match name.as_str() {
            UNNEST => PASSES,
            _ if WINDOWS.contains(&name.as_str()) => {
                refuse(at, format!("{name} has no OVER"), "write OVER (ORDER BY …)")
            }
            _ => unknown(&name, at),
        };
    };
    if !(*least..=*most).contains(&arguments.len()) {
        let wanted = match most - least {
            0 => format!("{least}"),
            1 => format!("{least} or {most}"),
            _ => format!("{least} or more"),
        };
        let what = format!("{name} has {} arguments here", arguments.len());
        return refuse(at, what, format!("give it {wanted}"));
    }
    values(&name, at, &arguments)
}

fn unknown(name: &str, at: Span) -> Checked {
    let what = format!("there is no function {name} here");
    if let Some((_, next)) = INSTEAD.iter().find(|(known, _)| *known == name) {
        return refuse(at, what, *next);
    }
    let known = SCALARS.iter().map(|(name, ..)| *name).chain(AGGREGATES).chain(WINDOWS);
    let near = did_you_mean(name, known);
    refuse(at, format!("{what}{near}"), "docs/analysts.md lists the functions")
}

/// The arguments, where they are plain ones.
fn arguments<'a>(
    of: &'a Function,
    name: &str,
) -> ControlFlow<Box<crate::query::QueryError>, Vec<&'a Expr>> {
    let at = of.name.span();
    let empty = Vec::new();
    let FunctionArguments::List(list) = &of.args else {
        return match &of.args {
            FunctionArguments::None => {
                unknown(name, at)?;
                ControlFlow::Continue(empty)
            }
            _ => {
                refuse(at, format!("{name} takes no query"), "join with the query")?;
                ControlFlow::Continue(empty)
            }
        };
    };
    let collects = ["STRING_AGG", "ARRAY_AGG"].contains(&name);
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        && !(collects || name == "COUNT")
    {
        let next = "take SELECT DISTINCT in a query of FROM, and the figure over that";
        refuse(at, format!("{name} takes no DISTINCT here"), next)?;
    }
    let is_order =
        |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
    if list.clauses.iter().any(|clause| !(collects && is_order(clause))) {
        refuse(at, format!("{name} takes no such clause here"), "leave it out")?;
    }
    let mut plain = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => plain.push(expression),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "COUNT" => {}
            other => refuse(
                at,
                format!("`{other}` is no argument of {name}"),
                "write a column or a value",
            )?,
        }
    }
    ControlFlow::Continue(plain)
}

/// Arguments that the engine reads right where they stand as values alone.
fn values(name: &str, at: Span, arguments: &[&Expr]) -> Checked {
    let argument = |i: usize| arguments.get(i).copied();
    match name {
        "LEFT" | "RIGHT" | "SPLIT_PART" | "ROUND" => {
            let last = arguments.len() - 1;
            let number = argument(last).and_then(whole);
            if ["LEFT", "RIGHT"].contains(&name) && number == Some(0) {
                return refuse(
                    at,
                    format!("{name} of 0 characters is '' here, of null too"),
                    "leave it out",
                );
            }
            if last > 0 && number.is_none() {
                return refuse(
                    at,
                    format!("the last argument of {name} is no whole number"),
                    "write it out, or give it as a parameter",
                );
            }
        }
        "REPLACE" => match argument(1) {
            Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }))
                if text.is_empty() =>
            {
                return refuse(
                    at,
                    "REPLACE of an empty text puts the other between all characters here",
                    "leave it out",
                );
            }
            Some(what) if is_literal(what) => {}
            _ => {
                return refuse(
                    at,
                    "REPLACE replaces what stands in a column",
                    "write what to replace as '…'",
                );
            }
        },
        "DATE_PART" => {
            const PARTS: [&str; 13] = [
                "year",
                "isoyear",
                "quarter",
                "month",
                "week",
                "day",
                "doy",
                "dow",
                "isodow",
                "hour",
                "minute",
                "second",
                "dayofyear",
            ];
            let part = match argument(0) {
                Some(Expr::Value(ValueWithSpan {
                    value: Value::SingleQuotedString(text), ..
                })) => text.to_lowercase(),
                _ => String::new(),
            };
            if !PARTS.contains(&part.as_str()) {
                let next = format!("there are {}", PARTS.join(", "));
                return refuse(at, "DATE_PART asks for no part that is known here", next);
            }
        }
        _ => {}
    }
    PASSES
}

/// The engine makes one value of a constant, however many rows there are.
fn constant(name: &str, at: Span, of: &Function) -> Checked {
    let FunctionArguments::List(list) = &of.args else { return PASSES };
    let is_count_of_rows = name == "COUNT"
        && list.duplicate_treatment.is_none()
        && list.args.iter().all(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(of))) => of.value != Value::Null,
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => true,
            _ => false,
        });
    if list.args.is_empty() || is_count_of_rows || first(&of.args, is_column).is_some() {
        return PASSES;
    }
    refuse(
        at,
        format!("{name} of no column is that constant here, however many rows there are"),
        "multiply COUNT(*) by it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = include_str!("../../../tests/it/query/engines.rs");
    const PAGE: &str = include_str!("../../../docs/analysts.md");

    fn all() -> impl Iterator<Item = &'static str> {
        SCALARS.iter().map(|(name, ..)| *name).chain(AGGREGATES).chain(WINDOWS).chain([UNNEST])
    }

    #[test]
    fn every_function_is_shown_beside_duckdb() {
        let missing: Vec<&str> =
            all().filter(|name| !SHOWN.contains(&format!("{name}("))).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn every_function_stands_in_the_page() {
        let missing: Vec<&str> = all().filter(|name| !PAGE.contains(*name)).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn what_is_refused_with_another_way_is_not_allowed() {
        let both: Vec<&str> = INSTEAD
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| all().any(|known| known == *name))
            .collect();
        assert_eq!(both, Vec::<&str>::new());
    }
}
