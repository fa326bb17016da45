//! Chunks show exactly what they say they show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use aqueduct_test_servers::Options;

use super::*;
use crate::cdc::capture::{Key, KeyRange, Seen, Shown, TableReader};
use crate::mysql::cdc::mark::Sight;

type State = BTreeMap<String, String>;

/// Key and the rest of a row of `t(id, v)`.
fn cells(batch: &Batch, row: usize) -> (String, String) {
    let text = row_text(batch, row);
    let (_, cells) = text.split_once(' ').expect("cells");
    let (id, v) = cells.split_once('|').expect("two columns");
    (id.to_owned(), v.to_owned())
}

/// Applies a row; false when it does not fit what is there.
fn apply(state: &mut State, batch: &Batch, row: usize) -> bool {
    let (id, v) = cells(batch, row);
    match batch.op(row) {
        Op::Insert | Op::UpdateAfter => state.insert(id, v).is_none(),
        Op::UpdateBefore | Op::Delete => state.remove(&id) == Some(v),
    }
}

/// A transaction, and what the two chunks show of it.
struct Told {
    first: Shown,
    second: Shown,
    batches: Vec<Batch>,
}

/// The first chunk's rows, and what came between the chunks: `shown` of the transactions that cannot be told are taken
/// to be in the first chunk and the second.
fn between(before: &State, told: &[Told], shown: (usize, usize)) -> Option<State> {
    let mut state = before.clone();
    let (mut unknown_first, mut unknown_second) = (0, 0);
    for transaction in told {
        let is_shown = |verdict: Shown, seen: &mut usize, limit: usize| match verdict {
            Shown::Yes => true,
            Shown::No => false,
            Shown::Unknown => {
                *seen += 1;
                *seen <= limit
            }
        };
        let first = is_shown(transaction.first, &mut unknown_first, shown.0);
        let second = is_shown(transaction.second, &mut unknown_second, shown.1);
        if !first && second {
            for batch in &transaction.batches {
                if !(0..batch.num_rows()).all(|row| apply(&mut state, batch, row)) {
                    return None;
                }
            }
        }
    }
    Some(state)
}

/// A chunk and then the log behind it give the table, exactly, while others write.
fn chunks_are_exact_on(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = server.database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT seq, 0 FROM (SELECT 1 AS seq) s");
    let values: Vec<String> = (2..=200).map(|id| format!("({id},0)")).collect();
    database.sql(&format!("INSERT INTO t VALUES {}", values.join(",")));
    let (mut system, _) = runtime.block_on(streaming(&database));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3_u32 {
            let (database, stop) = (&database, &stop);
            scope.spawn(move || {
                let mut session = database.connect();
                let mut n = writer * 7;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let id = n % 200 + 1;
                    let statement = match n % 3 {
                        0 => format!("DELETE FROM t WHERE id = {id}"),
                        1 => format!("INSERT IGNORE INTO t VALUES ({id},{n})"),
                        _ => format!("UPDATE t SET v = v + 1 WHERE id = {id}"),
                    };
                    // Gaps between keys are locked, too: two inserts may wait for each other.
                    if let Err(error) = session.run(&statement) {
                        assert_eq!(error.code, "1213", "{error}");
                    }
                }
            });
        }
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(compare_chunks(&mut system, server.kind()));
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
}

async fn compare_chunks(system: &mut MysqlSystem, kind: Kind) {
    let mut reader = system.reader().await.expect("a reader");
    let mut fresh = MysqlSystem::new(system_settings(system));
    fresh.connect().await.expect("connects");
    let table = relations(&mut fresh).await.remove(0);
    let all = KeyRange { after: None, up_to: None };
    let mut exact = 0;
    for round in 0..25 {
        let mark = fresh.end_of_log().await.expect("the end");
        fresh.start(&mark, std::slice::from_ref(&table)).await.expect("starts");
        // A chunk, the log from before it, and another chunk that is compared.
        let (before, seen) = chunk(&mut reader, &table, &all, &mark).await;
        let (after, later) = chunk(&mut reader, &table, &all, &seen.high).await;
        let mut told = Vec::new();
        for item in read_to(&mut fresh, &later.high, true).await {
            let LogItem::Rows { batches, transaction, .. } = item else { continue };
            let verdict = |seen: &Seen<MysqlMark, Sight>| fresh.shown(&seen.sight, &transaction);
            told.push(Told { first: verdict(&seen), second: verdict(&later), batches });
        }
        // What is shown comes before what cannot be told, and that before what is not shown.
        let rank = |shown: Shown| match shown {
            Shown::Yes => 0,
            Shown::Unknown => 1,
            Shown::No => 2,
        };
        assert!(told.is_sorted_by_key(|told| rank(told.first)) && told.is_sorted_by_key(|told| rank(told.second)));
        let unknown = |shown: fn(&Told) -> Shown| told.iter().filter(|told| shown(told) == Shown::Unknown).count();
        let (first, second) = (unknown(|told| told.first), unknown(|told| told.second));
        exact += usize::from(first + second == 0);
        assert!(kind != Kind::MariaDb || first + second == 0, "MariaDB's snapshots are exact");
        let fits = (0..=first)
            .any(|k| (0..=second).any(|l| between(&before, &told, (k, l)).is_some_and(|state| state == after)));
        assert!(fits, "{kind:?} round {round}: {first} and {second} of {} transactions could not be told", told.len());
    }
    eprintln!("{kind:?}: {exact} of 25 chunk pairs could be told exactly");
    fresh.close().await.expect("closes");
}

fn system_settings(system: &MysqlSystem) -> MysqlSettings {
    system.settings().clone()
}

async fn chunk(
    reader: &mut impl TableReader<Mark = MysqlMark, Sight = Sight>,
    table: &Relation,
    range: &KeyRange,
    streamed: &MysqlMark,
) -> (State, Seen<MysqlMark, Sight>) {
    let mut rows = Vec::new();
    let seen = reader.read_chunk(table, range, streamed, &mut rows).await.unwrap_or_else(|error| panic!("{error:?}"));
    let relation = Arc::new(table.clone());
    let mut state = State::new();
    for rows in rows {
        let batch = Batch::inserts(relation.clone(), rows).expect("a batch");
        state.extend((0..batch.num_rows()).map(|row| cells(&batch, row)));
    }
    (state, seen)
}

#[test]
fn chunks_are_exact_under_writers() {
    for kind in KINDS {
        chunks_are_exact_on(server(kind));
    }
}

#[test]
fn chunks_are_exact_without_gtids() {
    let server =
        Server::start(Kind::MySql8, Options::new().config("gtid-mode=OFF").config("enforce-gtid-consistency=OFF"));
    chunks_are_exact_on(&server);
}

/// Cuts a table by its key, reads every range, and compares; asks where keys lie.
async fn ranges_cover(database: &Database<'_>, columns: &str, values: &[&str]) {
    let table = format!(
        "t{}",
        database.number("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()")
    );
    database.sql(&format!("CREATE TABLE {table} ({columns})"));
    database.sql(&format!("SET sql_mode='ALLOW_INVALID_DATES'; INSERT INTO {table} VALUES {}", values.join(",")));
    let mut system = MysqlSystem::new(settings(&database.url("cdc"), &[&format!("{}.{table}", database.name())]));
    system.connect().await.unwrap_or_else(|error| panic!("{error:?}"));
    let relation = relations(&mut system).await.remove(0);
    let mark = system.end_of_log().await.expect("the end");
    let mut reader = system.reader().await.expect("a reader");
    let (mut after, mut read, mut edges): (Option<Key>, Vec<String>, Vec<Key>) = (None, Vec::new(), Vec::new());
    loop {
        let up_to =
            reader.next_edge(&relation, after.as_ref(), 2).await.unwrap_or_else(|error| panic!("{columns}: {error:?}"));
        let range = KeyRange { after: after.clone(), up_to: up_to.clone() };
        let mut rows = Vec::new();
        reader
            .read_chunk(&relation, &range, &mark, &mut rows)
            .await
            .unwrap_or_else(|error| panic!("{columns}: {error:?}"));
        for rows in rows {
            let batch = Batch::inserts(relation.clone(), rows).expect("a batch");
            for row in 0..batch.num_rows() {
                read.push(row_text(&batch, row));
                let key = batch.rows().project(relation.key()).expect("the key").slice(row, 1);
                if let Some(edge) = &up_to {
                    assert_eq!(reader.is_at_most(&relation, &key, edge).await.expect("compares"), [true], "{columns}");
                }
                if let Some(edge) = &after {
                    assert_eq!(
                        reader.is_at_most(&relation, &key, edge).await.expect("compares"),
                        [false],
                        "{columns}: {key:?} behind {edge:?}"
                    );
                }
            }
        }
        let Some(edge) = up_to else { break };
        edges.push(edge.clone());
        after = Some(edge);
    }
    assert_eq!(read.len(), values.len(), "{columns}: {read:?}");
    read.sort();
    read.dedup();
    assert_eq!(read.len(), values.len(), "{columns}: every row once");
    assert!(edges.len() >= values.len() / 2 - 1, "{columns}: {} edges", edges.len());
    system.close().await.expect("closes");
}

#[tokio::test]
async fn every_kind_of_key_is_cut_into_ranges() {
    for kind in KINDS {
        let database = server(kind).database();
        for (columns, values) in [
            (
                "id bigint unsigned PRIMARY KEY",
                &["(0)", "(1)", "(9223372036854775808)", "(18446744073709551615)", "(7)"][..],
            ),
            ("id int PRIMARY KEY", &["(-5)", "(0)", "(1000000000)", "(-2147483648)", "(3)"][..]),
            (
                "k varchar(20) CHARACTER SET utf8mb4 PRIMARY KEY",
                &["('a')", "('B')", "('äb')", "('Z')", "('z9')", "('é x')", "('😀')"][..],
            ),
            ("k varchar(20) COLLATE utf8mb4_bin PRIMARY KEY", &["('a')", "('B')", "('A')", "('b')", "('z')"][..]),
            ("k varchar(20) CHARACTER SET latin1 PRIMARY KEY", &["('a')", "('B')", "('ä')", "('ÿ')", "('c')"][..]),
            ("k char(5) CHARACTER SET utf8mb4 PRIMARY KEY", &["('a')", "('b ')", "('B2')", "('')", "('c')"][..]),
            ("k varbinary(9) PRIMARY KEY", &["(x'00')", "(x'ff00')", "(x'ff')", "(x'80')", "(x'')"][..]),
            ("k binary(4) PRIMARY KEY", &["(x'00')", "(x'ff00')", "(x'01020304')", "(x'80')", "(x'7f')"][..]),
            (
                "d decimal(40,5) PRIMARY KEY",
                &["(1.5)", "(-1.5)", "(99999999999999999999999999999.00001)", "(0)", "(0.00001)"][..],
            ),
            (
                "d date PRIMARY KEY",
                &["('2024-01-01')", "('1000-01-01')", "('9999-12-31')", "('2024-02-29')", "('1970-01-01')"][..],
            ),
            (
                "d datetime(6) PRIMARY KEY",
                &[
                    "('2024-01-01 00:00:00.000001')",
                    "('2024-01-01')",
                    "('1500-06-01 10:00:00')",
                    "('2024-01-01 00:00:00.000002')",
                    "('2030-01-01')",
                ][..],
            ),
            (
                "d timestamp(3) PRIMARY KEY",
                &[
                    "('2024-01-01 00:00:00.001')",
                    "('2024-01-01')",
                    "('2037-01-01')",
                    "('1971-01-01')",
                    "('2024-07-01')",
                ][..],
            ),
            (
                "d time PRIMARY KEY",
                &["('-838:59:59')", "('00:00:00')", "('838:59:59')", "('-00:00:01')", "('10:00')"][..],
            ),
            ("e enum('z','b','a') PRIMARY KEY", &["('a')", "('b')", "('z')"][..]),
            ("b bit(10) PRIMARY KEY", &["(0)", "(1)", "(1023)", "(512)", "(7)"][..]),
            ("y year PRIMARY KEY", &["(1901)", "(2155)", "(2024)", "(0)", "(1970)"][..]),
            (
                "a int, k varchar(9), d date, PRIMARY KEY (k, a, d)",
                &[
                    "(1,'x','2024-01-01')",
                    "(2,'x','2024-01-01')",
                    "(1,'X2','2024-01-01')",
                    "(1,'x','2024-01-02')",
                    "(0,'a','2024-01-01')",
                ][..],
            ),
        ] {
            ranges_cover(&database, columns, values).await;
        }
        if kind == Kind::MariaDb {
            for (columns, values) in [
                (
                    "u uuid PRIMARY KEY",
                    &[
                        "('00000000-0000-0000-0000-000000000001')",
                        "('ffffffff-ffff-ffff-ffff-ffffffffffff')",
                        "('123e4567-e89b-12d3-a456-426655440000')",
                        "('123e4567-e89b-12d3-a456-426655440001')",
                    ][..],
                ),
                ("i inet6 PRIMARY KEY", &["('::1')", "('ff02::1')", "('::ffff:1.2.3.4')", "('2001:db8::')"][..]),
            ] {
                ranges_cover(&database, columns, values).await;
            }
        }
    }
}

#[tokio::test]
async fn a_chunk_of_a_changed_table_says_so() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1,1)");
        let (mut system, mark) = streaming(&database).await;
        let relation = relations(&mut system).await.remove(0);
        let mut reader = system.reader().await.expect("a reader");
        let all = KeyRange { after: None, up_to: None };
        for change in ["ALTER TABLE t ADD COLUMN w int", "ALTER TABLE t DROP COLUMN v", "DROP TABLE t"] {
            database.sql(change);
            let error = reader.read_chunk(&relation, &all, &mark, &mut Vec::new()).await.expect_err(change);
            assert_eq!(error.kind(), aqueduct_model::ErrorKind::Schema, "{kind:?} {change}: {error:?}");
        }
        system.close().await.expect("closes");
    }
}
