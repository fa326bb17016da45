//! What was found, or not, of the keys that were asked last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The bytes of an encoded key or row.
pub(super) type Bytes = Arc<[u8]>;

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 96;

/// What the table has for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// One row: its wanted columns.
    Row(Bytes),
    /// No row.
    Missing,
    /// More than one.
    Several,
}

struct Kept {
    answer: Answer,
    until: Instant,
}

/// Answers by key, up to a size and for a time.
///
/// Two halves: what is used goes into the young one; when that is full, the old one is forgotten. So what was used last
/// stays, without a list of who was when.
pub(super) struct Cache {
    half_bytes: usize,
    ttl: Duration,
    young: HashMap<Bytes, Kept>,
    old: HashMap<Bytes, Kept>,
    young_bytes: usize,
}

impl Cache {
    /// An empty cache; with 0 bytes it stays empty.
    pub(super) fn new(bytes: usize, ttl: Duration) -> Self {
        Self { half_bytes: bytes / 2, ttl, young: HashMap::new(), old: HashMap::new(), young_bytes: 0 }
    }

    /// The answer for a key, if it is known and not too old.
    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Option<Answer> {
        if let Some(kept) = self.young.get(key) {
            return (kept.until > now).then(|| kept.answer.clone());
        }
        let (key, kept) = self.old.remove_entry(key)?;
        let answer = (kept.until > now).then(|| kept.answer.clone())?;
        self.put(key, kept);
        Some(answer)
    }

    /// Keeps an answer.
    pub(super) fn insert(&mut self, key: Bytes, answer: Answer, now: Instant) {
        self.old.remove(&key);
        self.put(key, Kept { answer, until: now + self.ttl });
    }

    fn put(&mut self, key: Bytes, kept: Kept) {
        let bytes = key.len() + ENTRY_BYTES + if let Answer::Row(row) = &kept.answer { row.len() } else { 0 };
        if bytes > self.half_bytes {
            return;
        }
        if self.young_bytes + bytes > self.half_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        // What it replaces was counted, and is counted until the halves change: less is kept then, never more.
        self.young.insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Bytes {
        Arc::from([n].as_slice())
    }

    #[test]
    fn what_was_used_last_stays_and_nothing_stays_too_long() {
        let now = Instant::now();
        let mut cache = Cache::new(8 * (ENTRY_BYTES + 1), Duration::from_secs(60));
        for n in 0..8 {
            cache.insert(key(n), Answer::Missing, now);
            cache.get(&[0], now);
        }
        assert_eq!(cache.get(&[0], now), Some(Answer::Missing));
        assert_eq!(cache.get(&[1], now), None);
        assert!(cache.young.len() + cache.old.len() <= 8);
        let later = now + Duration::from_secs(60);
        assert_eq!(cache.get(&[0], later), None);
        let mut none = Cache::new(0, Duration::from_secs(60));
        none.insert(key(1), Answer::Row(key(1)), now);
        assert_eq!(none.get(&[1], now), None);
    }
}
