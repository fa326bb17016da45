//! The tables of a scan, as they were at a place in the log: chunks of rows or sums of them, and what came behind.

use std::collections::VecDeque;
use std::time::Duration;

use aqueduct_model::{
    BadRows, Batch, Change, ChooseReading, Error, ErrorKind, Polled, Position, Reading, RelationName, Result,
    SchemaChange,
};

use super::fold::{Folded, chunks_of, fold_in};
use super::found::with_version;
use super::journal::{Draft, Journal};
use super::open::described;
use super::order::sorts_natively;
use super::position::{Phase, State};
use super::readers::{Done, Job};
use super::sums::Sums;
use super::{Key, KeyRange, LogBudget, LogItem, Seen, System, TableInfo, TableReader};

/// How long the log is waited for at a time.
const WAIT: Duration = Duration::from_millis(200);
/// Rows and bytes of the log that are asked for at a time.
const LOG_ROWS: usize = 8_192;
const LOG_BYTES: usize = 8 << 20;

/// See the module.
pub(super) struct Past<S: System> {
    pub(super) system: S,
    journal: Journal,
    /// Where the log is read from.
    begin: S::Mark,
    /// Up to where it has been read.
    at: S::Mark,
    /// The least place that can be computed.
    pub(super) high: S::Mark,
    pub(super) tables: Vec<Table<S>>,
    /// The table that is handed out, and what comes of it.
    next_table: usize,
    out: VecDeque<Polled>,
    /// The cut that the tables are as of.
    pub(super) folded: Option<Position>,
    /// Reading the log failed half way: what is known is of no use.
    pub(super) broken: bool,
    /// Compares keys where only the database can.
    reader: S::Reader,
}

/// A table, by its rows or summed up.
pub(super) struct Table<S: System> {
    pub(super) info: TableInfo,
    pub(super) chunks: Vec<Chunk<S>>,
    pub(super) folded: Folded,
    /// Instead of rows.
    pub(super) sums: Option<Sums>,
    next_chunk: usize,
}

/// What was read of one range.
pub(super) struct Chunk<S: System> {
    pub(super) range: KeyRange,
    pub(super) seen: Seen<S::Mark, S::Sight>,
    /// Its rows; none where they are summed up.
    draft: Option<Draft>,
    next_frame: usize,
}

impl<S: System> Past<S> {
    /// Reads every table.
    pub(super) async fn open(
        mut system: S,
        journal: Journal,
        chunk_rows: usize,
        choose: &ChooseReading,
    ) -> Result<Self> {
        let (infos, begin) = described(&mut system).await?;
        let mut past = Self {
            reader: system.reader().await?,
            system,
            journal,
            high: begin.clone(),
            at: begin.clone(),
            begin,
            tables: Vec::new(),
            next_table: 0,
            out: VecDeque::new(),
            folded: None,
            broken: false,
        };
        let relations: Vec<_> = infos.iter().map(|info| info.relation.clone()).collect();
        // From here on, so that the log is kept until it is read.
        past.system.start(&past.begin, &relations).await?;
        let mut number = 0;
        for info in infos {
            let sums = match choose(&info.relation) {
                Reading::Rows => None,
                Reading::Checksum => Sums::new(&info.relation),
                Reading::Nothing => continue,
            };
            let mut table = Table { info, chunks: Vec::new(), folded: Folded::default(), sums, next_chunk: 0 };
            past.read_table(&mut table, &mut number, chunk_rows).await?;
            past.tables.push(table);
        }
        Ok(past)
    }

    async fn read_table(&mut self, table: &mut Table<S>, number: &mut u64, chunk_rows: usize) -> Result<()> {
        let mut after: Option<Key> = None;
        loop {
            let relation = table.info.relation.clone();
            let up_to = match relation.key().is_empty() {
                true => None,
                false => self.reader.next_edge(&relation, after.as_ref(), chunk_rows).await?,
            };
            let range = KeyRange { after, up_to: up_to.clone() };
            *number += 1;
            let chunk = self.read(*number, table, range).await?;
            if self.system.reached(&chunk.seen.high, &self.high) {
                self.high = chunk.seen.high.clone();
            }
            table.chunks.push(chunk);
            after = up_to;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads a chunk, or sums it up.
    async fn read(&mut self, number: u64, table: &mut Table<S>, range: KeyRange) -> Result<Chunk<S>> {
        if let Some(sums) = &mut table.sums {
            match self.reader.sum_chunk(&table.info.relation, &range, &self.begin).await? {
                Some((seen, checksum)) => {
                    sums.add(checksum);
                    return Ok(Chunk { range, seen, draft: None, next_frame: 0 });
                }
                None if table.chunks.is_empty() => table.sums = None,
                None => return Err(Error::bug("a server sums up some chunks of a table only")),
            }
        }
        let job: Job<S> = Job {
            chunk: number,
            relation: table.info.relation.clone(),
            range: range.clone(),
            streamed: self.begin.clone(),
            delay: Duration::ZERO,
            journal: self.journal.clone(),
        };
        let reader = self.system.reader().await?;
        let Done { reader: _, result, .. } = job.run(std::mem::replace(&mut self.reader, reader)).await;
        let (seen, draft) = result?;
        Ok(Chunk { range, seen, draft: Some(draft), next_frame: 0 })
    }

    /// Reads the log up to the cut, and keeps what the chunks do not show.
    pub(super) async fn fold(&mut self, cut: &State<S::Mark>, bad: &mut BadRows) -> Result<()> {
        if self.broken {
            return Err(Error::new(ErrorKind::Unavailable, "an earlier try to compute the tables failed half way")
                .with_hint("verify again"));
        }
        if !self.system.reached(&cut.log, &self.high) {
            return Err(Error::new(ErrorKind::Unavailable, "the target has not come to where the source was read yet")
                .with_hint("let the flow run, and verify again"));
        }
        for table in &self.tables {
            // A table that is half read, or not at all, has no state that could be compared.
            let name = table.info.relation.name();
            let phase = cut.tables.get(name).map(|table| &table.phase);
            if matches!(phase, None | Some(Phase::Snapshot { .. } | Phase::CatchUp { .. })) {
                return Err(Error::new(ErrorKind::Unavailable, format!("the flow has not read all of {name} yet"))
                    .with_hint("verify again once it has"));
            }
        }
        self.broken = true;
        while !self.system.reached(&self.at, &cut.log) {
            let budget = LogBudget {
                max_rows: LOG_ROWS,
                max_bytes: LOG_BYTES,
                max_wait: WAIT,
                single: true,
                until: Some(cut.log.clone()),
            };
            match self.system.next(&budget, bad).await? {
                LogItem::Quiet(mark) => self.at = mark,
                LogItem::Rows { batches, transaction, boundary } => {
                    for batch in batches {
                        self.take(&batch, &transaction).await?;
                    }
                    self.at = boundary.unwrap_or_else(|| self.at.clone());
                }
                LogItem::Schema { change, .. } => return Err(changed(change.relation.name())),
                LogItem::Failed { error, .. } => return Err(error),
            }
        }
        self.tables.retain(|table| {
            let phase = cut.tables.get(table.info.relation.name()).map(|table| &table.phase);
            !matches!(phase, Some(Phase::Parked { .. } | Phase::Failed { .. }))
        });
        self.broken = false;
        Ok(())
    }

    /// Begins with the first table again.
    pub(super) fn rewind(&mut self) {
        self.next_table = 0;
        self.out.clear();
        for table in &mut self.tables {
            table.next_chunk = 0;
            table.chunks.iter_mut().for_each(|chunk| chunk.next_frame = 0);
        }
    }

    async fn take(&mut self, batch: &Batch, transaction: &S::Transaction) -> Result<()> {
        let name = batch.relation().name();
        let Some(table) = self.tables.iter_mut().find(|table| table.info.relation.name() == name) else {
            return Ok(());
        };
        let native = table.info.native_key_order && sorts_natively(&table.info.relation);
        let reader = if native { None } else { Some(&mut self.reader) };
        let chunks = chunks_of(table, batch, reader).await?;
        fold_in(&self.system, table, batch, transaction, &chunks)
    }

    /// The next rows of the tables, one after the other.
    pub(super) async fn next(&mut self, max_rows: usize) -> Result<Polled> {
        loop {
            if let Some(polled) = self.out.pop_front() {
                return Ok(polled);
            }
            let Some(table) = self.tables.get_mut(self.next_table) else {
                self.rewind();
                return Ok(Polled::Finished);
            };
            if table.sums.is_some() {
                self.next_table += 1;
                continue;
            }
            let relation = table.info.relation.clone();
            if table.next_chunk == 0 && table.chunks.first().is_some_and(|chunk| chunk.next_frame == 0) {
                let announced = with_version(&relation, relation.version())?;
                self.out.push_back(Polled::Schema(SchemaChange::new(announced, Change::CreateTable)));
            }
            let batches = match table.chunks.get_mut(table.next_chunk) {
                None => {
                    self.next_table += 1;
                    table.folded.rest(&relation)?
                }
                Some(chunk) => {
                    let Some(draft) = &chunk.draft else { return Err(Error::bug("a chunk has no rows")) };
                    match draft.frame(chunk.next_frame) {
                        None => {
                            table.next_chunk += 1;
                            chunk.next_frame = 0;
                            Vec::new()
                        }
                        Some(frame) => {
                            let rows = self.journal.draft_batch(draft, frame, &relation).await?;
                            chunk.next_frame += 1;
                            vec![table.folded.untouched(&rows)?]
                        }
                    }
                }
            };
            for batch in batches {
                let mut from = 0;
                while from < batch.num_rows() {
                    let rows = max_rows.max(2).min(batch.num_rows() - from);
                    let rows = rows + usize::from(super::fold::parts_update(&batch, from + rows));
                    self.out.push_back(Polled::Batch(batch.slice(from, rows)));
                    from += rows;
                }
            }
        }
    }
}

fn changed(name: &RelationName) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{name} changed its columns while it was compared"))
        .with_hint("verify again")
}
