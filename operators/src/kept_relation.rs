//! A relation in an operator's state: what is held back can be sent before its input has said again what it is.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::kept_rows;

#[derive(Serialize, Deserialize)]
struct Kept {
    name: RelationName,
    /// No rows, with the columns.
    columns: String,
    key: Vec<String>,
    version: u32,
}

/// Writes a relation.
pub(crate) fn write(relation: &Relation) -> Result<Vec<u8>> {
    let kept = Kept {
        name: relation.name().clone(),
        columns: kept_rows::write(&RecordBatch::new_empty(relation.columns().clone()))?,
        key: relation.key_names().into_iter().map(str::to_owned).collect(),
        version: relation.version(),
    };
    serde_json::to_vec(&kept).map_err(|error| Error::bug("cannot write a relation of a state").with_source(error))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `State` when it did not.
pub(crate) fn read(bytes: &[u8]) -> Result<Arc<Relation>> {
    let foreign = |error| Error::new(ErrorKind::State, "cannot read the relation of a state").with_source(error);
    let kept: Kept = serde_json::from_slice(bytes).map_err(foreign)?;
    let columns = kept_rows::read(&kept.columns)?.schema();
    Relation::new(kept.name, columns, &kept.key, kept.version).map(Arc::new)
}
