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
    drop(second);
    let (_, recorded) = bench.start();
    assert_eq!(recorded.unwrap().cut, cut(1));
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
