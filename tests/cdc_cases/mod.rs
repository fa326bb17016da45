//! The conformance cases of change data capture, each a test named by its number: `case_001_…` to `case_104_…`, the
//! failures that happened to other engines as `failure_01_…`, the probes of a row decoder as `probe_01_…`.
//!
//! They run the real program on real servers. [`list`] says which servers; `docs/cdc-conformance.md` is made from it.

mod a_snapshot;
mod b_keys;
mod c_mysql_types;
mod conformance;
mod d_postgres_types;
mod e_order;
mod e_transactions;
mod f_ddl;
mod failures;
mod failures_of_state;
mod g_positions;
mod g_retention;
mod h_connection;
mod h_pressure;
mod list;
mod probes;
