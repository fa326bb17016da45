//! Damage of every file: repaired from the other copy, or an error; never an older position without a word.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aqueduct_checkpoint::{Recovery, StoreKind, inspect, reset};
use aqueduct_model::{ErrorKind, Token};

use crate::support::{KINDS, Noise, alone, checked_load, copy_tree, filled, open, record};

/// Enough that sled has moved on from its first segment, and the journal has forgotten some.
const EPOCHS: u64 = 60;
/// Per database and way of damaging; each costs one opening.
const ROUNDS: u64 = 100;

/// A folder as a crash leaves it: copied while the store is open.
fn crashed(kind: StoreKind) -> tempfile::TempDir {
    let (live, image) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let _store = filled(live.path(), kind, EPOCHS);
    copy_tree(live.path(), image.path());
    image
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies the image, damages the copy, and opens it: nothing may be lost, and it must go on.
fn survives(image: &Path, kind: StoreKind, what: &str, damage: impl FnOnce(&Path)) -> Recovery {
    let folder = tempfile::tempdir().expect("a folder");
    copy_tree(image, folder.path());
    damage(folder.path());
    let mut opened = open(folder.path(), kind).unwrap_or_else(|error| panic!("{kind}, {what}: {error:?}"));
    assert_eq!(checked_load(opened.store.as_mut()), EPOCHS, "{kind}, {what}");
    assert_eq!(opened.store.next_token().expect("a token"), Token(2), "{kind}, {what}");
    opened.store.log(&record(EPOCHS + 1, Token(2))).unwrap_or_else(|error| panic!("{kind}, {what}: {error:?}"));
    let recovery = opened.recovery.clone();
    drop(opened);
    let mut again = open(folder.path(), kind).unwrap_or_else(|error| panic!("{kind}, {what}, again: {error:?}"));
    assert_eq!(checked_load(again.store.as_mut()), EPOCHS + 1, "{kind}, {what}, again");
    recovery
}

fn rounds(name: &str, damage: impl Fn(&Path, &mut Noise) -> String) {
    let _alone = alone();
    for kind in KINDS {
        let image = crashed(kind);
        let mut noise = Noise(0xDA_3A6E);
        // Every other time a file of the database, of which there are fewer.
        let all = files(image.path());
        let of_store = |path: &&PathBuf| !path.starts_with(image.path().join("journal")) && !path.ends_with("lock");
        let store: Vec<PathBuf> = all.iter().filter(of_store).cloned().collect();
        let mut rebuilt = 0;
        for round in 0..ROUNDS {
            let targets = if round % 2 == 0 { &store } else { &all };
            let path = &targets[noise.below(targets.len() as u64) as usize];
            let path = path.strip_prefix(image.path()).expect("inside").to_owned();
            // Damaging happens in the copy, so its description is made there too.
            let recovery = survives(image.path(), kind, &format!("{name} of {}", path.display()), |folder| {
                println!("{}", damage(&folder.join(&path), &mut noise));
            });
            rebuilt += u64::from(matches!(recovery, Recovery::RebuiltFromJournal { .. }));
        }
        println!("{kind}: {ROUNDS} × {name}, {rebuilt} rebuilt from the journal, 0 lost");
    }
}

#[test]
fn a_truncated_file_loses_nothing() {
    rounds("truncation", |path, noise| {
        let length = fs::metadata(path).expect("metadata").len();
        let keep = noise.below(length);
        OpenOptions::new().write(true).open(path).expect("opens").set_len(keep).expect("truncates");
        format!("{} cut at {keep} of {length}", path.display())
    });
}

#[test]
fn flipped_bits_lose_nothing() {
    rounds("bit flip", |path, noise| {
        let file = OpenOptions::new().read(true).write(true).open(path).expect("opens");
        let length = file.metadata().expect("metadata").len();
        // Half of them near the start, where headers are.
        let end = if noise.below(2) == 0 { length.min(4_096) } else { length };
        let at = noise.below(end);
        let mut byte = [0];
        if length > 0 {
            file.read_exact_at(&mut byte, at).expect("reads");
            file.write_all_at(&[byte[0] ^ 1 << noise.below(8)], at).expect("writes");
        }
        format!("{} flipped at {at} of {length}", path.display())
    });
}

#[test]
fn a_zeroed_range_loses_nothing() {
    rounds("zeroed range", |path, noise| {
        let file = OpenOptions::new().write(true).open(path).expect("opens");
        let length = file.metadata().expect("metadata").len();
        let at = noise.below(length);
        let count = (length - at).min(512 + noise.below(1 << 16));
        file.write_all_at(&vec![0; count as usize], at).expect("writes");
        format!("{} zeroed {count} at {at} of {length}", path.display())
    });
}

#[test]
fn each_file_may_vanish_or_be_empty_or_zero() {
    let _alone = alone();
    for kind in KINDS {
        let image = crashed(kind);
        for path in files(image.path()) {
            let inner = path.strip_prefix(image.path()).expect("inside").to_owned();
            let name = inner.display();
            survives(image.path(), kind, &format!("{name} deleted"), |folder| {
                fs::remove_file(folder.join(&inner)).expect("removes");
            });
            survives(image.path(), kind, &format!("{name} emptied"), |folder| {
                fs::write(folder.join(&inner), b"").expect("writes");
            });
            let length = fs::metadata(&path).expect("metadata").len() as usize;
            survives(image.path(), kind, &format!("{name} zeroed"), |folder| {
                fs::write(folder.join(&inner), vec![0; length]).expect("writes");
            });
        }
    }
}

#[test]
fn a_damaged_store_is_moved_aside_and_kept() {
    let _alone = alone();
    for (kind, file) in [(StoreKind::Sled, "sled/conf"), (StoreKind::Redb, "store.redb")] {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, EPOCHS));
        for n in 1..=2 {
            fs::write(folder.path().join(file), b"segment_size: none of your business at all").expect("writes");
            let opened = open(folder.path(), kind).expect("opens");
            let name = format!("{}.corrupt-{n}", file.split('/').next().expect("a name"));
            let moved_to = folder.path().join(name);
            assert!(moved_to.exists());
            assert_eq!(opened.recovery, Recovery::RebuiltFromJournal { moved_to: Some(moved_to) });
        }
    }
}

#[test]
fn an_older_copy_of_one_half_is_overruled_by_the_other() {
    let _alone = alone();
    for kind in KINDS {
        let live = tempfile::tempdir().expect("a folder");
        let older = tempfile::tempdir().expect("a folder");
        drop(filled(live.path(), kind, EPOCHS / 2));
        copy_tree(live.path(), older.path());
        let mut store = open(live.path(), kind).expect("opens").store;
        for epoch in EPOCHS / 2 + 1..=EPOCHS {
            store.log(&record(epoch, Token(1))).expect("logs");
        }
        drop(store);
        for half in ["sled", "store.redb", "journal"] {
            if !older.path().join(half).exists() {
                continue;
            }
            survives(live.path(), kind, &format!("older {half}"), |folder| {
                replace(&older.path().join(half), &folder.join(half))
            });
        }
        let both = tempfile::tempdir().expect("a folder");
        copy_tree(live.path(), both.path());
        for half in ["sled", "store.redb", "journal"] {
            if older.path().join(half).exists() {
                replace(&older.path().join(half), &both.path().join(half));
            }
        }
        refuses_until_reset(both.path(), kind);
    }
}

fn replace(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::remove_dir_all(to).expect("removes");
        copy_tree(from, to);
    } else {
        fs::copy(from, to).expect("copies");
    }
}

/// Going on would be going back: refused with a hint, and `reset` goes on above what was lost.
fn refuses_until_reset(folder: &Path, kind: StoreKind) {
    let error = open(folder, kind).map(drop).expect_err("older than what was acknowledged");
    assert_eq!(error.kind(), ErrorKind::State, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("checkpoint reset")));
    assert!(reset(folder).expect("resets") > Token(1));
    let found = open(folder, kind).expect("opens").store.load().expect("loads").expect("the reset");
    assert!(found.reset && found.epoch.0 > EPOCHS);
}

#[test]
fn both_copies_damaged_is_an_error_and_reset_is_the_way_out() {
    let _alone = alone();
    for kind in KINDS {
        let image = crashed(kind);
        let newest = format!("journal/{EPOCHS:020}.epoch");
        let store = if kind == StoreKind::Sled { "sled" } else { "store.redb" };
        let damages: [&dyn Fn(&Path); 4] = [
            &|folder| remove(&folder.join(&newest)),
            &|folder| fs::write(folder.join(&newest), b"AQCR").expect("writes"),
            &|folder| remove(&folder.join("journal")),
            // The mark in the lock file may be gone as well, then the damaged file itself is the evidence.
            &|folder| {
                remove(&folder.join("lock"));
                fs::write(folder.join(&newest), b"AQCR").expect("writes");
            },
        ];
        for damage in damages {
            let folder = tempfile::tempdir().expect("a folder");
            copy_tree(image.path(), folder.path());
            remove(&folder.path().join(store));
            damage(folder.path());
            refuses_until_reset(folder.path(), kind);
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removes");
}

#[test]
fn a_folder_that_lost_all_but_its_lock_is_refused() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        drop(filled(folder.path(), kind, 0));
        for name in ["journal", "sled", "store.redb"] {
            if folder.path().join(name).exists() {
                remove(&folder.path().join(name));
            }
        }
        assert_eq!(open(folder.path(), kind).map(drop).expect_err("lost").kind(), ErrorKind::State);
    }
}

#[test]
fn inspect_names_damaged_files() {
    let _alone = alone();
    let image = crashed(StoreKind::Sled);
    let newest = format!("{EPOCHS:020}.epoch");
    fs::write(image.path().join("journal").join(&newest), b"AQCR").expect("writes");
    let summary = inspect(image.path()).expect("inspects");
    assert_eq!((summary.damaged, summary.epochs.len()), (vec![newest], 15));
}
