//! The store as the engine sees it.

use std::fmt;
use std::path::Path;

use aqueduct_model::{Result, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::recover::{Purpose, Recovery, recover};

/// Keeps the newest record and the token of one flow.
///
/// All methods block on the disk. After an error of any of them it is unknown whether the write happened, and the
/// value refuses further writes with `Unavailable`: drop it, [`open`] anew and look. One exception: a refusal for
/// lack of space comes before anything is written; the same call may be repeated later.
pub trait CheckpointStore: Send {
    /// The newest logged record; `None` before the first. The next token is higher than its.
    fn load(&mut self) -> Result<Option<Record>>;

    /// Makes a record the newest one, atomically; fsynced in the journal and in the store on return.
    ///
    /// # Errors
    /// `Bug` when its epoch is not higher than the last one, or its token lower than the one given out; `Unavailable`
    /// when the disk fails or has too little space; `State` when the folder was taken away, or the record exceeds
    /// [`crate::RECORD_BYTES_MAX`].
    fn log(&mut self, record: &Record) -> Result<()>;

    /// Gives out the token of this start: one higher than any before, 1 first; fsynced on return.
    fn next_token(&mut self) -> Result<Token>;

    /// Makes sure that the next token is higher than one that a sink knows; fsynced on return.
    fn raise_token(&mut self, at_least: Token) -> Result<()>;

    /// The database behind it.
    fn kind(&self) -> StoreKind;

    /// How often something was forced to the disk since it was opened.
    fn syncs(&self) -> u64;
}

/// Which database keeps the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// sled 0.34, with guards.
    #[default]
    Sled,
    /// redb.
    Redb,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
        })
    }
}

/// The free space below which nothing is written.
pub const FREE_BYTES_MIN: u64 = 64 << 20;

/// How to open a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Which database.
    pub kind: StoreKind,
    /// The free space, in bytes, below which nothing is written.
    pub free_bytes_min: u64,
}

impl From<StoreKind> for StoreOptions {
    fn from(kind: StoreKind) -> Self {
        Self { kind, free_bytes_min: FREE_BYTES_MIN }
    }
}

/// A store that is open, and what opening it took. The lock is inside the store and lives as long as it.
pub struct OpenedStore {
    /// The store.
    pub store: Box<dyn CheckpointStore>,
    /// What opening it took.
    pub recovery: Recovery,
}

/// Opens or creates the store in a folder of its own, and repairs what a crash or damage left.
///
/// The same folder may be opened with another kind later: the journal carries everything over.
///
/// # Errors
/// `State` when another process has it, a newer version wrote it, or damage cannot be repaired without going back
/// behind what was acknowledged; `Unavailable` when the disk fails or has too little space.
pub fn open(folder: &Path, kind: StoreKind) -> Result<OpenedStore> {
    open_with(folder, &kind.into())
}

/// [`open`] with options.
///
/// # Errors
/// As [`open`].
pub fn open_with(folder: &Path, options: &StoreOptions) -> Result<OpenedStore> {
    let (store, recovery) = recover(folder, options, Purpose::Run)?;
    Ok(OpenedStore { store: Box::new(store), recovery })
}
