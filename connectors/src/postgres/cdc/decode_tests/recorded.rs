//! What comes out of the recorded messages, word for word.

use aqueduct_model::conformance::record_texts;
use aqueduct_model::{Batch, Op};

use super::{Decoder, RECORDED, messages};
use crate::postgres::cdc::pgoutput::{self, Message};

/// Cells longer than this are shown by their length.
const LONG: usize = 100;

/// One line per row: `op cells`, with `~` for what is absent.
fn lines(batch: &Batch) -> Vec<String> {
    let mut lines = Vec::new();
    for (row, text) in record_texts(batch.rows()).unwrap().iter().enumerate() {
        let op = match batch.op(row) {
            Op::Insert => '+',
            Op::UpdateBefore => '<',
            Op::UpdateAfter => '>',
            Op::Delete => '-',
        };
        let cells = text.split('|').enumerate().map(|(column, cell)| match batch.present(column) {
            Some(present) if !present.value(row) => "~".to_owned(),
            _ if cell.len() > LONG => format!("({} bytes)", cell.len()),
            _ => cell.to_owned(),
        });
        lines.push(format!("{} {op} {}", batch.relation().name().table, cells.collect::<Vec<_>>().join("|")));
    }
    lines
}

fn decoded(recorded: &str, slot: &str) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for message in messages(recorded, slot) {
        decoder.read(&message).unwrap_or_else(|error| panic!("{error:?}"));
        found.extend(decoder.take().unwrap().iter().flat_map(lines));
    }
    found
}

const KINDS: [&str; 3] = [
    "kinds + 1|true|-32768|2147483647|4294967295|0.1|-1e300|-123456789.125|\
     1234567890123456789012345678901234567890.00000000000000000001|NaN|00ff5c|2024-02-29|23:59:59.999999|\
     2024-02-29T12:00:00.000001|2024-10-27T00:30:00.500Z|é😀 \"x\"|a |ab  |\
     {\"a\": [1, null], \"b\": 12345678901234567890123}|550e8400-e29b-41d4-a716-446655440000|{1,NULL,3}|dark blue|1.50|\
     -1 years -3 days +04:05:06.789",
    "kinds + 2|false|0|0|0|NaN|-inf|0.000|0.00000000000000000000|0.00||-0043-03-15|00:00:00|0000-01-01T00:00:00|\
     9999-12-31T23:59:59Z|||    |{}|00000000-0000-0000-0000-000000000000|{}|red|0.00|00:00:00",
    "kinds + 3|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
];

const CHANGES: [&str; 22] = [
    "keyed + 1|one|(3000 bytes)",
    "keyed + 2|two|small",
    "keyed + 3|three|NULL",
    // The large text was not touched.
    "keyed > 1|uno|~",
    // The key changes: another row, or the same with what the log does not have of it.
    "keyed < 1|~|~",
    "keyed > 10|uno|~",
    "keyed - 2|~|~",
    "keyed + -2|two|small",
    "keyed - 3|~|~",
    "keyed + -3|three|NULL",
    "keyed < 10|~|~",
    "keyed > -10|uno|~",
    "keyed - -2|~|~",
    "whole + 1|one|(3000 bytes)",
    "whole + 1|one|(3000 bytes)",
    "whole + 2|NULL|NULL",
    // The large text is in the old row.
    "whole < 1|one|(3000 bytes)",
    "whole > 1|uno|(3000 bytes)",
    "whole < 1|one|(3000 bytes)",
    "whole > 1|uno|(3000 bytes)",
    "whole - 2|NULL|NULL",
    "keyed > -3|three|NULL|8",
];

#[test]
fn case_042_to_047_rows_of_every_type_and_identity() {
    for (server, recorded) in RECORDED {
        let found = decoded(recorded, "plain");
        assert_eq!(found[..3], KINDS, "PostgreSQL {server}");
        let changes: Vec<&str> = found[3..25].iter().map(String::as_str).collect();
        assert_eq!(changes, CHANGES, "PostgreSQL {server}");
        assert_eq!(found[25], "keyed + 4|x|9", "PostgreSQL {server}: behind a dropped column");
    }
}

#[test]
fn the_binary_form_gives_the_same_numbers_dates_and_bytes() {
    for (server, recorded) in RECORDED {
        let cells = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        for (row, line) in decoded_binary(recorded).iter().enumerate() {
            let (binary, text) = (cells(line), cells(KINDS[row]));
            // All but those that are text in Arrow and have another binary form: the log is read in the text form.
            for column in (0..=8).chain(10..=17).chain([21]) {
                assert_eq!(binary[column], text[column], "PostgreSQL {server}, row {row}, column {column}");
            }
        }
    }
}

/// Rows of the binary form; columns whose binary form is no text are NULL in them.
fn decoded_binary(recorded: &str) -> Vec<String> {
    use crate::postgres::copy::ColumnBuilder;
    use arrow::array::RecordBatch;

    let mut relation = None;
    let mut rows = Vec::new();
    for message in messages(recorded, "binary") {
        match pgoutput::parse(&message, false).unwrap() {
            Message::Relation { relation: found, .. } => relation = Some(super::shape(&found).unwrap()),
            Message::Insert { new, .. } => {
                let relation = relation.as_ref().expect("a description comes first");
                let columns = relation.columns().fields().iter().zip(new.cells()).map(|(field, cell)| {
                    let policy = crate::postgres::copy::Unrepresentable::Null;
                    let mut column = ColumnBuilder::new(field, policy).unwrap();
                    let is_appended = match cell {
                        pgoutput::Cell::Binary(bytes) => column.append_binary(bytes).is_ok(),
                        pgoutput::Cell::Text(text) => column.append_text(text).is_ok(),
                        _ => false,
                    };
                    if !is_appended {
                        column.append_null();
                    }
                    column.finish()
                });
                let batch = RecordBatch::try_new(relation.columns().clone(), columns.collect()).unwrap();
                rows.extend(record_texts(&batch).unwrap().iter().map(|text| format!("kinds + {text}")));
            }
            _ => {}
        }
    }
    assert_eq!(rows.len(), 3);
    rows
}

#[test]
fn case_054_streamed_parts_name_their_subtransactions() {
    for (server, recorded) in RECORDED {
        let (mut in_stream, mut kinds, mut subs) = (false, String::new(), std::collections::BTreeSet::new());
        let mut whole = None;
        let (mut aborted, mut committed) = (None, None);
        for message in messages(recorded, "streamed") {
            let message = pgoutput::parse(&message, in_stream).unwrap();
            let kind = match &message {
                Message::StreamStart { xid } => {
                    (in_stream, whole) = (true, Some(*xid));
                    'S'
                }
                Message::StreamStop => {
                    in_stream = false;
                    'E'
                }
                Message::StreamAbort { xid, subtransaction } => {
                    assert_eq!(Some(*xid), whole);
                    aborted = Some(*subtransaction);
                    'A'
                }
                Message::StreamCommit { xid, commit_lsn, end_lsn, .. } => {
                    assert!(commit_lsn < end_lsn);
                    committed = Some(*xid);
                    'c'
                }
                Message::Insert { .. } if in_stream => {
                    subs.insert(message.subtransaction().expect("it stands in a stream"));
                    'I'
                }
                Message::Relation { .. } if in_stream => 'R',
                _ => continue,
            };
            kinds.push(kind);
        }
        assert_eq!(kinds, "SRIIIESIIIESIIIESIIIESIIIEASRIIIEc", "PostgreSQL {server}");
        assert_eq!(committed, whole, "PostgreSQL {server}");
        assert!(subs.contains(&aborted.unwrap()) && subs.contains(&whole.unwrap()) && subs.len() == 3, "{subs:?}");
    }
}

#[test]
fn a_message_that_is_unknown_or_cut_off_is_an_error() {
    for kind in *b"bPKrpXZ\0" {
        assert!(pgoutput::parse(&[kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false).is_err(), "{}", char::from(kind));
    }
    for (_, recorded) in RECORDED {
        for message in messages(recorded, "plain").filter(|message| message.len() < 1_000) {
            for end in 0..message.len() {
                // The origin's name and a logical message's content are not looked at.
                let is_looked_at = !matches!(message[0], b'O' | b'M' | b'Y');
                let is_refused = pgoutput::parse(&message[..end], false).is_err();
                assert!(is_refused || !is_looked_at, "{} cut at {end} of {}", char::from(message[0]), message.len());
            }
        }
    }
}

#[test]
fn a_key_that_arrow_cannot_hold_is_a_bad_row_whatever_the_policy() {
    let description = b"R\0\0\0\x07public\0t\0d\0\x01\x01day\0\0\0\x04\x3a\xff\xff\xff\xff";
    let mut decoder = Decoder::default();
    decoder.read(description).unwrap();
    for (cell, is_refused) in [(&b"t\0\0\0\x08infinity"[..], true), (b"n", true), (b"t\0\0\0\x0a2024-02-29", false)] {
        let message = [&b"I\0\0\0\x07N\0\x01"[..], cell].concat();
        let Message::Insert { oid, new, .. } = pgoutput::parse(&message, false).unwrap() else { panic!("an insert") };
        let refused = decoder.rows(oid).unwrap().insert(&new).unwrap();
        assert_eq!(refused.is_some(), is_refused, "{refused:?}");
    }
    assert_eq!(lines(&decoder.take().unwrap().unwrap()), ["t + 2024-02-29"]);
}
