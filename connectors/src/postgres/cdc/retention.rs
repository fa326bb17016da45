//! What the slot keeps back, and what has to be written now and then so that it moves on.

use std::time::Duration;

use aqueduct_model::Result;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::mark::Lsn;
use super::settings::Settings;
use super::sight::{Sight, Unsettled};
use super::slot;
use crate::postgres::error::failed;

/// How often the slot is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Retention {
    heartbeat: Option<Duration>,
    warn_bytes: u64,
    slot: String,
    beaten_at: Instant,
    looked_at: Instant,
    /// What was kept back at the last look.
    retained: Option<(Instant, u64)>,
}

impl Retention {
    /// Nothing was done yet.
    pub(crate) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        Self {
            heartbeat: settings.heartbeat,
            warn_bytes: settings.retained_bytes_warn,
            slot: settings.slot(),
            beaten_at: now,
            looked_at: now,
            retained: None,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn tend(&mut self, client: &Client, standby: bool, unsettled: &Unsettled) -> Result<()> {
        let now = Instant::now();
        if self.heartbeat.is_some_and(|every| now >= self.beaten_at + every) && !standby {
            self.beaten_at = now;
            client.batch_execute(BEAT).await.map_err(|error| failed("cannot write a heartbeat into the log", error))?;
        }
        if unsettled.is_full() {
            unsettled.forget(&snapshot(client).await?);
        }
        if now >= self.looked_at + LOOK {
            self.looked_at = now;
            self.look(client, now).await?;
        }
        Ok(())
    }

    /// Warns when much is kept back, and says how long that can go on.
    async fn look(&mut self, client: &Client, now: Instant) -> Result<()> {
        let doing = |error| failed("cannot look at the log's end", error);
        let end: String = client.query_one(END, &[]).await.map_err(doing)?.get(0);
        let end: Lsn = end.parse()?;
        let Some(slot) = slot::find(client, &self.slot).await? else { return Ok(()) };
        let retained = end.0.saturating_sub(slot.restart.unwrap_or(end).0);
        let before = self.retained.replace((now, retained));
        if retained < self.warn_bytes {
            return Ok(());
        }
        let lost_in =
            before.zip(slot.safe_bytes).and_then(|((at, before), safe)| time_left(now - at, before, retained, safe));
        tracing::warn!(
            slot = self.slot,
            retained_mib = retained >> 20,
            safe_mib = slot.safe_bytes.map(|bytes| bytes >> 20),
            lost_in_minutes = lost_in.map(|left| left.as_secs() / 60),
            fix = "let the flow's targets catch up, or raise max_slot_wal_keep_size",
            "the slot keeps much of the log back"
        );
        Ok(())
    }
}

/// How long until a slot with `safe` more bytes is given up, at the speed of the last look.
fn time_left(passed: Duration, before: u64, now: u64, safe: i64) -> Option<Duration> {
    let grown = now.checked_sub(before).filter(|grown| *grown > 0)?;
    let seconds = safe.max(0) as f64 / grown as f64 * passed.as_secs_f64();
    Duration::try_from_secs_f64(seconds).ok()
}

/// A fresh snapshot.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn snapshot(client: &Client) -> Result<Sight> {
    let row = client.query_one("SELECT pg_current_snapshot()::text", &[]).await;
    Sight::parse(row.map_err(|error| failed("cannot take a snapshot", error))?.get(0))
}

/// Has the log written out up to `end`: only then it is sent, and without another commit that may take the server seconds.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn write_out(client: &Client, end: Lsn) -> Result<()> {
    let doing = |error| failed("cannot write a message into the log", error);
    let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.map_err(doing)?;
    if row.get::<_, &str>(0).parse::<Lsn>()? < end {
        client.batch_execute(NUDGE).await.map_err(doing)?;
    }
    Ok(())
}

/// Where the log ends: before it everything is committed that is committed now.
pub(crate) const END: &str = "
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text";

/// Not in a transaction: it needs no number, and nobody waits for the disk.
const BEAT: &str = "SELECT pg_logical_emit_message(false, 'aqueduct', '')";

/// The commit of a transaction that wrote something makes the server write its log out.
const NUDGE: &str = "
BEGIN; SET LOCAL synchronous_commit = 'on'; SELECT pg_logical_emit_message(true, 'aqueduct', ''); COMMIT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_speed() {
        let minute = Duration::from_secs(60);
        assert_eq!(time_left(minute, 0, 100, 1_000), Some(minute * 10));
        assert_eq!(time_left(minute, 100, 100, 1_000), None);
        assert_eq!(time_left(minute, 100, 50, 1_000), None);
        assert_eq!(time_left(minute, 0, 100, -5), Some(Duration::ZERO));
    }
}
