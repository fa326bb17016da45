//! The text of a row as this server writes it: see `row_checksum`.

use aqueduct_model::{Checksum, Error, ErrorKind, Result};
use mysql_async::Row;

use super::column_type::base;
use crate::row_checksum::{CellText, checksum_of};

/// Added to a sum for a row without a digest: more than all digests of a table.
const NO_DIGEST: &str = "10000000000000000000000000000000000000000";

/// The arguments of CONCAT that make a column's text. `stored` is the column's full type, `utf8mb4` whether its texts are
/// in that character set; `None` for a type whose texts are not the table's.
pub(crate) fn cell(name: &str, text: CellText, stored: &str, utf8mb4: bool) -> Option<String> {
    let stored = stored.to_ascii_lowercase();
    let base = base(&stored);
    let zerofill = stored.contains("zerofill");
    let plain = |sql: &str| format!("IFNULL({sql},''),','");
    let is_integer = matches!(
        base.as_str(),
        "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" | "bit" | "year" | "bool" | "boolean"
    );
    let decimal_scale = || matches!(base.as_str(), "decimal" | "numeric").then(|| number(&stored, 1));
    Some(match text {
        // A number, not its display: without leading zeros, and bits as one.
        CellText::Bool if is_integer => plain(&format!("{name}+0")),
        CellText::Int if is_integer => plain(&format!("{name}+0")),
        CellText::Int if decimal_scale() == Some(0) && !zerofill => plain(name),
        CellText::Decimal { scale } if decimal_scale() == Some(scale) && !zerofill => plain(name),
        CellText::Date if base == "date" => plain(name),
        CellText::Stamp { .. } if matches!(base.as_str(), "datetime" | "timestamp") => {
            plain(&without_zeros(name, &stored))
        }
        CellText::Time if base == "time" => plain(&without_zeros(name, &stored)),
        // MariaDB's seconds have a fraction.
        CellText::Duration if base == "time" => {
            plain(&format!("IF(LEFT({name},1)='-',-1,1)*(FLOOR(ABS(TIME_TO_SEC({name})))*1000000+MICROSECOND({name}))"))
        }
        CellText::Text | CellText::Padded if is_text(&base) => {
            let converted = if utf8mb4 { name.to_owned() } else { format!("CONVERT({name} USING utf8mb4)") };
            let text = match text {
                CellText::Padded => format!("TRIM(TRAILING ' ' FROM {converted})"),
                _ => converted,
            };
            // As bytes: collations that cannot be mixed do not meet.
            format!("IFNULL(LENGTH({text}),''),':',IFNULL(CAST({text} AS BINARY),''),','")
        }
        CellText::Bytes if is_bytes(&base) => plain(&format!("MD5({name})")),
        _ => return None,
    })
}

fn is_text(base: &str) -> bool {
    matches!(base, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set")
}

fn is_bytes(base: &str) -> bool {
    matches!(base, "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob")
}

/// The number in the parentheses of a type; 0 where there is none.
fn number(stored: &str, place: usize) -> u8 {
    let inside = stored.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    inside.split(',').nth(place).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// A date or time with a fraction that ends in no zero.
fn without_zeros(name: &str, stored: &str) -> String {
    match number(stored, 0) {
        0 => name.to_owned(),
        _ => format!("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {name}))"),
    }
}

/// The query that sums up rows whose cells are made so; `behind` is FROM and what follows it.
pub(crate) fn query(cells: &[String], behind: &str) -> String {
    let digest = format!("CAST(CONV(LEFT(MD5(CONCAT({})),16),16,10) AS UNSIGNED)", cells.join(","));
    // CONCAT gives up (NULL) on a row that is longer than max_allowed_packet, and SUM would leave it out.
    format!("SELECT CAST(COUNT(*) AS SIGNED),CAST(IFNULL(SUM(IFNULL({digest},{NO_DIGEST})),0) AS CHAR) {behind}")
}

/// The query's answer.
///
/// # Errors
/// `Data` when a row has no digest.
pub(crate) fn answer(row: Option<Row>) -> Result<Checksum> {
    let answer: Option<(i64, String)> = row.and_then(|row| mysql_async::from_row_opt(row).ok());
    let (rows, sum) = answer.ok_or_else(|| Error::bug("a sum of digests has another form"))?;
    if sum.len() >= NO_DIGEST.len() {
        return Err(Error::new(ErrorKind::Data, "a row is longer than the server's max_allowed_packet"));
    }
    checksum_of(rows, &sum)
}
