//! The last row of the right table at the time of each row of the left one.

use std::collections::BTreeMap;

use aqueduct_model::{HumanDuration, Result};

use super::kept::{Kept, Queue, Waiting, ms_of, on_of};
use super::operator::{Arrived, Rule};
use crate::event_time::whole_ms;
use crate::join::config::Kind;
use crate::join::joined::Pair;
use crate::join::shape::Shape;

const LEFT: Queue = Queue::OfTable(0);
const RIGHT: Queue = Queue::OfTable(1);

/// See the module.
pub(super) struct LastAtTime {
    /// For how long a row of the right table counts at the most.
    tolerance_ms: Option<i64>,
    /// Rows of the left table go out without a right one too.
    alone: bool,
}

impl LastAtTime {
    pub(super) fn new(tolerance: Option<HumanDuration>, kind: Kind) -> Self {
        Self { tolerance_ms: tolerance.map(whole_ms), alone: kind == Kind::Left }
    }

    /// Finds what counts at the times of rows with the same values, which rise; into `found`, at the place of each.
    fn find(&self, kept: &Kept, on: &[u8], times: &[(usize, i64)], found: &mut [Option<Vec<u8>>]) -> Result<()> {
        let Some((_, first)) = times.first() else { return Ok(()) };
        let from = self.tolerance_ms.map_or(i64::MIN, |tolerance| first.saturating_sub(tolerance));
        let counts = |version: Option<&(i64, Vec<u8>)>, ms: i64| {
            let oldest = self.tolerance_ms.map_or(i64::MIN, |tolerance| ms.saturating_sub(tolerance));
            version.filter(|(since, _)| *since >= oldest).map(|(_, bytes)| bytes.clone())
        };
        let mut times = times.iter().peekable();
        let mut version: Option<(i64, Vec<u8>)> = None;
        kept.scan(1, on, from, |key, bytes| {
            let since = ms_of(key)?;
            while let Some((place, ms)) = times.next_if(|(_, ms)| *ms < since) {
                found[*place] = counts(version.as_ref(), *ms);
            }
            version = Some((since, bytes.to_vec()));
            Ok(times.peek().is_some())
        })?;
        for (place, ms) in times {
            found[*place] = counts(version.as_ref(), *ms);
        }
        Ok(())
    }

    /// Forgets rows of the right table that count no more for what comes behind `last`; true when there may be more.
    fn forget(&self, kept: &mut Kept, last: i64) -> Result<bool> {
        // Of equal values the latest, which ends the time of all that were before it.
        let mut latest: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let due = kept.due(RIGHT, last)?;
        let is_done = due.is_empty();
        for key in due {
            kept.take_from(RIGHT, &key)?;
            if self.tolerance_ms.is_some() {
                kept.put_in(Queue::InForce, &key)?;
            }
            if let Some(on) = on_of(&key)? {
                latest.insert(on.to_vec(), key);
            }
        }
        for (on, key) in latest {
            let mut old: Vec<Vec<u8>> = Vec::new();
            kept.scan(1, &on, i64::MIN, |before, _| {
                let is_old = before < key.as_slice();
                old.extend(is_old.then(|| before.to_vec()));
                Ok(is_old)
            })?;
            for before in old {
                if self.tolerance_ms.is_some() {
                    kept.take_from(Queue::InForce, &before)?;
                }
                kept.forget(before)?;
            }
        }
        let Some(tolerance) = self.tolerance_ms.filter(|_| is_done) else { return Ok(!is_done) };
        let over = kept.due(Queue::InForce, last.saturating_sub(tolerance))?;
        let is_done = over.is_empty();
        for key in over {
            kept.take(Queue::InForce, key)?;
        }
        Ok(!is_done)
    }
}

impl Rule for LastAtTime {
    fn meet(
        &self,
        kept: &mut Kept,
        _shape: Option<&Shape>,
        arrived: Arrived,
        _made: &mut Vec<Pair>,
    ) -> Result<Option<Arrived>> {
        let Arrived { side, row, ms, .. } = arrived;
        // What is equal to nothing goes out alone or not at all.
        if row.on.is_some() || (side == 0 && self.alone) {
            kept.add(side, row.on.as_deref(), ms, false, row.bytes)?;
        }
        Ok(None)
    }

    fn close(&self, kept: &mut Kept, shape: Option<&Shape>, last: i64, made: &mut Vec<Pair>) -> Result<bool> {
        if self.alone && shape.is_none() {
            // Without the right table the columns of the output are not known: the left rows wait for it.
            return Ok(false);
        }
        let due = kept.due(LEFT, last)?;
        if due.is_empty() {
            // At the end of the inputs nothing need be forgotten.
            return if last == i64::MAX { Ok(false) } else { self.forget(kept, last) };
        }
        let mut rows: Vec<Waiting> = Vec::with_capacity(due.len());
        for key in due {
            rows.extend(kept.take(LEFT, key)?);
        }
        let mut equal: BTreeMap<Vec<u8>, Vec<(usize, i64)>> = BTreeMap::new();
        for (place, row) in rows.iter().enumerate() {
            if let Some(on) = row.on()? {
                equal.entry(on.to_vec()).or_default().push((place, row.ms()?));
            }
        }
        let mut found: Vec<Option<Vec<u8>>> = vec![None; rows.len()];
        for (on, times) in equal {
            self.find(kept, &on, &times, &mut found)?;
        }
        let pairs = rows.into_iter().zip(found).filter(|(_, version)| self.alone || version.is_some());
        made.extend(pairs.map(|(row, version)| [Some(row.bytes), version]));
        Ok(true)
    }

    fn behind(&self, closed: i64) -> i64 {
        closed
    }
}
