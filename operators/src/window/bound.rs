//! The settings, bound to the columns of the input.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, RelationName, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{RowConverter, Rows};

use super::config::{END, START, Settings};
use crate::event_time::{check, edge_type, edges};
use crate::group::{self, Group, converter, restored};
use crate::one_table::Shaped;

/// See the module.
pub(super) struct Bound {
    /// The totals, by the groups and the event time.
    pub(super) group: group::Bound,
    /// Turns groups into bytes and back; `None` when there is only one.
    keys: Option<RowConverter>,
    edges: DataType,
    pub(super) output: Arc<Relation>,
    /// What the state depends on, as text.
    shape: String,
}

/// One row of the output.
pub(super) struct Closed {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) key: Vec<u8>,
    pub(super) group: Group,
}

impl Shaped for Bound {
    fn shape(&self) -> &str {
        &self.shape
    }
}

impl Bound {
    /// Binds the settings to a relation.
    ///
    /// # Errors
    /// `Config` for unknown columns and types that have no such total.
    pub(super) fn new(settings: &Settings, input: &Relation, table: &str) -> Result<Self> {
        let group = group::Bound::new(&settings.parsed, input, table).map_err(|error| {
            // The event time stands behind the groups there, and is a setting of its own here.
            if error.setting() != Some(&format!("by.{START}")) {
                return error;
            }
            let hint = error.hint().unwrap_or_default().to_owned();
            Error::config(error.to_string()).with_setting("time").with_hint(hint)
        })?;
        let groups = settings.parsed.by.len() - 1;
        let times = group.by[groups].data_type().clone();
        check(&times, "time")?;
        let edges = edge_type(&times);
        let fields = group.output.columns().fields();
        let mut columns = vec![Field::new(START, edges.clone(), false), Field::new(END, edges.clone(), false)];
        let others = fields.iter().filter(|field| field.name() != START);
        columns.extend(others.map(|field| field.as_ref().clone()));
        let mut key = vec![START];
        key.extend(settings.parsed.by[..groups].iter().map(|(name, _)| name.as_str()));
        let output = Relation::new(RelationName::table(table), Arc::new(Schema::new(columns)), &key, 1)?;
        let keys = match groups {
            0 => None,
            _ => Some(converter(fields[..groups].iter().map(AsRef::as_ref))?),
        };
        let shape = format!("{} in {:?}", group.shape, settings.frame);
        Ok(Self { group, keys, edges, output: Arc::new(output), shape })
    }

    /// The groups of rows, as bytes.
    pub(super) fn keys(&self, by: &[ArrayRef]) -> Result<Option<Rows>> {
        let rows = self.keys.as_ref().map(|keys| keys.convert_columns(&by[..by.len() - 1])).transpose();
        rows.map_err(|error| Error::bug("groups do not fit their own columns").with_source(error))
    }

    /// Windows as rows of the output.
    ///
    /// # Errors
    /// `Data` when a total does not fit its type.
    pub(super) fn rows(&self, closed: &[Closed]) -> Result<Batch> {
        let mut columns = vec![
            edges(closed.iter().map(|window| window.start), &self.edges)?,
            edges(closed.iter().map(|window| window.end), &self.edges)?,
        ];
        if let Some(keys) = &self.keys {
            columns.extend(restored(keys, closed.iter().map(|window| window.key.as_slice()))?);
        }
        let groups: Vec<&Group> = closed.iter().map(|window| &window.group).collect();
        columns.extend(group::totals(&self.group, &groups)?);
        let rows = RecordBatch::try_new(self.output.columns().clone(), columns)
            .map_err(|error| Error::bug("windows do not fit their own columns").with_source(error))?;
        Batch::inserts(self.output.clone(), rows)
    }
}
