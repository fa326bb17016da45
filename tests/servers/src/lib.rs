//! Real database servers as child processes of tests, SQL to them, and a TCP proxy that breaks connections.
//!
//! ```no_run
//! use aqueduct_test_servers::{MariaDb, Options, Postgres, Version, shared, Kind};
//!
//! let server = MariaDb::start(Options::new().config("binlog-row-image=MINIMAL")); // one of the test's own
//! let common = shared(Kind::Postgres15);                                          // one per test process
//! let database = common.database();                                               // fresh, with a name of its own
//! database.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
//! assert_eq!(database.text("SELECT id FROM t"), "1");
//! let url = database.url("cdc");                                                  // postgres://cdc:cdc@127.0.0.1:…
//! # drop(server);
//! ```
//!
//! * A server listens on a free port of 127.0.0.1, has its data in a folder of the temporary folder, and ends with the
//!   value, or with the test process however that ends: nothing is left running and nothing is left on the disk.
//! * Its data folder is a copy of a template that is made once per machine, so that a start takes about a second.
//! * Started by root, servers run as another user where they insist on it.
//! * A server that is not installed fails the test, with the command that installs it.
//! * Everything here panics with a message: it is for tests.

mod certificates;
mod client;
mod guardian;
mod mysql;
mod mysql_client;
mod options;
mod place;
mod postgres;
mod postgres_client;
mod server;

pub use aqueduct_faults::{Direction, Fault, Proxy};
pub use certificates::{Certificates, certificates};
pub use client::{Client, Rows, SqlError};
pub use options::{Kind, Options, Version};
pub use place::free_port;
pub use server::{Database, MariaDb, MySql8, Postgres, Server, shared, shared_with};
