//! Mends a target: what is missing or different is written again, what is extra is removed, in one epoch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aqueduct_engine::plan::{Plan, PlannedTask, StoreKind};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Build, Claim, Cut, Error, ErrorKind, Op, Relation, RelationName, Result, SinkContext,
    SinkInput, Token,
};
use arrow::array::{RecordBatch, UInt8Array};
use arrow::compute::concat_batches;

use super::collect::{Table, Tables, lock};
use super::compare::{DifferingKey, read_target};
use super::digest::Digester;
use super::pipeline::{self, Part};
use super::report::Difference;
use super::target::Target;

/// Mends one target. The flow must be paused or not running: the repair takes its place as the only writer.
///
/// # Errors
/// `State` when a daemon holds the checkpoint folder; `Config` when the target is not transactional.
pub(super) fn repair(
    host: &Host,
    (plan, part): (&Plan, &Part),
    task: &PlannedTask,
    mut target: Target,
    differences: &BTreeMap<RelationName, Vec<DifferingKey>>,
) -> Result<()> {
    if !task.properties.transactional {
        return Err(Error::config(format!("{} cannot be repaired in place", task.entry.name))
            .with_task(&task.id)
            .with_hint("empty the target and run `aqueduct checkpoint reset`, then run the flow again"));
    }
    let token = take_over(plan)?;
    let expected = wanted(&target, differences, |_, what| what != Difference::Extra)?;
    pipeline::run(host, part, target.positions(), &expected)?;
    // Without a key a row is not replaced by one that is written: all equal rows go, then the right number comes.
    let goes = |relation: &Relation, what| {
        what == Difference::Extra || what == Difference::Different && relation.key().is_empty()
    };
    let extra = wanted(&target, differences, goes)?;
    read_target(host, &mut target, &extra)?;
    let cut = target.cut.clone();
    drop(target);
    let mut batches = Vec::new();
    let relations: Vec<Arc<Relation>> =
        lock(&expected).values().map(|table| table.digester.relation().clone()).collect();
    for relation in &relations {
        batches.extend(batch(relation, &extra, Op::Delete)?);
        batches.extend(batch(relation, &expected, Op::Insert)?);
    }
    host.wait_on(write(plan, task, token, cut, batches))
}

/// Takes the next token under the checkpoint folder's lock.
fn take_over(plan: &Plan) -> Result<Token> {
    let kind = match plan.checkpoint.store {
        StoreKind::Sled => aqueduct_checkpoint::StoreKind::Sled,
        StoreKind::Redb => aqueduct_checkpoint::StoreKind::Redb,
    };
    let opened = aqueduct_checkpoint::open(&plan.state_dir, kind)
        .map_err(|error| error.with_hint("stop the flow, or let it run where verify can pause it, before a repair"))?;
    let mut store = opened.store;
    store.next_token()
}

/// Tables that keep the rows of differing keys of some kind.
fn wanted(
    target: &Target,
    differences: &BTreeMap<RelationName, Vec<DifferingKey>>,
    pick: impl Fn(&Relation, Difference) -> bool,
) -> Result<Tables> {
    let mut tables = BTreeMap::new();
    for relation in &target.tables {
        let mut table = Table::new(Digester::new(relation.clone())?);
        let keys = differences.get(relation.name()).into_iter().flatten();
        table.wanted_keys = keys.filter(|key| pick(relation, key.what)).map(|key| (key.key, ())).collect();
        tables.insert(relation.name().clone(), table);
    }
    Ok(Arc::new(Mutex::new(tables)))
}

fn batch(relation: &Arc<Relation>, tables: &Tables, op: Op) -> Result<Option<Batch>> {
    let tables = lock(tables);
    let rows: &[RecordBatch] = tables.get(relation.name()).map(|table| table.rows.as_slice()).unwrap_or_default();
    if rows.is_empty() {
        return Ok(None);
    }
    let rows = concat_batches(relation.columns(), rows)
        .map_err(|error| Error::bug("rows of one table cannot be put together").with_source(error))?;
    let ops = UInt8Array::from(vec![op as u8; rows.num_rows()]);
    Batch::changes(relation.clone(), rows, ops).map(Some)
}

/// Writes the repair as the target's present epoch once more: the ledger ends where it was.
async fn write(plan: &Plan, task: &PlannedTask, token: Token, cut: Cut, batches: Vec<Batch>) -> Result<()> {
    let Build::Sink { build, .. } = task.entry.build else { return Err(Error::bug("not a sink")) };
    let mut sink = build(&task.config)?;
    let context = SinkContext { flow: plan.flow.clone(), task: task.id.clone(), state_dir: None };
    sink.open(&context).await?;
    // The same cut: a crash before the rows are written leaves the target where it was.
    sink.claim(&Claim { token, cut: cut.clone() }).await?;
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    for batch in batches {
        sink.write(SinkInput::Batch(batch), &mut bad).await?;
    }
    if sink.flush(&cut, &mut bad).await?.is_some() {
        return Err(Error::new(ErrorKind::Bug, "a transactional sink has prepared a commit"));
    }
    sink.close().await
}
