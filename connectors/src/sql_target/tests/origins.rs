//! Two tables of the source and one of the target.

use std::sync::Arc;

use aqueduct_model::{Change, ErrorKind, Relation, RelationName, SchemaChange};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use super::{Bench, Kit, batch};
use crate::sql_target::Dialect;

fn of(schema: &str, table: &str) -> Arc<Relation> {
    let fields = vec![Field::new("id", DataType::Int64, true), Field::new("item", DataType::Utf8, true)];
    let name = RelationName { catalog: None, schema: Some(schema.to_owned()), table: table.to_owned() };
    Arc::new(Relation::new(name, Arc::new(Schema::new(fields)), &["id"], 1).unwrap())
}

pub(crate) fn two_tables_become_one_only_when_asked(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("one", "orders"), &[(0, 1, "a")]));
    writer.flush();
    writer.write(batch(&of("two", "orders"), &[(0, 1, "b")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("table")), "{error:?}");
    assert!(error.to_string().contains("one.orders") && error.to_string().contains("two.orders"), "{error}");
    drop(writer);
    // The run after it does not see the first table at all.
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("two", "orders"), &[(0, 1, "b")]));
    assert_eq!(writer.try_flush().unwrap_err().kind(), ErrorKind::Config);
    drop(writer);
    assert_eq!(bench.sql("SELECT id, item FROM orders"), ["1|a"]);

    let bench = Bench::new(kit, json!({ "table": "{table}" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("one", "orders"), &[(0, 1, "a")]));
    writer.write(batch(&of("two", "orders"), &[(0, 2, "b")]));
    writer.write(batch(&of("one", "orders"), &[(2, 1, "c")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.sql("SELECT id, item FROM orders ORDER BY id"), ["1|c", "2|b"]);
    assert_eq!(bench.read("orders").1, ["1|c", "2|b"]);
}

pub(crate) fn names_that_differ_by_case_are_not_mixed_up(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "table": "{table}" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("s", "Orders"), &[(0, 1, "a")]));
    writer.write(batch(&of("s", "orders"), &[(0, 1, "b")]));
    if matches!(kit.dialect, Dialect::Sqlite | Dialect::DuckDb) {
        let error = writer.try_flush().unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("table")), "{error:?}");
        for word in ["s.Orders", "s.orders", "case", kit.dialect.product()] {
            assert!(error.to_string().contains(word), "{word} is not in {error}");
        }
        assert!(error.hint().is_some());
        return;
    }
    writer.flush();
    writer.close();
    assert_eq!((bench.read("Orders").1, bench.read("orders").1), (vec!["1|a".into()], vec!["1|b".into()]));
}

pub(crate) fn a_renamed_table_frees_its_name(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("s", "orders"), &[(0, 1, "a")]));
    writer.flush();
    let from = of("s", "orders").name().clone();
    writer.ddl(SchemaChange::new(of("s", "old_orders"), Change::RenameTable { from }));
    writer.write(batch(&of("s", "old_orders"), &[(0, 2, "b")]));
    writer.flush();
    writer.ddl(SchemaChange::new(of("s", "orders"), Change::CreateTable));
    writer.write(batch(&of("s", "orders"), &[(0, 1, "new")]));
    writer.flush();
    writer.close();
    let (mut writer, _) = bench.start();
    writer.write(batch(&of("s", "old_orders"), &[(0, 3, "c")]));
    writer.write(batch(&of("s", "orders"), &[(0, 2, "new")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("old_orders").1, ["1|a", "2|b", "3|c"]);
    assert_eq!(bench.read("orders").1, ["1|new", "2|new"]);
}
