//! Items in an operator's state: JSON, with the rows of each relation as Arrow's IPC stream.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Relation, RelationName, Result, State};
use arrow::compute::concat_batches;
use serde::{Deserialize, Serialize};

use super::item::{Item, Stage};
use crate::kept_rows;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// The number of the next item.
    next: u64,
    tables: Vec<Table>,
    /// Runs whose folders are to be removed.
    over: Vec<String>,
}

/// Items whose rows have one relation.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: RelationName,
    key: Vec<String>,
    version: u32,
    rows: String,
    /// For each row: number, digest, and whether it has ended.
    items: Vec<(u64, String, bool)>,
}

/// What a state holds.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) next: u64,
    /// In the order of their numbers, and whether they have ended.
    pub(super) items: Vec<(Item, bool)>,
    pub(super) over: Vec<String>,
}

/// The state of these items; those that are emitted are left out.
pub(super) fn write<'a>(next: u64, items: impl Iterator<Item = &'a Item>, over: &[String]) -> Result<State> {
    let mut tables: Vec<(Arc<Relation>, Vec<&Item>)> = Vec::new();
    for item in items {
        let ended = matches!(item.stage, Stage::Emitted);
        if ended {
            continue;
        }
        match tables.iter_mut().find(|(relation, _)| Arc::ptr_eq(relation, item.row.relation())) {
            Some((_, items)) => items.push(item),
            None => tables.push((item.row.relation().clone(), vec![item])),
        }
    }
    let table = |(relation, items): (Arc<Relation>, Vec<&Item>)| {
        let rows = concat_batches(relation.columns(), items.iter().map(|item| item.row.rows()))
            .map_err(|error| Error::bug("items of one relation do not fit together").with_source(error))?;
        let has_ended = |item: &Item| matches!(item.stage, Stage::Ended(_) | Stage::Named(_));
        Ok(Table {
            name: relation.name().clone(),
            key: relation.key_names().into_iter().map(str::to_owned).collect(),
            version: relation.version(),
            rows: kept_rows::write(&rows)?,
            items: items.iter().map(|item| (item.number, format!("{:x}", item.digest), has_ended(item))).collect(),
        })
    };
    let tables = tables.into_iter().map(table).collect::<Result<_>>()?;
    let stored = Stored { next, tables, over: over.to_vec() };
    let bytes =
        serde_json::to_vec(&stored).map_err(|error| Error::bug("a state that is no JSON").with_source(error))?;
    Ok(State(bytes))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `State` when it did not.
pub(super) fn read(state: &State) -> Result<Restored> {
    let failed = || Error::new(ErrorKind::State, "cannot read the state of the items");
    let stored: Stored = serde_json::from_slice(&state.0).map_err(|error| failed().with_source(error))?;
    let mut restored = Restored { next: stored.next, items: Vec::new(), over: stored.over };
    for table in stored.tables {
        let rows = kept_rows::read(&table.rows)?;
        if rows.num_rows() != table.items.len() {
            return Err(failed());
        }
        let relation = Arc::new(Relation::new(table.name, rows.schema(), &table.key, table.version)?);
        let rows = Batch::inserts(relation, rows)?;
        for (row, (number, digest, ended)) in table.items.into_iter().enumerate() {
            let digest = u64::from_str_radix(&digest, 16).map_err(|error| failed().with_source(error))?;
            restored.items.push((Item { number, digest, row: rows.slice(row, 1), stage: Stage::Waiting }, ended));
        }
    }
    restored.items.sort_by_key(|(item, _)| item.number);
    Ok(restored)
}
