//! The one relation that several become.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, Relation, RelationName, Result, State};
use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde::{Deserialize, Serialize};

use super::config::{By, UnionConfig};
use super::widening::widen;

/// The merged relation so far. Columns are only ever added and widened, so targets evolve and never lose data.
#[derive(Debug)]
pub(super) struct Merged {
    table: String,
    by: By,
    source_column: Option<String>,
    relation: Option<Arc<Relation>>,
}

/// What is kept over a restart: without it the first table seen would decide the columns anew.
#[derive(Serialize, Deserialize)]
struct Kept {
    columns: Schema,
    key: Vec<String>,
    version: u32,
}

impl Merged {
    pub(super) fn new(config: &UnionConfig, table: String) -> Self {
        Self { table, by: config.by, source_column: config.source_column.clone(), relation: None }
    }

    /// Restores what [`Merged::state`] returned.
    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        if state.0.is_empty() {
            return Ok(());
        }
        let kept: Kept = serde_json::from_slice(&state.0)
            .map_err(|error| Error::new(ErrorKind::State, "cannot read the state of a union").with_source(error))?;
        let name = RelationName::table(&self.table);
        self.relation = Some(Arc::new(Relation::new(name, Arc::new(kept.columns), &kept.key, kept.version)?));
        Ok(())
    }

    /// What to keep over a restart.
    pub(super) fn state(&self) -> Result<State> {
        let Some(relation) = &self.relation else { return Ok(State::default()) };
        let kept = Kept {
            columns: relation.columns().as_ref().clone(),
            key: relation.key_names().into_iter().map(str::to_owned).collect(),
            version: relation.version(),
        };
        let bytes = serde_json::to_vec(&kept)
            .map_err(|error| Error::bug("cannot write the state of a union").with_source(error))?;
        Ok(State(bytes))
    }

    /// Takes a table in: returns the changes of the merged relation that it makes, each with the relation behind it.
    ///
    /// # Errors
    /// `Schema` when types cannot be widened, keys differ, or (by position) the number of columns does.
    pub(super) fn take_in(&mut self, input: &Relation) -> Result<Vec<(Arc<Relation>, Change)>> {
        let Some(old) = self.relation.clone() else {
            let relation = Arc::new(self.first(input)?);
            self.relation = Some(relation.clone());
            return Ok(vec![(relation, Change::CreateTable)]);
        };
        let own = usize::from(self.source_column.is_some());
        if self.by == By::Position && input.columns().fields().len() + own != old.columns().fields().len() {
            return Err(mismatch(input, &self.table, "has another number of columns")
                .with_hint("name the columns with Mapping first, and use `by: name`"));
        }
        let mut fields: Vec<FieldRef> = old.columns().fields().iter().cloned().collect();
        let (mut widened, mut added) = (Vec::new(), Vec::new());
        for (i, field) in input.columns().fields().iter().enumerate() {
            match self.place(&old, i, field) {
                Some(at) => {
                    let data_type = widen(fields[at].data_type(), field.data_type())
                        .ok_or_else(|| no_type(input, &fields[at], field))?;
                    if data_type != *fields[at].data_type() {
                        fields[at] = Arc::new(fields[at].as_ref().clone().with_data_type(data_type));
                        widened.push(fields[at].name().clone());
                    }
                }
                None => {
                    added.push(field.name().clone());
                    fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
                }
            }
        }
        self.check_key(&old, input)?;
        let mut changes = Vec::new();
        let mut next = old;
        for (names, change) in
            [(&widened, Change::AlterColumns(widened.clone())), (&added, Change::AddColumns(added.clone()))]
        {
            if !names.is_empty() {
                let kept =
                    if matches!(change, Change::AlterColumns(_)) { fields.len() - added.len() } else { fields.len() };
                let columns = Arc::new(Schema::new(fields[..kept].to_vec()));
                next = Arc::new(Relation::new(next.name().clone(), columns, &next.key_names(), next.version() + 1)?);
                changes.push((next.clone(), change));
            }
        }
        self.relation = Some(next);
        Ok(changes)
    }

    /// The rows of a batch as rows of the merged relation, into which its relation was taken.
    pub(super) fn merge(&self, batch: &Batch) -> Result<Batch> {
        let Some(relation) = &self.relation else { return Err(Error::bug("a batch before its relation was merged")) };
        let input = batch.relation();
        let mut columns: Vec<ArrayRef> =
            relation.columns().fields().iter().map(|field| new_null_array(field.data_type(), 0)).collect();
        let mut origins = vec![None; columns.len()];
        for (i, (field, column)) in input.columns().fields().iter().zip(batch.rows().columns()).enumerate() {
            let at = self.place(relation, i, field).ok_or_else(|| Error::bug("a column was not merged"))?;
            columns[at] = convert(column, relation.columns().field(at).data_type())?;
            origins[at] = Some(i);
        }
        if self.source_column.is_some() {
            columns[0] = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                input.name().to_string(),
                batch.num_rows(),
            )));
        }
        for (i, column) in columns.iter_mut().enumerate() {
            if column.len() != batch.num_rows() {
                *column = new_null_array(relation.columns().field(i).data_type(), batch.num_rows());
            }
        }
        let rows = RecordBatch::try_new(relation.columns().clone(), columns).map_err(|error| {
            Error::new(ErrorKind::Schema, format!("rows of {} do not fit {}", input.name(), self.table))
                .with_source(error)
        })?;
        batch.with_columns(relation.clone(), rows, &origins)
    }

    fn first(&self, input: &Relation) -> Result<Relation> {
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut key = input.key_names();
        if let Some(column) = &self.source_column {
            if input.columns().index_of(column).is_ok() {
                return Err(Error::config(format!("{} already has a column {column}", input.name()))
                    .with_setting("source_column")
                    .with_hint("choose another name"));
            }
            fields.push(Arc::new(Field::new(column, DataType::Utf8, false)));
            if !key.is_empty() {
                key.insert(0, column);
            }
        }
        // Another table may lack any column but the key, so they are nullable from the start.
        let keyed = input.columns().fields().iter().enumerate();
        fields.extend(keyed.map(|(i, field)| match input.key().contains(&i) {
            true => field.clone(),
            false => Arc::new(field.as_ref().clone().with_nullable(true)),
        }));
        Relation::new(RelationName::table(&self.table), Arc::new(Schema::new(fields)), &key, 1)
    }

    /// The place of an input column in the merged relation.
    fn place(&self, relation: &Relation, index: usize, field: &Field) -> Option<usize> {
        match self.by {
            By::Name => relation.columns().index_of(field.name()).ok(),
            By::Position => Some(index + usize::from(self.source_column.is_some())),
        }
    }

    fn check_key(&self, merged: &Relation, input: &Relation) -> Result<()> {
        let own = usize::from(self.source_column.is_some() && !merged.key().is_empty());
        let key: Vec<Option<usize>> =
            input.key().iter().map(|&i| self.place(merged, i, input.columns().field(i))).collect();
        if key.iter().copied().eq(merged.key()[own..].iter().copied().map(Some)) {
            return Ok(());
        }
        Err(mismatch(input, &self.table, "has another key").with_hint(format!(
            "the key of {} is ({}); all tables of a union need the same",
            self.table,
            merged.key_names().join(", ")
        )))
    }
}

fn convert(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(column.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    // The cause would quote a value.
    cast_with_options(column, data_type, &options).map_err(|_| {
        Error::new(ErrorKind::Data, format!("a value of type {} does not fit {data_type}", column.data_type()))
            .with_hint("a value is out of its type's range at the source; mend it there")
    })
}

fn mismatch(input: &Relation, table: &str, what: &str) -> Error {
    Error::new(ErrorKind::Schema, format!("{} {what} than the tables already merged into {table}", input.name()))
}

fn no_type(input: &Relation, merged: &Field, field: &Field) -> Error {
    let text = format!(
        "column {} of {} is {}, which has no common type with {}",
        field.name(),
        input.name(),
        field.data_type(),
        merged.data_type()
    );
    Error::new(ErrorKind::Schema, text)
        .with_hint(format!("convert one of them first: plugin Mapping with `cast: {{ {}: varchar }}`", field.name()))
}
