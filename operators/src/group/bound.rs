//! The settings, bound to the columns of the input.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};

use super::config::Parsed;
use super::total::Kind;
use crate::sql::BoundExpression;

/// See the module.
pub(crate) struct Bound {
    /// The input columns that are needed, and the batch that has only these.
    pub(crate) used: Vec<usize>,
    pub(crate) narrow: SchemaRef,
    /// Turns the rows of such a batch into bytes and back.
    pub(crate) rows: RowConverter,
    /// The key of the input, where it has one.
    pub(crate) key: Option<(Vec<usize>, RowConverter)>,
    pub(crate) by: Vec<BoundExpression>,
    /// Turns groups into bytes and back.
    pub(crate) groups: RowConverter,
    pub(crate) totals: Vec<BoundTotal>,
    pub(crate) output: Arc<Relation>,
    /// What the state depends on, as text.
    pub(crate) shape: String,
}

/// One total, bound.
pub(crate) struct BoundTotal {
    pub(super) kind: Kind,
    pub(crate) argument: Option<BoundExpression>,
    pub(crate) condition: Option<BoundExpression>,
    /// Turns values into bytes that sort with the wanted one first, and back.
    pub(crate) values: Option<RowConverter>,
}

impl Bound {
    /// Binds the settings to a relation.
    ///
    /// # Errors
    /// `Config` for unknown columns and types that have no such total.
    pub(crate) fn new(parsed: &Parsed, input: &Relation, table: &str) -> Result<Self> {
        let mut by = Vec::new();
        for (name, expression) in &parsed.by {
            by.push(expression.bind(input).map_err(|error| error.with_setting(format!("by.{name}")))?);
        }
        let mut totals = Vec::new();
        for (name, call) in &parsed.totals {
            let bind = || {
                let argument = call.argument.as_ref().map(|argument| argument.bind(input)).transpose()?;
                let condition = call.condition.as_ref().map(|condition| condition.bind(input)).transpose()?;
                let kind = Kind::of(call.aggregate, call.distinct, argument.as_ref().map(BoundExpression::data_type))?;
                Ok((kind, argument, condition))
            };
            totals.push(bind().map_err(|error: Error| error.with_setting(format!("totals.{name}")))?);
        }
        let expressions = || {
            let of_totals = totals.iter().flat_map(|(_, argument, condition)| argument.iter().chain(condition.iter()));
            by.iter().chain(of_totals)
        };
        let mut used: Vec<usize> = expressions().flat_map(|expression| expression.columns().iter().copied()).collect();
        used.sort_unstable();
        used.dedup();
        if used.is_empty() {
            // `count(*)` by a constant: rows need some column.
            used.push(0);
        }
        let output = output(parsed, &by, &totals, table)?;
        let fields: Vec<_> = used.iter().map(|&index| input.columns().fields()[index].clone()).collect();
        let shape = format!(
            "{:?} by {:?}",
            fields.iter().map(|f| (f.name(), f.data_type())).collect::<Vec<_>>(),
            output.columns()
        );
        let key = match input.key() {
            [] => None,
            key => Some((key.to_vec(), converter(key.iter().map(|&index| input.columns().field(index)))?)),
        };
        let narrowed = |expression: BoundExpression| expression.narrowed(&used);
        let groups = converter(output.columns().fields()[..by.len()].iter().map(AsRef::as_ref))?;
        let mut bound = Vec::new();
        for (kind, argument, condition) in totals {
            let values = match (&argument, kind.has_values()) {
                (Some(argument), true) => {
                    let options = SortOptions { descending: kind.is_descending(), nulls_first: false };
                    let field = SortField::new_with_options(argument.data_type().clone(), options);
                    Some(RowConverter::new(vec![field]).map_err(unfit)?)
                }
                _ => None,
            };
            let (argument, condition) = (argument.map(narrowed).transpose()?, condition.map(narrowed).transpose()?);
            bound.push(BoundTotal { kind, argument, condition, values });
        }
        Ok(Self {
            rows: converter(fields.iter().map(AsRef::as_ref))?,
            narrow: Arc::new(Schema::new(fields)),
            key,
            by: by.into_iter().map(narrowed).collect::<Result<_>>()?,
            groups,
            totals: bound,
            output,
            shape,
            used,
        })
    }

    /// The columns of a batch that are needed.
    pub(crate) fn narrowed(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        rows.project(&self.used)
            .map_err(|error| Error::bug("a batch without its relation's columns").with_source(error))
    }

    /// Rows that were kept as bytes.
    ///
    /// # Errors
    /// `State` when they are not of these columns.
    pub(crate) fn restored(&self, kept: &[Vec<u8>]) -> Result<RecordBatch> {
        let columns = restored(&self.rows, kept.iter().map(Vec::as_slice))?;
        RecordBatch::try_new(self.narrow.clone(), columns).map_err(foreign)
    }
}

/// Values that were kept as bytes.
pub(crate) fn restored<'a>(converter: &RowConverter, kept: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
    let parser = converter.parser();
    converter.convert_rows(kept.map(|bytes| parser.parse(bytes))).map_err(foreign)
}

fn foreign(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::State, "the kept rows of a group are not of its columns").with_source(error)
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::config("columns of this type cannot be compared").with_source(error).with_hint("cast them to text")
}

pub(crate) fn converter<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<RowConverter> {
    RowConverter::new(fields.map(|field| SortField::new(field.data_type().clone())).collect()).map_err(unfit)
}

/// One row per group: its key, and the totals.
fn output(
    parsed: &Parsed,
    by: &[BoundExpression],
    totals: &[(Kind, Option<BoundExpression>, Option<BoundExpression>)],
    table: &str,
) -> Result<Arc<Relation>> {
    let keys = parsed.by.iter().zip(by).map(|((name, _), bound)| Field::new(name, bound.data_type().clone(), false));
    let values = parsed
        .totals
        .iter()
        .zip(totals)
        .map(|((name, _), (kind, ..))| Field::new(name, kind.data_type(), kind.nullable()));
    let columns = Schema::new(keys.chain(values).collect::<Vec<_>>());
    let key: Vec<&str> = parsed.by.iter().map(|(name, _)| name.as_str()).collect();
    Relation::new(RelationName::table(table), Arc::new(columns), &key, 1).map(Arc::new)
}
