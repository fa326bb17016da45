//! Rows become requests.

use aqueduct_model::{Batch, Error, ErrorKind, Op, RelationName, Result};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use std::sync::Arc;

use super::super::json::Json;
use super::config::{Format, HttpWriterConfig, Method};
use super::ledger::Waiting;
use super::template::{Template, fill_url};

/// Gathers rows of one table until they fill a request.
pub(super) struct Gathered {
    config: HttpWriterConfig,
    table: Option<RelationName>,
    rows: Vec<Json>,
}

impl Gathered {
    pub(super) fn new(config: HttpWriterConfig) -> Self {
        Self { config, table: None, rows: Vec::new() }
    }

    /// Adds a batch; hands out the requests that are full.
    ///
    /// # Errors
    /// `Config` for updates and deletes without `op_member`, and for columns that templates name in vain.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<Vec<Waiting>> {
        if !batch.is_append_only() && self.config.op_member.is_none() {
            return Err(Error::config(
                "an update or delete came in, and a request says nothing of what happened to its row",
            )
            .with_setting("op_member")
            .with_hint("write `op_member: op` if the service takes them, or put a Filter in front"));
        }
        let mut requests = Vec::new();
        if self.table.as_ref().is_some_and(|table| table != batch.relation().name()) {
            requests.extend(self.end()?);
        }
        self.table = Some(batch.relation().name().clone());
        let rows = objects(batch)?;
        for (i, row) in rows.into_iter().enumerate() {
            let Some(op) = self.op(batch, i)? else { continue };
            self.rows.push(self.named(row, op)?);
            if self.rows.len() >= self.config.batch_rows.get() {
                requests.extend(self.end()?);
            }
        }
        Ok(requests)
    }

    /// The request of the rows that are left.
    pub(super) fn end(&mut self) -> Result<Option<Waiting>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        let table = self.table.as_ref().map_or("", |name| name.table.as_str());
        let url = fill_url(&self.config.url, table, &rows)?;
        let body = match &self.config.body {
            Some(body) => Some(Template(body).fill(&rows)?.to_text()),
            None if self.config.method == Method::Delete => None,
            None if self.config.batch_rows.get() == 1 => rows.first().map(Json::to_text),
            None if self.config.format == Format::Jsonl => {
                Some(rows.iter().map(|row| row.to_text() + "\n").collect::<String>())
            }
            None => Some(Json::List(rows).to_text()),
        };
        Ok(Some(Waiting { url, body }))
    }

    /// What happened to a row, in a word; `None` for the old half of an update.
    fn op(&self, batch: &Batch, row: usize) -> Result<Option<&'static str>> {
        let changes_key = |before: usize| -> Result<bool> {
            let relation = batch.relation();
            if relation.key().is_empty() {
                let text = format!("{} has no key, and an update came in", relation.name());
                return Err(Error::new(ErrorKind::Schema, text)
                    .with_setting("op_member")
                    .with_hint("give the table a key, so that the service can find the row"));
            }
            let same = relation.key().iter().all(|&column| {
                let cells = batch.rows().column(column);
                cells.slice(before, 1).to_data() == cells.slice(before + 1, 1).to_data()
            });
            Ok(!same)
        };
        // A row whose key changes is another row: the old one goes, the new one comes.
        Ok(match batch.op(row) {
            Op::Insert => Some("insert"),
            Op::Delete => Some("delete"),
            Op::UpdateBefore => changes_key(row)?.then_some("delete"),
            Op::UpdateAfter if row > 0 && batch.op(row - 1) == Op::UpdateBefore && changes_key(row - 1)? => {
                Some("insert")
            }
            Op::UpdateAfter => Some("update"),
        })
    }

    fn named(&self, row: Json, op: &str) -> Result<Json> {
        let Some(name) = &self.config.op_member else { return Ok(row) };
        let mut members = match row {
            Json::Object(members) => members,
            other => return Ok(other),
        };
        if members.iter().any(|(known, _)| known == name) {
            return Err(Error::config(format!("the rows have a column {name} already"))
                .with_setting("op_member")
                .with_hint("choose another name, such as `_op`"));
        }
        members.insert(0, (name.clone(), Json::Text(op.to_owned())));
        Ok(Json::Object(members))
    }
}

/// The rows as objects; members that the source did not send are left out.
fn objects(batch: &Batch) -> Result<Vec<Json>> {
    let failed = |error| Error::new(ErrorKind::Data, "rows cannot be written as JSON").with_source(error);
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.relation().columns().fields().iter().zip(batch.rows().columns()) {
        let column = writable(column).map_err(failed)?;
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(failed)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&rows).and_then(|()| writer.finish()).map_err(failed)?;
    let bug = |why: String| Error::bug(format!("rows were not written as JSON: {why}"));
    let mut rows = Json::parse_lines(&writer.into_inner()).map_err(bug)?;
    for (i, row) in rows.iter_mut().enumerate().filter(|_| batch.has_absent()) {
        let Json::Object(members) = row else { continue };
        let schema = batch.relation().columns();
        let is_present = |name: &str| {
            schema.index_of(name).ok().and_then(|column| batch.present(column)).is_none_or(|mask| mask.value(i))
        };
        members.retain(|(name, _)| is_present(name));
    }
    Ok(rows)
}

/// Instants in UTC: this build has no time zone names.
fn writable(column: &ArrayRef) -> arrow::error::Result<ArrayRef> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(zone)) if !zone.starts_with(['+', '-']) => {
            cast(column, &DataType::Timestamp(*unit, Some("+00:00".into())))
        }
        _ => Ok(column.clone()),
    }
}
