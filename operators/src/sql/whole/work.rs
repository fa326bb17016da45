//! Keeping the rows of the inputs, and working on them at the end.

use std::sync::Arc;

use aqueduct_model::{
    Batch, ByteSize, Error, ErrorKind, OperatorContext, Output, OutputPort, Relation, RelationName, Result,
    SchemaChange, State,
};

use super::super::declared::declared;
use super::query::{WholeQuery, text_of};
use super::run::{Input, Limits, Running};
use crate::mapping::Ordered;
use crate::spool::{Intake, Spool, View};

/// What operators that need all rows have in common.
pub(crate) struct Work {
    intake: Intake,
    memory_bytes: usize,
    inputs: Vec<String>,
}

/// What the output table is called and has as its key.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: RelationName,
    pub(crate) key: Vec<String>,
    pub(crate) version: u32,
}

impl Work {
    /// Goes on from a checkpoint, or begins.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged.
    pub(crate) fn open(context: &OperatorContext, state: Option<&State>, memory: ByteSize) -> Result<Self> {
        let memory_bytes = memory.0 as usize;
        let intake = Intake::open(context, state, memory_bytes / 2)?;
        Ok(Self { intake, memory_bytes, inputs: context.inputs.clone() })
    }

    /// The id of an input task.
    pub(crate) fn input(&self, port: usize) -> &str {
        self.inputs.get(port).map_or("", String::as_str)
    }

    /// The kept rows.
    pub(crate) fn spool(&self) -> &Spool {
        self.intake.spool()
    }

    /// Keeps the rows of a batch; true when it is the first of its table. See [`Intake::keep`].
    pub(crate) fn keep(&mut self, port: usize, batch: &Batch, used: &dyn Fn(&str) -> bool) -> Result<bool> {
        self.intake.keep(port, batch, used)
    }

    /// Follows DDL; true when a table is new. See [`Intake::follow`].
    pub(crate) fn follow(&mut self, port: usize, change: &SchemaChange, used: &dyn Fn(&str) -> bool) -> Result<bool> {
        self.intake.follow(port, change, used)
    }

    /// See [`Intake::snapshot`].
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        self.intake.snapshot()
    }

    /// The tables of a query; `None` for those of which nothing came and nothing is declared.
    ///
    /// # Errors
    /// `Config` when a name means several tables.
    pub(crate) fn tables(
        &self,
        query: &WholeQuery,
        columns: &Ordered<Ordered<String>>,
    ) -> Result<Vec<(String, Option<Input>)>> {
        let spool = self.intake.spool();
        let places = query.places(spool, &self.inputs)?;
        let found = query.tables.iter().zip(places).map(|(reference, place)| {
            let name = text_of(reference);
            let input = match place.and_then(|place| spool.tables().get(place)) {
                Some(table) => Some((self.intake.relation(table).clone(), spool.view(table))),
                None => columns.get(&name).map(|columns| declared(&name, columns)).transpose()?.map(|relation| {
                    let view = View::empty(relation.columns().clone());
                    (relation, view)
                }),
            };
            Ok((name, input))
        });
        found.collect()
    }

    /// Runs a query over its tables and gives its rows.
    ///
    /// # Errors
    /// `Config` when the query does not fit its tables; `Data` when a row cannot be computed or memory does not suffice.
    pub(crate) async fn run(
        &self,
        query: &WholeQuery,
        tables: Vec<Input>,
        target: &Target,
        out: &mut dyn Output,
    ) -> Result<()> {
        let held = self.intake.spool().held_bytes();
        let memory_bytes = self.memory_bytes.saturating_sub(held).max(self.memory_bytes / 2);
        let limits = Limits { memory_bytes, spill: self.intake.spill().cloned() };
        let mut running = Running::begin(query, tables, limits)?;
        let output = Relation::new(target.name.clone(), running.columns().clone(), &target.key, target.version)
            .map_err(|error| {
                Error::config("the key is not one of the output").with_setting("key").with_source(error)
            })?;
        let output = Arc::new(output);
        while let Some(rows) = running.next().await? {
            if let Some(&column) = output.key().iter().find(|&&column| rows.column(column).null_count() > 0) {
                let text = format!("the key column {} is NULL in a row", output.columns().field(column).name());
                return Err(Error::new(ErrorKind::Data, text)
                    .with_setting("key")
                    .with_hint("leave such rows out (`where … is not null`), or choose another key"));
            }
            out.emit(OutputPort::MAIN, Batch::inserts(output.clone(), rows)?).await?;
        }
        Ok(())
    }
}

/// The tables of a query, all of which have to be known.
///
/// # Errors
/// `Data` when nothing came of one of them.
pub(crate) fn all_known(tables: Vec<(String, Option<Input>)>) -> Result<Vec<Input>> {
    let known = |(name, input): (String, Option<Input>)| {
        input.ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("no row of {name} came, so its columns are not known"))
                .with_setting("columns")
                .with_hint(format!("if it may be empty, name the columns: `columns: {{ {name}: {{ id: bigint }} }}`"))
        })
    };
    tables.into_iter().map(known).collect()
}
