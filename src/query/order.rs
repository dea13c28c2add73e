//! A plan whose every step keeps the order of rows: the same rows come out in the same order.

use std::sync::Arc;

use polars::prelude::{DslPlan, MaintainOrderJoin};

fn each(plans: Vec<DslPlan>) -> Vec<DslPlan> {
    plans.into_iter().map(ordered).collect()
}

fn inner(plan: &Arc<DslPlan>) -> Arc<DslPlan> {
    Arc::new(ordered(plan.as_ref().clone()))
}

/// The plan, with every step asked for its rows in order. The engine's own steps give groups, joined and
/// distinct rows in the order in which threads find them.
pub fn ordered(plan: DslPlan) -> DslPlan {
    match plan {
        // What was prepared for asking the types of columns.
        DslPlan::IR { dsl, .. } => ordered(dsl.as_ref().clone()),
        DslPlan::Filter { input, predicate } => DslPlan::Filter { input: inner(&input), predicate },
        DslPlan::Cache { input, id } => DslPlan::Cache { input: inner(&input), id },
        DslPlan::Select { expr, input, options } => {
            DslPlan::Select { expr, input: inner(&input), options }
        }
        DslPlan::GroupBy { input, keys, predicates, aggs, options, apply, .. } => {
            let (input, maintain_order) = (inner(&input), true);
            DslPlan::GroupBy { input, keys, predicates, aggs, maintain_order, options, apply }
        }
        DslPlan::Join { input_left, input_right, left_on, right_on, predicates, options } => {
            let mut options = options.as_ref().clone();
            options.args.maintain_order = MaintainOrderJoin::LeftRight;
            DslPlan::Join {
                input_left: inner(&input_left),
                input_right: inner(&input_right),
                left_on,
                right_on,
                predicates,
                options: Arc::new(options),
            }
        }
        DslPlan::Gather { input, idxs, null_on_oob } => {
            DslPlan::Gather { input: inner(&input), idxs: inner(&idxs), null_on_oob }
        }
        DslPlan::HStack { input, exprs, options } => {
            DslPlan::HStack { input: inner(&input), exprs, options }
        }
        DslPlan::Distinct { input, mut options } => {
            options.maintain_order = true;
            DslPlan::Distinct { input: inner(&input), options }
        }
        DslPlan::Sort { input, by_column, slice, mut sort_options } => {
            sort_options.maintain_order = true;
            DslPlan::Sort { input: inner(&input), by_column, slice, sort_options }
        }
        DslPlan::Slice { input, offset, len } => {
            DslPlan::Slice { input: inner(&input), offset, len }
        }
        DslPlan::MapFunction { input, function } => {
            DslPlan::MapFunction { input: inner(&input), function }
        }
        DslPlan::Union { inputs, mut args } => {
            args.maintain_order = true;
            DslPlan::Union { inputs: each(inputs), args }
        }
        DslPlan::HConcat { inputs, options } => DslPlan::HConcat { inputs: each(inputs), options },
        DslPlan::ExtContext { input, contexts } => {
            DslPlan::ExtContext { input: inner(&input), contexts: each(contexts) }
        }
        DslPlan::PipeWithSchema { input, callback } => {
            let input = input.iter().cloned().map(ordered).collect();
            DslPlan::PipeWithSchema { input, callback }
        }
        other => other,
    }
}
