//! What all sinks that write files into a folder share: an epoch's files show together, exactly once.
//!
//! ```text
//! warehouse/
//!   _aqueduct_manifest.json     who writes, the last committed epoch and its positions, how long the list is
//!   _aqueduct_files.jsonl       one line per committed file; what stands behind the manifest's length does not count
//!   _aqueduct_lock              held for the milliseconds of a read-modify-write of the manifest
//!   orders/
//!     part-0000000007-0.parquet                committed by epoch 7
//!     .part-0000000008-0.parquet.inprogress    flushed by epoch 8, not committed
//!     .open-3-12.inprogress                    being written under token 3
//! ```
//!
//! Guarantees
//! * A file's final name is a function of its table and epoch, so that a commit done twice is a commit.
//! * `flush` fsyncs the files and their folders before it returns; `commit` renames, fsyncs the folders, appends to the
//!   list, fsyncs it, then replaces the manifest (tmp, fsync, rename, fsync). A reader of the manifest sees whole epochs;
//!   a reader that lists `part-*` may see an epoch's files appear one by one.
//! * Every change of the manifest checks the token under the lock: a writer that was replaced changes nothing.
//! * Memory is bounded: open files by number, what their writers buffer by bytes.
//!
//! What it does not do: it never deletes or rewrites a committed file, and merges no small ones.

mod changelog;
mod faults;
mod folder;
mod manifest;
mod name;
mod sink;

#[cfg(all(test, feature = "failpoints"))]
mod crash_tests;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use changelog::{EPOCH_COLUMN, Mode, OP_COLUMN};
pub(crate) use folder::{committed_files, io_error};
pub(crate) use manifest::FileEntry;
pub(crate) use name::check_template;
pub(crate) use sink::{FileFormat, FormatWriter, Refused, StagedFilesConfig, StagedSink};
