//! Keeping what comes in: inserts only, and only the columns that are used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Error, ErrorKind, OperatorContext, Relation, RelationName, Result, SchemaChange, State,
};
use arrow::datatypes::Schema;

use super::table::Table;
use super::{Spool, SpoolSettings};
use crate::bindings::Bindings;

/// The folder of the kept rows in an operator's own.
const ROWS: &str = "rows";
/// The folder for what is written while the rows are worked on; empty at every start.
const SPILL: &str = "spill";

/// Keeps the rows of an operator's inputs.
pub(crate) struct Intake {
    spool: Spool,
    narrowed: Bindings<Narrowed>,
    /// The tables with all their columns, as they came last.
    whole: BTreeMap<(usize, RelationName), Arc<Relation>>,
    /// Where work that does not fit memory may write.
    spill: Option<PathBuf>,
}

/// The columns of a relation that are kept.
struct Narrowed {
    columns: Vec<usize>,
    relation: Arc<Relation>,
}

impl Narrowed {
    fn new(relation: &Arc<Relation>, used: &dyn Fn(&str) -> bool) -> Result<Self> {
        let fields = relation.columns().fields();
        let mut columns: Vec<usize> = (0..fields.len()).filter(|&i| used(fields[i].name())).collect();
        if columns.is_empty() && !fields.is_empty() {
            // `count(*)`: rows need some column.
            columns.push(0);
        }
        if columns.len() == fields.len() {
            return Ok(Self { columns, relation: relation.clone() });
        }
        let kept = Schema::new(columns.iter().map(|&i| fields[i].clone()).collect::<Vec<_>>());
        let origins: Vec<Option<usize>> = columns.iter().map(|&i| Some(i)).collect();
        Ok(Self { relation: Arc::new(relation.derive(Arc::new(kept), &origins)), columns })
    }
}

impl Intake {
    /// Goes on from a checkpoint, or begins. `memory_bytes`: about how much of the rows is held in memory.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged.
    pub(crate) fn open(context: &OperatorContext, state: Option<&State>, memory_bytes: usize) -> Result<Self> {
        let within = |name: &str| context.state_dir.as_ref().map(|folder| folder.join(name));
        let spill = within(SPILL);
        if let Some(spill) = &spill {
            let failed = |error| super::segment::unwritable(spill, error);
            // What a killed run left there.
            if spill.exists() {
                std::fs::remove_dir_all(spill).map_err(failed)?;
            }
            std::fs::create_dir_all(spill).map_err(failed)?;
        }
        let spool = Spool::open(SpoolSettings { folder: within(ROWS), memory_bytes }, state)?;
        Ok(Self { spool, narrowed: Bindings::default(), whole: BTreeMap::new(), spill })
    }

    /// The kept rows.
    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// A kept table with all columns that it had when it came; of one from a checkpoint, with those that are kept.
    pub(crate) fn relation<'a>(&'a self, table: &'a Table) -> &'a Arc<Relation> {
        let name = (table.port(), table.relation().name().clone());
        self.whole.get(&name).unwrap_or(table.relation())
    }

    /// Where work that does not fit memory may write.
    pub(crate) fn spill(&self) -> Option<&PathBuf> {
        self.spill.as_ref()
    }

    /// Keeps the rows of a batch; true when it is the first of its table.
    ///
    /// # Errors
    /// `Data` for updates and deletes, and values that were not sent; those of [`Spool::push`].
    pub(crate) fn keep(&mut self, port: usize, batch: &Batch, used: &dyn Fn(&str) -> bool) -> Result<bool> {
        let relation = batch.relation();
        if !batch.is_append_only() {
            return Err(Error::new(
                ErrorKind::Data,
                format!("an update or delete of {}: with these settings the task takes inserts only", relation.name()),
            )
            .with_hint("read the table as it is, not its changes (such as MySQLInput instead of CdcInput)"));
        }
        let narrowed = self.narrowed.get(relation, || Narrowed::new(relation, used))?;
        if narrowed.columns.iter().any(|&column| batch.present(column).is_some()) {
            return Err(Error::new(ErrorKind::Data, format!("a new row of {} lacks values", relation.name()))
                .with_hint("let the source send whole rows"));
        }
        let is_new = self.spool.place(port, relation.name()).is_none();
        let place = self.spool.table(port, &narrowed.relation)?;
        if is_new {
            self.whole.insert((port, relation.name().clone()), relation.clone());
        }
        let rows = batch.rows().project(&narrowed.columns);
        let rows = rows.map_err(|error| Error::bug("a batch without its relation's columns").with_source(error))?;
        self.spool.push(place, rows)?;
        Ok(is_new)
    }

    /// Follows DDL: an emptied table has no rows; true when a table is new.
    ///
    /// # Errors
    /// `Schema` when rows are kept that have other columns, or another name.
    pub(crate) fn follow(&mut self, port: usize, change: &SchemaChange, used: &dyn Fn(&str) -> bool) -> Result<bool> {
        let relation = &change.relation;
        let place = self.spool.place(port, relation.name());
        match &change.change {
            Change::Truncate => {
                place.into_iter().for_each(|place| self.spool.clear(place));
            }
            Change::DropTable => {
                place.into_iter().for_each(|place| self.spool.remove(place));
                return Ok(false);
            }
            Change::RenameTable { from } if self.spool.place(port, from).is_some() => {
                let text = format!("{from} was renamed to {} while rows of it are kept", relation.name());
                return Err(Error::new(ErrorKind::Schema, text)
                    .with_hint("run the flow again from its beginning: `aqueduct checkpoint reset`"));
            }
            _ => {}
        }
        let narrowed = self.narrowed.get(relation, || Narrowed::new(relation, used))?;
        self.spool.table(port, &narrowed.relation)?;
        self.whole.insert((port, relation.name().clone()), relation.clone());
        Ok(place.is_none())
    }

    /// See [`Spool::snapshot`].
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        self.spool.snapshot()
    }
}
