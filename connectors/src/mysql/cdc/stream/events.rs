//! What each event does.

use aqueduct_model::{BadRows, Error, ErrorKind, Result};

use super::super::log::LogEvent;
use super::super::mark::{Gtid, Gtids, LogPlace, TransactionId};
use super::super::resume::lost;
use super::super::statement::Statement;
use super::super::transaction::Open;
use super::replace::replaced_in_part;
use super::statements::as_statement;
use super::{Step, Stream};
use crate::mysql::binlog::{Event, Flavor, MariadbGtidEvent, RawEvent, RowsEvent, decode};

impl Stream {
    pub(super) fn handle(&mut self, event: LogEvent, bad: &mut BadRows) -> Result<Step> {
        let flavor = self.log.flavor();
        let at = self.at(&event);
        if event.header.timestamp > 0 {
            self.last_timestamp = event.header.timestamp;
        }
        let decoded = decoded(&event, flavor, &at)?;
        match decoded {
            Event::Rows(rows) => self.rows(&rows, &at),
            Event::TableMap(body) => {
                let is_skipped = self.open.as_ref().is_some_and(|open| open.is_skipped);
                if !is_skipped && let Some((table, error)) = self.tables.map(body)? {
                    return self.fail(table, error);
                }
                Ok(Step::Go)
            }
            Event::Gtid(gtid) => self.begin(at, gtid.gtid.map(Gtid::MySql), false, gtid.committed_us),
            Event::MariadbGtid(gtid) if gtid.prepared_xa && self.has_group() => {
                self.log.keep(event);
                Ok(Step::HandOutFirst)
            }
            Event::MariadbGtid(gtid) => self.begin_mariadb(at, &gtid),
            Event::Xid(_) => self.commit(event.header.timestamp),
            Event::XaPrepare { one_phase, xid } => {
                let timestamp = event.header.timestamp;
                if one_phase { self.commit(timestamp) } else { self.prepare(&xid, timestamp, bad) }
            }
            Event::Query(query) => {
                let statement = Statement::of(&query.sql());
                match self.statement(statement, &query, &at, event.header.timestamp)? {
                    Step::HandOutFirst => {
                        drop(query);
                        self.log.keep(event);
                        Ok(Step::HandOutFirst)
                    }
                    step => Ok(step),
                }
            }
            Event::Rotate { file, position } => {
                self.log.rotate(file, position);
                self.tables.forget_ids();
                self.read_up_to_here();
                Ok(Step::Go)
            }
            Event::LoadData => Err(as_statement("a LOAD DATA", &at)),
            Event::Incident(text) => {
                Err(lost(&self.mark(), format!("the server lost events of its own log: {text}"), None))
            }
            Event::PreviousGtids(set) => self.check_start(&Gtids::MySql(set)),
            Event::MariadbGtidList(position) => self.check_start(&Gtids::MariaDb(position)),
            Event::Payload(_) => Err(Error::bug("a compressed transaction was not opened")),
            Event::Format(format) if format.created > 0 => self.server_began(&at),
            Event::Annotation(statement) if flavor == Flavor::MariaDb => Ok(self.annotated(statement)),
            Event::Format(_)
            | Event::Heartbeat { .. }
            | Event::Stop
            | Event::Nothing
            | Event::Annotation(_)
            | Event::StatementContext => {
                self.read_up_to_here();
                Ok(Step::Go)
            }
        }
    }

    /// Nothing is open: what was read since the last transaction concerns none.
    pub(super) fn read_up_to_here(&mut self) {
        if self.open.is_none() {
            let place = self.log.place();
            if !place.file.is_empty() && place > self.place {
                self.place = place;
            }
        }
    }

    /// The server was started: what it had not finished is rolled back.
    pub(super) fn server_began(&mut self, at: &LogPlace) -> Result<Step> {
        if let Some(open) = &self.open {
            let before = open.before.clone();
            self.roll_back(&before, at)?;
            self.open = None;
        }
        self.read_up_to_here();
        Ok(Step::Go)
    }

    /// The file that the server chose must begin within what we have.
    pub(super) fn check_start(&mut self, before: &Gtids) -> Result<Step> {
        let is_first = !std::mem::replace(&mut self.is_checked, true);
        if is_first && self.has_gtids && !before.is_subset(&self.executed) {
            return Err(lost(
                &self.mark(),
                format!(
                    "the log begins behind transactions that come next: {} begins behind {before}",
                    self.log.file()
                ),
                Some(self.log.file()),
            ));
        }
        self.read_up_to_here();
        Ok(Step::Go)
    }

    pub(super) fn begin(
        &mut self,
        start: LogPlace,
        gtid: Option<Gtid>,
        is_begun: bool,
        committed_us: u64,
    ) -> Result<Step> {
        if let Some(open) = &self.open {
            return Err(Error::new(
                ErrorKind::Data,
                format!("the transaction at {} has no end: another begins at {start}", open.start),
            ));
        }
        // Read again only for XA transactions that were open at the mark.
        let is_before = self.server == self.from.server && start < self.from.place;
        let before = self.tables.rows_so_far();
        self.open = Some(Open {
            start,
            gtid,
            is_begun,
            is_before,
            is_skipped: is_before,
            before,
            committed_us,
            ..Open::default()
        });
        Ok(Step::Go)
    }

    fn begin_mariadb(&mut self, at: LogPlace, gtid: &MariadbGtidEvent) -> Result<Step> {
        let step = self.begin(at, Some(Gtid::MariaDb(gtid.gtid)), !gtid.standalone, 0)?;
        if gtid.prepared_xa {
            // The identifier comes with the prepare event; there is no XA START.
            self.is_xa();
        }
        Ok(step)
    }

    pub(super) fn rows(&mut self, rows: &RowsEvent<'_>, at: &LogPlace) -> Result<Step> {
        let Some(open) = self.open.as_mut() else {
            return Err(Error::new(
                ErrorKind::Data,
                format!("{at} of the binary log has rows outside of a transaction"),
            ));
        };
        if open.is_skipped {
            return Ok(Step::Go);
        }
        let (count, bytes) = self.tables.decode(rows, at)?;
        if count > 0 && open.replaces && rows.is_partial_update() {
            return Err(replaced_in_part(at));
        }
        open.rows += count;
        open.bytes += bytes;
        self.group.rows += count;
        self.group.bytes += bytes;
        if count > 0 {
            let id = TransactionId { server: self.server.clone(), start: open.start.clone(), gtid: open.gtid.clone() };
            if self.group.last.as_ref() != Some(&id) {
                self.group.last = Some(id);
            }
        }
        Ok(Step::Go)
    }

    /// Ends the open transaction: its rows are in the group.
    pub(super) fn commit(&mut self, timestamp: u32) -> Result<Step> {
        let Some(open) = self.open.take() else { return Ok(Step::Go) };
        if open.is_before {
            return Ok(Step::Go);
        }
        if let Some(gtid) = &open.gtid {
            self.executed.add(gtid);
            self.has_gtids = true;
        }
        self.place = self.log.place();
        let seconds_ms = i64::from(timestamp) * 1_000;
        self.group.committed_at_ms =
            i64::try_from(open.committed_us / 1_000).ok().filter(|&ms| ms > 0).unwrap_or(seconds_ms);
        self.group.last = Some(self.id(&open));
        Ok(Step::Ended)
    }

    /// The open transaction is XA; its rows may be wanted although they lie before the place to read from.
    pub(super) fn is_xa(&mut self) {
        if let Some(open) = self.open.as_mut() {
            open.is_begun = true;
            open.is_xa = true;
            open.is_skipped = open.is_skipped && !self.prepared.expects(&open.start);
        }
    }

    /// True when rows of earlier transactions are waiting.
    pub(super) fn has_group(&self) -> bool {
        self.group.rows > 0 || !self.group.ready.is_empty()
    }

    pub(super) fn prepare(&mut self, xid: &[u8], timestamp: u32, bad: &mut BadRows) -> Result<Step> {
        let Some(open) = self.open.as_ref().filter(|open| open.is_xa) else {
            return Err(Error::new(ErrorKind::Data, "a transaction is prepared that is not XA"));
        };
        let (start, bytes, rows) = (open.start.clone(), open.bytes, open.rows);
        if open.is_skipped {
            return self.commit(timestamp);
        }
        let batches = self.tables.finish(bad, i64::from(timestamp) * 1_000)?;
        // Its rows are handed out with its commit.
        self.group.rows = self.group.rows.saturating_sub(rows);
        self.group.bytes = self.group.bytes.saturating_sub(bytes);
        self.prepared.prepare(xid_text(xid), start, batches, bytes)?;
        self.commit(timestamp)
    }
}

/// Decodes an event; an error says where it is.
fn decoded<'a>(event: &'a LogEvent, flavor: Flavor, at: &LogPlace) -> Result<Event<'a>> {
    decode(&RawEvent { header: event.header, body: &event.body }, flavor).map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        let error = Error::new(error.kind(), format!("{error}, at {at}"));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// An identifier's bytes as marks hold them.
pub(super) fn xid_text(xid: &[u8]) -> String {
    xid.iter().map(|byte| format!("{byte:02x}")).collect()
}
