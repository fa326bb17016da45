//! The join at work.

use std::collections::HashSet;
use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Op, Operator, OperatorContext, Output, OutputPort, Relation,
    RelationName, Result, SchemaChange, State,
};
use async_trait::async_trait;

use super::fold::{Moved, fold};
use super::kept::{Kept, Rows};
use super::pairs::Pairs;
use super::shape::{Alone, Shape, prefixed};
use super::side::{Evaluated, Side, shape};
use crate::join::config::JoinConfig;
use crate::kept_relation;
use crate::sql::Expression;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// So many pairs are gathered before they go out.
const PAIRS_MAX: usize = 8_192;
/// So many kept rows are looked at at a time.
const PAGE_ROWS: usize = 1_024;
/// The keys of what the state of each table depends on, and of their relations.
const SHAPES: [&[u8]; 2] = [b"S0", b"S1"];
const TABLES: [&[u8]; 2] = [b"I0", b"I1"];
/// The key that is there once both tables are known.
const MET: &[u8] = b"B";
/// What messages call the tables.
const NAMES: [&str; 2] = ["left", "right"];

/// See the module.
pub(in crate::join) struct ChangelogJoin {
    config: JoinConfig,
    /// The tasks that feed each input.
    inputs: Vec<String>,
    /// The name of the output table.
    table: String,
    tables: [Option<Table>; 2],
    /// `None` until both tables are known.
    shape: Option<Arc<Shape>>,
    rows: Option<Rows>,
    pairs: Pairs,
}

/// A table in its last version.
#[derive(Clone)]
struct Table {
    relation: Arc<Relation>,
    side: Arc<Side>,
}

impl ChangelogJoin {
    pub(in crate::join) fn new(config: JoinConfig) -> Self {
        Self {
            config,
            inputs: Vec::new(),
            table: String::new(),
            tables: [None, None],
            shape: None,
            rows: None,
            pairs: Pairs::default(),
        }
    }

    fn opened(&mut self) -> Result<&mut Rows> {
        self.rows.as_mut().ok_or_else(|| Error::bug("a join before open"))
    }

    /// Which table a relation is.
    fn side_of(&self, port: InputPort, name: &RelationName) -> Result<usize> {
        let input = self.inputs.get(port.0).map_or("", String::as_str);
        let is_named = |wanted: &Option<String>| {
            wanted.as_ref().map(|wanted| wanted == input || name.matches(wanted)).unwrap_or_default()
        };
        let named = [&self.config.left, &self.config.right];
        let side = match (is_named(named[0]), is_named(named[1])) {
            (true, _) => 0,
            (_, true) => 1,
            _ if port.0 < named.len() && named[port.0].is_none() => port.0,
            _ => {
                let [left, right] = [self.name(0), self.name(1)];
                let text = format!("rows of {name} came by {input}, which is neither {left} nor {right}");
                return Err(Error::config(text).with_setting("left").with_hint(
                    "name the two tables: `left: orders`, `right: customers`; let others pass by with the task's \
                     `tables: […]`",
                ));
            }
        };
        match self.tables.get(side).and_then(Option::as_ref) {
            Some(known) if known.relation.name() != name => {
                let text = format!("two tables, {} and {name}, come as the {} one", known.relation.name(), NAMES[side]);
                Err(Error::config(text)
                    .with_setting("left")
                    .with_hint("name the two that are joined: `left: orders`, `right: customers`"))
            }
            _ => Ok(side),
        }
    }

    /// What a table is called.
    fn name(&self, side: usize) -> String {
        let named = [&self.config.left, &self.config.right][side].clone();
        named.or_else(|| self.inputs.get(side).cloned()).unwrap_or_else(|| NAMES[side].to_owned())
    }

    /// True for a column that the output or the condition may need.
    fn wants(&self, side: usize, column: &str) -> Result<bool> {
        let Some(select) = &self.config.select else { return Ok(true) };
        let other = prefixed(&self.config, &self.name(1), column);
        let is_selected = select.iter().any(|name| name == column || (side == 1 && *name == other));
        let condition = self.config.condition.as_ref().map(|text| Expression::parse(text)).transpose()?;
        let names = condition.map(|condition| condition.names()).unwrap_or_default();
        Ok(is_selected || names.iter().any(|name| name.eq_ignore_ascii_case(column)))
    }

    /// Binds a table's relation; true when both became known by it.
    fn bind(&mut self, side: usize, relation: &Arc<Relation>) -> Result<bool> {
        if let Some(known) = &self.tables[side]
            && (Arc::ptr_eq(&known.relation, relation) || known.relation == *relation)
        {
            return Ok(false);
        }
        let mut wanted: HashSet<&str> = HashSet::new();
        for field in relation.columns().fields() {
            if self.wants(side, field.name())? {
                wanted.insert(field.name());
            }
        }
        let on: Vec<&str> = self.config.pairs().iter().map(|pair| if side == 0 { pair.0 } else { pair.1 }).collect();
        let bound = Side::new(relation, &on, |name| wanted.contains(name))?;
        let (kind, condition) = (self.config.kind, &self.config.condition);
        let now = format!("{} by {on:?} as {kind:?} where {condition:?}", shape(relation, &bound)).into_bytes();
        let store = &mut self.opened()?.store;
        if store.get(SHAPES[side])?.is_some_and(|before| before != now) {
            let text = format!("the columns of {} that are joined are others now", relation.name());
            return Err(Error::new(ErrorKind::Schema, text).with_setting("select").with_hint(
                "name the columns that the output had: `select: [id, …]`; or start over with `aqueduct checkpoint reset`",
            ));
        }
        store.put(SHAPES[side].to_vec(), now)?;
        store.put(TABLES[side].to_vec(), kept_relation::write(relation)?)?;
        self.tables[side] = Some(Table { relation: relation.clone(), side: Arc::new(bound) });
        let [Some(left), Some(right)] = &self.tables else { return Ok(false) };
        let relations = [left.relation.as_ref(), right.relation.as_ref()];
        let sides = [left.side.clone(), right.side.clone()];
        let names = [self.name(0), self.name(1)];
        let made = Shape::new(&self.config, [&names[0], &names[1]], relations, sides, &self.table)?;
        self.shape = Some(Arc::new(made));
        let store = &mut self.opened()?.store;
        let is_first = store.get(MET)?.is_none();
        if is_first {
            store.put(MET.to_vec(), Vec::new())?;
        }
        Ok(is_first)
    }

    /// Both tables have become known: rows that came before have no partner.
    async fn catch_up(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(shape) = self.shape.clone() else { return Ok(()) };
        for side in (0..2).filter(|side| shape.alone[*side] == Alone::WithoutPartner) {
            let mut last: Option<Vec<u8>> = None;
            loop {
                let page = self.opened()?.page(side, last.as_deref(), PAGE_ROWS)?;
                if page.rows.is_empty() {
                    break;
                }
                let evaluated = evaluated(&shape, side, &page.rows)?;
                for i in 0..page.rows.len() {
                    let row = evaluated.row(i);
                    let Some(row) = self.opened()?.get(side, row.on.as_deref(), &row.id)? else { continue };
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
        let Some(shape) = self.shape.clone().filter(|_| self.pairs.len() > at_least) else { return Ok(()) };
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
        let row = evaluated.row(i);
        let rows = self.opened()?;
        let known = match has_key {
            true => rows.by_key(side, &row.id)?,
            false => rows.get(side, row.on.as_deref(), &row.id)?,
        };
        let known = match known {
            Some(known) => known,
            // What is not there need not be taken away, where the key says that it is not.
            None if has_key => return Ok(()),
            None => Kept::new(row),
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
        let shape = self.shape.clone();
        // What was evaluated is perhaps the new row, and the one that moves the old one with other values.
        let is_same = sign > 0 || evaluated.row(i).on.as_deref() == row.on();
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
        let row = evaluated.row(i);
        let known = if has_key { None } else { self.opened()?.get(side, row.on.as_deref(), &row.id)? };
        self.fold(side, evaluated, i, known.unwrap_or_else(|| Kept::new(row)), 1, has_key)
    }

    /// Takes all rows of a table away.
    async fn empty(&mut self, side: usize, out: &mut dyn Output) -> Result<()> {
        let Some(table) = self.tables[side].clone() else { return Ok(()) };
        loop {
            let page = self.opened()?.page(side, None, PAGE_ROWS)?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let narrow = table.side.restored(page.rows.iter().map(Vec::as_slice))?;
            let evaluated = table.side.evaluate(&narrow, None)?;
            for i in 0..page.rows.len() {
                let row = evaluated.row(i);
                while let Some(known) = self.opened()?.get(side, row.on.as_deref(), &row.id)? {
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
        self.table = self.config.table.clone().unwrap_or_else(|| context.task.clone());
        self.inputs.clone_from(&context.inputs);
        let memory_bytes = self.config.memory.0 as usize;
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        self.rows = Some(Rows { store: Store::open(settings, state.as_ref())? });
        for (side, name) in TABLES.iter().enumerate() {
            if let Some(bytes) = self.opened()?.store.get(name)? {
                self.bind(side, &kept_relation::read(&bytes)?)?;
            }
        }
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let side = self.side_of(port, batch.relation().name())?;
        if self.bind(side, batch.relation())? {
            self.catch_up(out).await?;
        }
        let Some(table) = self.tables[side].clone() else { return Err(Error::bug("a table of a join is not bound")) };
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
        let other = self.tables[1 - side].as_ref().map(|other| other.side.clone());
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
        if let Change::RenameTable { from } = &change.change {
            let renamed = self.tables.iter_mut().flatten().find(|table| table.relation.name() == from);
            if let Some(table) = renamed {
                table.relation = Arc::new(table.relation.renamed(change.relation.name().clone()));
            }
        }
        let side = self.side_of(port, change.relation.name())?;
        if self.bind(side, &change.relation)? {
            if let Some(shape) = &self.shape {
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
        let alone = Alone::of(self.config.kind);
        for side in (0..2).filter(|side| alone[*side] == Alone::WithoutPartner) {
            let waits = self.shape.is_none() && !self.opened()?.page(side, None, 1)?.rows.is_empty();
            if waits {
                let text = format!(
                    "nothing came of the {} table, so the columns of the output are not known",
                    NAMES[1 - side]
                );
                return Err(Error::new(ErrorKind::Schema, text)
                    .with_setting("type")
                    .with_hint("write `type: inner`, or let the source say its columns where it has no rows"));
            }
        }
        Ok(())
    }
}
