//! A checkpoint store that forgets: for runs that are not to leave a trace (`preview`, `verify`).

use aqueduct_checkpoint::{CheckpointStore, Record, StoreKind};
use aqueduct_model::{Result, Token};

/// Keeps the newest record in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    record: Option<Record>,
    token: Token,
}

impl CheckpointStore for MemoryStore {
    fn load(&mut self) -> Result<Option<Record>> {
        Ok(self.record.clone())
    }

    fn log(&mut self, record: &Record) -> Result<()> {
        self.record = Some(record.clone());
        Ok(())
    }

    fn next_token(&mut self) -> Result<Token> {
        self.token = self.token.next();
        Ok(self.token)
    }

    fn raise_token(&mut self, at_least: Token) -> Result<()> {
        self.token = self.token.max(at_least);
        Ok(())
    }

    fn kind(&self) -> StoreKind {
        StoreKind::default()
    }

    fn syncs(&self) -> u64 {
        0
    }
}
