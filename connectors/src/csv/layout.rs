//! Which columns a table has, and where each file has them.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::datatypes::{DataType, Field, Schema};

use super::config::CsvInputConfig;
use crate::text_files::ColumnType;

/// A table: every column that its first file has, with types, before `select`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Names and types in the order of the first file.
    pub(super) columns: Vec<(String, ColumnType)>,
    /// What rows belong to: the selected columns.
    pub(super) relation: Arc<Relation>,
}

/// Where the columns of a table are in one file.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The table.
    pub(super) table: Arc<Table>,
    /// How many cells a record of this file has.
    pub(super) width: usize,
    /// For each column of the relation, its place in a record.
    pub(super) places: Vec<usize>,
}

impl Table {
    /// A table of these columns.
    ///
    /// # Errors
    /// `Schema` when a selected or key column is not among them.
    pub(super) fn new(name: &str, columns: Vec<(String, ColumnType)>, config: &CsvInputConfig) -> Result<Self> {
        let field = |(name, kind): &(String, ColumnType)| Field::new(name, kind.0.clone(), !config.key.contains(name));
        let fields: Vec<Field> = if config.select.is_empty() {
            columns.iter().map(field).collect()
        } else {
            let find = |wanted: &String| {
                let found = columns.iter().find(|(name, _)| name == wanted);
                found
                    .map(field)
                    .ok_or_else(|| no_column(name, wanted, "select", columns.iter().map(|column| &column.0)))
            };
            config.select.iter().map(find).collect::<Result<_>>()?
        };
        if let Some(lost) = config.key.iter().find(|key| !fields.iter().any(|field| field.name() == *key)) {
            return Err(no_column(name, lost, "key", columns.iter().map(|column| &column.0)));
        }
        let relation = Relation::new(RelationName::table(name), Arc::new(Schema::new(fields)), &config.key, 1)?;
        Ok(Self { columns, relation: Arc::new(relation) })
    }

    /// Finds the table's columns in a file's header.
    ///
    /// # Errors
    /// `Schema` when the file lacks one, or has one that the table does not have.
    pub(super) fn in_file(self: &Arc<Self>, file: &str, header: &[String], selecting: bool) -> Result<Layout> {
        let mut places = Vec::with_capacity(self.relation.columns().fields().len());
        for field in self.relation.columns().fields() {
            let place = header.iter().position(|name| name == field.name());
            places.push(place.ok_or_else(|| {
                no_column(file, field.name(), "path", header.iter())
                    .with_hint("all files of a table must have its columns; give others their own task or `table`")
            })?);
        }
        let unknown = header.iter().find(|name| !self.columns.iter().any(|column| column.0 == **name));
        if let (Some(unknown), false) = (unknown, selecting) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{file} has a column {unknown} that earlier files lack"),
            )
            .with_setting("select")
            .with_hint("name the columns to read in `select`, or give the file its own task"));
        }
        Ok(Layout { table: self.clone(), width: header.len(), places })
    }

    /// The layout of a file without a header.
    pub(super) fn by_position(self: &Arc<Self>) -> Layout {
        let place = |field: &Arc<Field>| self.columns.iter().position(|column| column.0 == *field.name());
        let places = self.relation.columns().fields().iter().filter_map(place).collect();
        Layout { table: self.clone(), width: self.columns.len(), places }
    }
}

/// Gives the columns of a first file their types: the settings', else inferred ones.
///
/// # Errors
/// `Schema` when the settings name a column that the file does not have.
pub(super) fn typed_columns(
    file: &str,
    header: &[String],
    inferred: Option<Vec<DataType>>,
    config: &CsvInputConfig,
) -> Result<Vec<(String, ColumnType)>> {
    let given = &config.columns.0;
    if let Some((lost, _)) = given.iter().find(|(name, _)| !header.contains(name)) {
        return Err(no_column(file, lost, "columns", header.iter()));
    }
    let mut columns = Vec::with_capacity(header.len());
    for (i, name) in header.iter().enumerate() {
        let kind = given.iter().find(|(given, _)| given == name).map(|(_, kind)| kind.clone());
        let guess = || inferred.as_ref().and_then(|kinds| kinds.get(i).cloned()).unwrap_or(DataType::Utf8);
        columns.push((name.clone(), kind.unwrap_or_else(|| ColumnType(guess()))));
    }
    Ok(columns)
}

/// True when the settings leave the type of some column open.
pub(super) fn needs_inference(header: &[String], config: &CsvInputConfig) -> bool {
    let is_open = |name: &&String| !config.columns.0.iter().any(|(given, _)| given == *name);
    let is_read = |name: &&String| config.select.is_empty() || config.select.contains(name);
    header.iter().any(|name| is_open(&name) && is_read(&name))
}

/// Column names of a header record: trimmed, an empty one named by its place.
///
/// # Errors
/// `Schema` when two columns have the same name.
pub(super) fn names_of_header<'a>(file: &str, cells: impl Iterator<Item = &'a str>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for (i, cell) in cells.enumerate() {
        let name = cell.trim();
        let name = if name.is_empty() { format!("column_{}", i + 1) } else { name.to_owned() };
        if names.contains(&name) {
            return Err(Error::new(ErrorKind::Schema, format!("{file} has two columns named {name}"))
                .with_setting("header")
                .with_hint("rename one of them, or set `header: false` and name all columns in `columns`"));
        }
        names.push(name);
    }
    Ok(names)
}

fn no_column<'a>(of: &str, column: &str, setting: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<&str> = known.map(String::as_str).collect();
    Error::new(ErrorKind::Schema, format!("{of} has no column {column}"))
        .with_setting(setting)
        .with_hint(format!("columns are: {}", known.join(", ")))
}
