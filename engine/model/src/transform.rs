//! Pure operators: columns in, columns out, rows one to one.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use async_trait::async_trait;

use crate::{
    BadRow, Batch, Error, InputPort, Operator, OperatorContext, Output, OutputPort, Relation, Result, SchemaChange,
    State,
};

/// What a bound transform made of one batch.
#[derive(Debug)]
pub struct Applied {
    /// One row per input row, in order; rows named in `rejected` hold anything.
    pub rows: RecordBatch,
    /// Rows that could not be handled, by index, rising, with a reason free of cell values.
    pub rejected: Vec<(usize, String)>,
}

/// A pure function of a row, given per relation.
pub trait Transform: Send + Sync + 'static {
    /// Prepares the transform for the rows of one relation; called once for each version of each relation.
    ///
    /// # Errors
    /// `Config` when a setting names a column that the relation does not have; `Schema` when types do not fit.
    fn bind(&self, input: &Relation) -> Result<Box<dyn BoundTransform>>;
}

/// A transform that knows its input's columns.
pub trait BoundTransform: Send + Sync {
    /// The relation of what comes out.
    fn output(&self) -> &Arc<Relation>;

    /// For each output column, the input column it was taken or computed from alone.
    fn origins(&self) -> &[Option<usize>];

    /// Computes the output rows, one per input row.
    fn apply(&self, rows: &RecordBatch) -> Result<Applied>;
}

/// Makes an [`Operator`] of a [`Transform`]: binds it to each relation once, carries ops and present-masks along,
/// rejects what it refuses.
pub struct Stateless<T> {
    transform: T,
    /// The last few relations seen and their bindings; a stream of many tables alternates between few versions.
    bound: Vec<(Arc<Relation>, Box<dyn BoundTransform>)>,
}

/// How many bindings are kept; beyond it the oldest is bound anew when it comes back.
const BOUND_MAX: usize = 256;

impl<T: Transform> Stateless<T> {
    /// Wraps a transform.
    pub fn new(transform: T) -> Self {
        Self { transform, bound: Vec::new() }
    }

    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&dyn BoundTransform> {
        let known = self.bound.iter().position(|(seen, _)| Arc::ptr_eq(seen, relation) || **seen == **relation);
        let index = match known {
            Some(index) => index,
            None => {
                if self.bound.len() == BOUND_MAX {
                    self.bound.remove(0);
                }
                let bound = self.transform.bind(relation)?;
                self.bound.push((relation.clone(), bound));
                self.bound.len() - 1
            }
        };
        Ok(self.bound[index].1.as_ref())
    }
}

#[async_trait]
impl<T: Transform> Operator for Stateless<T> {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let bound = self.bind(batch.relation())?;
        let Applied { rows, rejected } = bound.apply(batch.rows())?;
        let output = batch.with_columns(bound.output().clone(), rows, bound.origins())?;
        if rejected.is_empty() {
            return out.emit(OutputPort::MAIN, output).await;
        }
        let mut keep = vec![true; output.num_rows()];
        for (row, reason) in rejected {
            let kept =
                keep.get_mut(row).ok_or_else(|| Error::bug("a transform refused a row that it was not given"))?;
            *kept = false;
            out.reject(BadRow::of_batch(&batch, row, reason))?;
        }
        out.emit(OutputPort::MAIN, output.select(&BooleanArray::from(keep))?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let relation = self.bind(&change.relation)?.output().clone();
        out.announce(OutputPort::MAIN, SchemaChange { relation, ..change }).await
    }
}
