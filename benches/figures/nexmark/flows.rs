//! The queries as flows.

use std::path::Path;

/// Events of the larger of two runs that are compared.
pub const EVENTS: u64 = 2_000_000;

/// A query: its tasks behind `person`, `auction` and `bid`, the last of which is `out`.
pub struct Query {
    pub name: &'static str,
    /// The tables that it reads.
    pub tables: &'static [&'static str],
    pub tasks: &'static str,
    /// The same for DuckDB; and for DataFusion, where it can be said there.
    pub duckdb: &'static str,
    /// Events per CPU-second, from lines and from memory.
    pub least: (f64, f64),
}

const ROW_BY_ROW: (f64, f64) = (600_000.0, 3_000_000.0);
const WINDOWED: (f64, f64) = (300_000.0, 300_000.0);

pub const QUERIES: &[Query] = &[
    Query {
        name: "q0",
        tables: &["bid"],
        tasks: "
  - { id: out, plugin: SQL, from: events, config: { query: \"select auction, bidder, price, channel, url, date_time, extra from bid\", others: drop } }",
        duckdb: "SELECT auction, bidder, price, channel, url, date_time, extra FROM bid",
        least: ROW_BY_ROW,
    },
    Query {
        name: "q1",
        tables: &["bid"],
        tasks: "
  - { id: out, plugin: SQL, from: events, config: { query: \"select auction, bidder, price * 0.908 as price, date_time, extra from bid\", others: drop } }",
        duckdb: "SELECT auction, bidder, price * 0.908 AS price, date_time, extra FROM bid",
        least: ROW_BY_ROW,
    },
    Query {
        name: "q2",
        tables: &["bid"],
        tasks: "
  - { id: out, plugin: SQL, from: events, config: { query: \"select auction, price from bid where auction % 123 = 0\", others: drop } }",
        duckdb: "SELECT auction, price FROM bid WHERE auction % 123 = 0",
        least: ROW_BY_ROW,
    },
    Query {
        name: "q5",
        tables: &["bid"],
        tasks: "
  - { id: bids, plugin: SQL, from: events, config: { query: \"select auction, date_time from bid\", others: drop } }
  - { id: timed, plugin: Watermark, from: bids, config: { time: date_time, out_of_order: 50ms } }
  - { id: counted, plugin: Window, from: timed, config: { time: date_time, hop: { size: 10s, slide: 2s }, by: [auction], totals: { bids: count(*) } } }
  - { id: out, plugin: Sort, from: counted, config: { until: window_end, by: [bids desc], limit: 1, ties: true } }",
        duckdb: "WITH hops AS (SELECT auction, (epoch_us(date_time) // 2000000 - k) * 2000000 AS start FROM bid, range(5) AS r(k)),
              counts AS (SELECT start, auction, count(*) AS bids FROM hops GROUP BY start, auction)
         SELECT start, auction, bids FROM counts QUALIFY bids = max(bids) OVER (PARTITION BY start)",
        least: WINDOWED,
    },
    Query {
        name: "q7",
        tables: &["bid"],
        tasks: "
  - { id: bids, plugin: SQL, from: events, config: { query: \"select auction, bidder, price, date_time, date_bin(interval '10 seconds', date_time) as window_start from bid\", others: drop } }
  - { id: timed, plugin: Watermark, from: bids, config: { time: date_time, out_of_order: 50ms } }
  - { id: out, plugin: Sort, from: timed, config: { until: \"window_start + interval '10 seconds'\", by: [price desc], limit: 1, ties: true } }",
        duckdb: "SELECT auction, bidder, price, date_time FROM bid
         QUALIFY price = max(price) OVER (PARTITION BY epoch_us(date_time) // 10000000)",
        least: WINDOWED,
    },
    Query {
        name: "q8",
        tables: &["person", "auction"],
        tasks: "
  - { id: persons, plugin: SQL, from: events, config: { query: \"select id, name, date_time from person\", others: drop } }
  - { id: came, plugin: Watermark, from: persons, config: { time: date_time } }
  - { id: auctions, plugin: SQL, from: events, config: { query: \"select id, seller, date_time from auction\", others: drop } }
  - { id: opened, plugin: Watermark, from: auctions, config: { time: date_time } }
  - { id: new, plugin: Window, from: came, config: { time: date_time, tumble: 10s, by: [id, name], totals: { persons: count(*) } } }
  - { id: sellers, plugin: Window, from: opened, config: { time: date_time, tumble: 10s, by: [seller], totals: { auctions: count(*) } } }
  - { id: out, plugin: Join, from: [new, sellers], config: { mode: changelog, on: [window_start, { id: seller }], select: [window_start, id, name, auctions] } }",
        duckdb: "SELECT epoch_us(p.date_time) // 10000000, p.id, p.name, count(*) FROM person p JOIN auction a
             ON p.id = a.seller AND epoch_us(p.date_time) // 10000000 = epoch_us(a.date_time) // 10000000 GROUP BY ALL",
        least: WINDOWED,
    },
];

/// The columns of the tables, as `JSONInput` and DuckDB name their types.
pub const COLUMNS: &[(&str, &[(&str, &str)])] = &[
    (
        "person",
        &[
            ("id", "int64"),
            ("name", "string"),
            ("email_address", "string"),
            ("credit_card", "string"),
            ("city", "string"),
            ("state", "string"),
            ("date_time", "timestamp"),
            ("extra", "string"),
        ],
    ),
    (
        "auction",
        &[
            ("id", "int64"),
            ("item_name", "string"),
            ("description", "string"),
            ("initial_bid", "int64"),
            ("reserve", "int64"),
            ("date_time", "timestamp"),
            ("expires", "timestamp"),
            ("seller", "int64"),
            ("category", "int64"),
            ("extra", "string"),
        ],
    ),
    (
        "bid",
        &[
            ("auction", "int64"),
            ("bidder", "int64"),
            ("price", "int64"),
            ("channel", "string"),
            ("url", "string"),
            ("date_time", "timestamp"),
            ("extra", "string"),
        ],
    ),
];

/// All columns of all tables are read, whatever the query needs.
fn input(file: &Path) -> String {
    let mut tables = Vec::new();
    for (table, columns) in COLUMNS {
        let columns: Vec<String> = columns.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        let key = if *table == "bid" { "" } else { "key: [id], " };
        tables.push(format!("{table}: {{ {key}columns: {{ {} }} }}", columns.join(", ")));
    }
    format!(
        "  - {{ id: events, plugin: JSONInput, config: {{ path: \"{}\", table: \"{{event_type}}\", tables: {{ {} }} }} }}",
        file.display(),
        tables.join(", ")
    )
}

const MEMORY: &str = "  - { id: events, plugin: FakerInput, config: { dataset: nexmark, events: 1 } }";
const HEAD: &str = "flow: figures\ncheckpoint: { interval: 10s }\ntasks:\n";
const TAIL: &str = "\n  - { id: count, plugin: ConsoleOutput, from: out }\n";

pub fn from_lines(query: &Query, file: &Path) -> String {
    [HEAD, &input(file), query.tasks, TAIL].concat()
}

pub fn from_memory(query: &Query) -> String {
    [HEAD, MEMORY, query.tasks, TAIL].concat()
}

/// Ten seconds of bids, every so often.
pub fn hopping(slide: &str) -> String {
    let tasks = format!(
        "
  - {{ id: bids, plugin: SQL, from: events, config: {{ query: \"select auction, price, date_time from bid\", others: drop }} }}
  - {{ id: timed, plugin: Watermark, from: bids, config: {{ time: date_time }} }}
  - {{ id: out, plugin: Window, from: timed, config: {{ time: date_time, hop: {{ size: 10s, slide: {slide} }}, totals: {{ bids: count(*), total: sum(price), highest: max(price) }} }} }}"
    );
    [HEAD, MEMORY, &tasks, TAIL].concat()
}

/// Bids by auction and window, into files.
pub fn to_parquet(file: &Path) -> String {
    let tasks = "
  - { id: bids, plugin: SQL, from: events, config: { query: \"select auction, price, date_time from bid\", others: drop } }
  - { id: timed, plugin: Watermark, from: bids, config: { time: date_time } }
  - { id: out, plugin: Window, from: timed, config: { time: date_time, tumble: 1s, by: [auction], totals: { bids: count(*), highest: max(price) } } }
  - { id: store, plugin: ParquetOutput, from: out, config: { path: lake } }
";
    [HEAD, &input(file), tasks].concat()
}

/// Parse, filter, mask, map.
pub fn chain(file: &Path) -> String {
    let tasks = format!(
        "  - {{ id: lines, plugin: JSONInput, config: {{ path: \"{}\", columns: {{ id: int64, name: string, email: string, phone: string, amount: \"decimal(12,2)\", status: string, created_at: \"timestamp(us, utc)\", note: string }} }} }}
  - {{ id: kept, plugin: Filter, from: lines, config: {{ where: \"amount >= 100\" }} }}
  - {{ id: masked, plugin: Masking, from: kept, config: {{ columns: {{ name: {{ redact: true }}, email: {{ preset: email }}, phone: {{ keep_last: 4 }} }} }} }}
  - {{ id: out, plugin: Mapping, from: masked, config: {{ rename: {{ created_at: ordered_at }}, add: {{ vat: \"amount * 0.19\" }}, drop: [note] }} }}",
        file.display()
    );
    [HEAD, &tasks, TAIL].concat()
}
