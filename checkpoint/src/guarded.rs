//! The store: a database and a journal that agree, under one lock.

use std::path::PathBuf;

use aqueduct_model::{Epoch, Error, ErrorKind, Result, Token};

use crate::backend::{Backend, Key};
use crate::fault;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::record::{Record, encode_token};
use crate::store::{CheckpointStore, StoreKind, StoreOptions};
use crate::sync::{Disk, require_space};

/// The one implementation of [`CheckpointStore`]; made by [`crate::recover::recover`].
pub(crate) struct Guarded {
    pub(crate) folder: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) disk: Disk,
    pub(crate) journal: Journal,
    pub(crate) backend: Box<dyn Backend>,
    /// The newest epoch logged; 0 before the first.
    pub(crate) newest: Epoch,
    /// The highest token given out or seen.
    pub(crate) token: Token,
    /// A write began and did not end well: what the disk holds is unknown.
    pub(crate) failed: bool,
    /// Last, so that it is released when everything else is closed.
    pub(crate) lock: Lock,
}

impl Guarded {
    /// Refuses before anything is written, or marks the store as being written; `bytes` is the size of one copy.
    fn begin(&mut self, bytes: usize) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the checkpoint store failed before and has to be opened anew",
            ));
        }
        self.lock.check()?;
        // Both copies are written before either old one goes.
        require_space(&self.folder, self.options.free_bytes_min.saturating_add(2 * bytes as u64))?;
        self.failed = true;
        Ok(())
    }

    /// The write is durable in both copies: it may be acknowledged.
    fn end(&mut self) -> Result<()> {
        self.lock.note(self.token, self.newest)?;
        self.failed = false;
        Ok(())
    }

    fn write_token(&mut self, token: Token) -> Result<()> {
        let frame = encode_token(token);
        self.begin(frame.len())?;
        self.journal.write_token(&frame)?;
        self.backend.write(Key::Token, &frame)?;
        self.token = token;
        fault::point("ckpt.token_after")?;
        self.end()
    }
}

impl CheckpointStore for Guarded {
    fn load(&mut self) -> Result<Option<Record>> {
        if self.newest == Epoch(0) {
            return Ok(None);
        }
        // Opening wrote the newest record to the journal, or logging did.
        match self.journal.read(self.newest)? {
            Some(record) => Ok(Some(record)),
            None => Err(Error::new(ErrorKind::State, format!("epoch {} vanished from the journal", self.newest))
                .with_hint("start the flow again, and leave its checkpoint folder alone while it runs")),
        }
    }

    fn log(&mut self, record: &Record) -> Result<()> {
        if record.epoch <= self.newest {
            return Err(Error::bug(format!("epoch {} was logged after epoch {}", record.epoch, self.newest)));
        }
        if record.token < self.token {
            return Err(Error::bug(format!(
                "epoch {} was logged by token {} after token {} was given out",
                record.epoch, record.token, self.token
            )));
        }
        let frame = record.encode()?;
        self.begin(frame.len())?;
        fault::point("ckpt.log_before")?;
        if fault::planted("ckpt.log_torn") {
            self.journal.tear(record.epoch, &frame);
        }
        self.journal.append(record.epoch, &frame)?;
        fault::point("ckpt.log_after_journal")?;
        self.backend.write(Key::Record, &frame)?;
        (self.newest, self.token) = (record.epoch, record.token);
        fault::point("ckpt.log_after")?;
        self.end()
    }

    fn next_token(&mut self) -> Result<Token> {
        let token = self.token.next();
        if !fault::planted("mutant.token_not_persisted") {
            self.write_token(token)?;
        }
        Ok(token)
    }

    fn raise_token(&mut self, at_least: Token) -> Result<()> {
        if at_least <= self.token { Ok(()) } else { self.write_token(at_least) }
    }

    fn kind(&self) -> StoreKind {
        self.options.kind
    }

    fn syncs(&self) -> u64 {
        self.disk.syncs()
    }
}
