//! The [`System`] of PostgreSQL.

mod prepare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRows, Error, ErrorKind, Relation, RelationName, Result};
use async_trait::async_trait;

use super::catalog::{table_id, with_table_id};
use super::chunk::{ChunkReader, Origins};
use super::feed::Feed;
use super::log::{Item, Log};
use super::mark::{Lsn, PostgresMark};
use super::preflight::{identity_fault, look, wanted};
use super::publication::{self, Publication, Published};
use super::retention::{END, Retention, snapshot, write_out};
use super::settings::Settings;
use super::sight::{Sight, Unsettled};
use super::slot;
use super::spool::Spool;
use crate::cdc::capture::{LogBudget, Shown, System, TableInfo};
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::copy::quoted;
use crate::postgres::error::failed;
use crate::postgres::server::Server;
use crate::postgres::table::Table;

/// First versions that send transactions while they run, and logical messages.
const STREAMS_SINCE: u32 = 14;

/// See the module.
pub(crate) struct PostgresSystem {
    settings: Settings,
    connected: Option<Connected>,
    log: Option<Log>,
    origins: Origins,
    unsettled: Unsettled,
}

struct Connected {
    control: Session,
    server: Server,
    /// The publication's number.
    publication: u32,
    /// Tables that our publication does not hold, with their numbers.
    unpublished: BTreeMap<RelationName, u32>,
    /// Numbers of tables that were published when they were described last, and may be captured as they are.
    published: BTreeSet<u32>,
    retention: Retention,
}

impl PostgresSystem {
    /// A capture that is not connected.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, connected: None, log: None, origins: Origins::default(), unsettled: Unsettled::default() }
    }

    fn connected(&self) -> Result<&Connected> {
        self.connected.as_ref().ok_or_else(not_connected)
    }

    fn mark(&self, lsn: Lsn) -> Result<PostgresMark> {
        let Connected { server, publication, .. } = self.connected()?;
        Ok(PostgresMark { lsn, log: server.log.clone(), slot: self.settings.slot(), publication: *publication })
    }

    /// Chunks that are read from now on show every transaction that is running now: it may have written to a table before
    /// that was published, in which case the log does not have those rows; or it is one that an earlier run streamed.
    async fn wait_for_the_running(&self) -> Result<()> {
        self.unsettled.add(snapshot(&self.connected()?.control).await?.running());
        Ok(())
    }

    /// The relation of a table as its publication sends it; `None` when it does not.
    fn published(table: &Table, publication: Option<&Publication>) -> Result<Option<(Arc<Relation>, Published)>> {
        let whole = with_table_id(&table.relation, table.oid)?;
        let Some(users) = publication.filter(|publication| !publication.ours) else {
            return Ok(Some((whole, Published::default())));
        };
        let Some(published) = users.tables.get(table.relation.name()) else {
            tracing::warn!(table = %table.relation.name(), publication = users.name, "the publication does not hold a table");
            return Ok(None);
        };
        let relation = match &published.columns {
            None => whole,
            Some(columns) => Arc::new(only(&whole, columns)?),
        };
        Ok(Some((relation, published.clone())))
    }

    fn command(&self, from: Lsn, streams: bool) -> Result<String> {
        let server = &self.connected()?.server;
        let mut options = vec![
            format!("proto_version '{}'", if streams { 2 } else { 1 }),
            format!("publication_names '{}'", quoted(&self.settings.publication()).replace('\'', "''")),
        ];
        if server.major() >= STREAMS_SINCE {
            options.push("messages 'true'".to_owned());
        }
        if streams {
            options.push("streaming 'on'".to_owned());
        }
        let slot = quoted(&self.settings.slot());
        Ok(format!("START_REPLICATION SLOT {slot} LOGICAL {from} ({})", options.join(", ")))
    }
}

#[async_trait]
impl System for PostgresSystem {
    type Mark = PostgresMark;
    type Sight = Sight;
    type Transaction = u32;
    type Reader = ChunkReader;

    async fn connect(&mut self) -> Result<()> {
        let control = connect(&self.settings.address, Purpose::Control).await?;
        let server = Server::ask(&control).await?;
        let looked = look(&control, &server, &self.settings).await?;
        looked.findings.check()?;
        let numbered = looked.tables.iter().map(|table| (table.relation.name().clone(), table.oid));
        let mut unpublished: BTreeMap<RelationName, u32> = numbered.collect();
        let mut tables: BTreeSet<RelationName> = unpublished.keys().cloned().collect();
        // What is captured and not published was not sent: it is published when it is read (again), not before.
        let own = looked.publication.as_ref().filter(|publication| publication.ours);
        tables.retain(|name| own.is_none_or(|own| own.tables.contains_key(name)));
        unpublished.retain(|name, _| !tables.contains(name));
        let retention = Retention::new(&self.settings);
        self.connected =
            Some(Connected { control, server, publication: 0, unpublished, published: BTreeSet::new(), retention });
        let slot = self.settings.slot();
        let makes_slot = self.settings.slot.is_none() || looked.slot.is_none();
        self.publish(looked.publication.as_ref(), &tables, makes_slot.then_some(slot.as_str())).await?;
        let publication = self.publication().await?.map_or(0, |publication| publication.oid);
        let connected = self.connected.as_mut().ok_or_else(not_connected)?;
        connected.publication = publication;
        self.wait_for_the_running().await
    }

    async fn tables(&mut self) -> Result<Vec<TableInfo>> {
        let publication = self.publication().await?;
        let (mut tables, mut numbers) = (Vec::new(), BTreeSet::new());
        for table in wanted(&self.connected()?.control, &self.settings, publication.as_ref()).await? {
            let Some((relation, published)) = Self::published(&table, publication.as_ref())? else { continue };
            self.origins.put(relation.name(), table.partitioned, published.filter);
            let is_published =
                publication.as_ref().is_some_and(|publication| publication.tables.contains_key(relation.name()));
            if is_published && identity_fault(&table).is_none() {
                numbers.insert(table.oid);
            }
            let is_ours = publication.as_ref().is_some_and(|publication| publication.ours);
            if let Some(log) = &mut self.log
                && is_ours
                && !is_published
                && log.captures(relation.name(), table.oid)
            {
                log.fail(relation.name(), left_out(relation.name()));
            }
            tables.push(TableInfo {
                relation,
                rows_estimate: table.rows_estimate,
                native_key_order: table.native_key_order,
            });
        }
        self.connected.as_mut().ok_or_else(not_connected)?.published = numbers;
        tables.sort_by(|a, b| a.relation.name().cmp(b.relation.name()));
        Ok(tables)
    }

    async fn end_of_log(&mut self) -> Result<PostgresMark> {
        if self.log.is_none() {
            self.slot_to_begin_with().await?;
            self.publish_all().await?;
            self.connected.as_mut().ok_or_else(not_connected)?.unpublished.clear();
        }
        let Connected { control, server, .. } = self.connected()?;
        let row = control.query_one(END, &[]).await.map_err(|error| failed("cannot find the log's end", error))?;
        let end: Lsn = row.get::<_, &str>(0).parse()?;
        if !server.standby {
            write_out(control, end).await?;
        }
        self.mark(end)
    }

    async fn start(&mut self, from: &PostgresMark, tables: &[Arc<Relation>]) -> Result<()> {
        if let Some(log) = self.log.take() {
            log.close().await?;
        }
        let Connected { control, server, .. } = self.connected()?;
        self.check_position(from).await?;
        let spool = match &self.settings.spool {
            Some(folder) if server.major() >= STREAMS_SINCE => Some(Spool::open(folder)?),
            _ => None,
        };
        let row = control.query_one(SENDER_TIMEOUT, &[]).await;
        let limit_ms: i64 = row.map_err(|error| failed("cannot read wal_sender_timeout", error))?.get(0);
        let limit = u64::try_from(limit_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        let command = self.command(from.lsn, spool.is_some())?;
        let feed = match Feed::start(&self.settings.address, &command, from.lsn, limit).await {
            Ok(feed) => feed,
            Err(error) => {
                // Between the look and the start the slot may have been given up, dropped, or taken.
                self.check_position(from).await?;
                return Err(error);
            }
        };
        let unsettled = self.unsettled.clone();
        let mut log = Log::new(feed, &self.settings, from.clone(), spool, unsettled, self.origins.clone());
        for relation in tables {
            let unpublished = self.connected()?.unpublished.get(relation.name());
            // One that was made anew under its name is found to be another one by whoever looks for tables.
            let is_the_same = |oid: &u32| table_id(relation).is_none_or(|before| before == *oid);
            if unpublished.is_some_and(is_the_same) {
                log.fail(relation.name(), left_out(relation.name()));
            } else {
                log.capture(relation.clone(), control).await?;
            }
        }
        self.log = Some(log);
        Ok(())
    }

    async fn add_table(&mut self, relation: Arc<Relation>) -> Result<()> {
        if !table_id(&relation).is_some_and(|oid| self.connected.as_ref().is_some_and(|c| c.published.contains(&oid))) {
            let published = self.publish_new(relation.name()).await?;
            self.connected.as_mut().ok_or_else(not_connected)?.published.extend(published);
        }
        let control = &self.connected.as_ref().ok_or_else(not_connected)?.control;
        self.log.as_mut().ok_or_else(not_started)?.capture(relation.clone(), control).await?;
        self.connected.as_mut().ok_or_else(not_connected)?.unpublished.remove(relation.name());
        Ok(())
    }

    async fn next(&mut self, budget: &LogBudget<PostgresMark>, bad: &mut BadRows) -> Result<Item> {
        let connected = self.connected.as_mut().ok_or_else(not_connected)?;
        connected.retention.tend(&connected.control, connected.server.standby, &self.unsettled).await?;
        self.log.as_mut().ok_or_else(not_started)?.next(budget, bad, &connected.control).await
    }

    fn reached(&self, stream: &PostgresMark, mark: &PostgresMark) -> bool {
        stream.lsn >= mark.lsn
    }

    fn shown(&self, sight: &Sight, transaction: &u32) -> Shown {
        if sight.shows(*transaction) { Shown::Yes } else { Shown::No }
    }

    async fn reader(&mut self) -> Result<ChunkReader> {
        let standby = self.connected()?.server.standby;
        let log = self.mark(Lsn::default())?;
        ChunkReader::open(&self.settings, log, standby, self.origins.clone(), self.unsettled.clone()).await
    }

    async fn durable(&mut self, mark: &PostgresMark) -> Result<()> {
        if let Some(log) = &self.log {
            log.durable(mark.lsn);
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(log) = self.log.take() {
            log.close().await?;
        }
        if let Some(connected) = self.connected.take() {
            connected.control.close().await;
        }
        Ok(())
    }
}

/// Drops the slot and the publication of a capture, where we made them. What was done, in words.
///
/// # Errors
/// `Throttled` while the slot is in use; those of the connection.
pub(crate) async fn remove_capture(settings: &Settings) -> Result<Vec<String>> {
    let control = connect(&settings.address, Purpose::Control).await?;
    let mut done = Vec::new();
    let own = publication::find(&control, &settings.publication()).await?.filter(|publication| publication.ours);
    let noted = own.as_ref().and_then(|own| own.slot.clone());
    if let Some(slot) = slot::find(&control, &settings.slot()).await? {
        if settings.slot.is_none() || noted.as_ref() == Some(&slot.name) {
            slot::drop(&control, &slot.name).await?;
            done.push(format!("dropped the replication slot {}", slot.name));
        } else {
            done.push(format!("left the replication slot {}, which is not ours", slot.name));
        }
    }
    if let Some(own) = own {
        publication::drop(&control, &own.name).await?;
        done.push(format!("dropped the publication {}", own.name));
    }
    control.close().await;
    Ok(done)
}

/// The columns of a publication's list.
fn only(relation: &Relation, columns: &BTreeSet<String>) -> Result<Relation> {
    let fields = relation.columns().fields().iter().enumerate();
    let kept: BTreeMap<usize, _> = fields.filter(|(_, field)| columns.contains(field.name())).collect();
    let schema = relation.columns().project(&kept.keys().copied().collect::<Vec<_>>());
    let schema = schema.map_err(|error| Error::bug("a column list is not of its table").with_source(error))?;
    let origins: Vec<Option<usize>> = kept.keys().map(|i| Some(*i)).collect();
    Ok(relation.derive(Arc::new(schema), &origins))
}

fn left_out(name: &RelationName) -> Error {
    Error::new(
        ErrorKind::LostPosition,
        format!("the publication does not hold {name}: its changes since it was taken out were not sent"),
    )
    .with_setting("on_lost_position")
    .with_hint("have the table read again, and leave our publication as it is")
}

fn not_connected() -> Error {
    Error::new(ErrorKind::Bug, "the capture is used before it is connected")
}

fn not_started() -> Error {
    Error::new(ErrorKind::Bug, "the capture is used before it is started")
}

const SENDER_TIMEOUT: &str = "
SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
