//! The text of a row as PostgreSQL writes it: see `row_checksum`. Sessions write dates in ISO style and times in UTC.

use aqueduct_model::{Checksum, Error, Result};
use tokio_postgres::Row;

use crate::row_checksum::{CellText, checksum_of};

/// A function takes at most 100 arguments.
const ARGUMENTS_MAX: usize = 90;

/// The arguments of `concat` that make the text of an expression of the type that the text is read from; `None` for one
/// whose text is another here. `concat` writes nothing for NULL.
pub(crate) fn cell(expression: &str, text: CellText) -> Option<Vec<String>> {
    let of_text = |text: String| vec![format!("octet_length({text})"), "':'".to_owned(), text];
    let mut arguments = match text {
        CellText::Bool => vec![format!("{expression}::int4")],
        CellText::Int | CellText::Decimal { .. } | CellText::Date | CellText::Time | CellText::Stamp { utc: false } => {
            vec![expression.to_owned()]
        }
        // Without its +00.
        CellText::Stamp { utc: true } => vec![format!("left({expression}::text,-3)")],
        CellText::Text => of_text(expression.to_owned()),
        CellText::Padded => of_text(format!("rtrim({expression}::text,' ')")),
        CellText::Bytes => vec![format!("md5({expression})")],
        // An interval has months and days of its own.
        CellText::Duration => return None,
    };
    arguments.push("','".to_owned());
    Some(arguments)
}

/// The query that sums up rows whose cells are made so; `behind` is FROM and what follows it.
pub(crate) fn query(cells: &[Vec<String>], behind: &str) -> String {
    let arguments: Vec<&str> = cells.iter().flatten().map(String::as_str).collect();
    let parts: Vec<String> =
        arguments.chunks(ARGUMENTS_MAX).map(|arguments| format!("concat({})", arguments.join(","))).collect();
    let text = if parts.len() == 1 { parts.concat() } else { format!("concat({})", parts.join(",")) };
    format!(
        "SELECT count(*) AS rows, coalesce(sum(('x'||left(md5({text}),16))::bit(64)::int8),0)::text AS sum, \
         current_setting('server_encoding') = 'UTF8' AS utf8 {behind}"
    )
}

/// The query's answer; `None` where texts are kept in another character set than UTF-8.
///
/// # Errors
/// `Bug` for another answer.
pub(crate) fn answer(row: &Row) -> Result<Option<Checksum>> {
    let other = |error| Error::bug("a sum of digests has another form").with_source(error);
    if !row.try_get("utf8").map_err(other)? {
        return Ok(None);
    }
    checksum_of(row.try_get("rows").map_err(other)?, row.try_get("sum").map_err(other)?).map(Some)
}
