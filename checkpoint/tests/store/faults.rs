//! Dying and failing at every step of a write, and the proof that planted bugs are noticed.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, Stdio};

use aqueduct_checkpoint::StoreKind;
use aqueduct_model::{ErrorKind, State, Token};

use crate::support::{KINDS, alone, checked_load, filled, open, record};

const FOLDER: &str = "AQUEDUCT_FAULT_FOLDER";
const KIND: &str = "AQUEDUCT_FAULT_KIND";

/// Not a test of its own: opens and logs one epoch in a process that dies on the way.
#[test]
fn dying_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let _alone = alone();
    let kind = if std::env::var(KIND).as_deref() == Ok("redb") { StoreKind::Redb } else { StoreKind::Sled };
    let mut store = open(Path::new(&folder), kind).expect("opens").store;
    let next = checked_load(store.as_mut()) + 1;
    let token = store.next_token().expect("a token");
    store.log(&record(next, token)).expect("logs");
}

/// Runs [`dying_process`]; true if it lived.
fn die_at(point: &str, folder: &Path, kind: StoreKind) -> bool {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["faults::dying_process", "--exact"])
        .env(FOLDER, folder)
        .env(KIND, kind.to_string())
        .env("FAILPOINTS", format!("{point}=return(abort)"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("runs")
        .success()
}

#[test]
fn dying_at_each_step_leaves_the_old_or_the_new_epoch() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut expected = 0;
        let mut token = Token(0);
        // What each step leaves: whether the epoch that was under way is there.
        for (point, logged) in [
            ("ckpt.token_after", false),
            ("ckpt.log_before", false),
            ("ckpt.log_torn", false),
            ("ckpt.log_after_journal", true),
            ("ckpt.log_after", true),
            ("ckpt.log_torn", false),
        ] {
            assert!(!die_at(point, folder.path(), kind), "{point} was not reached");
            expected += u64::from(logged);
            let _alone = alone();
            let mut store = open(folder.path(), kind).expect("opens").store;
            assert_eq!(checked_load(store.as_mut()), expected, "{kind}, {point}");
            let next = store.next_token().expect("a token");
            assert!(next > token.next(), "{kind}, {point}: the token of the process that died counts");
            token = next;
        }
    }
}

#[test]
fn a_failed_fsync_is_unknown_and_never_retried() {
    let _alone = alone();
    for kind in KINDS {
        // The n-th fsync of a log fails, for every n until none is left to fail.
        for n in 0.. {
            let folder = tempfile::tempdir().expect("a folder");
            let mut store = filled(folder.path(), kind, 2);
            fail::cfg("ckpt.fsync_fails", &format!("{n}*off->1*return")).expect("a fail point");
            let outcome = store.log(&record(3, Token(1)));
            fail::remove("ckpt.fsync_fails");
            let Err(error) = outcome else {
                assert!(n >= 3, "{kind}: a log takes at least three fsyncs, {n} failed");
                break;
            };
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind}, fsync {n}");
            for epoch in [3, 4] {
                assert_eq!(store.log(&record(epoch, Token(1))).expect_err("unknown").kind(), ErrorKind::Unavailable);
            }
            assert_eq!(store.next_token().expect_err("unknown").kind(), ErrorKind::Unavailable);
            drop(store);
            let mut again = open(folder.path(), kind).expect("opens").store;
            let found = checked_load(again.as_mut());
            assert!(found == 2 || found == 3, "{kind}, fsync {n}: {found}");
            let token = again.next_token().expect("a token");
            again.log(&record(found + 1, token)).expect("goes on");
        }
    }
}

#[test]
fn a_failed_fsync_while_opening_is_an_error_and_the_next_opening_works() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, 2));
        for n in 0.. {
            fail::cfg("ckpt.fsync_fails", &format!("{n}*off->1*return")).expect("a fail point");
            let outcome = open(folder.path(), kind).map(drop);
            fail::remove("ckpt.fsync_fails");
            let Err(error) = outcome else { break };
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind}, fsync {n}: {error:?}");
            assert_eq!(checked_load(open(folder.path(), kind).expect("opens").store.as_mut()), 2);
        }
    }
}

#[test]
fn below_the_floor_nothing_is_written_and_the_same_call_works_later() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 2);
        fail::cfg("ckpt.disk_full", "return").expect("a fail point");
        for _ in 0..2 {
            assert_eq!(store.log(&record(3, Token(1))).expect_err("full").kind(), ErrorKind::Unavailable);
            assert_eq!(store.next_token().expect_err("full").kind(), ErrorKind::Unavailable);
        }
        fail::remove("ckpt.disk_full");
        assert_eq!(checked_load(store.as_mut()), 2);
        store.log(&record(3, Token(1))).expect("nothing was written before");
        assert_eq!(store.next_token().expect("a token"), Token(2));
    }
}

/// Fails with `mutant.ckpt_no_fsync`: a log forces the journal's file and folder and the store to the disk.
fn every_log_reaches_the_disk() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 1);
        for epoch in 2..5 {
            let before = store.syncs();
            store.log(&record(epoch, Token(1))).expect("logs");
            assert!(store.syncs() >= before + 3, "{kind}: {} fsyncs in one log", store.syncs() - before);
        }
        let before = store.syncs();
        store.next_token().expect("a token");
        assert!(store.syncs() >= before + 3, "{kind}: a token was not forced to the disk");
    }
}

/// Fails with `mutant.ckpt_no_journal_crc`: a changed bit of a state in the journal is never taken for a state.
fn a_changed_state_is_never_loaded() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, 3));
        let journal = folder.path().join(format!("journal/{:020}.epoch", 3));
        let mut frame = fs::read(&journal).expect("reads");
        *frame.last_mut().expect("not empty") ^= 1;
        fs::write(&journal, frame).expect("writes");
        for store in ["sled", "store.redb"].map(|name| folder.path().join(name)).iter().filter(|path| path.exists()) {
            if store.is_dir() { fs::remove_dir_all(store) } else { fs::remove_file(store) }.expect("removes");
        }
        match open(folder.path(), kind) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::State),
            Ok(mut opened) => {
                let found = opened.store.load().expect("loads").expect("a record");
                let states: Vec<&State> = found.states.values().collect();
                assert_eq!(states, record(3, Token(1)).states.values().collect::<Vec<_>>());
            }
        }
    }
}

/// Fails with `mutant.token_not_persisted`: every start gets a token of its own.
fn a_token_is_given_out_once() {
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(open(folder.path(), kind).expect("opens").store.next_token().expect("a token").0);
        }
        assert_eq!(tokens, [1, 2, 3, 4], "{kind}");
    }
}

#[test]
fn fsync_is_never_left_out() {
    let _alone = alone();
    every_log_reaches_the_disk();
}

#[test]
fn checksums_are_checked() {
    let _alone = alone();
    a_changed_state_is_never_loaded();
}

#[test]
fn tokens_are_persisted() {
    let _alone = alone();
    a_token_is_given_out_once();
}

#[test]
fn planted_bugs_are_noticed() {
    let _alone = alone();
    for (mutant, check) in [
        ("mutant.ckpt_no_fsync", every_log_reaches_the_disk as fn()),
        ("mutant.ckpt_no_journal_crc", a_changed_state_is_never_loaded),
        ("mutant.token_not_persisted", a_token_is_given_out_once),
    ] {
        fail::cfg(mutant, "return").expect("a fail point");
        let noticed = catch_unwind(check).is_err();
        fail::remove(mutant);
        assert!(noticed, "{mutant} went unnoticed");
        check();
    }
}
