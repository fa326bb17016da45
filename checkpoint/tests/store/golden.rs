//! Format 1 stays readable: these bytes are in folders of people who upgrade.

use std::fs;
use std::path::Path;

use aqueduct_checkpoint::{Recovery, StoreKind, inspect};
use aqueduct_model::{ErrorKind, Token};

use crate::support::{KINDS, alone, checked_load, copy_tree, filled, open};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/format-1");
const NAMES: [&str; 2] = ["00000000000000000003.epoch", "token"];

#[test]
fn todays_bytes_are_the_golden_ones() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    drop(filled(folder.path(), KINDS[0], 3));
    for name in NAMES {
        let written = fs::read(folder.path().join("journal").join(name)).expect("written");
        let golden = Path::new(GOLDEN).join(name);
        // How the golden files were made, and how those of the next format will be.
        if std::env::var_os("AQUEDUCT_WRITE_GOLDEN").is_some() {
            fs::create_dir_all(GOLDEN).expect("creates");
            fs::write(&golden, &written).expect("writes");
        }
        assert!(fs::read(&golden).expect("checked in") == written, "{name}: the format changed; raise FORMAT");
    }
}

#[test]
fn a_folder_of_format_1_opens() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        copy_tree(Path::new(GOLDEN), &folder.path().join("journal"));
        let mut opened = open(folder.path(), kind).expect("opens");
        assert_eq!(opened.recovery, Recovery::RebuiltFromJournal { moved_to: None });
        assert_eq!(checked_load(opened.store.as_mut()), 3);
        assert_eq!(opened.store.next_token().expect("a token"), Token(2));
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let _alone = alone();
    for name in NAMES {
        let folder = tempfile::tempdir().expect("a folder");
        copy_tree(Path::new(GOLDEN), &folder.path().join("journal"));
        let path = folder.path().join("journal").join(name);
        let mut frame = fs::read(&path).expect("reads");
        frame[4] = 2;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&frame[..16]);
        hasher.update(&frame[20..]);
        frame.splice(16..20, hasher.finalize().to_le_bytes());
        fs::write(&path, &frame).expect("writes");
        let error = open(folder.path(), StoreKind::Sled).map(drop).expect_err("newer");
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.to_string().contains("written by a newer version"), "{error}");
        assert!(inspect(folder.path()).is_err());
        assert_eq!(fs::read(&path).expect("still there"), frame);
    }
}
