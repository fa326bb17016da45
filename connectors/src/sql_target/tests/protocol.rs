//! Crash points and planted bugs. Each bug must make a check fail that holds without it.

use aqueduct_model::{Claim, ErrorKind, Token};
use arrow::datatypes::DataType;
use fail::FailScenario;
use serde_json::json;

use super::{Bench, Kit, batch, block_on, cut, orders, relation};

/// Sets a point for the bench's flow only.
fn set(bench: &Bench<'_>, point: &str) {
    fail::cfg(format!("{point}@{}", bench.context.flow), "return").unwrap();
}

pub(crate) fn a_commit_without_reply_is_found_at_the_next_open(kit: &Kit) {
    let scenario = FailScenario::setup();
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    set(&bench, "sink.commit_after_no_reply");
    assert_eq!(writer.try_flush().unwrap_err().kind(), ErrorKind::Unavailable);
    scenario.teardown();
    writer.close();
    let (writer, recorded) = bench.start();
    assert_eq!(recorded.unwrap().cut, cut(1), "the commit was done");
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a"]);
}

pub(crate) fn a_fault_before_the_commit_leaves_nothing(kit: &Kit) {
    let points =
        ["sink.begin", "sink.write", "sink.flush", "sink.commit_before", "ddl.apply_before", "ddl.apply_after"];
    for point in points {
        let scenario = FailScenario::setup();
        let bench = Bench::new(kit, json!({ "staging_bytes": 1 }));
        let (mut writer, _) = bench.start();
        writer.write(batch(&orders(), &[(0, 1, "a")]));
        writer.flush();
        set(&bench, point);
        let change = aqueduct_model::SchemaChange::new(orders(), aqueduct_model::Change::Truncate);
        let result = writer
            .try_write(aqueduct_model::SinkInput::Schema(change))
            .and_then(|()| writer.try_write(aqueduct_model::SinkInput::Batch(batch(&orders(), &[(0, 2, "b")]))))
            .and_then(|()| writer.try_flush());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable, "{point}");
        scenario.teardown();
        drop(writer);
        assert_eq!(bench.read("orders"), (Some(cut(1)), vec!["1|a".into()]), "{point}");
    }
}

/// True when a second claim keeps the first writer from writing.
fn the_first_writer_is_fenced(bench: &Bench<'_>) -> bool {
    let (mut first, _) = bench.start();
    first.write(batch(&orders(), &[(0, 1, "first")]));
    let (mut second, _) = bench.start();
    second.write(batch(&orders(), &[(0, 1, "second")]));
    second.flush();
    second.close();
    let result = first.try_flush();
    drop(first);
    match result {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::State);
            assert!(error.hint().is_some());
            true
        }
    }
}

pub(crate) fn a_taken_over_writer_is_refused_at_its_next_flush(kit: &Kit) {
    assert!(the_first_writer_is_fenced(&Bench::new(kit, json!({}))));
}

pub(crate) fn mutant_no_token_check_is_caught(kit: &Kit) {
    let scenario = FailScenario::setup();
    let bench = Bench::new(kit, json!({}));
    set(&bench, "mutant.sink_no_token_check");
    assert!(!the_first_writer_is_fenced(&bench), "the planted bug lets the first writer through");
    scenario.teardown();
}

/// True when a crash just before the commit leaves nothing of an epoch over two tables.
fn an_epoch_is_whole(bench: &Bench<'_>) -> bool {
    let (mut writer, _) = bench.start();
    let items = relation("items", &[("id", DataType::Int64), ("item", DataType::Utf8)], &["id"]);
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.write(batch(&items, &[(0, 1, "a")]));
    set(bench, "sink.commit_before");
    writer.try_flush().unwrap_err();
    fail::remove(format!("sink.commit_before@{}", bench.context.flow));
    drop(writer);
    bench.read("orders").1.is_empty() && bench.read("items").1.is_empty()
}

pub(crate) fn mutant_split_commit_is_caught(kit: &Kit) {
    let scenario = FailScenario::setup();
    assert!(an_epoch_is_whole(&Bench::new(kit, json!({}))));
    let bench = Bench::new(kit, json!({}));
    set(&bench, "mutant.sink_commit_splits_epoch");
    assert!(!an_epoch_is_whole(&bench), "the planted bug shows half an epoch");
    scenario.teardown();
}

fn the_last_change_wins(bench: &Bench<'_>) -> bool {
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (1, 1, "a"), (2, 1, "b")]));
    writer.flush();
    writer.close();
    bench.read("orders").1 == ["1|b"]
}

pub(crate) fn mutant_keep_first_is_caught(kit: &Kit) {
    let scenario = FailScenario::setup();
    assert!(the_last_change_wins(&Bench::new(kit, json!({}))));
    let bench = Bench::new(kit, json!({}));
    set(&bench, "mutant.sink_compaction_keeps_first");
    assert!(!the_last_change_wins(&bench), "the planted bug keeps the first change");
    scenario.teardown();
}

pub(crate) fn a_claim_with_the_same_token_is_refused(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (writer, _) = bench.start();
    writer.close();
    let mut copy = bench.sink();
    let recorded = block_on(copy.open(&bench.context)).unwrap().unwrap();
    let error = block_on(copy.claim(&Claim { token: Token(recorded.token.0), cut: recorded.cut })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
}

/// A writer that was cut off commits between another one's look and its claim: the claim must not undo its epoch.
pub(crate) fn a_target_that_moved_is_looked_at_again(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut first, _) = bench.start();
    let mut second = bench.sink();
    let seen = block_on(second.open(&bench.context)).unwrap().unwrap();
    first.write(batch(&orders(), &[(0, 1, "late")]));
    first.flush();
    first.close();
    let claim = Claim { token: seen.token.next(), cut: seen.cut };
    assert_eq!(block_on(second.claim(&claim)).unwrap_err().kind(), ErrorKind::Unavailable);
    let (_, recorded) = bench.start();
    assert_eq!(recorded.unwrap().cut, cut(1));
}

/// Rows, a column renamed, one dropped and added anew with another type, two tables that swap their names, rows.
fn write_around_ddl(writer: &mut super::Writer) -> aqueduct_model::Result<()> {
    use aqueduct_model::{Change, RelationName, SchemaChange, SinkInput};
    let int = DataType::Int64;
    let wide = |table: &str, columns: &[&str]| {
        let columns: Vec<(&str, DataType)> =
            columns.iter().map(|name| (*name, if *name == "note" { DataType::Utf8 } else { int.clone() })).collect();
        relation(table, &columns, &["id"])
    };
    let rows = |relation: &std::sync::Arc<aqueduct_model::Relation>, id: i64, values: &[i64]| {
        let mut arrays: Vec<arrow::array::ArrayRef> =
            vec![std::sync::Arc::new(arrow::array::Int64Array::from(vec![id]))];
        for (value, field) in values.iter().zip(&relation.columns().fields()[1..]) {
            arrays.push(match field.data_type() {
                DataType::Utf8 => std::sync::Arc::new(arrow::array::StringArray::from(vec![format!("n{value}")])),
                _ => std::sync::Arc::new(arrow::array::Int64Array::from(vec![*value])),
            });
        }
        let rows = arrow::array::RecordBatch::try_new(relation.columns().clone(), arrays).unwrap();
        SinkInput::Batch(aqueduct_model::Batch::inserts(relation.clone(), rows).unwrap())
    };
    let old = wide("a", &["id", "x", "gone"]);
    let renamed = wide("a", &["id", "y", "gone"]);
    let dropped = wide("a", &["id", "y"]);
    let added = relation("a", &[("id", int.clone()), ("y", int.clone()), ("gone", DataType::Utf8)], &["id"]);
    let other = wide("b", &["id", "z"]);
    writer.try_write(rows(&old, 1, &[10, 100]))?;
    writer.try_write(rows(&other, 7, &[70]))?;
    let ddl = |relation: &std::sync::Arc<aqueduct_model::Relation>, change| {
        SinkInput::Schema(SchemaChange::new(relation.clone(), change))
    };
    writer.try_write(ddl(&renamed, Change::RenameColumn { from: "x".into(), to: "y".into() }))?;
    writer.try_write(rows(&renamed, 2, &[20, 200]))?;
    writer.try_write(ddl(&dropped, Change::DropColumns(vec!["gone".into()])))?;
    writer.try_write(ddl(&added, Change::AddColumns(vec!["gone".into()])))?;
    writer.try_write(rows(&added, 3, &[30, 300]))?;
    let name = RelationName::table;
    for (from, to) in [("a", "t"), ("b", "a"), ("t", "b")] {
        let to = if from == "b" {
            wide(to, &["id", "z"])
        } else {
            relation(to, &[("id", int.clone()), ("y", int.clone()), ("gone", DataType::Utf8)], &["id"])
        };
        writer.try_write(ddl(&to, Change::RenameTable { from: name(from) }))?;
    }
    writer.try_write(rows(&wide("a", &["id", "z"]), 8, &[80]))?;
    writer.try_flush()
}

fn check_around_ddl(bench: &Bench<'_>, case: &str) {
    assert_eq!(bench.read("b").1, ["1|10|NULL", "2|20|NULL", "3|30|n300"], "{case}");
    assert_eq!(bench.read("a").1, ["7|70", "8|80"], "{case}");
    assert_eq!(bench.columns("b"), ["id", "y", "gone"], "{case}");
    assert!(bench.columns("t").is_empty() && bench.columns("x").is_empty(), "{case}");
}

/// Wherever the sink dies around DDL, the rows of before come again, and everything ends up in its place.
pub(crate) fn a_crash_around_ddl_replays_right(kit: &Kit) {
    for point in ["ddl.early_before", "ddl.early_after", "ddl.apply_before", "ddl.apply_after", "sink.commit_before"] {
        // Each time the point is passed once more before it strikes.
        for passed in 0..6 {
            let scenario = FailScenario::setup();
            let bench = Bench::new(kit, json!({}));
            let (mut writer, _) = bench.start();
            let named = format!("{point}@{}", bench.context.flow);
            fail::cfg(&named, &format!("{passed}*off->1*return")).unwrap();
            let struck = write_around_ddl(&mut writer).is_err();
            scenario.teardown();
            drop(writer);
            let case = format!("{point} after {passed}");
            if struck {
                let (mut writer, recorded) = bench.start();
                assert_eq!(recorded.unwrap().cut.epoch.0, 0, "{case}");
                write_around_ddl(&mut writer).unwrap_or_else(|error| panic!("{case}: {error:?}"));
                writer.close();
            }
            check_around_ddl(&bench, &case);
        }
    }
}

/// Rows are in the open transaction when DDL comes. Where DDL would commit them, the epoch begins again.
pub(crate) fn ddl_in_the_middle_of_a_large_epoch(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "staging_bytes": 1 }));
    for attempt in 0..20 {
        let (mut writer, recorded) = bench.start();
        let epoch = recorded.map_or(0, |recorded| recorded.cut.epoch.0);
        assert_eq!(epoch, 0, "nothing of the epoch was committed before its end");
        match write_around_ddl(&mut writer) {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert!(attempt < 19, "it does not come to an end: {error:?}");
            }
        }
    }
    check_around_ddl(&bench, "large");
}
