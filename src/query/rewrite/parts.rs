//! Parts that are put into a statement: written as text, with the statement's own parts in place of `$1`, `$2`, ….

use std::ops::ControlFlow;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, Ident, ObjectNamePart, Query, Select, Statement, TableFactor, Value, ValueWithSpan,
    VisitMut, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use crate::query::QueryError;

fn failed() -> QueryError {
    QueryError::refused("it has a part that cannot be put in another way", "ask in simpler parts")
}

/// The expression of the template, all of it at one place.
///
/// # Errors
/// A template that is none.
pub fn expression(template: &str, parts: &[&Expr], at: Span) -> Result<Expr, QueryError> {
    let parser = Parser::new(&GenericDialect).try_with_sql(template);
    let mut made = parser.and_then(|mut parser| parser.parse_expr()).map_err(|_| failed())?;
    place(&mut made, at);
    let _ = made.visit(&mut Filled(parts));
    Ok(made)
}

/// Puts all of an expression at one place.
pub fn place(of: &mut Expr, at: Span) {
    let _ = of.visit(&mut Placed(at));
}

/// The query of the text, all of it at one place.
///
/// # Errors
/// A text that is none.
pub fn query(text: &str, at: Span) -> Result<Query, QueryError> {
    let parsed = Parser::parse_sql(&GenericDialect, text).map_err(|_| failed())?;
    let Some(Statement::Query(mut made)) = parsed.into_iter().next() else { return Err(failed()) };
    let _ = made.visit(&mut Placed(at));
    Ok(*made)
}

/// Gives all parts one place.
struct Placed(Span);

impl Placed {
    fn name(&self, name: &mut Ident) {
        name.span = self.0;
    }
}

impl VisitorMut for Placed {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        select.select_token = AttachedToken::empty();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { alias: Some(alias), .. } = factor {
            self.name(&mut alias.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, of: &mut Expr) -> ControlFlow<()> {
        match of {
            Expr::Function(function) => {
                for part in &mut function.name.0 {
                    if let ObjectNamePart::Identifier(name) = part {
                        name.span = self.0;
                    }
                }
            }
            Expr::Case { case_token, end_token, .. } => {
                (*case_token, *end_token) = (AttachedToken::empty(), AttachedToken::empty());
            }
            Expr::Identifier(name) => self.name(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        value.span = self.0;
        ControlFlow::Continue(())
    }
}

/// Puts parts in. What was put in is looked at no more.
struct Filled<'a>(&'a [&'a Expr]);

impl VisitorMut for Filled<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, of: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = of {
            let place = name.strip_prefix('$').and_then(|place| place.parse::<usize>().ok());
            let part = place.and_then(|place| self.0.get(place.checked_sub(1)?));
            if let Some(part) = part {
                *of = (*part).clone();
            }
        }
        ControlFlow::Continue(())
    }
}
