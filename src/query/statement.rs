//! A statement, read and checked: it only reads, its tables are known, its parameters are values.
//!
//! The engine takes text alone. So the statement is changed as a tree, written out, read once more and
//! compared with the tree: what the engine reads is what was meant, whatever a value holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SetExpr, Statement as Tree, TableAlias, TableFactor,
    Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::Span;

use super::parameters::Parameters;
use super::rewrite::{place, rewrite};
use super::{QueryError, allowed};

/// A place of the text: line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub line: u64,
    pub column: u64,
}

impl At {
    fn of(name: &Ident) -> Self {
        Self::begin(name.span)
    }

    /// Where something begins.
    pub fn begin(of: Span) -> Self {
        Self { line: of.start.line, column: of.start.column }
    }
}

/// A table that a statement reads, as it names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `scope_summary`, or `all_runs.scope_summary`.
    pub name: String,
    pub at: At,
}

/// A statement that only reads.
#[derive(Clone, Debug)]
pub struct Statement {
    /// As it was written.
    pub source: String,
    tree: Tree,
    /// Names that `WITH` gives.
    pub given: BTreeSet<String>,
    pub tables: Vec<Reference>,
    /// Columns, functions aside, that the statement names, and where first.
    pub columns: Vec<(String, At)>,
    /// Names that the statement itself gives to columns.
    pub aliases: BTreeSet<String>,
}

fn parse(text: &str) -> Result<Vec<Tree>, ParserError> {
    // As the engine reads it.
    let options = ParserOptions::new().with_trailing_commas(true);
    Parser::new(&GenericDialect).with_options(options).try_with_sql(text)?.parse_statements()
}

impl Statement {
    /// # Errors
    /// Texts that are no single statement, and statements that would write or read files.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        let mut statements = parse(text).map_err(|error| syntax(&error))?;
        let tree = match (statements.pop(), statements.len()) {
            (Some(tree), 0) => tree,
            (None, _) => return Err(QueryError::refused("it is empty", "write SELECT … FROM …")),
            (_, more) => {
                let what = format!("there are {} statements", more + 1);
                return Err(QueryError::refused(what, "write one, and run the others after it"));
            }
        };
        let mut found = Survey::default();
        if let ControlFlow::Break(error) = Visit::visit(&tree, &mut found) {
            return Err(*error);
        }
        allowed::check(&tree)?;
        let tables = found.relations.iter().filter(|table| !found.given.contains(&table.name));
        let tables: Vec<Reference> = tables.cloned().collect();
        let Survey { given, columns, aliases, .. } = found;
        Ok(Self { source: text.to_string(), tree, given, tables, columns, aliases })
    }

    /// Whether the statement asks for a plan.
    pub fn is_explain(&self) -> bool {
        matches!(self.tree, Tree::Explain { .. })
    }

    /// The statement as the engine is to read it: tables under the names that `registered` gives them,
    /// parameters as values.
    ///
    /// # Errors
    /// Parameters that are missing, unused or of another form than said.
    pub fn bound(
        mut self,
        registered: &BTreeMap<String, String>,
        parameters: &Parameters,
    ) -> Result<Bound, QueryError> {
        let mut values = Values { parameters, used: BTreeSet::new() };
        if let ControlFlow::Break(error) = VisitMut::visit(&mut self.tree, &mut values) {
            return Err(*error);
        }
        parameters.all_used(&values.used)?;
        // Once more, now that the values are known.
        allowed::check(&self.tree)?;
        rewrite(&mut self.tree)?;
        let mut tables = Tables { registered, given: &self.given };
        if let ControlFlow::Break(error) = VisitMut::visit(&mut self.tree, &mut tables) {
            return Err(*error);
        }
        let text = written(self.tree.clone());
        match parse(&text).as_deref() {
            Ok([again]) if *again == self.tree => Ok(Bound { text, tree: self.tree }),
            _ => Err(QueryError::refused(
                "it has a part that cannot be handed to the engine as it stands",
                "write names without quote marks in them, and texts in plain '…'",
            )),
        }
    }
}

/// A statement as the engine reads it.
#[derive(Clone, Debug)]
pub struct Bound {
    pub text: String,
    tree: Tree,
}

impl Bound {
    /// The query, where it is no EXPLAIN of one.
    pub fn query(&self) -> Option<&Query> {
        match &self.tree {
            Tree::Query(query) => Some(query),
            _ => None,
        }
    }
}

/// A tree as text.
pub fn written<T: VisitMut + Display>(mut tree: T) -> String {
    let _ = VisitMut::visit(&mut tree, &mut Doubled);
    tree.to_string()
}

/// A message of the parser, with its place in front.
fn syntax(error: &ParserError) -> QueryError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "it is nested too deeply".into(),
    };
    let at = text.rsplit_once(" at Line: ").and_then(|(reason, at)| {
        let (line, column) = at.split_once(", Column: ")?;
        Some((reason.to_string(), At { line: line.parse().ok()?, column: column.parse().ok()? }))
    });
    match at {
        Some((reason, at)) => QueryError::Syntax { at: Some(at), reason },
        None => QueryError::Syntax { at: None, reason: text },
    }
}

fn twice(name: &str, at: At) -> QueryError {
    QueryError::Name {
        at,
        reason: format!("`{name}` is the name of two things\ngive each query a name of its own"),
    }
}

/// What a statement names, and whether it only reads.
#[derive(Default)]
struct Survey {
    relations: Vec<Reference>,
    given: BTreeSet<String>,
    /// Names of queries: those that `WITH` gives and those of queries in FROM.
    derived: BTreeSet<String>,
    /// What an alias of a table stands for.
    stands_for: BTreeMap<String, String>,
    columns: Vec<(String, At)>,
    aliases: BTreeSet<String>,
}

type Checked = ControlFlow<Box<QueryError>>;

fn refuse(what: impl Into<String>, next: &str) -> Checked {
    ControlFlow::Break(Box::new(QueryError::refused(what, next)))
}

impl Survey {
    fn column(&mut self, name: &Ident) {
        if !self.columns.iter().any(|(known, _)| *known == name.value) {
            self.columns.push((name.value.clone(), At::of(name)));
        }
    }

    /// A name that a query gets may not be that of anything else.
    fn derive(&mut self, alias: &TableAlias) -> Checked {
        let name = &alias.name;
        if name.value.contains(':') {
            return refuse(format!("the name {name} has a colon"), "leave it out");
        }
        self.aliases.extend(alias.columns.iter().map(|column| column.name.value.clone()));
        let taken = self.stands_for.contains_key(&name.value);
        if !self.derived.insert(name.value.clone()) || taken {
            return ControlFlow::Break(Box::new(twice(&name.value, At::of(name))));
        }
        ControlFlow::Continue(())
    }

    /// A table under one name, and the same name for no other.
    fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Checked {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
        let Some((last, parts)) = parts.as_ref().and_then(|p| Some((*p.last()?, p))) else {
            return refuse(format!("`{name}` is no name of a table"), LIST);
        };
        let full: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let full = full.join(".");
        let first = parts.first().copied().unwrap_or(last);
        if let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) {
            return refuse(
                format!("`{}` gives names to the columns of a table", alias.name),
                "name them in the SELECT, as in `column AS name`",
            );
        }
        let called = alias.map_or(last, |alias| &alias.name);
        // A query of `WITH` under its own name.
        let is_itself = alias.is_none() && parts.len() == 1 && self.given.contains(&full);
        let before = self.stands_for.insert(called.value.clone(), full.clone());
        let is_another = before.is_some_and(|before| before != full);
        if !is_itself && (is_another || self.derived.contains(&called.value)) {
            return ControlFlow::Break(Box::new(twice(&called.value, At::of(called))));
        }
        if is_itself {
            self.stands_for.remove(&called.value);
        }
        self.relations.push(Reference { name: full, at: At::of(first) });
        ControlFlow::Continue(())
    }
}

/// What a message says of tables.
pub const LIST: &str = "afterscope query --list shows the tables and their columns";

impl Visitor for Survey {
    type Break = Box<QueryError>;

    fn pre_visit_statement(&mut self, statement: &Tree) -> Checked {
        match statement {
            Tree::Query(_) | Tree::Explain { analyze: false, .. } => ControlFlow::Continue(()),
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
                refuse(format!("{word} does not only read"), "write SELECT, or WITH … SELECT")
            }
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> Checked {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.given.insert(cte.alias.name.value.clone());
            self.derive(&cte.alias)?;
        }
        if let SetExpr::Table(table) = query.body.as_ref() {
            return refuse(format!("`{table}` is no SELECT"), "write SELECT * FROM and its name");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Checked {
        if select.into.is_some() {
            return refuse(
                "SELECT INTO does not only read",
                "leave INTO out; --output writes a file",
            );
        }
        for item in &select.projection {
            if let sqlparser::ast::SelectItem::ExprWithAlias { alias, .. } = item {
                self.aliases.insert(alias.value.clone());
            }
        }
        let joined = select.from.iter().flat_map(|from| {
            let joins = from.joins.iter().map(|join| &join.relation);
            std::iter::once(&from.relation).chain(joins)
        });
        let mut together = BTreeSet::new();
        for factor in joined {
            let TableFactor::Table { name, alias, .. } = factor else { continue };
            let last = name.0.last().and_then(|part| part.as_ident());
            let Some(called) = alias.as_ref().map(|alias| &alias.name).or(last) else { continue };
            if !together.insert(called.value.clone()) {
                return ControlFlow::Break(Box::new(twice(&called.value, At::of(called))));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Checked {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } => refuse(
                format!("{name}(…) is a function in place of a table"),
                "statements read the tables of runs and no files",
            ),
            TableFactor::Table { name, alias, .. } => self.table(name, alias.as_ref()),
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                alias.as_ref().map_or(ControlFlow::Continue(()), |alias| self.derive(alias))
            }
            TableFactor::NestedJoin { alias: None, .. } => ControlFlow::Continue(()),
            other => refuse(format!("`{other}` is no table"), LIST),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Checked {
        match expression {
            Expr::Identifier(name) => self.column(name),
            Expr::CompoundIdentifier(names) => {
                names.last().into_iter().for_each(|n| self.column(n))
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Puts values in.
struct Values<'a> {
    parameters: &'a Parameters,
    used: BTreeSet<String>,
}

impl VisitorMut for Values<'_> {
    type Break = Box<QueryError>;

    fn post_visit_expr(&mut self, expression: &mut Expr) -> Checked {
        let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span }) = expression
        else {
            return ControlFlow::Continue(());
        };
        let at = At::begin(*span);
        match self.parameters.value(name, at) {
            Ok((name, mut value)) => {
                self.used.insert(name);
                // A complaint of the value is one of the parameter.
                place(&mut value, *span);
                *expression = value;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// Puts registered names in.
struct Tables<'a> {
    registered: &'a BTreeMap<String, String>,
    given: &'a BTreeSet<String>,
}

impl VisitorMut for Tables<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Checked {
        let TableFactor::Table { name, alias, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let full: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let full = full.join(".");
        if self.given.contains(&full) {
            return ControlFlow::Continue(());
        }
        let (Some(registered), Some(last)) = (self.registered.get(&full), parts.last()) else {
            return refuse(format!("`{full}` is no table"), LIST);
        };
        // By its last name, as elsewhere in SQL.
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: last.clone(),
            columns: Vec::new(),
            at: None,
        });
        *name = ObjectName::from(vec![Ident::with_quote('"', registered)]);
        ControlFlow::Continue(())
    }
}

/// Doubles the quote marks of texts. Written out, a text whose marks are all double stays as it is; of
/// others the library guesses whether they were escaped already.
struct Doubled;

impl VisitorMut for Doubled {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &mut value.value {
            *text = text.replace('\'', "''");
        }
        ControlFlow::Continue(())
    }
}
