//! Against real servers.

mod chunks;
mod ddl;
mod lost;
mod preflight;
mod resume;
mod rows;
mod slots;
mod texts;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRow, BadRowPolicy, BadRows, Batch, Op, Relation, Result};
use aqueduct_test_servers::{Database, Kind, Server, shared};

use super::log::Item;
use super::mark::PostgresMark;
use super::{PostgresSystem, Settings, remove_capture};
use crate::cdc::capture::{LogBudget, LogItem, System};
use crate::postgres::address::Address;
use crate::postgres::copy::Unrepresentable;

/// The versions that are tested.
pub(super) const KINDS: [Kind; 2] = [Kind::Postgres15, Kind::Postgres18];

/// Settings of a capture of all tables of a database.
pub(super) fn settings(database: &Database<'_>, task: &str) -> Settings {
    Settings {
        address: Address::parse(&database.url("cdc")).expect("a URL"),
        tables: vec!["public.*".to_owned()],
        flow: database.name().to_owned(),
        task: task.to_owned(),
        slot: None,
        publication: None,
        via_root: true,
        unrepresentable: Unrepresentable::Error,
        heartbeat: None,
        retained_bytes_warn: u64::MAX,
        spool: None,
    }
}

/// A capture that drops its slot when the test ends.
pub(super) struct Capture {
    pub settings: Settings,
    pub system: PostgresSystem,
    /// Where it began.
    pub begin: PostgresMark,
}

impl Capture {
    /// Streams from the log's end.
    pub(super) async fn begin(settings: Settings) -> Self {
        let mut system = PostgresSystem::new(settings.clone());
        system.connect().await.unwrap_or_else(|error| panic!("{error:?}"));
        let begin = system.end_of_log().await.unwrap_or_else(|error| panic!("{error:?}"));
        let relations = relations(&mut system).await;
        system.start(&begin, &relations).await.unwrap_or_else(|error| panic!("{error:?}"));
        Self { settings, system, begin }
    }

    /// Everything up to the log's end.
    pub(super) async fn read(&mut self) -> Vec<Item> {
        let end = self.system.end_of_log().await.expect("the end of the log");
        read_to(&mut self.system, &end, false).await
    }

    /// The same as texts: rows, changes of shape; not what only tells places.
    pub(super) async fn texts(&mut self) -> Vec<String> {
        texts(&self.read().await)
    }

    pub(super) async fn end(mut self) {
        self.system.close().await.expect("a close");
        remove_capture(&self.settings).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
}

pub(super) async fn relations(system: &mut PostgresSystem) -> Vec<Arc<Relation>> {
    let tables = system.tables().await.unwrap_or_else(|error| panic!("{error:?}"));
    tables.into_iter().map(|table| table.relation).collect()
}

pub(super) fn budget(single: bool) -> LogBudget<PostgresMark> {
    LogBudget { max_rows: 8_192, max_bytes: 8 << 20, max_wait: Duration::from_millis(100), single, until: None }
}

pub(super) fn bad_rows() -> BadRows {
    BadRows::new(BadRowPolicy::Fail, 1)
}

/// Reads on up to a mark; what is written is written out by the server within seconds.
pub(super) async fn read_to(system: &mut PostgresSystem, mark: &PostgresMark, single: bool) -> Vec<Item> {
    try_read_to(system, mark, single).await.unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) async fn try_read_to(system: &mut PostgresSystem, mark: &PostgresMark, single: bool) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut bad = bad_rows();
    loop {
        let item = system.next(&budget(single), &mut bad).await?;
        let boundary = boundary(&item).cloned();
        items.push(item);
        if boundary.is_some_and(|boundary| system.reached(&boundary, mark)) {
            return Ok(items);
        }
    }
}

pub(super) fn boundary(item: &Item) -> Option<&PostgresMark> {
    match item {
        LogItem::Rows { boundary, .. } | LogItem::Schema { boundary, .. } | LogItem::Failed { boundary, .. } => {
            boundary.as_ref()
        }
        LogItem::Quiet(mark) => Some(mark),
    }
}

pub(super) fn batches(items: &[Item]) -> impl Iterator<Item = &Batch> {
    items.iter().flat_map(|item| match item {
        LogItem::Rows { batches, .. } => batches.as_slice(),
        _ => &[],
    })
}

/// `t + 1|a`: table, op, cells; `~` for an absent cell, `-` for NULL.
pub(super) fn row_text(batch: &Batch, row: usize) -> String {
    let op = match batch.op(row) {
        Op::Insert => "+",
        Op::UpdateBefore => "<",
        Op::UpdateAfter => ">",
        Op::Delete => "-",
    };
    let shown = BadRow::of_batch(batch, row, "");
    let cells: Vec<String> = batch
        .relation()
        .columns()
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| match batch.present(column) {
            Some(mask) if !mask.value(row) => "~".to_owned(),
            _ => shown.row[field.name()].as_str().unwrap_or("-").to_owned(),
        })
        .collect();
    format!("{} {op} {}", batch.relation().name().table, cells.join("|"))
}

pub(super) fn texts(items: &[Item]) -> Vec<String> {
    let mut texts = Vec::new();
    for item in items {
        match item {
            LogItem::Rows { batches, .. } => {
                for batch in batches {
                    texts.extend((0..batch.num_rows()).map(|row| row_text(batch, row)));
                }
            }
            LogItem::Schema { change, .. } => {
                texts.push(format!("{} {:?}", change.relation.name().table, change.change));
            }
            LogItem::Failed { table, error, .. } => texts.push(format!("{} failed: {error}", table.table)),
            LogItem::Quiet(_) => {}
        }
    }
    texts
}

/// Runs a test on every version, each in its own database of a shared server.
pub(super) async fn on_all<F: AsyncFn(&Server)>(test: F) {
    for kind in KINDS {
        let server = tokio::task::spawn_blocking(move || shared(kind)).await.expect("a server");
        test(server).await;
    }
}
