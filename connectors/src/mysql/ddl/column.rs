//! Definitions of columns.

use super::column_type::{DeclaredType, declared_type};
use super::create::cascades;
use super::cursor::Cursor;
use super::lexer::{Dialect, Token, tokens};
use crate::mysql::column_default::ColumnDefault;
use crate::mysql::column_type::base;

/// A column as CREATE or ALTER defines it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ColumnDefinition {
    pub name: String,
    pub declared: DeclaredType,
    pub collation: Option<String>,
    /// False after NOT NULL, and for a column of the primary key.
    pub nullable: bool,
    /// True when rows that were there before get a value that is not NULL.
    pub fills_rows: bool,
    pub primary_key: bool,
    pub unique: bool,
    /// `virtual` or `stored`.
    pub generated: Option<&'static str>,
    pub default: ColumnDefault,
    /// It names a foreign key (MariaDB) by which the server changes rows of this table.
    pub cascades: bool,
}

/// Where ALTER puts a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    After(String),
}

/// Reads `name type attributes`, up to the end or a place.
pub(super) fn column_definition(cursor: &mut Cursor<'_>) -> Option<ColumnDefinition> {
    let name = cursor.name()?;
    let declared = declared_type(cursor)?;
    let mut column = ColumnDefinition { name, declared, nullable: true, ..ColumnDefinition::default() };
    if column.declared.is_serial {
        column.nullable = false;
        column.unique = true;
        column.fills_rows = true;
    }
    let mut fills = None;
    while !cursor.is_at_end() && !is_place(cursor) {
        attribute(cursor, &mut column, &mut fills)?;
    }
    // Without a default, NOT NULL gives old rows the zero of the type.
    column.fills_rows |= match fills {
        Some(is_value) => is_value,
        None => !column.nullable,
    };
    column.fills_rows |= column.generated.is_some();
    // A TIMESTAMP that does not say may have one, by the server's settings.
    let is_settled = fills.is_some() || base(&column.declared.text) != "timestamp";
    if column.generated.is_some() || !is_settled {
        column.default = ColumnDefault::Computed;
    }
    Some(column)
}

fn is_place(cursor: &Cursor<'_>) -> bool {
    cursor.is("FIRST") || (cursor.is("AFTER") && cursor.tokens.len() > 1)
}

/// Reads `FIRST` or `AFTER x`.
pub(super) fn place(cursor: &mut Cursor<'_>) -> Option<Option<Place>> {
    if cursor.eat("FIRST") {
        return Some(Some(Place::First));
    }
    if cursor.eat("AFTER") {
        return Some(Some(Place::After(cursor.name()?)));
    }
    Some(None)
}

/// Reads one attribute; those that change no values are passed. `fills` becomes true for a default that is not NULL.
fn attribute(cursor: &mut Cursor<'_>, column: &mut ColumnDefinition, fills: &mut Option<bool>) -> Option<()> {
    if cursor.eat_all(&["NOT", "NULL"]) {
        column.nullable = false;
    } else if cursor.eat("NULL") {
        column.nullable = true;
        fills.get_or_insert(false);
    } else if cursor.eat("DEFAULT") {
        *fills = Some(!cursor.is("NULL"));
        column.default = default_expression(cursor);
    } else if cursor.eat("AUTO_INCREMENT") {
        column.fills_rows = true;
    } else if cursor.eat_all(&["ON", "UPDATE"]) {
        expression(cursor);
    } else if cursor.eat_all(&["PRIMARY", "KEY"]) || (cursor.is("KEY") && cursor.eat("KEY")) {
        column.primary_key = true;
        column.nullable = false;
    } else if cursor.eat("UNIQUE") {
        cursor.eat("KEY");
        column.unique = true;
    } else if cursor.eat("COLLATE") {
        cursor.eat_symbol('=');
        column.collation = Some(cursor.name()?.to_ascii_lowercase());
    } else if cursor.eat("AS") || cursor.eat_all(&["GENERATED", "ALWAYS", "AS"]) {
        cursor.parentheses()?;
        column.generated.get_or_insert("virtual");
    } else if cursor.eat("STORED") || cursor.eat("PERSISTENT") {
        column.generated = Some("stored");
    } else if cursor.eat("REFERENCES") {
        cursor.table()?;
        cursor.parentheses();
        // MySQL passes over a reference that stands with a column.
        column.cascades = cascades_here(*cursor) && cursor.dialect.mariadb;
    } else if cursor.eat("CHECK") {
        cursor.parentheses()?;
    } else if cursor.eat_all(&["GENERATED", "ALWAYS"]) {
        // MariaDB: `GENERATED ALWAYS AS ROW START`.
        return None;
    } else if cursor.is_symbol('(') {
        cursor.parentheses()?;
    } else {
        cursor.next();
    }
    Some(())
}

/// The default that SQL text stands for.
pub(crate) fn default_value(sql: &str, dialect: Dialect) -> ColumnDefault {
    let tokens = tokens(sql, dialect);
    let mut cursor = Cursor { tokens: &tokens, dialect, database: "" };
    let default = default_expression(&mut cursor);
    if cursor.is_at_end() { default } else { ColumnDefault::Computed }
}

/// Reads the expression behind DEFAULT.
pub(super) fn default_expression(cursor: &mut Cursor<'_>) -> ColumnDefault {
    let first = cursor.tokens;
    expression(cursor);
    let own = &first[..first.len() - cursor.tokens.len()];
    literal(own).unwrap_or(ColumnDefault::Computed)
}

fn literal(tokens: &[Token]) -> Option<ColumnDefault> {
    let (sign, unsigned) = match tokens {
        [Token::Symbol('-'), rest @ ..] => ("-", rest),
        [Token::Symbol('+'), rest @ ..] => ("", rest),
        rest => ("", rest),
    };
    let number = |text: String| Some(ColumnDefault::Number(format!("{sign}{text}")));
    match unsigned {
        [Token::Number(whole)] => number(whole.clone()),
        [Token::Number(whole), Token::Symbol('.'), Token::Number(fraction)] => number(format!("{whole}.{fraction}")),
        _ if unsigned.len() < tokens.len() => None,
        [Token::Text(text)] => Some(ColumnDefault::Text(text.clone())),
        [Token::Word(word)] if word.eq_ignore_ascii_case("NULL") => Some(ColumnDefault::Null),
        [Token::Word(word)] if word.eq_ignore_ascii_case("TRUE") => number("1".to_owned()),
        [Token::Word(word)] if word.eq_ignore_ascii_case("FALSE") => number("0".to_owned()),
        [Token::Word(word), Token::Text(digits)] if word.eq_ignore_ascii_case("b") => {
            Some(ColumnDefault::Bits(digits.clone()))
        }
        _ => None,
    }
}

/// True when the actions of a reference change rows.
fn cascades_here(mut cursor: Cursor<'_>) -> bool {
    while cursor.eat_any(&["MATCH", "FULL", "PARTIAL", "SIMPLE"]) {}
    let is_action = cursor.is("ON") && (cursor.is_nth(1, "DELETE") || cursor.is_nth(1, "UPDATE"));
    is_action && cascades(&mut cursor)
}

/// Passes a default: a literal, a function with its arguments, or an expression in parentheses.
fn expression(cursor: &mut Cursor<'_>) {
    if cursor.is_symbol('(') {
        cursor.parentheses();
        return;
    }
    while cursor.eat_symbol('-') || cursor.eat_symbol('+') {}
    let first = cursor.next();
    // `X'00'`, `_utf8mb4'x'`, `DATE '2024-01-01'`.
    if matches!(first, Some(Token::Word(_))) && matches!(cursor.peek(), Some(Token::Text(_))) {
        cursor.next();
    }
    if cursor.is_symbol('(') {
        cursor.parentheses();
    }
    while cursor.eat_symbol('.') {
        cursor.next();
    }
}
