//! The map against a plain one, through spills, merges, checkpoints and crashes.

use std::collections::BTreeMap;

use aqueduct_model::{ErrorKind, State};
use proptest::prelude::*;

use super::{Store, StoreSettings};

fn settings(folder: Option<&std::path::Path>) -> StoreSettings {
    StoreSettings { folder: folder.map(Into::into), memory_bytes: 2_000 }
}

type Plain = BTreeMap<Vec<u8>, Vec<u8>>;

fn all(store: &Store, prefix: &[u8]) -> Plain {
    let mut found = Plain::new();
    let mut last: Option<Vec<u8>> = None;
    store
        .scan(prefix, |key, value| {
            assert!(last.as_deref().is_none_or(|last| last < key), "in order");
            last = Some(key.to_vec());
            found.insert(key.to_vec(), value.to_vec());
            Ok(true)
        })
        .unwrap();
    found
}

#[derive(Debug, Clone)]
enum Step {
    Put(u16, u8),
    Remove(u16),
    Snapshot,
    /// Begins anew from one of the last checkpoints.
    Crash(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..300_u16;
    let step = prop_oneof![
        8 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => key.prop_map(Step::Remove),
        1 => Just(Step::Snapshot),
        1 => (0..3_usize).prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn it_holds_what_a_plain_map_holds(steps in steps(), in_memory in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings((!in_memory).then(|| folder.path()));
        let mut store = Store::open(settings.clone(), None).unwrap();
        let mut plain = Plain::new();
        let mut checkpoints: Vec<(Option<State>, Plain)> = vec![(None, Plain::new())];
        for step in steps {
            match step {
                Step::Put(key, value) => {
                    let (key, value) = (key.to_be_bytes().to_vec(), vec![value; usize::from(value) % 90]);
                    plain.insert(key.clone(), value.clone());
                    store.put(key, value).unwrap();
                }
                Step::Remove(key) => {
                    let key = key.to_be_bytes().to_vec();
                    prop_assert_eq!(store.get(&key).unwrap(), plain.remove(&key));
                    store.remove(key).unwrap();
                }
                Step::Snapshot => checkpoints.push((Some(store.snapshot().unwrap()), plain.clone())),
                Step::Crash(back) => {
                    checkpoints.truncate(checkpoints.len().saturating_sub(back).max(1));
                    let (state, then) = checkpoints.last().unwrap().clone();
                    if let (None, false) = (&state, in_memory) {
                        checkpoints.clear();
                        checkpoints.push((None, Plain::new()));
                    }
                    drop(store);
                    store = Store::open(settings.clone(), state.as_ref()).unwrap();
                    // Only what that one names is still there.
                    checkpoints = vec![(state, then.clone())];
                    plain = then;
                }
            }
        }
        prop_assert_eq!(all(&store, &[]), plain.clone());
        for first in 0..2_u8 {
            let some: Plain = plain.iter().filter(|(key, _)| key[0] == first).map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(all(&store, &[first]), some);
        }
        for key in 0..300_u16 {
            let key = key.to_be_bytes();
            prop_assert_eq!(store.get(&key).unwrap(), plain.get(key.as_slice()).cloned());
        }
    }
}

#[test]
fn a_checkpoint_costs_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings { folder: Some(folder.path().into()), memory_bytes: 1 << 20 };
    let mut store = Store::open(settings.clone(), None).unwrap();
    for n in 0..200_000_u64 {
        store.put(n.to_be_bytes().to_vec(), vec![n as u8; 40]).unwrap();
    }
    let whole = store.snapshot().unwrap();
    assert!(whole.0.len() < 10_000, "{}", whole.0.len());
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let before = files();
    store.put(7_u64.to_be_bytes().to_vec(), b"seven".to_vec()).unwrap();
    let next = store.snapshot().unwrap();
    assert!(next.0.len() < whole.0.len() + 200);
    assert!(files() <= before + 1, "one key is no reason for a file");
    drop(store);
    let mut store = Store::open(settings, Some(&next)).unwrap();
    assert_eq!(store.get(&7_u64.to_be_bytes()).unwrap().as_deref(), Some(b"seven".as_slice()));
    assert_eq!(all(&store, &[]).len(), 200_000);
}

/// A merge takes longer than such a store lives.
#[test]
fn files_stay_few_however_often_it_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings { folder: Some(folder.path().into()), memory_bytes: 1 << 20 };
    let (mut state, mut most) = (None, 0);
    for round in 0..60_u64 {
        let mut store = Store::open(settings.clone(), state.as_ref()).unwrap();
        most = most.max(std::fs::read_dir(folder.path()).unwrap().count());
        for n in 0..2_000 {
            store.put((n * 61 + round).to_be_bytes().to_vec(), vec![round as u8; 40]).unwrap();
        }
        state = Some(store.snapshot().unwrap());
    }
    // One more is being written.
    assert!(most <= 8 + 1, "{most} files");
    let store = Store::open(settings, state.as_ref()).unwrap();
    assert_eq!(all(&store, &[]).len(), 60 * 2_000);
}

#[test]
fn files_that_are_gone_or_damaged_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |folder: Option<&std::path::Path>| StoreSettings { memory_bytes: 1 << 20, ..settings(folder) };
    let mut store = Store::open(settings(Some(folder.path())), None).unwrap();
    for n in 0..100_u32 {
        store.put(n.to_be_bytes().to_vec(), vec![1; 1_000]).unwrap();
    }
    let state = store.snapshot().unwrap();
    drop(store);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "the one that the checkpoint names");
    let file = files[0].path();
    let whole = std::fs::read(&file).unwrap();
    for at in [0, 30, whole.len() / 2, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&file, &bytes).unwrap();
        let read = Store::open(settings(Some(folder.path())), Some(&state)).and_then(|store| {
            let mut rows = 0;
            store.scan(&[], |_, _| {
                rows += 1;
                Ok(true)
            })
        });
        assert_eq!(read.unwrap_err().kind(), ErrorKind::State, "a flipped bit at {at}");
    }
    std::fs::remove_file(&file).unwrap();
    let gone = Store::open(settings(Some(folder.path())), Some(&state)).err().unwrap();
    assert!(gone.kind() == ErrorKind::State && gone.hint().is_some());
    let mut cut = state.clone();
    cut.0.truncate(cut.0.len() - 1);
    assert_eq!(Store::open(settings(None), Some(&cut)).err().unwrap().kind(), ErrorKind::State);
}
