//! Rows whose times lie close together.

use aqueduct_model::Result;

use super::kept::{Kept, Queue, Waiting};
use super::operator::{Arrived, Rule};
use crate::join::config::Kind;
use crate::join::joined::{Pair, PairRef, holds};
use crate::join::shape::{Alone, Shape};
use crate::join::times::Interval;

/// See the module.
pub(super) struct CloseInTime {
    /// The least and the greatest time of the right row less that of the left one, in milliseconds.
    from_ms: i64,
    to_ms: i64,
    /// When rows of each table go out by themselves.
    alone: [Alone; 2],
    /// False where only rows of the left table go out.
    has_pairs: bool,
}

impl CloseInTime {
    pub(super) fn new(interval: &Interval, kind: Kind) -> Self {
        let (from_ms, to_ms) = interval.bounds();
        Self { from_ms, to_ms, alone: Alone::of(kind), has_pairs: !matches!(kind, Kind::Semi | Kind::Anti) }
    }

    /// The times of the rows that a row of a table at `ms` meets.
    fn partners(&self, side: usize, ms: i64) -> (i64, i64) {
        match side {
            0 => (ms.saturating_add(self.from_ms), ms.saturating_add(self.to_ms)),
            _ => (ms.saturating_sub(self.to_ms), ms.saturating_sub(self.from_ms)),
        }
    }

    /// The last time at which rows of a table meet nothing any more, when nothing comes until `last`.
    fn over(&self, side: usize, last: i64) -> i64 {
        match (side, last) {
            // The inputs have ended.
            (_, i64::MAX) => i64::MAX,
            (0, _) => last.saturating_sub(self.to_ms),
            _ => last.saturating_add(self.from_ms),
        }
    }

    /// Lets a row meet some of the rows that wait for it; true when there are more.
    fn meet_some(&self, kept: &mut Kept, shape: &Shape, arrived: &mut Arrived, made: &mut Vec<Pair>) -> Result<bool> {
        let Some(on) = arrived.row.on.as_deref() else { return Ok(false) };
        let (side, other) = (arrived.side, 1 - arrived.side);
        let times = self.partners(side, arrived.ms);
        let (waiting, more) = kept.between(other, on, times, arrived.behind.as_deref())?;
        arrived.behind = waiting.last().map(|row| row.key.clone());
        let bytes = arrived.row.bytes.as_slice();
        let pairs: Vec<PairRef<'_>> = waiting.iter().map(|row| sided(side, bytes, row.bytes.as_slice())).collect();
        let holds = holds(shape, &pairs)?;
        for (mut row, _) in waiting.into_iter().zip(holds).filter(|(_, holds)| *holds) {
            arrived.is_met = true;
            if self.has_pairs {
                made.push(sided(side, arrived.row.bytes.clone(), row.bytes.clone()));
            }
            match (self.alone[other], self.has_pairs) {
                // It goes out by itself, and waits for nothing more.
                (Alone::WithPartner, _) => {
                    made.extend(kept.take(Queue::OfTable(other), row.key)?.map(by_itself(other)))
                }
                (Alone::WithoutPartner, false) => drop(kept.take(Queue::OfTable(other), row.key)?),
                (Alone::WithoutPartner, true) if !row.is_met => {
                    row.is_met = true;
                    kept.put(&row)?;
                }
                _ => {}
            }
        }
        // A row that goes out by itself needs one partner only.
        Ok(more && (self.has_pairs || side == 1 || !arrived.is_met))
    }

    /// Keeps a row, if something may come that it meets, or if it goes out once nothing can. `is_known`: both tables are.
    fn keep(&self, kept: &mut Kept, arrived: Arrived, is_known: bool, made: &mut Vec<Pair>) -> Result<()> {
        let Arrived { side, row, ms, is_met, .. } = arrived;
        let is_over = ms <= self.over(side, kept.closed.saturating_sub(1));
        let may_meet = row.on.is_some() && !is_over;
        let goes_out = match self.alone[side] {
            Alone::Never => false,
            Alone::WithPartner => is_met,
            Alone::WithoutPartner => is_over && !is_met && is_known,
        };
        if goes_out {
            made.push(lone(side, row.bytes));
            return Ok(());
        }
        let keeps = match self.alone[side] {
            Alone::WithPartner | Alone::Never => may_meet,
            Alone::WithoutPartner if self.has_pairs => may_meet || !is_met,
            Alone::WithoutPartner => !is_met,
        };
        if keeps { kept.add(side, row.on.as_deref(), ms, is_met, row.bytes) } else { Ok(()) }
    }
}

impl Rule for CloseInTime {
    fn meet(
        &self,
        kept: &mut Kept,
        shape: Option<&Shape>,
        mut arrived: Arrived,
        made: &mut Vec<Pair>,
    ) -> Result<Option<Arrived>> {
        // While a table is not known, none of its rows waits.
        if let Some(shape) = shape
            && self.meet_some(kept, shape, &mut arrived, made)?
        {
            return Ok(Some(arrived));
        }
        self.keep(kept, arrived, shape.is_some(), made).map(|()| None)
    }

    fn close(&self, kept: &mut Kept, shape: Option<&Shape>, last: i64, made: &mut Vec<Pair>) -> Result<bool> {
        for (side, alone) in self.alone.into_iter().enumerate() {
            let goes_out = alone == Alone::WithoutPartner;
            // Without the other table the columns of the output are not known: rows that go out wait for it. At the end of
            // the inputs those that do not go out need not be forgotten.
            let stays = if goes_out { shape.is_none() } else { last == i64::MAX };
            let due = if stays { Vec::new() } else { kept.due(Queue::OfTable(side), self.over(side, last))? };
            if due.is_empty() {
                continue;
            }
            for key in due {
                let row = kept.take(Queue::OfTable(side), key)?;
                made.extend(row.filter(|row| goes_out && !row.is_met).map(by_itself(side)));
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn behind(&self, closed: i64) -> i64 {
        // The oldest row that may still go out is one that waits as long as it can.
        closed.saturating_sub(self.to_ms.max(self.from_ms.saturating_neg()).max(0))
    }
}

/// The left row before the right one.
fn sided<T>(side: usize, row: T, partner: T) -> [Option<T>; 2] {
    if side == 0 { [Some(row), Some(partner)] } else { [Some(partner), Some(row)] }
}

fn lone(side: usize, bytes: Vec<u8>) -> Pair {
    if side == 0 { [Some(bytes), None] } else { [None, Some(bytes)] }
}

fn by_itself(side: usize) -> impl Fn(Waiting) -> Pair {
    move |row| lone(side, row.bytes)
}
