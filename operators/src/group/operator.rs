//! `Group` at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, Relation, RelationName, Result, SchemaChange, State, operator,
};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use async_trait::async_trait;

use super::bound::{Bound, BoundTotal};
use super::config::{GroupConfig, Parsed};
use super::output::Groups;
use super::retract::{Moves, moves};
use super::total::Total;
use crate::bindings::Bindings;
use crate::sql::BoundExpression;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// The entry of `Group`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// The key under which the state says what it depends on.
const SHAPE: &[u8] = b"S";
/// Keys of the values of a group begin with this.
const VALUE: u8 = b'V';

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

/// The groups and values of the rows that are moved.
struct Columns {
    by: Vec<ArrayRef>,
    /// By total: its prepared values, those as bytes where they are kept, and which rows count.
    totals: Vec<(Option<ArrayRef>, Option<arrow::row::Rows>, Option<ArrayRef>)>,
    /// Rows that cannot be computed, by index, with the reason; rising.
    failed: Vec<(usize, String)>,
}

impl Columns {
    fn evaluate(bound: &Bound, moves: &Moves) -> Result<Self> {
        let mut failed: Vec<(usize, String)> = Vec::new();
        let mut evaluate = |expression: &BoundExpression, rows: &RecordBatch| -> Result<ArrayRef> {
            let evaluated = expression.evaluate_rows(rows)?;
            failed.extend(evaluated.failed);
            Ok(evaluated.values)
        };
        let by: Vec<ArrayRef> = bound.by.iter().map(|by| evaluate(by, &moves.rows)).collect::<Result<_>>()?;
        let mut totals = Vec::new();
        for BoundTotal { kind, argument, condition, values } in &bound.totals {
            let argument = argument.as_ref().map(|argument| evaluate(argument, &moves.rows)).transpose()?;
            let condition = condition.as_ref().map(|condition| evaluate(condition, &moves.rows)).transpose()?;
            let kept = match (values, &argument) {
                (Some(converter), Some(argument)) => {
                    let rows = converter.convert_columns(std::slice::from_ref(argument));
                    Some(rows.map_err(|error| Error::bug("values do not fit their own type").with_source(error))?)
                }
                _ => None,
            };
            totals.push((argument.map(|argument| kind.prepared(&argument)).transpose()?, kept, condition));
        }
        for (column, (name, _)) in by.iter().zip(bound.output.columns().fields().iter().map(|field| (field.name(), ())))
        {
            let nulls = (0..column.len()).filter(|i| column.is_null(*i));
            failed.extend(nulls.map(|i| (i, format!("{name} is NULL, and a group needs a key: write `coalesce(…)`"))));
        }
        failed.sort_by_key(|(i, _)| *i);
        failed.dedup_by_key(|(i, _)| *i);
        Ok(Self { by, totals, failed })
    }
}

/// Moves the rows in and out of their groups.
fn fold(bound: &Bound, store: &mut Store, moves: &Moves, columns: &Columns) -> Result<Option<Batch>> {
    let keys = bound.groups.convert_columns(&columns.by);
    let keys = keys.map_err(|error| Error::bug("groups do not fit their own columns").with_source(error))?;
    let mut failed = columns.failed.iter().map(|(i, _)| *i).peekable();
    let mut groups = Groups::default();
    let mut stale: Vec<(usize, usize)> = Vec::new();
    for (i, &sign) in moves.signs.iter().enumerate() {
        if failed.next_if_eq(&i).is_some() {
            continue;
        }
        let key = keys.row(i);
        let place = groups.place(key.as_ref(), bound, store)?;
        let group = &mut groups.touched[place];
        group.now.rows += sign;
        if group.now.rows < 0 {
            return Err(Error::new(ErrorKind::Data, "a row is taken back from a group that never had it").with_hint(
                "the input has to begin with the table's rows: start over with `aqueduct checkpoint reset`",
            ));
        }
        for (n, (values, kept, condition)) in columns.totals.iter().enumerate() {
            let counts = |condition: &ArrayRef| condition.is_valid(i) && condition.as_boolean().value(i);
            if !condition.as_ref().is_none_or(counts) {
                continue;
            }
            let Some(kept) = kept else {
                group.now.totals[n].add(values.as_ref(), i, sign)?;
                continue;
            };
            if values.as_ref().is_some_and(|values| values.is_null(i)) {
                continue;
            }
            if keep(store, &mut group.now.totals[n], &group.key, n, kept.row(i).as_ref(), sign)? {
                stale.push((place, n));
            }
        }
    }
    for (place, n) in stale {
        let group = &mut groups.touched[place];
        group.now.totals[n] = Total::Extreme(first(store, &group.key, n)?);
    }
    groups.settle(bound, store)
}

/// Puts a value into the set of a total, or takes it out; true when the wanted one has to be looked for.
fn keep(store: &mut Store, total: &mut Total, group: &[u8], n: usize, value: &[u8], sign: i64) -> Result<bool> {
    let mut name = values_of(group, n);
    name.extend_from_slice(value);
    let count = store.get(&name)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes);
    let now = count + sign;
    if now == 0 {
        store.remove(name)?
    } else {
        store.put(name, now.to_le_bytes().to_vec())?
    }
    match total {
        Total::Whole { count: distinct, .. } => {
            *distinct += i64::from(now != 0) - i64::from(count != 0);
            Ok(false)
        }
        Total::Extreme(wanted) if now > 0 => {
            if wanted.as_deref().is_none_or(|wanted| value < wanted) {
                *wanted = Some(value.to_vec());
            }
            Ok(false)
        }
        Total::Extreme(wanted) => Ok(wanted.as_deref() == Some(value)),
        Total::Float { .. } => Err(Error::bug("a sum keeps no values")),
    }
}

/// The first of the kept values.
fn first(store: &Store, group: &[u8], n: usize) -> Result<Option<Vec<u8>>> {
    let prefix = values_of(group, n);
    let mut found = None;
    store.scan(&prefix, |key, _| {
        found = Some(key[prefix.len()..].to_vec());
        Ok(false)
    })?;
    Ok(found)
}

fn values_of(group: &[u8], n: usize) -> Vec<u8> {
    let mut name = vec![VALUE];
    name.extend((n as u16).to_be_bytes());
    name.extend((group.len() as u32).to_be_bytes());
    name.extend_from_slice(group);
    name
}
