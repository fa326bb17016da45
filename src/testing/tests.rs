use std::sync::Arc;

use aqueduct_model::{Batch, Change, Epoch, Relation, RelationName, SchemaChange};
use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};

use super::cell;
use super::column_type;
use super::recorder::{Place, Recorder, Seen};
use super::table_state::Tables;

fn relation(columns: &[&str], key: &[&str]) -> Arc<Relation> {
    let field = |name: &&str| Field::new(*name, if *name == "id" { DataType::Int64 } else { DataType::Utf8 }, true);
    let columns = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    Arc::new(Relation::new(RelationName::table("t"), columns, key, 1).expect("a relation"))
}

fn batch(key: &[&str], rows: &[(u8, i64, Option<&str>)]) -> Batch {
    let relation = relation(&["id", "name"], key);
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
    let names = StringArray::from_iter(rows.iter().map(|row| row.2));
    let columns = RecordBatch::try_new(relation.columns().clone(), vec![Arc::new(ids), Arc::new(names)]).expect("rows");
    Batch::changes(relation, columns, UInt8Array::from_iter_values(rows.iter().map(|row| row.0))).expect("changes")
}

fn held(seen: &[Seen]) -> Vec<String> {
    let tables = Tables::of(seen);
    let row =
        |row: Vec<Option<String>>| row.into_iter().map(|cell| cell.unwrap_or("-".into())).collect::<Vec<_>>().join(" ");
    tables.0.values().flat_map(|table| table.rows().into_iter().map(row)).collect()
}

#[test]
fn changes_make_a_table_by_key() {
    let rows =
        [(0, 10, Some("a")), (0, 9, Some("b")), (1, 10, Some("a")), (2, 11, Some("a2")), (3, 9, None), (3, 77, None)];
    assert_eq!(held(&[Seen::Rows(batch(&["id"], &rows))]), ["11 a2"]);
    // A repeated key is one row; numbers are in the order of their size.
    let rows = [(0, 10, Some("a")), (0, 9, Some("b")), (0, 10, None)];
    assert_eq!(held(&[Seen::Rows(batch(&["id"], &rows))]), ["9 b", "10 -"]);
}

#[test]
fn a_table_without_a_key_is_a_set_with_repetitions() {
    let rows = [(0, 1, Some("a")), (0, 1, Some("a")), (0, 2, None), (3, 1, Some("a")), (1, 2, None), (2, 3, None)];
    assert_eq!(held(&[Seen::Rows(batch(&[], &rows))]), ["1 a", "3 -"]);
}

#[test]
fn what_was_not_sent_stays() {
    let first = batch(&["id"], &[(0, 1, Some("a"))]);
    let update = batch(&["id"], &[(2, 1, None)]).with_present(1, BooleanArray::from(vec![false])).expect("a mask");
    assert_eq!(held(&[Seen::Rows(first), Seen::Rows(update)]), ["1 a"]);
}

#[test]
fn ddl_changes_the_table() {
    let rows = || Seen::Rows(batch(&["id"], &[(0, 1, Some("a"))]));
    let change = |columns: &[&str], change| Seen::Schema(SchemaChange::new(relation(columns, &["id"]), change));
    let renamed = change(&["id", "title"], Change::RenameColumn { from: "name".into(), to: "title".into() });
    let added = change(&["id", "title", "note"], Change::AddColumns(vec!["note".into()]));
    assert_eq!(held(&[rows(), renamed, added]), ["1 a -"]);
    assert_eq!(held(&[rows(), change(&["id"], Change::DropColumns(vec!["name".into()]))]), ["1"]);
    assert!(held(&[rows(), change(&["id", "name"], Change::Truncate)]).is_empty());
    assert!(held(&[rows(), change(&["id", "name"], Change::DropTable)]).is_empty());
}

#[test]
fn only_committed_epochs_are_kept() {
    let recorder = Recorder::default();
    let note = |id| recorder.note("t", Place::Input, Seen::Rows(batch(&["id"], &[(0, id, None)]))).expect("room");
    note(1);
    recorder.seal("t", Epoch(1));
    note(2);
    recorder.seal("t", Epoch(2));
    note(3);
    recorder.roll_back(Epoch(1));
    note(4);
    assert_eq!(held(&recorder.at("t", Place::Input)), ["1 -", "4 -"]);
    assert!(recorder.at("t", Place::Output(0)).is_empty() && recorder.at("other", Place::Input).is_empty());
}

#[test]
fn values_are_read_in_their_type_or_refused() {
    for (text, type_name, expected) in [
        ("7", "int64", Some("7")),
        ("1.50", "decimal(10,2)", Some("1.50")),
        ("1.5", "decimal(10,2)", Some("1.50")),
        ("1.505", "decimal(10,2)", None),
        ("1e3", "decimal(10,2)", None),
        ("300", "int8", None),
        ("1.5", "int64", None),
        ("x", "float64", None),
        ("2024-02-30", "date", None),
        ("2024-02-29", "date", Some("2024-02-29")),
        ("2024-02-29 01:02:03.5", "timestamp", Some("2024-02-29T01:02:03.500")),
        ("2024-02-29T01:02:03+02:00", "timestamptz", Some("2024-02-28T23:02:03Z")),
        ("true", "boolean", Some("true")),
        ("a", "string", Some("a")),
    ] {
        let field = column_type::field("c", type_name, true).expect(type_name);
        let column = cell::column(&[Some(text.to_owned())], field.data_type());
        let found = column.ok().and_then(|column| cell::texts(&column).pop().flatten());
        assert_eq!(found.as_deref(), expected, "{text} as {type_name}");
    }
    for wrong in ["in", "decimal(40", "decimal(2,3)", "decimal(77,0)", ""] {
        assert!(column_type::field("c", wrong, true).is_none(), "{wrong}");
    }
}
