//! D. Types of PostgreSQL: the value of the snapshot is the value of the stream.

use aqueduct_test_servers::Server;

use super::conformance::each;
use crate::harness::captured::{Captured, both_ways};

fn types(server: &Server, columns: &str, values: &[&str]) {
    both_ways(Captured::on(server).environment("TZ", "America/New_York"), columns, values);
}

#[test]
fn case_042_numbers_at_their_edges() {
    each(42, |server| {
        let digits = format!("{}.{}", "9".repeat(700), "1".repeat(300));
        let rows = [
            format!("'{digits}', 'NaN', 12.50, -32768, -2147483648, -9223372036854775808, '-0', 'NaN', '$1,234.50', 1, 4294967295"),
            "'Infinity', '-Infinity', -99999999.99, 32767, 2147483647, 9223372036854775807, 'Infinity', '-Infinity', '-$0.01', 0.1, 0".to_owned(),
            "1e-20, 0.000, 0, 0, 0, 0, 1.17549435e-38, 4.9406564584124654e-324, 0, -1e10, 1".to_owned(),
            "1.10, 100, 1, 1, 1, 1, 1.1, 1.1, NULL, NULL, NULL".to_owned(),
            "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL".to_owned(),
        ];
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        types(
            server,
            "a numeric, b numeric, c numeric(10,2), d int2, e int4, f int8, g float4, h float8, i money, j numeric(60,20), k oid",
            &rows,
        );
    });
}

#[test]
fn case_043_infinite_and_ancient_dates() {
    each(43, |server| {
        types(
            server,
            "a date, b timestamp(3), c timestamptz, d time, e timetz, f interval",
            &[
                "'2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.123456+05:30', '12:34:56.123456', '24:00:00+01', '-1 month 3 days -04:05:06.7'",
                "'0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', '23:59:59.999999', '00:00:00-15:59', '1 year 2 months'",
                "'9999-12-31', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999+00', '00:00:00', '23:59:59.999999+15:59', '-178000000 years'",
                "'0001-01-01', '0001-01-01', '0001-01-01 00:00:00+00', '00:00:00.000001', '00:00:00+00', '00:00:00'",
                "NULL, NULL, NULL, NULL, NULL, NULL",
            ],
        );
        // What Arrow cannot hold is NULL or an error, as the setting says, in snapshot and stream alike.
        let mut case = Captured::on(server).setting("unrepresentable: \"null\"");
        case.sql("CREATE TABLE t (id int PRIMARY KEY, a date, b timestamp, c timestamptz, d time); INSERT INTO t VALUES (1, 'infinity', '-infinity', 'infinity', '24:00:00')");
        case.start();
        case.caught_up();
        case.sql("INSERT INTO t VALUES (2, '-infinity', 'infinity', '-infinity', '24:00:00')");
        case.caught_up();
        case.until("both rows", |case| case.copied_number("SELECT count(*) FROM t") == 2);
        assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|NULL|NULL|NULL|NULL\n2|NULL|NULL|NULL|NULL");
        let mut strict = Captured::on(server).setting("unrepresentable: error");
        strict.sql("CREATE TABLE t (id int PRIMARY KEY, a date); INSERT INTO t VALUES (1, 'infinity')");
        strict.start();
        strict.fails();
    });
}

#[test]
fn case_044_arrays() {
    each(44, |server| {
        let case = Captured::on(server);
        case.sql("CREATE TYPE mood AS ENUM ('sad', 'ok, fine', 'hap\"py'); CREATE DOMAIN small AS int CHECK (VALUE < 100); CREATE TYPE pair AS (x int, y text)");
        both_ways(
            case,
            "a int[], b text[][], c mood[], d small[], e pair[], f timestamptz[], g numeric[]",
            &[
                "'{1,NULL,3}', '{{a,\"b,c\"},{\"NULL\",NULL}}', '{sad,\"ok, fine\"}', '{1,2}', ARRAY[ROW(1,'a'),ROW(NULL,'b,c')]::pair[], '{\"2024-02-29 12:00:00+00\"}', '{NaN,1.50}'",
                "'{}', '{}', '{}', '{}', '{}', '{}', '{}'",
                "'[2:4]={1,2,3}', '[0:0][-1:0]={{x,y}}', '{\"hap\\\"py\"}', '{NULL}', NULL, NULL, NULL",
            ],
        );
    });
}

#[test]
fn case_045_types_of_the_user_and_of_extensions() {
    each(45, |server| {
        let case = Captured::on(server);
        case.sql("CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube");
        case.sql("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN d1 AS text; CREATE DOMAIN d2 AS d1; CREATE TYPE pair AS (x int, y text)");
        case.sql("CREATE DOMAIN price AS numeric(10,2); CREATE TYPE span AS RANGE (subtype = float8)");
        let mut case = both_ways(
            case,
            "a mood, b d2, c pair, d int4range, e int4multirange, f hstore, g citext, h ltree, i xml, j bit(5), k varbit, l inet, m cidr,
             n macaddr8, o tsvector, p uuid, q jsonb, r json, s pg_lsn, t cube, u price, v span, w char(5), x \"char\", y name, z point, bo bool, tsq tsquery",
            &[
                "'sad', 'text', ROW(1,'a,\"b'), '[1,5)', '{[1,3),[5,7)}', 'a=>1,b=>NULL', 'CiText', 'a.b.c', '<a>1</a>', B'10101', B'101', '10.0.0.1/8', '10.0.0.0/8',
                 '08:00:2b:01:02:03:04:05', 'a fat cat', '123e4567-e89b-12d3-a456-426655440000', '{\"n\": 12345678901234567890.123, \"b\": [1, null]}', '{\"b\":1,  \"a\": 2}',
                 '16/B374D848', '(1,2,3)', 12.34, '[1.5,2.5]', 'ab', 'x', 'name', '(1,2)', true, 'a & b'",
                "'ok', '', ROW(NULL,NULL), 'empty', '{}', '', '', '', '', B'00000', B'', '::1', '::/0', '00:00:00:00:00:00:00:00', '', '00000000-0000-0000-0000-000000000000',
                 'null', '[]', '0/0', '(0)', 0, '(,)', '', '', '', '(0,0)', false, ''",
                "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
            ],
        );
        case.sql("ALTER TYPE mood ADD VALUE 'happy' BEFORE 'ok'");
        case.sql("INSERT INTO streamed (id, a) VALUES (1, 'happy')");
        case.settle();
    });
}

#[test]
fn case_046_bytes() {
    each(46, |server| {
        let all: String = (0..=255_u8).map(|byte| format!("{byte:02x}")).collect();
        for output in ["hex", "escape"] {
            let case = Captured::on(server);
            case.sql(&format!("ALTER DATABASE {} SET bytea_output = '{output}'", case.database.name()));
            both_ways(case, "b bytea", &[&format!("'\\x{all}'"), "''", "NULL", "'\\x00'"]);
        }
        let mut large = Captured::on(server);
        large.sql("CREATE TABLE t (id int PRIMARY KEY, b bytea); ALTER TABLE t ALTER b SET STORAGE EXTERNAL; INSERT INTO t VALUES (1, convert_to(repeat('a', 64000000), 'UTF8'))");
        large.start();
        large.caught_up();
        large.sql("INSERT INTO t VALUES (2, convert_to(repeat('b', 64000000), 'UTF8'))");
        large.caught_up();
        large.until("both rows", |case| {
            case.copied("SELECT id, length(b) FROM t ORDER BY id") == "1|64000000\n2|64000000"
        });
    });
}

#[test]
fn case_047_unchanged_toast_keeps_its_value() {
    each(47, |server| {
        for identity in ["DEFAULT", "FULL"] {
            let target = server.database();
            let mut case = Captured::on(server)
                .sinks(
                    "  - { id: copy, plugin: SQLiteOutput, from: origin, config: { path: copy.db } }\n  \
                     - { id: other, plugin: PostgresOutput, from: origin, config: { url: '${env:COPY}' } }",
                )
                .environment("COPY", &target.url("cdc"));
            // Random text is not compressed: it goes out of line.
            let long = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 400))";
            case.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, n int, long text, other text); ALTER TABLE t REPLICA IDENTITY {identity}"));
            case.sql(&format!("INSERT INTO t SELECT i, i, {long}, {long} FROM generate_series(1, 20) i"));
            case.start();
            case.settle();
            case.sql("UPDATE t SET n = n + 100 WHERE id % 2 = 0");
            case.settle();
            case.sql(&format!("UPDATE t SET n = n + 100, other = {long} WHERE id % 3 = 0; UPDATE t SET long = NULL WHERE id = 5; UPDATE t SET other = '' WHERE id = 7"));
            case.settle();
            // Several updates of one row in one epoch, and one of a row that is inserted in it.
            case.sql(&format!("BEGIN; INSERT INTO t VALUES (50, 1, {long}, {long}); UPDATE t SET n = 2 WHERE id = 50; UPDATE t SET other = 'short' WHERE id = 50; UPDATE t SET n = 3 WHERE id = 1; UPDATE t SET n = 4 WHERE id = 1; COMMIT"));
            case.settle();
            // The key moves and the long value is not sent.
            case.sql("UPDATE t SET id = id + 1000 WHERE id IN (2, 9)");
            case.settle();
            case.sql("BEGIN; UPDATE t SET id = id + 1000 WHERE id = 4; UPDATE t SET n = -1 WHERE id = 1004; COMMIT");
            case.settle();
            case.survives_a_kill();
            assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE long IS NULL"), 1);
            let digest = "SELECT string_agg(md5(t::text), ',' ORDER BY id) FROM public.t";
            let expected = case.database.text(digest);
            case.until("the other target to be equal", |_| target.text(digest) == expected);
        }
    });
}

#[test]
fn case_048_generated_stored_columns() {
    each(48, |server| {
        // Not in the log before version 18: the same on both ways means left out on both, or sent on both.
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1, 10)");
        case.start();
        case.caught_up();
        case.sql("INSERT INTO t VALUES (2, 20); UPDATE t SET a = 11 WHERE id = 1");
        case.caught_up();
        case.until("the row of the stream", |case| {
            case.copied_number("SELECT count(*) FROM t WHERE a IN (11, 20)") == 2
        });
        let columns = case.copied("SELECT group_concat(name) FROM pragma_table_info('t')");
        if columns.contains('g') {
            case.settle();
        } else {
            assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|11\n2|20");
        }
    });
}

#[test]
fn case_049_quoted_names_dropped_columns_many_columns_inheritance() {
    each(49, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE \"Odd \"\"name\" (\"Id\" int PRIMARY KEY, \"a \"\"b\" text, \"c.d\" int, \"ü\" int, \"order\" int)");
        case.sql("INSERT INTO \"Odd \"\"name\" VALUES (1, 'x', 2, 3, 4)");
        case.sql("CREATE TABLE gaps (a int, id int PRIMARY KEY, b text, c int); ALTER TABLE gaps DROP COLUMN a; ALTER TABLE gaps DROP COLUMN b; ALTER TABLE gaps ADD COLUMN d text");
        case.sql("INSERT INTO gaps VALUES (1, 2, 'd')");
        let columns: Vec<String> = (0..1_500).map(|n| format!("c{n} smallint")).collect();
        case.sql(&format!(
            "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide (id, c0, c777, c1499) VALUES (1, 1, 2, 3)",
            columns.join(", ")
        ));
        case.sql(
            "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)",
        );
        case.sql("INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c')");
        case.start();
        case.caught_up();
        case.sql("UPDATE \"Odd \"\"name\" SET \"c.d\" = 20, \"a \"\"b\" = 'y'; INSERT INTO \"Odd \"\"name\" VALUES (2, NULL, NULL, 0, 1)");
        case.sql("INSERT INTO gaps VALUES (2, 3, 'e'); UPDATE gaps SET d = 'x' WHERE id = 1; UPDATE wide SET c1499 = 33; INSERT INTO wide (id, c1) VALUES (2, 5)");
        case.sql("INSERT INTO child VALUES (3, 'c'); UPDATE parent SET v = 'q'");
        case.caught_up();
        // A parent's own rows and its child's are two tables.
        case.until("inherited rows apart", |case| {
            case.copied("SELECT id FROM parent ORDER BY id") == "1"
                && case.copied("SELECT id FROM child ORDER BY id") == "2\n3"
        });
        case.sql("DROP TABLE child; DROP TABLE parent");
        case.settle();
    });
}
