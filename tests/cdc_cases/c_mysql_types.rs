//! C. Types of MySQL and MariaDB: the value of the snapshot is the value of the stream, with the time zones of server,
//! session and this machine all different.

use aqueduct_test_servers::{Kind, Server};

use super::conformance::each;
use crate::harness::captured::{Captured, both_ways};

fn types(server: &Server, columns: &str, values: &[&str]) {
    both_ways(Captured::on(server).environment("TZ", "America/New_York"), columns, values);
}

#[test]
fn case_025_integers_at_their_edges() {
    each(25, |server| {
        types(
            server,
            "a TINYINT, b SMALLINT, c MEDIUMINT, d INT, e BIGINT, f TINYINT UNSIGNED, g SMALLINT UNSIGNED,
             h MEDIUMINT UNSIGNED, i INT UNSIGNED, j BIGINT UNSIGNED, k BOOL, l TINYINT(1)",
            &[
                "-128, -32768, -8388608, -2147483648, -9223372036854775808, 0, 0, 0, 0, 0, TRUE, 2",
                "127, 32767, 8388607, 2147483647, 9223372036854775807, 255, 65535, 16777215, 4294967295, 18446744073709551615, FALSE, -1",
                "-1, -1, -1, -1, -1, 1, 1, 1, 1, 9223372036854775808, NULL, 0",
                "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1, NULL",
            ],
        );
    });
}

#[test]
fn case_026_decimals_at_their_edges() {
    each(26, |server| {
        let nines = format!("{}.{}", "9".repeat(35), "9".repeat(30));
        let (tiny, digits) = (format!("0.{}1", "0".repeat(29)), "0.123456789012345678901234567890");
        let largest = format!("{nines}, 9999999999, 0.01, 42, 99999.99, {digits}");
        let smallest = format!("-{nines}, -9999999999, -0.00, 0, -99999.99, -{tiny}");
        types(
            server,
            "a DECIMAL(65,30), b DECIMAL(10,0), c DECIMAL(5,2), d INT(8) ZEROFILL, e NUMERIC(7,2), f DECIMAL(30,30)",
            &[&largest, &smallest, "0, 0, -1.5, 7, 0.1, 0", "NULL, NULL, NULL, NULL, NULL, NULL"],
        );
    });
}

#[test]
fn case_027_floats() {
    each(27, |server| {
        types(
            server,
            "a FLOAT, b DOUBLE, c FLOAT(7,3), d DOUBLE UNSIGNED",
            &[
                "3.4028234e38, 1.7976931348623157e308, 1234.567, 0.1",
                "1.17549435e-38, 4.9406564584124654e-324, -0.001, 1e300",
                "-0.0, -0.0, 0, 0",
                "16777217, 9007199254740993, 0.1, 123456789.123456789",
                "0.1, 0.1, NULL, NULL",
                "1.1, 2.2250738585072014e-308, 1, 1",
            ],
        );
    });
}

#[test]
fn case_028_dates_and_times_with_microseconds() {
    each(28, |server| {
        let columns: Vec<String> =
            (0..=6).map(|n| format!("d{n} DATETIME({n}), s{n} TIMESTAMP({n}) NULL, t{n} TIME({n})")).collect();
        let row = |date: &str, stamp: &str, time: &str| {
            (0..=6).map(|_| format!("'{date}', '{stamp}', '{time}'")).collect::<Vec<_>>().join(", ")
        };
        let rows = [
            row("2024-02-29 23:59:58.123456", "2024-02-29 23:59:58.123456", "12:34:56.123456"),
            row("9999-12-31 23:59:59", "2038-01-19 03:14:07", "838:59:59"),
            row("1000-01-01 00:00:00", "1970-01-01 04:00:01", "-838:59:59"),
            row("2000-01-01 00:00:00.000001", "2000-01-01 00:00:00.000001", "-00:00:00.000001"),
            row("2024-06-30 12:00:00.9", "2024-06-30 12:00:00.9", "-01:00:00.5"),
        ];
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        types(server, &columns.join(", "), &rows);
    });
}

#[test]
fn case_029_zero_dates_and_years() {
    each(29, |server| {
        let columns = "a DATE, b DATETIME, c TIMESTAMP NULL, y YEAR";
        let values = [
            "'0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000'",
            "'2024-00-10', '2024-00-10 10:00:00', NULL, 1901",
            "'2024-02-30', '2024-02-30 10:00:00', '2024-01-01', 2155",
        ];
        // As NULL: the target differs from the source by intent, snapshot and stream do not differ.
        let mut case = Captured::on(server).setting("zero_dates: \"null\"");
        for table in ["snapped", "streamed"] {
            case.sql(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, {columns})"));
        }
        let insert = |case: &Captured<'_>, table: &str| {
            let mut session = case.database.connect();
            session.sql("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'");
            for (i, row) in values.iter().enumerate() {
                session.sql(&format!("INSERT INTO {table} VALUES ({i}, {row})"));
            }
        };
        insert(&case, "snapped");
        case.start();
        let all = "SELECT count(*) FROM streamed";
        case.caught_up();
        insert(&case, "streamed");
        case.until("all rows", |case| case.copied_number(all) == 3);
        for table in ["snapped", "streamed"] {
            let rows = case.copied(&format!("SELECT a, b, c, y FROM {table} ORDER BY id"));
            assert_eq!(rows.lines().next(), Some("NULL|NULL|NULL|0"), "{table}: {rows}");
            assert!(rows.lines().nth(1).is_some_and(|row| row.starts_with("NULL|NULL|NULL|1901")), "{table}: {rows}");
            assert!(rows.lines().nth(2).is_some_and(|row| row.ends_with("|2155")), "{table}: {rows}");
        }
        // As an error: the row is a bad row, and it stops the flow by default.
        let mut strict = Captured::on(server).setting("zero_dates: error");
        strict.sql("CREATE TABLE t (id INT PRIMARY KEY, a DATE)");
        strict.database.connect().sql("SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t VALUES (1, '0000-00-00')");
        strict.start();
        let log = strict.fails();
        assert!(!log.contains("0000-00-00"), "no values in the log: {log}");
    });
}

#[test]
fn case_030_daylight_saving_ancient_years_and_2038() {
    each(30, |server| {
        let mut case = Captured::on(server).environment("TZ", "Europe/Berlin");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, s TIMESTAMP NULL, d DATETIME)");
        let insert = |first: u32| {
            let mut session = case.database.connect();
            // 00:30 and 01:30 UTC are both 02:30 in Berlin.
            session.sql("SET time_zone = '+00:00'");
            session.sql(&format!(
                "INSERT INTO t VALUES ({first}, '2024-10-27 00:30:00', '2024-10-27 02:30:00'), ({}, '2024-10-27 01:30:00', '2024-10-27 02:30:00'),
                 ({}, '2024-03-31 01:00:00', '2024-03-31 02:30:00'), ({}, '2038-01-19 03:14:07', '0100-01-01 00:00:00'), ({}, '1970-01-01 00:00:01', '0999-12-31 23:59:59')",
                first + 1, first + 2, first + 3, first + 4
            ));
        };
        insert(10);
        case.start();
        case.settle();
        case.sql("INSERT INTO t VALUES (0, NULL, NULL)");
        let mut session = case.database.connect();
        session.sql("SET time_zone = '+00:00'; INSERT INTO t SELECT id + 100, s, d FROM t");
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE s LIKE '2024-10-27T00:30:00%'"), 2);
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE s LIKE '2024-10-27T01:30:00%'"), 2);
    });
}

#[test]
fn case_031_a_character_set_for_every_column() {
    each(31, |server| {
        types(
            server,
            "a VARCHAR(20) CHARACTER SET latin1, b VARCHAR(20) CHARACTER SET gbk, c VARCHAR(20) CHARACTER SET big5,
             d VARCHAR(20) CHARACTER SET sjis, e VARCHAR(20) CHARACTER SET utf16, f TEXT CHARACTER SET utf8mb3,
             g TEXT CHARACTER SET utf8mb4, h CHAR(5) CHARACTER SET cp1251, i VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin,
             j ENUM('ä', 'ß') CHARACTER SET latin1, k VARCHAR(10) CHARACTER SET koi8r, l VARCHAR(10) CHARACTER SET latin2",
            &[
                "'é€', '中文', '中文', '日本語', '𝄞é', '中é', '😀e\u{301}', 'Привет', 'ÿ', 'ä', 'Мир', 'ž'",
                "'', '', '', '', '', '', '', '', '', 'ß', '', ''",
                "NULL, NULL, NULL, 'ｱ', NULL, NULL, '\\\\\\'\\n', NULL, NULL, NULL, NULL, NULL",
            ],
        );
    });
}

#[test]
fn case_032_bytes() {
    each(32, |server| {
        let all: String = (0..=255_u8).map(|byte| format!("{byte:02X}")).collect();
        let row = format!("x'610000', x'00FF00', x'{all}', x'{all}', x'{all}'");
        types(
            server,
            "a BINARY(5), b VARBINARY(300), c TINYBLOB NULL, d BLOB, e MEDIUMBLOB",
            &[
                &row.replacen(&format!("x'{all}'"), "x'00'", 1),
                "x'', x'', x'', x'', x''",
                "x'0000000000', x'20', x'20', x'20', NULL",
                "NULL, NULL, NULL, NULL, NULL",
            ],
        );
    });
}

#[test]
fn case_033_bits() {
    each(33, |server| {
        types(
            server,
            "a BIT(1), b BIT(10), c BIT(64), d BIT(8)",
            &[
                "b'1', b'1111111111', x'FFFFFFFFFFFFFFFF', b'10000001'",
                "b'0', b'1', b'1', b'0'",
                "NULL, NULL, NULL, NULL",
            ],
        );
    });
}

#[test]
fn case_034_enum_and_set() {
    each(34, |server| {
        let many: Vec<String> = (0..300).map(|n| format!("'m{n}'")).collect();
        let sixty_four: Vec<String> = (0..64).map(|n| format!("'s{n}'")).collect();
        let columns = format!(
            "a ENUM('x', 'it''s', 'a,b', ''), b ENUM({}), c SET({}), d SET('a', 'b')",
            many.join(","),
            sixty_four.join(",")
        );
        let mut case = both_ways(
            Captured::on(server),
            &columns,
            &[
                "'it''s', 'm299', 's0,s63', 'a,b'",
                "'a,b', 'm0', '', ''",
                "'', 'm255', 18446744073709551615, 'b'",
                "NULL, NULL, NULL, NULL",
            ],
        );
        case.sql("ALTER TABLE streamed MODIFY a ENUM('x', 'it''s', 'a,b', '', 'end')");
        case.sql("INSERT INTO streamed (id, a) VALUES (1, 'end')");
        case.settle();
        // A member in the middle renumbers the others.
        case.sql("ALTER TABLE streamed MODIFY a ENUM('x', 'middle', 'it''s', 'a,b', '', 'end')");
        case.sql("INSERT INTO streamed (id, a) VALUES (2, 'middle'), (3, 'it''s')");
        case.settle();
        assert_eq!(case.copied("SELECT a FROM streamed WHERE id IN (1, 2, 3) ORDER BY id"), "end\nmiddle\nit's");
    });
}

#[test]
fn case_035_json() {
    each(35, |server| {
        // MariaDB takes 32 levels, MySQL 100.
        let levels = if server.kind() == Kind::MySql8 { 99 } else { 31 };
        let deep = format!("'{}1{}'", "[".repeat(levels), "]".repeat(levels));
        let mut values = vec![
            r#"'{"b": 1, "a": [true, false, null, "x\\ny", 1.5, -0.0, 18446744073709551615, -9223372036854775808]}'"#,
            r#"'"text"'"#,
            "'[]'",
            "'{}'",
            "'null'",
            "NULL",
            r#"'{"a": 1, "a": 2, "😀": "é"}'"#,
            &deep,
        ];
        if server.kind() == Kind::MySql8 {
            values.push("JSON_OBJECT('d', CAST(1.50 AS DECIMAL(10,2)), 't', CAST('2024-02-29 12:34:56.123456' AS DATETIME(6)), 'h', CAST('-12:00:00' AS TIME), 'y', CAST('2024-02-29' AS DATE))");
        }
        let mut case = both_ways(Captured::on(server), "j JSON", &values);
        if server.kind() == Kind::MySql8 {
            // Diffs instead of documents: refused by name; never wrong.
            let mut session = case.database.connect();
            session.sql("SET binlog_row_value_options = 'PARTIAL_JSON'");
            session.sql("INSERT INTO streamed VALUES (1, '{\"k\": {\"deep\": [1, 2, 3]}, \"long\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}')");
            session.sql("UPDATE streamed SET j = JSON_SET(j, '$.k.deep[1]', 20) WHERE id = 1");
            session.sql("UPDATE streamed SET j = JSON_REMOVE(j, '$.k.deep[0]') WHERE id = 1");
            let log = case.fails();
            assert!(log.contains("binlog_row_value_options"), "{log}");
        }
    });
}

#[test]
fn case_036_geometry() {
    each(36, |server| {
        types(
            server,
            "a GEOMETRY, b POINT, c POLYGON",
            &[
                "ST_GeomFromText('LINESTRING(0 0, 1 1)'), ST_GeomFromText('POINT(1 2)', 4326), ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))')",
                "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'), POINT(-1.5, 2.5), NULL",
                "NULL, NULL, NULL",
            ],
        );
    });
}

#[test]
fn case_037_uuid_and_internet_addresses() {
    each(37, |server| {
        types(
            server,
            "a UUID, b INET4, c INET6",
            &[
                "'123e4567-e89b-12d3-a456-426655440000', '255.255.255.255', '2001:db8::ff00:42:8329'",
                "'ffffffff-ffff-ffff-ffff-fffffffffffe', '0.0.0.0', '::'",
                "NULL, NULL, NULL",
                "'00000000-0000-0000-0000-000000000001', '1.0.0.0', '::ffff:1.2.3.4'",
            ],
        );
    });
}

#[test]
fn case_038_generated_and_invisible_columns() {
    each(38, |server| {
        types(
            server,
            "a INT, v INT AS (a * 2) VIRTUAL, s VARCHAR(20) AS (CONCAT('s', a)) STORED, h INT INVISIBLE, e DATETIME DEFAULT (NOW()), x INT DEFAULT 0",
            &["1, 2, '2024-01-01', 0", "-5, NULL, NULL, NULL"],
        );
        let mut zero = Captured::on(server);
        zero.sql("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 7)");
        zero.database.connect().sql("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO t VALUES (0, 1), (5, 2)");
        zero.start();
        zero.settle();
        zero.sql("INSERT INTO t (v) VALUES (DEFAULT); INSERT INTO t () VALUES ()");
        zero.settle();
        assert_eq!(zero.copied("SELECT id FROM t ORDER BY id"), "0\n5\n6\n7");
    });
}

#[test]
fn case_039_null_bitmaps_of_many_columns() {
    each(39, |server| {
        // SQLite takes 2,000 columns; InnoDB 1,017.
        for count in [8, 63, 64, 999] {
            let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
            let columns: Vec<String> = names.iter().map(|name| format!("{name} TINYINT")).collect();
            let nulls = |every: usize| {
                (0..count)
                    .map(|n| if n % every == 0 { "NULL".to_owned() } else { (n % 100).to_string() })
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let rows = [nulls(1), nulls(2), nulls(3), nulls(count), nulls(8)];
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            types(server, &columns.join(", "), &rows);
        }
    });
}

#[test]
fn case_040_rows_larger_than_a_packet() {
    each(40, |server| {
        server.admin("SET GLOBAL max_allowed_packet = 1073741824");
        let mut case = Captured::on(server).setting("chunk_rows: 1");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)");
        let sizes = [15_900_000, 16_777_214, 16_777_215, 16_777_216, 17_000_000, 64_000_000];
        let insert = |case: &Captured<'_>, first: usize| {
            for (i, size) in sizes.iter().enumerate() {
                case.sql(&format!(
                    "INSERT INTO t VALUES ({}, REPEAT('{}', {size}))",
                    first + i,
                    (b'a' + i as u8) as char
                ));
            }
        };
        insert(&case, 0);
        case.start();
        case.caught_up();
        insert(&case, 10);
        case.caught_up();
        let expected = case.database.text(
            "SELECT id, LENGTH(b), LEFT(b, 1), RIGHT(b, 1), LENGTH(TRIM(LEADING LEFT(b, 1) FROM b)) FROM t ORDER BY id",
        );
        let found = "SELECT id, length(b), substr(b, 1, 1), substr(b, -1, 1), length(ltrim(CAST(b AS TEXT), substr(CAST(b AS TEXT), 1, 1))) FROM t ORDER BY id";
        case.until("all rows", |case| case.copied_number("SELECT count(*) FROM t") == 12);
        let found =
            case.copied(found).replace("|61|61|", "|a|a|").replace("|62|62|", "|b|b|").replace("|63|63|", "|c|c|");
        let found = found.replace("|64|64|", "|d|d|").replace("|65|65|", "|e|e|").replace("|66|66|", "|f|f|");
        assert_eq!(found, expected);
    });
}

#[test]
fn case_041_odd_names() {
    each(41, |server| {
        let mut case = Captured::on(server);
        let long = "l".repeat(64);
        let tables = [
            "with blank",
            "with.dot",
            "with`tick",
            "with\"quote",
            "prozent%",
            "under_score",
            "select",
            "ünïcode表",
            &long,
        ];
        for table in tables {
            let name = table.replace('`', "``");
            case.sql(&format!("CREATE TABLE `{name}` (id INT PRIMARY KEY, `a b` INT, `c.d` INT, `e``f` INT, `g\"h` INT, `order` INT, `%` INT, `é` INT, `{long}` INT)"));
            case.sql(&format!("INSERT INTO `{name}` VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9)"));
        }
        case.start();
        case.settle();
        for table in tables {
            let name = table.replace('`', "``");
            case.sql(&format!("INSERT INTO `{name}` VALUES (2, 2, 3, 4, 5, 6, 7, 8, 9); UPDATE `{name}` SET `order` = 60, `e``f` = 40 WHERE id = 1"));
        }
        case.settle();
        case.survives_a_kill();
        // Names that differ by case only are two tables here and one in SQLite: never mixed up in silence.
        let mut cased = Captured::on(server);
        cased.sql("CREATE TABLE Orders (id INT PRIMARY KEY); CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO Orders VALUES (1); INSERT INTO orders VALUES (2)");
        cased.start();
        let log = cased.fails();
        assert!(log.to_lowercase().contains("case"), "{log}");
    });
}
