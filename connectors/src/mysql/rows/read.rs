//! A result of unknown length, in blocks of bounded size.

use std::sync::Arc;

use aqueduct_model::{BadRow, Error, ErrorKind, Relation, Result};
use arrow::datatypes::Field;
use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, Params, QueryResult, Value};

use super::column::{Column, Misfit};
use super::temporal::ZeroDates;
use crate::mysql::connection::Explain;
use crate::sql_input::{Block, BlockRows, ReadLimits};

/// After so many rows other tasks of the thread get their turn.
const ROWS_BETWEEN_YIELDS: usize = 512;

const UNEXPECTED_NULL: Misfit = "it is NULL, or a date that does not exist, in a column without NULLs";

/// The rows of a statement that runs on a connection.
///
/// Between [`Rows::start`] and the end nothing else may be asked of the connection; a value that is dropped earlier
/// leaves its rows to the next query, which reads past them.
pub(crate) struct Rows {
    relation: Arc<Relation>,
    columns: Vec<Column>,
    block: BlockRows,
    doing: String,
    is_done: bool,
}

impl Rows {
    /// Prepares and runs `sql`, whose result has the relation's columns in its order.
    ///
    /// # Errors
    /// As [`Explain::doing`]; `Schema` when the number of columns differs.
    pub(crate) async fn start(
        connection: &mut Conn,
        sql: &str,
        params: Vec<Value>,
        relation: &Arc<Relation>,
        zero_dates: ZeroDates,
    ) -> Result<Self> {
        let doing = format!("reading {}", relation.name());
        let params = if params.is_empty() { Params::Empty } else { Params::Positional(params) };
        let result = connection.exec_iter(sql, params).await.doing(|| doing.clone())?;
        let (found, wanted) = (result.columns_ref().len(), relation.columns().fields().len());
        if found != wanted {
            return Err(Error::new(ErrorKind::Schema, format!("{doing}: {found} columns came instead of {wanted}")));
        }
        let mut columns = Vec::with_capacity(wanted);
        for (i, field) in relation.columns().fields().iter().enumerate() {
            // A key that became another date would lead back to other rows.
            let in_key = zero_dates == ZeroDates::Epoch && relation.key().contains(&i);
            columns.push(Column::new(field, if in_key { ZeroDates::Error } else { zero_dates })?);
        }
        Ok(Self { relation: relation.clone(), columns, block: BlockRows::new(relation.clone()), doing, is_done: false })
    }

    /// The next rows; `None` at the end. Memory is bounded by `limits` and one row.
    pub(crate) async fn next(&mut self, connection: &mut Conn, limits: ReadLimits) -> Result<Option<Block>> {
        let mut result = QueryResult::<BinaryProtocol>::new(connection);
        while !self.is_done && self.block.has_room(limits) {
            let Some(row) = result.next().await.doing(|| self.doing.clone())? else {
                self.is_done = true;
                break;
            };
            let row = row.unwrap();
            let bytes = row.iter().map(size).sum();
            let refused = self.push(&row);
            self.block.count(bytes, refused);
            if self.block.read().is_multiple_of(ROWS_BETWEEN_YIELDS) {
                tokio::task::yield_now().await;
            }
        }
        self.block.finish(self.columns.iter_mut().map(Column::finish).collect())
    }

    /// Appends a row. What it is refused for, in which case its place holds NULLs.
    fn push(&mut self, row: &[Value]) -> Option<BadRow> {
        let mut reasons = Vec::new();
        for ((column, value), field) in self.columns.iter_mut().zip(row).zip(self.relation.columns().fields()) {
            match column.append(value) {
                Ok(is_there) if is_there || field.is_nullable() => {}
                Ok(_) => reasons.push(because(field, UNEXPECTED_NULL)),
                Err(reason) => {
                    column.append_null();
                    reasons.push(because(field, reason));
                }
            }
        }
        if reasons.is_empty() { None } else { Some(self.bad_row(row, reasons)) }
    }

    fn bad_row(&self, row: &[Value], reasons: Vec<String>) -> BadRow {
        let names = self.relation.columns().fields().iter().map(|field| field.name().clone());
        let cells: serde_json::Map<_, _> = names.zip(row.iter().map(shown)).collect();
        BadRow { relation: Some(self.relation.name().clone()), row: cells.into(), reasons, position: None }
    }
}

fn because(field: &Field, reason: Misfit) -> String {
    format!("column {}: {reason}", field.name())
}

fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len() + size_of::<i32>(),
        _ => size_of::<i64>(),
    }
}

/// A cell for the dead letters.
fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::NULL => serde_json::Value::Null,
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        other => other.as_sql(true).trim_matches('\'').into(),
    }
}
