//! DuckDBOutput against a real database.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use aqueduct_model::{ByteSize, ErrorKind};
use serde_json::json;

use super::sink::{DuckDbTarget, Settings};

#[cfg(feature = "failpoints")]
use crate::sql_target::tests::protocol;
use crate::sql_target::tests::{
    Bench, Kit, basics, batch, block_on, conformance, evolution, modes, orders, property, texts, values,
};

const KIT: Kit = Kit { entry: super::config::ENTRY, sql };

/// Random histories per mode.
const CASES: u64 = 8;

fn sql(path: &Path, sql: &str) -> Vec<String> {
    let settings = Settings { path: path.to_owned(), memory_limit: ByteSize(256 << 20), threads: 1 };
    let target = DuckDbTarget::open(&settings).unwrap();
    let mut statement = target.connection().prepare(sql).unwrap();
    let batches: Vec<_> = statement.query_arrow([]).unwrap().collect();
    batches.iter().flat_map(texts).collect()
}

#[test]
fn keeps_every_promise() {
    conformance::keeps_every_promise(&KIT);
}

#[test]
fn open_changes_nothing_and_a_claim_is_recorded() {
    basics::open_changes_nothing_and_a_claim_is_recorded(&KIT);
}

#[test]
fn an_epoch_is_visible_after_its_flush_and_not_before() {
    basics::an_epoch_is_visible_after_its_flush_and_not_before(&KIT);
}

#[test]
fn an_older_token_is_refused() {
    basics::an_older_token_is_refused(&KIT);
}

#[test]
fn two_tasks_write_in_turns() {
    basics::two_tasks_write_in_turns(&KIT);
}

#[test]
fn two_tasks_share_a_target() {
    basics::two_tasks_share_a_target(&KIT);
}

#[test]
fn any_name_is_only_a_name() {
    basics::any_name_is_only_a_name(&KIT);
}

#[test]
fn random_names_come_back() {
    basics::random_names_come_back(&KIT);
}

#[test]
fn another_writer_of_the_file_is_answered_not_hung_on() {
    basics::another_writer_of_the_file_is_answered_not_hung_on(&KIT);
}

#[test]
fn an_unwritten_sink_refuses_rows() {
    basics::an_unwritten_sink_refuses_rows(&KIT);
}

#[test]
fn append_takes_inserts_only() {
    modes::append_takes_inserts_only(&KIT);
}

#[test]
fn upsert_keeps_in_step() {
    modes::upsert_keeps_in_step(&KIT);
}

#[test]
fn absent_values_stay() {
    modes::absent_values_stay(&KIT);
}

#[test]
fn a_null_key_is_a_bad_row() {
    modes::a_null_key_is_a_bad_row(&KIT);
}

#[test]
fn without_a_key_equal_rows_are_counted() {
    modes::without_a_key_equal_rows_are_counted(&KIT);
}

#[test]
fn soft_delete_marks() {
    modes::soft_delete_marks(&KIT);
}

#[test]
fn replace_empties_once() {
    modes::replace_empties_once(&KIT);
}

#[test]
fn mirror_refuses_rows_of_others() {
    modes::mirror_refuses_rows_of_others(&KIT);
}

#[test]
fn constraints_of_an_existing_table_make_bad_rows() {
    modes::constraints_of_an_existing_table_make_bad_rows(&KIT);
}

#[test]
fn a_needed_column_that_is_not_written_is_named() {
    modes::a_needed_column_that_is_not_written_is_named(&KIT);
}

#[test]
fn columns_of_others_stay_without_an_index() {
    modes::columns_of_others_stay_without_an_index(&KIT);
}

#[test]
fn every_change_is_followed_inside_the_epoch() {
    evolution::every_change_is_followed_inside_the_epoch(&KIT);
}

#[test]
fn a_new_version_needs_no_announcement() {
    evolution::a_new_version_needs_no_announcement(&KIT);
}

#[test]
fn types_widen_and_never_narrow() {
    evolution::types_widen_and_never_narrow(&KIT);
}

#[test]
fn truncate_rename_and_drop_of_tables() {
    evolution::truncate_rename_and_drop_of_tables(&KIT);
}

#[test]
fn policies_ignore_and_fail() {
    evolution::policies_ignore_and_fail(&KIT);
}

#[test]
fn an_existing_column_of_another_type_is_named() {
    evolution::an_existing_column_of_another_type_is_named(&KIT);
}

#[test]
fn every_type_comes_back() {
    values::every_type_comes_back(&KIT);
}

#[test]
fn every_type_can_be_a_key() {
    values::every_type_can_be_a_key(&KIT);
}

#[test]
fn nested_types_are_refused_by_name() {
    values::nested_types_are_refused_by_name(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_commit_without_reply_is_found_at_the_next_open() {
    protocol::a_commit_without_reply_is_found_at_the_next_open(&KIT);
}

#[test]
fn a_target_that_moved_is_looked_at_again() {
    protocol::a_target_that_moved_is_looked_at_again(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_fault_before_the_commit_leaves_nothing() {
    protocol::a_fault_before_the_commit_leaves_nothing(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn mutant_split_commit_is_caught() {
    protocol::mutant_split_commit_is_caught(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn mutant_keep_first_is_caught() {
    protocol::mutant_keep_first_is_caught(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_claim_with_the_same_token_is_refused() {
    protocol::a_claim_with_the_same_token_is_refused(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn a_taken_over_writer_is_refused_at_its_next_flush() {
    protocol::a_taken_over_writer_is_refused_at_its_next_flush(&KIT);
}

#[cfg(feature = "failpoints")]
#[test]
fn mutant_no_token_check_is_caught() {
    protocol::mutant_no_token_check_is_caught(&KIT);
}

#[test]
fn in_mode_upsert_the_target_is_the_fold() {
    property::the_target_is_the_fold(&KIT, CASES, &json!({ "mode": "upsert" }), true);
}

#[test]
fn in_mode_mirror_the_target_is_the_fold() {
    property::the_target_is_the_fold(&KIT, CASES, &json!({ "mode": "mirror" }), true);
}

#[test]
fn in_mode_soft_delete_the_target_is_the_fold() {
    property::the_target_is_the_fold(&KIT, CASES, &json!({ "mode": "soft_delete" }), false);
}

#[test]
fn in_mode_replace_the_target_is_the_fold() {
    property::the_target_is_the_fold(&KIT, CASES, &json!({ "mode": "replace" }), true);
}

/// Holds a database open while `an_open_file_names_its_process` looks; does nothing in a run of all tests.
#[test]
fn holder_of_a_file() {
    let Some(path) = std::env::var_os("AQUEDUCT_TEST_HOLD") else { return };
    let settings = Settings { path: path.into(), memory_limit: ByteSize(256 << 20), threads: 1 };
    let _target = DuckDbTarget::open(&settings).unwrap();
    eprintln!("holding");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn an_open_file_names_its_process_and_a_closed_one_is_free() {
    let bench = Bench::new(&KIT, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.flush();
    writer.close();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "duckdb::tests::holder_of_a_file", "--nocapture"])
        .env("AQUEDUCT_TEST_HOLD", bench.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")), "another process opens what was closed");
    let error = block_on(bench.sink().open(&bench.context)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint().unwrap().contains(&holder.id().to_string()), "{error:?}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(bench.read("orders").1, ["1|a"]);
}
