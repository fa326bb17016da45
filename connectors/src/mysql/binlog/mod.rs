//! Bytes of the binary logs of MySQL and MariaDB, decoded; no input or output.
//!
//! * [`split_event`] verifies an event's checksum and takes it apart, [`decode`] says what it is. An unknown type that is
//!   not marked as one to skip is an error.
//! * [`RowDecoder`] reads rows into [`RowBuilders`], which collect rows of one relation over many events and
//!   transactions, and [`RowBuilders::finish`] makes a batch of them.
//! * [`MysqlGtidSet`] and [`MariadbGtidPos`] are positions.
//!
//! Values are the same, bit for bit, as those of a query through `mysql::rows`. Every length is checked before memory is
//! set aside for it; nothing here keeps more than one event.
//!
//! Written from MySQL 8.0's and MariaDB 10.11's sources and compared with what those servers write.

mod builders;
mod bytes;
mod cell;
mod charset;
mod charset_exceptions;
mod charset_tables;
mod convert;
mod decimal;
mod event;
mod format;
mod gtid_event;
mod gtid_set;
mod header;
mod inflate;
mod json_text;
mod jsonb;
pub(crate) mod kind;
mod mariadb_gtid;
mod missing;
mod network;
mod payload;
mod query;
mod row_decoder;
mod rows_event;
mod shape;
mod table_map;
mod table_metadata;
mod temporal;
#[cfg(test)]
mod tests;

pub(crate) use builders::RowBuilders;
pub(crate) use event::{Event, decode};
pub(crate) use format::{Flavor, Format};
pub(crate) use gtid_event::MariadbGtidEvent;
#[cfg(test)]
pub(crate) use gtid_set::GtidSource;
pub(crate) use gtid_set::{MysqlGtid, MysqlGtidSet};
pub(crate) use header::{Checksum, EventHeader, HEADER_BYTES, RawEvent, split_event};
pub(crate) use mariadb_gtid::{MariadbGtid, MariadbGtidPos};
pub(crate) use payload::{Payload, PayloadEvents};
pub(crate) use query::Query;
pub(crate) use row_decoder::RowDecoder;
pub(crate) use rows_event::RowsEvent;
pub(crate) use table_map::table_of;
