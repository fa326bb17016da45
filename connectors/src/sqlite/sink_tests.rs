//! SQLiteOutput against a real database.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::json;

#[cfg(feature = "failpoints")]
use crate::sql_target::tests::protocol;
use crate::sql_target::tests::{Kit, basics, conformance, evolution, modes, property, values};

const KIT: Kit = Kit { entry: super::sink_config::OUTPUT, sql };

/// Random histories per mode.
const CASES: u64 = 60;

fn sql(path: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut result = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns).map(|i| show(row.get_ref(i).unwrap())).collect();
        result.push(cells.join("|"));
    }
    result
}

fn show(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
        ValueRef::Blob(value) => format!("{value:?}"),
    }
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
