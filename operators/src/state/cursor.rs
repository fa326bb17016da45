//! Several sorted files read as one, from a key on.

use std::ops::Range;
use std::sync::Arc;

use aqueduct_model::Result;

use super::run::{Entries, Run};

/// A place in one file.
struct Cursor {
    run: Arc<Run>,
    /// The block that comes after `block`.
    next_block: usize,
    block: Vec<u8>,
    /// Where in `block` the entry behind `head` begins.
    at: usize,
    head: Option<Head>,
}

/// Where in the block the entry that comes next has its key and its value; a removed key has none.
struct Head {
    key: Range<usize>,
    value: Option<Range<usize>>,
}

impl Cursor {
    /// The first entry at or behind a key.
    fn at(run: Arc<Run>, key: &[u8]) -> Result<Self> {
        let next_block = run.block_of(key).unwrap_or(0);
        let mut cursor = Self { run, next_block, block: Vec::new(), at: 0, head: None };
        cursor.advance()?;
        while cursor.key().is_some_and(|found| found < key) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    fn key(&self) -> Option<&[u8]> {
        self.head.as_ref().map(|head| &self.block[head.key.clone()])
    }

    fn value(&self) -> Option<&[u8]> {
        self.head.as_ref().and_then(|head| head.value.clone()).map(|value| &self.block[value])
    }

    fn advance(&mut self) -> Result<()> {
        loop {
            let mut entries = Entries::new(&self.block[self.at..]);
            if let Some((key, value)) = entries.next() {
                let (end, value_bytes) = (self.block.len() - entries.left(), value.map_or(0, <[u8]>::len));
                let value_at = end - value_bytes;
                let key = value_at - key.len()..value_at;
                self.head = Some(Head { key, value: value.map(|_| value_at..end) });
                self.at = end;
                return Ok(());
            }
            if self.next_block == self.run.blocks() {
                self.head = None;
                return Ok(());
            }
            self.block = self.run.block(self.next_block)?;
            (self.next_block, self.at) = (self.next_block + 1, 0);
        }
    }
}

/// The entries of several files in the order of their keys; where a key is in several, the newest counts.
pub(super) struct Merged {
    /// The newest first.
    cursors: Vec<Cursor>,
    /// The key that is left behind, while the files are led past it.
    past: Vec<u8>,
}

impl Merged {
    /// The entries at or behind a key; `runs` are the oldest first.
    pub(super) fn from(runs: &[Arc<Run>], key: &[u8]) -> Result<Self> {
        let cursors = runs.iter().rev().map(|run| Cursor::at(run.clone(), key));
        Ok(Self { cursors: cursors.collect::<Result<_>>()?, past: Vec::new() })
    }

    /// The entry that comes next; a removed key has no value.
    pub(super) fn peek(&self) -> Option<(&[u8], Option<&[u8]>)> {
        // Of equal keys the first is taken: that of the newest file.
        let next =
            self.cursors.iter().filter_map(|cursor| Some((cursor.key()?, cursor))).min_by_key(|(key, _)| *key)?;
        Some((next.0, next.1.value()))
    }

    /// Goes on behind the entry that comes next.
    pub(super) fn advance(&mut self) -> Result<()> {
        let mut past = std::mem::take(&mut self.past);
        past.clear();
        past.extend(self.peek().map(|(key, _)| key).unwrap_or_default());
        for cursor in &mut self.cursors {
            if cursor.key() == Some(past.as_slice()) {
                cursor.advance()?;
            }
        }
        self.past = past;
        Ok(())
    }
}
