//! CREATE TABLE.

use aqueduct_model::RelationName;

use super::column::{ColumnDefinition, column_definition};
use super::column_type::charset_name;
use super::cursor::Cursor;

/// What a new table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TableDefinition {
    Columns(Definition),
    /// The columns and keys of another table.
    Like(RelationName),
    /// At least a part of the columns come from a query: the statement does not say what they are.
    Query,
}

/// Columns, keys and defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    pub columns: Vec<ColumnDefinition>,
    /// In key order; empty for none.
    pub primary_key: Vec<String>,
    /// Unique indexes: name (where given) and columns.
    pub unique: Vec<(Option<String>, Vec<String>)>,
    /// The table's default.
    pub charset: Option<String>,
    pub collation: Option<String>,
}

/// Reads everything behind the table's name. `None` when it is not understood.
pub(super) fn create_table(cursor: &mut Cursor<'_>) -> Option<TableDefinition> {
    if cursor.eat("LIKE") {
        return Some(TableDefinition::Like(cursor.table()?));
    }
    let mut definition = Definition::default();
    if !cursor.is_symbol('(') {
        return Some(TableDefinition::Query);
    }
    let mut inside = cursor.parentheses()?;
    if inside.eat("LIKE") {
        return Some(TableDefinition::Like(inside.table()?));
    }
    if inside.is_any(&["SELECT", "WITH", "VALUES"]) {
        return Some(TableDefinition::Query);
    }
    while !inside.is_at_end() {
        table_item(&mut inside.item(), &mut definition)?;
    }
    if table_options(cursor, &mut definition)? {
        return Some(TableDefinition::Query);
    }
    (!definition.columns.is_empty()).then_some(TableDefinition::Columns(definition))
}

fn table_item(item: &mut Cursor<'_>, definition: &mut Definition) -> Option<()> {
    if let Some(key) = key_definition(item)? {
        match key {
            KeyDefinition::Primary(columns) => definition.primary_key = columns,
            KeyDefinition::Unique(name, columns) => definition.unique.push((name, columns)),
            // The server is asked about a new table's foreign keys.
            KeyDefinition::Cascade(_) | KeyDefinition::Other => {}
        }
        return Some(());
    }
    let column = column_definition(item)?;
    if column.primary_key {
        definition.primary_key = vec![column.name.clone()];
    } else if column.unique {
        definition.unique.push((Some(column.name.clone()), vec![column.name.clone()]));
    }
    definition.columns.push(column);
    Some(())
}

/// A key or constraint among columns.
pub(super) enum KeyDefinition {
    Primary(Vec<String>),
    Unique(Option<String>, Vec<String>),
    /// A foreign key with its name, by which the server changes rows of this table when it changes another's.
    Cascade(Option<String>),
    Other,
}

/// Reads a key or constraint; the inner `None` when a column comes instead.
pub(super) fn key_definition(cursor: &mut Cursor<'_>) -> Option<Option<KeyDefinition>> {
    let mut name = None;
    if cursor.eat("CONSTRAINT") && !cursor.is_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        name = Some(cursor.name()?);
    }
    if cursor.eat_all(&["PRIMARY", "KEY"]) {
        index_head(cursor)?;
        return Some(Some(KeyDefinition::Primary(cursor.key_columns()?)));
    }
    if cursor.eat("UNIQUE") {
        cursor.eat_any(&["INDEX", "KEY"]);
        cursor.eat_all(&["IF", "NOT", "EXISTS"]);
        let own_name = index_head(cursor)?;
        return Some(Some(KeyDefinition::Unique(own_name.or(name), cursor.key_columns()?)));
    }
    if cursor.is("FOREIGN") && cursor.is_nth(1, "KEY") {
        return Some(Some(foreign_key(cursor, name)));
    }
    // PERIOD and VECTOR are names of columns, too.
    let is_vector = cursor.is("VECTOR") && (cursor.is_nth(1, "INDEX") || cursor.is_nth(1, "KEY"));
    let is_period = cursor.is("PERIOD") && cursor.is_nth(1, "FOR");
    let is_index = cursor.is_any(&["INDEX", "KEY", "FULLTEXT", "SPATIAL"]) || is_vector;
    let is_other = cursor.is_any(&["FOREIGN", "CHECK"]) || is_period;
    Some((is_index || is_other || name.is_some()).then_some(KeyDefinition::Other))
}

/// Reads `FOREIGN KEY [name] (…) REFERENCES t (…) actions`.
fn foreign_key(cursor: &mut Cursor<'_>, name: Option<String>) -> KeyDefinition {
    cursor.eat_all(&["FOREIGN", "KEY"]);
    cursor.eat_all(&["IF", "NOT", "EXISTS"]);
    let own_name = if cursor.is_symbol('(') { None } else { cursor.name() };
    if cascades(cursor) { KeyDefinition::Cascade(name.or(own_name)) } else { KeyDefinition::Other }
}

/// True when an ON DELETE or ON UPDATE comes that changes rows; passes everything.
pub(super) fn cascades(cursor: &mut Cursor<'_>) -> bool {
    let mut found = false;
    while !cursor.is_at_end() {
        let is_action = cursor.eat_all(&["ON", "DELETE"]) || cursor.eat_all(&["ON", "UPDATE"]);
        if !is_action {
            cursor.next();
        } else if cursor.is("CASCADE") || cursor.is("SET") && (cursor.is_nth(1, "NULL") || cursor.is_nth(1, "DEFAULT"))
        {
            found = true;
        }
    }
    found
}

/// Passes an index's name and type, in any order.
fn index_head(cursor: &mut Cursor<'_>) -> Option<Option<String>> {
    let mut name = None;
    while !cursor.is_symbol('(') {
        if cursor.eat_any(&["USING", "TYPE"]) {
            cursor.next();
        } else {
            name = Some(cursor.name()?);
        }
    }
    Some(name)
}

/// Reads options behind the columns; true when a query follows that adds columns.
fn table_options(cursor: &mut Cursor<'_>, definition: &mut Definition) -> Option<bool> {
    while !cursor.is_at_end() {
        if cursor.is_any(&["SELECT", "AS", "WITH"]) && !cursor.is_nth(1, "SYSTEM") && !cursor.is_nth(1, "PARSER") {
            return Some(true);
        }
        if cursor.is_any(&["PARTITION"]) {
            // `AS SELECT` may follow, but the servers write none with all columns named before.
            return Some(false);
        }
        if cursor.eat_all(&["WITH", "SYSTEM", "VERSIONING"]) {
            // Columns that the statement does not name.
            return Some(true);
        }
        if !charset_option(cursor, definition) {
            cursor.pass()?;
        }
    }
    Some(false)
}

/// Reads a default character set or collation, where one comes.
pub(super) fn charset_option(cursor: &mut Cursor<'_>, definition: &mut Definition) -> bool {
    let is_charset = cursor.eat_all(&["CHARACTER", "SET"]) || cursor.eat_all(&["CHAR", "SET"]) || cursor.eat("CHARSET");
    if is_charset {
        cursor.eat_symbol('=');
        definition.charset = cursor.name().map(|name| charset_name(&name)).filter(|name| name != "default");
        return true;
    }
    if cursor.eat("COLLATE") {
        cursor.eat_symbol('=');
        definition.collation = cursor.name().map(|name| name.to_ascii_lowercase());
        return true;
    }
    false
}
