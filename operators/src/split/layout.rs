//! The relation of the parts, and rows of it.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, Op, Relation, Result};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::config::SplitConfig;
use super::parts::{Cutter, Parts, part_type};

/// Where an output column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Input(usize),
    Part,
    Position,
}

/// The output columns for one input relation.
#[derive(Debug)]
pub(super) struct Layout {
    /// The column that is split.
    pub(super) column: usize,
    pub(super) output: Arc<Relation>,
    places: Vec<Place>,
}

/// Output rows, not yet made: for each one where its values come from.
#[derive(Debug, Default)]
pub(super) struct Picked {
    rows: Vec<u32>,
    parts: Vec<Option<u64>>,
    positions: Vec<i64>,
    ops: Vec<u8>,
}

impl Picked {
    pub(super) fn push(&mut self, row: usize, part: Option<usize>, position: usize, op: Op) {
        // A batch has fewer rows than 2^32, as Arrow's own selections have it.
        self.rows.push(row as u32);
        self.parts.push(part.map(|part| part as u64));
        self.positions.push(position as i64 + 1);
        self.ops.push(op as u8);
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Layout {
    /// Names the output columns of a relation.
    ///
    /// # Errors
    /// `Config` when the column does not exist or cannot be split, names clash, or the key would be lost.
    pub(super) fn new(config: &SplitConfig, cutter: &Cutter, input: &Relation) -> Result<Self> {
        let (column, field) = input.column(&config.column).map_err(|error| error.with_setting("column"))?;
        let part = Arc::new(Field::new(
            config.into.as_ref().unwrap_or(&config.column),
            part_type(cutter, &config.column, field.data_type())?,
            true,
        ));
        let mut columns: Vec<(FieldRef, Place)> =
            input.columns().fields().iter().cloned().enumerate().map(|(i, field)| (field, Place::Input(i))).collect();
        match &config.into {
            None if input.key().contains(&column) => {
                return Err(Error::config(format!("the key of {} would be lost", input.name()))
                    .with_setting("into")
                    .with_hint(format!("name another column for the parts: `into: {}_part`", config.column)));
            }
            None => columns[column] = (part, Place::Part),
            Some(_) => columns.push((part, Place::Part)),
        }
        columns.push((Arc::new(Field::new(&config.position, DataType::Int64, false)), Place::Position));
        for (i, (field, place)) in columns.iter().enumerate() {
            if columns[..i].iter().any(|(other, _)| other.name() == field.name()) {
                let setting = if *place == Place::Part { "into" } else { "position" };
                return Err(Error::config(format!("{} already has a column {}", input.name(), field.name()))
                    .with_setting(setting)
                    .with_hint(format!("choose another name for `{setting}`")));
            }
        }
        let (fields, places): (Vec<FieldRef>, Vec<Place>) = columns.into_iter().unzip();
        // Without a key of the rows themselves the place alone would make rows equal that are not.
        let own = (!input.key().is_empty()).then_some(config.position.as_str());
        let key: Vec<&str> = input.key_names().into_iter().chain(own).collect();
        let output = Relation::new(input.name().clone(), Arc::new(Schema::new(fields)), &key, input.version())?;
        Ok(Self { column, output: Arc::new(output), places })
    }

    /// Makes rows.
    pub(super) fn batch(&self, input: &Batch, parts: &Parts, picked: Picked) -> Result<Batch> {
        let failed = |error| Error::bug("cannot pick rows of a batch").with_source(error);
        let rows = UInt32Array::from(picked.rows);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            arrays.push(match place {
                Place::Input(index) => take(input.rows().column(*index), &rows, None).map_err(failed)?,
                Place::Part => take(&parts.values, &UInt64Array::from(picked.parts.clone()), None).map_err(failed)?,
                Place::Position => Arc::new(Int64Array::from(picked.positions.clone())),
            });
        }
        let made = RecordBatch::try_new(self.output.columns().clone(), arrays)
            .map_err(|error| Error::bug("split rows do not fit their columns").with_source(error))?;
        let mut output = match input.is_append_only() {
            true => Batch::inserts(self.output.clone(), made)?,
            false => Batch::changes(self.output.clone(), made, UInt8Array::from(picked.ops))?,
        };
        for (i, place) in self.places.iter().enumerate() {
            let Place::Input(index) = place else { continue };
            if let Some(present) = input.present(*index) {
                let present = take(present, &rows, None).map_err(failed)?;
                output = output.with_present(i, present.as_boolean().clone())?;
            }
        }
        Ok(output.with_ingested_at_ms(input.ingested_at_ms()))
    }
}

/// What a change of the input's shape is to those behind.
pub(super) fn translate(config: &SplitConfig, change: Change) -> Change {
    match (change, &config.into) {
        (Change::AlterColumns(mut names), Some(into)) if names.contains(&config.column) => {
            names.push(into.clone());
            Change::AlterColumns(names)
        }
        (change, _) => change,
    }
}
