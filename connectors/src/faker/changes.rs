//! Lives of rows by arithmetic: which row event `i` inserts, updates or deletes, without remembering any.
//!
//! Events come in generations of 640. A generation inserts 384 rows, updates 192 older ones and deletes 64. A
//! permutation of the seed gives each row of a generation a rank from 0 to 383, and the rank is its fate:
//!
//! | rank | one generation later | two later | three later |
//! |---|---|---|---|
//! | 0..48 | updated | | deleted |
//! | 48..64 | updated | updated | deleted |
//! | 64..96 | updated | updated | |
//! | 96..144 | | updated | |
//! | 144..384 | | | |
//!
//! Every update and delete therefore finds its row inserted, in a known version and not yet deleted. The first three
//! generations have too few older rows; where one is missing, the event is one more insert, of a row that stays as it
//! is. A row's index is the number of the event that inserts it.

use super::random::Random;

/// Events of one generation.
const GENERATION: u64 = 640;
const INSERTS: u64 = 384;
/// Ranks below this one are deleted.
const DELETED: u64 = 64;
/// Updates of each of the two older generations in one generation.
const UPDATES_OF_EACH: u64 = 96;
/// The first rank that is updated two generations later.
const SECOND_UPDATE_FROM: u64 = 48;

/// What happens in ten events in a row.
const PATTERN: [Slot; 10] = [
    Slot::Update(0),
    Slot::Insert,
    Slot::Insert,
    Slot::Delete,
    Slot::Insert,
    Slot::Update(1),
    Slot::Insert,
    Slot::Insert,
    Slot::Update(2),
    Slot::Insert,
];
/// Where in the pattern its six inserts are.
const INSERT_SLOTS: [u64; 6] = [1, 2, 4, 6, 7, 9];
/// Where in the pattern of the first generation a row is inserted that is never touched again.
const STEADY_SLOT: u64 = 0;

#[derive(Clone, Copy)]
enum Slot {
    Insert,
    Update(u64),
    Delete,
}

/// One event: what happens to which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The row is new, in version 0.
    Insert {
        /// The row.
        index: u64,
    },
    /// The row goes from `version - 1` to `version`.
    Update {
        /// The row.
        index: u64,
        /// Its version afterwards.
        version: u32,
    },
    /// The row goes.
    Delete {
        /// The row.
        index: u64,
        /// Its last version.
        version: u32,
    },
}

/// What event `i` is.
pub(super) fn event(seed: u64, i: u64) -> Event {
    let (generation, at) = (i / GENERATION, i % GENERATION);
    let (block, slot) = (at / 10, at % 10);
    let older = |back: u64, rank: u64| generation.checked_sub(back).map(|from| row(seed, from, rank));
    let change = match PATTERN[slot as usize] {
        Slot::Insert => None,
        Slot::Update(nth) => {
            let update = block * 3 + nth;
            let of_each = (update / 2) % UPDATES_OF_EACH;
            if update % 2 == 0 {
                older(1, of_each).map(|index| Event::Update { index, version: 1 })
            } else {
                let rank = SECOND_UPDATE_FROM + of_each;
                let version = if rank < UPDATES_OF_EACH { 2 } else { 1 };
                older(2, rank).map(|index| Event::Update { index, version })
            }
        }
        Slot::Delete => {
            let version = if block < SECOND_UPDATE_FROM { 1 } else { 2 };
            older(3, block).map(|index| Event::Delete { index, version })
        }
    };
    change.unwrap_or(Event::Insert { index: i })
}

/// A row that exists once `events` events (at least one) have happened, and that is never deleted.
pub(super) fn surviving(seed: u64, events: u64, random: &mut Random) -> u64 {
    let generation = (events - 1) / GENERATION;
    if generation == 0 {
        return random.below((events - 1) / 10 + 1) * 10 + STEADY_SLOT;
    }
    let from = random.below(generation);
    row(seed, from, DELETED + random.below(INSERTS - DELETED))
}

/// The index of the row that has this rank in its generation.
fn row(seed: u64, generation: u64, rank: u64) -> u64 {
    let mut random = Random::of(seed, 0x11FE, generation);
    // 384 = 2^7 * 3: a factor that is odd and no multiple of 3 makes the map one to one.
    let factor = random.below(INSERTS / 6) * 6 + [1, 5][random.below(2) as usize];
    let ordinal = (rank * factor + random.below(INSERTS)) % INSERTS;
    generation * GENERATION + (ordinal / 6) * 10 + INSERT_SLOTS[(ordinal % 6) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_change_finds_its_row_in_the_version_before() {
        for seed in 0..4 {
            let mut alive: HashMap<u64, u32> = HashMap::new();
            let (mut updates, mut deletes) = (0, 0);
            let events = GENERATION * 12;
            for i in 0..events {
                match event(seed, i) {
                    Event::Insert { index } => assert!(index == i && alive.insert(index, 0).is_none()),
                    Event::Update { index, version } => {
                        updates += 1;
                        assert_eq!(alive.insert(index, version), Some(version - 1), "seed {seed} event {i}");
                    }
                    Event::Delete { index, version } => {
                        deletes += 1;
                        assert_eq!(alive.remove(&index), Some(version), "seed {seed} event {i}");
                    }
                }
            }
            assert!((0.25..0.30).contains(&(f64::from(updates) / events as f64)));
            assert!((0.07..0.10).contains(&(f64::from(deletes) / events as f64)));
        }
    }

    #[test]
    fn what_survives_exists_and_is_never_deleted() {
        let events = GENERATION * 6;
        let deleted: Vec<u64> = (0..events + GENERATION * 4)
            .filter_map(|i| match event(9, i) {
                Event::Delete { index, .. } => Some(index),
                _ => None,
            })
            .collect();
        for seen in 1..events {
            let index = surviving(9, seen, &mut Random::of(1, 2, seen));
            assert!(index < seen && event(9, index) == Event::Insert { index });
            assert!(seen % 37 != 0 || !deleted.contains(&index));
        }
    }
}
