//! What comes of items: the rows that their runs handed back, and a row that says how they ended.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Output, OutputPort, Relation, RelationName, Result};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};

use super::ItemEnd;
use super::item::Item;

/// The rows that were handed back, and one row per item.
pub(crate) const PORTS: [&str; 2] = ["out", "runs"];

const RUNS: OutputPort = OutputPort(1);

/// Refuses columns that the items' rows do not have.
///
/// # Errors
/// `Config`, with the setting `keep`.
pub(super) fn columns_exist(keep: &[String], relation: &Relation) -> Result<()> {
    for name in keep {
        relation.column(name).map_err(|error| error.with_setting("keep"))?;
    }
    Ok(())
}

/// Emits what an item came to. `keep`: columns of its row that go in front of every row that was handed back.
pub(super) async fn emit(task: &str, keep: &[String], item: &Item, end: &ItemEnd, out: &mut dyn Output) -> Result<()> {
    for batch in &end.returned {
        let batch = if keep.is_empty() { batch.clone() } else { with_item(keep, item, batch)? };
        out.emit(OutputPort::MAIN, batch).await?;
    }
    out.emit(RUNS, told(task, item, end)?).await
}

fn with_item(keep: &[String], item: &Item, batch: &Batch) -> Result<Batch> {
    let first = UInt32Array::from(vec![0; batch.num_rows()]);
    let (mut fields, mut columns): (Vec<Arc<Field>>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for name in keep {
        let (index, field) = item.row.relation().column(name)?;
        let cells = take(item.row.rows().column(index), &first, None)
            .map_err(|error| Error::bug("cannot repeat a value").with_source(error))?;
        fields.push(Arc::new(field.clone()));
        columns.push(cells);
    }
    for (field, cells) in batch.rows().schema_ref().fields().iter().zip(batch.rows().columns()) {
        if keep.contains(field.name()) {
            return Err(Error::config(format!("the rows that are handed back have a column `{}` too", field.name()))
                .with_setting("keep")
                .with_hint("rename it in the sub-flow, or leave it out of `keep`"));
        }
        fields.push(field.clone());
        columns.push(cells.clone());
    }
    let columns_of = Arc::new(Schema::new(fields));
    // The same key may come back of several items.
    let mut key: Vec<String> = batch.relation().key_names().into_iter().map(str::to_owned).collect();
    if !key.is_empty() {
        key.splice(0..0, keep.iter().cloned());
    }
    let nullable = |name: &String| columns_of.field_with_name(name).is_ok_and(Field::is_nullable);
    if key.iter().any(nullable) {
        key.clear();
    }
    let name = batch.relation().name().clone();
    let relation = Relation::new(name, columns_of.clone(), &key, batch.relation().version())?;
    let rows = RecordBatch::try_new(columns_of, columns)
        .map_err(|error| Error::bug("columns of an item do not fit").with_source(error))?;
    Batch::inserts(Arc::new(relation), rows)
}

/// The row that says how an item ended: its own columns, and five of ours.
fn told(task: &str, item: &Item, end: &ItemEnd) -> Result<Batch> {
    let text = |text: Option<String>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let number = |number: u64| Arc::new(Int64Array::from(vec![i64::try_from(number).unwrap_or(i64::MAX)])) as ArrayRef;
    let status = if end.failure.is_some() { "failed" } else { "ok" };
    let error = end.failure.as_ref().map(|failure| match &failure.hint {
        Some(hint) => format!("{}; {hint}", failure.message),
        None => failure.message.clone(),
    });
    let ours: [(&str, ArrayRef, bool); 5] = [
        ("_status", text(Some(status.to_owned())), false),
        ("_error", text(error), true),
        ("_runs", number(end.runs), false),
        ("_rows", number(end.rows), false),
        ("_ms", number(end.took_ms), false),
    ];
    let of_item = item.row.rows();
    let mut fields: Vec<Field> =
        of_item.schema_ref().fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let mut columns: Vec<ArrayRef> = of_item.columns().to_vec();
    for (name, cells, nullable) in ours {
        match fields.iter().position(|field| field.name() == name) {
            // The row comes of such a task itself: what it says is about an earlier run.
            Some(place) => {
                (fields[place], columns[place]) = (Field::new(name, cells.data_type().clone(), nullable), cells)
            }
            None => {
                fields.push(Field::new(name, cells.data_type().clone(), nullable));
                columns.push(cells);
            }
        }
    }
    let columns_of = Arc::new(Schema::new(fields));
    let relation = Relation::new(RelationName::table(format!("{task}_runs")), columns_of.clone(), &[] as &[&str], 1)?;
    let rows = RecordBatch::try_new(columns_of, columns)
        .map_err(|error| Error::bug("the columns of a run do not fit").with_source(error))?;
    Batch::inserts(Arc::new(relation), rows)
}
