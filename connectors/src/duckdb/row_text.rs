//! The text of a row as DuckDB writes it: see `row_checksum`.

use crate::row_checksum::CellText;

/// The arguments of `concat` that make a column's text; `concat` writes nothing for NULL. `None` for a type whose texts
/// are not the table's. `stored` is the column's type, in capitals.
pub(super) fn cell(name: &str, text: CellText, stored: &str) -> Option<String> {
    let is_integer = stored.ends_with("INT") || stored.ends_with("INTEGER");
    let plain = |sql: &str| format!("{sql},','");
    Some(match text {
        CellText::Bool if stored == "BOOLEAN" => plain(&format!("{name}::TINYINT")),
        CellText::Int | CellText::Duration if is_integer => plain(name),
        CellText::Decimal { scale } if is_decimal(stored, scale) => plain(name),
        // More digits than DECIMAL has are kept as the text that they are.
        CellText::Decimal { .. } if stored == "VARCHAR" => plain(name),
        CellText::Date if stored == "DATE" => plain(name),
        CellText::Stamp { utc: false } if stored == "TIMESTAMP" => plain(&format!("{name}::VARCHAR")),
        CellText::Stamp { utc: true } if stored == "TIMESTAMP WITH TIME ZONE" => {
            plain(&format!("make_timestamp(epoch_us({name}))::VARCHAR"))
        }
        CellText::Time if stored == "TIME" => plain(&format!("{name}::VARCHAR")),
        CellText::Text if stored == "VARCHAR" => format!("strlen({name}),':',{name},','"),
        CellText::Padded if stored == "VARCHAR" => format!("strlen(rtrim({name},' ')),':',rtrim({name},' '),','"),
        CellText::Bytes if stored == "BLOB" => plain(&format!("md5({name})")),
        _ => return None,
    })
}

fn is_decimal(stored: &str, scale: u8) -> bool {
    let inside = stored.strip_prefix("DECIMAL(").and_then(|rest| rest.strip_suffix(')'));
    let numbers = inside.and_then(|inside| inside.split_once(','));
    // Without a digit before the point there is no zero before it either.
    numbers.is_some_and(|(digits, found)| found.trim().parse() == Ok(scale) && digits.trim().parse() != Ok(scale))
}

/// The query that sums up rows whose cells are made so: a count, and the sum as a text. `behind` is FROM and what
/// follows it.
pub(super) fn query(cells: &[String], behind: &str) -> String {
    let digest = format!("('0x'||left(md5(concat({})),16))::UBIGINT", cells.join(","));
    format!("SELECT count(*),coalesce(sum({digest}),0)::VARCHAR {behind}")
}
