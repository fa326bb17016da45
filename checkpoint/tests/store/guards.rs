//! One writer, rising numbers, private files, enough space, and looking without disturbing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aqueduct_checkpoint::{EPOCHS_KEPT, Record, Recovery, StoreKind, StoreOptions, export, inspect, open_with, reset};
use aqueduct_model::{Epoch, ErrorKind, State, Token};

use crate::support::{KINDS, alone, checked_load, filled, open, record};

#[test]
fn a_store_goes_on_where_it_stood() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = open(folder.path(), kind).expect("opens");
        assert_eq!(first.recovery, Recovery::Fresh);
        assert_eq!((first.store.kind(), first.store.load().expect("loads")), (kind, None));
        assert_eq!(first.store.next_token().expect("a token"), Token(1));
        first.store.log(&record(1, Token(1))).expect("logs");
        assert_eq!(checked_load(first.store.as_mut()), 1);
        drop(first);

        let mut second = open(folder.path(), kind).expect("opens");
        assert_eq!(second.recovery, Recovery::Clean);
        assert_eq!(checked_load(second.store.as_mut()), 1);
        assert_eq!(second.store.next_token().expect("a token"), Token(2));
    }
}

#[test]
fn a_second_opener_is_refused_by_name() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let _first = filled(folder.path(), kind, 1);
        for refused in [open(folder.path(), kind).map(drop), reset(folder.path()).map(drop)] {
            let error = refused.expect_err("in use");
            assert_eq!(error.kind(), ErrorKind::State);
            assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
            assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
            assert!(error.hint().is_some());
        }
    }
}

#[test]
fn a_writer_whose_folder_was_taken_away_stops() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 1);
        fs::remove_file(folder.path().join("lock")).expect("removes");
        let mut second = filled_again(folder.path(), kind);
        assert_eq!(store.log(&record(2, Token(1))).expect_err("not alone").kind(), ErrorKind::State);
        if let Some(second) = &mut second {
            assert_eq!(checked_load(second.store.as_mut()), 1);
        }
    }
}

/// The database's own lock may still refuse; that is as good.
fn filled_again(folder: &Path, kind: StoreKind) -> Option<aqueduct_checkpoint::OpenedStore> {
    match open(folder, kind) {
        Ok(opened) => Some(opened),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::State);
            None
        }
    }
}

#[test]
fn epochs_and_tokens_only_rise() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 3);
        assert_eq!(store.log(&record(3, Token(1))).expect_err("logged before").kind(), ErrorKind::Bug);
        store.raise_token(Token(7)).expect("raises");
        store.raise_token(Token(2)).expect("does nothing");
        assert_eq!(store.log(&record(4, Token(6))).expect_err("fenced").kind(), ErrorKind::Bug);
        assert_eq!(store.next_token().expect("a token"), Token(8));
        store.log(&record(4, Token(8))).expect("a refusal changes nothing");
        drop(store);
        assert_eq!(open(folder.path(), kind).expect("opens").store.next_token().expect("a token"), Token(9));
    }
}

#[test]
fn files_are_private() {
    let _alone = alone();
    for kind in KINDS {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("state");
        fs::create_dir(&folder).expect("creates");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("opens it up");
        let _store = filled(&folder, kind, 20);
        assert_private(&folder);
    }
}

fn assert_private(path: &Path) {
    let metadata = fs::metadata(path).expect("metadata");
    let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
    // sled makes its folder for large values itself, inside a private one.
    if !path.ends_with("blobs") {
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("lists") {
            assert_private(&entry.expect("an entry").path());
        }
    }
}

#[test]
fn below_the_floor_nothing_is_opened() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, 2));
        let before = inspect(folder.path()).expect("inspects");
        let error =
            open_with(folder.path(), &StoreOptions { kind, free_bytes_min: u64::MAX }).map(drop).expect_err("full");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.hint().is_some_and(|hint| hint.contains("free at least")));
        assert_eq!(inspect(folder.path()).expect("inspects"), before);
    }
}

#[test]
fn a_state_larger_than_a_segment_of_the_database_is_kept() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 0);
        for epoch in 1..=3 {
            let state = State(vec![epoch as u8; 3 << 20]);
            let states = [("join".to_owned(), state)].into();
            store.log(&Record { epoch: Epoch(epoch), token: Token(1), states, ..Record::default() }).expect("logs");
        }
        let newest = store.load().expect("loads");
        drop(store);
        // Only the database is left.
        fs::remove_dir_all(folder.path().join("journal")).expect("removes");
        let mut opened = open(folder.path(), kind).expect("opens");
        assert_eq!(opened.recovery, Recovery::Clean);
        assert!(opened.store.load().expect("loads") == newest);
    }
}

#[test]
fn half_a_snapshot_of_sled_is_not_taken_for_damage() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    drop(filled(folder.path(), StoreKind::Sled, 9));
    let half = folder.path().join("sled/snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&half, b"half").expect("writes");
    let mut opened = open(folder.path(), StoreKind::Sled).expect("opens");
    assert_eq!((opened.recovery, checked_load(opened.store.as_mut()), half.exists()), (Recovery::Clean, 9, false));
}

#[test]
fn the_journal_keeps_the_last_epochs() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let _store = filled(folder.path(), kind, EPOCHS_KEPT as u64 + 5);
        let summary = inspect(folder.path()).expect("works while it is open");
        let epochs: Vec<u64> = summary.epochs.iter().map(|epoch| epoch.epoch.0).collect();
        assert_eq!(epochs, (6..=EPOCHS_KEPT as u64 + 5).rev().collect::<Vec<_>>());
        assert_eq!((summary.token, summary.last_writer_pid), (Token(1), Some(std::process::id())));
        assert_eq!(summary.epochs[0].state_bytes["count"], 21 * 37);
        assert!(summary.damaged.is_empty() && summary.epochs[0].logged_at_ms > 0);
    }
}

#[test]
fn the_newest_epoch_can_be_exported_while_the_store_is_open() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(export(folder.path()).expect_err("not ours").kind(), ErrorKind::State);
    let mut store = filled(folder.path(), KINDS[0], 0);
    assert!(export(folder.path()).expect("empty").is_null());
    store.log(&record(1, Token(1))).expect("logs");
    let exported = export(folder.path()).expect("exports");
    assert_eq!((&exported["epoch"], &exported["positions"]["shop"]["p1"]["lsn"]), (&1.into(), &1001.into()));
    assert_eq!(exported["states"]["count"].as_str().map(str::len), Some(2 * 37));
}

#[test]
fn reset_begins_anew_above_everything() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, 5));
        assert_eq!(reset(folder.path()).expect("resets"), Token(2));
        let mut opened = open(folder.path(), kind).expect("opens");
        let found = opened.store.load().expect("loads").expect("the reset");
        assert_eq!(found, Record { epoch: Epoch(6), token: Token(2), reset: true, ..Record::default() });
        assert_eq!(opened.store.next_token().expect("a token"), Token(3));
    }
}

#[test]
fn a_folder_may_change_its_database() {
    let _alone = alone();
    for (from, to) in [(KINDS[0], KINDS[1]), (KINDS[1], KINDS[0])] {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), from, 4));
        let mut opened = open(folder.path(), to).expect("opens");
        assert_eq!(opened.recovery, Recovery::RebuiltFromJournal { moved_to: None });
        assert_eq!(checked_load(opened.store.as_mut()), 4);
        opened.store.log(&record(5, Token(1))).expect("logs");
        drop(opened);
        let mut back = open(folder.path(), from).expect("opens the stale one");
        assert_eq!(checked_load(back.store.as_mut()), 5);
        assert_eq!(back.store.next_token().expect("a token"), Token(2));
    }
}
