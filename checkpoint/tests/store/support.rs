//! Records that can be recognised, folders that can be copied, and numbers that repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use aqueduct_checkpoint::{CheckpointStore, OpenedStore, Record, StoreKind, StoreOptions, open_with};
use aqueduct_model::{Epoch, Position, PreparedCommit, Result, State, Token};
use serde_json::json;

pub const KINDS: [StoreKind; 2] = [StoreKind::Sled, StoreKind::Redb];

/// Opens without a floor: tests also run on small disks.
pub fn open(folder: &Path, kind: StoreKind) -> Result<OpenedStore> {
    open_with(folder, &StoreOptions { kind, free_bytes_min: 0 })
}

/// One test at a time may use the process-wide fail points; `FAILPOINTS` plants bugs from outside.
pub fn alone() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

/// A record whose every part follows from its epoch, so that a mixture of two epochs is recognised.
pub fn record(epoch: u64, token: Token) -> Record {
    let offset = |part: u64| json!({ "lsn": epoch * 1_000 + part, "row": part });
    let position = Position(
        (0..3).map(|part| (format!("p{part}").as_str().into(), aqueduct_model::Offset(offset(part)))).collect(),
    );
    let mut noise = Noise(epoch.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    // Mostly small, now and then larger than a page of either database.
    let bytes = if epoch.is_multiple_of(50) { 40_000 } else { (epoch * 37 % 3_000) as usize };
    let state = State((0..bytes).map(|_| noise.next() as u8).collect());
    Record {
        epoch: Epoch(epoch),
        token,
        positions: BTreeMap::from([("shop".to_owned(), position)]),
        ended: BTreeSet::new(),
        states: BTreeMap::from([("count".to_owned(), state), ("empty".to_owned(), State::default())]),
        prepared: BTreeMap::from([("lake".to_owned(), PreparedCommit(json!({ "files": [format!("part-{epoch}")] })))]),
        finished: false,
        reset: false,
    }
}

/// Opens, takes a token and logs `epochs` epochs.
pub fn filled(folder: &Path, kind: StoreKind, epochs: u64) -> Box<dyn CheckpointStore> {
    let mut store = open(folder, kind).expect("opens").store;
    let token = store.next_token().expect("a token");
    for epoch in 1..=epochs {
        store.log(&record(epoch, token)).expect("logs");
    }
    store
}

/// The newest epoch; panics unless its record is exactly what was logged.
pub fn checked_load(store: &mut dyn CheckpointStore) -> u64 {
    match store.load().expect("loads") {
        None => 0,
        Some(found) => {
            assert!(found == record(found.epoch.0, found.token), "epoch {} is torn", found.epoch);
            found.epoch.0
        }
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("copies");
        }
    }
}

/// xorshift: the same numbers in every run.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
