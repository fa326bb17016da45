//! The Nexmark queries of `examples/streaming_windows` against DuckDB over the same events, through SIGKILLs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Random, Work};

const KILLS: u64 = 8;
const SEED: u64 = 20_261_124;
/// What each query is, and what the flow made of it.
const QUERIES: [(&str, &str, &str); 8] = [
    (
        "q1",
        "SELECT auction, bidder, CAST(price * 0.908 AS DECIMAL(30,3)), epoch_us(date_time) FROM bid",
        "SELECT auction, bidder, CAST(price AS DECIMAL(30,3)), epoch_us(date_time) FROM q1",
    ),
    ("q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0", "SELECT auction, price FROM q2"),
    (
        "q3",
        "SELECT a.id, p.name, p.city, p.state FROM auction a JOIN person p ON a.seller = p.id
         WHERE a.category = 10 AND p.state < 'M'",
        "SELECT id, name, city, state FROM q3",
    ),
    (
        "q4",
        "SELECT category, round(avg(highest), 6) FROM (
             SELECT a.id, a.category, max(b.price) AS highest FROM auction a JOIN bid b ON a.id = b.auction
             WHERE b.date_time BETWEEN a.date_time AND a.expires GROUP BY a.id, a.category) GROUP BY category",
        "SELECT category, round(price, 6) FROM q4",
    ),
    (
        "q5",
        "WITH hops AS (SELECT auction, (epoch_us(date_time) // 100000 - k) * 100000 AS start FROM bid, range(5) AS r(k)),
              counts AS (SELECT start, auction, count(*) AS bids FROM hops GROUP BY start, auction)
         SELECT start, auction, bids FROM counts QUALIFY bids = max(bids) OVER (PARTITION BY start)",
        "SELECT epoch_us(window_start), auction, bids FROM q5",
    ),
    (
        "q7",
        "SELECT auction, bidder, price, epoch_us(date_time) FROM bid
         QUALIFY price = max(price) OVER (PARTITION BY epoch_us(date_time) // 500000)",
        "SELECT auction, bidder, price, epoch_us(date_time) FROM q7",
    ),
    (
        "q8",
        "SELECT epoch_us(p.date_time) // 500000 * 500000, p.id, p.name, count(*) FROM person p JOIN auction a
             ON p.id = a.seller AND epoch_us(p.date_time) // 500000 = epoch_us(a.date_time) // 500000
         GROUP BY ALL",
        "SELECT epoch_us(window_start), id, name, auctions FROM q8",
    ),
    ("q0", "SELECT 27600", "SELECT count(*) FROM bid"),
];

fn number(path: &Path, sql: &str) -> i64 {
    let connection = duckdb::Connection::open(path).expect("a database");
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn example() -> Work {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/streaming_windows/flow.yaml");
    let flow = std::fs::read_to_string(file).expect("the example");
    Work::with_flow(&flow.replace("delivery:", "checkpoint: { interval: 50ms }\ndelivery:"))
}

fn compare(work: &Work) {
    let warehouse = work.file("auctions.duckdb");
    for (name, expected, found) in QUERIES {
        assert!(number(&warehouse, &format!("SELECT count(*) FROM ({expected})")) > 0, "{name} shows something");
        let differences = format!(
            "SELECT count(*) FROM ((({expected}) EXCEPT ALL ({found})) UNION ALL (({found}) EXCEPT ALL ({expected})))"
        );
        assert_eq!(number(&warehouse, &differences), 0, "{name} differs\n{}", log_of(work.path()));
    }
}

#[test]
fn the_queries_equal_those_of_duckdb() {
    let work = example();
    work.aqueduct(&["run", "flow.yaml", "--state", "state"]).ok();
    compare(&work);
}

#[test]
fn the_queries_equal_those_of_duckdb_through_kills() {
    let work = example();
    let mut random = Random(SEED);
    for _ in 0..KILLS {
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        let until = Instant::now() + Duration::from_millis(random.below(1_500));
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        daemon.kill();
    }
    work.aqueduct(&["run", "flow.yaml", "--state", "state"]).ok();
    compare(&work);
}
