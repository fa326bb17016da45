//! The keys of tests: what the reader checks and the page lists.

use aqueduct_engine::definition::keys::{Key, Kind};

const fn key(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { name, kind, required: false, default: None, description }
}

const fn required(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { name, kind, required: true, default: None, description }
}

/// The keys of a test file beside a flow.
pub(crate) const FILE: &[Key] = &[
    key("flow", Kind::Text, "The flow's file, from the folder of the test file; without it, the name before `.test`."),
    required("tests", Kind::Any, "The tests."),
];

/// The keys of a test.
pub(crate) const TEST: &[Key] = &[
    required("name", Kind::Text, "What the test shows, in a sentence."),
    key("description", Kind::Text, "Why."),
    key("params", Kind::Any, "Values of the flow's parameters."),
    key("env", Kind::Any, "Environment variables that the flow asks for; others come from the process."),
    key("tables", Kind::Any, "Columns and keys of tables, where they do not follow from the rows."),
    required("given", Kind::Any, "What happens, in order: rows, changes, DDL, `checkpoint`, `restart`."),
    key("expect", Kind::Any, "By task or `task.port`: the rows of the table that came to be."),
    key("expect_changes", Kind::Any, "By task or `task.port`: the changes, one by one and in order."),
    key("bad_rows", Kind::Any, "The rows that tasks refused, each with its task and a part of its reason."),
    key("error", Kind::Text, "The flow fails with a message that contains this."),
];

/// The keys of an item of `tables`.
pub(crate) const TABLE: &[Key] = &[
    key("source", Kind::Text, "The source task; not needed where the flow has one."),
    key("table", Kind::Text, "The table, `orders` or `shop.orders`; without it the source's id."),
    key("columns", Kind::Any, "The columns with their types, in order."),
    key("key", Kind::Texts, "The key columns; without it `id` where there is one, `[]` for none."),
];

/// The keys of an item of `given`.
pub(crate) const STEP: &[Key] = &[
    key("source", Kind::Text, "The source task; not needed where the flow has one."),
    key("table", Kind::Text, "The table, `orders` or `shop.orders`; without it the source's id."),
    key("rows", Kind::Any, "Rows that are inserted: maps, or lists of which the first names the columns."),
    key("changes", Kind::Any, "Changes: `insert`, `update`, `upsert` (an update without its old row) or `delete`."),
    key("ddl", Kind::Any, "A change of the table itself."),
];

/// The kinds of DDL.
pub(crate) const DDL: &[Key] = &[
    key("add_columns", Kind::Any, "New columns with their types."),
    key("drop_columns", Kind::Texts, "Columns that go."),
    key("rename_column", Kind::Any, "One column's old and new name: `{ old: new }`."),
    key("alter_columns", Kind::Any, "Columns with their new types."),
    key("rename_table", Kind::Text, "The table's new name."),
    key("truncate", Kind::Flag, "The table is emptied."),
    key("drop_table", Kind::Flag, "The table is gone."),
    key("create_table", Kind::Flag, "The table is announced before it has rows."),
];

/// The kinds of changes.
pub(crate) const CHANGE: &[Key] = &[
    key("insert", Kind::Any, "A new row."),
    key("update", Kind::Any, "The key and what is new; or `{ before: …, after: … }` where the key changes."),
    key("upsert", Kind::Any, "As an update, from a source that sends neither the old row nor what did not change."),
    key("delete", Kind::Any, "The key of the row that goes."),
];

/// The keys of an item of `bad_rows`.
pub(crate) const BAD_ROW: &[Key] = &[
    key("task", Kind::Text, "The task that refused the row."),
    key("reason", Kind::Text, "A part of one of its reasons."),
    key("row", Kind::Any, "Values of the row."),
];
