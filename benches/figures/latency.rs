//! From the source's commit to the target's readers: PostgreSQL to PostgreSQL at a thousand commits a second, beside
//! PostgreSQL's own logical replication at the same time, on the same servers, by the same writer.
//!
//! `AQUEDUCT_FIGURES_LATENCY_SECONDS` sets how long is measured (20).

use std::time::{Duration, Instant};

use aqueduct_test_servers::{Database, Kind, Options, Server};

use crate::daemon::Daemon;
use crate::figure::{Bound, Figure, progress};

const PER_SECOND: u64 = 1_000;
/// Left out at the beginning.
const WARM_UP: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub fn measure() -> Vec<Figure> {
    let seconds: u64 =
        std::env::var("AQUEDUCT_FIGURES_LATENCY_SECONDS").map_or(20, |text| text.parse().expect("seconds"));
    let (source, target) =
        (Server::start(Kind::Postgres15, Options::new()), Server::start(Kind::Postgres15, Options::new()));
    let (shop, ours, native) = (source.database(), target.database(), target.database());
    shop.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT); INSERT INTO t VALUES (0, 'first')");
    native.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)");
    shop.sql("CREATE PUBLICATION native FOR TABLE t");
    native.sql(&format!(
        "CREATE SUBSCRIPTION native CONNECTION 'host=127.0.0.1 port={} user=cdc password=cdc dbname={}' PUBLICATION native",
        source.port(),
        shop.name()
    ));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flow = "flow: figures
delivery: exactly_once
checkpoint: { interval: 1ms }
tasks:
  - { id: shop, plugin: CdcInput, config: { engine: postgres, url: \"${env:SOURCE_URL}\", tables: [public.t] } }
  - { id: copy, plugin: PostgresOutput, from: shop, config: { url: \"${env:TARGET_URL}\" } }
";
    std::fs::write(folder.path().join("flow.yaml"), flow).expect("a flow");
    let (from, to) = (shop.url("cdc"), ours.url("cdc"));
    let daemon = Daemon::start_with(folder.path(), &[("SOURCE_URL", &from), ("TARGET_URL", &to)]);
    for copy in [&ours, &native] {
        wait_for(copy, 0);
    }
    let rows = seconds * PER_SECOND;
    let (committed, seen_ours, seen_native) = std::thread::scope(|scope| {
        let watch = |database| scope.spawn(move || seen(database, rows));
        let (ours, native) = (watch(&ours), watch(&native));
        let committed = write(&shop, rows);
        (committed, ours.join().expect("a watcher"), native.join().expect("a watcher"))
    });
    daemon.stop();
    native.sql("DROP SUBSCRIPTION native");
    let mut figures = Vec::new();
    for (name, seen, bounds) in
        [("Aqueduct", seen_ours, [10.0, 50.0]), ("native replication", seen_native, [f64::INFINITY, f64::INFINITY])]
    {
        let mut waits = waits(&committed, &seen);
        let longest = (0..waits.len()).max_by(|a, b| waits[*a].total_cmp(&waits[*b])).unwrap_or_default();
        let longest = (longest as u64 + WARM_UP) / PER_SECOND;
        waits.sort_by(f64::total_cmp);
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
        progress(&format!(
            "latency: {name}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms in second {longest}",
            at(0.5),
            at(0.99),
            at(1.0)
        ));
        figures.push(Figure::new(format!("latency: {name}, p50"), "ms", Bound::AtMost(bounds[0]), vec![at(0.5)]));
        figures.push(Figure::new(format!("latency: {name}, p99"), "ms", Bound::AtMost(bounds[1]), vec![at(0.99)]));
    }
    figures
}

fn wait_for(database: &Database<'_>, id: u64) {
    let mut client = database.connect();
    let begun = Instant::now();
    while newest(&mut client) != Some(id) {
        assert!(begun.elapsed() < PATIENCE, "row {id} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn newest(client: &mut aqueduct_test_servers::Client) -> Option<u64> {
    // No such table yet, at first.
    let rows = client.run("SELECT max(id) FROM t").ok()?;
    rows.first()?.first()?.as_ref()?.parse().ok()
}

/// Commits a row at a time, evenly; when each was committed.
fn write(shop: &Database<'_>, rows: u64) -> Vec<Instant> {
    let mut client = shop.connect();
    let begun = Instant::now();
    (1..=rows)
        .map(|id| {
            let due = begun + Duration::from_micros(id * 1_000_000 / PER_SECOND);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            client.sql(&format!("INSERT INTO t VALUES ({id}, 'a row')"));
            Instant::now()
        })
        .collect()
}

/// When the target first showed a row at least as new, per look.
fn seen(database: &Database<'_>, last: u64) -> Vec<(Instant, u64)> {
    let mut client = database.connect();
    let mut seen = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE + Duration::from_secs(last / PER_SECOND) {
        let newest = newest(&mut client).unwrap_or(0);
        let now = Instant::now();
        if seen.last().is_none_or(|(_, before)| newest > *before) {
            seen.push((now, newest));
        }
        if newest == last {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

/// Milliseconds from each commit to the first look that showed it.
fn waits(committed: &[Instant], seen: &[(Instant, u64)]) -> Vec<f64> {
    let mut looks = seen.iter().peekable();
    let mut waits = Vec::new();
    for (i, at) in committed.iter().enumerate() {
        let id = i as u64 + 1;
        while looks.peek().is_some_and(|(_, newest)| *newest < id) {
            looks.next();
        }
        let Some((shown, _)) = looks.peek() else { panic!("row {id} never came") };
        if id > WARM_UP {
            waits.push(shown.saturating_duration_since(*at).as_secs_f64() * 1_000.0);
        }
    }
    waits
}
