//! A result of unknown length, in blocks of bounded size.

use std::pin::Pin;
use std::sync::Arc;

use aqueduct_model::{BadRow, Error, ErrorKind, Relation, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use futures::StreamExt;
use tokio_postgres::{Client, CopyOutStream};

use super::column::{ColumnBuilder, Unrepresentable};
use super::frame::{Frame, Frames, cells};
use crate::postgres::error::failed;
use crate::sql_input::{Block, BlockRows, ReadLimits};

/// After so many rows other tasks of the thread get their turn.
const ROWS_BETWEEN_YIELDS: usize = 512;
/// A block of [`read_rows`] ends at about this size, however few its rows.
const BLOCK_BYTES: usize = 16 << 20;

/// The rows of a COPY. Dropping it early leaves the rest to the session, which reads past it.
pub(crate) struct CopyRows {
    relation: Arc<Relation>,
    columns: Vec<ColumnBuilder>,
    block: BlockRows,
    messages: Pin<Box<CopyOutStream>>,
    frames: Frames,
    doing: String,
    is_done: bool,
}

impl CopyRows {
    /// Runs a SELECT, made by [`super::Select`], whose columns are the relation's in its order.
    ///
    /// # Errors
    /// The server's refusals; those of the connection.
    pub(crate) async fn start(
        client: &Client,
        select: &str,
        relation: &Arc<Relation>,
        unrepresentable: Unrepresentable,
    ) -> Result<Self> {
        let doing = format!("cannot read {}", relation.name());
        // On lines of its own: a comment at the end must not swallow the parenthesis.
        let sql = format!("COPY (\n{select}\n) TO STDOUT (FORMAT binary)");
        let messages = client.copy_out(&sql).await.map_err(|error| failed(&doing, error))?;
        let fields = relation.columns().fields();
        let columns = fields.iter().map(|field| ColumnBuilder::new(field, unrepresentable)).collect::<Result<_>>()?;
        Ok(Self {
            relation: relation.clone(),
            columns,
            block: BlockRows::new(relation.clone()),
            messages: Box::pin(messages),
            frames: Frames::new(fields.len()),
            doing,
            is_done: false,
        })
    }

    /// The next rows; `None` at the end. Memory is bounded by `limits` and one row.
    pub(crate) async fn next(&mut self, limits: ReadLimits) -> Result<Option<Block>> {
        while !self.is_done && self.block.has_room(limits) {
            match self.frames.next()? {
                Frame::Row(row) => {
                    let refused = self.push(&row);
                    self.block.count(row.len(), refused);
                    if self.block.read().is_multiple_of(ROWS_BETWEEN_YIELDS) {
                        tokio::task::yield_now().await;
                    }
                }
                Frame::Incomplete => match self.messages.next().await {
                    Some(message) => self.frames.feed(message.map_err(|error| failed(&self.doing, error))?),
                    None => {
                        return Err(Error::new(ErrorKind::Unavailable, format!("{}: the rows broke off", self.doing)));
                    }
                },
                Frame::End => self.end().await?,
            }
        }
        self.block.finish(self.columns.iter_mut().map(ColumnBuilder::finish).collect())
    }

    /// Behind the last row: an error of the server may still come.
    async fn end(&mut self) -> Result<()> {
        while let Some(message) = self.messages.next().await {
            message.map_err(|error| failed(&self.doing, error))?;
        }
        self.is_done = true;
        Ok(())
    }

    /// Appends a row. What it is refused for, in which case its place holds NULLs.
    fn push(&mut self, row: &[u8]) -> Option<BadRow> {
        let mut reasons = Vec::new();
        for ((column, cell), field) in self.columns.iter_mut().zip(cells(row)).zip(self.relation.columns().fields()) {
            let Some(cell) = cell else {
                column.append_null();
                if !field.is_nullable() {
                    reasons.push(format!("column {}: it is NULL: the table has changed", field.name()));
                }
                continue;
            };
            match column.append_binary(cell) {
                Ok(is_there) if is_there || field.is_nullable() => {}
                Ok(_) => {
                    reasons.push(format!("column {}: Arrow cannot hold it, and the column has no NULLs", field.name()))
                }
                Err(reason) => {
                    column.append_null();
                    reasons.push(format!("column {}: {reason}", field.name()));
                }
            }
        }
        if reasons.is_empty() { None } else { Some(self.bad_row(row, reasons)) }
    }

    /// The dead letter: texts as texts, the bytes of everything else in hexadecimal digits.
    fn bad_row(&self, row: &[u8], reasons: Vec<String>) -> BadRow {
        let fields = self.relation.columns().fields();
        let shown = |(field, cell): (&Arc<Field>, Option<&[u8]>)| {
            let text = cell.map(|bytes| match std::str::from_utf8(bytes) {
                Ok(text) if *field.data_type() == DataType::Utf8 => text.to_owned(),
                _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            });
            (field.name().clone(), text.into())
        };
        let cells: serde_json::Map<_, _> = fields.iter().zip(cells(row)).map(shown).collect();
        BadRow { relation: Some(self.relation.name().clone()), row: cells.into(), reasons, position: None }
    }
}

/// Reads all rows of `select` (see [`CopyRows::start`]), `batch_rows` at a time.
///
/// # Errors
/// As [`CopyRows::start`]; `Data` for the first row that does not fit; whatever `on_batch` returns.
pub(crate) async fn read_rows(
    client: &Client,
    select: &str,
    relation: &Arc<Relation>,
    unrepresentable: Unrepresentable,
    batch_rows: usize,
    mut on_batch: impl FnMut(RecordBatch) -> Result<()> + Send,
) -> Result<()> {
    let mut rows = CopyRows::start(client, select, relation, unrepresentable).await?;
    while let Some(block) = rows.next(ReadLimits { rows: batch_rows, bytes: BLOCK_BYTES }).await? {
        block.complete(relation)?;
        on_batch(block.rows)?;
    }
    Ok(())
}
