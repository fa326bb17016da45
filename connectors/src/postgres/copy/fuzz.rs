//! Damaged rows and cells: refused or read, but never a panic.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use bytes::Bytes;

use super::column::{ColumnBuilder, Unrepresentable};
use super::frame::{Frame, Frames, cells};
use crate::postgres::fuzz::{Damage, in_worker, inputs};

fn types() -> Vec<DataType> {
    vec![
        DataType::Boolean,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt32,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(38, 10),
        DataType::Decimal128(5, 2),
        DataType::Decimal256(76, 20),
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        DataType::Utf8,
        DataType::Binary,
    ]
}

const TEXTS: &[&str] = &[
    "t",
    "-32768",
    "4294967295",
    "9223372036854775807",
    "-1.7976931348623157e+308",
    "Infinity",
    "NaN",
    "-12345678901234567890123456.0123456789",
    "99999999999999999999999999999999999999999999999999999999.00000000000000000001",
    "2024-02-29",
    "5874897-12-31",
    "4713-01-01 BC",
    "23:59:59.999999",
    "24:00:00",
    "294276-12-31 23:59:59.999999",
    "2024-10-27 00:30:00.5+00",
    "0044-03-15 00:00:00+00 BC",
    "-infinity",
    "é😀",
    "\\x00ff5c",
];

fn binaries() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vec![vec![], vec![1], vec![0x80, 0], vec![0x7f, 0xff, 0xff, 0xff], vec![0x80; 8]];
    // 12345678.9, NaN and a number of 40 digits, as numeric_send writes them.
    all.push([0, 3, 0, 1, 0, 0, 0, 1, 0x04, 0xd2, 0x16, 0x2e, 0x23, 0x28].to_vec());
    all.push([0, 0, 0, 0, 0xc0, 0, 0, 0].to_vec());
    let mut long = vec![0, 10, 0, 9, 0x40, 0, 0, 0];
    long.extend([0x27, 0x0f].repeat(10));
    all.push(long);
    all
}

#[test]
fn damaged_cells_are_refused_or_read() {
    in_worker(module_path!(), "damaged_cells_are_refused_or_read", damage_cells);
}

fn damage_cells() {
    let (types, binaries) = (types(), binaries());
    for seed in 0..inputs() {
        let mut damage = Damage::new(seed);
        let field = Field::new("c", damage.one_of(&types).clone(), true);
        let mut column = ColumnBuilder::new(&field, Unrepresentable::Null).unwrap();
        let mut appended = 0;
        for _ in 0..4 {
            let text = damage.one_of(TEXTS).as_bytes();
            let text = damage.wound(text);
            appended += usize::from(column.append_text(&text).is_ok());
            let binary = damage.one_of(&binaries).clone();
            let binary = damage.wound(&binary);
            appended += usize::from(column.append_binary(&binary).is_ok());
        }
        let array = column.finish();
        array.to_data().validate_full().unwrap_or_else(|error| panic!("{error} in a column of {field}"));
        assert_eq!(array.len(), appended, "what is refused appends nothing: {field}");
    }
}

#[test]
fn damaged_rows_are_refused_or_read() {
    in_worker(module_path!(), "damaged_rows_are_refused_or_read", damage_rows);
}

fn damage_rows() {
    let mut message = b"PGCOPY\n\xff\r\n\0".to_vec();
    message.extend_from_slice(&[0; 8]);
    for cell in [&b"abc"[..], b"", b"0123456789"] {
        message.extend_from_slice(&2i16.to_be_bytes());
        message.extend_from_slice(&(cell.len() as i32).to_be_bytes());
        message.extend_from_slice(cell);
        message.extend_from_slice(&(-1i32).to_be_bytes());
    }
    message.extend_from_slice(&(-1i16).to_be_bytes());
    for seed in 0..inputs() {
        let mut damage = Damage::new(seed);
        let damaged = damage.wound(&message);
        let mut frames = Frames::new(2);
        let size = 1 + damage.below(damaged.len().max(1));
        'message: for part in damaged.chunks(size) {
            frames.feed(Bytes::copy_from_slice(part));
            loop {
                match frames.next() {
                    Ok(Frame::Row(row)) => assert!(cells(&row).count() <= 2),
                    Ok(Frame::Incomplete) => break,
                    Ok(Frame::End) | Err(_) => break 'message,
                }
            }
        }
    }
}
