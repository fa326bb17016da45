//! Every kind of change, every kind of identity, every type.

use arrow::array::RecordBatch;

use super::*;
use crate::cdc::capture::{KeyRange, TableReader};

#[tokio::test(flavor = "multi_thread")]
async fn case_018_021_changes_under_every_identity() {
    on_all(async |server| {
        let database = server.database();
        database.sql(
            "CREATE TABLE a_default (id int PRIMARY KEY, v text);
             CREATE TABLE b_full (id int PRIMARY KEY, v text); ALTER TABLE b_full REPLICA IDENTITY FULL;
             CREATE TABLE c_index (id int, code text NOT NULL, v text); CREATE UNIQUE INDEX c_code ON c_index (code);
             ALTER TABLE c_index REPLICA IDENTITY USING INDEX c_code;
             CREATE TABLE d_keyless (v text); ALTER TABLE d_keyless REPLICA IDENTITY FULL;",
        );
        let mut capture = Capture::begin(settings(&database, "identities")).await;
        let keys: Vec<_> = relations(&mut capture.system).await.iter().map(|table| table.key_names().join(",")).collect();
        assert_eq!(keys, ["id", "id", "code", ""]);
        database.sql(
            "INSERT INTO a_default VALUES (1,'x'),(2,NULL); UPDATE a_default SET v='y' WHERE id=1;
             UPDATE a_default SET id=3 WHERE id=1; DELETE FROM a_default WHERE id=2",
        );
        assert_eq!(
            capture.texts().await,
            ["a_default + 1|x", "a_default + 2|-", "a_default > 1|y", "a_default - 1|~", "a_default + 3|y", "a_default - 2|~"]
        );
        database.sql(
            "INSERT INTO b_full VALUES (1,'x'); UPDATE b_full SET v='y'; UPDATE b_full SET id=3; DELETE FROM b_full",
        );
        assert_eq!(
            capture.texts().await,
            ["b_full + 1|x", "b_full < 1|x", "b_full > 1|y", "b_full < 1|y", "b_full > 3|y", "b_full - 3|y"]
        );
        database.sql(
            "INSERT INTO c_index VALUES (1,'k','x'); UPDATE c_index SET v='y'; UPDATE c_index SET code='l'; DELETE FROM c_index",
        );
        assert_eq!(
            capture.texts().await,
            ["c_index + 1|k|x", "c_index > 1|k|y", "c_index - ~|k|~", "c_index + 1|l|y", "c_index - ~|l|~"]
        );
        database.sql("INSERT INTO d_keyless VALUES ('x'),('x'); DELETE FROM d_keyless WHERE ctid = '(0,1)'");
        assert_eq!(capture.texts().await, ["d_keyless + x", "d_keyless + x", "d_keyless - x"]);
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_047_values_stored_apart_and_not_touched_are_absent() {
    on_all(async |server| {
        let database = server.database();
        let large = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)";
        for identity in ["DEFAULT", "FULL"] {
            let table = format!("t_{}", identity.to_lowercase());
            database.sql(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, n int, large text);
                 ALTER TABLE {table} ALTER large SET STORAGE EXTERNAL; ALTER TABLE {table} REPLICA IDENTITY {identity};
                 INSERT INTO {table} VALUES (1, 1, {large})"
            ));
        }
        let mut capture = Capture::begin(settings(&database, "toast")).await;
        database.sql("UPDATE t_default SET n = 2; UPDATE t_default SET id = 5; UPDATE t_default SET large = NULL");
        assert_eq!(
            capture.texts().await,
            ["t_default > 1|2|~", "t_default < 1|~|~", "t_default > 5|2|~", "t_default > 5|2|-"]
        );
        database.sql("UPDATE t_full SET n = 2");
        let texts = capture.texts().await;
        let large = database.text("SELECT large FROM t_full");
        assert_eq!(texts, [format!("t_full < 1|1|{large}"), format!("t_full > 1|2|{large}")]);
        capture.end().await;
    })
    .await;
}

const TYPES: &str = "
    CREATE TYPE colour AS ENUM ('red', 'gr''een'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN price AS numeric(10,2);
    CREATE DOMAIN dear AS price CHECK (VALUE > 1);
    CREATE TABLE t (id int PRIMARY KEY, b bool, i2 int2, i8 int8, o oid, f4 float4, f8 float8, n numeric(38,10),
        nn numeric(76,20), free numeric, p price, pp dear, m money, t text, c char(5), vc varchar(9), bt bytea, d date, ti time,
        tz timetz, ts timestamp(3), tstz timestamptz, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], r int4range,
        e colour, ea colour[], co pair, ine inet, ci cidr, mac macaddr, bi bit(5), vb varbit, tv tsvector, pt point,
        lsn pg_lsn, reg regclass, neg numeric(5,-2))";
const VALUES: [&str; 3] = [
    "INSERT INTO t VALUES (1, true, -32768, 9223372036854775807, 4294967295, 1.1, 'NaN', -0.0000000001,
        12345678901234567890123456789012345678901234567890.00000000000000000001, 'NaN', 1.5, 2.5, 1234.56, 'e''é😀', 'ab', 'x',
        '\\x00ff', '2024-02-29', '23:59:59.999999', '24:00:00+02', '2024-10-27 02:30:00.1235', '2024-10-27 02:30:00.123456+02',
        '-1 mon +2 days -03:04:05.5', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"b\": 1e400,  \"a\":1}',
        '{\"b\":123456789012345678901234567890}', '{{1,NULL},{3,4}}', '[2:3]={a,\"b,c\"}', '[1,5)', 'gr''een', '{red,NULL}',
        '(1,\"x y\")', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', B'10101', B'101', 'a:1 b', '(1,2)', '16/B374D848',
        't', 12345)",
    "INSERT INTO t (id, f4, f8, n, free, m, t, bt, d, ts, tstz, iv, ia, r) VALUES (2, '-Infinity', 5e-324, 9999999999999999999999999999.9999999999,
        repeat('9', 500)::numeric, -1, '', '', '0044-03-15 BC', '0001-01-01', '9999-12-31 23:59:59.999999+00', '0', '{}', 'empty')",
    "INSERT INTO t (id) VALUES (3)",
];

#[tokio::test(flavor = "multi_thread")]
async fn case_042_to_046_a_row_is_the_same_from_the_table_and_from_the_log() {
    on_all(async |server| {
        let database = server.database();
        database.sql(TYPES);
        let mut capture = Capture::begin(settings(&database, "types")).await;
        for insert in VALUES {
            database.sql(insert);
        }
        let items = capture.read().await;
        let streamed: Vec<&Batch> = batches(&items).collect();
        let relation = streamed[0].relation().clone();
        let mut reader = capture.system.reader().await.expect("a reader");
        let mut read: Vec<RecordBatch> = Vec::new();
        let whole = KeyRange { after: None, up_to: None };
        reader
            .read_chunk(&relation, &whole, &capture.begin, &mut read)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        let streamed = streamed.iter().map(|batch| batch.rows());
        let streamed = arrow::compute::concat_batches(relation.columns(), streamed).expect("rows");
        let read = arrow::compute::concat_batches(relation.columns(), &read).expect("rows");
        for (i, field) in relation.columns().fields().iter().enumerate() {
            assert_eq!(streamed.column(i), read.column(i), "{}", field.name());
        }
        assert_eq!((streamed.num_rows(), relation.columns().fields().len()), (3, 42));
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_arrow_cannot_hold_are_bad_rows_or_null() {
    let server = shared(Kind::Postgres15);
    let database = server.database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, d date, n numeric(5,2))");
    let settings = Settings { unrepresentable: Unrepresentable::Null, ..settings(&database, "dates") };
    let mut capture = Capture::begin(settings).await;
    database.sql("INSERT INTO t VALUES (1, 'infinity', 1)");
    assert_eq!(capture.texts().await, ["t + 1|-|1.00"]);
    database.sql("INSERT INTO t VALUES (2, NULL, 2), (3, NULL, 'NaN'), (4, NULL, 4)");
    let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 10);
    let end = capture.system.end_of_log().await.expect("the end");
    let mut items = Vec::new();
    while !items.iter().filter_map(boundary).any(|mark| capture.system.reached(mark, &end)) {
        items.push(capture.system.next(&budget(false), &mut bad).await.expect("an item"));
    }
    assert_eq!(texts(&items), ["t + 2|-|2.00", "t + 4|-|4.00"]);
    let kept = bad.take();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].reasons[0].starts_with("column n: "), "{:?}", kept[0]);
    capture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_041_048_049_names_generated_columns_gaps_and_children() {
    on_all(async |server| {
        let database = server.database();
        database.sql(
            "CREATE TABLE \"a\"\"b.c %\" (\"k'1\" int PRIMARY KEY, gone int, \"Sélect\" text, twice int GENERATED ALWAYS AS (gone2 * 2) STORED, gone2 int);
             ALTER TABLE \"a\"\"b.c %\" DROP COLUMN gone;
             CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE parent_child (PRIMARY KEY (id)) INHERITS (parent);
             INSERT INTO parent_child VALUES (9)",
        );
        let mut capture = Capture::begin(settings(&database, "names")).await;
        database.sql("INSERT INTO \"a\"\"b.c %\" VALUES (1, 'x', DEFAULT, 5); INSERT INTO parent VALUES (1); INSERT INTO parent_child VALUES (2)");
        assert_eq!(capture.texts().await, ["a\"b.c % + 1|x|5", "parent + 1", "parent_child + 2"]);
        let tables = relations(&mut capture.system).await;
        let parent = tables.iter().find(|table| table.name().table == "parent").expect("parent");
        let mut reader = capture.system.reader().await.expect("a reader");
        let mut rows: Vec<RecordBatch> = Vec::new();
        let whole = KeyRange { after: None, up_to: None };
        reader.read_chunk(parent, &whole, &capture.begin, &mut rows).await.expect("a chunk");
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "a child's rows are the child's");
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_076_partitions_as_their_root_or_as_themselves() {
    on_all(async |server| {
        for via_root in [true, false] {
            let database = server.database();
            database.sql(
                "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
                 CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1)",
            );
            let mut capture = Capture::begin(Settings { via_root, ..settings(&database, "partitions") }).await;
            let tables = relations(&mut capture.system).await;
            let name = if via_root { "p" } else { "p_1" };
            assert_eq!(tables.iter().map(|table| table.name().table.as_str()).collect::<Vec<_>>(), [name]);
            database.sql("INSERT INTO p VALUES (2)");
            assert_eq!(capture.texts().await, [format!("{name} + 2")]);
            let mut reader = capture.system.reader().await.expect("a reader");
            let mut rows: Vec<RecordBatch> = Vec::new();
            let whole = KeyRange { after: None, up_to: None };
            reader.read_chunk(&tables[0], &whole, &capture.begin, &mut rows).await.expect("a chunk");
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
            if via_root {
                database.sql("CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)");
                assert_eq!(capture.texts().await, ["p + 11"], "a new partition");
            }
            capture.end().await;
        }
    })
    .await;
}
