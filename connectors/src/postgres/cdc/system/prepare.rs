//! What a capture needs at the server, its publication and its slot: made, kept in step, waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, RelationName, Result};
use tokio::time::{Instant, sleep};

use super::super::mark::{Lsn, PostgresMark};
use super::super::preflight::{identity_fault, wanted};
use super::super::publication::{self, Publication};
use super::super::retention::END;
use super::super::slot::{self, Slot};
use super::{Connected, PostgresSystem};
use crate::postgres::error::failed;
use crate::postgres::table::Table;

/// How long a reader that is leaving may take, and how often that is looked at.
const LEAVING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long any other reader is waited for, and how often that is looked at: longer than a flow waits between its tries,
/// so that it goes on trying for as long as the slot is held.
const HELD: Duration = Duration::from_secs(15);
const LOOK_AGAIN_LATER: Duration = Duration::from_millis(500);

/// How often the publication is brought in step while tables come and go.
const PUBLISH_TRIES: u32 = 5;

impl PostgresSystem {
    /// The publication, as it is now.
    pub(super) async fn publication(&self) -> Result<Option<Publication>> {
        publication::find(&self.connected()?.control, &self.settings.publication()).await
    }

    /// Makes the publication, or brings one of ours in step.
    pub(super) async fn publish(
        &self,
        publication: Option<&Publication>,
        tables: &BTreeSet<RelationName>,
        slot: Option<&str>,
    ) -> Result<()> {
        let Connected { control, server, .. } = self.connected()?;
        match publication {
            None => {
                let name = self.settings.publication();
                publication::create(control, &name, tables, self.settings.via_root, slot).await
            }
            Some(own) if own.ours && !server.standby => {
                own.keep_equal(control, tables, self.settings.via_root).await.map(|_| ())
            }
            Some(_) => Ok(()),
        }
    }

    /// For a new beginning: exactly what is asked for.
    pub(super) async fn publish_all(&self) -> Result<()> {
        self.publish_those(None).await.map(|_| ())
    }

    /// One table that is to be captured, and at once all others that are not captured yet: often many come together. What
    /// is captured and not published is not added, for what it missed would be missed in silence. The numbers of the
    /// tables that are published now.
    pub(super) async fn publish_new(&self, name: &RelationName) -> Result<BTreeSet<u32>> {
        self.publish_those(Some(name)).await
    }

    async fn publish_those(&self, one: Option<&RelationName>) -> Result<BTreeSet<u32>> {
        let mut tries = PUBLISH_TRIES;
        loop {
            tries -= 1;
            let publication = self.publication().await?;
            let described = wanted(&self.connected()?.control, &self.settings, publication.as_ref()).await?;
            let mut added: Vec<&Table> = Vec::new();
            for table in &described {
                let name = table.relation.name();
                let is_captured = self.log.as_ref().is_some_and(|log| log.captures(name, table.oid));
                match identity_fault(table) {
                    Some(fault) if one.is_none_or(|one| one == name) => return Err(fault),
                    None if one.is_none_or(|one| one == name || !is_captured) => added.push(table),
                    _ => {}
                }
            }
            let mut tables: BTreeSet<RelationName> = added.iter().map(|table| table.relation.name().clone()).collect();
            if one.is_some() {
                tables.extend(publication.iter().flat_map(|publication| publication.tables.keys().cloned()));
            }
            match self.publish(publication.as_ref(), &tables, None).await {
                // A table was dropped or renamed after it was looked up.
                Err(error) if error.kind() == ErrorKind::Schema && tries > 0 => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.wait_for_the_running().await?;
                    return Ok(added.iter().map(|table| table.oid).collect());
                }
            }
        }
    }

    /// A slot to begin with: the one that is there, or a new one.
    pub(super) async fn slot_to_begin_with(&self) -> Result<()> {
        let Connected { control, server, .. } = self.connected()?;
        let name = self.settings.slot();
        if let Some(slot) = &self.free_slot().await? {
            if let Some(refused) = slot.fault(server) {
                return Err(refused);
            }
            if !slot.is_lost() {
                return Ok(());
            }
            if !self.made(slot).await? {
                return Err(Error::config(format!("the server has given the replication slot {name} up"))
                    .with_setting("slot")
                    .with_hint(format!("SELECT pg_drop_replication_slot('{name}'); -- it is made anew then")));
            }
            slot::drop(control, &name).await?;
        }
        slot::create(control, &name).await.map(|_| ())
    }

    /// Whether a slot is one of ours.
    async fn made(&self, slot: &Slot) -> Result<bool> {
        let noted = self.publication().await?.filter(|publication| publication.ours).and_then(|own| own.slot);
        Ok(self.settings.slot.is_none() || noted.as_ref() == Some(&slot.name))
    }

    /// Whether everything from `from` on is there for us.
    pub(super) async fn check_position(&self, from: &PostgresMark) -> Result<()> {
        let slot = self.free_slot().await?;
        let Connected { control, server, .. } = self.connected()?;
        let row = control.query_one(END, &[]).await.map_err(|error| failed("cannot find the log's end", error))?;
        let end: Lsn = row.get::<_, &str>(0).parse()?;
        slot::check(from, slot.as_ref(), server, &self.mark(end)?)
    }

    /// The slot, once nobody uses it. A reader before us may just be leaving; for any other one there is a warning.
    async fn free_slot(&self) -> Result<Option<Slot>> {
        let control = &self.connected()?.control;
        let name = self.settings.slot();
        let (begun, mut is_told) = (Instant::now(), false);
        loop {
            let slot = slot::find(control, &name).await?;
            let Some(in_use) = slot.as_ref().and_then(Slot::in_use) else { return Ok(slot) };
            let waited = begun.elapsed();
            if waited > HELD {
                return Err(in_use);
            }
            if waited > LEAVING && !is_told {
                is_told = true;
                tracing::warn!(fix = in_use.hint(), "{in_use}; waiting for it");
            }
            sleep(if is_told { LOOK_AGAIN_LATER } else { LOOK_AGAIN }).await;
        }
    }
}
