//! Digests of rows that are here, as Arrow has them.

use aqueduct_model::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{Decimal128Type, Decimal256Type, DecimalType, TimeUnit};

use super::{CellText, RowText};
use crate::sql_target::cells::Cells;
use crate::sql_target::{format_date, format_time, format_timestamp};

/// One digest per row of a batch whose columns are written so.
///
/// # Errors
/// `Bug` when the batch has other columns.
pub(crate) fn digests(texts: &[CellText], rows: &RecordBatch) -> Result<Vec<u64>> {
    let mut digests = Vec::with_capacity(rows.num_rows());
    each_row(texts, rows, |text| digests.push(text.digest()))?;
    Ok(digests)
}

/// Calls `take` with the text of each row; it has to begin a new one.
pub(super) fn each_row(texts: &[CellText], rows: &RecordBatch, mut take: impl FnMut(&mut RowText)) -> Result<()> {
    if texts.len() != rows.num_columns() {
        return Err(Error::bug("rows do not have the columns that they are digested by"));
    }
    let columns: Vec<Cells> = rows.columns().iter().map(Cells::of).collect::<Result<_>>()?;
    let (mut row_text, mut scratch) = (RowText::default(), String::new());
    for row in 0..rows.num_rows() {
        for (column, cells) in texts.iter().zip(&columns) {
            if cells.is_null(row) {
                row_text.null(*column);
            } else {
                push(&mut row_text, *column, cells, row, &mut scratch)?;
            }
        }
        take(&mut row_text);
    }
    Ok(())
}

fn push(text: &mut RowText, column: CellText, cells: &Cells, row: usize, scratch: &mut String) -> Result<()> {
    scratch.clear();
    match cells {
        Cells::Bool(array) => text.integer(u8::from(array.value(row))),
        Cells::UInt64(array) => text.integer(array.value(row)),
        Cells::Text(array) => text.text(column, array.value(row)),
        Cells::Bytes(array) => text.bytes(array.value(row)),
        Cells::Decimal128(array) => {
            text.integer(Decimal128Type::format_decimal(array.value(row), array.precision(), array.scale()));
        }
        Cells::Decimal256(array) => {
            text.integer(Decimal256Type::format_decimal(array.value(row), array.precision(), array.scale()));
        }
        Cells::Int(array) => match column {
            CellText::Date => {
                format_date(array.value(row), scratch);
                text.plain(scratch.as_bytes());
            }
            CellText::Stamp { .. } => {
                format_timestamp(array.value(row), TimeUnit::Microsecond, false, scratch);
                moment(text, &scratch.replacen('T', " ", 1));
            }
            CellText::Time => {
                format_time(array.value(row), TimeUnit::Microsecond, scratch);
                moment(text, scratch);
            }
            _ => text.integer(array.value(row)),
        },
        Cells::Float32(_) | Cells::Float64(_) => return Err(Error::bug("a floating point number is digested")),
    }
    Ok(())
}

fn moment(text: &mut RowText, formatted: &str) {
    let (before, fraction) = formatted.split_once('.').unwrap_or((formatted, ""));
    text.moment(before.as_bytes(), fraction.as_bytes());
}

/// The texts of a batch's rows.
#[cfg(test)]
pub(crate) fn row_texts(texts: &[CellText], rows: &RecordBatch) -> Vec<String> {
    let mut found = Vec::new();
    each_row(texts, rows, |text| found.push(text.take())).expect("texts");
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit, i256};

    use super::*;

    /// A column of one value, and one of NULL.
    fn texts(array: ArrayRef, metadata: &[(&str, &str)]) -> [String; 2] {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let field = Field::new("c", array.data_type().clone(), true).with_metadata(metadata);
        let text = CellText::of(&field).expect("a text");
        let schema = Arc::new(Schema::new(vec![field]));
        let of = |array: ArrayRef| row_texts(&[text], &RecordBatch::try_new(schema.clone(), vec![array]).unwrap());
        let nothing = new_null_array(array.data_type(), 1);
        [of(array)[0].clone(), of(nothing)[0].clone()]
    }

    #[test]
    fn every_value_has_its_text() {
        let stamp = |us: i64| Arc::new(TimestampMicrosecondArray::from(vec![us])) as ArrayRef;
        let utc = |us: i64| Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC")) as ArrayRef;
        let decimal = |value: i128| {
            Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(10, 2).unwrap()) as ArrayRef
        };
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        type Given<'a> = (ArrayRef, &'a [(&'a str, &'a str)], &'a str);
        let given: Vec<Given<'_>> = vec![
            (Arc::new(BooleanArray::from(vec![true])), &[], "1,"),
            (Arc::new(BooleanArray::from(vec![false])), &[], "0,"),
            (Arc::new(Int8Array::from(vec![i8::MIN])), &[], "-128,"),
            (Arc::new(Int64Array::from(vec![i64::MIN])), &[], "-9223372036854775808,"),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), &[], "18446744073709551615,"),
            (decimal(-5), &[], "-0.05,"),
            (decimal(0), &[], "0.00,"),
            (decimal(123_450), &[], "1234.50,"),
            (
                Arc::new(Decimal256Array::from(vec![i256::from_i128(-10)]).with_precision_and_scale(60, 10).unwrap()),
                &[],
                "-0.0000000010,",
            ),
            (Arc::new(Date32Array::from(vec![19_782])), &[], "2024-02-29,"),
            (stamp(0), &[], "1970-01-01 00:00:00,"),
            (stamp(-1), &[], "1969-12-31 23:59:59.999999,"),
            (utc(1_700_000_000_500_000), &[], "2023-11-14 22:13:20.5,"),
            (Arc::new(Time64MicrosecondArray::from(vec![86_399_999_990])), &[], "23:59:59.99999,"),
            (Arc::new(DurationMicrosecondArray::from(vec![-1])), &[], "-1,"),
            (text(""), &[], "0:,"),
            (text("a,\u{1F600} "), &[], "7:a,\u{1F600} ,"),
            (text("ab  "), &[("source.type", "character(4)")], "2:ab,"),
            (Arc::new(BinaryArray::from_vec(vec![b""])), &[], "d41d8cd98f00b204e9800998ecf8427e,"),
            (Arc::new(BinaryArray::from_vec(vec![b"\0\xff"])), &[], "d07d34efac6328007ad67c7e0a985e00,"),
        ];
        for (array, metadata, expected) in given {
            let nothing = if array.data_type() == &DataType::Utf8 { ":," } else { "," };
            assert_eq!(texts(array, metadata), [expected, nothing]);
        }
    }

    #[test]
    fn what_systems_spell_in_many_ways_has_no_text() {
        let json = HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())]);
        for field in [
            Field::new("c", DataType::Float64, true),
            Field::new("c", DataType::Float32, true),
            Field::new("c", DataType::Utf8, true).with_metadata(json),
            Field::new("c", DataType::Decimal128(5, -2), true),
            Field::new("c", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        ] {
            assert_eq!(CellText::of(&field), None, "{field}");
        }
    }

    #[test]
    fn a_digest_is_half_of_an_md5() {
        // echo -n '1,2:ab,' | md5sum
        let columns: Vec<(&str, ArrayRef)> =
            vec![("id", Arc::new(Int32Array::from(vec![1]))), ("name", Arc::new(StringArray::from(vec!["ab"])))];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(digests(&[CellText::Int, CellText::Text], &rows).unwrap(), [0x4057250dfccd6996]);
    }
}
