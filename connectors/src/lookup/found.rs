//! The wanted columns of rows that were found, beside the rows of the input.

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::row::{RowConverter, RowParser};

use super::cache::{Answer, Bytes};
use super::config::Pair;
use super::keys::{Keys, converter};

/// Encodes wanted columns, and puts them beside rows.
pub(super) struct Found {
    converter: RowConverter,
    parser: RowParser,
    /// A row in which every wanted column is NULL.
    nothing: Bytes,
    /// The wanted columns, under the names of the output.
    fields: Vec<FieldRef>,
}

impl Found {
    /// For wanted columns of a table, in order.
    pub(super) fn new(wanted: &SchemaRef, names: &[Pair]) -> Result<Self> {
        let converter = converter(wanted)?;
        let nulls: Vec<ArrayRef> =
            wanted.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), 1)).collect();
        let nothing = converter.convert_columns(&nulls);
        let nothing = nothing.map_err(|error| Error::bug("NULLs cannot be encoded").with_source(error))?;
        // What the table's columns are marked with says something of the table, and nothing of the output.
        let fields = wanted.fields().iter().zip(names);
        let fields = fields.map(|(field, name)| Arc::new(Field::new(name.right(), field.data_type().clone(), true)));
        Ok(Self {
            nothing: nothing.row(0).as_ref().into(),
            parser: converter.parser(),
            converter,
            fields: fields.collect(),
        })
    }

    /// The input's relation with the wanted columns behind its own.
    ///
    /// # Errors
    /// `Config` when it has a column of that name.
    pub(super) fn output(&self, input: &Relation) -> Result<Arc<Relation>> {
        let own = input.columns().fields();
        if let Some(taken) = self.fields.iter().find(|field| input.columns().index_of(field.name()).is_ok()) {
            let name = taken.name();
            return Err(Error::config(format!("{} already has a column {name}", input.name()))
                .with_setting("columns")
                .with_hint(format!("give it another name: `columns: [{{ {name}: found_{name} }}]`")));
        }
        let fields: Vec<FieldRef> = own.iter().chain(&self.fields).cloned().collect();
        let origins: Vec<Option<usize>> = (0..own.len()).map(Some).chain(self.fields.iter().map(|_| None)).collect();
        let columns = Schema::new_with_metadata(fields, input.columns().metadata().clone());
        Ok(Arc::new(input.derive(Arc::new(columns), &origins)))
    }

    /// What the table gave, by key; of keys that it has twice only that.
    pub(super) fn answers(
        &self,
        keys: &Keys,
        key_columns: usize,
        rows: &[RecordBatch],
    ) -> Result<HashMap<Bytes, Answer>> {
        let mut answers: HashMap<Bytes, Answer> = HashMap::new();
        for batch in rows {
            let of_key = keys.rows(&batch.columns()[..key_columns])?;
            let wanted = self.converter.convert_columns(&batch.columns()[key_columns..]);
            let wanted = wanted.map_err(|error| Error::bug("found columns cannot be encoded").with_source(error))?;
            for row in 0..batch.num_rows() {
                let found = Answer::Row(wanted.row(row).as_ref().into());
                answers
                    .entry(of_key.row(row).as_ref().into())
                    .and_modify(|known| *known = Answer::Several)
                    .or_insert(found);
            }
        }
        Ok(answers)
    }

    /// The batch with what was found for each row; for the others NULL.
    pub(super) fn beside(&self, batch: &Batch, output: &Arc<Relation>, found: &[Option<Bytes>]) -> Result<Batch> {
        let rows = found.iter().map(|row| self.parser.parse(row.as_ref().unwrap_or(&self.nothing)));
        let wanted = self.converter.convert_rows(rows);
        let wanted = wanted.map_err(|error| Error::bug("found rows cannot be decoded").with_source(error))?;
        let own = batch.rows().num_columns();
        let origins: Vec<Option<usize>> = (0..own).map(Some).chain(wanted.iter().map(|_| None)).collect();
        let columns: Vec<ArrayRef> = batch.rows().columns().iter().cloned().chain(wanted).collect();
        let rows = RecordBatch::try_new(output.columns().clone(), columns)
            .map_err(|error| Error::bug("found columns do not fit").with_source(error))?;
        batch.with_columns(output.clone(), rows, &origins)
    }
}
