//! Types of columns as `information_schema.COLUMN_TYPE` writes them, from how people write them.

use super::cursor::Cursor;
use super::lexer::Token;

/// A type that was declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeclaredType {
    /// `decimal(10,2) unsigned`, `enum('a','b')`.
    pub text: String,
    /// The character set that was named.
    pub charset: Option<String>,
    /// True for types that have a character set.
    pub is_text: bool,
    /// `SERIAL`: not null, counted up, unique.
    pub is_serial: bool,
    /// MariaDB's JSON: its own character set, whatever the table's.
    pub collation: Option<&'static str>,
}

/// What texts of one size are called, and bytes.
const BLOBS: [(&str, &str); 4] =
    [("tinytext", "tinyblob"), ("text", "blob"), ("mediumtext", "mediumblob"), ("longtext", "longblob")];

/// Reads a type with its attributes of sign and character set.
pub(super) fn declared_type(cursor: &mut Cursor<'_>) -> Option<DeclaredType> {
    let word = match cursor.next()? {
        Token::Word(word) => word.to_ascii_lowercase(),
        _ => return None,
    };
    let mut declared = DeclaredType::default();
    let base = synonym(&word, cursor, &mut declared)?;
    let arguments = if cursor.is_symbol('(') { Some(cursor.parentheses()?) } else { None };
    declared.text = match base {
        "enum" | "set" => labelled(base, arguments?)?,
        _ => numbered(base, arguments.map_or(Some(Vec::new()), numbers)?, cursor)?,
    };
    declared.is_text = is_text(base);
    attributes(cursor, &mut declared);
    if declared.charset.as_deref() == Some("binary") && declared.is_text && !matches!(base, "enum" | "set") {
        declared.text = as_bytes(&declared.text);
        declared.is_text = false;
        declared.charset = None;
    }
    Some(declared)
}

/// The name that the server keeps for a type.
fn synonym<'a>(word: &'a str, cursor: &mut Cursor<'_>, declared: &mut DeclaredType) -> Option<&'a str> {
    Some(match word {
        "int1" => "tinyint",
        "bool" | "boolean" => "bool",
        "int2" => "smallint",
        "int3" | "middleint" => "mediumint",
        "int4" | "integer" => "int",
        "int8" => "bigint",
        "serial" => {
            declared.is_serial = true;
            "serial"
        }
        "dec" | "numeric" | "fixed" => "decimal",
        "float4" => "float",
        "float8" | "real" => "double",
        "double" => {
            cursor.eat("PRECISION");
            "double"
        }
        "character" | "char" | "nchar" => {
            if word == "nchar" {
                declared.charset = Some("utf8mb3".to_owned());
            }
            if cursor.eat("VARYING") || cursor.eat("VARCHAR") { "varchar" } else { "char" }
        }
        "varcharacter" => "varchar",
        "nvarchar" => {
            declared.charset = Some("utf8mb3".to_owned());
            "varchar"
        }
        "national" => {
            declared.charset = Some("utf8mb3".to_owned());
            if cursor.eat("VARCHAR") {
                "varchar"
            } else {
                cursor.eat_any(&["CHAR", "CHARACTER"]);
                if cursor.eat("VARYING") { "varchar" } else { "char" }
            }
        }
        "long" => {
            if cursor.eat("VARBINARY") {
                "mediumblob"
            } else {
                cursor.eat_any(&["VARCHAR", "VARCHARACTER", "CHAR"]);
                cursor.eat("VARYING");
                "mediumtext"
            }
        }
        "clob" => "longtext",
        "raw" => "varbinary",
        "varchar2" => "varchar",
        "number" => "decimal",
        "geomcollection" => "geomcollection",
        "json" if cursor.dialect.mariadb => {
            declared.charset = Some("utf8mb4".to_owned());
            declared.collation = Some("utf8mb4_bin");
            "longtext"
        }
        other => other,
    })
}

fn is_text(base: &str) -> bool {
    matches!(base, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set")
}

/// The whole numbers in parentheses.
fn numbers(mut inside: Cursor<'_>) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    while let Some(token) = inside.next() {
        match token {
            Token::Number(digits) => numbers.push(digits.parse().ok()?),
            Token::Symbol(',') => {}
            // `VECTOR(…)` and `POINT REF_SYSTEM_ID` aside, nothing else stands there.
            _ => return None,
        }
    }
    Some(numbers)
}

/// `enum('a','it''s')`: labels without trailing spaces, which the server cuts off.
fn labelled(base: &str, mut inside: Cursor<'_>) -> Option<String> {
    let mut labels = Vec::new();
    while let Some(token) = inside.next() {
        match token {
            Token::Text(label) => labels.push(format!("'{}'", label.trim_end_matches(' ').replace('\'', "''"))),
            // `X'6162'`, `N'a'` and `_latin1'a'` are not written by the servers.
            Token::Symbol(',') => {}
            _ => return None,
        }
    }
    (!labels.is_empty()).then(|| format!("{base}({})", labels.join(",")))
}

/// A type with its lengths, as the server completes them.
fn numbered(base: &str, numbers: Vec<u64>, cursor: &Cursor<'_>) -> Option<String> {
    let first = numbers.first().copied();
    Some(match base {
        "bool" => "tinyint(1)".to_owned(),
        "serial" => "bigint unsigned".to_owned(),
        "decimal" => {
            // 0 stands for the default.
            let precision = first.filter(|precision| *precision > 0).unwrap_or(10);
            format!("decimal({precision},{})", numbers.get(1).copied().unwrap_or(0))
        }
        // FLOAT(p) names a precision in bits.
        "float" if numbers.len() == 1 && first > Some(24) => "double".to_owned(),
        "float" if numbers.len() == 1 => "float".to_owned(),
        "char" | "binary" | "bit" => format!("{base}({})", first.unwrap_or(1)),
        "year" => if cursor.dialect.mariadb { "year(4)" } else { "year" }.to_owned(),
        "time" | "datetime" | "timestamp" if first == Some(0) => base.to_owned(),
        "text" | "blob" => sized(base, first),
        _ if numbers.is_empty() => base.to_owned(),
        _ => {
            let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
            format!("{base}({})", numbers.join(","))
        }
    })
}

/// TEXT(n) and BLOB(n) are the smallest of their kind that holds n bytes; for texts of several bytes a character that is
/// an estimate, which changes nothing in how values are read.
fn sized(base: &str, length: Option<u64>) -> String {
    let step = match length {
        None => 1,
        Some(0..=255) => 0,
        Some(256..=65_535) => 1,
        Some(65_536..=16_777_215) => 2,
        Some(_) => 3,
    };
    let (text, blob) = BLOBS[step];
    if base == "text" { text } else { blob }.to_owned()
}

/// What a text type in the character set `binary` really is.
fn as_bytes(text: &str) -> String {
    if let Some((_, blob)) = BLOBS.iter().find(|(name, _)| *name == text) {
        return (*blob).to_owned();
    }
    match text.strip_prefix("char(") {
        Some(length) => format!("binary({length}"),
        None => text.replacen("varchar", "varbinary", 1),
    }
}

/// Sign, zeros and character set.
fn attributes(cursor: &mut Cursor<'_>, declared: &mut DeclaredType) {
    let (mut unsigned, mut zerofill) = (false, false);
    loop {
        if cursor.eat("UNSIGNED") {
            unsigned = true;
        } else if cursor.eat("ZEROFILL") {
            // Which means unsigned, too.
            (unsigned, zerofill) = (true, true);
        } else if cursor.eat("SIGNED") {
        } else if cursor.eat_all(&["CHARACTER", "SET"]) || cursor.eat_all(&["CHAR", "SET"]) || cursor.eat("CHARSET") {
            cursor.eat_symbol('=');
            declared.charset = cursor.name().map(|name| charset_name(&name));
        } else if cursor.eat("ASCII") {
            declared.charset = Some("latin1".to_owned());
        } else if cursor.eat("UNICODE") {
            declared.charset = Some("ucs2".to_owned());
        } else if cursor.eat("BYTE") {
            declared.charset = Some("binary".to_owned());
        } else if declared.is_text && cursor.eat("BINARY") {
            // Only the collation.
        } else if cursor.eat("COMPRESSED") {
            if cursor.eat_symbol('=') {
                cursor.next();
            }
        } else {
            break;
        }
    }
    if unsigned && !declared.text.contains("unsigned") {
        declared.text.push_str(" unsigned");
    }
    if zerofill {
        declared.text.push_str(" zerofill");
    }
}

/// A character set's name as the servers write it today.
pub(super) fn charset_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if lower == "utf8" { "utf8mb3".to_owned() } else { lower }
}
