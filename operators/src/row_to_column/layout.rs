//! Which columns of a relation are groups, names and values, and the relation that is made of it.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::config::RowToColumnConfig;
use crate::text::has_text;

/// The columns of one input relation.
#[derive(Debug)]
pub(super) struct Layout {
    /// The columns of which equal values make one row.
    pub(super) group: Vec<usize>,
    pub(super) name: usize,
    pub(super) value: usize,
    /// True when a second value for one place replaces the first: the input has a key.
    pub(super) keyed: bool,
    /// The groups' columns, which are its key, then one for each name.
    pub(super) output: Arc<Relation>,
}

impl Layout {
    /// # Errors
    /// `Config` when a column does not exist, the name is not part of the key, or columns are left over.
    pub(super) fn new(config: &RowToColumnConfig, input: &Relation) -> Result<Self> {
        let (name, field) = input.column(&config.name_column).map_err(|error| error.with_setting("name_column"))?;
        if !has_text(field.data_type()) {
            let text = format!("column {} has the type {}, which has no text", field.name(), field.data_type());
            return Err(Error::config(text).with_setting("name_column").with_hint("name a column of texts or numbers"));
        }
        let (value, field) = input.column(&config.value_column).map_err(|error| error.with_setting("value_column"))?;
        let value_type = field.data_type().clone();
        let group = group(config, input, name, value)?;
        let fields = input.columns().fields();
        let over: Vec<&str> = (0..fields.len())
            .filter(|i| *i != name && *i != value && !group.contains(i))
            .map(|i| fields[i].name().as_str())
            .collect();
        if !over.is_empty() {
            let over = over.join(", ");
            return Err(Error::config(format!("rows of {} that become one may differ in {over}", input.name()))
                .with_hint(format!("leave them out in front: plugin Mapping with `drop: [{over}]`")));
        }
        let mut output: Vec<FieldRef> = group.iter().map(|&i| fields[i].clone()).collect();
        for (i, column) in config.columns.iter().enumerate() {
            if output.iter().any(|known| known.name() == column) {
                return Err(Error::config(format!("{} already has a column {column}", input.name()))
                    .with_setting(format!("columns[{i}]"))
                    .with_hint("give that column another name in front: plugin Mapping with `rename`"));
            }
            output.push(Arc::new(Field::new(column, value_type.clone(), true)));
        }
        let key: Vec<&str> = group.iter().map(|&i| fields[i].name().as_str()).collect();
        let output = Relation::new(input.name().clone(), Arc::new(Schema::new(output)), &key, input.version())?;
        Ok(Self { group, name, value, keyed: !input.key().is_empty(), output: Arc::new(output) })
    }

    /// True when a value that says which place a row has was not sent.
    pub(super) fn is_lost(&self, batch: &Batch, row: usize) -> bool {
        let mut needed = self.group.iter().chain([&self.name]);
        needed.any(|&column| batch.present(column).is_some_and(|present| !present.value(row)))
    }
}

fn group(config: &RowToColumnConfig, input: &Relation, name: usize, value: usize) -> Result<Vec<usize>> {
    let mut group: Vec<usize> = Vec::new();
    if input.key().is_empty() {
        for column in &config.by {
            group.push(input.column(column).map_err(|error| error.with_setting("by"))?.0);
        }
        if group.is_empty() {
            return Err(Error::config(format!("{} has no key, so nothing says which rows become one", input.name()))
                .with_setting("by")
                .with_hint("name the columns of which equal values make one row: `by: [region]`"));
        }
    } else {
        let key = input.key_names().join(", ");
        if !config.by.is_empty() {
            return Err(Error::config(format!("{} has a key ({key}), which says which rows become one", input.name()))
                .with_setting("by")
                .with_hint("remove `by`"));
        }
        if !input.key().contains(&name) {
            return Err(Error::config(format!(
                "{} is not part of the key of {} ({key})",
                config.name_column,
                input.name()
            ))
            .with_setting("name_column")
            .with_hint("rows that become one must differ in their names alone"));
        }
        group.extend(input.key().iter().filter(|column| **column != name));
        if group.is_empty() {
            return Err(Error::config(format!("{} is the whole key of {}", config.name_column, input.name()))
                .with_setting("name_column")
                .with_hint("the rest of the key is the key of the rows that are made; this table has none"));
        }
    }
    let clashes = group.iter().any(|column| *column == value || *column == name);
    if clashes || group.iter().enumerate().any(|(i, column)| group[..i].contains(column)) {
        return Err(Error::config("a column is a group, a name and a value at most once")
            .with_setting(if input.key().is_empty() { "by" } else { "value_column" })
            .with_hint("the value is a column outside the key"));
    }
    let nested = |data_type: &DataType| data_type.is_nested();
    if let Some(&column) = group.iter().find(|&&column| nested(input.columns().field(column).data_type())) {
        let field = input.columns().field(column);
        return Err(Error::config(format!(
            "{} has the type {}, which cannot be a key",
            field.name(),
            field.data_type()
        ))
        .with_hint("convert it to text in front: plugin Mapping with `cast`"));
    }
    Ok(group)
}
