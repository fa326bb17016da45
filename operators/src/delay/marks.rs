//! When rows came, by the clock: one mark per epoch, or a hundredth of the time for which they are held.

use serde::{Deserialize, Serialize};

/// Epochs are put together so far that there are not many more marks than this.
const MARKS: i64 = 100;

/// The rows in front of `end`, behind the mark before, are held from `at_ms` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    end: u64,
    /// When the first of them were marked.
    first_ms: i64,
    at_ms: i64,
}

/// The marks of a line, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    /// Marks what came since the last mark, all that is in front of `end`.
    ///
    /// Whole epochs have one mark, and leave together: the end of an epoch is no place inside a transaction.
    pub(super) fn put(&mut self, end: u64, now_ms: i64, hold_ms: i64) {
        match self.0.last_mut() {
            Some(last) if last.end == end => {}
            Some(last) if now_ms.saturating_sub(last.first_ms) < hold_ms / MARKS => {
                (last.end, last.at_ms) = (end, now_ms)
            }
            _ => self.0.push(Mark { end, first_ms: now_ms, at_ms: now_ms }),
        }
    }

    /// A clock that was put back must not hold rows for longer than they are to be held.
    pub(super) fn follow_clock(&mut self, now_ms: i64) {
        for mark in &mut self.0 {
            mark.at_ms = mark.at_ms.min(now_ms);
            mark.first_ms = mark.first_ms.min(now_ms);
        }
    }

    /// Removes the marks whose time is over, and gives the end of the last of them.
    pub(super) fn take_due(&mut self, now_ms: i64, hold_ms: i64) -> Option<u64> {
        let is_due = |mark: &&Mark| mark.at_ms.saturating_add(hold_ms) <= now_ms;
        let due = self.0.iter().take_while(is_due).count();
        self.0.drain(..due).next_back().map(|mark| mark.end)
    }

    /// In how many milliseconds the time of the first mark is over; 0 when it is.
    pub(super) fn due_in_ms(&self, now_ms: i64, hold_ms: i64) -> Option<u64> {
        let first = self.0.first()?;
        let due_ms = first.at_ms.min(now_ms).saturating_add(hold_ms);
        Some(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_few_and_follow_a_clock_that_is_put_back() {
        let mut marks = Marks::default();
        for now in 0..1_000 {
            marks.put(now as u64 + 1, now, 1_000);
        }
        assert_eq!(marks.0.len(), 100);
        assert_eq!(marks.take_due(999, 1_000), None);
        assert_eq!(marks.take_due(1_009, 1_000), Some(10), "the first ten are held since the last of them came");
        assert_eq!(marks.take_due(1_019, 1_000), Some(20));
        marks.follow_clock(-5_000);
        assert_eq!(marks.due_in_ms(-5_000, 1_000), Some(1_000));
        assert_eq!(marks.take_due(-4_000, 1_000), Some(1_000));
        assert_eq!(marks.due_in_ms(0, 1_000), None);
    }
}
