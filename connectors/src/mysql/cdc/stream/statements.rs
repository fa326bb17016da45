//! What each statement does: ends of transactions, savepoints, XA, DDL.

use aqueduct_model::{Batch, Error, ErrorKind, RelationName, Result};

use super::super::group::Group;
use super::super::mark::LogPlace;
use super::super::schema::Outcome;
use super::super::statement::Statement;
use super::super::tables::RowsSoFar;
use super::events::xid_text;
use super::{Asked, Step, Stream};
use crate::cdc::capture::LogItem;
use crate::mysql::binlog::Query;
use crate::mysql::ddl::Statement as Ddl;

impl Stream {
    pub(super) fn statement(
        &mut self,
        statement: Statement,
        query: &Query<'_>,
        at: &LogPlace,
        timestamp: u32,
    ) -> Result<Step> {
        if self.open.is_none() {
            // Servers without GTID events begin with the statement itself.
            self.begin(at.clone(), None, false, 0)?;
        }
        let has_group = self.has_group();
        let Some(open) = self.open.as_mut() else { return Err(Error::bug("a transaction was begun above")) };
        match statement {
            Statement::Begin => {
                open.is_begun = true;
                Ok(Step::Go)
            }
            Statement::Commit => self.commit(timestamp),
            Statement::Rollback => {
                let before = open.before.clone();
                self.roll_back(&before, at)?;
                self.commit(timestamp)
            }
            Statement::Savepoint(name) => {
                let so_far = self.tables.rows_so_far();
                open.savepoints.retain(|(other, _)| *other != name);
                open.savepoints.push((name, so_far));
                Ok(Step::Go)
            }
            Statement::RollbackTo(name) => {
                let found = open.savepoints.iter().find(|(other, _)| *other == name).map(|(_, so_far)| so_far.clone());
                let since = found.unwrap_or_else(|| open.before.clone());
                self.roll_back(&since, at)?;
                Ok(Step::Go)
            }
            Statement::XaStart | Statement::XaEnd | Statement::XaCommit | Statement::XaRollback => {
                self.xa(&statement, query, at, timestamp)
            }
            Statement::Rows if open.is_skipped => Ok(Step::Go),
            // A server that starts empties its MEMORY tables with a DELETE, which is a TRUNCATE in effect.
            Statement::Rows if matches!(self.schemas.parse(query), Ddl::Tables(_)) => {
                self.ddl(query, has_group, timestamp)
            }
            Statement::Rows => self.logged_as_statement(query, at),
            Statement::Other if open.is_skipped => self.end_of_ddl(timestamp),
            Statement::Other => self.ddl(query, has_group, timestamp),
        }
    }

    fn xa(&mut self, statement: &Statement, query: &Query<'_>, at: &LogPlace, timestamp: u32) -> Result<Step> {
        let has_group = self.has_group();
        let (is_xa, is_skipped) = self.open.as_ref().map_or((false, false), |open| (open.is_xa, open.is_skipped));
        match statement {
            Statement::XaStart if has_group => Ok(Step::HandOutFirst),
            Statement::XaStart => {
                self.is_xa();
                Ok(Step::Go)
            }
            // A commit in one phase ends the transaction that it stands in.
            Statement::XaCommit if is_xa => self.commit(timestamp),
            Statement::XaCommit if has_group => Ok(Step::HandOutFirst),
            Statement::XaCommit | Statement::XaRollback if is_skipped => self.commit(timestamp),
            Statement::XaCommit => {
                let xid = self.xid(query, at)?;
                self.group.ready = self.prepared.commit(&xid)?;
                self.group.rows = self.group.ready.iter().map(Batch::num_rows).sum();
                self.commit(timestamp)
            }
            Statement::XaRollback if is_xa => {
                let before = self.open.as_ref().map(|open| open.before.clone()).unwrap_or_default();
                self.roll_back(&before, at)?;
                self.commit(timestamp)
            }
            Statement::XaRollback => {
                let xid = self.xid(query, at)?;
                self.prepared.roll_back(&xid);
                self.commit(timestamp)
            }
            _ => Ok(Step::Go),
        }
    }

    /// The identifier in an XA statement.
    fn xid(&self, query: &Query<'_>, at: &LogPlace) -> Result<String> {
        match self.schemas.parse(query) {
            Ddl::Xa(xa) => Ok(xid_text(&xa.xid)),
            _ => Err(Error::new(ErrorKind::Data, format!("the XA statement at {at} is not understood"))),
        }
    }

    pub(super) fn roll_back(&mut self, since: &RowsSoFar, at: &LogPlace) -> Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.rows > 0) else { return Ok(()) };
        if open.is_split {
            return Err(Error::new(
                ErrorKind::Data,
                format!("the transaction at {} is taken back at {at}, after a part of it was handed out", open.start),
            )
            .with_hint("it changes a table without transactions (MyISAM, MEMORY): ALTER TABLE … ENGINE=InnoDB"));
        }
        self.tables.roll_back(since);
        Ok(())
    }

    /// A change of rows whose rows are not in the log: an error, unless it cannot concern a captured table.
    pub(super) fn logged_as_statement(&mut self, query: &Query<'_>, at: &LogPlace) -> Result<Step> {
        let sql = query.sql();
        if self.schemas.may_concern(&self.tables, &query.database, &sql) {
            let verb: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
            return Err(as_statement(&format!("an {}", verb.to_ascii_uppercase()), at));
        }
        if !self.open.as_ref().is_some_and(|open| open.is_begun) {
            return self.commit(0);
        }
        Ok(Step::Go)
    }

    pub(super) fn ddl(&mut self, query: &Query<'_>, has_group: bool, timestamp: u32) -> Result<Step> {
        let statement = self.schemas.parse(query);
        if has_group && matches!(statement, Ddl::Tables(_) | Ddl::Unknown(_)) {
            return Ok(Step::HandOutFirst);
        }
        let outcomes = self.schemas.apply(&mut self.tables, &statement, query)?;
        let step = self.end_of_ddl(timestamp)?;
        if outcomes.is_empty() {
            return Ok(step);
        }
        // The change stands for its transaction, which has no rows.
        self.group = Group::default();
        let is_inside = self.open.is_some();
        self.queue_outcomes(outcomes, is_inside);
        Ok(Step::Ended)
    }

    /// Hands changes on; the last one ends the transaction that they stand in.
    pub(super) fn queue_outcomes(&mut self, outcomes: Vec<Outcome>, is_inside: bool) {
        let last = outcomes.len().saturating_sub(1);
        for (i, outcome) in outcomes.into_iter().enumerate() {
            let boundary = (i == last && !is_inside).then(|| self.mark());
            match outcome {
                Outcome::Change(change) => self.queue.push_back(LogItem::Schema { change, boundary }),
                Outcome::Failed(table, error) => self.queue.push_back(LogItem::Failed { table, error, boundary }),
                // A statement makes one table at most in a way that has to be asked about.
                Outcome::Ask(table, change) => self.asked = Some(Asked { table, change, is_inside }),
            }
        }
    }

    pub(super) fn end_of_ddl(&mut self, timestamp: u32) -> Result<Step> {
        if self.open.as_ref().is_some_and(|open| open.is_begun) {
            return Ok(Step::Go);
        }
        self.commit(timestamp)
    }

    /// Goes on without a table whose rows cannot be decoded.
    pub(super) fn fail(&mut self, table: RelationName, error: Error) -> Result<Step> {
        self.tables.remove(&table);
        self.queue.push_back(LogItem::Failed { table, error, boundary: None });
        Ok(Step::Go)
    }
}

/// A change of rows whose rows are not in the log.
pub(super) fn as_statement(what: &str, at: &LogPlace) -> Error {
    Error::new(ErrorKind::Data, format!("{what} at {at} of the binary log is logged as a statement, without its rows"))
        .with_hint(
            "SET GLOBAL binlog_format='ROW'; and end the connections that were made before; then reset the flow, so that \
             what the statement did is read again",
        )
}
