//! DDL as tests write it.

use std::sync::Arc;

use aqueduct_engine::definition::{Entry, Value};
use aqueduct_model::{Change, Relation, SchemaChange};
use arrow::datatypes::{Field, FieldRef, Schema};

use super::given::{relation_name, texts};
use super::table::Mistake;

/// A change, for every column of the new table where its values come from, and the table's new name if it has one.
type Announced = (SchemaChange, Vec<Option<usize>>, Option<String>);

/// The announcement of a change; `fields` are the columns that it names with their types.
pub(super) fn change(now: &Relation, entry: &Entry, fields: Vec<Field>) -> Result<Announced, Mistake> {
    let mut columns: Vec<FieldRef> = now.columns().fields().to_vec();
    let mut key: Vec<String> = now.key_names().into_iter().map(str::to_owned).collect();
    let mut name = now.name().clone();
    let at = |columns: &[FieldRef], wanted: &str| {
        let known: Vec<&str> = columns.iter().map(|field| field.name().as_str()).collect();
        let missing = || {
            let hint = format!("the columns are: {}", known.join(", "));
            (entry.value.span, format!("{} has no column `{wanted}`", now.name()), hint)
        };
        columns.iter().position(|field| field.name() == wanted).ok_or_else(missing)
    };
    let names = |fields: &[Field]| fields.iter().map(|field| field.name().clone()).collect::<Vec<String>>();
    let mut origins: Vec<Option<usize>> = (0..columns.len()).map(Some).collect();
    let change = match entry.key.as_str() {
        "add_columns" => {
            origins.extend(fields.iter().map(|_| None));
            let added = names(&fields);
            columns.extend(fields.into_iter().map(Arc::new));
            Change::AddColumns(added)
        }
        "alter_columns" => {
            let altered = names(&fields);
            for field in fields {
                let place = at(&columns, field.name())?;
                columns[place] = Arc::new(field.with_nullable(columns[place].is_nullable()));
            }
            Change::AlterColumns(altered)
        }
        "drop_columns" => {
            let dropped = texts(&entry.value);
            for name in &dropped {
                let place = at(&columns, name)?;
                columns.remove(place);
                origins.remove(place);
                key.retain(|key| key != name);
            }
            Change::DropColumns(dropped)
        }
        "rename_column" => {
            let renamed = entry.value.entries().first().and_then(|pair| Some((pair.key.clone(), pair.value.text()?)));
            let Some((from, to)) = renamed.filter(|_| entry.value.entries().len() == 1) else {
                let hint = "write `rename_column: { old: new }`".to_owned();
                return Err((entry.value.span, "one column is renamed at a time".to_owned(), hint));
            };
            let place = at(&columns, &from)?;
            columns[place] = Arc::new(columns[place].as_ref().clone().with_name(to));
            key.iter_mut().filter(|key| **key == from).for_each(|key| *key = to.to_owned());
            Change::RenameColumn { from, to: to.to_owned() }
        }
        "rename_table" => {
            let from = std::mem::replace(&mut name, relation_name(entry.value.text().unwrap_or_default()));
            Change::RenameTable { from }
        }
        _ if entry.value.value != Value::Bool(true) => {
            let hint = format!("write `{}: true`, or remove the step", entry.key);
            return Err((entry.value.span, format!("`{}` must be true", entry.key), hint));
        }
        "truncate" => Change::Truncate,
        "drop_table" => Change::DropTable,
        _ => Change::CreateTable,
    };
    let renamed = (name != *now.name()).then(|| name.to_string());
    let version = match change {
        Change::Truncate | Change::CreateTable | Change::DropTable => now.version(),
        _ => now.version() + 1,
    };
    let columns = Arc::new(Schema::new(columns));
    let relation = Relation::new(name, columns, &key, version)
        .map_err(|error| (entry.value.span, error.chain(), "give every column one name".to_owned()))?;
    Ok((SchemaChange::new(Arc::new(relation), change), origins, renamed))
}

/// Whether the table has no rows after it.
pub(super) fn empties(change: &Change) -> bool {
    matches!(change, Change::Truncate | Change::DropTable)
}
