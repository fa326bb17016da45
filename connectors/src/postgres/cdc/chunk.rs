//! Reads ranges of tables, each in one snapshot that is compared with the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aqueduct_model::{Checksum, Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::mark::{Lsn, PostgresMark};
use super::retention::write_out;
use super::settings::Settings;
use super::sight::{Sight, Unsettled};
use crate::cdc::capture::{Key, KeyRange, RowSink, Seen, Summed, TableReader};
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::copy::{CopyRows, Select, beside, literals, order_by, read_rows, table_name};
use crate::postgres::error::failed;
use crate::postgres::row_text;
use crate::sql_input::{ReadLimits, Side};

/// What is read of a chunk before it is handed on.
const BLOCK: ReadLimits = ReadLimits { rows: 8_192, bytes: 8 << 20 };
/// How often a snapshot is taken again while it does not show what was streamed.
const RETRY: Duration = Duration::from_millis(5);
/// After so long of that, the log says what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a captured table's rows are read from: what its publication sends of it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The table's name; ONLY where the rows of child tables are not its own.
    from: String,
    /// The publication's row filter.
    filter: Option<String>,
}

/// The origins of the captured tables, shared by all readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Arc<Mutex<BTreeMap<RelationName, Origin>>>);

impl Origins {
    /// Notes a table.
    pub(crate) fn put(&self, name: &RelationName, partitioned: bool, filter: Option<String>) {
        let only = if partitioned { "" } else { "ONLY " };
        let origin = Origin { from: format!("{only}{}", table_name(name)), filter };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), origin);
    }

    /// Notes that another table has the name: its publication's row filter, if it has one, is that of the name.
    pub(crate) fn replace(&self, name: &RelationName, partitioned: bool) {
        let filter = self.get(name).ok().and_then(|origin| origin.filter);
        self.put(name, partitioned, filter);
    }

    /// Notes that a table has another name.
    pub(crate) fn rename(&self, from: &RelationName, to: &RelationName) {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.get(from).cloned() {
            let only = if origin.from.starts_with("ONLY ") { "ONLY " } else { "" };
            origins.insert(to.clone(), Origin { from: format!("{only}{}", table_name(to)), ..origin });
        }
    }

    fn get(&self, name: &RelationName) -> Result<Origin> {
        let origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        origins.get(name).cloned().ok_or_else(|| Error::bug(format!("{name} is read but was not looked up")))
    }
}

impl Origin {
    /// The WHERE clause of a range; empty for all rows.
    fn condition(&self, table: &Relation, range: &KeyRange) -> Result<String> {
        let mut conditions: Vec<String> = self.filter.iter().map(|filter| format!("({filter})")).collect();
        for (side, edge) in [(Side::Above, &range.after), (Side::UpTo, &range.up_to)] {
            if let Some(edge) = edge {
                conditions.push(beside(table, table.key(), side, edge)?);
            }
        }
        Ok(if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) })
    }
}

/// A session of its own beside the stream.
pub(crate) struct ChunkReader {
    session: Session,
    /// Writes a message into the log; `None` on a standby, where that is not possible.
    nudge: Option<Session>,
    settings: Settings,
    /// The log that is read.
    log: PostgresMark,
    origins: Origins,
    unsettled: Unsettled,
}

impl ChunkReader {
    /// Connects.
    pub(crate) async fn open(
        settings: &Settings,
        log: PostgresMark,
        standby: bool,
        origins: Origins,
        unsettled: Unsettled,
    ) -> Result<Self> {
        let session = connect(&settings.address, Purpose::Capture).await?;
        let nudge = if standby { None } else { Some(connect(&settings.address, Purpose::Control).await?) };
        Ok(Self { session, nudge, settings: settings.clone(), log, origins, unsettled })
    }

    /// Begins a transaction whose snapshot shows everything that was streamed, and returns it with the place in the log
    /// that it was taken at.
    async fn begin(&self) -> Result<(Sight, Lsn)> {
        let doing = |error| failed("cannot take a snapshot", error);
        let begun = Instant::now();
        let mut told = false;
        loop {
            self.session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(doing)?;
            let row = self.session.query_one(LOOK, &[]).await.map_err(doing)?;
            let sight = Sight::parse(row.get("snapshot"))?;
            let hidden = self.unsettled.hidden(&sight);
            if hidden == 0 {
                return Ok((sight, row.get::<_, &str>("high").parse()?));
            }
            self.session.batch_execute("ROLLBACK").await.map_err(doing)?;
            if !told && begun.elapsed() > PATIENCE {
                told = true;
                tracing::warn!(
                    transactions = hidden,
                    fix = "end transactions that are open for long: SELECT pid, xact_start, query FROM pg_stat_activity \
                           WHERE backend_xid IS NOT NULL ORDER BY xact_start; SELECT * FROM pg_prepared_xacts",
                    "a snapshot waits for transactions that began before the table was captured, or whose commit waits"
                );
            }
            sleep(RETRY).await;
        }
    }

    async fn rows(
        &self,
        table: &Arc<Relation>,
        origin: &Origin,
        range: &KeyRange,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let select = Select::plan(&self.session, &origin.from, table).await?;
        let sql = format!("{}{}", select.sql(), origin.condition(table, range)?);
        let mut rows = CopyRows::start(&self.session, &sql, table, self.settings.unrepresentable).await?;
        while let Some(block) = rows.next(BLOCK).await? {
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

    async fn checksum(&self, table: &Relation, origin: &Origin, range: &KeyRange) -> Result<Option<Checksum>> {
        let select = Select::plan(&self.session, &origin.from, table).await?;
        let Some(sql) = select.checksum_sql(table) else { return Ok(None) };
        let sql = format!("{sql}{}", origin.condition(table, range)?);
        let doing = |error| failed(&format!("cannot sum {} up", table.name()), error);
        row_text::answer(&self.session.query_one(&sql, &[]).await.map_err(doing)?)
    }

    /// Where the chunk that was read at a place begins to be known.
    async fn seen(&self, sight: Sight, high: Lsn) -> Result<Seen<PostgresMark, Sight>> {
        if let Some(nudge) = &self.nudge {
            write_out(nudge, high).await?;
        }
        Ok(Seen { sight, high: self.log.at(high) })
    }

    /// Ends the transaction, whatever became of it.
    async fn end<T>(&self, result: Result<T>) -> Result<T> {
        let ended = self.session.batch_execute("ROLLBACK").await;
        match (result, ended) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(failed("cannot end a snapshot", error)),
            (Err(error), _) => Err(error),
        }
    }
}

#[async_trait]
impl TableReader for ChunkReader {
    type Mark = PostgresMark;
    type Sight = Sight;

    async fn next_edge(&mut self, table: &Relation, after: Option<&Key>, rows: usize) -> Result<Option<Key>> {
        let origin = self.origins.get(table.name())?;
        let keys = Arc::new(key_relation(table)?);
        let select = Select::plan(&self.session, &origin.from, &keys).await?;
        let range = KeyRange { after: after.cloned(), up_to: None };
        let sql = format!(
            "{}{} ORDER BY {} OFFSET {} LIMIT 1",
            select.sql(),
            origin.condition(table, &range)?,
            order_by(table, table.key()),
            rows.saturating_sub(1)
        );
        let mut edge = None;
        read_rows(&self.session, &sql, &keys, self.settings.unrepresentable, 1, |batch| {
            edge = Some(batch);
            Ok(())
        })
        .await?;
        Ok(edge)
    }

    async fn read_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        _streamed: &PostgresMark,
        rows: &mut dyn RowSink,
    ) -> Result<Seen<PostgresMark, Sight>> {
        let origin = self.origins.get(table.name())?;
        let table = Arc::new(table.clone());
        let (sight, high) = self.begin().await?;
        let read = self.rows(&table, &origin, range, rows).await;
        self.end(read).await?;
        self.seen(sight, high).await
    }

    async fn sum_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        _streamed: &PostgresMark,
    ) -> Result<Option<Summed<PostgresMark, Sight>>> {
        let origin = self.origins.get(table.name())?;
        let (sight, high) = self.begin().await?;
        let summed = self.checksum(table, &origin, range).await;
        match self.end(summed).await? {
            Some(checksum) => Ok(Some((self.seen(sight, high).await?, checksum))),
            None => Ok(None),
        }
    }

    async fn is_at_most(&mut self, table: &Relation, keys: &RecordBatch, edge: &Key) -> Result<Vec<bool>> {
        if keys.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let origin = self.origins.get(table.name())?;
        let names = order_by(table, table.key());
        let mut rows = Vec::with_capacity(keys.num_rows());
        for row in 0..keys.num_rows() {
            rows.push(format!("({row}::int8,{})", literals(table, table.key(), &keys.slice(row, 1))?.join(",")));
        }
        // The union gives the literals the collations of the table's columns.
        let sql = format!(
            "SELECT \"a row\", {} AS at_most FROM (SELECT 0::int8, {names} FROM {} WHERE false UNION ALL VALUES {}) \
             AS k (\"a row\",{names}) ORDER BY \"a row\"",
            beside(table, table.key(), Side::UpTo, edge)?,
            origin.from,
            rows.join(",")
        );
        let doing = |error| failed(&format!("cannot compare keys of {}", table.name()), error);
        let answers = self.session.query(&sql, &[]).await.map_err(doing)?;
        Ok(answers.iter().map(|row| row.get::<_, Option<bool>>("at_most").unwrap_or(false)).collect())
    }
}

/// The key columns alone, in key order.
fn key_relation(table: &Relation) -> Result<Relation> {
    let columns = table
        .columns()
        .project(table.key())
        .map_err(|error| Error::bug("a key is not of its table").with_source(error))?;
    if columns.fields().is_empty() {
        return Err(Error::new(ErrorKind::Bug, format!("{} has no key to read it in ranges of", table.name())));
    }
    Relation::new(table.name().clone(), Arc::new(columns), &table.key_names(), table.version())
}

/// The snapshot first: what it shows was written before the place that is asked for behind it. On a standby everything
/// that was replayed had been received.
const LOOK: &str = "
SELECT s.snapshot::text AS snapshot,
       (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_insert_lsn() END)::text AS high
  FROM (SELECT pg_current_snapshot() AS snapshot OFFSET 0) s";
