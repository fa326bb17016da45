//! The join at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, InputPort, Op, Operator, OperatorContext, Output, OutputPort, Relation, Result,
    SchemaChange, State,
};
use async_trait::async_trait;

use super::fold::{Moved, fold};
use super::kept::{Kept, Rows};
use super::pairs::Pairs;
use crate::join::config::{JoinConfig, Kind};
use crate::join::shape::{Alone, Shape};
use crate::join::side::Evaluated;
use crate::join::tables::{Table, Tables};
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// So many pairs are gathered before they go out.
const PAIRS_MAX: usize = 8_192;
/// So many kept rows are looked at at a time.
const PAGE_ROWS: usize = 1_024;

/// See the module.
pub(in crate::join) struct ChangelogJoin {
    kind: Kind,
    memory_bytes: usize,
    tables: Tables,
    rows: Option<Rows>,
    pairs: Pairs,
}

impl ChangelogJoin {
    pub(in crate::join) fn new(config: JoinConfig) -> Self {
        let (kind, memory_bytes) = (config.kind, config.memory.0 as usize);
        let tables = Tables::new(config, String::new());
        Self { kind, memory_bytes, tables, rows: None, pairs: Pairs::default() }
    }

    fn opened(&mut self) -> Result<&mut Rows> {
        self.rows.as_mut().ok_or_else(|| Error::bug("a join before open"))
    }

    /// Binds a table's relation; true when both became known by it.
    fn bind(&mut self, side: usize, relation: &Arc<Relation>) -> Result<bool> {
        let rows = self.rows.as_mut().ok_or_else(|| Error::bug("a join before open"))?;
        self.tables.bind(side, relation, &mut rows.store)
    }

    /// Both tables have become known: rows that came before have no partner.
    async fn catch_up(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(shape) = self.tables.shape() else { return Ok(()) };
        for side in (0..2).filter(|side| shape.alone[*side] == Alone::WithoutPartner) {
            let mut last: Option<Vec<u8>> = None;
            loop {
                let page = self.opened()?.page(side, last.as_deref(), PAGE_ROWS)?;
                if page.rows.is_empty() {
                    break;
                }
                let evaluated = evaluated(&shape, side, &page.rows)?;
                for i in 0..page.rows.len() {
                    let found = self.opened()?.get(side, evaluated.on(i), evaluated.id(i))?;
                    let Some(row) = found else { continue };
                    let pair = if side == 0 { [Some(&row), None] } else { [None, Some(&row)] };
                    self.pairs.add(&shape, pair, row.count);
                }
                last = page.last;
                self.send(0, None, out).await?;
            }
        }
        Ok(())
    }

    /// Sends what came and went, once it is so much.
    async fn send(&mut self, at_least: usize, ingested_at_ms: Option<i64>, out: &mut dyn Output) -> Result<()> {
        let Some(shape) = self.tables.shape().filter(|_| self.pairs.len() > at_least) else { return Ok(()) };
        match self.pairs.take(&shape)? {
            Some(batch) => {
                let batch = match ingested_at_ms {
                    Some(ms) => batch.with_ingested_at_ms(ms),
                    None => batch,
                };
                out.emit(OutputPort::MAIN, batch).await
            }
            None => Ok(()),
        }
    }

    /// Takes a row away, or the row that has its key.
    fn take_away(&mut self, side: usize, evaluated: &Evaluated, i: usize, table: &Table) -> Result<()> {
        let has_key = table.side.key.is_some();
        let rows = self.opened()?;
        let known = match has_key {
            true => rows.by_key(side, evaluated.id(i))?,
            false => rows.get(side, evaluated.on(i), evaluated.id(i))?,
        };
        let known = match known {
            Some(known) => known,
            // What is not there need not be taken away, where the key says that it is not.
            None if has_key => return Ok(()),
            None => Kept::new(evaluated.row(i)),
        };
        self.fold(side, evaluated, i, known, -1, has_key)
    }

    fn fold(
        &mut self,
        side: usize,
        evaluated: &Evaluated,
        i: usize,
        row: Kept,
        sign: i64,
        has_key: bool,
    ) -> Result<()> {
        let shape = self.tables.shape();
        // What was evaluated is perhaps the new row, and the one that moves the old one with other values.
        let is_same = sign > 0 || evaluated.on(i) == row.on();
        let partner = evaluated.partner.as_ref().filter(|_| is_same).map(|partner| partner.row(i));
        let moved = Moved { side, has_key, partner: partner.as_ref().map(AsRef::as_ref) };
        let rows = self.rows.as_mut().ok_or_else(|| Error::bug("a join before open"))?;
        fold(shape.as_deref(), rows, &mut self.pairs, &moved, row, sign)
    }

    /// Puts a new row into the place of the one that has its key.
    fn put(&mut self, side: usize, evaluated: &Evaluated, i: usize, table: &Table) -> Result<()> {
        let has_key = table.side.key.is_some();
        if has_key {
            self.take_away(side, evaluated, i, table)?;
        }
        let known = if has_key { None } else { self.opened()?.get(side, evaluated.on(i), evaluated.id(i))? };
        self.fold(side, evaluated, i, known.unwrap_or_else(|| Kept::new(evaluated.row(i))), 1, has_key)
    }

    /// Takes all rows of a table away.
    async fn empty(&mut self, side: usize, out: &mut dyn Output) -> Result<()> {
        let Some(table) = self.tables.get(side).cloned() else { return Ok(()) };
        loop {
            let page = self.opened()?.page(side, None, PAGE_ROWS)?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let narrow = table.side.restored(page.rows.iter().map(Vec::as_slice))?;
            let evaluated = table.side.evaluate(&narrow, None)?;
            for i in 0..page.rows.len() {
                while let Some(known) = self.opened()?.get(side, evaluated.on(i), evaluated.id(i))? {
                    self.fold(side, &evaluated, i, known, -1, table.side.key.is_some())?;
                }
            }
            self.send(0, None, out).await?;
        }
    }
}

fn evaluated(shape: &Shape, side: usize, rows: &[Vec<u8>]) -> Result<Evaluated> {
    let narrow = shape.sides[side].restored(rows.iter().map(Vec::as_slice))?;
    shape.sides[side].evaluate(&narrow, None)
}

#[async_trait]
impl Operator for ChangelogJoin {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes: self.memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.tables.open(context, &mut store)?;
        self.rows = Some(Rows { store });
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let side = self.tables.side_of(port, batch.relation().name())?;
        if self.bind(side, batch.relation())? {
            self.catch_up(out).await?;
        }
        let Some(table) = self.tables.get(side).cloned() else {
            return Err(Error::bug("a table of a join is not bound"));
        };
        let narrow = table.side.narrowed(&batch)?;
        let narrow = match table.side.key {
            Some(_) => {
                let rows = self.opened()?;
                table.side.completed(&batch, narrow, |id| Ok(rows.by_key(side, id)?.map(|row| row.bytes)))?
            }
            None => {
                table.side.check_whole(&batch)?;
                narrow
            }
        };
        let other = self.tables.get(1 - side).map(|other| other.side.clone());
        let evaluated = table.side.evaluate(&narrow, other.as_deref())?;
        let is_new = |i: usize| matches!(batch.op(i), Op::Insert | Op::UpdateAfter);
        let failed: Vec<(usize, String)> = evaluated.failed.iter().filter(|(i, _)| is_new(*i)).cloned().collect();
        reject(&batch, &failed, out)?;
        for i in 0..batch.num_rows() {
            let is_refused = failed.binary_search_by_key(&i, |(row, _)| *row).is_ok();
            match (is_new(i), is_refused) {
                (true, false) => self.put(side, &evaluated, i, &table)?,
                // A row that is refused is not joined, and neither is what it was before.
                (true, true) if table.side.key.is_none() => {}
                _ => self.take_away(side, &evaluated, i, &table)?,
            }
            if batch.op(i) != Op::UpdateBefore {
                self.send(PAIRS_MAX, Some(batch.ingested_at_ms()), out).await?;
            }
        }
        self.send(0, Some(batch.ingested_at_ms()), out).await
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        self.tables.follow(&change);
        let side = self.tables.side_of(port, change.relation.name())?;
        if self.bind(side, &change.relation)? {
            if let Some(shape) = self.tables.shape() {
                let output = shape.output.clone();
                out.announce(OutputPort::MAIN, SchemaChange::new(output, Change::CreateTable)).await?;
            }
            self.catch_up(out).await?;
        }
        match change.change {
            Change::Truncate | Change::DropTable => self.empty(side, out).await,
            _ => Ok(()),
        }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.opened()?.store.snapshot()
    }

    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        let alone = Alone::of(self.kind);
        for side in (0..2).filter(|side| alone[*side] == Alone::WithoutPartner) {
            let waits = self.tables.shape().is_none() && !self.opened()?.page(side, None, 1)?.rows.is_empty();
            if waits {
                return Err(self.tables.unknown(side));
            }
        }
        Ok(())
    }
}
