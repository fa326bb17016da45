//! Sources and sinks on the pretend disk.

use std::sync::Arc;

use aqueduct_model::*;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch, UInt8Array};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;

use super::disk::{Change, Disk, Outside, changes_before};
use super::operators::{Counter, Holder};
use crate::plan::PlannedTask;
use crate::runtime::PluginFactory;

/// Makes plugins by task id: `log…` reads, `count…` counts, `hold…` holds back, `table…` is transactional, `files…` is staged.
pub(super) struct Plugins {
    pub(super) outside: Outside,
    /// A source hands out at most so many rows at once.
    pub(super) poll_rows: usize,
}

impl PluginFactory for Plugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        Ok(Box::new(Reader {
            outside: self.outside.clone(),
            name: task.id.clone(),
            next: 0,
            poll_rows: self.poll_rows,
        }))
    }

    fn operator(&self, task: &PlannedTask) -> Result<Box<dyn Operator>> {
        Ok(match task.id.starts_with("hold") {
            true => Box::new(Holder::new(self.outside.clone())),
            false => Box::new(Counter::new(self.outside.clone(), &task.id)),
        })
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Writer {
            outside: self.outside.clone(),
            name: task.id.clone(),
            staged: !task.properties.transactional,
            token: Token(0),
            previous: Epoch(0),
            found: Recorded::default(),
            open: Vec::new(),
        }))
    }
}

struct Reader {
    outside: Outside,
    name: String,
    next: usize,
    poll_rows: usize,
}

#[async_trait]
impl Source for Reader {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let next = resume.map_or(0, changes_before);
        self.outside.at("src.open", |disk| {
            let pruned = disk.logs.entry(self.name.clone()).or_default().pruned;
            if next >= pruned {
                return Ok(());
            }
            let text = format!("{} is to go on at {next}, but was told that {pruned} are safe", self.name);
            // A process that was frozen wakes and commits one more epoch, which the copy of its folder does not know. The
            // one that took over has to replay that epoch, but the source was told that it is safe: it refuses, as a
            // source must, and a person decides. Without a second process it must not happen.
            disk.refusals += 1;
            if disk.takeovers == 0 {
                disk.violation(text.clone());
            }
            Err(Error::new(ErrorKind::LostPosition, text))
        })?;
        self.next = next;
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        tokio::task::yield_now().await;
        let until = budget.until.as_ref().map_or(usize::MAX, changes_before);
        let (name, next, poll_rows) = (&self.name, self.next, self.poll_rows);
        let changes = self.outside.at("src.poll", |disk| {
            let log = disk.logs.entry(name.clone()).or_default();
            // A poll stops at a transaction's end now and then, and inside one at other times.
            let end = log.changes.len().min(until).min(next + poll_rows);
            let is_end = log.closed && budget.until.is_none() && next == log.changes.len();
            Ok((log.changes[next.min(end)..end].to_vec(), is_end))
        })?;
        let (changes, is_end) = changes;
        if changes.is_empty() {
            return Ok(if is_end { Polled::Finished } else { Polled::Idle });
        }
        let batch = batch(&self.name, self.next, &changes)?;
        self.next += changes.len();
        Ok(Polled::Batch(batch))
    }

    fn position(&self) -> Option<Position> {
        let disk = self.outside.lock();
        let boundary = self.next == 0 || disk.logs[&self.name].ends.binary_search(&self.next).is_ok();
        boundary.then(|| Position::single("", self.next.into()))
    }

    async fn on_checkpoint_durable(&mut self, _: Epoch, position: &Position) -> Result<()> {
        let safe = changes_before(position);
        self.outside.at("src.ack", |disk| {
            let behind: Vec<String> = disk
                .targets
                .iter()
                .filter(|(_, target)| {
                    let cut = target.recorded.as_ref().map(|recorded| &recorded.cut);
                    cut.and_then(|cut| cut.positions.get(&self.name)).map_or(0, changes_before) < safe
                })
                .map(|(sink, _)| format!("{} was told that {safe} changes are safe, {sink} has fewer", self.name))
                .collect();
            disk.violations.extend(behind);
            let log = disk.logs.entry(self.name.clone()).or_default();
            log.pruned = log.pruned.max(safe);
            Ok(())
        })
    }
}

pub(super) fn batch(table: &str, first: usize, changes: &[Change]) -> Result<Batch> {
    let field = |name| Field::new(name, DataType::Int64, false);
    let columns = Arc::new(Schema::new(vec![field("n"), field("key"), field("value")]));
    let relation = Arc::new(Relation::new(RelationName::table(table), columns.clone(), &["key"], 1)?);
    let rows = RecordBatch::try_new(
        columns,
        vec![
            Arc::new(Int64Array::from_iter_values((0..changes.len()).map(|i| (first + i) as i64))),
            Arc::new(Int64Array::from_iter_values(changes.iter().map(|change| change.key))),
            Arc::new(Int64Array::from_iter_values(changes.iter().map(|change| change.value))),
        ],
    )
    .map_err(|error| Error::bug("rows").with_source(error))?;
    Batch::changes(relation, rows, UInt8Array::from_iter_values(changes.iter().map(|change| change.op as u8)))
}

/// The rows of a batch: table, number in the log, change.
pub(super) fn changes_of(batch: &Batch) -> Vec<(String, i64, Change)> {
    let column = |i: usize| batch.rows().column(i).as_primitive::<Int64Type>().values().clone();
    let (n, keys, values) = (column(0), column(1), column(2));
    (0..batch.num_rows())
        .map(|i| {
            let change = Change { op: batch.op(i), key: keys[i], value: values[i] };
            (batch.relation().name().table.clone(), n[i], change)
        })
        .collect()
}

struct Writer {
    outside: Outside,
    name: String,
    staged: bool,
    token: Token,
    previous: Epoch,
    /// What the target's ledger said when it was opened.
    found: Recorded,
    open: Vec<(String, Change)>,
}

impl Writer {
    /// What a target's own conditional update does.
    fn check_token(&self, disk: &Disk) -> Result<()> {
        let recorded = disk.targets.get(&self.name).and_then(|target| target.recorded.clone()).unwrap_or_default();
        if recorded.token != self.token || (!self.staged && recorded.cut.epoch != self.previous) {
            return Err(Error::new(ErrorKind::State, "fenced"));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Writer {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        let opened = |disk: &mut Disk| Ok(disk.targets.entry(self.name.clone()).or_default().recorded.clone());
        let found = self.outside.at("sink.open", opened)?;
        self.found = found.clone().unwrap_or_default();
        Ok(found)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        (self.token, self.previous) = (claim.token, claim.cut.epoch);
        self.outside.at("sink.claim", |disk| {
            let target = disk.targets.entry(self.name.clone()).or_default();
            if target.recorded.as_ref().is_some_and(|recorded| recorded.token >= claim.token) {
                return Err(Error::new(ErrorKind::State, "fenced"));
            }
            if target.recorded.clone().unwrap_or_default() != self.found {
                return Err(Error::new(ErrorKind::Unavailable, "the target moved since it was opened"));
            }
            target.staged.retain(|(epoch, _), _| *epoch <= claim.cut.epoch.0);
            // A transactional target that is ahead keeps its epoch: the engine claims it with that very cut.
            let cut = match &target.recorded {
                Some(recorded) if self.staged => recorded.cut.clone(),
                _ => claim.cut.clone(),
            };
            target.recorded = Some(Recorded { token: claim.token, cut });
            Ok(())
        })
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        tokio::task::yield_now().await;
        self.outside.at("sink.write", |_| Ok(()))?;
        if let SinkInput::Batch(batch) = input {
            self.open.extend(changes_of(&batch).into_iter().map(|(table, _, change)| (table, change)));
        }
        Ok(())
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        let changes = std::mem::take(&mut self.open);
        if self.staged {
            self.outside.at("sink.stage", |disk| {
                let target = disk.targets.entry(self.name.clone()).or_default();
                target.staged.insert((cut.epoch.0, self.token.0), (cut.clone(), changes));
                Ok(())
            })?;
            return Ok(Some(PreparedCommit(self.token.0.into())));
        }
        self.outside.at("sink.flush", |disk| {
            self.check_token(disk)?;
            disk.apply(&self.name, &changes);
            disk.targets.entry(self.name.clone()).or_default().recorded =
                Some(Recorded { token: self.token, cut: cut.clone() });
            disk.check_target(&self.name);
            Ok(())
        })?;
        self.previous = cut.epoch;
        Ok(None)
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        let name = (epoch.0, prepared.0.as_u64().unwrap_or(0));
        self.outside.at("sink.commit", |disk| {
            self.check_token(disk)?;
            let target = disk.targets.entry(self.name.clone()).or_default();
            let Some((cut, changes)) = target.staged.remove(&name) else { return Ok(()) };
            disk.apply(&self.name, &changes);
            disk.targets.entry(self.name.clone()).or_default().recorded = Some(Recorded { token: self.token, cut });
            disk.check_target(&self.name);
            Ok(())
        })
    }
}
