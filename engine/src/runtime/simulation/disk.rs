//! What survives a crash: the sources' logs, the targets, the checkpoint store; and the script of what goes wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_model::{Cut, Error, ErrorKind, Op, Position, Recorded, Result};

use super::random::Random;

/// One change of a source's log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) key: i64,
    pub(super) value: i64,
}

/// A source's log: changes, and after which of them a transaction ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub(super) changes: Vec<Change>,
    /// Ascending; the last one is the length.
    pub(super) ends: Vec<usize>,
    /// What is before this was told to be safe, and is gone.
    pub(super) pruned: usize,
    /// Nothing more will be written: who reads on has come to the end.
    pub(super) closed: bool,
    table: BTreeMap<i64, i64>,
}

impl Log {
    /// Commits a transaction of 1 to 6 changes.
    pub(super) fn write(&mut self, random: &mut Random) {
        for _ in 0..=random.below(5) {
            let (key, value) = (random.below(12) as i64, random.below(1_000) as i64);
            let op = match self.table.contains_key(&key) {
                false => Op::Insert,
                true if random.one_in(3) => Op::Delete,
                true => Op::UpdateAfter,
            };
            match op {
                Op::Delete => self.table.remove(&key),
                _ => self.table.insert(key, value),
            };
            self.changes.push(Change { op, key, value });
        }
        self.ends.push(self.changes.len());
    }

    /// The table after the first `n` changes.
    fn table_at(&self, n: usize) -> BTreeMap<i64, i64> {
        let mut table = BTreeMap::new();
        for change in &self.changes[..n] {
            match change.op {
                Op::Delete => table.remove(&change.key),
                _ => table.insert(change.key, change.value),
            };
        }
        table
    }
}

/// The rows of a target: by source and key.
pub(super) type Rows = BTreeMap<(String, i64), i64>;

/// The tables of rows that come when the inputs of an operator end begin with this.
pub(super) const END: &str = "end_of_";

/// An epoch's cut and its changes, with the source of each.
pub(super) type Staged = (Cut, Vec<(String, Change)>);

/// One sink's target.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) rows: Rows,
    pub(super) recorded: Option<Recorded>,
    /// Durable and invisible: the changes of an epoch that a staged sink flushed under a token, with its cut.
    pub(super) staged: BTreeMap<(u64, u64), Staged>,
}

/// How the world ends at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is killed before the effect.
    KilledBefore,
    /// The process is killed after the effect.
    KilledAfter,
    /// The effect fails, and did not happen.
    Failed,
    /// The effect happened, and the answer was lost.
    AnswerLost,
}

/// All that is outside the process.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) logs: BTreeMap<String, Log>,
    pub(super) targets: BTreeMap<String, Target>,
    pub(super) violations: Vec<String>,
    /// How often each place was struck.
    pub(super) strikes: BTreeMap<&'static str, u64>,
    pub(super) commits: u64,
    /// How often a process was frozen and another one took over.
    pub(super) takeovers: u64,
    /// How often a source refused to go on, because what comes next is gone.
    pub(super) refusals: u64,
    /// Some operator holds rows back: a target has all of them only when the flow has come to its end.
    pub(super) holds: bool,
    pub(super) script: Script,
}

/// What is still to go wrong.
pub(super) struct Script {
    pub(super) random: Random,
    /// Strikes left.
    pub(super) left: u32,
    /// One visit in so many is struck.
    pub(super) one_in: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self { random: Random(0), left: 0, one_in: 1 }
    }
}

/// The outside world as one process reaches it.
#[derive(Clone, Default)]
pub(super) struct Outside {
    disk: Arc<Mutex<Disk>>,
    /// The process is dead: nothing it still does has an effect.
    dead: Arc<AtomicBool>,
}

impl Outside {
    /// The same world for a new process.
    pub(super) fn for_new_process(&self) -> Self {
        Self { disk: self.disk.clone(), dead: Arc::default() }
    }

    /// The disk, also after a panic elsewhere.
    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Does something to the world at a named place, unless the script says that it goes wrong there.
    ///
    /// A process that is dead does nothing.
    pub(super) fn at<T>(&self, place: &'static str, effect: impl FnOnce(&mut Disk) -> Result<T>) -> Result<T> {
        if self.is_dead() {
            return Err(Error::new(ErrorKind::Unavailable, "the process is dead"));
        }
        let mut disk = self.lock();
        let fault = disk.strike(place);
        match fault {
            Some(Fault::KilledBefore) => self.kill(),
            Some(Fault::Failed) => {}
            _ => {
                let done = effect(&mut disk);
                match fault {
                    None => return done,
                    Some(Fault::KilledAfter) => self.kill(),
                    _ => {}
                }
            }
        }
        Err(Error::new(ErrorKind::Unavailable, format!("scripted fault at {place}")))
    }
}

impl Disk {
    fn strike(&mut self, place: &'static str) -> Option<Fault> {
        let script = &mut self.script;
        if script.left == 0 || !script.random.one_in(script.one_in) {
            return None;
        }
        script.left -= 1;
        *self.strikes.entry(place).or_default() += 1;
        Some(match script.random.below(4) {
            0 => Fault::KilledBefore,
            1 => Fault::KilledAfter,
            2 => Fault::Failed,
            _ => Fault::AnswerLost,
        })
    }

    pub(super) fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Called whenever a target shows a new epoch: it must show exactly the sources' tables at the epoch's cut.
    pub(super) fn check_target(&mut self, sink: &str) {
        self.commits += 1;
        let Some(target) = self.targets.get(sink) else { return };
        let Some(recorded) = &target.recorded else { return };
        let is_of_a_log = |((table, _), _): &(&(String, i64), &i64)| !table.starts_with(END);
        let shown: Rows = target.rows.iter().filter(is_of_a_log).map(|(key, value)| (key.clone(), *value)).collect();
        let mut expected = Rows::new();
        for (source, position) in &recorded.cut.positions {
            let n = changes_before(position);
            let Some(log) = self.logs.get(source) else { continue };
            if n != 0 && log.ends.binary_search(&n).is_err() {
                let text = format!("{sink}: epoch {} ends inside a transaction of {source}", recorded.cut.epoch);
                self.violations.push(text);
                return;
            }
            expected.extend(log.table_at(n).into_iter().map(|(key, value)| ((source.clone(), key), value)));
        }
        if shown != expected && !self.holds {
            let text =
                format!("{sink} at epoch {}: shows {shown:?} where the sources had {expected:?}", recorded.cut.epoch);
            self.violations.push(text);
        }
    }

    /// Called when the flow has come to its end: every target shows all of every log, and the rows that operators gave at
    /// the end of their inputs.
    pub(super) fn check_end(&mut self, ends: &Rows) {
        let mut expected = ends.clone();
        for (source, log) in &self.logs {
            let table = log.table_at(log.changes.len());
            expected.extend(table.into_iter().map(|(key, value)| ((source.clone(), key), value)));
        }
        let differs = self.targets.iter().filter(|(_, target)| target.rows != expected);
        let texts: Vec<String> = differs
            .map(|(sink, target)| format!("{sink} at the end: {:?} instead of {expected:?}", target.rows))
            .collect();
        self.violations.extend(texts);
    }

    /// Applies changes to a target's rows; every one must fit what is there.
    pub(super) fn apply(&mut self, sink: &str, changes: &[(String, Change)]) {
        let target = self.targets.entry(sink.to_owned()).or_default();
        let mut misfits = Vec::new();
        for (source, change) in changes {
            let key = (source.clone(), change.key);
            let exists = target.rows.contains_key(&key);
            if exists == (change.op == Op::Insert) {
                misfits.push(format!("{sink}: {:?} of {key:?}, which is {exists} there", change.op));
            }
            match change.op {
                Op::Delete => target.rows.remove(&key),
                _ => target.rows.insert(key, change.value),
            };
        }
        self.violations.extend(misfits);
    }
}

/// How many changes are before a position.
pub(super) fn changes_before(position: &Position) -> usize {
    position.offset("").and_then(serde_json::Value::as_u64).unwrap_or(0) as usize
}
