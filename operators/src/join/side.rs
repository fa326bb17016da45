//! One table of a join: which of its columns are needed, and its rows as bytes.

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Op, Relation, Result};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};

use crate::group::{converter, restored};
use crate::sql::{BoundExpression, Expression};

/// One table, bound.
pub(super) struct Side {
    /// Its columns that are needed, by their place in the relation, and a batch of only these.
    pub(super) used: Vec<usize>,
    pub(super) narrow: SchemaRef,
    rows: RowConverter,
    /// Its key by place among the used columns, and how it becomes bytes; `None`: rows are told apart by all they have.
    pub(super) key: Option<(Vec<usize>, RowConverter)>,
    /// What has to be equal, over the used columns.
    pub(super) on: Vec<BoundExpression>,
    /// The types in which values of both tables are compared.
    pub(super) compared: Vec<DataType>,
    on_bytes: RowConverter,
    /// For each column of the key, the value of `on` that it is, where all of it is in `on`: at most one row meets a
    /// partner, and it is found by its key.
    pub(super) by_key: Option<Vec<usize>>,
}

/// A row that comes or goes.
pub(super) struct Row {
    /// What has to be equal, as bytes; `None` when one of the values is NULL.
    pub(super) on: Option<Vec<u8>>,
    /// What tells it from the others of its table.
    pub(super) id: Vec<u8>,
    /// The needed columns.
    pub(super) bytes: Vec<u8>,
}

/// The rows of a batch, evaluated.
pub(super) struct Evaluated {
    on_nulls: Vec<bool>,
    on: Rows,
    /// The key of the partner, where it is found by that.
    pub(super) partner: Option<Rows>,
    ids: Option<Rows>,
    bytes: Rows,
    /// Rows that cannot be computed, by index, with the reason; rising.
    pub(super) failed: Vec<(usize, String)>,
}

impl Evaluated {
    /// Row `i` of the batch.
    pub(super) fn row(&self, i: usize) -> Row {
        let bytes = self.bytes.row(i).data().to_vec();
        Row { on: self.on(i).map(<[u8]>::to_vec), id: self.id(i).to_vec(), bytes }
    }

    /// What has to be equal of row `i`; `None` when one of the values is NULL.
    pub(super) fn on(&self, i: usize) -> Option<&[u8]> {
        (!self.on_nulls[i]).then(|| self.on.row(i).data())
    }

    /// What tells row `i` from the others.
    pub(super) fn id(&self, i: usize) -> &[u8] {
        self.ids.as_ref().unwrap_or(&self.bytes).row(i).data()
    }
}

impl Side {
    /// Binds a table; `wanted` says which columns the output may have.
    ///
    /// # Errors
    /// `Config` for unknown columns, and for types that cannot be compared.
    pub(super) fn new(relation: &Relation, on: &[&str], wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let bind = |text: &&str| {
            let is_column = relation.columns().index_of(text).is_ok();
            let expression = if is_column { Expression::column(text) } else { Expression::parse(text)? };
            expression.bind(relation)
        };
        let on: Vec<BoundExpression> =
            on.iter().map(|text| bind(text).map_err(|error| error.with_setting("on"))).collect::<Result<_>>()?;
        let fields = relation.columns().fields();
        let is_needed = |i: &usize| {
            let in_on = || on.iter().any(|on| on.columns().contains(i));
            relation.key().contains(i) || wanted(fields[*i].name()) || in_on()
        };
        let used: Vec<usize> = (0..fields.len()).filter(is_needed).collect();
        let narrow = Arc::new(Schema::new(used.iter().map(|&i| fields[i].clone()).collect::<Vec<_>>()));
        let compared: Vec<DataType> = on.iter().map(|on| comparable(on.data_type())).collect();
        let key = match relation.key() {
            [] => None,
            key => {
                let place = |column: &usize| used.iter().position(|used| used == column);
                let places: Option<Vec<usize>> = key.iter().map(place).collect();
                let places = places.ok_or_else(|| Error::bug("a key column of a join is not kept"))?;
                let bytes = converter(places.iter().map(|&place| narrow.field(place)))?;
                Some((places, bytes))
            }
        };
        let on: Vec<BoundExpression> = on.into_iter().map(|on| on.narrowed(&used)).collect::<Result<_>>()?;
        let by_key = key.as_ref().and_then(|(places, _)| {
            let of = |place: &usize| on.iter().position(|on| on.plain_column() == Some(*place));
            places.iter().map(of).collect()
        });
        let unfit = |error| Error::config("values of this type cannot be compared").with_source(error);
        let on_bytes = compared.iter().map(|compared| SortField::new(compared.clone())).collect();
        Ok(Self {
            rows: converter(narrow.fields().iter().map(AsRef::as_ref))?,
            on_bytes: RowConverter::new(on_bytes).map_err(unfit)?,
            used,
            narrow,
            key,
            on,
            compared,
            by_key,
        })
    }

    /// The needed columns of a batch.
    pub(super) fn narrowed(&self, batch: &Batch) -> Result<RecordBatch> {
        let rows = batch.rows().project(&self.used);
        rows.map_err(|error| Error::bug("a batch without its relation's columns").with_source(error))
    }

    /// Evaluates rows of the needed columns; `other` is the table of their partners.
    pub(super) fn evaluate(&self, rows: &RecordBatch, other: Option<&Side>) -> Result<Evaluated> {
        let unfit = |error| Error::bug("rows do not fit their own columns").with_source(error);
        let mut failed: Vec<(usize, String)> = Vec::new();
        let mut on = Vec::new();
        for (expression, compared) in self.on.iter().zip(&self.compared) {
            let evaluated = expression.evaluate_rows(rows)?;
            failed.extend(evaluated.failed);
            on.push(cast(&evaluated.values, compared).map_err(unfit)?);
        }
        failed.sort_by_key(|(i, _)| *i);
        failed.dedup_by_key(|(i, _)| *i);
        let on_nulls = (0..rows.num_rows()).map(|i| on.iter().any(|on| on.is_null(i))).collect();
        let partner = match other.and_then(|other| other.key.as_ref().zip(other.by_key.as_ref())) {
            Some(((places, key), by_key)) => {
                // A number that does not fit the type of the key becomes NULL, and no key is.
                let column = |(place, on_place): (&usize, &usize)| {
                    let wanted = other.map(|other| other.narrow.field(*place).data_type().clone());
                    cast(&on[*on_place], &wanted.unwrap_or(DataType::Null))
                };
                let columns: Vec<ArrayRef> =
                    places.iter().zip(by_key).map(column).collect::<Result<_, _>>().map_err(unfit)?;
                Some(key.convert_columns(&columns).map_err(unfit)?)
            }
            None => None,
        };
        let ids = match &self.key {
            Some((places, key)) => {
                let columns: Vec<ArrayRef> = places.iter().map(|&place| rows.column(place).clone()).collect();
                Some(key.convert_columns(&columns).map_err(unfit)?)
            }
            None => None,
        };
        Ok(Evaluated {
            on_nulls,
            on: self.on_bytes.convert_columns(&on).map_err(unfit)?,
            partner,
            ids,
            bytes: self.rows.convert_columns(rows.columns()).map_err(unfit)?,
            failed,
        })
    }

    /// The keys of rows of which perhaps only these are there, as bytes.
    pub(super) fn ids(&self, rows: &RecordBatch) -> Result<Option<Rows>> {
        let Some((places, key)) = &self.key else { return Ok(None) };
        let columns: Vec<ArrayRef> = places.iter().map(|&place| rows.column(place).clone()).collect();
        let ids = key.convert_columns(&columns);
        ids.map(Some).map_err(|error| Error::bug("rows do not fit their own key").with_source(error))
    }

    /// Rows that were kept as bytes.
    ///
    /// # Errors
    /// `State` when they are not of these columns.
    pub(super) fn restored<'a>(&self, kept: impl Iterator<Item = &'a [u8]>) -> Result<RecordBatch> {
        let columns = restored(&self.rows, kept)?;
        RecordBatch::try_new(self.narrow.clone(), columns).map_err(|error| {
            Error::new(ErrorKind::State, "the kept rows of a join are not of its columns").with_source(error)
        })
    }

    /// The rows of a batch with the values that it lacks from the rows before them, which `before` finds by key.
    ///
    /// # Errors
    /// `Data` when a row has no key, not all of its values, and nothing to take them from.
    pub(super) fn completed(
        &self,
        batch: &Batch,
        narrow: RecordBatch,
        mut before: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>>,
    ) -> Result<RecordBatch> {
        let lacks = |i: usize| {
            let absent = |column: &&usize| batch.present(**column).is_some_and(|mask| !mask.value(i));
            matches!(batch.op(i), Op::Insert | Op::UpdateAfter) && self.used.iter().any(|column| absent(&column))
        };
        if !batch.has_absent() || !(0..batch.num_rows()).any(lacks) {
            return Ok(narrow);
        }
        let ids = self.ids(&narrow)?.ok_or_else(|| without_old_rows(batch))?;
        let bytes = self.rows.convert_columns(narrow.columns());
        let bytes = bytes.map_err(|error| Error::bug("rows do not fit their own columns").with_source(error))?;
        let mut latest: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut whole: Vec<Vec<u8>> = Vec::with_capacity(batch.num_rows());
        for i in 0..batch.num_rows() {
            // The values that an update leaves out are those of its old row, which may have another key.
            let is_paired = i > 0 && batch.op(i) == Op::UpdateAfter && batch.op(i - 1) == Op::UpdateBefore;
            let old = ids.row(if is_paired { i - 1 } else { i }).as_ref().to_vec();
            let row = if lacks(i) {
                let known = match latest.get(&old) {
                    Some(row) => Some(row.clone()),
                    None => before(&old)?,
                };
                self.filled(batch, &narrow, i, known.ok_or_else(never_added)?)?
            } else {
                bytes.row(i).as_ref().to_vec()
            };
            if matches!(batch.op(i), Op::Insert | Op::UpdateAfter) {
                latest.insert(ids.row(i).as_ref().to_vec(), row.clone());
            }
            whole.push(row);
        }
        self.restored(whole.iter().map(Vec::as_slice))
    }

    /// Row `i` with the values that it lacks from a known row.
    fn filled(&self, batch: &Batch, narrow: &RecordBatch, i: usize, known: Vec<u8>) -> Result<Vec<u8>> {
        let known = self.restored(std::iter::once(known.as_slice()))?;
        let absent = |column: usize| batch.present(column).is_some_and(|mask| !mask.value(i));
        let columns: Vec<ArrayRef> =
            (0..narrow.num_columns())
                .map(|place| {
                    if absent(self.used[place]) {
                        known.column(place).clone()
                    } else {
                        narrow.column(place).slice(i, 1)
                    }
                })
                .collect();
        let row = self.rows.convert_columns(&columns);
        let row = row.map_err(|error| Error::bug("a row does not fit its own columns").with_source(error))?;
        Ok(row.row(0).as_ref().to_vec())
    }

    /// Checks that a table without a key sends whole rows.
    ///
    /// # Errors
    /// `Data` when it does not.
    pub(super) fn check_whole(&self, batch: &Batch) -> Result<()> {
        let lone = |i: usize| batch.op(i) == Op::UpdateAfter && (i == 0 || batch.op(i - 1) != Op::UpdateBefore);
        let is_partial =
            self.used.iter().any(|&column| batch.present(column).is_some_and(|mask| mask.false_count() > 0));
        if is_partial || (0..batch.num_rows()).any(lone) {
            return Err(without_old_rows(batch));
        }
        Ok(())
    }
}

/// The type in which values are compared: numbers of all widths are equal to each other.
fn comparable(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt64 => DataType::Decimal128(20, 0),
        number if number.is_integer() => DataType::Int64,
        DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

fn without_old_rows(batch: &Batch) -> Error {
    let text =
        format!("{} has no key and comes without whole old rows, so it cannot be joined", batch.relation().name());
    Error::new(ErrorKind::Data, text).with_hint(
        "give the table a key, or have the source send whole rows (binlog_row_image=FULL, REPLICA IDENTITY FULL)",
    )
}

fn never_added() -> Error {
    Error::new(ErrorKind::Data, "a row was changed that was never added, and not all of its values came")
        .with_hint("start over with `aqueduct checkpoint reset`, so that the table is read from its beginning")
}

/// What the state of a table depends on, as text.
pub(super) fn shape(relation: &Relation, side: &Side) -> String {
    let fields: Vec<_> = side.narrow.fields().iter().map(|field| (field.name(), field.data_type())).collect();
    format!("{fields:?} by {:?} in {:?}", relation.key_names(), side.compared)
}
