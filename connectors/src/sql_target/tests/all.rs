//! All tests of a transactional SQL sink, by name, and a runner for them: one list for every database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Kit, basics, conformance, evolution, modes, origins, property, values, versions};

/// A test.
pub(super) type Body = fn(&Kit);

/// Tests at once: they wait for the disk and for the server most of the time.
const THREADS: usize = 4;

#[cfg(all(any(feature = "mysql", feature = "postgres"), feature = "failpoints"))]
pub(crate) use super::servers::ON_SERVERS;
#[cfg(all(any(feature = "mysql", feature = "postgres"), not(feature = "failpoints")))]
pub(crate) const ON_SERVERS: &[(&str, Body)] = &[];

/// What targets in files are asked besides.
#[cfg(any(feature = "duckdb", feature = "sqlite"))]
pub(crate) const IN_FILES: &[(&str, Body)] = &[(
    "another_writer_of_the_file_is_answered_not_hung_on",
    basics::another_writer_of_the_file_is_answered_not_hung_on,
)];

const BODIES: &[(&str, Body)] = &[
    ("keeps_every_promise", conformance::keeps_every_promise),
    ("open_changes_nothing_and_a_claim_is_recorded", basics::open_changes_nothing_and_a_claim_is_recorded),
    ("an_epoch_is_visible_after_its_flush_and_not_before", basics::an_epoch_is_visible_after_its_flush_and_not_before),
    ("an_older_token_is_refused", basics::an_older_token_is_refused),
    ("two_tasks_write_in_turns", basics::two_tasks_write_in_turns),
    ("two_tasks_share_a_target", basics::two_tasks_share_a_target),
    ("any_name_is_only_a_name", basics::any_name_is_only_a_name),
    ("random_names_come_back", basics::random_names_come_back),
    ("an_unwritten_sink_refuses_rows", basics::an_unwritten_sink_refuses_rows),
    ("append_takes_inserts_only", modes::append_takes_inserts_only),
    ("upsert_keeps_in_step", modes::upsert_keeps_in_step),
    ("absent_values_stay", modes::absent_values_stay),
    ("absent_values_never_become_null", modes::absent_values_never_become_null),
    ("two_tables_become_one_only_when_asked", origins::two_tables_become_one_only_when_asked),
    ("names_that_differ_by_case_are_not_mixed_up", origins::names_that_differ_by_case_are_not_mixed_up),
    ("a_renamed_table_frees_its_name", origins::a_renamed_table_frees_its_name),
    ("a_null_key_is_a_bad_row", modes::a_null_key_is_a_bad_row),
    ("without_a_key_equal_rows_are_counted", modes::without_a_key_equal_rows_are_counted),
    ("soft_delete_marks", modes::soft_delete_marks),
    ("replace_empties_once", modes::replace_empties_once),
    ("mirror_refuses_rows_of_others", modes::mirror_refuses_rows_of_others),
    ("constraints_of_an_existing_table_make_bad_rows", modes::constraints_of_an_existing_table_make_bad_rows),
    ("a_needed_column_that_is_not_written_is_named", modes::a_needed_column_that_is_not_written_is_named),
    ("columns_of_others_stay_without_an_index", modes::columns_of_others_stay_without_an_index),
    ("every_version_is_kept", versions::every_version_is_kept),
    ("versions_of_partial_rows_and_of_returning_keys", versions::versions_of_partial_rows_and_of_returning_keys),
    ("versions_need_a_key", versions::versions_need_a_key),
    ("every_change_is_followed_inside_the_epoch", evolution::every_change_is_followed_inside_the_epoch),
    ("columns_change_behind_changed_rows", evolution::columns_change_behind_changed_rows),
    ("a_new_version_needs_no_announcement", evolution::a_new_version_needs_no_announcement),
    ("types_widen_and_never_narrow", evolution::types_widen_and_never_narrow),
    ("truncate_rename_and_drop_of_tables", evolution::truncate_rename_and_drop_of_tables),
    ("a_truncate_of_one_of_several_takes_its_own_rows", evolution::a_truncate_of_one_of_several_takes_its_own_rows),
    ("policies_ignore_and_fail", evolution::policies_ignore_and_fail),
    ("an_existing_column_of_another_type_is_named", evolution::an_existing_column_of_another_type_is_named),
    ("every_type_comes_back", values::every_type_comes_back),
    ("every_type_can_be_a_key", values::every_type_can_be_a_key),
    ("nested_types_are_refused_by_name", values::nested_types_are_refused_by_name),
    ("in_mode_upsert_the_target_is_the_fold", property::in_mode_upsert_the_target_is_the_fold),
    ("in_mode_mirror_the_target_is_the_fold", property::in_mode_mirror_the_target_is_the_fold),
    ("in_mode_soft_delete_the_target_is_the_fold", property::in_mode_soft_delete_the_target_is_the_fold),
    ("in_mode_replace_the_target_is_the_fold", property::in_mode_replace_the_target_is_the_fold),
    ("in_mode_scd2_the_current_versions_are_the_fold", property::in_mode_scd2_the_current_versions_are_the_fold),
];

#[cfg(feature = "failpoints")]
const FAULTS: &[(&str, Body)] = {
    use super::protocol;
    &[
        (
            "a_commit_without_reply_is_found_at_the_next_open",
            protocol::a_commit_without_reply_is_found_at_the_next_open,
        ),
        ("a_fault_before_the_commit_leaves_nothing", protocol::a_fault_before_the_commit_leaves_nothing),
        ("mutant_split_commit_is_caught", protocol::mutant_split_commit_is_caught),
        ("mutant_keep_first_is_caught", protocol::mutant_keep_first_is_caught),
        ("a_claim_with_the_same_token_is_refused", protocol::a_claim_with_the_same_token_is_refused),
        (
            "a_taken_over_writer_is_refused_at_its_next_flush",
            protocol::a_taken_over_writer_is_refused_at_its_next_flush,
        ),
        ("a_target_that_moved_is_looked_at_again", protocol::a_target_that_moved_is_looked_at_again),
        ("mutant_no_token_check_is_caught", protocol::mutant_no_token_check_is_caught),
        ("a_crash_around_ddl_replays_right", protocol::a_crash_around_ddl_replays_right),
        ("ddl_in_the_middle_of_a_large_epoch", protocol::ddl_in_the_middle_of_a_large_epoch),
    ]
};

#[cfg(any(feature = "mysql", feature = "postgres"))]
const CHECKSUMS: &[(&str, Body)] = {
    use super::checksums;
    &[
        ("checksums_are_those_of_the_rows", checksums::checksums_are_those_of_the_rows),
        ("checksums_show_what_changed", checksums::checksums_show_what_changed),
    ]
};

#[cfg(not(any(feature = "mysql", feature = "postgres")))]
const CHECKSUMS: &[(&str, Body)] = &[];

#[cfg(not(feature = "failpoints"))]
const FAULTS: &[(&str, Body)] = &[];

/// Runs all tests of a kit, and those of `more`; one of them alone by AQUEDUCT_BODY. Panics with the names of those that
/// failed; why they did is above it.
pub(crate) fn check(kit: &Kit, more: &[(&str, Body)]) {
    let wanted = std::env::var("AQUEDUCT_BODY").ok();
    let bodies: Vec<_> = [BODIES, CHECKSUMS, FAULTS, more]
        .into_iter()
        .flatten()
        .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())))
        .collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, body)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| body(kit))).is_err() {
                        eprintln!("{}: {name} failed", kit.entry.name);
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), bodies.len());
}
