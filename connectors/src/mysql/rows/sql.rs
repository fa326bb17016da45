//! Names in SQL.

use aqueduct_model::{Relation, RelationName};

/// A name between backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table's name, with its database where it has one.
pub(crate) fn table_name(name: &RelationName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.table)),
        None => quoted(&name.table),
    }
}

/// The relation's columns in its order, to stand behind SELECT.
pub(crate) fn select_list(relation: &Relation) -> String {
    relation.columns().fields().iter().map(|field| quoted(field.name())).collect::<Vec<_>>().join(",")
}
