//! Durable positions, operator state, prepared commits and the fencing token of one flow.
//!
//! A [`Record`] is everything of one logged epoch. [`CheckpointStore::log`] makes it durable as one atomic step;
//! [`open`] brings back the newest one after any crash, and says in [`Recovery`] what it had to do for that.
//!
//! ```text
//! <folder>/lock          who writes here (flock), and the highest token and epoch that were ever acknowledged
//! <folder>/journal/      one checksummed file per epoch (the last 16) and the token: enough to rebuild everything
//! <folder>/sled/         the store, or
//! <folder>/store.redb    the store
//! ```
//!
//! Invariants, each with a test in `tests/store`:
//! * One writer: every opener takes the lock first; a second one is refused by name.
//! * `log` returned `Ok` ⇒ the record is fsynced in the journal *and* in the store. The journal is written first, so
//!   a crash in between leaves the newer record there; the record with the highest epoch of the two wins at `open`,
//!   which writes it anew to both before anybody acts on it.
//! * An error of `log` means *unknown*: the value refuses further work and has to be opened again. A failed fsync is
//!   never repeated on the same pages, because the kernel may have dropped them; opening rewrites them.
//! * Epochs and tokens only rise, over restarts, damage and `reset` too.
//! * Damage is repaired from the other copy, or is an error; it is never an older position without a word, and what
//!   is damaged is moved aside, never deleted.
//!
//! Everything here blocks on the disk: call it from a thread that may.
#![deny(missing_docs)]

mod backend;
mod fault;
mod frame;
mod guarded;
mod inspect;
mod journal;
mod lock;
mod record;
mod recover;
mod redb_store;
mod sled_store;
mod store;
mod sync;

pub use frame::FORMAT;
pub use inspect::{EpochSummary, Summary, export, inspect, reset};
pub use journal::EPOCHS_KEPT;
pub use record::{RECORD_BYTES_MAX, Record};
pub use recover::Recovery;
pub use store::{CheckpointStore, FREE_BYTES_MIN, OpenedStore, StoreKind, StoreOptions, open, open_with};
