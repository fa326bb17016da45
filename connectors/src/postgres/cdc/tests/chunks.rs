//! Chunks show exactly what they say they show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int32Array, RecordBatch};

use super::*;
use crate::cdc::capture::{Key, KeyRange, Shown, TableReader};

type State = BTreeMap<String, String>;

fn apply(state: &mut State, batch: &Batch, row: usize) {
    let text = row_text(batch, row);
    let (id, v) = text
        .split_once(' ')
        .and_then(|(_, rest)| rest.split_once(' '))
        .and_then(|(_, cells)| cells.split_once('|'))
        .expect("cells");
    match batch.op(row) {
        Op::Insert => assert!(state.insert(id.to_owned(), v.to_owned()).is_none(), "{id} was there before its insert"),
        Op::UpdateBefore | Op::Delete => assert_eq!(state.remove(id).as_deref(), Some(v), "{id} was another row"),
        Op::UpdateAfter => {
            assert!(state.insert(id.to_owned(), v.to_owned()).is_none(), "{id} was there before its update")
        }
    }
}

/// Others that write until they are told to stop.
struct Writers {
    stop: AtomicBool,
    writing: AtomicUsize,
}

impl Writers {
    const COUNT: usize = 3;

    /// Has them stop, and waits for the last statement of each.
    async fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        while self.writing.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn write(&self, database: &Database<'_>, first: usize) {
        let mut session = database.connect();
        let mut n = first;
        while !self.stop.load(Ordering::Acquire) {
            n += 1;
            let id = n % 200 + 1;
            session.sql(&match n % 4 {
                0 => format!("DELETE FROM t WHERE id = {id}"),
                1 => format!("INSERT INTO t VALUES ({id},{n}) ON CONFLICT DO NOTHING"),
                2 => format!("BEGIN; UPDATE t SET v = v + 1 WHERE id = {id}; SAVEPOINT s; DELETE FROM t WHERE id = {id}; ROLLBACK TO s; COMMIT"),
                _ => format!("UPDATE t SET v = v + 1 WHERE id = {id}"),
            });
        }
        self.writing.fetch_sub(1, Ordering::Release);
    }
}

/// A chunk and then the log behind it give the table, exactly, while others write.
async fn compare(capture: &mut Capture, database: &Database<'_>, writers: &Writers) {
    let tables = relations(&mut capture.system).await;
    let table = tables[0].clone();
    let mut reader = capture.system.reader().await.expect("a reader");
    let mut chunks = Vec::new();
    for _ in 0..20 {
        let mut rows: Vec<RecordBatch> = Vec::new();
        let whole = KeyRange { after: None, up_to: None };
        let seen = reader
            .read_chunk(&table, &whole, &capture.begin, &mut rows)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        let mut state = State::new();
        for rows in rows {
            let batch = Batch::inserts(table.clone(), rows).expect("a batch");
            (0..batch.num_rows()).for_each(|row| apply(&mut state, &batch, row));
        }
        chunks.push((seen, state));
    }
    writers.stop().await;
    let end = chunks.last().expect("a chunk").0.high.clone();
    let items = read_to(&mut capture.system, &end, true).await;
    let rest = capture.system.end_of_log().await.expect("the end");
    let rest = read_to(&mut capture.system, &rest, true).await;
    let mut dropped = 0;
    for (seen, mut state) in chunks {
        let mut is_behind = false;
        for item in items.iter().chain(&rest) {
            if let LogItem::Rows { batches, transaction, .. } = item {
                let shown = capture.system.shown(&seen.sight, transaction);
                assert!(shown == Shown::No || !is_behind, "nothing behind the high mark is shown");
                for batch in batches {
                    match shown {
                        Shown::Yes => dropped += batch.num_rows(),
                        Shown::No => (0..batch.num_rows()).for_each(|row| apply(&mut state, batch, row)),
                        Shown::Unknown => panic!("PostgreSQL always knows"),
                    }
                }
            }
            is_behind |= boundary(item).is_some_and(|mark| capture.system.reached(mark, &seen.high));
        }
        let text = state.iter().map(|(id, v)| format!("{id}={v}")).collect::<Vec<_>>().join(",");
        let sql = "SELECT coalesce(string_agg(id || '=' || v, ',' ORDER BY id::text COLLATE \"C\"), '') FROM t";
        assert_eq!(text, database.text(sql));
    }
    assert!(dropped > 0, "the writers were too slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_002_to_005_chunks_are_exact_under_writers() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL");
        database.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i");
        let mut capture = Capture::begin(settings(&database, "chunks")).await;
        let writers = Writers { stop: AtomicBool::new(false), writing: AtomicUsize::new(Writers::COUNT) };
        let handle = tokio::runtime::Handle::current();
        std::thread::scope(|scope| {
            for writer in 0..Writers::COUNT {
                let (database, writers) = (&database, &writers);
                scope.spawn(move || writers.write(database, writer * 7));
            }
            let run = || tokio::task::block_in_place(|| handle.block_on(compare(&mut capture, &database, &writers)));
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            writers.stop.store(true, Ordering::Release);
            checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_016_a_transaction_that_is_open_when_a_table_is_added_is_not_lost() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "added")).await;
        database.sql("CREATE TABLE b (id int PRIMARY KEY)");
        let mut session = database.connect();
        session.sql("BEGIN; INSERT INTO b VALUES (1)");
        let tables = relations(&mut capture.system).await;
        capture.system.add_table(tables[1].clone()).await.unwrap_or_else(|error| panic!("{error:?}"));
        session.sql("INSERT INTO b VALUES (2)");
        let mut reader = capture.system.reader().await.expect("a reader");
        let (mut rows, begin) = (Vec::<RecordBatch>::new(), capture.begin.clone());
        let table = tables[1].clone();
        let reading = tokio::spawn(async move {
            let whole = KeyRange { after: None, up_to: None };
            let seen = reader.read_chunk(&table, &whole, &begin, &mut rows).await.expect("a chunk");
            (seen, rows)
        });
        database.sql("INSERT INTO a VALUES (1); INSERT INTO b VALUES (3)");
        assert!(!reading.is_finished(), "it waits for the open transaction");
        session.sql("COMMIT");
        let (seen, rows) = reading.await.expect("a reader");
        let mut ids: Vec<i32> = rows
            .iter()
            .flat_map(|rows| rows.column(0).as_any().downcast_ref::<Int32Array>().expect("ids").values().to_vec())
            .collect();
        for item in capture.read().await {
            if let LogItem::Rows { batches, transaction, .. } = item {
                assert!(
                    batches.iter().all(|batch| batch.relation().name().table == "a")
                        || capture.system.shown(&seen.sight, &transaction) == Shown::Yes
                );
            }
        }
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3]);
        database.sql("INSERT INTO b VALUES (4)");
        assert_eq!(capture.texts().await, ["b + 4"]);
        capture.end().await;
    })
    .await;
}

/// All keys of a table, in chunks of two rows, and how `is_at_most` sees them.
async fn chunked(capture: &mut Capture, table: &Arc<Relation>) -> Vec<Vec<String>> {
    let mut reader = capture.system.reader().await.expect("a reader");
    let mut after: Option<Key> = None;
    let mut chunks = Vec::new();
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let edge = reader.next_edge(table, after.as_ref(), 2).await.unwrap_or_else(|error| panic!("{error:?}"));
        let range = KeyRange { after: after.clone(), up_to: edge.clone() };
        let mut rows: Vec<RecordBatch> = Vec::new();
        reader.read_chunk(table, &range, &capture.begin, &mut rows).await.unwrap_or_else(|error| panic!("{error:?}"));
        let mut texts = Vec::new();
        for rows in rows {
            for row in 0..rows.num_rows() {
                let key: Vec<ArrayRef> = table.key().iter().map(|&column| rows.column(column).slice(row, 1)).collect();
                let schema = Arc::new(table.columns().project(table.key()).expect("a key"));
                keys.push(RecordBatch::try_new(schema, key).expect("a key"));
            }
            let batch = Batch::inserts(table.clone(), rows).expect("a batch");
            texts.extend((0..batch.num_rows()).map(|row| row_text(&batch, row)));
        }
        chunks.push(texts);
        after = edge;
        let Some(edge) = &after else { break };
        let schema = keys[0].schema();
        let all = arrow::compute::concat_batches(&schema, &keys).expect("keys");
        let at_most = reader.is_at_most(table, &all, edge).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(at_most.iter().all(|is| *is), "what came so far is at most the edge");
    }
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn case_009_010_keys_of_every_type_in_the_databases_order() {
    on_all(async |server| {
        let database = server.database();
        // Not every build of the server has ICU.
        let has_icu = database.text("SELECT count(*) FROM pg_collation WHERE collname = 'und-x-icu'") == "1";
        let text_key = if has_icu { "text COLLATE \"und-x-icu\"" } else { "text COLLATE \"C\"" };
        for (name, key, values) in [
            ("int8", "bigint", "(-9223372036854775808),(-1),(0),(1000000000000),(9223372036854775807)"),
            ("num", "numeric(30,5)", "(-1.5),(0),(0.00001),(9999999999999999999999999.99999),(1)"),
            ("dat", "date", "('0044-03-15 BC'),('1969-12-31'),('2024-02-29'),('5874897-12-31'),('1970-01-01')"),
            ("tstz", "timestamptz", "('0001-01-01 BC'),('2024-10-27 00:30:00.123456+00'),('2024-10-27 01:30+00'),('1900-01-01'),('2038-01-19')"),
            ("uid", "uuid", "('ffffffff-0000-0000-0000-000000000000'),('00000000-0000-0000-0000-000000000001'),('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),('80000000-0000-0000-0000-000000000000'),('7fffffff-0000-0000-0000-000000000000')"),
            ("txt", text_key, "('a'),('B'),('b'),('Ä'),('z''\\')"),
            ("byt", "bytea", "('\\x00'),('\\xff'),('\\x7f'),('\\x80'),('')"),
            ("flo", "float8", "('NaN'),('-Infinity'),(0),('Infinity'),(-1.5e-300)"),
            ("boo", "\"char\"", "('a'),('b'),('c'),('D'),('E')"),
        ] {
            database.sql(&format!("CREATE TABLE k_{name} (k {key} PRIMARY KEY); INSERT INTO k_{name} VALUES {values}"));
        }
        database.sql(
            "CREATE TABLE z_two (v int, b text, a int, PRIMARY KEY (a, b));
             INSERT INTO z_two SELECT i, chr(97 + i % 3), i / 3 FROM generate_series(1, 5) i",
        );
        let mut capture = Capture::begin(settings(&database, "keys")).await;
        for table in relations(&mut capture.system).await {
            let chunks = chunked(&mut capture, &table).await;
            assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1], "{}", table.name());
        }
        let native: Vec<bool> = capture.system.tables().await.expect("tables").iter().map(|table| table.native_key_order).collect();
        // boo byt dat flo int8 num tstz txt uid two(text by the database's own collation)
        assert_eq!(native, [false, true, true, false, true, true, true, !has_icu, true, false]);
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_a_table_that_is_gone_says_so() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let mut capture = Capture::begin(settings(&database, "gone")).await;
    let table = relations(&mut capture.system).await[0].clone();
    let mut reader = capture.system.reader().await.expect("a reader");
    let whole = KeyRange { after: None, up_to: None };
    for change in ["ALTER TABLE t ALTER v TYPE text", "ALTER TABLE t DROP COLUMN v", "DROP TABLE t"] {
        database.sql(change);
        let mut rows: Vec<RecordBatch> = Vec::new();
        let result = reader.read_chunk(&table, &whole, &capture.begin, &mut rows).await;
        assert_eq!(result.expect_err(change).kind(), aqueduct_model::ErrorKind::Schema, "{change}");
    }
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v int)");
    let mut rows: Vec<RecordBatch> = Vec::new();
    reader.read_chunk(&table, &whole, &capture.begin, &mut rows).await.expect("the session is still of use");
    capture.end().await;
}
