//! Samples that are decided upon when the input ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Error, ErrorKind, Output, OutputPort, Relation, RelationName, Result, SchemaChange, State,
};

use super::cells::{has_bytes, pieces};
use super::held::{Held, Kept};

/// How many rows go out at a time.
const BATCH_ROWS: usize = 8_192;
/// The most tables of which rows are held.
const TABLES_MAX: usize = 100;

/// The rows that are held, by table.
#[derive(Debug)]
pub(super) struct Tables {
    held: BTreeMap<RelationName, Held>,
    by: Vec<String>,
    each: usize,
    seed: u64,
}

/// The place of a column of the groups.
///
/// # Errors
/// `Config` when it does not exist or its values cannot be told apart.
pub(super) fn group_column(relation: &Relation, name: &str) -> Result<usize> {
    let failed = |error: Error| error.with_setting("take.stratified.by");
    let (index, field) = relation.column(name).map_err(failed)?;
    if !has_bytes(field.data_type()) {
        let text = format!("values of {name} ({}) cannot be told apart", field.data_type());
        return Err(failed(Error::config(text).with_hint("group by a text, a number or a date")));
    }
    Ok(index)
}

impl Tables {
    pub(super) fn new(by: Vec<String>, each: usize, seed: u64) -> Self {
        Self { held: BTreeMap::new(), by, each, seed }
    }

    /// Reads what [`Tables::state`] wrote.
    ///
    /// # Errors
    /// `State` when it did not.
    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        if state.0.is_empty() {
            return Ok(());
        }
        let tables: Vec<Kept> = serde_json::from_slice(&state.0)
            .map_err(|error| Error::new(ErrorKind::State, "cannot read the state of a sample").with_source(error))?;
        for kept in &tables {
            let mut held = Held::restore(kept, &self.by, self.seed)?;
            held.sort_out(self.each)?;
            self.held.insert(held.relation().name().clone(), held);
        }
        Ok(())
    }

    /// What to keep over a restart.
    pub(super) fn state(&mut self) -> Result<State> {
        let mut tables = Vec::with_capacity(self.held.len());
        for held in self.held.values_mut() {
            held.sort_out(self.each)?;
            tables.push(held.kept()?);
        }
        let bytes = serde_json::to_vec(&tables)
            .map_err(|error| Error::bug("cannot write the state of a sample").with_source(error))?;
        Ok(State(bytes))
    }

    /// Takes rows in.
    pub(super) fn take_in(&mut self, batch: &Batch) -> Result<()> {
        let relation = batch.relation();
        if !self.held.contains_key(relation.name()) {
            if self.held.len() == TABLES_MAX {
                return Err(Error::new(ErrorKind::Data, format!("samples of more than {TABLES_MAX} tables"))
                    .with_setting("take")
                    .with_hint("limit the task by `tables: […]`, or use `bernoulli`, which holds nothing"));
            }
            self.held.insert(relation.name().clone(), Held::new(relation, &self.by)?);
        }
        let held = self.held.get_mut(relation.name()).ok_or_else(|| Error::bug("a table was put in above"))?;
        if same(held.relation(), relation) {
            held.take_in(batch, self.each, self.seed)
        } else {
            Err(reshaped(relation))
        }
    }

    /// Handles DDL: the rows that are held cannot take another shape.
    pub(super) fn on_schema(&self, change: &SchemaChange) -> Result<()> {
        match self.held.get(change.relation.name()) {
            Some(held) if change.change != Change::CreateTable || !same(held.relation(), &change.relation) => {
                Err(reshaped(&change.relation))
            }
            _ => Ok(()),
        }
    }

    /// Gives the rows away.
    pub(super) async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        for mut held in std::mem::take(&mut self.held).into_values() {
            held.sort_out(self.each)?;
            let batch = held.batch()?;
            for piece in pieces(batch.num_rows(), BATCH_ROWS) {
                out.emit(OutputPort::MAIN, batch.slice(piece.start, piece.len())).await?;
            }
        }
        Ok(())
    }
}

fn same(held: &Arc<Relation>, relation: &Relation) -> bool {
    held.columns().fields() == relation.columns().fields() && held.key() == relation.key()
}

fn reshaped(relation: &Relation) -> Error {
    let text = format!("{} changed while rows of it are held for a sample", relation.name());
    Error::new(ErrorKind::Schema, text).with_hint("run the flow again from its beginning, or use `bernoulli`")
}
