//! What the operators' tests share: an output in memory, random changelogs, and the fold that says what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{
    BadRow, Batch, Build, Error, InputPort, Op, Operator, OperatorContext, Output, OutputPort, PluginEntry, Relation,
    RelationName, Result, SchemaChange,
};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::Value;

/// Keeps what an operator puts out.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) batches: Vec<(OutputPort, Batch)>,
    pub(crate) changes: Vec<(OutputPort, SchemaChange)>,
    pub(crate) bad: Vec<BadRow>,
}

#[async_trait]
impl Output for Memory {
    async fn emit(&mut self, port: OutputPort, batch: Batch) -> Result<()> {
        // What goes out must be a batch that can be made: no orphaned half of an update, columns as in the relation.
        if let aqueduct_model::Ops::PerRow(ops) = batch.ops() {
            Batch::changes(batch.relation().clone(), batch.rows().clone(), ops.clone())?;
        }
        self.batches.push((port, batch));
        Ok(())
    }

    async fn announce(&mut self, port: OutputPort, change: SchemaChange) -> Result<()> {
        self.changes.push((port, change));
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.bad.push(row);
        Ok(())
    }
}

impl Memory {
    /// The batches of one port.
    pub(crate) fn port(&self, port: usize) -> Vec<Batch> {
        self.batches.iter().filter(|(p, _)| p.0 == port).map(|(_, batch)| batch.clone()).collect()
    }

    /// Ops and cells of every row of the main port.
    pub(crate) fn rows(&self) -> Vec<(u8, Vec<Option<String>>)> {
        self.port(0).iter().flat_map(ops_and_cells).collect()
    }
}

/// Runs a future that waits for nothing.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Checks and builds an operator.
pub(crate) fn build(entry: PluginEntry, config: &Value) -> Result<Box<dyn Operator>> {
    (entry.check)(config)?;
    match entry.build {
        Build::Operator { build } => build(config),
        _ => Err(Error::bug("not an operator")),
    }
}

/// Runs batches, all by port 0 from a task `input`, through a new operator.
pub(crate) fn run(entry: PluginEntry, config: &Value, batches: &[Batch]) -> Result<Memory> {
    let mut operator = build(entry, config)?;
    let mut out = Memory::default();
    block_on(async {
        let inputs = vec!["input".to_owned(), "other".to_owned()];
        operator
            .open(
                &OperatorContext { flow: "flow".into(), task: "task".into(), inputs, ..OperatorContext::default() },
                None,
            )
            .await?;
        for batch in batches {
            operator.process(InputPort(0), batch.clone(), &mut out).await?;
        }
        operator.finish(&mut out).await
    })?;
    Ok(out)
}

/// Runs batches, each by its port, from tasks `input` and `other`, through an operator that crashes behind those of them
/// that `crashes` names, each time right after a checkpoint and some rows that never were.
pub(crate) fn run_with_crashes(
    entry: PluginEntry,
    config: &Value,
    batches: &[(usize, Batch)],
    crashes: &[usize],
    folder: Option<&std::path::Path>,
) -> Result<Memory> {
    let inputs = vec!["input".to_owned(), "other".to_owned()];
    let context = OperatorContext {
        flow: "flow".into(),
        task: "task".into(),
        state_dir: folder.map(Into::into),
        inputs,
        ..OperatorContext::default()
    };
    let mut out = Memory::default();
    block_on(async {
        let mut operator = build(entry, config)?;
        operator.open(&context, None).await?;
        for (n, (port, batch)) in batches.iter().enumerate() {
            operator.process(InputPort(*port), batch.clone(), &mut out).await?;
            if crashes.contains(&n) {
                let state = operator.snapshot(aqueduct_model::Epoch(n as u64)).await?;
                let mut lost = Memory::default();
                operator.process(InputPort(*port), batch.clone(), &mut lost).await?;
                operator = build(entry, config)?;
                operator.open(&context, Some(state)).await?;
            }
        }
        operator.finish(&mut out).await
    })?;
    Ok(out)
}

/// What one schema change becomes.
pub(crate) fn run_change(entry: PluginEntry, config: &Value, change: SchemaChange) -> Result<Memory> {
    let mut operator = build(entry, config)?;
    let mut out = Memory::default();
    block_on(operator.on_schema(InputPort(0), change, &mut out))?;
    Ok(out)
}

/// The text of an error with its setting and hint.
pub(crate) fn refusal<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => format!("{error:?}"),
    }
}

/// `t(id bigint key, n bigint, s varchar)`.
pub(crate) fn relation() -> Arc<Relation> {
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("n", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
    ]);
    Arc::new(Relation::new(RelationName::table("t"), Arc::new(columns), &["id"], 1).unwrap())
}

/// A row of [`relation`].
pub(crate) type Row = (i64, Option<i64>, Option<String>);

/// A row of [`relation`], with its op; the flag says that only the key was sent.
pub(crate) type Event = (Op, Row, bool);

/// A row in few letters.
pub(crate) fn row(id: i64, n: impl Into<Option<i64>>, s: &str) -> Row {
    (id, n.into(), Some(s.to_owned()))
}

/// A batch of events.
pub(crate) fn batch(relation: &Arc<Relation>, events: &[Event]) -> Batch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(events.iter().map(|(_, row, _)| row.0))),
        Arc::new(events.iter().map(|(_, row, bare)| row.1.filter(|_| !bare)).collect::<Int64Array>()),
        Arc::new(events.iter().map(|(_, row, bare)| row.2.clone().filter(|_| !bare)).collect::<StringArray>()),
    ];
    let rows = RecordBatch::try_new(relation.columns().clone(), columns).unwrap();
    if events.iter().all(|(op, ..)| *op == Op::Insert) {
        return Batch::inserts(relation.clone(), rows).unwrap();
    }
    let ops = UInt8Array::from_iter_values(events.iter().map(|(op, ..)| *op as u8));
    let mut batch = Batch::changes(relation.clone(), rows, ops).unwrap();
    for column in [1, 2] {
        let present = BooleanArray::from(events.iter().map(|(.., bare)| !bare).collect::<Vec<_>>());
        batch = batch.with_present(column, present).unwrap();
    }
    batch
}

/// Inserts of [`relation`].
pub(crate) fn inserts(rows: &[Row]) -> Batch {
    batch(&relation(), &rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect::<Vec<_>>())
}

/// Cuts events into batches of about `size` rows, never between the halves of an update.
pub(crate) fn cut(events: &[Event], size: usize) -> Vec<Batch> {
    let relation = relation();
    let mut batches = Vec::new();
    let mut held: Vec<Event> = Vec::new();
    for event in events {
        let whole = held.last().is_none_or(|(op, ..)| *op != Op::UpdateBefore);
        if held.len() >= size && whole {
            batches.push(batch(&relation, &held));
            held.clear();
        }
        held.push(event.clone());
    }
    batches.push(batch(&relation, &held));
    batches
}

/// Random rows.
pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0i64..1000, prop::option::of(-20i64..20), prop::option::of("[a-c中]{0,2}")), 0..60)
}

/// A random changelog of few keys, as sources of all kinds send it: updates with and without their old image, deletes
/// whole and by key.
pub(crate) fn changelog() -> impl Strategy<Value = Vec<Event>> {
    let step = (0i64..6, 0u8..6, prop::option::of(-20i64..20), prop::option::of("[a-c]{0,2}"));
    prop::collection::vec(step, 0..80).prop_map(|steps| {
        let mut table: BTreeMap<i64, Row> = BTreeMap::new();
        let mut events: Vec<Event> = Vec::new();
        for (id, kind, n, s) in steps {
            let new: Row = (id, n, s);
            match (table.get(&id).cloned(), kind) {
                (None, _) => events.push((Op::Insert, new.clone(), false)),
                (Some(old), 0 | 1) => {
                    table.remove(&id);
                    events.push((Op::Delete, old, kind == 1));
                    continue;
                }
                (Some(old), 2) => {
                    events.push((Op::UpdateBefore, old, true));
                    events.push((Op::UpdateAfter, new.clone(), false));
                }
                (Some(old), 3) => {
                    events.push((Op::UpdateBefore, old, false));
                    events.push((Op::UpdateAfter, new.clone(), false));
                }
                (Some(_), _) => events.push((Op::UpdateAfter, new.clone(), false)),
            }
            table.insert(id, new);
        }
        events
    })
}

/// The rows left after all events.
pub(crate) fn fold_events(events: &[Event]) -> Vec<Row> {
    let mut table = BTreeMap::new();
    for (op, row, _) in events {
        match op {
            Op::Insert | Op::UpdateAfter => table.insert(row.0, row.clone()),
            Op::UpdateBefore | Op::Delete => table.remove(&row.0),
        };
    }
    table.into_values().collect()
}

/// Every row of a batch as its op and its cells as text.
pub(crate) fn ops_and_cells(batch: &Batch) -> Vec<(u8, Vec<Option<String>>)> {
    let texts: Vec<ArrayRef> =
        batch.rows().columns().iter().map(|column| cast(column, &DataType::Utf8).unwrap()).collect();
    (0..batch.num_rows())
        .map(|i| {
            let cells = texts.iter().map(|text| {
                let text = text.as_string::<i32>();
                text.is_valid(i).then(|| text.value(i).to_owned())
            });
            (batch.op(i) as u8, cells.collect())
        })
        .collect()
}

/// The table that batches leave behind, by their relation's key: the way a naive sink would apply them.
pub(crate) fn fold(batches: &[Batch]) -> Vec<Vec<Option<String>>> {
    let mut table = BTreeMap::new();
    for batch in batches {
        for (op, cells) in ops_and_cells(batch) {
            let key: Vec<Option<String>> = batch.relation().key().iter().map(|&i| cells[i].clone()).collect();
            match Op::from_u8(op).unwrap() {
                Op::Insert | Op::UpdateAfter => table.insert(key, cells),
                Op::UpdateBefore | Op::Delete => table.remove(&key),
            };
        }
    }
    table.into_values().collect()
}

/// Rows as [`fold`] shows them, in its order.
pub(crate) fn shown(rows: impl IntoIterator<Item = Row>) -> Vec<Vec<Option<String>>> {
    let mut shown: Vec<Vec<Option<String>>> =
        rows.into_iter().map(|(id, n, s)| vec![Some(id.to_string()), n.map(|n| n.to_string()), s]).collect();
    shown.sort_by_key(|cells| cells[0].clone());
    shown
}

/// The values of a column of numbers.
pub(crate) fn numbers(batch: &Batch, column: &str) -> Vec<Option<i64>> {
    batch.rows().column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn every_setting_is_described_and_every_example_names_its_plugin() {
    for entry in crate::ENTRIES {
        assert!(entry.example.contains(entry.name), "{}", entry.name);
        let schema = serde_json::to_value((entry.schema)()).unwrap();
        undescribed(entry.name, &schema, &mut |field| panic!("{}: {field} has no description", entry.name));
    }
}

fn undescribed(at: &str, schema: &Value, found: &mut dyn FnMut(&str)) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            if property.get("description").is_none() {
                found(&format!("{at}.{name}"));
            }
        }
    }
    match schema {
        Value::Object(map) => map.iter().for_each(|(name, part)| undescribed(&format!("{at}.{name}"), part, found)),
        Value::Array(parts) => parts.iter().for_each(|part| undescribed(at, part, found)),
        _ => {}
    }
}
