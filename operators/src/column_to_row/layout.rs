//! The relation of the rows that columns become, and batches of it.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, Op, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::config::ColumnToRowConfig;
use crate::text::{as_text, has_text};
use crate::union::widen;
use crate::verdicts::{Refused, Verdicts};

/// The output columns for one input relation: those that stay, then the name, then the value.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) output: Arc<Relation>,
    /// The input columns that stay.
    kept: Vec<usize>,
    /// The input columns that become rows, with their names.
    pub(super) columns: Vec<(usize, String)>,
    value_type: DataType,
}

impl Layout {
    /// Names the output columns of a relation.
    ///
    /// # Errors
    /// `Config` when a column does not exist or is part of the key, names clash, or no type holds all values.
    pub(super) fn new(config: &ColumnToRowConfig, input: &Relation) -> Result<Self> {
        let mut columns = Vec::with_capacity(config.columns.len());
        let mut value_type: Option<(DataType, &str)> = None;
        for (i, name) in config.columns.iter().enumerate() {
            let failed = |error: Error| error.with_setting(format!("columns[{i}]"));
            let (index, field) = input.column(name).map_err(failed)?;
            if input.key().contains(&index) {
                return Err(failed(
                    Error::config(format!("the key of {} would be lost", input.name()))
                        .with_hint(format!("leave {name} out: key columns are repeated in every row")),
                ));
            }
            let own = own_type(config, field).map_err(failed)?;
            value_type = Some(match value_type {
                None => (own, name),
                Some((known, first)) => match widen(&known, &own) {
                    Some(wide) => (wide, first),
                    None => {
                        let text = format!("no type holds both {first} ({known}) and {name} ({own})");
                        return Err(failed(Error::config(text).with_hint("set `as_text: true`")));
                    }
                },
            });
            columns.push((index, name.clone()));
        }
        let (value_type, _) =
            value_type.ok_or_else(|| Error::bug("a list of columns that is empty was let through"))?;
        let fields = input.columns().fields();
        let kept: Vec<usize> = (0..fields.len()).filter(|i| columns.iter().all(|(index, _)| index != i)).collect();
        let own = [
            ("name_column", Field::new(&config.name_column, DataType::Utf8, false)),
            ("value_column", Field::new(&config.value_column, value_type.clone(), true)),
        ];
        let mut output: Vec<FieldRef> = kept.iter().map(|&i| fields[i].clone()).collect();
        for (setting, field) in own {
            if output.iter().any(|known| known.name() == field.name()) {
                return Err(Error::config(format!("{} already has a column {}", input.name(), field.name()))
                    .with_setting(setting)
                    .with_hint(format!("choose another name for `{setting}`")));
            }
            output.push(Arc::new(field));
        }
        // Without a key of the rows themselves the name alone would make rows equal that are not.
        let name = (!input.key().is_empty()).then_some(config.name_column.as_str());
        let key: Vec<&str> = input.key_names().into_iter().chain(name).collect();
        let output = Relation::new(input.name().clone(), Arc::new(Schema::new(output)), &key, input.version())?;
        Ok(Self { output: Arc::new(output), kept, columns, value_type })
    }

    /// The rows that one of the columns becomes, one per input row.
    pub(super) fn rows_of(&self, batch: &Batch, column: usize, name: &str) -> Result<Batch> {
        let mut arrays: Vec<ArrayRef> = self.kept.iter().map(|&i| batch.rows().column(i).clone()).collect();
        arrays.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, batch.num_rows()))));
        arrays.push(convert(batch.rows().column(column), &self.value_type)?);
        let rows = RecordBatch::try_new(self.output.columns().clone(), arrays)
            .map_err(|error| Error::bug("rows of columns do not fit their columns").with_source(error))?;
        let origins: Vec<Option<usize>> = self.kept.iter().map(|&i| Some(i)).chain([None, Some(column)]).collect();
        batch.with_columns(self.output.clone(), rows, &origins)
    }

    /// What a change of the input's shape is to those behind; `None` when they do not see it.
    pub(super) fn translate(&self, config: &ColumnToRowConfig, change: Change) -> Option<Change> {
        let seen = |names: Vec<String>| {
            let (values, mut seen): (Vec<String>, Vec<String>) =
                names.into_iter().partition(|name| config.columns.contains(name));
            seen.extend((!values.is_empty()).then(|| config.value_column.clone()));
            Some(seen).filter(|seen| !seen.is_empty())
        };
        match change {
            Change::AlterColumns(names) => seen(names).map(Change::AlterColumns),
            // The rows of a column that is new to the table are new; the columns of the output are not.
            Change::AddColumns(names) => {
                let added: Vec<String> = names.into_iter().filter(|name| !config.columns.contains(name)).collect();
                Some(added).filter(|added| !added.is_empty()).map(Change::AddColumns)
            }
            Change::RenameColumn { to, .. } if config.columns.contains(&to) => None,
            other => Some(other),
        }
    }
}

fn own_type(config: &ColumnToRowConfig, field: &Field) -> Result<DataType> {
    match config.as_text {
        false => Ok(value_type(field.data_type())),
        true if has_text(field.data_type()) => Ok(DataType::Utf8),
        true => {
            let text = format!("column {} has the type {}, which has no text", field.name(), field.data_type());
            Err(Error::config(text).with_hint("leave it out, or convert it first: plugin Mapping"))
        }
    }
}

/// A dictionary is a way to store values; the values of several columns have none in common.
fn value_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    }
}

fn convert(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(column.clone());
    }
    if *data_type == DataType::Utf8 && has_text(column.data_type()) {
        return Ok(Arc::new(as_text(column)?));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    // The cause would quote a value.
    cast_with_options(column, data_type, &options).map_err(|_| {
        Error::new(ErrorKind::Data, format!("a value of type {} does not fit {data_type}", column.data_type()))
            .with_hint("a value is out of its type's range at the source; mend it there, or set `as_text: true`")
    })
}

/// Which rows of a batch of [`Layout::rows_of`] go on where NULL makes no row, and for which rows that cannot be said.
pub(super) fn decide(rows: &Batch, name: &str) -> Verdicts {
    let value = rows.rows().num_columns() - 1;
    let given = match rows.rows().column(value).logical_nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(rows.num_rows()),
    };
    let Some(present) = rows.present(value) else {
        return Verdicts { keep: BooleanArray::new(given, None), refused: Vec::new() };
    };
    let mut refused: Refused = Vec::new();
    let mut keep = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let old = matches!(rows.op(row), Op::Delete | Op::UpdateBefore);
        if !present.value(row) && !old {
            let why = format!("the source did not send the value of {name}, so it is not known whether it is NULL");
            refused
                .push((row, format!("{why}; have it send full rows (replica identity full, binlog_row_image=FULL)")));
        }
        // An old row of which the value is not known takes back a row, or nothing.
        keep.push(if present.value(row) { given.value(row) } else { old });
    }
    Verdicts { keep: BooleanArray::from(keep), refused }
}
