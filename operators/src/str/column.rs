//! A column of texts.

use std::borrow::Cow;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::config::StrColumn;
use super::step::Step;
use super::template::{self, Part};
use crate::projection::Compute;
use crate::sql::Evaluated;
use crate::text::{as_text, has_text, text_type};

/// The longest text of one value, in bytes; a longer one is a bad row.
const VALUE_BYTES_MAX: usize = 16 << 20;
/// The most bytes that the texts of one column of one batch take: Arrow counts them in 31 bits.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// What a column begins with; `C` is a column's name, or its place in the list of columns that are read.
#[derive(Debug, Clone)]
enum Start<C> {
    Column(C),
    Concat { columns: Vec<C>, separator: String },
    Template(Vec<Part<C>>),
}

/// A column whose settings were checked.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    start: Start<String>,
    steps: Arc<[Step]>,
}

impl Recipe {
    /// Checks the settings of the column `name`.
    ///
    /// # Errors
    /// `Config` with what is wrong.
    pub(super) fn new(name: &str, column: &StrColumn) -> Result<Self> {
        let start = match (&column.from, &column.concat, &column.template) {
            (from, None, None) => Start::Column(from.clone().unwrap_or_else(|| name.to_owned())),
            (None, Some(concat), None) if concat.columns.is_empty() => {
                return Err(Error::config("`concat` names no column")
                    .with_hint("write `concat: { columns: [first, last], separator: \" \" }`"));
            }
            (None, Some(concat), None) => {
                Start::Concat { columns: concat.columns.clone(), separator: concat.separator.clone() }
            }
            (None, None, Some(text)) => Start::Template(template::parse(text)?),
            _ => {
                return Err(Error::config("a column begins with one of `from`, `concat` and `template`")
                    .with_hint("remove the others; a template can name all columns"));
            }
        };
        if matches!((&start, &column.from), (Start::Column(_), None)) && column.actions.is_empty() {
            return Err(Error::config("nothing is done with the column").with_hint("write `do: [{ trim: both }]`"));
        }
        let mut steps = Vec::with_capacity(column.actions.len());
        for (i, action) in column.actions.iter().enumerate() {
            steps.push(Step::new(action).map_err(|error| error.with_setting(format!("columns.{name}.do[{i}]")))?);
        }
        Ok(Self { start, steps: steps.into() })
    }

    /// Finds the columns that are read.
    ///
    /// # Errors
    /// `Config` when there is no such column, or its type has no text.
    pub(super) fn bind(&self, relation: &Relation) -> Result<TextColumn> {
        let names: Vec<&String> = match &self.start {
            Start::Column(name) => vec![name],
            Start::Concat { columns, .. } => columns.iter().collect(),
            Start::Template(parts) => parts.iter().filter_map(column_of).collect(),
        };
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let (index, field) = relation.column(name)?;
            if !has_text(field.data_type()) {
                return Err(Error::config(format!(
                    "column {name} has the type {}, which has no text",
                    field.data_type()
                ))
                .with_hint("convert it first: Mapping with an SQL expression, for example `encode(data, 'hex')`"));
            }
            columns.push(index);
        }
        columns.sort_unstable();
        columns.dedup();
        let place = |name: &String| {
            let index = relation.columns().index_of(name).ok();
            let place = index.and_then(|index| columns.iter().position(|column| *column == index));
            place.ok_or_else(|| Error::bug("a column that was found is gone"))
        };
        let mut data_type = DataType::Utf8;
        let start = match &self.start {
            Start::Column(name) => {
                data_type = text_type(relation.column(name)?.1.data_type());
                Start::Column(place(name)?)
            }
            Start::Concat { columns, separator } => {
                let columns = columns.iter().map(place).collect::<Result<Vec<_>>>()?;
                Start::Concat { columns, separator: separator.clone() }
            }
            Start::Template(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => Ok(Part::Text(text.clone())),
                    Part::Column(name) => place(name).map(Part::Column),
                });
                Start::Template(parts.collect::<Result<Vec<_>>>()?)
            }
        };
        Ok(TextColumn { start, steps: self.steps.clone(), columns, data_type })
    }
}

fn column_of(part: &Part<String>) -> Option<&String> {
    match part {
        Part::Column(name) => Some(name),
        Part::Text(_) => None,
    }
}

/// A column that knows what it reads.
#[derive(Debug)]
pub(super) struct TextColumn {
    start: Start<usize>,
    steps: Arc<[Step]>,
    columns: Vec<usize>,
    data_type: DataType,
}

impl TextColumn {
    /// The text that a row begins with; `None` is NULL.
    fn begin<'a>(&self, inputs: &'a [StringArray], row: usize) -> Option<Cow<'a, str>> {
        let value = |place: usize| {
            let input = &inputs[place];
            input.is_valid(row).then(|| input.value(row))
        };
        match &self.start {
            Start::Column(place) => value(*place).map(Cow::Borrowed),
            Start::Concat { columns, separator } => {
                let values: Vec<&str> = columns.iter().filter_map(|place| value(*place)).collect();
                Some(Cow::Owned(values.join(separator)))
            }
            Start::Template(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(fixed) => text.push_str(fixed),
                        Part::Column(place) => text.push_str(value(*place)?),
                    }
                }
                Some(Cow::Owned(text))
            }
        }
    }

    fn make<'a>(&self, inputs: &'a [StringArray], row: usize) -> Result<Option<Cow<'a, str>>, &'static str> {
        let Some(mut text) = self.begin(inputs, row) else { return Ok(None) };
        for step in self.steps.iter() {
            match step.apply(text)? {
                Some(next) if next.len() > VALUE_BYTES_MAX => return Err("the text would be longer than 16 MiB"),
                Some(next) => text = next,
                None => return Ok(None),
            }
        }
        Ok(Some(text))
    }
}

impl Compute for TextColumn {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn compute(&self, rows: &RecordBatch) -> Result<Evaluated> {
        let inputs = self.columns.iter().map(|index| as_text(rows.column(*index))).collect::<Result<Vec<_>>>()?;
        let mut values = StringBuilder::with_capacity(rows.num_rows(), 0);
        let mut failed = Vec::new();
        for row in 0..rows.num_rows() {
            match self.make(&inputs, row) {
                Ok(Some(text)) => {
                    if values.values_slice().len() + text.len() > BATCH_BYTES_MAX {
                        return Err(Error::new(ErrorKind::Data, "the texts of one batch would take more than 1 GiB")
                            .with_hint("lower `max_batch_rows` at the source"));
                    }
                    values.append_value(text);
                }
                Ok(None) => values.append_null(),
                Err(reason) => {
                    values.append_null();
                    failed.push((row, reason.to_owned()));
                }
            }
        }
        let values: ArrayRef = Arc::new(values.finish());
        let values = cast(&values, &self.data_type)
            .map_err(|error| Error::bug("text cannot be stored as text").with_source(error))?;
        Ok(Evaluated { values, failed })
    }
}
