//! What a read shows of the log: the transactions that its snapshot sees, exactly.

use std::sync::{Arc, Mutex, PoisonError};

use aqueduct_model::{Error, Result};
use serde::{Deserialize, Serialize};

/// Transactions numbers in the log have 32 bits and wrap around.
const WRAP: u64 = 1 << 32;
/// So many transactions may be remembered before those that every snapshot shows are looked up and forgotten. What is
/// left after that is bounded by the server's `max_connections` and `max_prepared_transactions`.
const REMEMBERED: usize = 4_096;

/// A snapshot, as `pg_current_snapshot` gives it: numbers of 64 bits that never come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// Transactions below are over.
    xmin: u64,
    /// Transactions from here on had not begun to write.
    xmax: u64,
    /// Those between that were not over, in rising order.
    running: Vec<u64>,
}

impl Sight {
    /// Reads `xmin:xmax:xip,xip`.
    ///
    /// # Errors
    /// `Bug` for any other text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::bug("pg_current_snapshot() returned a text of an unknown form");
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or_else(wrong);
        let (xmin, xmax, running) = (part()?, part()?, part()?);
        let number = |digits: &str| digits.parse::<u64>().map_err(|error| wrong().with_source(error));
        let mut running =
            running.split(',').filter(|digits| !digits.is_empty()).map(number).collect::<Result<Vec<_>>>()?;
        running.sort_unstable();
        Ok(Self { xmin: number(xmin)?, xmax: number(xmax)?, running })
    }

    /// True when the snapshot shows what the (committed) transaction did.
    pub(crate) fn shows(&self, xid: u32) -> bool {
        self.shows_whole(self.widened(xid))
    }

    fn shows_whole(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.running.binary_search(&xid).is_err())
    }

    /// The number of 64 bits: the one nearest to this snapshot. Transactions that are half a turn apart cannot be in one
    /// log, for the server stops before.
    fn widened(&self, xid: u32) -> u64 {
        let near = (self.xmax & !(WRAP - 1)) | u64::from(xid);
        if near > self.xmax + WRAP / 2 {
            near.saturating_sub(WRAP)
        } else if near + WRAP / 2 < self.xmax {
            near + WRAP
        } else {
            near
        }
    }

    /// The transactions that were not over.
    pub(crate) fn running(&self) -> impl Iterator<Item = u32> {
        self.running.iter().map(|xid| (xid % WRAP) as u32)
    }
}

/// Transactions that a snapshot may not show yet although the log has them: a server writes and sends a commit before
/// other sessions see it (and long before, where it waits for a synchronous standby).
///
/// A chunk must show everything that was streamed before it, so that readers wait for these. They all have committed or
/// will soon end without us, so that the wait ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unsettled(Arc<Mutex<Vec<u32>>>);

impl Unsettled {
    /// Remembers transactions that every later chunk has to show.
    pub(crate) fn add(&self, xids: impl IntoIterator<Item = u32>) {
        self.with(|entries| entries.extend(xids));
    }

    /// Whether so many are remembered that [`Unsettled::forget`] is due.
    pub(crate) fn is_full(&self) -> bool {
        self.with(|entries| entries.len() >= REMEMBERED)
    }

    /// Forgets those that a fresh snapshot shows: every later one does too.
    pub(crate) fn forget(&self, sight: &Sight) {
        self.with(|entries| entries.retain(|xid| !sight.shows(*xid)));
    }

    /// How many of them a snapshot does not show.
    pub(crate) fn hidden(&self, sight: &Sight) -> usize {
        self.with(|entries| entries.iter().filter(|xid| !sight.shows(**xid)).count())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<u32>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_snapshot_shows() {
        let sight = Sight::parse("100:110:100,105").unwrap();
        for (xid, shown) in [(5, true), (99, true), (100, false), (101, true), (105, false), (109, true), (110, false)]
        {
            assert_eq!(sight.shows(xid), shown, "{xid}");
        }
        assert!(Sight::parse("7:7:").unwrap().running.is_empty());
        for wrong in ["", "1", "1:2", "a:1:", "1:2:x"] {
            assert!(Sight::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_wrap_around() {
        let turn = WRAP;
        let sight = Sight::parse(&format!("{}:{}:", turn + 2, turn + 2)).unwrap();
        assert!(sight.shows(u32::MAX), "the last one of the turn before");
        assert!(sight.shows(1) && !sight.shows(2));
        let before = Sight::parse(&format!("{}:{}:", turn - 2, turn - 2)).unwrap();
        assert!(!before.shows(1), "the next turn has not begun");
        assert!(before.shows(u32::MAX - 2) && !before.shows(u32::MAX));
    }

    #[test]
    fn readers_wait_for_what_was_streamed_and_for_nothing_else() {
        let unsettled = Unsettled::default();
        unsettled.add([100, 101]);
        let sight = Sight::parse("101:102:101").unwrap();
        assert_eq!(unsettled.hidden(&sight), 1);
        unsettled.forget(&sight);
        assert_eq!(unsettled.hidden(&Sight::parse("1:1:").unwrap()), 1, "the one that was shown is forgotten");
        assert_eq!(unsettled.hidden(&Sight::parse("102:102:").unwrap()), 0);
    }
}
