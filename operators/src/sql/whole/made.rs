//! Queries that other operators make: an order, a join.

use aqueduct_model::{Error, Relation, Result};
use datafusion::arrow::compute::SortOptions;
use datafusion::sql::TableReference;
use datafusion::sql::sqlparser::ast::OrderByExpr;

use super::super::expression::{Expression, parse_all};
use super::super::stack::with_room;
use super::super::{functions, session};
use super::query::WholeQuery;

/// One part of an order: `amount desc nulls last`.
#[derive(Debug, Clone)]
pub(crate) struct SortKey(OrderByExpr);

impl SortKey {
    /// Reads it.
    ///
    /// # Errors
    /// `Config` when it is not one; the columns are checked against the rows.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        with_room(|| {
            let key = parse_all(text, |parser| parser.parse_order_by_expr())?;
            if key.with_fill.is_some() {
                return Err(Error::config("`with fill` is not possible here").with_hint("write `amount desc`"));
            }
            functions::check(&key.expr, &session::session())?;
            Ok(Self(key))
        })
    }

    /// What is compared.
    ///
    /// # Errors
    /// None: it was read before.
    pub(crate) fn expression(&self) -> Result<Expression> {
        Expression::parse(&self.0.expr.to_string())
    }

    /// How: NULLs are the largest values unless something else is said.
    pub(crate) fn options(&self) -> SortOptions {
        let descending = self.0.options.asc == Some(false);
        SortOptions { descending, nulls_first: self.0.options.nulls_first.unwrap_or(descending) }
    }
}

/// Which rows of an order count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct First {
    /// The first so many; all without it.
    pub(crate) limit: Option<u64>,
    /// And those that are equal to the last of them in what is sorted by.
    pub(crate) ties: bool,
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl WholeQuery {
    /// The rows of one table in order, group by group of the columns `per`, in each of which `first` is counted.
    ///
    /// # Errors
    /// `Config` when it is too long.
    pub(crate) fn sorted(relation: &Relation, by: &[SortKey], per: &[String], first: First) -> Result<Self> {
        let table = relation.name().table.clone();
        let list = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
        let columns = list(&mut relation.columns().fields().iter().map(|field| quoted(field.name())));
        let keys = list(&mut by.iter().map(|SortKey(key)| key.to_string()));
        let groups = list(&mut per.iter().map(|name| quoted(name)));
        let order = if per.is_empty() { keys.clone() } else { format!("{groups}, {keys}") };
        let from = quoted(&table);
        let text = match first.limit {
            None => format!("select {columns} from {from} order by {order}"),
            Some(limit) if per.is_empty() && !first.ties => {
                format!("select {columns} from {from} order by {order} limit {limit}")
            }
            Some(limit) => {
                let mut place = "_place".to_owned();
                while relation.columns().fields().iter().any(|field| field.name().eq_ignore_ascii_case(&place)) {
                    place.push('_');
                }
                let counted = if first.ties { "rank()" } else { "row_number()" };
                let parts = if per.is_empty() { String::new() } else { format!("partition by {groups} ") };
                format!(
                    "select {columns} from (select {columns}, {counted} over ({parts}order by {keys}) as {place} from {from}) \
                     where {place} <= {limit} order by {order}"
                )
            }
        };
        Self::made(&text, &[&table])
    }

    /// A query over these tables, in this order.
    ///
    /// # Errors
    /// `Config` when it is not SQL.
    pub(crate) fn made(text: &str, tables: &[&str]) -> Result<Self> {
        let tables: Vec<TableReference> = tables.iter().map(|table| TableReference::bare(*table)).collect();
        let mut made = Self::parse(text)?;
        if made.tables.iter().any(|table| !tables.contains(table)) {
            return Err(Error::config("a query inside would name other tables"));
        }
        made.tables = tables;
        Ok(made)
    }
}
