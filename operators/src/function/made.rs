//! Columns that are made together, row by row: by a script, or by a component.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, Relation, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::returned::{Column, Output};
use super::value::Value;
use crate::predicate::present;
use crate::projection::{Compute, Origin, Projected, Projection};
use crate::sql::Evaluated;

/// The columns, over one relation.
#[derive(Debug)]
pub(super) struct Made {
    outputs: Vec<Output>,
    projection: Projection,
    /// Indices of the input columns that they are made from, rising.
    used: Vec<usize>,
    /// For each output, its place among the columns.
    places: Vec<usize>,
}

/// A column that stands in a projection for one that is made.
#[derive(Debug)]
struct Standing {
    data_type: DataType,
    columns: Vec<usize>,
}

impl Compute for Standing {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn compute(&self, _rows: &RecordBatch) -> Result<Evaluated> {
        Err(Error::bug("a column that is made with others is computed alone"))
    }
}

impl Made {
    /// Puts the columns behind those of a relation, or in the place of one of the same name.
    ///
    /// # Errors
    /// `Config` when the key would be lost.
    pub(super) fn new(relation: &Relation, outputs: Vec<Output>, mut used: Vec<usize>) -> Result<Self> {
        used.sort_unstable();
        used.dedup();
        let fields = relation.columns().fields();
        let mut columns: Vec<(String, Origin)> =
            fields.iter().enumerate().map(|(i, field)| (field.name().clone(), Origin::Column(i))).collect();
        let mut places = Vec::with_capacity(outputs.len());
        for output in &outputs {
            let standing = Standing { data_type: output.data_type.clone(), columns: used.clone() };
            let standing = (output.name.clone(), Origin::Made(Box::new(standing)));
            let known = columns.iter().position(|(name, _)| *name == output.name);
            places.push(known.unwrap_or(columns.len()));
            match known {
                Some(place) => columns[place] = standing,
                None => columns.push(standing),
            }
        }
        let projection = Projection::new(relation, relation.name().clone(), columns)?;
        Ok(Self { outputs, projection, used, places })
    }

    /// Indices of the input columns that they are made from, rising.
    pub(super) fn used(&self) -> &[usize] {
        &self.used
    }

    /// The relation of what comes out.
    pub(super) fn output(&self) -> &Arc<Relation> {
        self.projection.output()
    }

    /// See [`Projection::translate`].
    pub(super) fn translate(&self, input: &Relation, change: &Change) -> Option<Change> {
        self.projection.translate(input, change, true)
    }

    /// Makes the columns: `make` is called for each row, in order, and puts one value into each. It is not called
    /// where a value that they are made from is absent; what it would give is absent there.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn apply(
        &self,
        batch: &Batch,
        mut make: impl FnMut(usize, &mut [Gathered<'_>]) -> Result<()>,
    ) -> Result<Projected> {
        let known = present(&self.used, batch);
        let mut given = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            given.push(Gathered { output, column: output.column()?, failed: Vec::new() });
        }
        for row in 0..batch.num_rows() {
            if known.as_ref().is_none_or(|known| known.value(row)) {
                make(row, &mut given)?;
            } else {
                given.iter_mut().for_each(|one| one.column.put_null());
            }
        }
        let evaluated: Vec<Evaluated> = given.into_iter().map(Gathered::finish).collect::<Result<_>>()?;
        let made: BTreeMap<usize, Evaluated> = self.places.iter().copied().zip(evaluated).collect();
        self.projection.apply_made(batch, made)
    }
}

/// A column under way.
pub(super) struct Gathered<'a> {
    output: &'a Output,
    column: Column,
    failed: Vec<(usize, String)>,
}

impl Gathered<'_> {
    /// The column's name.
    pub(super) fn name(&self) -> &str {
        &self.output.name
    }

    /// Takes the value of a row; `None`: there is none, which is a mistake and not NULL.
    pub(super) fn take(&mut self, row: usize, value: Option<Value>) {
        let Some(value) = value else { return self.fail(row, self.output.missing()) };
        if let Err(why) = self.column.put(value) {
            self.fail(row, self.output.mismatch(why));
        }
    }

    /// Notes why a row has no value.
    pub(super) fn fail(&mut self, row: usize, why: String) {
        self.column.put_null();
        self.failed.push((row, why));
    }

    fn finish(self) -> Result<Evaluated> {
        let (values, unread) = self.column.finish()?;
        let mut failed = self.failed;
        failed.extend(unread.into_iter().map(|row| (row, self.output.mismatch("a text that is none"))));
        failed.sort_by_key(|(row, _)| *row);
        Ok(Evaluated { values, failed })
    }
}

/// The same reason for all columns of a row.
pub(super) fn fail_all(given: &mut [Gathered<'_>], row: usize, why: &str) {
    given.iter_mut().for_each(|one| one.fail(row, why.to_owned()));
}
