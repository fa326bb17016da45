//! Rows of a query, as text, as columns of cells.

use aqueduct_model::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{SchemaRef, TimeUnit};
use mysql_async::{Row, Value};

use crate::sql_target::cells::{CellsBuilder, Kind, batch, foreign_value, kind, parse_decimal};
use crate::sql_target::{parse_date, parse_time, parse_timestamp};

/// Builds a batch of rows whose columns from `first` on are those of the schema.
pub(super) struct Rows {
    schema: SchemaRef,
    builders: Vec<CellsBuilder>,
    kinds: Vec<Kind>,
    rows: usize,
}

impl Rows {
    /// Rows of these columns.
    pub fn new(schema: &SchemaRef) -> Self {
        let kinds: Vec<Kind> = schema.fields().iter().map(|field| kind(field.data_type())).collect();
        let builders = kinds.iter().map(|kind| CellsBuilder::new(*kind)).collect();
        Self { schema: schema.clone(), builders, kinds, rows: 0 }
    }

    /// The number of rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Takes a row.
    ///
    /// # Errors
    /// `Data` when a cell is no value of its column: someone else wrote it.
    pub fn push(&mut self, row: &Row, first: usize) -> Result<()> {
        for (i, (builder, kind)) in self.builders.iter_mut().zip(&self.kinds).enumerate() {
            let taken = match row.as_ref(first + i) {
                Some(Value::NULL) => {
                    builder.null();
                    Some(())
                }
                Some(Value::Bytes(bytes)) => push(builder, *kind, bytes),
                _ => return Err(Error::bug("a query's answer is not in text")),
            };
            taken.ok_or_else(|| foreign_value(self.schema.field(i).name()))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The batch.
    ///
    /// # Errors
    /// As [`Rows::push`].
    pub fn finish(self) -> Result<RecordBatch> {
        batch(self.builders, &self.schema, self.rows)
    }
}

fn push(builder: &mut CellsBuilder, kind: Kind, bytes: &[u8]) -> Option<()> {
    if let CellsBuilder::Bytes(values) = builder {
        values.append_value(bytes);
        return Some(());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match builder {
        CellsBuilder::Bytes(_) => {}
        CellsBuilder::Text(values) => values.append_value(text),
        CellsBuilder::Bool(values) => values.push(Some(text != "0")),
        CellsBuilder::UInt64(values) => values.push(Some(text.parse().ok()?)),
        CellsBuilder::Float32(values) => values.push(Some(text.parse::<f64>().ok()? as f32)),
        CellsBuilder::Float64(values) => values.push(Some(text.parse().ok()?)),
        CellsBuilder::Decimal(values, scale) => values.push(Some(parse_decimal(text, *scale)?)),
        CellsBuilder::Int(values) => values.push(Some(match kind {
            Kind::Date => parse_date(text)?,
            Kind::Stamp { .. } => parse_timestamp(text, TimeUnit::Microsecond)?,
            Kind::Time | Kind::Duration => parse_time(text, TimeUnit::Microsecond)?,
            _ => text.parse().ok()?,
        })),
    }
    Some(())
}
