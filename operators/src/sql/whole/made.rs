//! Queries that other operators make: an order, a join.

use aqueduct_model::{Error, Relation, Result};
use datafusion::sql::TableReference;
use datafusion::sql::sqlparser::ast::OrderByExpr;

use super::super::expression::parse_all;
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
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl WholeQuery {
    /// The rows of one table in order.
    ///
    /// # Errors
    /// `Config` when it is too long.
    pub(crate) fn sorted(relation: &Relation, by: &[SortKey], limit: Option<u64>) -> Result<Self> {
        let table = relation.name().table.clone();
        let keys: Vec<String> = by.iter().map(|SortKey(key)| key.to_string()).collect();
        let columns: Vec<String> = relation.columns().fields().iter().map(|field| quoted(field.name())).collect();
        let limit = limit.map_or_else(String::new, |limit| format!(" limit {limit}"));
        let text = format!("select {} from {} order by {}{limit}", columns.join(", "), quoted(&table), keys.join(", "));
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
