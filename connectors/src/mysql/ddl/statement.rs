//! What a statement of the log is about.

use std::collections::BTreeSet;

use aqueduct_model::RelationName;

use super::alter::{AlterAction, alter_actions};
use super::create::{TableDefinition, create_table};
use super::cursor::Cursor;
use super::lexer::{Dialect, Token, tokens};

/// A statement, as far as captured tables are concerned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    Begin,
    Commit,
    /// The whole transaction is undone, except for rows of tables without transactions.
    Rollback,
    Savepoint,
    /// A part of the transaction, whose rows are in the log, is undone.
    RollbackToSavepoint,
    Xa(Xa),
    /// Rows were changed and are not in the log: `binlog_format` is not ROW.
    Dml {
        /// `INSERT`, `UPDATE`, …
        verb: &'static str,
        /// The first table that it names.
        table: Option<RelationName>,
    },
    /// Tables were changed, in this order.
    Tables(Vec<TableDdl>),
    /// No table's columns or rows are changed.
    Nothing,
    /// Not understood; these names are in it.
    Unknown(Vec<RelationName>),
}

/// A statement of an XA transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Xa {
    pub verb: XaVerb,
    /// Both parts of the id, one behind the other, as in [`crate::mysql::binlog::Event::XaPrepare`].
    pub xid: Vec<u8>,
}

/// What is done to an XA transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum XaVerb {
    Start,
    End,
    Prepare,
    Commit,
    Rollback,
}

/// What is done to one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TableDdl {
    Create {
        table: RelationName,
        definition: TableDefinition,
        if_not_exists: bool,
        or_replace: bool,
    },
    Drop {
        table: RelationName,
    },
    /// Every table of a database is dropped.
    DropDatabase {
        database: String,
    },
    Rename {
        from: RelationName,
        to: RelationName,
    },
    Truncate {
        table: RelationName,
    },
    Alter {
        table: RelationName,
        actions: Vec<AlterAction>,
    },
}

/// Statements that change no table's columns or rows, by their first word.
const HARMLESS: &[&str] = &[
    "ANALYZE",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "CLONE",
    "DEALLOCATE",
    "DESC",
    "DESCRIBE",
    "DO",
    "EXECUTE",
    "EXPLAIN",
    "FLUSH",
    "GET",
    "GRANT",
    "HANDLER",
    "HELP",
    "INSTALL",
    "KILL",
    "LOCK",
    "OPTIMIZE",
    "PREPARE",
    "PURGE",
    "RELEASE",
    "REPAIR",
    "RESET",
    "REVOKE",
    "SELECT",
    "SET",
    "SHOW",
    "SHUTDOWN",
    "SIGNAL",
    "START",
    "STOP",
    "UNINSTALL",
    "UNLOCK",
    "USE",
];

/// What objects other than tables are called behind CREATE, ALTER and DROP.
const OTHER_OBJECTS: &[&str] = &[
    "AGGREGATE",
    "ALGORITHM",
    "DATABASE",
    "DEFINER",
    "EVENT",
    "FUNCTION",
    "INSTANCE",
    "LIBRARY",
    "LOGFILE",
    "PACKAGE",
    "PREPARE",
    "PROCEDURE",
    "RESOURCE",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "SPATIAL",
    "SQL",
    "TABLESPACE",
    "TRIGGER",
    "UNDO",
    "USER",
    "VIEW",
    "CATALOG",
];

/// Most names that an unknown statement is searched for.
const NAMES_MAX: usize = 10_000;

/// Reads one statement; `database` is the default one.
pub(crate) fn parse(sql: &str, database: &str, dialect: Dialect) -> Statement {
    let tokens = tokens(sql, dialect);
    let mut cursor = Cursor { tokens: &tokens, dialect, database };
    statement(&mut cursor).unwrap_or_else(|| Statement::Unknown(names(Cursor { tokens: &tokens, dialect, database })))
}

/// `None` when it is not understood.
fn statement(cursor: &mut Cursor<'_>) -> Option<Statement> {
    let Some(first) = cursor.peek() else { return Some(Statement::Nothing) };
    let Token::Word(word) = first else { return None };
    let word = word.to_ascii_uppercase();
    if HARMLESS.contains(&word.as_str()) && !cursor.is("START") {
        return Some(Statement::Nothing);
    }
    match word.as_str() {
        "INSERT" => return Some(dml(cursor, "INSERT")),
        "UPDATE" => return Some(dml(cursor, "UPDATE")),
        "DELETE" => return Some(delete(cursor)),
        "REPLACE" => return Some(dml(cursor, "REPLACE")),
        "LOAD" => return Some(dml(cursor, "LOAD")),
        "WITH" => return Some(dml(cursor, "WITH")),
        _ => {}
    }
    cursor.next();
    match word.as_str() {
        "BEGIN" => Some(Statement::Begin),
        "START" if cursor.is("TRANSACTION") => Some(Statement::Begin),
        "START" => Some(Statement::Nothing),
        "COMMIT" => Some(Statement::Commit),
        "SAVEPOINT" => Some(Statement::Savepoint),
        "ROLLBACK" => {
            cursor.eat("WORK");
            Some(if cursor.is("TO") { Statement::RollbackToSavepoint } else { Statement::Rollback })
        }
        "XA" => xa(cursor).map(Statement::Xa),
        "CREATE" => create(cursor),
        "ALTER" => alter(cursor),
        "DROP" => drop_(cursor),
        "RENAME" => rename(cursor),
        "TRUNCATE" => {
            cursor.eat("TABLE");
            Some(Statement::Tables(vec![TableDdl::Truncate { table: cursor.table()? }]))
        }
        "IMPORT" => None,
        _ => None,
    }
}

fn dml(cursor: &mut Cursor<'_>, verb: &'static str) -> Statement {
    cursor.next();
    let skipped = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "INTO", "FROM", "ONLY"];
    while cursor.eat_any(&skipped) {}
    let table = if matches!(verb, "LOAD" | "WITH") { None } else { cursor.table() };
    Statement::Dml { verb, table }
}

/// `DELETE FROM t` without a condition is what the server writes when it finds a MEMORY table empty after a restart.
fn delete(cursor: &mut Cursor<'_>) -> Statement {
    let mut plain = *cursor;
    plain.next();
    if plain.eat("FROM")
        && let Some(table) = plain.table()
        && plain.is_at_end()
    {
        return Statement::Tables(vec![TableDdl::Truncate { table }]);
    }
    dml(cursor, "DELETE")
}

fn xa(cursor: &mut Cursor<'_>) -> Option<Xa> {
    let verb = if cursor.eat("START") || cursor.eat("BEGIN") {
        XaVerb::Start
    } else if cursor.eat("END") {
        XaVerb::End
    } else if cursor.eat("PREPARE") {
        XaVerb::Prepare
    } else if cursor.eat("COMMIT") {
        XaVerb::Commit
    } else if cursor.eat("ROLLBACK") {
        XaVerb::Rollback
    } else {
        return None;
    };
    let mut xid = xa_part(cursor)?;
    if cursor.eat_symbol(',') {
        xid.extend(xa_part(cursor)?);
    }
    Some(Xa { verb, xid })
}

/// A text, or `X'6162'`, or `0x6162`.
fn xa_part(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    match cursor.next()? {
        Token::Text(text) => Some(text.clone().into_bytes()),
        Token::Word(word) if word.eq_ignore_ascii_case("x") => match cursor.next()? {
            Token::Text(digits) => unhex(digits),
            _ => None,
        },
        Token::Word(word) => unhex(word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))?),
        _ => None,
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

fn create(cursor: &mut Cursor<'_>) -> Option<Statement> {
    let or_replace = cursor.eat_all(&["OR", "REPLACE"]);
    let temporary = cursor.eat("TEMPORARY");
    if cursor.eat("TABLE") {
        let if_not_exists = cursor.eat_all(&["IF", "NOT", "EXISTS"]);
        let table = cursor.table()?;
        if temporary {
            return Some(Statement::Nothing);
        }
        let definition = create_table(cursor)?;
        return Some(Statement::Tables(vec![TableDdl::Create { table, definition, if_not_exists, or_replace }]));
    }
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    let unique = cursor.eat("UNIQUE");
    let other_kind = cursor.is_nth(1, "INDEX") && cursor.eat_any(&["FULLTEXT", "SPATIAL", "VECTOR"]);
    if cursor.eat("INDEX") {
        cursor.eat_all(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        skip_index_type(cursor);
        if !cursor.eat("ON") {
            return None;
        }
        let table = cursor.table()?;
        let columns = cursor.key_columns().unwrap_or_default();
        let unique = unique && !other_kind;
        let action = if unique { AlterAction::AddUnique { name: Some(name), columns } } else { AlterAction::Other };
        return Some(Statement::Tables(vec![TableDdl::Alter { table, actions: vec![action] }]));
    }
    (cursor.is_any(OTHER_OBJECTS)).then_some(Statement::Nothing)
}

pub(super) fn skip_index_type(cursor: &mut Cursor<'_>) {
    while cursor.eat_any(&["USING", "TYPE"]) {
        cursor.next();
    }
}

fn alter(cursor: &mut Cursor<'_>) -> Option<Statement> {
    while cursor.eat_any(&["ONLINE", "OFFLINE", "IGNORE"]) {}
    if !cursor.eat("TABLE") {
        return cursor.is_any(OTHER_OBJECTS).then_some(Statement::Nothing);
    }
    cursor.eat_all(&["IF", "EXISTS"]);
    let table = cursor.table()?;
    skip_wait(cursor);
    let actions = alter_actions(cursor)?;
    Some(Statement::Tables(vec![TableDdl::Alter { table, actions }]))
}

/// MariaDB: `WAIT 5`, `NOWAIT`.
fn skip_wait(cursor: &mut Cursor<'_>) {
    if cursor.eat("WAIT") {
        cursor.next();
    }
    cursor.eat("NOWAIT");
}

fn drop_(cursor: &mut Cursor<'_>) -> Option<Statement> {
    let temporary = cursor.eat("TEMPORARY");
    if cursor.eat_any(&["TABLE", "TABLES"]) {
        if temporary {
            return Some(Statement::Nothing);
        }
        cursor.eat_all(&["IF", "EXISTS"]);
        let mut drops = Vec::new();
        loop {
            drops.push(TableDdl::Drop { table: cursor.table()? });
            if !cursor.eat_symbol(',') {
                return Some(Statement::Tables(drops));
            }
        }
    }
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        cursor.eat_all(&["IF", "EXISTS"]);
        let database = cursor.name()?;
        let database = if cursor.dialect.lower_case_names { database.to_lowercase() } else { database };
        return Some(Statement::Tables(vec![TableDdl::DropDatabase { database }]));
    }
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    if cursor.eat("INDEX") {
        cursor.eat_all(&["IF", "EXISTS"]);
        let name = cursor.name()?;
        if !cursor.eat("ON") {
            return None;
        }
        let table = cursor.table()?;
        let action = if name.eq_ignore_ascii_case("PRIMARY") {
            AlterAction::DropPrimaryKey
        } else {
            AlterAction::DropIndex { name }
        };
        return Some(Statement::Tables(vec![TableDdl::Alter { table, actions: vec![action] }]));
    }
    cursor.is_any(OTHER_OBJECTS).then_some(Statement::Nothing)
}

fn rename(cursor: &mut Cursor<'_>) -> Option<Statement> {
    if !cursor.eat_any(&["TABLE", "TABLES"]) {
        return cursor.is("USER").then_some(Statement::Nothing);
    }
    cursor.eat_all(&["IF", "EXISTS"]);
    let mut renames = Vec::new();
    loop {
        let from = cursor.table()?;
        skip_wait(cursor);
        if !cursor.eat("TO") {
            return None;
        }
        renames.push(TableDdl::Rename { from, to: cursor.table()? });
        if !cursor.eat_symbol(',') {
            return Some(Statement::Tables(renames));
        }
    }
}

/// Every name in a statement that could be a table's.
fn names(mut cursor: Cursor<'_>) -> Vec<RelationName> {
    let mut found = BTreeSet::new();
    while !cursor.is_at_end() && found.len() < NAMES_MAX {
        let is_name = matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_)));
        match is_name.then(|| cursor.table()).flatten() {
            Some(table) => drop(found.insert(table)),
            None => drop(cursor.next()),
        }
    }
    found.into_iter().collect()
}
