//! A table of six columns, server → Parquet, per CPU-second of the client; beside the server's own client program, which
//! reads the same rows and throws them away.
//!
//! `AQUEDUCT_FIGURES_TABLE_ROWS` sets the number of rows (2,000,000).

use std::path::Path;
use std::process::{Command, Stdio};

use aqueduct_test_servers::{Database, Kind, Options, Server};

use crate::daemon;
use crate::figure::{Bound, Figure, progress};
use crate::usage::{Usage, run_to_end};

const RUNS: usize = 3;
const MYSQL: Bound = Bound::AtLeast(350_000.0);
const POSTGRES: Bound = Bound::AtLeast(400_000.0);

const MYSQL_TABLE: &str = "SET SESSION cte_max_recursion_depth = 4294967295;
    CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id BIGINT, product VARCHAR(40), quantity INT,
                         amount DECIMAL(12,2), created_at TIMESTAMP(6) NULL);
    INSERT INTO orders WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
    SELECT i, i * 7 % 10000, CONCAT('product ', i % 500), i % 9, i % 100000 / 100, FROM_UNIXTIME(1700000000 + i) FROM n;";
const POSTGRES_TABLE: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, product varchar(40), quantity int,
                         amount numeric(12,2), created_at timestamptz);
    INSERT INTO orders SELECT i, i * 7 % 10000, concat('product ', i % 500), i % 9, i % 100000 / 100.0,
                              to_timestamp(1700000000 + i) FROM generate_series(1, ROWS) i;";

pub fn measure() -> Vec<Figure> {
    let rows: u64 =
        std::env::var("AQUEDUCT_FIGURES_TABLE_ROWS").map_or(2_000_000, |rows| rows.parse().expect("a number of rows"));
    let mut figures = Vec::new();
    for kind in [Kind::MariaDb, Kind::MySql8, Kind::Postgres15] {
        let server = Server::start(kind, Options::new());
        let database = server.database();
        let (table, plugin, bound) = match kind {
            // MariaDB calls the same setting max_recursive_iterations.
            Kind::MariaDb => {
                (MYSQL_TABLE.replace("cte_max_recursion_depth", "max_recursive_iterations"), "MySQLInput", MYSQL)
            }
            Kind::MySql8 => (MYSQL_TABLE.to_owned(), "MySQLInput", MYSQL),
            _ => (POSTGRES_TABLE.to_owned(), "PostgresInput", POSTGRES),
        };
        database.sql(&table.replace("ROWS", &rows.to_string()));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut ours, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let (flow, tool) = (run_flow(folder.path(), plugin, &database), run_tool(kind, &database));
            progress(&format!(
                "read_tables: {}: Aqueduct {}, client program {}",
                kind.name(),
                show(&flow, rows),
                show(&tool, rows)
            ));
            ours.push(rows as f64 / flow.cpu_seconds);
            memory.push(flow.peak_mib);
        }
        figures.push(Figure::new(format!("read_tables: {} to Parquet", kind.name()), "rows/CPU-second", bound, ours));
        figures.push(Figure::new(format!("read_tables: {}", kind.name()), "MiB at most", Bound::AtMost(256.0), memory));
    }
    figures
}

fn run_flow(folder: &Path, plugin: &str, database: &Database<'_>) -> Usage {
    for leftover in ["state", "lake"] {
        // Missing before the first run.
        let _ = std::fs::remove_dir_all(folder.join(leftover));
    }
    let flow = format!(
        "flow: figures
checkpoint: {{ interval: 10s }}
tasks:
  - {{ id: read, plugin: {plugin}, config: {{ url: \"${{env:SERVER_URL}}\", table: orders }} }}
  - {{ id: store, plugin: ParquetOutput, from: read, config: {{ path: lake }} }}
"
    );
    std::fs::write(folder.join("flow.yaml"), flow).expect("a flow");
    run_to_end(daemon::command(folder).env("SERVER_URL", database.url("cdc")))
}

/// The client program, writing the rows to nowhere.
fn run_tool(kind: Kind, database: &Database<'_>) -> Usage {
    let port = database.server().port().to_string();
    let mut command = if kind.is_mysql() {
        let mut command = Command::new("mariadb");
        command.args(["--protocol=tcp", "-h127.0.0.1", "-P", &port, "-ucdcn", "-pcdcn", "--quick", "--batch"]);
        command.args([database.name(), "-e", "SELECT * FROM orders ORDER BY id"]);
        command
    } else {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-d", &database.url("cdc"), "-c"]);
        command.arg("COPY (SELECT * FROM orders ORDER BY id) TO STDOUT");
        command
    };
    run_to_end(command.stdin(Stdio::null()).stdout(Stdio::null()))
}

fn show(usage: &Usage, rows: u64) -> String {
    let per_million = usage.cpu_seconds * 1e6 / rows as f64;
    format!("{per_million:.2} CPU-seconds per million rows, {:.2} s, {:.0} MiB", usage.seconds, usage.peak_mib)
}
