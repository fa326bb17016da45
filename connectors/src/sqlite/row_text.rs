//! The text of a row as it lies in SQLite's cells (see `sink_values`): what `row_checksum` digests.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::row_checksum::{CellText, RowText};

/// Writes the text of a row whose columns begin at `first`; false when a cell is not as it was written.
pub(super) fn push(text: &mut RowText, columns: &[CellText], row: &Row<'_>, first: usize) -> bool {
    columns.iter().enumerate().all(|(i, column)| {
        let Ok(cell) = row.get_ref(first + i) else { return false };
        push_cell(text, *column, cell).is_some()
    })
}

fn push_cell(out: &mut RowText, column: CellText, cell: ValueRef<'_>) -> Option<()> {
    match (column, cell) {
        (_, ValueRef::Null) => out.null(column),
        (CellText::Bool | CellText::Int | CellText::Duration, ValueRef::Integer(value)) => out.integer(value),
        // Above 63 bits.
        (CellText::Int | CellText::Decimal { .. } | CellText::Date, ValueRef::Text(text)) => out.plain(text),
        (CellText::Text | CellText::Padded, ValueRef::Text(text)) => out.text(column, std::str::from_utf8(text).ok()?),
        (CellText::Bytes, ValueRef::Blob(value)) => out.bytes(value),
        (CellText::Time, ValueRef::Text(text)) => {
            let (before, fraction) = text.split_at_checked(8)?;
            out.moment(before, fraction.strip_prefix(b".")?);
        }
        (CellText::Stamp { utc }, ValueRef::Text(text)) => {
            let (day, rest) = text.split_at_checked(10)?;
            let rest = rest.strip_prefix(b"T")?;
            let rest = if utc { rest.strip_suffix(b"Z")? } else { rest };
            let (clock, fraction) = rest.split_at_checked(8)?;
            let mut before = [b' '; 19];
            before[..10].copy_from_slice(day);
            before[11..].copy_from_slice(clock);
            out.moment(&before, fraction.strip_prefix(b".")?);
        }
        _ => return None,
    }
    Some(())
}
