//! Finds records and cells in bytes, copying only cells that hold escaped quotes.
//!
//! The grammar is RFC 4180 with what files in the field need: records end with LF, CRLF or CR; empty lines are no
//! records; a quote counts only at the start of a cell; what follows a closing quote up to the delimiter belongs to the
//! cell. It accepts and splits what the crate `csv-core` does; a property test compares the two.

use super::dialect::Dialect;
use crate::text_files::{COLUMNS_MAX, COPIED, Cell, Cells, QUOTED, Scan, Scanner};

impl Scanner for Dialect {
    const TOO_LONG: &'static str = "raise `max_line_bytes`, or check `delimiter`, `quote` and `encoding`";

    fn scan(&mut self, text: &[u8], at: usize, last: bool, out: &mut Cells) -> Scan {
        scan(self, text, at, last, out)
    }

    fn line_breaks(text: &[u8]) -> u64 {
        line_breaks(text)
    }
}

/// Where a cell ended.
enum Ended {
    Delimiter(usize),
    /// Behind the line break, or the end of the last line.
    Record(usize),
    Incomplete {
        in_quotes: bool,
    },
}

/// Reads what begins at `at`, adding a record's cells to `out`. With `last` the text is the whole rest of the file.
///
/// An incomplete record leaves no cells behind.
fn scan(dialect: &Dialect, text: &[u8], at: usize, last: bool, out: &mut Cells) -> Scan {
    let Some(&first) = text.get(at) else { return Scan::Incomplete { in_quotes: false } };
    if first == b'\n' {
        return Scan::Skip { end: at + 1 };
    }
    if first == b'\r' {
        return match line_break(text, at, last) {
            Some(end) => Scan::Skip { end },
            None => Scan::Incomplete { in_quotes: false },
        };
    }
    if Some(first) == dialect.comment {
        let ended = text[at..].iter().position(|&byte| byte == b'\n' || byte == b'\r').map(|length| at + length);
        return match ended.map(|end| line_break(text, end, last)) {
            Some(Some(end)) => Scan::Skip { end },
            None if last => Scan::Skip { end: text.len() },
            _ => Scan::Incomplete { in_quotes: false },
        };
    }
    let (kept, copied) = (out.cells.len(), out.copied.len());
    let (mut start, mut count) = (at, 0);
    loop {
        let (cell, ended) = if text.get(start).is_some_and(|&byte| Some(byte) == dialect.quote) {
            quoted(dialect, text, start + 1, last, &mut out.copied)
        } else {
            let (end, ended) = unquoted(dialect, text, start, last);
            (Cell::new(start, end, 0), ended)
        };
        count += 1;
        if count <= COLUMNS_MAX {
            out.cells.push(cell);
        }
        match ended {
            Ended::Delimiter(next) => start = next,
            Ended::Record(end) => return Scan::Record { end, cells: count },
            Ended::Incomplete { in_quotes } => {
                out.cells.truncate(kept);
                out.copied.truncate(copied);
                return Scan::Incomplete { in_quotes };
            }
        }
    }
}

/// Behind the line break that begins at `at`; `None` when the text ends between CR and a possible LF.
fn line_break(text: &[u8], at: usize, last: bool) -> Option<usize> {
    if text[at] == b'\n' {
        return Some(at + 1);
    }
    match text.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(_) => Some(at + 1),
        None => last.then_some(at + 1),
    }
}

/// The end of the unquoted cell that begins at `start`, and what ended it.
fn unquoted(dialect: &Dialect, text: &[u8], start: usize, last: bool) -> (usize, Ended) {
    let Some(length) = text[start..].iter().position(|&byte| dialect.ends_cell[usize::from(byte)]) else {
        let ended = if last { Ended::Record(text.len()) } else { Ended::Incomplete { in_quotes: false } };
        return (text.len(), ended);
    };
    let end = start + length;
    if text[end] == dialect.delimiter {
        return (end, Ended::Delimiter(end + 1));
    }
    let ended = match line_break(text, end, last) {
        Some(next) => Ended::Record(next),
        None => Ended::Incomplete { in_quotes: false },
    };
    (end, ended)
}

/// The cell whose text begins at `start`, behind its opening quote.
fn quoted(dialect: &Dialect, text: &[u8], start: usize, last: bool, copied: &mut Vec<u8>) -> (Cell, Ended) {
    let incomplete = (Cell::new(start, start, 0), Ended::Incomplete { in_quotes: true });
    let copied_from = copied.len();
    let mut is_copied = false;
    // What begins here is not copied yet, if the cell is copied at all.
    let mut piece = start;
    let mut at = start;
    let close = loop {
        let special = |&byte: &u8| Some(byte) == dialect.quote || Some(byte) == dialect.escape;
        let Some(length) = text[at..].iter().position(special) else { return incomplete };
        at += length;
        let escapes = Some(text[at]) == dialect.escape;
        match text.get(at + 1) {
            None if escapes || !last => return incomplete,
            Some(&next) if escapes || Some(next) == dialect.quote => {
                copied.extend_from_slice(&text[piece..at]);
                copied.push(next);
                is_copied = true;
                at += 2;
                piece = at;
            }
            _ => break at,
        }
    };
    let (tail_end, ended) = unquoted(dialect, text, close + 1, last);
    if tail_end > close + 1 {
        is_copied = true;
        copied.extend_from_slice(&text[piece..close]);
        copied.extend_from_slice(&text[close + 1..tail_end]);
    } else if is_copied {
        copied.extend_from_slice(&text[piece..close]);
    }
    let cell =
        if is_copied { Cell::new(copied_from, copied.len(), QUOTED | COPIED) } else { Cell::new(start, close, QUOTED) };
    (cell, ended)
}

/// How many line breaks a text holds that begins and ends at record boundaries: LF, CRLF and CR count one each.
fn line_breaks(text: &[u8]) -> u64 {
    let feeds = text.iter().filter(|&&byte| byte == b'\n').count();
    if !text.contains(&b'\r') {
        return feeds as u64;
    }
    let lone = text.iter().zip(&text[1..]).filter(|&(&byte, &next)| byte == b'\r' && next != b'\n').count();
    (feeds + lone + usize::from(text.last() == Some(&b'\r'))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use csv_core::{ReadRecordResult, ReaderBuilder};

    fn dialect() -> Dialect {
        let settings = serde_json::json!({"path": "x", "escape": "\\"});
        Dialect::new(&serde_json::from_value(settings).unwrap()).unwrap()
    }

    /// The records of a text; `None` when it ends inside quotes.
    fn ours(text: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
        let (mut records, mut at) = (Vec::new(), 0);
        loop {
            let mut cells = Cells::default();
            match scan(&dialect(), text, at, true, &mut cells) {
                Scan::Record { end, cells: count } => {
                    assert_eq!(cells.cells.len(), count);
                    let bytes =
                        |cell: &Cell| if cell.is_copied() { &cells.copied[cell.range()] } else { &text[cell.range()] };
                    records.push(cells.cells.iter().map(|cell| bytes(cell).to_vec()).collect());
                    at = end;
                }
                Scan::Skip { end } => at = end,
                Scan::Bad { reason, .. } => panic!("{reason}"),
                Scan::Incomplete { in_quotes: true } => return None,
                Scan::Incomplete { in_quotes: false } => {
                    assert_eq!(at, text.len());
                    return Some(records);
                }
            }
        }
    }

    fn theirs(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = ReaderBuilder::new().escape(Some(b'\\')).build();
        let (mut output, mut ends) = ([0; 256], [0; 256]);
        let (mut records, mut at) = (Vec::new(), 0);
        let (mut written, mut cells) = (0, 0);
        loop {
            let (result, read, wrote, ended) =
                reader.read_record(&text[at..], &mut output[written..], &mut ends[cells..]);
            at += read;
            written += wrote;
            cells += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => {
                    let starts = std::iter::once(0).chain(ends[..cells].iter().copied());
                    records.push(starts.zip(&ends[..cells]).map(|(start, &end)| output[start..end].to_vec()).collect());
                    (written, cells) = (0, 0);
                }
                ReadRecordResult::End => return records,
                other => panic!("{other:?}"),
            }
        }
    }

    fn random_texts() -> impl Iterator<Item = Vec<u8>> {
        let mut state = 42u64;
        (0..200_000).map(move |_| {
            let mut next = |bound: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % bound
            };
            let length = next(24);
            (0..length).map(|_| b"ab,,\"\"\"\n\n\r\\ "[next(12) as usize]).collect()
        })
    }

    #[test]
    fn records_are_those_of_csv_core() {
        let mut compared = 0;
        for text in random_texts() {
            if let Some(records) = ours(&text) {
                compared += 1;
                assert_eq!(records, theirs(&text), "{:?}", String::from_utf8_lossy(&text));
            }
        }
        assert!(compared > 100_000);
    }

    #[test]
    fn a_text_that_goes_on_is_split_as_if_it_had_been_whole() {
        let dialect = dialect();
        for text in random_texts().take(20_000) {
            let mut at = 0;
            while at < text.len() {
                let mut whole = Cells::default();
                let expected = scan(&dialect, &text, at, true, &mut whole);
                for end in at..text.len() {
                    let mut part = Cells::default();
                    match scan(&dialect, &text[..end], at, false, &mut part) {
                        Scan::Incomplete { .. } => assert!(part.cells.is_empty() && part.copied.is_empty()),
                        early => assert_eq!((&early, &part.cells), (&expected, &whole.cells)),
                    }
                }
                match expected {
                    Scan::Record { end, .. } | Scan::Skip { end } => at = end,
                    Scan::Incomplete { .. } => break,
                    Scan::Bad { reason, .. } => panic!("{reason}"),
                }
            }
        }
    }

    #[test]
    fn line_breaks_are_counted_once_each() {
        for (text, expected) in [("", 0), ("a", 0), ("a\n\n", 2), ("a\r\nb\r\n", 2), ("a\rb\r", 2), ("\r\r\n\n", 3)] {
            assert_eq!(line_breaks(text.as_bytes()), expected, "{text:?}");
        }
    }
}
