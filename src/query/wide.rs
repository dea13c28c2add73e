//! Whole numbers of 64 bits throughout: the engine counts in 32 bits, has months in 8, and lets what is calculated of
//! them wrap (`EXTRACT(MONTH FROM day) * 100` of December would be -80).

use std::sync::Arc;

use polars::prelude::{DataType, DslPlan, Expr, Schema};

use super::types::schema;

/// The plan, with every narrower whole number made one of 64 bits where it comes up.
pub fn wide(plan: DslPlan) -> DslPlan {
    match plan {
        DslPlan::IR { dsl, .. } => wide(dsl.as_ref().clone()),
        DslPlan::Filter { input, predicate } => {
            let input = inner(&input);
            let predicate = one(predicate, schema(&input).as_ref());
            DslPlan::Filter { input, predicate }
        }
        DslPlan::Select { expr, input, options } => {
            let input = inner(&input);
            let expr = columns(expr, schema(&input).as_ref());
            DslPlan::Select { expr, input, options }
        }
        DslPlan::HStack { input, exprs, options } => {
            let input = inner(&input);
            let exprs = columns(exprs, schema(&input).as_ref());
            DslPlan::HStack { input, exprs, options }
        }
        DslPlan::GroupBy { input, keys, predicates, aggs, maintain_order, options, apply } => {
            let input = inner(&input);
            let of = schema(&input);
            let [keys, aggs] = [keys, aggs].map(|exprs| columns(exprs, of.as_ref()));
            let predicates = predicates.into_iter().map(|e| one(e, of.as_ref())).collect();
            DslPlan::GroupBy { input, keys, predicates, aggs, maintain_order, options, apply }
        }
        DslPlan::Join { input_left, input_right, left_on, right_on, predicates, options } => {
            let (input_left, input_right) = (inner(&input_left), inner(&input_right));
            let left_on = columns(left_on, schema(&input_left).as_ref());
            let right_on = columns(right_on, schema(&input_right).as_ref());
            let joined = |predicates: Vec<Expr>| DslPlan::Join {
                input_left: input_left.clone(),
                input_right: input_right.clone(),
                left_on: left_on.clone(),
                right_on: right_on.clone(),
                predicates,
                options: options.clone(),
            };
            if predicates.is_empty() {
                return joined(predicates);
            }
            // Of both tables, under the names that the join gives.
            let of = schema(&joined(predicates.clone()));
            joined(predicates.into_iter().map(|e| one(e, of.as_ref())).collect())
        }
        DslPlan::Sort { input, by_column, slice, sort_options } => {
            let input = inner(&input);
            let of = schema(&input);
            let by_column = by_column.into_iter().map(|e| one(e, of.as_ref())).collect();
            DslPlan::Sort { input, by_column, slice, sort_options }
        }
        DslPlan::Cache { input, id } => DslPlan::Cache { input: inner(&input), id },
        DslPlan::Distinct { input, options } => DslPlan::Distinct { input: inner(&input), options },
        DslPlan::Slice { input, offset, len } => {
            DslPlan::Slice { input: inner(&input), offset, len }
        }
        DslPlan::MapFunction { input, function } => {
            DslPlan::MapFunction { input: inner(&input), function }
        }
        DslPlan::Union { inputs, args } => {
            DslPlan::Union { inputs: inputs.into_iter().map(wide).collect(), args }
        }
        DslPlan::HConcat { inputs, options } => {
            DslPlan::HConcat { inputs: inputs.into_iter().map(wide).collect(), options }
        }
        DslPlan::ExtContext { input, contexts } => DslPlan::ExtContext {
            input: inner(&input),
            contexts: contexts.into_iter().map(wide).collect(),
        },
        DslPlan::PipeWithSchema { input, callback } => {
            let input = input.iter().cloned().map(wide).collect();
            DslPlan::PipeWithSchema { input, callback }
        }
        other => other,
    }
}

fn inner(plan: &Arc<DslPlan>) -> Arc<DslPlan> {
    Arc::new(wide(plan.as_ref().clone()))
}

fn is_narrow(of: &Expr, schema: &Schema) -> bool {
    use DataType as D;
    let narrow = |of: &DataType| {
        matches!(of, D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 | D::UInt32)
    };
    of.to_field(schema).is_ok_and(|field| match &field.dtype {
        // What is made of nothing but the statement's own numbers gets the least that holds them.
        D::Unknown(kind) => kind.materialize().is_some_and(|of| narrow(&of)),
        known => narrow(known),
    })
}

/// An expression within a step. Numbers of the statement itself have no width until they stand beside another.
fn one(of: Expr, schema: Option<&Schema>) -> Expr {
    let Some(schema) = schema else { return of };
    of.map_expr(|part| match part {
        Expr::Literal(_) | Expr::Alias(..) => part,
        part if is_narrow(&part, schema) => part.strict_cast(DataType::Int64),
        part => part,
    })
}

/// Expressions that are columns of what the step gives: a number of the statement by itself is one of them, too.
fn columns(of: Vec<Expr>, schema: Option<&Schema>) -> Vec<Expr> {
    let Some(schema) = schema else { return of };
    let is_number = |of: &Expr| {
        matches!(of, Expr::Literal(_))
            && of.to_field(schema).is_ok_and(|field| field.dtype.is_integer())
    };
    let widened = |of: Expr| match one(of, Some(schema)) {
        Expr::Alias(number, name) if is_number(&number) => {
            Expr::Alias(Arc::new(number.as_ref().clone().strict_cast(DataType::Int64)), name)
        }
        number if is_number(&number) => number.strict_cast(DataType::Int64),
        other => other,
    };
    of.into_iter().map(widened).collect()
}
