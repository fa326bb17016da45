//! A table or a query of a database server as a source: chunks, positions, looking for new rows. What `MySQLInput` and
//! `PostgresInput` share, and what looks rows up in them.
//!
//! Rows are read in the order of a key, a chunk at a time; the database alone compares keys. Each chunk is one
//! statement, and so one consistent read; its rows are handed out as they arrive, so that memory is bounded whatever the
//! chunk's size. The position is the key of the last row that was handed out.
//!
//! Without a key there is one statement over everything, in no order: a restart begins anew.

mod block;
mod edge;
mod incremental;
mod looked_up;
mod place;
mod reading;
mod settings;
mod source;

pub(crate) use block::{Block, BlockRows, ReadLimits};
pub(crate) use incremental::Incremental;
pub(crate) use looked_up::LookedUp;
pub(crate) use reading::{Described, Reader, Side, Span};
pub(crate) use settings::{Wanted, default_fetch_rows, with_key};
pub(crate) use source::{Settings, SqlInput};
