//! What was read or written last and files have, held in memory up to a budget.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::run::Value;

/// What an entry takes in memory beside its bytes, about.
const ENTRY_BYTES: usize = 96;

/// See the module. Values are forgotten a half at a time: those of the older half that were not used since.
pub(super) struct Held {
    young: Values,
    old: Values,
    young_bytes: usize,
    half_bytes: usize,
}

type Values = HashMap<Vec<u8>, Value, Seeded>;

impl Held {
    /// Holds about so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        let values = || Values::with_hasher(Seeded(seed));
        Self { young: values(), old: values(), young_bytes: 0, half_bytes: bytes_max / 2 }
    }

    /// What files say of a key; `None` when it is not held.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Value> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.keep(key, value);
        }
        self.young.get(key)
    }

    /// Holds what files say of a key from now on.
    pub(super) fn hold(&mut self, key: Vec<u8>, value: Value) {
        self.old.remove(&key);
        self.keep(key, value);
    }

    /// Of a key that the older half does not have.
    fn keep(&mut self, key: Vec<u8>, value: Value) {
        let (key_bytes, bytes) = (key.len(), entry_bytes(key.len(), &value));
        if self.young_bytes + bytes > self.half_bytes {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some(old) = self.young.insert(key, value) {
            self.young_bytes -= entry_bytes(key_bytes, &old);
        }
    }

    pub(super) fn forget(&mut self, key: &[u8]) {
        self.old.remove(key);
        if let Some(old) = self.young.remove(key) {
            self.young_bytes -= entry_bytes(key.len(), &old);
        }
    }

    pub(super) fn clear(&mut self) {
        self.old.clear();
        self.young.clear();
        self.young_bytes = 0;
    }
}

/// What an entry takes in memory.
pub(super) fn entry_bytes(key_bytes: usize, value: &Value) -> usize {
    key_bytes + value.as_ref().map_or(0, Vec::len) + ENTRY_BYTES
}

/// Hashes short bytes, differently in every process.
#[derive(Clone, Copy)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = Seeded;

    fn build_hasher(&self) -> Seeded {
        Seeded(self.0)
    }
}

impl Hasher for Seeded {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_changed_is_not_held_in_its_old_state() {
        let mut held = Held::new(100 * entry_bytes(8, &None));
        let key = |n: u64| n.to_le_bytes();
        for n in 0..1_000 {
            held.hold(key(n).to_vec(), None);
            assert_eq!(held.get(&key(0)), Some(&None), "used all the time");
        }
        assert!((1..1_000).filter(|n| held.get(&key(*n)).is_some()).count() < 100);
        held.hold(key(1).to_vec(), Some(vec![1]));
        held.hold(key(1).to_vec(), Some(vec![2]));
        (2..60).for_each(|n| held.hold(key(n).to_vec(), None));
        assert_eq!(held.get(&key(1)), Some(&Some(vec![2])), "also in the older half");
        held.hold(key(2).to_vec(), Some(vec![2]));
        (100..200).for_each(|n| {
            held.hold(key(n).to_vec(), None);
            held.hold(key(2).to_vec(), Some(vec![3]));
            assert_eq!(held.get(&key(2)), Some(&Some(vec![3])), "the older half says nothing against the younger");
        });
        held.forget(&key(1));
        assert_eq!(held.get(&key(1)), None);
    }
}
