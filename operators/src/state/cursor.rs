//! Several sorted files read as one, from a key on.

use std::sync::Arc;

use aqueduct_model::Result;

use super::run::{Entries, Entry, Run};

/// A place in one file.
struct Cursor {
    run: Arc<Run>,
    /// The block that comes after `block`.
    next_block: usize,
    block: Vec<u8>,
    /// Where in `block` the entry behind `head` begins.
    at: usize,
    /// The entry that comes next.
    head: Option<Entry>,
}

impl Cursor {
    /// The first entry at or behind a key.
    fn at(run: Arc<Run>, key: &[u8]) -> Result<Self> {
        let next_block = run.block_of(key).unwrap_or(0);
        let mut cursor = Self { run, next_block, block: Vec::new(), at: 0, head: None };
        cursor.advance()?;
        while cursor.head.as_ref().is_some_and(|(found, _)| found.as_slice() < key) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<()> {
        loop {
            let mut entries = Entries::new(self.block.get(self.at..).unwrap_or_default());
            if let Some((key, value)) = entries.next() {
                self.head = Some((key.to_vec(), value.map(<[u8]>::to_vec)));
                self.at = self.block.len() - entries.left();
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
}

impl Merged {
    /// The entries at or behind a key; `runs` are the oldest first.
    pub(super) fn from(runs: &[Arc<Run>], key: &[u8]) -> Result<Self> {
        let cursors = runs.iter().rev().map(|run| Cursor::at(run.clone(), key));
        Ok(Self { cursors: cursors.collect::<Result<_>>()? })
    }

    /// The key that comes next.
    pub(super) fn peek(&self) -> Option<&[u8]> {
        self.cursors.iter().filter_map(|cursor| cursor.head.as_ref()).map(|(key, _)| key.as_slice()).min()
    }

    /// The next entry, removed keys included.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let Some(key) = self.peek().map(<[u8]>::to_vec) else { return Ok(None) };
        let mut newest = None;
        for cursor in &mut self.cursors {
            if cursor.head.as_ref().is_some_and(|(found, _)| *found == key) {
                let head = cursor.head.take();
                cursor.advance()?;
                newest = newest.or(head);
            }
        }
        Ok(newest)
    }
}
