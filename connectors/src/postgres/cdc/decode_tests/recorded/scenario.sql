-- What the recorded messages are of. Run by psql on a server with `wal_level=logical` and `logical_decoding_work_mem=64kB`;
-- prints `slot|message in hexadecimal digits` per message. Of a run of more than three inserts the first three are kept.
SET client_min_messages = error;
SET TIME ZONE 'UTC';
SET datestyle = 'ISO, YMD';
SET lc_monetary = 'C';
CREATE TYPE colour AS ENUM ('red', 'dark blue');
CREATE DOMAIN cents AS numeric(8,2);
CREATE TABLE kinds (id bigint PRIMARY KEY, b boolean, s smallint, i integer, o oid, r real, d double precision,
    n numeric(12,3), w numeric(60,20), u numeric, x bytea, day date, at time, t timestamp, z timestamptz, l text,
    v varchar(9), c char(4), j jsonb, g uuid, a integer[], e colour, m cents, p interval);
CREATE TABLE keyed (id integer PRIMARY KEY, name text, big text);
ALTER TABLE keyed ALTER big SET STORAGE EXTERNAL;
CREATE TABLE whole (id integer, name text, big text);
ALTER TABLE whole ALTER big SET STORAGE EXTERNAL;
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE large (id integer PRIMARY KEY, t text);
CREATE PUBLICATION recorded FOR TABLE kinds, keyed, whole, large;
SELECT count(*) > 0 FROM pg_create_logical_replication_slot('plain', 'pgoutput') \g /dev/null
SELECT count(*) > 0 FROM pg_create_logical_replication_slot('streamed', 'pgoutput') \g /dev/null

BEGIN;
INSERT INTO kinds VALUES
    (1, true, -32768, 2147483647, 4294967295, 0.1, -1e300, -123456789.125, 1234567890123456789012345678901234567890.00000000000000000001,
     'NaN', '\x00ff5c', '2024-02-29', '23:59:59.999999', '2024-02-29 12:00:00.000001', '2024-10-27 02:30:00.5+02', 'é😀 "x"',
     'a ', 'ab', '{"b": 12345678901234567890123, "a": [1, null]}', '550e8400-e29b-41d4-a716-446655440000', '{1,NULL,3}', 'dark blue',
     1.5, '-1 year -3 days 04:05:06.789'),
    (2, false, 0, 0, 0, 'NaN', '-Infinity', 0, 0, 0.00, '', '0044-03-15 BC', '00:00', '0001-01-01 00:00:00 BC', '9999-12-31 23:59:59Z', '',
     '', '', '{}', '00000000-0000-0000-0000-000000000000', '{}', 'red', 0, '0'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
COMMIT;
SELECT pg_logical_emit_message(true, 'note', 'in a transaction') \g /dev/null
INSERT INTO keyed VALUES (1, 'one', repeat('k', 3000)), (2, 'two', 'small'), (3, 'three', NULL);
UPDATE keyed SET name = 'uno' WHERE id = 1;
UPDATE keyed SET id = 10 WHERE id = 1;
UPDATE keyed SET id = -id;
DELETE FROM keyed WHERE id = -2;
INSERT INTO whole VALUES (1, 'one', repeat('w', 3000)), (1, 'one', repeat('w', 3000)), (2, NULL, NULL);
UPDATE whole SET name = 'uno' WHERE id = 1;
DELETE FROM whole WHERE id = 2;
ALTER TABLE keyed ADD COLUMN more integer DEFAULT 7;
UPDATE keyed SET more = 8 WHERE id = -3;
ALTER TABLE keyed DROP COLUMN name;
INSERT INTO keyed VALUES (4, 'x', 9);
TRUNCATE keyed, whole;
BEGIN;
INSERT INTO large SELECT i, repeat('x', 200) FROM generate_series(1, 500) i;
SAVEPOINT gone;
INSERT INTO large SELECT i, repeat('y', 200) FROM generate_series(501, 1000) i;
ROLLBACK TO gone;
INSERT INTO large SELECT i, 'z' FROM generate_series(1001, 1005) i;
COMMIT;

\pset format unaligned
\pset tuples_only on
SELECT 'plain|' || encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('plain', NULL, NULL,
    'proto_version', '1', 'publication_names', 'recorded', 'messages', 'true');
SELECT 'binary|' || encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('plain', NULL, NULL,
    'proto_version', '1', 'publication_names', 'recorded', 'binary', 'true') LIMIT 8;
SELECT 'streamed|' || encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('streamed', NULL, NULL,
    'proto_version', '2', 'publication_names', 'recorded', 'streaming', 'on') OFFSET 34;
