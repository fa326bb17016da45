//! SIGKILL at any moment, with real servers: MariaDB → SQLite, MariaDB → PostgreSQL, PostgreSQL → MySQL,
//! PostgreSQL → DuckDB, while a bank never stops moving money between two tables.
//!
//! * Every transaction changes `a`, `b` and adds a row to `journal`, which has no key: a row that is written twice shows.
//! * The sum over `a` and `b` never changes. It is read from the target every 10 ms by a client of its own, and of DuckDB,
//!   whose file one process at a time may open, after every kill; any other sum is a transaction in parts.
//! * Every 25 kills the bank rests, the flow catches up, and all rows are compared. Every 250 kills another bank opens,
//!   with a flow of its own: comparing costs what the bank has seen.
//!
//! `AQUEDUCT_CDC_KILLS` says how often in all (default 100).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aqueduct_test_servers::{Client, Database, Kind, Options, Server};

use crate::harness::captured::{Captured, LIMIT};
use crate::harness::texts::lite;
use crate::harness::writer::Writer;
use crate::harness::{Random, eventually};

const ACCOUNTS: u64 = 20;
const OPENING: i64 = 1_000;
const SUM: i64 = 2 * ACCOUNTS as i64 * OPENING;
const PAIRS: u64 = 4;
const KILLS_BETWEEN_RESTS: u64 = 25;
const KILLS_OF_A_BANK: u64 = 250;
const LOOK_EVERY: Duration = Duration::from_millis(10);

fn kills() -> u64 {
    let kills = std::env::var("AQUEDUCT_CDC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_u64);
    kills.div_ceil(PAIRS)
}

/// A session with a target, by clients that share no code with the product.
enum Reader {
    Lite(PathBuf),
    Duck(PathBuf),
    Server(Box<Client>),
}

impl Reader {
    /// Single-column rows as text; `None` while the target cannot be read: no table yet, or its one writer is at it.
    fn column(&mut self, sql: &str) -> Option<Vec<String>> {
        match self {
            Self::Lite(path) => Some(lite(path, sql)?.into_iter().flatten().flatten().collect()),
            Self::Duck(path) => duck(path, sql),
            Self::Server(client) => Some(client.run(sql).ok()?.into_iter().flatten().flatten().collect()),
        }
    }

    fn number(&mut self, sql: &str) -> Option<i64> {
        self.column(sql)?.first()?.split('.').next()?.parse().ok()
    }
}

fn duck(path: &PathBuf, sql: &str) -> Option<Vec<String>> {
    let config = duckdb::Config::default().access_mode(duckdb::AccessMode::ReadOnly).ok()?;
    let connection = duckdb::Connection::open_with_flags(path, config).ok()?;
    let mut statement = connection.prepare(&format!("SELECT CAST(x AS VARCHAR) FROM ({sql}) AS q(x)")).ok()?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
    rows.collect::<Result<_, _>>().ok()
}

const SUMS: &str = "SELECT (SELECT sum(balance) FROM a) + (SELECT sum(balance) FROM b)";
const COUNT: &str = "SELECT count(*) FROM journal";

/// What a series of kills came to.
#[derive(Debug, Default)]
struct Tally {
    /// Of this bank.
    transactions: u64,
    /// Of the banks before.
    transactions_before: u64,
    lost: i64,
    doubled: i64,
    looks: u64,
    torn: u64,
    first_rows: Vec<Duration>,
}

/// Looks at the target again and again; counts looks, and those that showed a transaction in parts.
struct Watch {
    end: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
    torn: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn over(mut reader: Reader) -> Self {
        let (end, looks, torn) =
            (Arc::new(AtomicBool::new(false)), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (ended, looked, tore) = (end.clone(), looks.clone(), torn.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if let Some(sum) = reader.number(SUMS) {
                    looked.fetch_add(1, Ordering::Relaxed);
                    tore.fetch_add(u64::from(sum != SUM), Ordering::Relaxed);
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
        });
        Self { end, looks, torn, thread }
    }

    fn end(self) -> (u64, u64) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher does not fail");
        (self.looks.load(Ordering::Relaxed), self.torn.load(Ordering::Relaxed))
    }
}

fn bank(case: &Captured<'_>) {
    for table in ["a", "b"] {
        let values: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {OPENING})")).collect();
        case.sql(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, balance BIGINT NOT NULL)"));
        case.sql(&format!("INSERT INTO {table} VALUES {}", values.join(",")));
    }
    case.sql("CREATE TABLE journal (n BIGINT NOT NULL)");
    if !case.database.server().kind().is_mysql() {
        case.sql("ALTER TABLE journal REPLICA IDENTITY FULL");
    }
}

/// Starts the bank; transfers are numbered from `first` on.
fn open(case: &Captured<'_>, first: u64, seed: u64) -> Writer {
    let mut random = Random(seed);
    Writer::start(case.database.connect(), Duration::from_micros(700), move |client, count| {
        let (from, to, amount) = (random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(20));
        // Now and then a part is rolled back, now and then a row changes twice in one transaction.
        let detour = match random.below(12) {
            0 => format!("UPDATE a SET balance = balance - 1000000 WHERE id = {to}; ROLLBACK; BEGIN"),
            1 => format!(
                "UPDATE a SET balance = balance - 7 WHERE id = {to}; UPDATE a SET balance = balance + 7 WHERE id = {to}"
            ),
            _ => "SELECT 1".to_owned(),
        };
        let n = first + count;
        client.sql(&format!(
            "BEGIN; {detour}; UPDATE a SET balance = balance - {amount} WHERE id = {from}; INSERT INTO journal VALUES ({n});
             UPDATE b SET balance = balance + {amount} WHERE id = {to}; COMMIT"
        ));
    })
}

/// Compares everything, while the bank rests and the flow has caught up.
fn compare(case: &Captured<'_>, target: &mut Reader, tally: &mut Tally) {
    let transactions = tally.transactions as i64;
    let found = target.column("SELECT n FROM journal").unwrap_or_default();
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    found.iter().for_each(|n| *counts.entry(n).or_default() += 1);
    tally.lost += transactions - counts.len() as i64;
    tally.doubled += found.len() as i64 - counts.len() as i64;
    for table in ["a", "b"] {
        // One column, so that every client reads it alike.
        let sql = format!("SELECT id * 100000000 + balance FROM {table}");
        let expected: Vec<String> = case.database.sql(&sql).into_iter().flatten().flatten().collect();
        let sorted = |mut rows: Vec<String>| {
            rows.sort();
            rows
        };
        assert_eq!(
            sorted(target.column(&sql).unwrap_or_default()),
            sorted(expected),
            "{table} differs\n{}",
            case.log()
        );
    }
}

fn torture(name: &str, source: Kind, plugin: &str, target: Option<&Server>) {
    let server = Server::start(source, Options::new());
    let (mut tally, mut random, kills) = (Tally::default(), Random(20_261_122), kills());
    let mut left = kills;
    while left > 0 {
        let of_this_bank = left.min(KILLS_OF_A_BANK);
        let database = target.map(Server::database);
        one_bank(&server, plugin, database.as_ref(), &mut tally, &mut random, of_this_bank);
        left -= of_this_bank;
    }
    let Tally { transactions_before: transactions, lost, doubled, looks, torn, mut first_rows, .. } = tally;
    first_rows.sort();
    let at = |part: usize| first_rows.get((first_rows.len() - 1) * part / 100).map_or(0, Duration::as_millis);
    // Of DuckDB, which is looked at after kills only, it is not known.
    let first = match first_rows.is_empty() {
        true => String::new(),
        false => format!(", first new row after a kill: median {} ms, max {} ms", at(50), at(100)),
    };
    println!(
        "{name}: kills {kills}, transactions {transactions}, lost {lost}, doubled {doubled}, torn {torn} in {looks} looks{first}"
    );
    assert_eq!((lost, doubled, torn), (0, 0, 0), "{name}: lost, doubled, torn");
    assert!(transactions > kills, "the bank was open");
}

/// Opens a bank, and kills the daemon that copies it so many times.
fn one_bank(
    server: &Server,
    plugin: &str,
    target: Option<&Database<'_>>,
    tally: &mut Tally,
    random: &mut Random,
    kills: u64,
) {
    let duck = plugin == "DuckDBOutput";
    let config = match target {
        Some(_) => "url: \"${env:TARGET_URL}\"",
        None if duck => "path: copy.duckdb",
        None => "path: copy.db",
    };
    let mut case = Captured::on(server)
        .sinks(&format!("  - {{ id: copy, plugin: {plugin}, from: origin, config: {{ {config} }} }}"));
    if let Some(database) = target {
        case.set_environment("TARGET_URL", &database.url("cdc"));
    }
    bank(&case);
    let (lite, ducks) = (case.work.file("copy.db"), case.work.file("copy.duckdb"));
    let reader = || match target {
        Some(database) => Reader::Server(Box::new(database.connect())),
        None if duck => Reader::Duck(ducks.clone()),
        None => Reader::Lite(lite.clone()),
    };
    let mut eye = reader();
    first_copy(&mut case, &mut eye, duck);
    let watch = (!duck).then(|| Watch::over(reader()));
    let seed = random.below(u64::MAX);
    let mut writer = open(&case, 0, seed);
    for kill in 1..=kills {
        one_kill(&mut case, &mut eye, tally, random, kill, duck);
        if kill % KILLS_BETWEEN_RESTS == 0 || kill == kills {
            tally.transactions += writer.stop();
            quiesce(&mut case, &mut eye, tally, duck);
            writer = open(&case, tally.transactions, seed ^ kill);
        }
    }
    tally.transactions += writer.stop();
    quiesce(&mut case, &mut eye, tally, duck);
    if let Some(watch) = watch {
        let (looks, torn) = watch.end();
        tally.looks += looks;
        tally.torn += torn;
    }
    tally.transactions_before += std::mem::take(&mut tally.transactions);
}

/// The snapshot: until it is whole, sums mean nothing.
fn first_copy(case: &mut Captured<'_>, eye: &mut Reader, duck: bool) {
    case.start();
    if duck {
        // One process at a time may open the file: it is looked at between two runs.
        let (deadline, mut life) = (Instant::now() + LIMIT, 1_500_000);
        loop {
            park(life);
            case.kill();
            if eye.number(SUMS) == Some(SUM) {
                return;
            }
            assert!(Instant::now() < deadline, "the snapshot is not in the target: {}", case.log());
            life *= 2;
            case.start();
        }
    }
    eventually("the snapshot in the target", LIMIT, || eye.number(SUMS) == Some(SUM) && eye.number(COUNT) == Some(0));
    case.kill();
}

/// A third dies during its recovery, a third soon after, a third once it has moved rows.
fn one_kill(case: &mut Captured<'_>, eye: &mut Reader, tally: &mut Tally, random: &mut Random, kill: u64, duck: bool) {
    let before = eye.number(COUNT);
    let started = Instant::now();
    case.start();
    match kill % 3 {
        0 => park(random.below(120_000)),
        1 => park(random.below(700_000)),
        _ if duck => park(500_000 + random.below(1_000_000)),
        _ => {
            while eye.number(COUNT) <= before {
                let (ended, status) = (case.daemon().has_ended(), case.daemon().status());
                let late = started.elapsed() > LIMIT;
                assert!(!ended && !late, "no new row behind {before:?}: {status:?}\n{}", case.log());
                park(2_000);
            }
            tally.first_rows.push(started.elapsed());
            park(random.below(60_000));
        }
    }
    case.kill();
    if let (true, Some(sum)) = (duck, eye.number(SUMS)) {
        tally.looks += 1;
        tally.torn += u64::from(sum != SUM);
    }
}

fn quiesce(case: &mut Captured<'_>, eye: &mut Reader, tally: &mut Tally, duck: bool) {
    let transactions = tally.transactions as i64;
    if !duck {
        case.start();
        // A signal before it listens ends it at once.
        case.daemon().wait_for_state("running", LIMIT);
        eventually("all transactions in the target", LIMIT, || eye.number(COUNT) >= Some(transactions));
        compare(case, eye, tally);
        case.stop();
        return;
    }
    let deadline = Instant::now() + LIMIT;
    while eye.number(COUNT).unwrap_or_default() < transactions {
        assert!(Instant::now() < deadline, "not all transactions arrive: {}", case.log());
        case.start();
        park(2_000_000);
        case.stop();
    }
    compare(case, eye, tally);
}

fn park(microseconds: u64) {
    let until = Instant::now() + Duration::from_micros(microseconds);
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn mariadb_to_sqlite_killed_at_any_moment() {
    torture("MariaDB → SQLite", Kind::MariaDb, "SQLiteOutput", None);
}

#[test]
fn mariadb_to_postgres_killed_at_any_moment() {
    to_server("MariaDB → PostgreSQL", Kind::MariaDb, "PostgresOutput", Kind::Postgres15);
}

#[test]
fn postgres_to_mysql_killed_at_any_moment() {
    to_server("PostgreSQL → MySQL", Kind::Postgres15, "MySQLOutput", Kind::MySql8);
}

#[test]
fn postgres_to_duckdb_killed_at_any_moment() {
    torture("PostgreSQL → DuckDB", Kind::Postgres15, "DuckDBOutput", None);
}

fn to_server(name: &str, source: Kind, plugin: &str, kind: Kind) {
    torture(name, source, plugin, Some(&Server::start(kind, Options::new())));
}
