use std::sync::Arc;

use aqueduct_model::{Batch, Relation, RelationName};
use arrow::array::{Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};

use super::key::Where;
use super::*;

fn batch(key: &[&str], ops: &[u8], ids: &[i64]) -> Batch {
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("region", DataType::Utf8, true)];
    let columns = Arc::new(Schema::new(fields));
    let name = RelationName { catalog: None, schema: Some("shop".into()), table: "orders".into() };
    let relation = Arc::new(Relation::new(name, columns.clone(), key, 1).expect("a relation"));
    let regions = StringArray::from_iter_values(ids.iter().map(|id| if id % 2 == 0 { "north" } else { "south" }));
    let rows = RecordBatch::try_new(columns, vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(regions)]);
    Batch::changes(relation, rows.expect("rows"), UInt8Array::from(ops.to_vec())).expect("changes")
}

fn cut(key: &str, table: Option<&str>, batch: &Batch) -> Vec<(usize, bool)> {
    let parts = Key::parse(key, table).expect("a key").cut(batch, Where::Source);
    parts.iter().map(|(part, is_row)| (part.num_rows(), *is_row)).collect()
}

#[test]
fn a_batch_is_cut_around_the_row_and_the_halves_of_an_update_stay_together() {
    let orders = batch(&["id"], &[0, 0, 1, 2, 3, 0], &[1, 2, 7, 8, 7, 3]);
    assert_eq!(cut("7", None, &orders), [(2, false), (2, true), (1, true), (1, false)]);
    assert_eq!(cut("8", None, &orders), [(2, false), (2, true), (2, false)]);
    assert_eq!(cut("id=1", Some("shop.*"), &orders), [(1, true), (5, false)]);
    assert_eq!(cut("region=north,id=2", None, &orders), [(1, false), (1, true), (4, false)]);
}

#[test]
fn a_key_that_does_not_fit_finds_nothing() {
    let orders = batch(&["id"], &[0, 0], &[1, 2]);
    for (key, table) in [("9", None), ("1", Some("customers")), ("city=1", None), ("region=north,id=1", None)] {
        assert_eq!(cut(key, table, &orders), [(2, false)], "{key}");
    }
    let two = batch(&["id", "region"], &[0], &[1]);
    assert_eq!(cut("1", None, &two), [(1, false)], "one value says nothing of two columns");
    let later = |key: &str| Key::parse(key, Some("x")).expect("a key").cut(&orders, Where::Later).len();
    assert_eq!((later("1"), later("id=1")), (1, 2), "later only columns that are named");
    assert!(Key::parse("a=1,2", None).expect_err("mixed").hint().is_some());
}
