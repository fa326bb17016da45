//! The system that `cdc::capture` captures from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aqueduct_model::{BadRows, Change, Error, ErrorKind, Relation, RelationName, Result, SchemaChange};
use async_trait::async_trait;
use mysql_async::Conn;
use tokio::time::Instant;

use super::end::settled_end;
use super::log::Log;
use super::mark::{MysqlMark, Sight, TransactionId};
use super::reader::MysqlReader;
use super::resume::{Resumption, oldest_file, refused, resumption};
use super::schema::{Schemas, is_captured};
use super::settings::MysqlSettings;
use super::stream::Stream;
use super::tables::Tables;
use super::wire::{Wire, WireError};
use crate::cdc::capture::{LogBudget, LogItem, Shown, System, TableInfo};
use crate::mysql::connection::{Purpose, connect, disconnect};
use crate::mysql::doctor;
use crate::mysql::server::{Kind, Server};
use crate::mysql::table;

/// Our own numbers among a server's replicas begin here, far from what people choose.
const OWN_IDS_FROM: u32 = 1 << 30;
/// Seconds the server waits for us to take what it sends: a target may hold everything up for that long.
const NET_TIMEOUT_S: u32 = 3_600;
/// Part of the log's life after which a capture that lags behind is warned about.
const LAG_WARN: f64 = 0.7;
/// Between two such warnings.
const WARN_AGAIN: Duration = Duration::from_secs(600);

/// MySQL or MariaDB; see [`System`].
pub(crate) struct MysqlSystem {
    settings: MysqlSettings,
    server_id: u32,
    control: Option<Conn>,
    server: Option<Arc<Server>>,
    stream: Option<Stream>,
    /// Tables whose rows a rollback does not take back.
    without_transactions: HashMap<RelationName, bool>,
    warned_at: Option<Instant>,
}

impl MysqlSystem {
    /// Makes the system; connects to nothing.
    pub(crate) fn new(mut settings: MysqlSettings) -> Self {
        // Not used, and the account may not be allowed to use it before it has its rights.
        settings.address.database = None;
        let own = || {
            let drawn = u32::from_le_bytes(uuid::Uuid::new_v4().into_bytes()[..4].try_into().unwrap_or_default());
            OWN_IDS_FROM | (drawn >> 1)
        };
        Self {
            server_id: settings.server_id.unwrap_or_else(own),
            settings,
            control: None,
            server: None,
            stream: None,
            without_transactions: HashMap::new(),
            warned_at: None,
        }
    }

    #[cfg(test)]
    pub(super) fn settings(&self) -> &MysqlSettings {
        &self.settings
    }

    fn connected(&mut self) -> Result<(&mut Conn, &Arc<Server>)> {
        match (&mut self.control, &self.server) {
            (Some(control), Some(server)) => Ok((control, server)),
            _ => Err(Error::bug("the system is not connected")),
        }
    }

    fn streaming(&mut self) -> Result<&mut Stream> {
        self.stream.as_mut().ok_or_else(|| Error::bug("the log was not asked for"))
    }

    fn has_transactions(&self, relation: &Relation) -> bool {
        !self.without_transactions.contains_key(relation.name())
    }

    /// What is said to the server before the log is asked for.
    fn statements(&self, server: &Server, resumption: &Resumption) -> Vec<String> {
        let period_ns = self.settings.heartbeat.as_nanos();
        let mut statements = vec![
            format!("SET @master_heartbeat_period={period_ns}, @source_heartbeat_period={period_ns}"),
            "SET @master_binlog_checksum=@@global.binlog_checksum, @source_binlog_checksum=@@global.binlog_checksum"
                .to_owned(),
            format!("SET SESSION net_read_timeout={NET_TIMEOUT_S}, net_write_timeout={NET_TIMEOUT_S}"),
        ];
        if server.kind == Kind::MariaDb {
            // 4: GTIDs are understood.
            statements.push("SET @mariadb_slave_capability=4".to_owned());
            if resumption.from == super::wire::DumpFrom::ConnectState {
                statements.push(format!("SET @slave_connect_state='{}'", resumption.connect_state));
                statements.push("SET @slave_gtid_strict_mode=1, @slave_gtid_ignore_duplicates=0".to_owned());
            }
        }
        statements
    }

    /// Asks the server for a table whose shape the log does not tell.
    async fn answer(&mut self) -> Result<()> {
        let zero_dates = self.settings.zero_dates;
        let Some(name) = self.streaming()?.asks().cloned() else { return Ok(()) };
        let (control, _) = self.connected()?;
        let found = table::describe(control, std::slice::from_ref(&name), zero_dates).await?;
        let relation = found.into_iter().next().map(|table| table.relation);
        self.streaming()?.answer(relation)
    }

    /// A table that appears is looked at as those are that are there at the start.
    async fn check_new_table(&mut self, item: &LogItem<MysqlMark, TransactionId>) -> Result<()> {
        let LogItem::Schema { change: SchemaChange { relation, change, .. }, .. } = item else { return Ok(()) };
        if !matches!(change, Change::CreateTable | Change::RenameTable { .. }) {
            return Ok(());
        }
        let (settings, name) = (self.settings.clone(), relation.name().clone());
        if !is_captured(&settings.tables, &name) {
            return Ok(());
        }
        let (control, server) = self.connected()?;
        let server = server.clone();
        doctor::verdict(&doctor::cascades(control, &server, &settings, &[name]).await?)
    }

    /// Warns when what comes next is about to be deleted.
    fn warn_of_expiry(&mut self) {
        let Some((server, stream)) = self.server.as_ref().zip(self.stream.as_ref()) else { return };
        let Some(kept_s) = doctor::log_kept_s(server) else { return };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let lag_s = now_s - f64::from(stream.last_timestamp);
        let is_recent = self.warned_at.is_some_and(|at| at.elapsed() < WARN_AGAIN);
        if stream.last_timestamp == 0 || lag_s < kept_s * LAG_WARN || is_recent {
            return;
        }
        self.warned_at = Some(Instant::now());
        let hours_left = ((kept_s - lag_s) / 3_600.0).max(0.0);
        tracing::warn!(
            lag_s,
            hours_left,
            fix = "SET GLOBAL binlog_expire_logs_seconds = a larger number",
            "the capture lags so far behind that the server will soon delete what comes next"
        );
    }
}

#[async_trait]
impl System for MysqlSystem {
    type Mark = MysqlMark;
    type Sight = Sight;
    type Transaction = TransactionId;
    type Reader = MysqlReader;

    async fn connect(&mut self) -> Result<()> {
        let mut control = connect(&self.settings.address, Purpose::Read).await?;
        let server = Server::read(&mut control).await?;
        let all = table::names(&mut control).await?;
        let checks = doctor::examine(&mut control, &server, &self.settings, &all).await?;
        doctor::verdict(&checks)?;
        if self.settings.server_id.is_some_and(|id| server.setting("server_id") == Some(&id.to_string())) {
            return Err(Error::config(format!("{} is the server's own server_id", self.server_id))
                .with_setting("server_id")
                .with_hint("choose a number that no server of the replication has, or leave it out"));
        }
        self.control = Some(control);
        self.server = Some(Arc::new(server));
        Ok(())
    }

    async fn tables(&mut self) -> Result<Vec<TableInfo>> {
        let patterns = self.settings.tables.clone();
        let zero_dates = self.settings.zero_dates;
        let (control, _) = self.connected()?;
        let wanted: Vec<RelationName> =
            table::names(control).await?.into_iter().filter(|name| is_captured(&patterns, name)).collect();
        let tables = table::describe(control, &wanted, zero_dates).await?;
        let mut infos = Vec::with_capacity(tables.len());
        for table in tables {
            if !table.is_transactional() {
                self.without_transactions.insert(table.relation.name().clone(), true);
            }
            let fields = table.relation.columns().fields();
            let native_key_order =
                table.relation.key().iter().all(|&column| table::has_native_order(fields[column].data_type()));
            infos.push(TableInfo { relation: table.relation, rows_estimate: table.rows_estimate, native_key_order });
        }
        Ok(infos)
    }

    async fn end_of_log(&mut self) -> Result<MysqlMark> {
        let (control, server) = self.connected()?;
        let end = settled_end(control, server).await?;
        Ok(MysqlMark { server: server.identity(), place: end.place, gtids: end.gtids, prepared: Vec::new() })
    }

    async fn start(&mut self, from: &MysqlMark, tables: &[Arc<Relation>]) -> Result<()> {
        if let Some(stream) = self.stream.take() {
            stream.log.close().await;
        }
        let (control, server) = self.connected()?;
        let server = server.clone();
        let resumption = resumption(control, &server, from).await?;
        let charsets = table::charsets(control).await?;
        let mut captured = Tables::new(self.settings.zero_dates);
        for relation in tables {
            captured.put(relation.clone(), self.has_transactions(relation))?;
        }
        let statements = self.statements(&server, &resumption);
        let wire = Wire::open(&self.settings.address, &statements, self.server_id, &resumption.from).await?;
        let log = Log::new(wire, self.settings.heartbeat);
        let schemas = Schemas::new(&self.settings, &server, charsets);
        self.stream = Some(Stream::new(log, captured, schemas, server.identity(), from)?);
        Ok(())
    }

    async fn add_table(&mut self, relation: Arc<Relation>) -> Result<()> {
        let has_transactions = self.has_transactions(&relation);
        self.streaming()?.tables.put(relation, has_transactions)
    }

    async fn next(
        &mut self,
        budget: &LogBudget<MysqlMark>,
        bad: &mut BadRows,
    ) -> Result<LogItem<MysqlMark, TransactionId>> {
        let (server_id, is_own_id) = (self.server_id, self.settings.server_id.is_none());
        loop {
            let stream = self.streaming()?;
            match stream.next(budget, bad).await {
                Ok(Some(item)) => {
                    self.check_new_table(&item).await?;
                    return Ok(item);
                }
                Ok(None) => self.answer().await?,
                Err(WireError::Broken(error)) => return Err(error),
                Err(WireError::Refused(refusal)) => {
                    let mark = stream.mark();
                    let (control, _) = self.connected()?;
                    let oldest = oldest_file(control).await;
                    return Err(refused(refusal, &mark, oldest.as_deref(), server_id, is_own_id));
                }
            }
        }
    }

    fn reached(&self, stream: &MysqlMark, mark: &MysqlMark) -> bool {
        stream.is_at_or_behind(mark)
    }

    fn shown(&self, sight: &Sight, transaction: &TransactionId) -> Shown {
        sight.shown(transaction)
    }

    async fn reader(&mut self) -> Result<MysqlReader> {
        let (_, expected) = self.connected()?;
        let expected = expected.clone();
        let mut connection = connect(&self.settings.address, Purpose::Read).await?;
        let server = Server::read(&mut connection).await?;
        if server.identity() != expected.identity() {
            return Err(Error::new(ErrorKind::Unavailable, "two connections to one address reached two servers")
                .with_setting("url")
                .with_hint("name one server in `url`, not a balancer in front of several"));
        }
        Ok(MysqlReader::new(connection, Arc::new(server), self.settings.zero_dates))
    }

    async fn durable(&mut self, _mark: &MysqlMark) -> Result<()> {
        self.warn_of_expiry();
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(stream) = self.stream.take() {
            stream.log.close().await;
        }
        if let Some(control) = self.control.take() {
            disconnect(control).await;
        }
        Ok(())
    }
}
