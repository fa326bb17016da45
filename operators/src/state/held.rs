//! What was read or written last and files have, held in memory up to a budget.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::run::Value;

/// What an entry takes in memory beside its bytes, about.
const ENTRY_BYTES: usize = 96;

/// See the module. When there is too much of it, all of it is forgotten: what is used comes back.
pub(super) struct Held {
    values: HashMap<Vec<u8>, Value, Seeded>,
    bytes: usize,
    bytes_max: usize,
}

impl Held {
    /// Holds about so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        Self { values: HashMap::with_hasher(Seeded(seed)), bytes: 0, bytes_max }
    }

    /// What files say of a key; `None` when it is not held.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn hold(&mut self, key: Vec<u8>, value: Value) {
        let (key_bytes, bytes) = (key.len(), entry_bytes(key.len(), &value));
        if self.bytes + bytes > self.bytes_max {
            self.clear();
        }
        self.bytes += bytes;
        if let Some(old) = self.values.insert(key, value) {
            self.bytes -= entry_bytes(key_bytes, &old);
        }
    }

    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(old) = self.values.remove(key) {
            self.bytes -= entry_bytes(key.len(), &old);
        }
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.bytes = 0;
    }
}

/// What an entry takes in memory.
pub(super) fn entry_bytes(key_bytes: usize, value: &Value) -> usize {
    key_bytes + value.as_ref().map_or(0, Vec::len) + ENTRY_BYTES
}

/// Hashes short bytes, differently in every process.
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
