//! `aqueduct verify` between servers: what the flow wrote is equal by value whatever the two types are, what someone
//! else did to the target is found by key and column and mended, all while the source is being written. Tables whose
//! values every system writes as the others do are compared by checksums of the systems' own: no row of them moves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aqueduct_test_servers::{Database, Kind, Options, Server, shared};

use crate::harness::Finished;
use crate::harness::captured::Captured;
use crate::harness::writer::Writer;

/// Where the rows go.
enum Copy<'a> {
    Server(Database<'a>),
    Lite(PathBuf),
    Duck(PathBuf),
}

impl Copy<'_> {
    fn run(&self, sql: &str) {
        match self {
            Self::Server(database) => drop(database.sql(sql)),
            Self::Lite(path) => rusqlite::Connection::open(path).expect("a file").execute_batch(sql).expect(sql),
            Self::Duck(path) => duckdb::Connection::open(path).expect("a file").execute_batch(sql).expect(sql),
        }
    }

    /// The daemon has the file for itself.
    fn is_exclusive(&self) -> bool {
        matches!(self, Self::Duck(_))
    }
}

const MYSQL_TYPES: &str = "CREATE TABLE kinds (id INT PRIMARY KEY, tiny TINYINT, flag TINYINT(1), medium MEDIUMINT UNSIGNED,
    huge BIGINT UNSIGNED, exact DECIMAL(20,4), wide DECIMAL(60,10), f FLOAT, d DOUBLE, bit1 BIT(1), bit9 BIT(9), day DATE,
    dt DATETIME(6), dt0 DATETIME, ts TIMESTAMP(3) NULL, t TIME(6), y YEAR, name VARCHAR(40), fixed CHAR(5),
    latin VARCHAR(20) CHARACTER SET latin1, body TEXT, e ENUM('a','b''c'), s SET('x','y','z'), bin BINARY(4),
    var VARBINARY(9), bytes BLOB, doc JSON)";

const MYSQL_VALUES: &[&str] = &[
    "-128, 2, 16777215, 18446744073709551615, -1234567890123456.7891, 12345678901234567890123456789012345678901234567890.0123456789, 1.1, 0.1, 1, 257, '1000-01-01', '9999-12-31 23:59:59.999999', '2024-02-29 00:00:00', '2038-01-19 03:14:07.999', '838:59:59.000000', 2155, 'ünï 表', 'ab', 'é', 'long\\nline', 'b''c', 'x,z', x'00ff0000', x'00', x'c3', '{\"b\": [1, 2.50, 1e2], \"a\": {\"ü\": null}}'",
    "127, 0, 0, 0, 0.0001, -0.0000000001, -3.4e38, -0.0, 0, 0, '2024-02-29', '1000-01-01 00:00:00.000001', '1999-12-31 23:59:59', '1970-01-01 00:00:01', '-838:59:59', 1901, '', '', '', '', 'a', '', x'', x'', x'', '[]'",
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
];

const POSTGRES_TYPES: &str =
    "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE kinds (id INT PRIMARY KEY, flag BOOLEAN,
    small SMALLINT, big BIGINT, exact NUMERIC(20,4), wide NUMERIC(50,10), any_n NUMERIC, r REAL, d DOUBLE PRECISION,
    day DATE, ts TIMESTAMP, tz TIMESTAMPTZ, t TIME, tt TIMETZ, i INTERVAL, name VARCHAR(40), fixed CHAR(5), body TEXT,
    bytes BYTEA, u UUID, j JSON, jb JSONB, m mood, list INT[], net INET, bits BIT(3), money_v MONEY)";

const POSTGRES_VALUES: &[&str] = &[
    "true, -32768, 9223372036854775807, -1234567890123456.7891, 1234567890123456789012345678901234567890.0123456789, 1e-30, 1.1, 0.1, '1000-01-01', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00.5+03', '23:59:59.999999', '10:00:00+02', '1 year 2 days 03:04:05', 'ünï 表', 'ab', E'long\\nline', '\\x00ff', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"b\": [1, 2.50, 1e2],  \"a\": 1}', '{\"b\": [1, 2.50, 1e2], \"a\": {\"ü\": null}}', 'ok', '{1,NULL,3}', '10.0.0.1/8', B'101', 12.5",
    "false, 0, -1, 0.0001, -0.0000000001, 123456789.000, -3.4e38, '-0', '2024-02-29', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:00+00', '00:00:00', '00:00:00-12', '0', '', '', '', '', '00000000-0000-0000-0000-000000000000', '[]', '[]', 'sad', '{}', '::1', B'000', 0",
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
];

fn create(case: &Captured<'_>, is_mysql: bool) {
    let (types, values) = if is_mysql { (MYSQL_TYPES, MYSQL_VALUES) } else { (POSTGRES_TYPES, POSTGRES_VALUES) };
    case.sql(types);
    insert(case, values, 0);
    case.sql("CREATE TABLE items (id BIGINT PRIMARY KEY, v VARCHAR(40), w VARCHAR(40))");
    let rows: Vec<String> = (0..500).map(|id| format!("({id}, 'v{id}', 'w')")).collect();
    case.sql(&format!("INSERT INTO items VALUES {}", rows.join(",")));
    case.sql("CREATE TABLE log (n BIGINT, line VARCHAR(40))");
    if !is_mysql {
        case.sql("ALTER TABLE log REPLICA IDENTITY FULL; ALTER TABLE items REPLICA IDENTITY FULL");
    }
    case.sql("INSERT INTO log VALUES (1, 'same'), (1, 'same'), (2, 'other')");
}

fn insert(case: &Captured<'_>, values: &[&str], first: usize) {
    for (i, row) in values.iter().enumerate() {
        case.sql(&format!("INSERT INTO kinds VALUES ({}, {row})", first + i));
    }
}

fn verify(case: &Captured<'_>, more: &[&str]) -> Finished {
    let mut arguments = vec!["verify", "flow.yaml", "--state", "state"];
    arguments.extend(more);
    case.command(&arguments)
}

#[track_caller]
fn is_equal(case: &Captured<'_>) {
    let verified = verify(case, &[]);
    assert_eq!(verified.code, Some(0), "{}{}\n{}", verified.stdout, verified.stderr, case.log());
    assert!(verified.stdout.contains("0 missing, 0 extra, 0 different"), "{}", verified.stdout);
    for table in ["kinds", "items", "log", "zz_marker"] {
        assert!(verified.stdout.contains(table), "{table} is not in {}", verified.stdout);
    }
}

/// Both are equal; how each table was compared, and how many rows were read for it.
#[track_caller]
fn compared(case: &Captured<'_>, more: &[&str]) -> BTreeMap<String, (String, u64)> {
    let verified = verify(case, &[&["--json"], more].concat());
    assert_eq!(verified.code, Some(0), "{}{}\n{}", verified.stdout, verified.stderr, case.log());
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).expect("JSON");
    let of = |table: &serde_json::Value| {
        let text = |name: &str| table[name].as_str().expect("a text").to_owned();
        let name = text("table");
        let name = name.rsplit('.').next().expect("a name").to_owned();
        (name, (text("compared_by"), table["rows_read"].as_u64().expect("a number")))
    };
    report["tables"].as_array().expect("tables").iter().map(of).collect()
}

/// Which tables were compared by checksums, the others by rows.
#[track_caller]
fn by_checksums(case: &Captured<'_>, expected: &[&str]) {
    let found = compared(case, &[]);
    let by = |kind: &str| -> Vec<&str> {
        found.iter().filter(|(_, (by, _))| by == kind).map(|(table, _)| table.as_str()).collect()
    };
    assert_eq!(by("checksum"), expected, "{found:?}");
    assert!(found.values().all(|(by, rows_read)| by == "rows" || *rows_read == 0), "{found:?}");
}

/// Changes, removes and adds rows in the target.
fn damage(case: &mut Captured<'_>, copy: &Copy<'_>) {
    if copy.is_exclusive() {
        case.stop();
    }
    copy.run("UPDATE items SET w = 'damaged' WHERE id = 3");
    copy.run("DELETE FROM items WHERE id = 7");
    copy.run("INSERT INTO items (id, v, w) VALUES (900000, 'extra', 'w')");
    copy.run("DELETE FROM log WHERE n = 2");
    copy.run("INSERT INTO log VALUES (1, 'same')");
    if copy.is_exclusive() {
        case.start();
    }
}

fn between(source: Kind, plugin: &str, copy: impl FnOnce(&mut Captured<'static>) -> Copy<'static>) {
    let mut case = Captured::on(shared(source));
    let is_mysql = source.is_mysql();
    create(&case, is_mysql);
    let copy = copy(&mut case);
    let config = match &copy {
        Copy::Server(database) => {
            case.set_environment("TARGET_URL", &database.url("cdc"));
            "url: \"${env:TARGET_URL}\""
        }
        Copy::Lite(_) => "path: copy.db",
        Copy::Duck(_) => "path: copy.duckdb",
    };
    case = case.sinks(&format!("  - {{ id: copy, plugin: {plugin}, from: origin, config: {{ {config} }} }}"));
    case.start();
    is_equal(&case);
    by_checksums(&case, &["items", "log", "zz_marker"]);
    let by_rows = compared(&case, &["--rows"]);
    assert!(by_rows.values().all(|(by, _)| by == "rows") && by_rows["items"].1 == 1_000, "{by_rows:?}");
    insert(&case, if is_mysql { MYSQL_VALUES } else { POSTGRES_VALUES }, 10);
    case.sql("UPDATE kinds SET id = id + 100 WHERE id = 1; DELETE FROM kinds WHERE id = 11");
    case.sql("DELETE FROM log WHERE n = 2; INSERT INTO log VALUES (2, 'other'), (3, NULL)");
    is_equal(&case);

    let churned = case.database.connect();
    let writer = Writer::start(churned, Duration::from_millis(3), |client, count| {
        let id = 100 + count % 300;
        let sql = match count % 4 {
            0 => format!("UPDATE items SET v = 'u{count}' WHERE id = {id}"),
            1 => format!("DELETE FROM items WHERE id = {id}"),
            2 => format!("INSERT INTO items VALUES ({}, 'i{count}', 'w')", 1_000 + count),
            _ => format!("UPDATE items SET id = id + 100000 WHERE id = {id}"),
        };
        // A key that is taken.
        let _ = client.run(&sql);
    });
    is_equal(&case);
    by_checksums(&case, &["items", "log", "zz_marker"]);
    damage(&mut case, &copy);
    let found = verify(&case, &["--json"]);
    assert_eq!(found.code, Some(1), "{}{}\n{}", found.stdout, found.stderr, case.log());
    for key in [
        r#"{"difference":"different","key":"id=3","columns":["w"]}"#,
        r#"{"difference":"missing","key":"id=7","columns":[]}"#,
        r#"{"difference":"extra","key":"id=900000","columns":[]}"#,
        r#""key":"n=2 line=other""#,
        r#""key":"n=1 line=same""#,
    ] {
        assert!(found.stdout.contains(key), "{key} is not in {}", found.stdout);
    }
    assert_eq!(found.stdout.matches(r#""difference":"#).count(), 5, "{}", found.stdout);
    let mended = verify(&case, &["--repair"]);
    assert_eq!(mended.code, Some(0), "{}{}\n{}", mended.stdout, mended.stderr, case.log());
    is_equal(&case);
    assert!(writer.stop() > 20, "it was written all the while");
    is_equal(&case);
    case.stop();
}

#[test]
fn mariadb_and_postgres() {
    between(Kind::MariaDb, "PostgresOutput", |_| Copy::Server(shared(Kind::Postgres15).database()));
}

#[test]
fn postgres_and_mysql() {
    between(Kind::Postgres15, "MySQLOutput", |_| Copy::Server(shared(Kind::MySql8).database()));
}

#[test]
fn mariadb_and_sqlite() {
    between(Kind::MariaDb, "SQLiteOutput", |case| Copy::Lite(case.work.file("copy.db")));
}

#[test]
fn postgres_and_duckdb() {
    between(Kind::Postgres15, "DuckDBOutput", |case| Copy::Duck(case.work.file("copy.duckdb")));
}

/// The server itself counts what it sends.
#[test]
fn rows_stay_where_they_are() {
    let server = Server::start(Kind::MariaDb, Options::default());
    let mut case = Captured::on(&server);
    case.sql("CREATE TABLE large (id INT PRIMARY KEY, v VARCHAR(2000))");
    let rows: Vec<String> = (0..2_000).map(|id| format!("({id}, REPEAT('x', 1000))")).collect();
    case.sql(&format!("INSERT INTO large VALUES {}", rows.join(",")));
    case.start();
    case.settle();
    let sent = |more: &[&str]| {
        let count = || {
            let rows = case.database.sql("SHOW GLOBAL STATUS LIKE 'Bytes_sent'");
            rows[0][1].as_ref().expect("a number").parse::<u64>().expect("a number")
        };
        let before = count();
        let found = compared(&case, more);
        (found["large"].clone(), count() - before)
    };
    let ((by, rows), bytes) = sent(&[]);
    assert_eq!((by.as_str(), rows), ("checksum", 0));
    assert!(bytes < 500_000, "{bytes} bytes");
    let ((by, rows), bytes) = sent(&["--rows"]);
    assert_eq!((by.as_str(), rows), ("rows", 4_000));
    assert!(bytes > 2_000_000, "{bytes} bytes");
    case.stop();
}

/// Changed rows of which the log tells the new values only cannot be taken out of a sum: rows are compared.
#[test]
fn a_log_without_old_rows_leads_to_rows() {
    let mut case = Captured::on(shared(Kind::Postgres15));
    case.sql("CREATE TABLE items (id BIGINT PRIMARY KEY, v VARCHAR(40)); CREATE TABLE quiet (id INT PRIMARY KEY)");
    let rows: Vec<String> = (0..500).map(|id| format!("({id}, 'v{id}')")).collect();
    case.sql(&format!("INSERT INTO items VALUES {}; INSERT INTO quiet VALUES (1)", rows.join(",")));
    case.start();
    case.settle();
    let churned = case.database.connect();
    let writer = Writer::start(churned, Duration::from_millis(1), |client, count| {
        client.run(&format!("UPDATE items SET v = 'u{count}' WHERE id = {}", count % 500)).expect("an update");
    });
    by_checksums(&case, &["quiet", "zz_marker"]);
    assert!(writer.stop() > 20, "it was written all the while");
    by_checksums(&case, &["items", "quiet", "zz_marker"]);
    case.stop();
}
