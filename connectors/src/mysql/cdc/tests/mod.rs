//! Against real servers.

mod chunks;
mod ddl;
mod doctor;
mod images;
mod login;
mod lost;
mod rows;
mod texts;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRow, BadRowPolicy, BadRows, Batch, Op, Relation, Result, Secret};
use aqueduct_test_servers::{Database, Kind, Server, shared};

use super::mark::{MysqlMark, TransactionId};
use super::{Cascade, MysqlSettings, MysqlSystem};
use crate::cdc::capture::{LogBudget, LogItem, System};
use crate::mysql::address::Address;
use crate::mysql::rows::ZeroDates;
use crate::mysql::tls::Tls;

/// The systems that this crate captures from.
pub(super) const KINDS: [Kind; 2] = [Kind::MariaDb, Kind::MySql8];

pub(super) type Item = LogItem<MysqlMark, TransactionId>;

/// Settings for tables at a URL.
pub(super) fn settings(url: &str, tables: &[&str]) -> MysqlSettings {
    MysqlSettings {
        address: Address::parse(&Secret::new(url), Tls::default()).expect("a URL"),
        tables: tables.iter().map(|&table| table.to_owned()).collect(),
        zero_dates: ZeroDates::Null,
        cascade: Cascade::Refuse,
        server_id: None,
        heartbeat: Duration::from_secs(10),
    }
}

/// A system that captures all tables of a database.
pub(super) fn system(database: &Database<'_>) -> MysqlSystem {
    MysqlSystem::new(settings(&database.url("cdc"), &[&format!("{}.*", database.name())]))
}

/// Budgets as the capture gives them.
pub(super) fn budget(single: bool) -> LogBudget<MysqlMark> {
    LogBudget { max_rows: 8_192, max_bytes: 8 << 20, max_wait: Duration::from_millis(100), single, until: None }
}

/// A system that streams from the log's end, and the mark it began at.
pub(super) async fn streaming(database: &Database<'_>) -> (MysqlSystem, MysqlMark) {
    let mut system = system(database);
    system.connect().await.unwrap_or_else(|error| panic!("{error:?}"));
    let relations = relations(&mut system).await;
    let mark = system.end_of_log().await.expect("the end of the log");
    system.start(&mark, &relations).await.unwrap_or_else(|error| panic!("{error:?}"));
    (system, mark)
}

pub(super) async fn relations(system: &mut MysqlSystem) -> Vec<Arc<Relation>> {
    system.tables().await.expect("tables").into_iter().map(|table| table.relation).collect()
}

pub(super) fn bad_rows() -> BadRows {
    BadRows::new(BadRowPolicy::Fail, 1)
}

/// Reads on up to a mark; panics on errors.
pub(super) async fn read_to(system: &mut MysqlSystem, mark: &MysqlMark, single: bool) -> Vec<Item> {
    try_read_to(system, mark, single).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Reads on up to a mark.
pub(super) async fn try_read_to(system: &mut MysqlSystem, mark: &MysqlMark, single: bool) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut bad = bad_rows();
    loop {
        let item = system.next(&budget(single), &mut bad).await?;
        let boundary = match &item {
            LogItem::Rows { boundary, .. } | LogItem::Schema { boundary, .. } | LogItem::Failed { boundary, .. } => {
                boundary.clone()
            }
            LogItem::Quiet(mark) => Some(mark.clone()),
        };
        if !matches!(item, LogItem::Quiet(_)) {
            items.push(item);
        }
        if boundary.is_some_and(|boundary| system.reached(&boundary, mark)) {
            return Ok(items);
        }
    }
}

/// Reads up to the log's end as it is now.
pub(super) async fn read_all(system: &mut MysqlSystem, single: bool) -> Vec<Item> {
    let end = system.end_of_log().await.expect("the end of the log");
    read_to(system, &end, single).await
}

/// One row: `+t{"id":"1"}`, with `-` for a delete, `<` and `>` for the halves of an update.
pub(super) fn row_text(batch: &Batch, row: usize) -> String {
    let sign = match batch.op(row) {
        Op::Insert => '+',
        Op::UpdateBefore => '<',
        Op::UpdateAfter => '>',
        Op::Delete => '-',
    };
    let mut cells = BadRow::of_batch(batch, row, "").row;
    if let Some(cells) = cells.as_object_mut() {
        for column in 0..batch.rows().num_columns() {
            if batch.present(column).is_some_and(|present| !present.value(row)) {
                cells.shift_remove(batch.relation().columns().field(column).name());
            }
        }
    }
    let cells: Vec<String> =
        cells.as_object().into_iter().flatten().map(|(_, cell)| cell.as_str().unwrap_or("NULL").to_owned()).collect();
    format!("{sign}{} {}", batch.relation().name().table, cells.join("|"))
}

/// All rows of the items, in order; other items by their kind.
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
                texts.push(format!("{:?} {}", change.change, change.relation.name().table));
            }
            LogItem::Failed { table, error, .. } => texts.push(format!("failed {table}: {error}")),
            LogItem::Quiet(_) => {}
        }
    }
    texts
}

/// One of the shared servers, told in panics.
pub(super) fn server(kind: Kind) -> &'static Server {
    eprintln!("on {}", kind.name());
    shared(kind)
}
