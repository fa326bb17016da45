//! Rows of real servers.

mod stream;

use std::sync::Arc;

use aqueduct_model::conformance::record_texts;
use aqueduct_model::{Relation, Secret};
use aqueduct_test_servers::{Database, Kind, shared};
use arrow::array::{AsArray, RecordBatch};
use mysql_async::Conn;

use super::{Rows, ZeroDates, beside, order_by, select_list, table_name};
use crate::mysql::address::Address;
use crate::mysql::connection::{Purpose, connect};
use crate::mysql::table::{describe, name};
use crate::mysql::tls::Tls;
use crate::sql_input::{ReadLimits, Side};

const SERVERS: [Kind; 2] = [Kind::MariaDb, Kind::MySql8];

async fn session(database: &Database<'_>) -> Conn {
    let address = Address::parse(&Secret::new(database.url("cdc")), Tls::default()).unwrap();
    connect(&address, Purpose::Read).await.unwrap()
}

async fn relation(connection: &mut Conn, database: &Database<'_>, table: &str, zero_dates: ZeroDates) -> Arc<Relation> {
    let wanted = [name(database.name(), table)];
    describe(connection, &wanted, zero_dates).await.unwrap().pop().unwrap().relation
}

/// All rows of a table in the order of its key.
async fn read(database: &Database<'_>, table: &str, zero_dates: ZeroDates) -> (Arc<Relation>, Vec<RecordBatch>) {
    let mut connection = session(database).await;
    let relation = relation(&mut connection, database, table, zero_dates).await;
    let order = order_by(&relation, relation.key());
    let sql = format!("SELECT {} FROM {} ORDER BY {order}", select_list(&relation), table_name(relation.name()));
    let batches = read_rows(&mut connection, &sql, Vec::new(), &relation, zero_dates).await;
    (relation, batches)
}

/// All rows of `sql`, which has the relation's columns in its order.
async fn read_rows(
    connection: &mut Conn,
    sql: &str,
    params: Vec<mysql_async::Value>,
    relation: &Arc<Relation>,
    zero_dates: ZeroDates,
) -> Vec<RecordBatch> {
    let mut rows = Rows::start(connection, sql, params, relation, zero_dates).await.unwrap();
    let mut batches = Vec::new();
    while let Some(block) = rows.next(connection, ReadLimits { rows: 1_000, bytes: 16 << 20 }).await.unwrap() {
        block.complete(relation).unwrap();
        batches.push(block.rows);
    }
    batches
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    batches.iter().flat_map(|rows| record_texts(rows).unwrap()).collect()
}

/// Column, type, and values each with the text that is expected of its Arrow value.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const TYPES: &[Case] = &[
    ("TINYINT", &[("-128", "-128"), ("-1", "-1"), ("0", "0"), ("127", "127")]),
    ("TINYINT UNSIGNED", &[("0", "0"), ("255", "255")]),
    ("TINYINT(1)", &[("2", "2"), ("-1", "-1"), ("TRUE", "1")]),
    ("SMALLINT", &[("-32768", "-32768"), ("32767", "32767")]),
    ("SMALLINT UNSIGNED", &[("65535", "65535")]),
    ("MEDIUMINT", &[("-8388608", "-8388608"), ("-1", "-1"), ("8388607", "8388607")]),
    ("MEDIUMINT UNSIGNED", &[("16777215", "16777215")]),
    ("INT", &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
    ("INT(5) UNSIGNED ZEROFILL", &[("7", "7"), ("4294967295", "4294967295")]),
    ("BIGINT", &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")]),
    ("BIGINT UNSIGNED", &[("18446744073709551615", "18446744073709551615"), ("0", "0")]),
    ("DECIMAL(10,2)", &[("-0.00", "0.00"), ("-12345678.90", "-12345678.90"), ("0.05", "0.05")]),
    ("DECIMAL(10,0)", &[("-7", "-7")]),
    ("DECIMAL(12,3) UNSIGNED ZEROFILL", &[("7.5", "7.500")]),
    (
        "DECIMAL(65,30)",
        &[(
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
        )],
    ),
    ("FLOAT", &[("0.1", "0.1"), ("3.4028234e38", "3.4028235e38"), ("1e-45", "1e-45")]),
    ("DOUBLE", &[("0.1", "0.1"), ("1.7976931348623157e308", "1.7976931348623157e308"), ("5e-324", "5e-324")]),
    ("BIT(1)", &[("b'1'", "true"), ("b'0'", "false")]),
    ("BIT(10)", &[("b'1000000001'", "513")]),
    ("BIT(64)", &[("0xFFFFFFFFFFFFFFFF", "18446744073709551615")]),
    ("DATE", &[("'2024-02-29'", "2024-02-29"), ("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31")]),
    ("DATETIME", &[("'2024-02-29 12:13:14'", "2024-02-29T12:13:14")]),
    ("DATETIME(3)", &[("'1000-01-01 00:00:00.001'", "1000-01-01T00:00:00.001")]),
    ("DATETIME(6)", &[("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999")]),
    ("TIMESTAMP(6) NULL", &[("'2038-01-19 03:14:07.123456'", "2038-01-19T03:14:07.123456Z")]),
    ("TIMESTAMP NULL", &[("'1970-01-01 00:00:01'", "1970-01-01T00:00:01Z")]),
    ("YEAR", &[("0", "0"), ("1901", "1901"), ("2155", "2155")]),
    ("CHAR(5)", &[("'ab '", "ab"), ("''", ""), ("'é😀'", "é😀")]),
    ("VARCHAR(20) CHARACTER SET latin1", &[("'é€ '", "é€ ")]),
    ("VARCHAR(20) CHARACTER SET utf16", &[("'z😀'", "z😀")]),
    ("VARCHAR(20) CHARACTER SET gbk", &[("'汉字'", "汉字")]),
    ("VARCHAR(20) CHARACTER SET big5", &[("'漢字'", "漢字")]),
    ("VARCHAR(20) CHARACTER SET sjis", &[("'ひらがな'", "ひらがな")]),
    ("MEDIUMTEXT", &[("'a\\nb'", "a\nb")]),
    ("ENUM('a','b,c','it''s','') CHARACTER SET latin1", &[("'it''s'", "it's"), ("''", ""), ("2", "b,c")]),
    ("SET('x','y','z')", &[("'z,x'", "x,z"), ("''", "")]),
    ("BINARY(4)", &[("x'01020000'", "01020000"), ("''", "00000000")]),
    ("VARBINARY(4)", &[("x'FF00'", "ff00"), ("''", "")]),
    ("LONGBLOB", &[("x'00FF80'", "00ff80")]),
    ("POINT", &[("ST_GeomFromText('POINT(1 2)')", "000000000101000000000000000000f03f0000000000000040")]),
];

/// The statements that make and fill the table of a case.
fn statements(case: usize) -> (String, String) {
    let (column_type, values) = TYPES[case];
    let rows: Vec<String> = values.iter().enumerate().map(|(id, (value, _))| format!("({id},{value})")).collect();
    let create = format!("CREATE TABLE t{case} (id INT PRIMARY KEY, v {column_type}) DEFAULT CHARACTER SET utf8mb4");
    let session = "SET NAMES utf8mb4, time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES'";
    (create, format!("{session}; INSERT INTO t{case} VALUES {}, (100, NULL)", rows.join(",")))
}

#[tokio::test]
async fn every_type_arrives_as_it_is_stored() {
    for server in SERVERS {
        let database = shared(server).database();
        for (i, (column_type, values)) in TYPES.iter().enumerate() {
            let (create, insert) = statements(i);
            database.sql(&create);
            database.sql(&insert);
            let (_, batches) = read(&database, &format!("t{i}"), ZeroDates::Null).await;
            let mut expected: Vec<String> =
                values.iter().enumerate().map(|(id, (_, text))| format!("{id}|{text}")).collect();
            expected.push("100|NULL".to_owned());
            assert_eq!(texts(&batches), expected, "{server:?} {column_type}");
        }
    }
}

/// MariaDB makes a plain zero of a negative one when it stores it, MySQL does not.
#[tokio::test]
async fn a_negative_zero_is_what_the_server_has() {
    for server in SERVERS {
        let database = shared(server).database();
        database.sql("CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, d DOUBLE); INSERT INTO t VALUES (1, '-0', -0e0)");
        let (_, batches) = read(&database, "t", ZeroDates::Null).await;
        let theirs = database.text("SELECT f, d FROM t").replace("0", "0.0");
        assert_eq!(texts(&batches), [format!("1|{theirs}")], "{server:?}");
    }
}

#[tokio::test]
async fn times_are_durations() {
    let times = ["-838:59:59", "-00:00:00.500000", "00:00:00", "12:13:14.123456", "838:59:59"];
    let expected = [-3_020_399_000_000i64, -500_000, 0, 43_994_123_456, 3_020_399_000_000];
    for server in SERVERS {
        let database = shared(server).database();
        let rows: Vec<String> = times.iter().enumerate().map(|(id, time)| format!("({id},'{time}')")).collect();
        database
            .sql(&format!("CREATE TABLE t (id INT PRIMARY KEY, v TIME(6)); INSERT INTO t VALUES {}", rows.join(",")));
        let (_, batches) = read(&database, "t", ZeroDates::Null).await;
        let column = batches[0].column(1).as_primitive::<arrow::datatypes::DurationMicrosecondType>();
        assert_eq!(column.values().to_vec(), expected, "{server:?}");
    }
}

#[tokio::test]
async fn dates_that_do_not_exist_follow_the_policy() {
    const ROWS: &str = "(1,'0000-00-00','0000-00-00 00:00:00.000'),(2,'2024-00-10','2024-02-30 10:11:12.125'),\
                        (3,'2024-01-31','2024-01-31 10:11:12.125')";
    for server in SERVERS {
        let database = shared(server).database();
        database.sql(&format!(
            "SET sql_mode='ALLOW_INVALID_DATES'; CREATE TABLE t (id INT PRIMARY KEY, d DATE NOT NULL, \
             t DATETIME(3) NOT NULL); INSERT INTO t VALUES {ROWS}"
        ));
        for (policy, expected) in [
            (ZeroDates::Null, ["1|NULL|NULL", "2|NULL|NULL", "3|2024-01-31|2024-01-31T10:11:12.125"]),
            (
                ZeroDates::Epoch,
                [
                    "1|1970-01-01|1970-01-01T00:00:00",
                    "2|1970-01-01|1970-01-01T00:00:00",
                    "3|2024-01-31|2024-01-31T10:11:12.125",
                ],
            ),
            (
                ZeroDates::Text,
                [
                    "1|0000-00-00|0000-00-00 00:00:00.000",
                    "2|2024-00-10|2024-02-30 10:11:12.125",
                    "3|2024-01-31|2024-01-31 10:11:12.125",
                ],
            ),
        ] {
            let (_, batches) = read(&database, "t", policy).await;
            assert_eq!(texts(&batches), expected, "{server:?} {policy:?}");
        }
        let mut connection = session(&database).await;
        let strict = relation(&mut connection, &database, "t", ZeroDates::Error).await;
        let mut rows =
            Rows::start(&mut connection, "SELECT * FROM t ORDER BY id", Vec::new(), &strict, ZeroDates::Error)
                .await
                .unwrap();
        let block = rows.next(&mut connection, ReadLimits { rows: 10, bytes: 1 << 20 }).await.unwrap().unwrap();
        assert_eq!((block.read, block.refused.len()), (3, 2), "{server:?}");
        assert_eq!(texts(&[block.rows]), ["3|2024-01-31|2024-01-31T10:11:12.125"]);
        assert!(block.refused[0].reasons[0].starts_with("column d: its date does not exist"), "{:?}", block.refused[0]);
    }
}

#[tokio::test]
async fn types_of_mariadb_alone() {
    let database = shared(Kind::MariaDb).database();
    database.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, u UUID, a INET4, b INET6, j JSON); \
         INSERT INTO t VALUES (1, '550e8400-e29b-41d4-a716-446655440000', '10.0.0.255', '::ffff:1.2.3.4', '{\"a\": 1 }')",
    );
    let (_, batches) = read(&database, "t", ZeroDates::Null).await;
    assert_eq!(texts(&batches), ["1|550e8400-e29b-41d4-a716-446655440000|10.0.0.255|::ffff:1.2.3.4|{\"a\": 1 }"]);
}

/// Cuts a table into ranges of its key, and finds every row once.
async fn ranges(database: &Database<'_>, table: &str, rows_per_range: usize) -> Vec<String> {
    let mut connection = session(database).await;
    let relation = relation(&mut connection, database, table, ZeroDates::Text).await;
    let (key, order) = (relation.key(), order_by(&relation, relation.key()));
    let from = format!("SELECT {} FROM {}", select_list(&relation), table_name(relation.name()));
    let mut found = Vec::new();
    let mut edge: Option<RecordBatch> = None;
    loop {
        let mut params = Vec::new();
        let condition = match &edge {
            Some(edge) => format!("WHERE {}", beside(&relation, key, Side::Above, edge, &mut params).unwrap()),
            None => String::new(),
        };
        let sql = format!("{from} {condition} ORDER BY {order} LIMIT {rows_per_range}");
        let chunk = read_rows(&mut connection, &sql, params, &relation, ZeroDates::Text).await;
        let Some(last) = chunk.last() else { return found };
        let upper = last.slice(last.num_rows() - 1, 1).project(key).unwrap();
        let mut params = Vec::new();
        let mut conditions = vec![beside(&relation, key, Side::UpTo, &upper, &mut params).unwrap()];
        if let Some(lower) = &edge {
            conditions.push(beside(&relation, key, Side::Above, lower, &mut params).unwrap());
        }
        let sql = format!("{from} WHERE {} ORDER BY {order}", conditions.join(" AND "));
        let again = read_rows(&mut connection, &sql, params, &relation, ZeroDates::Text).await;
        assert_eq!(texts(&again), texts(&chunk), "the range between two edges is the chunk");
        found.extend(texts(&chunk));
        edge = Some(upper);
    }
}

#[tokio::test]
async fn ranges_of_every_kind_of_key_hold_each_row_once() {
    for server in SERVERS {
        let database = shared(server).database();
        for (i, (columns, rows)) in [
            ("a BIGINT UNSIGNED PRIMARY KEY", "(0),(1),(9223372036854775808),(18446744073709551615)"),
            (
                "a INT, b VARCHAR(9) COLLATE utf8mb4_general_ci, PRIMARY KEY (b, a)",
                "(1,'b'),(2,'A'),(3,'B'),(4,'a'),(5,'é'),(6,'e ')",
            ),
            (
                "a VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY",
                "('b'),('A'),('B'),('a'),('é'),('😀')",
            ),
            ("a VARCHAR(9) CHARACTER SET latin1 PRIMARY KEY", "('b'),('A'),('é'),('z')"),
            (
                "a DECIMAL(30,10) PRIMARY KEY",
                "(-1.5),(0),(10000000000000000000.0000000001),(10000000000000000000.0000000002)",
            ),
            ("a DATE PRIMARY KEY", "('0000-00-00'),('2024-00-10'),('2024-01-01'),('2024-02-30')"),
            (
                "a DATETIME(6) PRIMARY KEY",
                "('2024-01-01 00:00:00.000001'),('2024-01-01 00:00:00.000002'),('2025-01-01')",
            ),
            ("a TIMESTAMP(3) PRIMARY KEY", "('2024-01-01 00:00:00.001'),('2024-01-01 00:00:00.002'),('2025-01-01')"),
            ("a TIME(3) PRIMARY KEY", "('-838:59:59'),('-00:00:00.001'),('00:00:00'),('25:00:00.5')"),
            ("a YEAR PRIMARY KEY", "(0),(1901),(1999),(2070)"),
            ("a ENUM('z','a','m') PRIMARY KEY", "('z'),('a'),('m')"),
            ("a SET('z','a','m') PRIMARY KEY", "('z'),('a,m'),('m'),('')"),
            ("a BINARY(3) PRIMARY KEY", "(x'00'),(x'FF00'),(x'FF0001'),(x'80')"),
            ("a VARBINARY(9), b BIT(9), PRIMARY KEY (a, b)", "('',1),(x'00',2),(x'00',256),(x'FFFE',3)"),
            ("a DOUBLE PRIMARY KEY", "(-1e300),(0.1),(0.30000000000000004),(5e-324)"),
            ("a INT, b INT, c INT, PRIMARY KEY (c, a, b)", "(1,1,1),(1,2,1),(2,1,1),(1,1,2),(2,2,2),(0,9,2)"),
        ]
        .into_iter()
        .enumerate()
        {
            database.sql(&format!(
                "SET NAMES utf8mb4; SET time_zone='+00:00'; SET sql_mode='ALLOW_INVALID_DATES'; \
                 CREATE TABLE k{i} ({columns}) DEFAULT CHARACTER SET utf8mb4; INSERT INTO k{i} VALUES {rows}"
            ));
            let whole = usize::try_from(database.number(&format!("SELECT count(*) FROM k{i}"))).unwrap();
            let expected = ranges(&database, &format!("k{i}"), whole + 1).await;
            assert_eq!(expected.len(), whole, "{columns}");
            for rows_per_range in [1, 2, 3] {
                let found = ranges(&database, &format!("k{i}"), rows_per_range).await;
                assert_eq!(found, expected, "{server:?} {columns} in ranges of {rows_per_range}");
            }
        }
    }
}

#[tokio::test]
async fn many_columns_big_values_and_odd_names() {
    for server in SERVERS {
        let database = shared(server).database();
        let columns: Vec<String> = (0..1_016).map(|i| format!("c{i} INT")).collect();
        let values: Vec<String> =
            (0..1_016).map(|i| if i % 3 == 0 { "NULL".to_owned() } else { i.to_string() }).collect();
        database.sql(&format!("CREATE TABLE wide (id INT PRIMARY KEY, {})", columns.join(",")));
        database.sql(&format!("INSERT INTO wide VALUES (1,{})", values.join(",")));
        let (_, batches) = read(&database, "wide", ZeroDates::Null).await;
        assert_eq!(texts(&batches), [format!("1|{}", values.join("|"))], "{server:?}");

        database.sql("SET GLOBAL max_allowed_packet = 1073741824; CREATE TABLE big (id INT PRIMARY KEY, v LONGBLOB)");
        let sizes = [(1 << 24) - 20, (1 << 24) - 1, 1 << 24, 17 << 20];
        for (id, size) in sizes.iter().enumerate() {
            database.sql(&format!("INSERT INTO big VALUES ({id}, REPEAT('x', {size}))"));
        }
        let (_, batches) = read(&database, "big", ZeroDates::Null).await;
        let found: Vec<usize> = batches
            .iter()
            .flat_map(|rows| rows.column(1).as_binary::<i32>().iter().map(|v| v.unwrap().len()).collect::<Vec<_>>())
            .collect();
        assert_eq!(found, sizes, "{server:?}");

        let odd = "a`b.c \"d' %_é select";
        let escaped = odd.replace('`', "``");
        database.sql(&format!("SET NAMES utf8mb4; CREATE TABLE `{escaped}` (`{escaped}` INT PRIMARY KEY); INSERT INTO `{escaped}` VALUES (5)"));
        let (relation, batches) = read(&database, odd, ZeroDates::Null).await;
        assert_eq!((relation.columns().field(0).name().as_str(), texts(&batches)), (odd, vec!["5".to_owned()]));
    }
}

#[tokio::test]
async fn blocks_are_bounded_by_rows_and_bytes() {
    let database = shared(Kind::MariaDb).database();
    database.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_100",
    );
    let mut connection = session(&database).await;
    let relation = relation(&mut connection, &database, "t", ZeroDates::Null).await;
    for (limits, expected) in [
        (ReadLimits { rows: 30, bytes: 1 << 20 }, vec![30, 30, 30, 10]),
        (ReadLimits { rows: 1_000, bytes: 50_000 }, vec![50, 50]),
        (ReadLimits { rows: 0, bytes: 0 }, vec![1; 100]),
    ] {
        let mut rows =
            Rows::start(&mut connection, "SELECT id, v FROM t", Vec::new(), &relation, ZeroDates::Null).await.unwrap();
        let mut found = Vec::new();
        while let Some(block) = rows.next(&mut connection, limits).await.unwrap() {
            found.push(block.read);
        }
        assert_eq!(found, expected, "{limits:?}");
        assert!(rows.next(&mut connection, limits).await.unwrap().is_none(), "the end stays the end");
    }
}
