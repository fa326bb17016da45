//! Reading a query that needs all rows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use aqueduct_model::{Error, Relation, RelationName, Result};
use datafusion::sql::TableReference;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{
    Expr, Query as Syntax, Select, SelectFlavor, SelectItem, SetExpr, Statement, TableFactor, Visit, Visitor,
    visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::super::expression::parse_all;
use super::super::query::nameless;
use super::super::stack::with_room;
use super::super::{functions, session};
use crate::spool::Spool;

/// A query over kept rows.
#[derive(Debug, Clone)]
pub(crate) struct WholeQuery {
    pub(super) statement: Statement,
    /// The tables that it names, without its own (`with …`).
    pub(super) tables: Vec<TableReference>,
    /// All words of it, in small letters: a column whose name is none of them is not used.
    words: BTreeSet<String>,
    takes_all_columns: bool,
}

impl WholeQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// `Config` when it is not one SQL query, calls unknown functions or such as give another value each time.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        with_room(|| Self::read(text))
    }

    fn read(text: &str) -> Result<Self> {
        let text = text.trim().trim_end_matches(';');
        let statement = parse_all(text, |parser| parser.parse_statement())?;
        let Statement::Query(query) = &statement else {
            return Err(
                Error::config("only a `select` can be run here").with_hint("write `select … from <table> where …`")
            );
        };
        check_names(query)?;
        let mut shape = Shape::default();
        if let ControlFlow::Break(what) = statement.visit(&mut shape) {
            return Err(Error::config(format!("`{what}` is not possible inside a query"))
                .with_hint("write a query that reads only: `select … from <table>`"));
        }
        let session = session::session();
        let checked = visit_expressions(&statement, |part| match functions::check_of_whole_query(part, &session) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        });
        if let ControlFlow::Break(error) = checked {
            return Err(*error);
        }
        let parsed = Parsed::Statement(Box::new(statement.clone()));
        let (tables, _) = resolve_table_references(&parsed, false)
            .map_err(|error| Error::config("the tables of the query cannot be told").with_source(error))?;
        if tables.is_empty() {
            return Err(Error::config("the query names no table")
                .with_hint("name one after `from`: the id of an input task or a table of the stream"));
        }
        let words = words(text)?;
        // A natural join is one by all columns that both tables have, named or not.
        let takes_all_columns = shape.takes_all_columns || words.contains("natural");
        Ok(Self { words, takes_all_columns, tables, statement })
    }

    /// True when the query names this relation, or the input that it came by.
    pub(crate) fn names(&self, relation: &RelationName, input: &str) -> bool {
        self.tables.iter().any(|table| is_named(table, relation, input) || is_named_about(table, relation))
    }

    /// True when a column of that name may be used.
    pub(crate) fn uses(&self, column: &str) -> bool {
        self.takes_all_columns || self.words.contains(&column.to_lowercase())
    }

    /// The place in the spool of each table of the query; `None` for one of which nothing came.
    ///
    /// # Errors
    /// `Config` when a name means several tables.
    pub(crate) fn places(&self, spool: &Spool, inputs: &[String]) -> Result<Vec<Option<usize>>> {
        let fitting = |fits: &dyn Fn(&Relation, &str) -> bool| -> Vec<usize> {
            let tables = spool.tables().iter().enumerate();
            let fitting =
                tables.filter(|(_, table)| fits(table.relation(), inputs.get(table.port()).map_or("", String::as_str)));
            fitting.map(|(place, _)| place).collect()
        };
        let place = |reference: &TableReference| {
            let mut found = fitting(&|relation, input| is_named(reference, relation.name(), input));
            if found.is_empty() {
                found = fitting(&|relation, _| is_named_about(reference, relation.name()));
            }
            match found.as_slice() {
                [] => Ok(None),
                [place] => Ok(Some(*place)),
                [one, other, ..] => {
                    let shown = |place: usize| {
                        let table = &spool.tables()[place];
                        format!(
                            "{} of {}",
                            table.relation().name(),
                            inputs.get(table.port()).map_or("", String::as_str)
                        )
                    };
                    let text = format!("`{reference}` may be {} or {}", shown(*one), shown(*other));
                    Err(Error::config(text).with_hint(
                        "name the table with its schema, or limit the inputs to one table each: `tables: [orders]`",
                    ))
                }
            }
        };
        self.tables.iter().map(place).collect()
    }
}

/// True when the text is exactly the table, or the input.
fn is_named(reference: &TableReference, relation: &RelationName, input: &str) -> bool {
    let name = text_of(reference);
    relation.table == name || relation.to_string() == name || input == name
}

fn is_named_about(reference: &TableReference, relation: &RelationName) -> bool {
    relation.table.eq_ignore_ascii_case(&text_of(reference))
}

/// A table's name as it was written, without quotes.
pub(super) fn text_of(reference: &TableReference) -> String {
    let parts = [reference.catalog(), reference.schema(), Some(reference.table())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// Every word of the text, in small letters; a superset of the columns that it names.
fn words(text: &str) -> Result<BTreeSet<String>> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize();
    let tokens = tokens.map_err(|error| Error::config("the query cannot be read").with_source(error))?;
    let words = tokens.into_iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    });
    Ok(words.collect())
}

/// Columns that come out need names: those of expressions would depend on how the planner shows them.
fn check_names(query: &Syntax) -> Result<()> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(inner) => body = &inner.body,
            SetExpr::Select(select) => return check_columns(select),
            _ => return Ok(()),
        }
    }
}

fn check_columns(select: &Select) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(column)) => Some(column),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last(),
            SelectItem::UnnamedExpr(expr) => return Err(nameless(expr)),
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            _ => None,
        };
        let Some(name) = name.map(|name| name.value.as_str()) else { continue };
        if names.contains(&name) {
            return Err(Error::config(format!("two columns are named {name}"))
                .with_hint(format!("name one of them otherwise: `… as {name}_2`")));
        }
        names.push(name);
    }
    Ok(())
}

#[derive(Default)]
struct Shape {
    takes_all_columns: bool,
}

impl Visitor for Shape {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Syntax) -> ControlFlow<Self::Break> {
        // Clauses that the planner would pass over in silence.
        let clauses = [
            ("|>", !query.pipe_operators.is_empty()),
            ("for", !query.locks.is_empty() || query.for_clause.is_some()),
            ("settings", query.settings.is_some()),
            ("format", query.format_clause.is_some()),
        ];
        refuse(&clauses)?;
        match query.with.as_ref().is_some_and(|with| with.recursive) {
            true => ControlFlow::Break("with recursive"),
            false => self.visit_body(&query.body),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let wild = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        self.takes_all_columns |= select.projection.iter().any(wild);
        self.takes_all_columns |= select.flavor == SelectFlavor::FromFirstNoSelect;
        refuse(&[
            ("into", select.into.is_some()),
            ("prewhere", select.prewhere.is_some()),
            ("connect by", !select.connect_by.is_empty()),
            ("cluster by", !select.cluster_by.is_empty()),
            ("distribute by", !select.distribute_by.is_empty()),
            ("sort by", !select.sort_by.is_empty()),
            ("lateral view", !select.lateral_views.is_empty()),
            ("top", select.top.is_some()),
            ("exclude behind the list", select.exclude.is_some()),
            ("select as", select.value_table_mode.is_some()),
            ("a select modifier", select.select_modifiers.is_some()),
        ])
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { args, with_hints, version, partitions, json_path, sample, index_hints, .. } => {
                refuse(&[
                    ("a table function", args.is_some()),
                    ("a table hint", !with_hints.is_empty() || !index_hints.is_empty()),
                    ("a table version", version.is_some()),
                    ("partition", !partitions.is_empty()),
                    ("a path behind a table", json_path.is_some()),
                    ("tablesample", sample.is_some()),
                ])
            }
            TableFactor::Derived { .. } | TableFactor::UNNEST { .. } | TableFactor::NestedJoin { .. } => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break("a table function"),
        }
    }
}

/// The first of the clauses that is there.
fn refuse(clauses: &[(&'static str, bool)]) -> ControlFlow<&'static str> {
    match clauses.iter().find(|(_, present)| *present) {
        Some((clause, _)) => ControlFlow::Break(clause),
        None => ControlFlow::Continue(()),
    }
}

impl Shape {
    fn visit_body(&mut self, body: &SetExpr) -> ControlFlow<&'static str> {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.visit_body(left)?;
                self.visit_body(right)
            }
            SetExpr::Table(_) => {
                self.takes_all_columns = true;
                ControlFlow::Continue(())
            }
            SetExpr::Insert(_) => ControlFlow::Break("insert"),
            SetExpr::Update(_) => ControlFlow::Break("update"),
            SetExpr::Delete(_) => ControlFlow::Break("delete"),
            SetExpr::Merge(_) => ControlFlow::Break("merge"),
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        }
    }
}
