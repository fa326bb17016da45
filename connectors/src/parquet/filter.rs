//! Comparisons: exact on rows, and beforehand on the statistics of row groups.

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, Scalar, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, and, cast_with_options, is_not_null, is_null};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::config::{CompareOp, Comparison};
use super::table::plain_type;

/// A comparison against a file's column.
pub(super) struct Predicate {
    /// The column's index in the file.
    pub(super) column: usize,
    name: String,
    op: CompareOp,
    value: Option<Scalar<ArrayRef>>,
}

/// Fits the comparisons to a file's columns.
///
/// # Errors
/// `Config` when a column is missing, or a value does not fit its type.
pub(super) fn predicates(comparisons: &[Comparison], columns: &SchemaRef) -> Result<Vec<Predicate>> {
    let mut predicates = Vec::with_capacity(comparisons.len());
    for (i, comparison) in comparisons.iter().enumerate() {
        let column = columns.index_of(&comparison.column).map_err(|_| {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            Error::config(format!("there is no column {}", comparison.column))
                .with_setting(format!("filter[{i}].column"))
                .with_hint(format!("columns are: {}", names.join(", ")))
        })?;
        let data_type = plain_type(columns.field(column).data_type());
        let value = match &comparison.value {
            Some(value) => Some(scalar(value, &data_type).map_err(|error| {
                Error::config(format!("the value does not fit column {} of type {data_type}", comparison.column))
                    .with_setting(format!("filter[{i}].value"))
                    .with_source(error)
            })?),
            None => None,
        };
        predicates.push(Predicate { column, name: comparison.column.clone(), op: comparison.op, value });
    }
    Ok(predicates)
}

fn scalar(value: &serde_json::Value, data_type: &DataType) -> Result<Scalar<ArrayRef>, ArrowError> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let array = cast_with_options(&StringArray::from(vec![text]), data_type, &strict)?;
    Ok(Scalar::new(array))
}

impl Predicate {
    /// True where a value passes; `values` have the column's plain type.
    pub(super) fn apply(&self, values: &ArrayRef) -> Result<BooleanArray> {
        let compared = match (self.op, &self.value) {
            (CompareOp::IsNull, _) => is_null(values),
            (CompareOp::NotNull, _) => is_not_null(values),
            (op, Some(value)) => compare(op, values, value),
            (_, None) => Err(ArrowError::InvalidArgumentError("a comparison without a value".to_owned())),
        };
        compared.map_err(|error| {
            Error::config(format!("column {} cannot be compared", self.name)).with_setting("filter").with_source(error)
        })
    }

    /// For each row group, whether it may hold a row that passes.
    ///
    /// Missing statistics keep a group. So do floats: statistics leave NaN out, comparisons do not.
    fn may_pass(&self, file: &ArrowReaderMetadata) -> Option<BooleanArray> {
        let groups = file.metadata().row_groups();
        let statistics = StatisticsConverter::try_new(&self.name, file.schema(), file.parquet_schema()).ok()?;
        let data_type = plain_type(file.schema().field(self.column).data_type());
        if data_type.is_floating() {
            return None;
        }
        let plain = |array: ArrayRef| arrow::compute::cast(&array, &data_type).ok();
        let mins = || plain(statistics.row_group_mins(groups).ok()?);
        let maxes = || plain(statistics.row_group_maxes(groups).ok()?);
        match (self.op, &self.value) {
            (CompareOp::Eq, Some(value)) => {
                let above = cmp::lt_eq(&mins()?, value).ok()?;
                let below = cmp::gt_eq(&maxes()?, value).ok()?;
                and(&above, &below).ok()
            }
            (op @ (CompareOp::Lt | CompareOp::Le), Some(value)) => compare(op, &mins()?, value).ok(),
            (op @ (CompareOp::Gt | CompareOp::Ge), Some(value)) => compare(op, &maxes()?, value).ok(),
            _ => None,
        }
    }
}

fn compare(op: CompareOp, values: &ArrayRef, value: &Scalar<ArrayRef>) -> Result<BooleanArray, ArrowError> {
    match op {
        CompareOp::Eq => cmp::eq(values, value),
        CompareOp::Ne => cmp::neq(values, value),
        CompareOp::Lt => cmp::lt(values, value),
        CompareOp::Le => cmp::lt_eq(values, value),
        CompareOp::Gt => cmp::gt(values, value),
        CompareOp::Ge => cmp::gt_eq(values, value),
        CompareOp::IsNull => is_null(values),
        CompareOp::NotNull => is_not_null(values),
    }
}

/// For each row group of a file, whether a row of it can pass all predicates.
pub(super) fn row_groups_to_read(predicates: &[Predicate], file: &ArrowReaderMetadata) -> Vec<bool> {
    let mut read = vec![true; file.metadata().num_row_groups()];
    for predicate in predicates {
        let Some(may_pass) = predicate.may_pass(file) else { continue };
        for (group, read) in read.iter_mut().enumerate() {
            *read &= may_pass.is_null(group) || may_pass.value(group);
        }
    }
    read
}
