#!/bin/sh
# Plants protocol bugs, one by one, and counts how many the tests catch. Prints a line for each and the sum.
set -eu
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
caught=0
all=0

# run BUG... -- PACKAGE TEST...: the test plants these bugs itself and passes only if it notices every one of them.
run() {
    bugs=""
    while [ "$1" != -- ]; do
        bugs="$bugs $1"
        shift
    done
    shift
    package=$1
    shift
    verdict="caught  "
    cargo test --quiet --workspace --features failpoints --locked "$package" -- "$@" >"$log" 2>&1 || verdict="SURVIVED"
    grep -qE '[1-9][0-9]* passed' "$log" || verdict="SURVIVED"
    for bug in $bugs; do
        all=$((all + 1))
        [ "$verdict" = SURVIVED ] || caught=$((caught + 1))
        printf '%s %s\n' "$verdict" "$bug"
    done
    [ "$verdict" != SURVIVED ] || cat "$log"
}

run mutant.ack_before_commit mutant.log_before_flush mutant.barrier_unaligned mutant.channel_drops_batch \
    mutant.replay_cut_short mutant.replay_not_discarded -- --test=runtime planted_bugs::every_planted_bug_is_caught
run mutant.end_unnamed -- --lib an_end_that_no_checkpoint_names_is_caught
run mutant.ckpt_no_fsync mutant.ckpt_no_journal_crc mutant.token_not_persisted -- \
    --test=store faults::planted_bugs_are_noticed
run mutant.sink_no_token_check -- --lib no_token_check_is_caught
run mutant.sink_commit_splits_epoch -- --lib split_commit_is_caught
run mutant.sink_compaction_keeps_first -- --lib keep_first_is_caught
run mutant.staged_visible_before_commit mutant.staged_keeps_leftovers -- --lib planted_bugs_are_caught

# breaks BUG: the bug is planted from outside, and the tests of the SQLite capture must fail for it.
breaks() {
    all=$((all + 1))
    verdict="caught  "
    if FAILPOINTS="$1=return" cargo test --quiet --workspace --features failpoints --locked --lib -- sqlite::cdc >"$log" 2>&1
    then
        verdict="SURVIVED"
    else
        grep -q 'test result: FAILED' "$log" || verdict="SURVIVED"
        [ "$verdict" = SURVIVED ] || caught=$((caught + 1))
    fi
    printf '%s %s\n' "$verdict" "$1"
}

for bug in src_position_inside_transaction src_prune_before_durable src_skip_unknown_op snapshot_overwrites_newer \
    resume_off_by_one; do
    breaks "mutant.$bug"
done

printf '%d of %d caught\n' "$caught" "$all"
[ "$caught" -eq "$all" ]
