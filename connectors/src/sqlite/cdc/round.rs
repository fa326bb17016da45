//! A round: everything between two transaction boundaries of the source.

use std::collections::VecDeque;
use std::sync::Arc;

use aqueduct_model::{BadRows, Batch, PollBudget, Polled, Result};
use rusqlite::Connection;

use super::adoption::may_be_renumbered;
use super::as_of::AsOf;
use super::candidates::Pending;
use super::changes::{self, Event};
use super::chunk::{self, Range};
use super::config::Settings;
use super::history::{History, Version};
use super::log::{Head, Names, lost};
use super::page::{Page, cut};
use super::position::{Cell, Phase, State, TableState};

/// A page of the log holds at most this many times the rows of a batch: enough to regroup interleaved tables.
const PAGE_FACTOR: usize = 4;

/// Changes up to a boundary, then a part of a snapshot that was read at that boundary.
pub(super) struct Round {
    /// The next change to read.
    pub(super) next: i64,
    /// The last change of the round: the end of a transaction.
    pub(super) to: i64,
    cookie: i64,
    pending: Pending,
    then: Then,
}

enum Then {
    Nothing,
    Chunk(Chunk),
    /// The recorded edge that is being replayed, and the table being read as it was there.
    Replay(State, Option<(i64, AsOf)>),
}

struct Chunk {
    id: i64,
    table: TableState,
    batch: Option<Batch>,
}

/// What a round works with.
pub(super) struct Context<'a> {
    pub(super) connection: &'a Connection,
    pub(super) names: &'a Names,
    pub(super) history: &'a History,
    pub(super) settings: &'a Settings,
    pub(super) budget: &'a PollBudget,
}

impl Round {
    /// A round up to the newest change. Reads the next chunk of a snapshot at that very state, unless a table changes
    /// its shape in between.
    pub(super) fn live(context: &Context<'_>, head: &Head, state: &State, bad: &mut BadRows) -> Result<Self> {
        let range = state.seq..=head.last_seq;
        let reshaped = context.history.live().any(|version| range.contains(&version.from_seq))
            || state
                .tables
                .keys()
                .filter_map(|&id| context.history.latest(id))
                .any(|version| range.contains(&version.from_seq));
        let then = match state.unfinished() {
            Some(id) if !reshaped => Then::Chunk(read_chunk(context, state, id, bad)?),
            _ => Then::Nothing,
        };
        Ok(Self { next: state.seq, to: head.last_seq, cookie: head.cookie, pending: Pending::default(), then })
    }

    /// A round up to a recorded boundary.
    pub(super) fn replay(history: &History, head: &Head, state: &State, until: State) -> Result<Self> {
        if until.log != state.log || until.seq < state.seq {
            return Err(lost("the edge to replay up to belongs to another change log or lies behind the position"));
        }
        if until.seq > head.last_seq + 1 {
            return Err(lost(format!("the change log ends at {}, before the edge to replay up to", head.last_seq)));
        }
        for (&id, table) in state.tables.iter().filter(|(_, table)| table.after.is_some()) {
            let version = history.named(id, table.version)?;
            if may_be_renumbered(version) && state.cookie != until.cookie {
                return Err(lost(format!("DDL or VACUUM may have renumbered the rows of {}", version.relation.name())));
            }
        }
        let (to, cookie) = (until.seq - 1, until.cookie);
        Ok(Self { next: state.seq, to, cookie, pending: Pending::default(), then: Then::Replay(until, None) })
    }

    /// Reads on: more of the log, then the part of the snapshot. True when nothing is left to read.
    pub(super) fn advance(
        &mut self,
        context: &Context<'_>,
        head: Option<&Head>,
        (state, out): (&mut State, &mut VecDeque<Polled>),
        bad: &mut BadRows,
    ) -> Result<bool> {
        if self.next <= self.to {
            self.read_log(context, (state, out), bad)?;
            return Ok(self.is_read());
        }
        match &mut self.then {
            Then::Nothing => {}
            Then::Chunk(chunk) => {
                if let Some(batch) = chunk.batch.take() {
                    cut(batch, context.budget.max_rows, out);
                }
                fail::fail_point!("snap.chunk_done");
                state.tables.insert(chunk.id, chunk.table.clone());
                self.then = Then::Nothing;
                if state.unfinished().is_none() {
                    fail::fail_point!("snap.all_done");
                    tracing::info!("snapshot complete");
                }
            }
            Then::Replay(until, reading) => {
                if let Some(head) = head
                    && replay_page(context, head, state, (until, reading), out, bad)?
                {
                    return Ok(false);
                }
                *state = until.clone();
                self.then = Then::Nothing;
            }
        }
        Ok(true)
    }

    /// True when nothing is left to read.
    pub(super) fn is_read(&self) -> bool {
        self.next > self.to && matches!(self.then, Then::Nothing)
    }

    /// Moves the position to the boundary.
    pub(super) fn finish(self, state: &mut State) {
        state.seq = self.to + 1;
        state.cookie = self.cookie;
    }

    fn read_log(
        &mut self,
        context: &Context<'_>,
        (state, out): (&mut State, &mut VecDeque<Polled>),
        bad: &mut BadRows,
    ) -> Result<()> {
        let size = (context.budget.max_rows, context.budget.max_bytes.saturating_mul(PAGE_FACTOR));
        let limit = context.budget.max_rows.saturating_mul(PAGE_FACTOR).max(1);
        let mut page = Page::new((context.connection, context.settings), state, out, bad, size);
        let (range, history) = ((self.next, self.to), context.history);
        // The decoder lends the version; the page keeps it, so it looks up the shared one.
        let mut shared: Option<&Arc<Version>> = None;
        let take = |event: Event<'_>| {
            let (Event::Schema(lent) | Event::Change { version: lent, .. }) = &event;
            let version = match shared {
                Some(version) if version.id == lent.id && version.version == lent.version => version,
                _ => history.named(lent.id, lent.version)?,
            };
            shared = Some(version);
            page.take(event, version)
        };
        self.next = changes::read(context.connection, context.names, history, range, limit, &mut self.pending, take)?;
        page.finish()?;
        if self.next > self.to {
            self.pending.clear();
        } else {
            fail::fail_point!("src.mid_tx");
        }
        Ok(())
    }
}

fn read_chunk(context: &Context<'_>, state: &State, id: i64, bad: &mut BadRows) -> Result<Chunk> {
    fail::fail_point!("snap.low");
    let mut table = state.tables[&id].clone();
    let version = context.history.named(id, table.version)?;
    let range = Range {
        after: table.after.as_deref(),
        to: None,
        max_rows: context.settings.chunk_rows.min(context.budget.max_rows).max(1),
        max_bytes: context.budget.max_bytes,
    };
    let read = chunk::read(context.connection, version, &version.table, &range, bad, |_| false)?;
    let batch = chunk::batch(version, read.rows, table.phase)?;
    if read.is_end {
        table.next_phase();
    } else {
        table.after = read.last;
    }
    Ok(Chunk { id, table, batch })
}

/// Reads more of the snapshot that lies between here and the recorded edge, as it was at the edge. False at its end.
///
/// Chunks of the first time are not read one by one: the changes up to the edge were given for the rows before the
/// resume position, the rows behind it come as they were at the edge. Together they are the very table that the edge
/// showed the first time.
fn replay_page(
    context: &Context<'_>,
    head: &Head,
    state: &mut State,
    (until, reading): (&State, &mut Option<(i64, AsOf)>),
    out: &mut VecDeque<Polled>,
    bad: &mut BadRows,
) -> Result<bool> {
    loop {
        if reading.is_none() {
            let behind = |(id, table): (&i64, &TableState)| Some((*id, rest_until(table, until.tables.get(id)?)?));
            let Some((id, to)) = state.tables.iter().find_map(behind) else { return Ok(false) };
            let table = &state.tables[&id];
            let version = context.history.named(id, table.version)?;
            let range = (table.after.clone(), to);
            let at = (until.seq, until.cookie);
            *reading = Some((id, AsOf::new(version, table.phase, range, at, (head, context.history))?));
        }
        let Some((id, as_of)) = reading else { return Ok(false) };
        let size = (context.budget.max_rows, context.budget.max_bytes);
        let from = (context.connection, context.names);
        if let Some(batch) = as_of.page(from, (head, context.history), size, bad)? {
            cut(batch, context.budget.max_rows, out);
            return Ok(true);
        }
        if let (Some(edge), Some(table)) = (until.tables.get(id), state.tables.get_mut(id)) {
            if table.phase == edge.phase {
                *table = edge.clone();
            } else {
                table.next_phase();
            }
        }
        *reading = None;
    }
}

/// Up to where the table's current phase is read until it stands at the edge: to a row, or `Some(None)` to the end.
/// `None` when nothing of it is missing.
fn rest_until(table: &TableState, edge: &TableState) -> Option<Option<Vec<Cell>>> {
    if table.phase == Phase::Done {
        None
    } else if table.phase != edge.phase {
        Some(None)
    } else {
        (table.after != edge.after).then(|| edge.after.clone())
    }
}
