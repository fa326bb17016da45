//! Reading a stateless query: `select … from one_table where …`, taken apart into expressions.

use std::ops::ControlFlow;

use aqueduct_model::{Error, Relation, Result};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, Query as Syntax, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, Statement, TableFactor, WildcardAdditionalOptions, visit_expressions,
};

use super::expression::{Expression, parse_all};
use super::stack::with_room;
use super::{functions, session, wildcard};
use crate::predicate::Predicate;
use crate::projection::Origin;

/// A query that makes of each row at most one row, from that row alone.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The table after `from`, by its parts.
    table: Vec<Ident>,
    alias: Option<Ident>,
    items: Vec<Item>,
    condition: Option<Expression>,
}

#[derive(Debug, Clone)]
enum Item {
    /// `*`, with what was taken out or put in.
    All(WildcardAdditionalOptions),
    /// One column. Without an alias the expression is a column, and its name is the relation's.
    One { expression: Expression, alias: Option<String> },
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// `Config` when it is not SQL, or not stateless; the hint says what to do instead.
    pub(super) fn parse(text: &str) -> Result<Self> {
        with_room(|| Self::read(text))
    }

    /// True when a query is not stateless: it needs all rows.
    ///
    /// # Errors
    /// `Config` when it is not SQL.
    pub(super) fn needs_all_rows(text: &str) -> Result<bool> {
        with_room(|| {
            let statement = parse_all(text.trim().trim_end_matches(';'), |parser| parser.parse_statement())?;
            let session = session::session();
            let found = visit_expressions(&statement, |part| match functions::is_of_several_rows(part, &session) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            });
            let Statement::Query(query) = statement else { return Ok(false) };
            let select = only_select(*query).and_then(|select| {
                refuse_clauses(&select)?;
                only_table(&select)
            });
            Ok(select.is_err() || found.is_break())
        })
    }

    fn read(text: &str) -> Result<Self> {
        let text = text.trim().trim_end_matches(';');
        let statement = parse_all(text, |parser| parser.parse_statement())?;
        let Statement::Query(query) = statement else {
            return Err(
                Error::config("only a `select` can be run here").with_hint("write `select … from <table> where …`")
            );
        };
        let select = only_select(*query)?;
        let session = session::session();
        let query = Self::of(select)?;
        for item in &query.items {
            match item {
                Item::One { expression, .. } => functions::check(expression.syntax(), &session)?,
                Item::All(options) => {
                    wildcard::replacements(options).try_for_each(|(expr, _)| functions::check(expr, &session))?;
                }
            }
        }
        query.condition.iter().try_for_each(|condition| functions::check(condition.syntax(), &session))?;
        Ok(query)
    }

    fn of(select: Select) -> Result<Self> {
        refuse_clauses(&select)?;
        let (table, alias) = only_table(&select)?;
        let items = select.projection.into_iter().map(|item| item_of(item, &table, alias.as_ref()));
        let items = items.collect::<Result<Vec<_>>>()?;
        Ok(Self { table, alias, items, condition: select.selection.map(Expression::from_syntax) })
    }

    /// True when the query names this relation, or the input that it came by.
    pub(super) fn names(&self, relation: &Relation, input: &str) -> bool {
        let name = self.table_name();
        let table = &relation.name().table;
        let exact = *table == name || relation.name().to_string() == name || input == name;
        exact || (self.table.iter().all(|part| part.quote_style.is_none()) && table.eq_ignore_ascii_case(&name))
    }

    /// The table after `from`, as one text.
    pub(super) fn table_name(&self) -> String {
        self.table.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
    }

    /// True when new columns of the table come out by themselves.
    pub(super) fn follows(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::All(_)))
    }

    /// The condition, bound.
    pub(super) fn condition(&self, relation: &Relation) -> Result<Option<Predicate>> {
        let Some(expression) = &self.condition else { return Ok(None) };
        let bound = expression.bind_as(relation, &self.tables(relation))?;
        Ok(Some(Predicate::new(bound, expression)?))
    }

    /// The output columns, bound, in order.
    pub(super) fn columns(&self, relation: &Relation) -> Result<Vec<(String, Origin)>> {
        let tables = self.tables(relation);
        let mut columns = Vec::new();
        for item in &self.items {
            match item {
                Item::All(options) => columns.extend(wildcard::expand(options, relation, &tables)?),
                Item::One { expression, alias } => {
                    let bound = expression.bind_as(relation, &tables)?;
                    let plain = bound.plain_column().map(|index| relation.columns().field(index).name().clone());
                    let name = alias.clone().or(plain).ok_or_else(|| nameless(expression.syntax()))?;
                    columns.push((name, bound.into()));
                }
            }
        }
        Ok(columns)
    }

    /// What the relation may be called in front of a column.
    fn tables<'a>(&'a self, relation: &'a Relation) -> Vec<&'a str> {
        match &self.alias {
            Some(alias) => vec![&alias.value],
            None => self
                .table
                .last()
                .map(|part| part.value.as_str())
                .into_iter()
                .chain([relation.name().table.as_str()])
                .collect(),
        }
    }
}

fn item_of(item: SelectItem, table: &[Ident], alias: Option<&Ident>) -> Result<Item> {
    match item {
        SelectItem::Wildcard(options) => {
            wildcard::check(&options)?;
            Ok(Item::All(options))
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            let last = alias.or(table.last()).map(|ident| ident.value.as_str()).unwrap_or_default();
            let prefix = name.to_string().replace('"', "");
            if !prefix.rsplit('.').next().unwrap_or_default().eq_ignore_ascii_case(last) {
                return Err(Error::config(format!("`{name}.*` is not the table after `from`")).with_hint("write `*`"));
            }
            wildcard::check(&options)?;
            Ok(Item::All(options))
        }
        SelectItem::QualifiedWildcard(..) => {
            Err(Error::config("`.*` goes behind the table's name only").with_hint("write `*`"))
        }
        SelectItem::UnnamedExpr(expr) => match &expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                Ok(Item::One { expression: Expression::from_syntax(expr), alias: None })
            }
            _ => Err(nameless(&expr)),
        },
        SelectItem::ExprWithAlias { expr, alias } => {
            Ok(Item::One { expression: Expression::from_syntax(expr), alias: Some(alias.value) })
        }
        SelectItem::ExprWithAliases { expr, .. } => Err(Error::config(format!("`{expr}` has several names"))),
    }
}

pub(super) fn nameless(expression: &Expr) -> Error {
    Error::config(format!("the column `{expression}` has no name"))
        .with_hint(format!("name it: `{expression} as <name>`"))
}

pub(super) fn only_select(query: Syntax) -> Result<Select> {
    let Syntax {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let clauses = [
        ("with", with.is_some()),
        ("order by", order_by.is_some()),
        ("limit", limit_clause.is_some() || fetch.is_some()),
        ("for", !locks.is_empty() || for_clause.is_some()),
        ("settings", settings.is_some()),
        ("format", format_clause.is_some()),
        ("|>", !pipe_operators.is_empty()),
    ];
    refuse(&clauses)?;
    match *body {
        SetExpr::Select(select) => Ok(*select),
        SetExpr::SetOperation { op, .. } => Err(stateful(&op.to_string().to_lowercase())
            .with_hint("use the operator Union, or one SQL task per query, behind the same input")),
        _ => {
            Err(Error::config("only a plain `select` can be run here")
                .with_hint("write `select … from <table> where …`"))
        }
    }
}

pub(super) fn refuse_clauses(select: &Select) -> Result<()> {
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    refuse(&[
        ("distinct", select.distinct.is_some()),
        ("top", select.top.is_some()),
        ("group by", grouped),
        ("having", select.having.is_some()),
        ("qualify", select.qualify.is_some()),
        ("window", !select.named_window.is_empty()),
        ("into", select.into.is_some()),
        ("lateral view", !select.lateral_views.is_empty()),
        ("connect by", !select.connect_by.is_empty()),
        ("cluster by", !select.cluster_by.is_empty()),
        ("distribute by", !select.distribute_by.is_empty()),
        ("sort by", !select.sort_by.is_empty()),
        ("prewhere", select.prewhere.is_some()),
        ("exclude behind the list", select.exclude.is_some()),
        ("select as", select.value_table_mode.is_some()),
        ("a select modifier", select.select_modifiers.is_some()),
    ])
}

fn refuse(clauses: &[(&str, bool)]) -> Result<()> {
    match clauses.iter().find(|(_, present)| *present) {
        Some((clause, _)) => Err(stateful(clause)),
        None => Ok(()),
    }
}

fn stateful(clause: &str) -> Error {
    Error::config(format!("`{clause}` is not stateless: this SQL makes of each row at most one row")).with_hint(
        "use columns, expressions and `where` over one table; leave the rest to the target, or to a task of its own",
    )
}

/// The one table after `from`, and its alias.
pub(super) fn only_table(select: &Select) -> Result<(Vec<Ident>, Option<Ident>)> {
    let one_table = "name one table after `from`: the id of an input task or a table of the stream";
    let [from] = select.from.as_slice() else {
        return Err(Error::config(format!("a query over {} tables", select.from.len())).with_hint(one_table));
    };
    if !from.joins.is_empty() {
        return Err(stateful("join"));
    }
    let TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_hints,
    } = &from.relation
    else {
        return Err(Error::config(format!("`from {}` is not a plain table", from.relation)).with_hint(one_table));
    };
    let plain = with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty();
    let columns_renamed = alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
    if !plain || columns_renamed {
        return Err(Error::config(format!("`from {}` is not a plain table", from.relation)).with_hint(one_table));
    }
    Ok((parts(name)?, alias.as_ref().map(|alias| alias.name.clone())))
}

fn parts(name: &ObjectName) -> Result<Vec<Ident>> {
    let parts: Option<Vec<Ident>> = name.0.iter().map(|part| part.as_ident().cloned()).collect();
    parts.ok_or_else(|| Error::config(format!("`{name}` is not a table's name")))
}
