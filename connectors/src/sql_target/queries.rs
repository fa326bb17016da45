//! What the targets' catalogs say of a table, each in its own words.

use super::Dialect;

pub(super) fn columns(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "SELECT name, upper(type), \"notnull\", dflt_value IS NOT NULL, pk > 0, NULL FROM pragma_table_info(?1) \
             ORDER BY cid"
        }
        Dialect::DuckDb => {
            "SELECT column_name, data_type, CASE WHEN is_nullable THEN 0 ELSE 1 END, \
             CASE WHEN column_default IS NULL THEN 0 ELSE 1 END, 0, NULL FROM duckdb_columns() \
             WHERE table_name = ?1 AND schema_name = current_schema() AND database_name = current_database() \
             ORDER BY column_index"
        }
        // A generated column has its value by itself, like one with a default.
        Dialect::MySql | Dialect::MariaDb => {
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'NO', \
             COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%' OR EXTRA LIKE '%GENERATED%', \
             COLUMN_KEY = 'PRI', COLLATION_NAME FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?1 ORDER BY ORDINAL_POSITION"
        }
        Dialect::Postgres => {
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
             (a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''), \
             EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary \
                     AND a.attnum = ANY (i.indkey)), NULL::text \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             WHERE c.relname = ?1 AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p') \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        }
    }
}

pub(super) fn table_exists(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        Dialect::DuckDb => {
            "SELECT count(*) FROM duckdb_tables() WHERE lower(table_name) = lower(?1) \
             AND schema_name = current_schema() AND database_name = current_database() AND NOT temporary"
        }
        Dialect::MySql | Dialect::MariaDb => {
            "SELECT count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?1"
        }
        Dialect::Postgres => {
            "SELECT count(*) FROM pg_class WHERE relname = ?1 AND relkind IN ('r', 'p') \
             AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
        }
    }
}

pub(super) fn unique(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "SELECT 'primary key', name FROM pragma_table_info(?1) WHERE pk > 0 UNION ALL \
             SELECT * FROM (SELECT 'index ' || l.name, i.name FROM pragma_index_list(?1) l, pragma_index_info(l.name) i \
             WHERE l.\"unique\" = 1 AND l.partial = 0 AND l.origin <> 'pk' ORDER BY l.name, i.seqno)"
        }
        Dialect::DuckDb => {
            "SELECT constraint_index::VARCHAR, unnest(constraint_column_names) FROM duckdb_constraints() \
             WHERE table_name = ?1 AND schema_name = current_schema() AND database_name = current_database() \
             AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') ORDER BY 1"
        }
        // An index over an expression or over the beginning of a column is listed too: it may refuse a row.
        Dialect::MySql | Dialect::MariaDb => {
            "SELECT INDEX_NAME, COALESCE(IF(SUB_PART IS NULL, COLUMN_NAME, NULL), '') FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?1 AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        }
        Dialect::Postgres => {
            "SELECT i.indexrelid::text, COALESCE(a.attname::text, '') FROM pg_index i \
             JOIN pg_class c ON c.oid = i.indrelid \
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n) \
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
             WHERE c.relname = ?1 AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND i.indisunique \
             AND i.indpred IS NULL AND i.indimmediate AND i.indisvalid AND k.n <= i.indnkeyatts ORDER BY i.indexrelid, k.n"
        }
    }
}

pub(super) fn checks(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::DuckDb => Some(
            "SELECT expression FROM duckdb_constraints() WHERE table_name = ?1 AND schema_name = current_schema() \
             AND database_name = current_database() AND constraint_type = 'CHECK'",
        ),
        // The others name the row that a constraint refuses, and keep the transaction.
        _ => None,
    }
}
