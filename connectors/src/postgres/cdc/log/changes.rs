//! Inside a transaction: rows, truncations, and what the log says of tables.

use std::sync::Arc;

use aqueduct_model::{BadRow, BadRows, Change, Error, ErrorKind, Relation, RelationName, Result, SchemaChange};

use super::super::catalog::{logged_table, name_today, table_id};
use super::super::pgoutput::{self, Message, OldRow};
use super::super::shape::steps;
use super::super::table_rows::TableRows;
use super::{Log, unexpected};
use crate::cdc::capture::{LogItem, is_wanted};
use crate::postgres::connection::Session;
use arrow::datatypes::Schema;

impl Log {
    /// A change of rows or of a table's shape, or what concerns neither.
    pub(super) async fn change(&mut self, message: Message<'_>, catalogs: &Session, bad: &mut BadRows) -> Result<()> {
        if self.open.is_some_and(|open| open.skipped) && !matches!(message, Message::Relation { .. }) {
            return Ok(());
        }
        match message {
            Message::Insert { oid, new, .. } => self.row(oid, bad, |rows| rows.insert(&new)),
            Message::Update { oid, old: None, new, .. } => self.row(oid, bad, |rows| rows.update(&new)),
            Message::Update { oid, old: Some(OldRow::Full(old)), new, .. } => {
                self.row(oid, bad, |rows| rows.update_full(&old, &new))
            }
            Message::Update { oid, old: Some(OldRow::Key(old)), new, .. } => {
                self.row(oid, bad, |rows| rows.update_key(&old, &new))
            }
            Message::Delete { oid, old: OldRow::Full(old), .. } => self.row(oid, bad, |rows| rows.delete_full(&old)),
            Message::Delete { oid, old: OldRow::Key(old), .. } => self.row(oid, bad, |rows| rows.delete_key(&old)),
            Message::Truncate { oids, .. } => self.truncate(&oids),
            Message::Relation { relation, .. } => self.relation(&relation, catalogs).await,
            Message::Type { .. } | Message::Origin | Message::Logical { .. } => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// A change of one row.
    fn row(
        &mut self,
        oid: u32,
        bad: &mut BadRows,
        append: impl FnOnce(&mut TableRows) -> Result<Option<BadRow>>,
    ) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(unexpected)?;
        if self.group.append(oid, &open.transaction, bad, append)? {
            open.is_pending = true;
            self.last_xid = open.transaction.xid;
        }
        Ok(())
    }

    fn truncate(&mut self, oids: &[u32]) -> Result<()> {
        for oid in oids {
            if let Some(relation) = self.group.table(*oid).cloned() {
                self.schema(SchemaChange::new(relation, Change::Truncate))?;
            }
        }
        Ok(())
    }

    /// What was collected goes first. A change of shape is always inside a transaction.
    fn schema(&mut self, change: SchemaChange) -> Result<()> {
        self.before_schema()?;
        self.ready.push_back(LogItem::Schema { change, boundary: None });
        Ok(())
    }

    fn before_schema(&mut self) -> Result<()> {
        if self.group.rows() > 0 {
            self.flush()?;
        }
        let open = self.open.as_mut().ok_or_else(unexpected)?;
        open.is_out = true;
        self.last_xid = open.transaction.xid;
        Ok(())
    }

    /// The log describes a table: before its first row, and again when it has changed.
    async fn relation(&mut self, logged: &pgoutput::Relation, catalogs: &Session) -> Result<()> {
        let name = logged.table_name();
        let before = self.group.table_or_shape(logged.oid).cloned();
        if let Some(before) = before.as_ref().filter(|before| *before.name() != name) {
            return self.renamed(before.clone(), name, logged, catalogs).await;
        }
        let Some(shape) = before.or_else(|| self.group.shape(&name).cloned()) else {
            self.group.ignore(logged.clone());
            return Ok(());
        };
        if table_id(&shape).is_some_and(|oid| oid != logged.oid) {
            return self.made_anew(&shape, logged, catalogs).await;
        }
        self.reshape(&shape, logged, catalogs).await
    }

    /// Another table has the name of a captured one, which was dropped or renamed: its rows are read.
    async fn made_anew(&mut self, old: &Relation, logged: &pgoutput::Relation, catalogs: &Session) -> Result<()> {
        let empty = Relation::new(old.name().clone(), Arc::new(Schema::empty()), &[] as &[&str], old.version() + 1)?;
        let table = match logged_table(catalogs, logged, &empty).await {
            Err(error) if error.kind() == ErrorKind::Schema => return self.failed(old, logged, error),
            table => table?,
        };
        self.origins.replace(old.name(), table.partitioned);
        self.before_schema()?;
        self.group.drop_table(old);
        let now = Arc::new(table.relation);
        if !self.open.is_some_and(|open| open.skipped) {
            self.schema(SchemaChange::new(now.clone(), Change::CreateTable))?;
        }
        self.group.describe(logged.oid, now, table.layout)
    }

    async fn reshape(&mut self, old: &Arc<Relation>, logged: &pgoutput::Relation, catalogs: &Session) -> Result<()> {
        let table = match logged_table(catalogs, logged, old).await {
            Err(error) if error.kind() == ErrorKind::Schema => return self.failed(old, logged, error),
            table => table?,
        };
        let steps = steps(old, &table.relation)?;
        let now = match steps.last() {
            Some(last) => last.relation.clone(),
            None => old.clone(),
        };
        let is_skipped = self.open.is_some_and(|open| open.skipped);
        if self.group.has_rows_of(logged.oid) {
            self.flush()?;
        }
        for change in steps.into_iter().filter(|_| !is_skipped) {
            self.schema(change)?;
        }
        self.group.describe(logged.oid, now, table.layout)
    }

    /// The flow goes on without a table that cannot be described.
    fn failed(&mut self, old: &Relation, logged: &pgoutput::Relation, error: Error) -> Result<()> {
        self.before_schema()?;
        self.group.forget(old.name());
        self.group.ignore(logged.clone());
        self.ready.push_back(LogItem::Failed { table: old.name().clone(), error, boundary: None });
        Ok(())
    }

    /// A table that goes on under another name is captured as long as that one is asked for.
    async fn renamed(
        &mut self,
        before: Arc<Relation>,
        name: RelationName,
        logged: &pgoutput::Relation,
        catalogs: &Session,
    ) -> Result<()> {
        if !is_wanted(&self.wanted, &name) {
            tracing::warn!(table = %before.name(), now = %name, "a captured table has a name now that is not captured");
            self.before_schema()?;
            self.group.drop_table(&before);
            self.group.ignore(logged.clone());
            return Ok(());
        }
        let displaced = match self.group.shape(&name).cloned() {
            Some(holder) => self.make_way(&holder, before.name(), catalogs).await?,
            None => None,
        };
        let renamed = self.rename(&before, name)?;
        self.reshape(&renamed, logged, catalogs).await?;
        match displaced {
            Some((holder, now)) => self.rename(&holder, now).map(|_| ()),
            None => Ok(()),
        }
    }

    /// A captured table whose name another one has now goes aside; the name that it gets, when that is known. `free` is
    /// the name that the other one leaves.
    async fn make_way(
        &mut self,
        holder: &Arc<Relation>,
        free: &RelationName,
        catalogs: &Session,
    ) -> Result<Option<(Arc<Relation>, RelationName)>> {
        let now = match table_id(holder) {
            Some(oid) => name_today(catalogs, oid).await?,
            None => None,
        };
        let is_free = |name: &RelationName| name == free || self.group.shape(name).is_none();
        match now.filter(|now| is_wanted(&self.wanted, now) && is_free(now)) {
            Some(now) => {
                let aside = RelationName { table: format!("{}_renamed", now.table), ..now.clone() };
                Ok(Some((self.rename(holder, aside)?, now)))
            }
            // It is gone, or has a name that is not captured; if that is to change, it is found as a new table.
            None => {
                self.before_schema()?;
                self.group.drop_table(holder);
                self.schema(SchemaChange::new(holder.clone(), Change::DropTable))?;
                Ok(None)
            }
        }
    }

    /// Tells of a rename. The rows that the log describes from now on are those of the new name.
    fn rename(&mut self, before: &Arc<Relation>, name: RelationName) -> Result<Arc<Relation>> {
        self.before_schema()?;
        let from = before.name().clone();
        self.origins.rename(&from, &name);
        self.group.drop_table(before);
        let renamed = Relation::new(name, before.columns().clone(), &before.key_names(), before.version() + 1)?;
        let renamed = Arc::new(renamed);
        self.group.capture(renamed.clone());
        if !self.open.is_some_and(|open| open.skipped) {
            self.schema(SchemaChange::new(renamed.clone(), Change::RenameTable { from }))?;
        }
        Ok(renamed)
    }
}
