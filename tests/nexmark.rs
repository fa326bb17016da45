//! The Nexmark queries of `examples/streaming_windows` against DuckDB over the same events, through SIGKILLs: from the
//! generator, and from JSON lines with persons, auctions and bids in one file.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    through_kills(&example());
}

#[test]
fn the_queries_over_json_lines_equal_those_of_duckdb_before_and_after_kills() {
    let made = example();
    made.aqueduct(&["run", "flow.yaml", "--state", "state"]).ok();
    let work = of_json_lines(&made);
    work.aqueduct(&["run", "flow.yaml", "--state", "state"]).ok();
    compare(&work);
    same_events(&made, &work);
    let work = of_json_lines(&made);
    through_kills(&work);
    same_events(&made, &work);
}

fn through_kills(work: &Work) {
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
    compare(work);
}

/// The tables of events, and how each is one of `JSONInput`.
const TABLES: [(&str, &[&str], &str); 3] = [
    (
        "person",
        &["id", "name", "city", "state", "date_time"],
        "{ key: [id], columns: { id: int64, name: string, city: string, state: string, date_time: \"timestamp(us, utc)\" } }",
    ),
    (
        "auction",
        &["id", "seller", "category", "date_time", "expires"],
        "{ key: [id], columns: { id: int64, seller: int64, category: int64, date_time: \"timestamp(us, utc)\", \
         expires: \"timestamp(us, utc)\" } }",
    ),
    (
        "bid",
        &["auction", "bidder", "price", "date_time"],
        "{ columns: { auction: int64, bidder: int64, price: int64, date_time: \"timestamp(us, utc)\" }, \
         paths: { price: money.price } }",
    ),
];

/// The same flow over the events of another run, as lines of one file in the order of their times.
fn of_json_lines(made: &Work) -> Work {
    let flow = std::fs::read_to_string(made.file("flow.yaml")).expect("the example");
    let tables: Vec<String> = TABLES.iter().map(|(name, _, table)| format!("{name}: {table}")).collect();
    let input = format!(
        "  - {{ id: events, plugin: JSONInput, config: {{ path: events.jsonl, table: \"{{event_type}}\", tables: {{ {} }} }} }}",
        tables.join(", ")
    );
    let is_input = |line: &&str| line.contains("id: events,");
    assert_eq!(flow.lines().filter(is_input).count(), 1, "the example has one input");
    let lines: Vec<&str> = flow.lines().map(|line| if is_input(&line) { input.as_str() } else { line }).collect();
    let work = Work::with_flow(&lines.join("\n"));
    let mut events = Vec::new();
    let warehouse = duckdb::Connection::open(made.file("auctions.duckdb")).expect("a database");
    for (table, columns, _) in TABLES {
        let shown = columns.iter().map(|column| match *column {
            "date_time" | "expires" => format!("epoch_us({column})"),
            _ => (*column).to_owned(),
        });
        let sql = format!("SELECT epoch_us(date_time), {} FROM {table}", shown.collect::<Vec<_>>().join(", "));
        let mut query = warehouse.prepare(&sql).expect("a query");
        let mut rows = query.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let at: i64 = row.get(0).expect("a time");
            let mut event = json!({ "event_type": table });
            for (i, column) in columns.iter().enumerate() {
                let cell = row.get::<_, i64>(i + 1).map(Value::from);
                let cell = cell.or_else(|_| row.get::<_, String>(i + 1).map(Value::from)).expect("a number or a text");
                if *column == "price" {
                    event["money"] = json!({ "currency": "USD", "price": cell });
                } else {
                    event[*column] = cell;
                }
            }
            events.push((at, event.to_string()));
        }
    }
    events.sort();
    let text: String = events.into_iter().map(|(_, line)| line + "\n").collect();
    work.write("events.jsonl", text);
    work
}

/// Both warehouses hold the same events.
fn same_events(made: &Work, work: &Work) {
    let other = made.file("auctions.duckdb");
    for (table, columns, _) in TABLES {
        let columns = columns.join(", ");
        let (ours, theirs) = (format!("SELECT {columns} FROM {table}"), format!("SELECT {columns} FROM made.{table}"));
        let connection = duckdb::Connection::open(work.file("auctions.duckdb")).expect("a database");
        connection.execute_batch(&format!("ATTACH '{}' AS made (READ_ONLY)", other.display())).expect("attached");
        let sql = format!(
            "SELECT count(*) FROM ((({ours}) EXCEPT ALL ({theirs})) UNION ALL (({theirs}) EXCEPT ALL ({ours})))"
        );
        let differences: i64 = connection.query_row(&sql, [], |row| row.get(0)).expect("a number");
        assert_eq!(differences, 0, "{table}");
    }
}
