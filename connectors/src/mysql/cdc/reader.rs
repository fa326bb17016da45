//! Ranges of a table, read at one moment whose place in the log is known.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{Checksum, Error, ErrorKind, Relation, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};
use tokio::time::Instant;

use super::end::{log_end, settled_end, snapshot_place};
use super::mark::{Gtids, LogPlace, MysqlMark, Sight};
use super::order::at_most_query;
use crate::cdc::capture::{Key, KeyRange, RowSink, Seen, Summed, TableReader};
use crate::mysql::column_type::{SOURCE_CHARSET, SOURCE_TYPE};
use crate::mysql::connection::Explain;
use crate::mysql::row_text;
use crate::mysql::rows::{Rows, ZeroDates, beside, order_by, quoted, select_list, table_name};
use crate::mysql::server::Server;
use crate::mysql::table;
use crate::row_checksum::CellText;
use crate::sql_input::{ReadLimits, Side};

/// How long the tables may lag behind the log that was streamed.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Rows handed on at a time.
const BLOCK: ReadLimits = ReadLimits { rows: 8_192, bytes: 4 << 20 };
/// "Table definition has changed, please retry transaction": DDL behind the snapshot.
const TABLE_CHANGED: u16 = 1412;
/// Keys asked about in one statement.
const KEYS_PER_QUERY: usize = 256;

/// Reads ranges of tables; see [`TableReader`].
pub(crate) struct MysqlReader {
    connection: Conn,
    server: Arc<Server>,
    zero_dates: ZeroDates,
}

/// What is asked for of a range.
enum Wanted<'a> {
    Rows(&'a mut dyn RowSink),
    /// The sum of the rows whose texts are made so.
    Checksum(&'a [String], &'a mut Checksum),
}

/// A snapshot that was begun, and what it shows.
struct Moment {
    yes_before: LogPlace,
    no_from: LogPlace,
    committed: String,
    maybe: String,
}

impl MysqlReader {
    pub(crate) fn new(connection: Conn, server: Arc<Server>, zero_dates: ZeroDates) -> Self {
        Self { connection, server, zero_dates }
    }

    /// Begins a snapshot that shows everything before `streamed`.
    async fn begin(&mut self, streamed: &MysqlMark) -> Result<Moment> {
        let deadline = Instant::now() + CATCH_UP_TIMEOUT;
        self.end_snapshot().await?;
        loop {
            let moment =
                if self.server.is_mariadb() { self.begin_mariadb().await? } else { self.begin_mysql().await? };
            if self.shows(&moment, streamed).await? {
                return Ok(moment);
            }
            self.end_snapshot().await?;
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the tables do not show what the binary log holds up to {streamed}: a replica that lags behind?"
                    ),
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Snapshot and log position are fixed together.
    async fn begin_mariadb(&mut self) -> Result<Moment> {
        let place = snapshot_place(&mut self.connection).await?;
        let maybe: Option<String> =
            self.connection.query_first("SELECT @@GLOBAL.gtid_binlog_pos").await.doing(|| doing().to_owned())?;
        Ok(Moment {
            yes_before: place.clone(),
            no_from: place,
            committed: String::new(),
            maybe: maybe.unwrap_or_default(),
        })
    }

    /// The snapshot lies somewhere between two places; see `end` for why the first one must be settled.
    async fn begin_mysql(&mut self) -> Result<Moment> {
        let low = settled_end(&mut self.connection, &self.server).await?;
        for statement in
            ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"]
        {
            self.connection.query_drop(statement).await.doing(|| doing().to_owned())?;
        }
        fail::fail_point!("snap.select");
        if !self.server.has_gtids() {
            let no_from = log_end(&mut self.connection, &self.server).await?;
            return Ok(Moment { yes_before: low.place, no_from, committed: String::new(), maybe: String::new() });
        }
        let high = settled_end(&mut self.connection, &self.server).await?;
        Ok(Moment { yes_before: low.place, no_from: high.place, committed: low.gtids, maybe: high.gtids })
    }

    async fn shows(&mut self, moment: &Moment, streamed: &MysqlMark) -> Result<bool> {
        if streamed.server == self.server.identity() {
            return Ok(moment.yes_before >= streamed.place);
        }
        if streamed.gtids.is_empty() {
            return Err(Error::new(ErrorKind::Unavailable, "the tables are read from another server than the log")
                .with_setting("url")
                .with_hint("name one server in `url`, not a balancer in front of several, or turn GTIDs on"));
        }
        let committed = if self.server.is_mariadb() {
            let place = &moment.yes_before;
            let gtids: Option<Option<String>> = self
                .connection
                .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (&place.file, place.position))
                .await
                .doing(|| doing().to_owned())?;
            gtids.flatten().unwrap_or_default()
        } else {
            moment.committed.clone()
        };
        Ok(Gtids::parse(&streamed.gtids)?.is_subset(&Gtids::parse(&committed)?))
    }

    async fn end_snapshot(&mut self) -> Result<()> {
        self.connection.query_drop("ROLLBACK").await.doing(|| doing().to_owned())
    }

    async fn read(&mut self, table: &Arc<Relation>, range: &KeyRange, wanted: &mut Wanted<'_>) -> Result<()> {
        let mut params = Vec::new();
        let mut conditions = Vec::new();
        for (side, edge) in [(Side::Above, &range.after), (Side::UpTo, &range.up_to)] {
            if let Some(edge) = edge {
                conditions.push(beside(table, table.key(), side, edge, &mut params)?);
            }
        }
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let from = format!("FROM {}{condition}", table_name(table.name()));
        let sink = match wanted {
            Wanted::Rows(sink) => sink,
            Wanted::Checksum(cells, checksum) => {
                let (sql, doing) = (row_text::query(cells, &from), || format!("summing {} up", table.name()));
                let params = if params.is_empty() { Params::Empty } else { Params::Positional(params) };
                **checksum = row_text::answer(self.connection.exec_first(sql, params).await.doing(doing)?)?;
                return Ok(());
            }
        };
        let sql = format!("SELECT {} {from}", select_list(table));
        let mut rows = Rows::start(&mut self.connection, &sql, params, table, self.zero_dates).await?;
        while let Some(block) = rows.next(&mut self.connection, BLOCK).await? {
            fail::fail_point!("snap.mid_rows");
            for bad in block.refused {
                sink.reject(bad)?;
            }
            if block.rows.num_rows() > 0 {
                sink.take(block.rows).await?;
            }
        }
        Ok(())
    }

    async fn read_at_one_moment(
        &mut self,
        table: &Arc<Relation>,
        range: &KeyRange,
        streamed: &MysqlMark,
        wanted: &mut Wanted<'_>,
    ) -> Result<Moment> {
        let moment = self.begin(streamed).await?;
        if let Err(error) = self.read(table, range, wanted).await {
            let is_changed = error.to_string().ends_with(&format!("(error {TABLE_CHANGED})"));
            return Err(if is_changed { changed(table) } else { error });
        }
        if self.check_columns(table).await? {
            return Ok(moment);
        }
        // A table without transactions is read as it is while it is read, whatever the snapshot.
        Ok(Moment { no_from: log_end(&mut self.connection, &self.server).await?, ..moment })
    }

    /// Reads a range in a snapshot, and says what that shows.
    async fn chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &MysqlMark,
        mut wanted: Wanted<'_>,
    ) -> Result<Seen<MysqlMark, Sight>> {
        let table = Arc::new(table.clone());
        let moment = self.read_at_one_moment(&table, range, streamed, &mut wanted).await;
        // Also after an error: the open transaction would keep DDL on the table waiting.
        let ended = self.end_snapshot().await;
        let moment = moment?;
        ended?;
        fail::fail_point!("snap.high");
        let server = self.server.identity();
        let high = MysqlMark {
            server: server.clone(),
            place: moment.no_from.clone(),
            gtids: moment.maybe.clone(),
            prepared: Vec::new(),
        };
        let sight = Sight {
            server,
            yes_before: moment.yes_before,
            no_from: moment.no_from,
            committed: moment.committed,
            maybe: moment.maybe,
        };
        Ok(Seen { sight, high })
    }

    /// Compares the table with what it was asked as. No DDL can come in between: our transaction has read the table.
    async fn check_columns(&mut self, table: &Relation) -> Result<bool> {
        let found = table::describe(&mut self.connection, std::slice::from_ref(table.name()), self.zero_dates).await?;
        let Some(found) = found.first() else { return Err(changed(table)) };
        let (have, wanted) = (found.relation.columns().fields(), table.columns().fields());
        let same = have.len() == wanted.len()
            && have.iter().zip(wanted).all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if same { Ok(found.is_transactional()) } else { Err(changed(table)) }
    }
}

fn doing() -> &'static str {
    "beginning a snapshot"
}

fn changed(table: &Relation) -> Error {
    Error::new(ErrorKind::Schema, format!("{} is gone, or has other columns by now", table.name()))
}

#[async_trait]
impl TableReader for MysqlReader {
    type Mark = MysqlMark;
    type Sight = Sight;

    async fn next_edge(&mut self, table: &Relation, after: Option<&Key>, rows: usize) -> Result<Option<Key>> {
        let mut params = Vec::new();
        let condition = match after {
            None => String::new(),
            Some(edge) => format!(" WHERE {}", beside(table, table.key(), Side::Above, edge, &mut params)?),
        };
        let key = Arc::new(key_relation(table)?);
        let sql = format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT 1 OFFSET {}",
            select_list(&key),
            table_name(table.name()),
            order_by(table, table.key()),
            rows.max(1) - 1
        );
        let mut found = Rows::start(&mut self.connection, &sql, params, &key, self.zero_dates).await?;
        let mut edge = None;
        while let Some(block) = found.next(&mut self.connection, BLOCK).await? {
            block.complete(&key)?;
            edge = Some(block.rows);
        }
        Ok(edge)
    }

    async fn read_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &MysqlMark,
        rows: &mut dyn RowSink,
    ) -> Result<Seen<MysqlMark, Sight>> {
        self.chunk(table, range, streamed, Wanted::Rows(rows)).await
    }

    async fn sum_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &MysqlMark,
    ) -> Result<Option<Summed<MysqlMark, Sight>>> {
        let Some(cells) = cells(table) else { return Ok(None) };
        let mut checksum = Checksum::default();
        let seen = self.chunk(table, range, streamed, Wanted::Checksum(&cells, &mut checksum)).await?;
        Ok(Some((seen, checksum)))
    }

    async fn is_at_most(&mut self, table: &Relation, keys: &RecordBatch, edge: &Key) -> Result<Vec<bool>> {
        let mut verdicts = Vec::with_capacity(keys.num_rows());
        for from in (0..keys.num_rows()).step_by(KEYS_PER_QUERY) {
            let some = keys.slice(from, KEYS_PER_QUERY.min(keys.num_rows() - from));
            let (sql, params) = at_most_query(table, &some, edge)?;
            let row: Option<Row> = self
                .connection
                .exec_first(sql, params)
                .await
                .doing(|| format!("comparing keys of {}", table.name()))?;
            let row = row.ok_or_else(|| Error::bug("a comparison of keys gave no row"))?;
            verdicts.extend(row.unwrap().iter().map(|cell| matches!(cell, Value::Int(1) | Value::UInt(1))));
        }
        Ok(verdicts)
    }
}

/// What makes the text of a row, column by column; `None` where this server's texts are not those of others.
fn cells(table: &Relation) -> Option<Vec<String>> {
    let cell = |field: &FieldRef| {
        let stored = field.metadata().get(SOURCE_TYPE)?;
        let is_utf8mb4 = field.metadata().get(SOURCE_CHARSET).is_some_and(|charset| charset == "utf8mb4");
        row_text::cell(&quoted(field.name()), CellText::of(field)?, stored, is_utf8mb4)
    };
    table.columns().fields().iter().map(cell).collect()
}

/// The table's key columns as a relation of their own.
fn key_relation(table: &Relation) -> Result<Relation> {
    let fields: Vec<_> = table.key().iter().map(|&column| table.columns().fields()[column].clone()).collect();
    Relation::new(table.name().clone(), Arc::new(Schema::new(fields)), &table.key_names(), table.version())
}
