//! A target that believes nothing: it applies what it is given and complains about whatever does not follow from before.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Change, Op, Polled, SchemaChange};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::world::{World, is_backfilled};

/// A row: the value of each column.
type Cells = Vec<Option<i64>>;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    keyed: bool,
    columns: Vec<String>,
    /// By key, or by `k` and `v` without one; how often.
    rows: BTreeMap<Vec<Option<i64>>, (Cells, usize)>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Target {
    pub(super) tables: BTreeMap<String, Table>,
    /// Tables that the source dropped: a target keeps their rows.
    kept: BTreeMap<String, Table>,
}

impl Target {
    pub(super) fn apply(&mut self, polled: &Polled) -> Result<(), String> {
        match polled {
            Polled::Batch(batch) => self.batch(batch),
            Polled::Schema(change) => self.schema(change),
            Polled::Idle | Polled::Finished => Ok(()),
        }
    }

    fn batch(&mut self, batch: &Batch) -> Result<(), String> {
        let name = &batch.relation().name().table;
        let table = self.tables.get_mut(name).ok_or(format!("rows of {name}, which was not announced"))?;
        let columns: Vec<String> = batch.relation().columns().fields().iter().map(|f| f.name().clone()).collect();
        if columns != table.columns {
            return Err(format!("rows of {name} have columns {columns:?}, announced were {:?}", table.columns));
        }
        for i in 0..batch.num_rows() {
            let cells: Cells = batch
                .rows()
                .columns()
                .iter()
                .map(|column| column.is_valid(i).then(|| column.as_primitive::<Int64Type>().value(i)))
                .collect();
            let op = batch.op(i);
            let lone = op == Op::UpdateAfter && (i == 0 || batch.op(i - 1) != Op::UpdateBefore);
            match op {
                Op::Insert => table.add(cells, false),
                Op::UpdateAfter => table.add(cells, lone),
                Op::UpdateBefore | Op::Delete => table.remove(&cells),
            }
            .map_err(|error| format!("{name}, {op:?}: {error}"))?;
        }
        Ok(())
    }

    fn schema(&mut self, change: &SchemaChange) -> Result<(), String> {
        let relation = &change.relation;
        let name = relation.name().table.clone();
        let columns: Vec<String> = relation.columns().fields().iter().map(|f| f.name().clone()).collect();
        match &change.change {
            Change::Truncate if self.kept.contains_key(&name) && !self.tables.contains_key(&name) => {
                self.kept.remove(&name);
                Ok(())
            }
            Change::CreateTable => {
                // Also of a table that is not asked for any more, and comes again.
                if self.kept.remove(&name).is_some_and(|kept| !kept.rows.is_empty()) {
                    return Err(format!("{name} comes again over the rows of an earlier table"));
                }
                let table = Table { keyed: !relation.key().is_empty(), columns, rows: BTreeMap::new() };
                match self.tables.insert(name.clone(), table) {
                    // One that was no longer asked for is emptied when it comes again.
                    Some(before) if before.rows.is_empty() => Ok(()),
                    None => Ok(()),
                    Some(_) => Err(format!("{name} is announced a second time")),
                }
            }
            Change::DropTable => match self.tables.remove(&name) {
                Some(table) => {
                    self.kept.insert(name, table);
                    Ok(())
                }
                None => Err(format!("{name} is dropped but was not there")),
            },
            other => {
                let table = self.tables.get_mut(&name).ok_or(format!("{other:?} of {name}, which is not there"))?;
                if *other == Change::Truncate {
                    table.rows.clear();
                } else {
                    if table.rows.is_empty() {
                        table.keyed = !relation.key().is_empty();
                    }
                    table.columns = columns;
                    for (cells, _) in table.rows.values_mut() {
                        cells.resize(table.columns.len(), None);
                    }
                }
                Ok(())
            }
        }
    }

    /// How it differs from the world. `was_removed`: the one table that was not asked for at times, and may have been
    /// dropped meanwhile.
    pub(super) fn differs_from(&self, world: &World, was_removed: Option<&str>) -> Option<String> {
        let expected: BTreeMap<String, Table> = world
            .tables
            .iter()
            .map(|(name, table)| {
                let mut columns = vec!["k".to_owned(), "v".to_owned()];
                columns.extend((2..=table.version).map(|n| format!("c{n}")));
                let mut held = Table { keyed: table.keyed, columns, rows: BTreeMap::new() };
                for row in &table.rows {
                    let mut cells = vec![Some(row.0), Some(row.1)];
                    cells.extend((2..=table.version).map(|n| is_backfilled(n).then_some(i64::from(n))));
                    held.add(cells, false).expect("the world has each key once");
                }
                (name.clone(), held)
            })
            .collect();
        let is_stale = |name: &String| was_removed == Some(name) && !world.tables.contains_key(name);
        let found = self.tables.iter().filter(|(name, _)| !is_stale(name));
        (!expected.iter().eq(found)).then(|| format!("expected {expected:?}\n     got {:?}", self.tables))
    }
}

impl Table {
    fn place(&self, cells: &Cells) -> Vec<Option<i64>> {
        cells[..if self.keyed { 1 } else { 2 }].to_vec()
    }

    fn add(&mut self, cells: Cells, is_upsert: bool) -> Result<(), String> {
        let place = self.place(&cells);
        match self.rows.get_mut(&place) {
            None => drop(self.rows.insert(place, (cells, 1))),
            Some((_, count)) if !self.keyed => *count += 1,
            Some((known, _)) if is_upsert => *known = cells,
            Some((known, _)) => return Err(format!("{cells:?} is added where {known:?} is")),
        }
        Ok(())
    }

    fn remove(&mut self, cells: &Cells) -> Result<(), String> {
        let place = self.place(cells);
        let Some((known, count)) = self.rows.get_mut(&place) else {
            return Err(format!("{cells:?} is removed but was not there"));
        };
        // A column that was filled in is null here until the rows are read again.
        if !known.iter().zip(cells).all(|(known, cell)| known.is_none() || known == cell) {
            return Err(format!("{cells:?} is removed where {known:?} is"));
        }
        *count -= 1;
        if *count == 0 {
            self.rows.remove(&place);
        }
        Ok(())
    }
}
