//! Joins by event time: against loops over plain lists, and at their edges.

mod edges;
mod models;

use aqueduct_model::{
    Change, Epoch, InputPort, Op, Operator, OperatorContext, Relation, RelationName, Result, SchemaChange, State,
    Watermark,
};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

use crate::join::ENTRY;
use crate::tests::{Memory, Row, batch, block_on, build, relation};

type Cells = Vec<Option<String>>;

/// A row's event time: its id.
const TIME: &str = "to_timestamp_millis(id)";

fn opened(config: &Value, folder: Option<&Path>, state: Option<State>) -> Box<dyn Operator> {
    let mut operator = build(ENTRY, config).unwrap();
    let context = OperatorContext {
        task: "joined".into(),
        inputs: vec!["l".into(), "r".into()],
        state_dir: folder.map(Into::into),
        ..OperatorContext::default()
    };
    block_on(operator.open(&context, state)).unwrap();
    operator
}

/// The table that comes by a port.
fn table(side: usize) -> Arc<Relation> {
    Arc::new(relation().renamed(RelationName::table(["l", "r"][side])))
}

/// Says that there are both tables.
fn announce(operator: &mut Box<dyn Operator>, out: &mut Memory) {
    for side in 0..2 {
        let change = SchemaChange::new(table(side), Change::CreateTable);
        block_on(operator.on_schema(InputPort(side), change, out)).unwrap();
    }
}

fn give(operator: &mut Box<dyn Operator>, side: usize, rows: &[Row], out: &mut Memory) -> Result<()> {
    let events: Vec<_> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
    block_on(operator.process(InputPort(side), batch(&table(side), &events), out))
}

fn advance(operator: &mut Box<dyn Operator>, ms: i64, out: &mut Memory) -> Option<Watermark> {
    block_on(operator.on_watermark(Watermark::EventTimeMs(ms), out)).unwrap()
}

fn snapshot(operator: &mut Box<dyn Operator>) -> State {
    block_on(operator.snapshot(Epoch(1))).unwrap()
}

/// What went out by the main port, in order; nothing is ever taken back.
fn cells(out: &Memory) -> Vec<Cells> {
    out.rows().into_iter().map(|(op, cells)| (op == 0).then_some(cells).expect("inserts only")).collect()
}
