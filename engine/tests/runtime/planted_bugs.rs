//! The tests are tested: each protocol bug, once planted, must make `exactly_once` fail.
//!
//! This binary runs itself with the bug in the environment, so that it is planted in nobody else's test.

use std::process::{Command, Stdio};

/// What is planted, and what it breaks.
const BUGS: &[(&str, &str)] = &[
    ("mutant.ack_before_commit", "a source is told that rows are safe before any sink has them"),
    ("mutant.log_before_flush", "an epoch is logged before its sinks have flushed"),
    ("mutant.barrier_unaligned", "an operator passes a barrier on before it came from every input"),
    ("mutant.channel_drops_batch", "a batch is lost between two tasks"),
    ("mutant.replay_cut_short", "a replayed epoch ends too early"),
    ("mutant.replay_not_discarded", "a target that is ahead takes a replayed epoch again"),
];

#[test]
fn every_planted_bug_is_caught() {
    let mut survived = Vec::new();
    for (bug, breaks) in BUGS {
        let ran = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args(["exactly_once::errors_at_random_calls_lose_and_double_nothing", "--exact"])
            .env("AQUEDUCT_PLANTED", bug)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("this binary runs");
        println!("{} {bug}: {breaks}", if ran.success() { "SURVIVED" } else { "caught  " });
        if ran.success() {
            survived.push(*bug);
        }
    }
    assert!(survived.is_empty(), "not caught: {survived:?}");
}
