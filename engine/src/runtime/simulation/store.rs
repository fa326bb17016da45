//! A checkpoint store on the pretend disk.

use std::sync::{Arc, Mutex};

use aqueduct_checkpoint::{CheckpointStore, Record, StoreKind};
use aqueduct_model::{Error, Result, Token};

use super::disk::Outside;

/// What is in a checkpoint folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Folder {
    record: Option<Record>,
    token: Token,
}

/// A process's handle of a folder. Nothing is torn here: the real stores have a kill loop of their own.
pub(super) struct SimulatedStore {
    pub(super) outside: Outside,
    pub(super) folder: Arc<Mutex<Folder>>,
}

impl SimulatedStore {
    fn at<T>(&self, place: &'static str, effect: impl FnOnce(&mut Folder) -> Result<T>) -> Result<T> {
        self.outside.at(place, |_| effect(&mut self.folder.lock().unwrap_or_else(|poisoned| poisoned.into_inner())))
    }
}

impl CheckpointStore for SimulatedStore {
    fn load(&mut self) -> Result<Option<Record>> {
        self.at("store.load", |folder| Ok(folder.record.clone()))
    }

    fn log(&mut self, record: &Record) -> Result<()> {
        self.at("store.log", |folder| {
            if folder.record.as_ref().is_some_and(|last| last.epoch >= record.epoch) || record.token < folder.token {
                return Err(Error::bug("an epoch or token went back"));
            }
            folder.record = Some(record.clone());
            Ok(())
        })
    }

    fn next_token(&mut self) -> Result<Token> {
        self.at("store.token", |folder| {
            folder.token = folder.token.next();
            Ok(folder.token)
        })
    }

    fn raise_token(&mut self, at_least: Token) -> Result<()> {
        self.at("store.raise", |folder| {
            folder.token = folder.token.max(at_least);
            Ok(())
        })
    }

    fn kind(&self) -> StoreKind {
        StoreKind::default()
    }

    fn syncs(&self) -> u64 {
        0
    }
}
