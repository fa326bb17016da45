//! `Group` at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, Relation, RelationName, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::bound::Bound;
use super::columns::Columns;
use super::config::{GroupConfig, Parsed};
use super::output::Groups;
use super::retract::{Moves, moves};
use super::values::Values;
use crate::bindings::Bindings;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// The entry of `Group`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// The key under which the state says what it depends on.
const SHAPE: &[u8] = b"S";

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Group";
    const SUMMARY: &'static str = "Keeps totals per group exact through inserts, updates and deletes.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = GroupConfig;

    fn properties(_: &GroupConfig) -> Properties {
        Properties { stateful: true, blocking: true, emits_changes: true, ..Properties::operator() }
    }

    fn validate(config: &GroupConfig) -> Result<()> {
        config.parse().map(drop)
    }

    fn build(config: GroupConfig) -> Result<Box<dyn Operator>> {
        let parsed = config.parse()?;
        Ok(Box::new(GroupBy {
            parsed,
            config,
            table: String::new(),
            input: None,
            bound: Bindings::default(),
            store: None,
        }))
    }
}

struct GroupBy {
    parsed: Parsed,
    config: GroupConfig,
    /// The name of the output table.
    table: String,
    /// The table that is grouped.
    input: Option<RelationName>,
    bound: Bindings<Arc<Bound>>,
    store: Option<Store>,
}

#[async_trait]
impl Operator for GroupBy {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.table = self.config.table.clone().unwrap_or_else(|| context.task.clone());
        let memory_bytes = self.config.state_memory.0 as usize;
        self.store =
            Some(Store::open(StoreSettings { folder: context.state_dir.clone(), memory_bytes }, state.as_ref())?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let bound = self.bind(batch.relation())?;
        let remembers = !self.config.whole_images;
        let store = opened(&mut self.store)?;
        let moves = moves(&bound, store, &batch, remembers)?;
        let columns = Columns::evaluate(&bound, &moves)?;
        let added = columns.failed.iter().filter(|(i, _)| moves.signs[*i] > 0);
        let refused: Vec<(usize, String)> = added.map(|(i, reason)| (moves.origins[*i], reason.clone())).collect();
        reject(&batch, &refused, out)?;
        let changes = fold(&bound, store, &moves, &columns)?;
        match changes {
            Some(changes) => out.emit(OutputPort::MAIN, changes.with_ingested_at_ms(batch.ingested_at_ms())).await,
            None => Ok(()),
        }
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if let Change::RenameTable { from } = &change.change
            && self.input.as_ref() == Some(from)
        {
            self.input = Some(change.relation.name().clone());
        }
        let bound = self.bind(&change.relation)?;
        let passed = match change.change {
            Change::CreateTable => Change::CreateTable,
            // No row is left, so no group is.
            Change::Truncate | Change::DropTable => {
                let store = opened(&mut self.store)?;
                store.clear();
                store.put(SHAPE.to_vec(), bound.shape.clone().into_bytes())?;
                Change::Truncate
            }
            _ => return Ok(()),
        };
        out.announce(OutputPort::MAIN, SchemaChange::new(bound.output.clone(), passed)).await
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.store)?.snapshot()
    }
}

fn opened(store: &mut Option<Store>) -> Result<&mut Store> {
    store.as_mut().ok_or_else(|| Error::bug("a group before open"))
}

impl GroupBy {
    /// The settings, bound to a version of the one table that is grouped.
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<Arc<Bound>> {
        let input = self.input.get_or_insert_with(|| relation.name().clone());
        if input != relation.name() {
            let text = format!("rows of two tables, {input} and {}, would be grouped together", relation.name());
            return Err(Error::config(text).with_setting("tables").with_hint(
                "name one of them: `tables: [orders]`; to group several as one, put them into one table first",
            ));
        }
        let (parsed, table, store) = (&self.parsed, &self.table, &mut self.store);
        let bound = self.bound.get(relation, || {
            let bound = Bound::new(parsed, relation, table)?;
            let store = opened(store)?;
            match store.get(SHAPE)? {
                None => store.put(SHAPE.to_vec(), bound.shape.clone().into_bytes())?,
                Some(shape) if shape == bound.shape.as_bytes() => {}
                Some(_) => {
                    let text =
                        format!("the columns of {} that are grouped or summed have other types now", relation.name());
                    return Err(Error::new(ErrorKind::Schema, text)
                        .with_hint("put `by` and `totals` back, or start over with `aqueduct checkpoint reset`"));
                }
            }
            Ok(Arc::new(bound))
        })?;
        Ok(bound.clone())
    }
}

/// Moves the rows in and out of their groups.
fn fold(bound: &Bound, store: &mut Store, moves: &Moves, columns: &Columns) -> Result<Option<Batch>> {
    let keys = bound.groups.convert_columns(&columns.by);
    let keys = keys.map_err(|error| Error::bug("groups do not fit their own columns").with_source(error))?;
    let mut failed = columns.failed.iter().map(|(i, _)| *i).peekable();
    let mut groups = Groups::new(Values::Kept);
    for (i, &sign) in moves.signs.iter().enumerate() {
        if failed.next_if_eq(&i).is_none() {
            let place = groups.place(keys.row(i).as_ref(), bound, store)?;
            groups.add(place, columns, i, sign, store)?;
        }
    }
    groups.settle(bound, store)
}
