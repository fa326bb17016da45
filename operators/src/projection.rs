//! Output columns computed from input columns, row by row.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ORIGIN, Relation, RelationName, Result};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use crate::predicate::present;
use crate::sql::{BoundExpression, Evaluated, Expression};

/// A column that is computed row by row by other means than SQL.
pub(crate) trait Compute: std::fmt::Debug + Send + Sync {
    /// The type of the values.
    fn data_type(&self) -> &DataType;

    /// Indices of the input columns that it needs, rising.
    fn columns(&self) -> &[usize];

    /// Computes one value per row, and says for which rows it cannot.
    ///
    /// # Errors
    /// `Data` for what is not about one row.
    fn compute(&self, rows: &RecordBatch) -> Result<Evaluated>;
}

/// Where an output column comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// An input column as it is, by index.
    Column(usize),
    /// Computed by SQL.
    Computed(BoundExpression),
    /// Computed by other means.
    Made(Box<dyn Compute>),
}

impl From<BoundExpression> for Origin {
    fn from(expression: BoundExpression) -> Self {
        match expression.plain_column() {
            Some(column) => Self::Column(column),
            None => Self::Computed(expression),
        }
    }
}

impl Origin {
    /// The same over some of the input's columns: `kept[i]` is the old index of column `i`.
    pub(crate) fn narrowed(self, kept: &[usize]) -> Result<Self> {
        match self {
            Self::Computed(expression) => expression.narrowed(kept).map(Self::Computed),
            Self::Column(index) => {
                let place = kept.iter().position(|old| *old == index);
                place.map(Self::Column).ok_or_else(|| Error::bug("a needed column is not kept"))
            }
            Self::Made(_) => Err(Error::bug("a column that is not SQL in a query")),
        }
    }

    /// The input columns that it needs.
    pub(crate) fn columns(&self) -> &[usize] {
        match self {
            Self::Column(index) => std::slice::from_ref(index),
            Self::Computed(expression) => expression.columns(),
            Self::Made(made) => made.columns(),
        }
    }

    /// The values, with the rows that cannot be computed.
    fn evaluate(&self, rows: &RecordBatch) -> Result<Evaluated> {
        match self {
            Self::Column(index) => Ok(Evaluated { values: rows.column(*index).clone(), failed: Vec::new() }),
            Self::Computed(expression) => expression.evaluate_rows(rows),
            Self::Made(made) => made.compute(rows),
        }
    }
}

/// The output columns of one input relation.
#[derive(Debug)]
pub(crate) struct Projection {
    output: Arc<Relation>,
    columns: Vec<Origin>,
    /// For each output column, the input column that it is.
    plain: Vec<Option<usize>>,
}

/// What a projection made of one batch.
pub(crate) struct Projected {
    /// One row per input row; refused rows hold anything.
    pub(crate) batch: Batch,
    /// Rows of which a column cannot be computed, by index, rising, with a reason free of cell values.
    pub(crate) refused: Vec<(usize, String)>,
}

impl Projected {
    /// The rows without the refused ones.
    pub(crate) fn accepted(self) -> Result<Batch> {
        if self.refused.is_empty() {
            return Ok(self.batch);
        }
        let mut keep = vec![true; self.batch.num_rows()];
        self.refused.iter().for_each(|(row, _)| keep[*row] = false);
        self.batch.select(&BooleanArray::from(keep))
    }
}

impl Projection {
    /// Names the output columns of a relation.
    ///
    /// # Errors
    /// `Config` when two columns share a name, none is left, or the key would be lost.
    pub(crate) fn new(input: &Relation, name: RelationName, columns: Vec<(String, Origin)>) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::config(format!("no column of {} is left", input.name())));
        }
        let mut fields: Vec<FieldRef> = Vec::with_capacity(columns.len());
        for (column, origin) in &columns {
            if fields.iter().any(|field| field.name() == column) {
                return Err(Error::config(format!("two output columns of {} are named {column}", input.name()))
                    .with_hint("give one of them another name"));
            }
            fields.push(Arc::new(field(input, column, origin)));
        }
        let columns: Vec<Origin> = columns.into_iter().map(|(_, origin)| origin).collect();
        let plain: Vec<_> = columns
            .iter()
            .map(|origin| match origin {
                Origin::Column(index) => Some(*index),
                Origin::Computed(_) | Origin::Made(_) => None,
            })
            .collect();
        let output = input.derive(Arc::new(Schema::new(fields)), &plain).renamed(name);
        if output.key().len() < input.key().len() {
            let key = input.key_names().join(", ");
            return Err(Error::config(format!("the key of {} ({key}) would be lost", input.name())).with_hint(
                format!("keep {key} as plain columns (renaming is fine): updates and deletes are found by them"),
            ));
        }
        Ok(Self { output: Arc::new(output), columns, plain })
    }

    /// A further key column, in front of the key, that has one value for all rows of the relation: rows of several
    /// relations are then apart in one table. See [`ORIGIN`].
    ///
    /// # Errors
    /// `Config` when there is a column of that name.
    pub(crate) fn with_origin(mut self, input: &Relation, column: &str, value: &str) -> Result<Self> {
        let metadata = HashMap::from([(ORIGIN.to_owned(), value.to_owned())]);
        let field = Field::new(column, DataType::Utf8, false).with_metadata(metadata);
        let fields = self.output.columns().fields().iter().cloned().chain([Arc::new(field)]);
        let columns = Arc::new(Schema::new_with_metadata(
            fields.collect::<Vec<FieldRef>>(),
            self.output.columns().metadata().clone(),
        ));
        let own = Some(column).filter(|_| !self.output.key().is_empty());
        let key: Vec<&str> = own.into_iter().chain(self.output.key_names()).collect();
        let output = Relation::new(self.output.name().clone(), columns, &key, self.output.version());
        self.output = Arc::new(output.map_err(|error| Error::config(error.to_string()))?);
        self.columns.push(Expression::constant(&value.into())?.bind(input)?.into());
        self.plain.push(None);
        Ok(self)
    }

    /// The relation of what comes out.
    pub(crate) fn output(&self) -> &Arc<Relation> {
        &self.output
    }

    /// Computes the output rows. An output value is absent where a value that it is computed from is.
    pub(crate) fn apply(&self, batch: &Batch) -> Result<Projected> {
        self.apply_made(batch, BTreeMap::new())
    }

    /// As [`Projection::apply`], with the values of some output columns, by index, that were computed together.
    pub(crate) fn apply_made(&self, batch: &Batch, mut made: BTreeMap<usize, Evaluated>) -> Result<Projected> {
        let mut refused = Vec::new();
        let mut masks = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let evaluated = made.remove(&i).map_or_else(|| column.evaluate(batch.rows()), Ok)?;
            arrays.push(evaluated.values);
            if matches!(column, Origin::Column(_)) {
                continue;
            }
            let known = present(column.columns(), batch);
            let counts = |row: usize| known.as_ref().is_none_or(|known| known.value(row));
            let name = self.output.columns().field(i).name();
            let failed = evaluated.failed.into_iter().filter(|(row, _)| counts(*row));
            refused.extend(failed.map(|(row, reason)| (row, format!("column {name}: {reason}"))));
            masks.extend(known.map(|known| (i, known)));
        }
        let rows = RecordBatch::try_new(self.output.columns().clone(), arrays)
            .map_err(|error| Error::bug("computed columns do not fit their types").with_source(error))?;
        let mut output = batch.with_columns(self.output.clone(), rows, &self.plain)?;
        for (column, mask) in masks {
            output = output.with_present(column, mask)?;
        }
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        Ok(Projected { batch: output, refused })
    }

    /// What a change of the input's shape is to those behind; `None` when they do not see it.
    ///
    /// `follows`: columns that the settings do not name are passed on under their own name.
    pub(crate) fn translate(&self, input: &Relation, change: &Change, follows: bool) -> Option<Change> {
        match change {
            Change::AddColumns(names) => {
                Some(self.showing(input, names)).filter(|shown| !shown.is_empty()).map(Change::AddColumns)
            }
            Change::AlterColumns(names) => {
                Some(self.showing(input, names)).filter(|shown| !shown.is_empty()).map(Change::AlterColumns)
            }
            Change::DropColumns(names) => {
                let seen: Vec<String> = names
                    .iter()
                    .filter(|name| follows && self.output.columns().index_of(name).is_err())
                    .cloned()
                    .collect();
                Some(seen).filter(|seen| !seen.is_empty()).map(Change::DropColumns)
            }
            Change::RenameColumn { from, to } => {
                let shown = self.showing(input, std::slice::from_ref(to));
                (follows && shown.contains(to)).then(|| Change::RenameColumn { from: from.clone(), to: to.clone() })
            }
            Change::RenameTable { .. } if self.output.name() != input.name() => None,
            other => Some(other.clone()),
        }
    }

    /// Names of the output columns that show one of these input columns.
    fn showing(&self, input: &Relation, names: &[String]) -> Vec<String> {
        let wanted: Vec<usize> = names.iter().filter_map(|name| input.columns().index_of(name).ok()).collect();
        let shows = |origin: &Origin| origin.columns().iter().any(|column| wanted.contains(column));
        let fields = self.output.columns().fields();
        fields.iter().zip(&self.columns).filter(|(_, o)| shows(o)).map(|(field, _)| field.name().clone()).collect()
    }
}

fn field(input: &Relation, name: &str, origin: &Origin) -> Field {
    match origin {
        Origin::Column(index) => input.columns().field(*index).clone().with_name(name),
        // A value may be absent or refused in any row, and then its place holds NULL; only a constant never is.
        Origin::Computed(expression) => Field::new(name, expression.data_type().clone(), !expression.is_constant()),
        Origin::Made(made) => Field::new(name, made.data_type().clone(), true),
    }
}
