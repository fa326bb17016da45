//! A table's columns and key, in an operator's state.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::kept_rows;

/// What a state says of a table whose rows it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptRelation {
    name: RelationName,
    /// No rows, with the names and types of the columns.
    columns: String,
    key: Vec<String>,
    version: u32,
}

impl KeptRelation {
    /// As it is kept.
    pub(crate) fn of(relation: &Relation) -> Result<Self> {
        Ok(Self {
            name: relation.name().clone(),
            columns: kept_rows::write(&RecordBatch::new_empty(relation.columns().clone()))?,
            key: relation.key_names().into_iter().map(str::to_owned).collect(),
            version: relation.version(),
        })
    }

    /// As it was.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(crate) fn relation(&self) -> Result<Arc<Relation>> {
        let columns = kept_rows::read(&self.columns)?.schema();
        Relation::new(self.name.clone(), columns, &self.key, self.version).map(Arc::new)
    }
}

/// A relation as bytes, for states that are not JSON.
pub(crate) fn write(relation: &Relation) -> Result<Vec<u8>> {
    let bytes = serde_json::to_vec(&KeptRelation::of(relation)?);
    bytes.map_err(|error| Error::bug("cannot write a relation of a state").with_source(error))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `State` when it did not.
pub(crate) fn read(bytes: &[u8]) -> Result<Arc<Relation>> {
    let foreign = |error| Error::new(ErrorKind::State, "cannot read the relation of a state").with_source(error);
    serde_json::from_slice::<KeptRelation>(bytes).map_err(foreign)?.relation()
}
