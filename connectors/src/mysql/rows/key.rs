//! Ranges of a table's key, as SQL that the database compares in its own order.

use aqueduct_model::{Error, ErrorKind, Relation, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use chrono::DateTime;
use mysql_async::Value;

use super::sql::quoted;
use crate::sql_input::Side;

const DAY_US: i64 = 86_400_000_000;

/// A column as an expression that sorts in the same way as it compares with [`placeholder`].
///
/// ENUM and SET sort by number and compare by text, and a number below 100 is taken for a short year: such columns are
/// sorted by what they compare by, without their index.
fn expression(field: &Field) -> String {
    let column = quoted(field.name());
    match declared(field) {
        "enum" | "set" => format!("CAST({column} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin"),
        "year" => format!("({column}+0)"),
        _ => column,
    }
}

/// The first word of the column's own type: `enum`, `decimal`, `datetime`.
fn declared(field: &Field) -> &str {
    let text = field.metadata().get("source.type").map_or("", String::as_str);
    text.split(['(', ' ']).next().unwrap_or_default()
}

/// A parameter that has the column's type.
pub(crate) fn placeholder(field: &Field) -> String {
    match field.data_type() {
        // A decimal column and a text would be compared as floating-point numbers.
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("CAST(? AS DECIMAL({precision},{scale}))")
        }
        DataType::Date32 => "CAST(? AS DATE)".to_owned(),
        DataType::Timestamp(..) => "CAST(? AS DATETIME(6))".to_owned(),
        // A text beside a TIME column is compared as a time. With a parameter that is cast to TIME, MySQL 8.0 takes `>`
        // for `>=` when it reads by an index.
        DataType::Duration(_) => "?".to_owned(),
        // Parameters are texts in utf8mb4, which not every sequence of bytes is.
        DataType::Binary => "UNHEX(?)".to_owned(),
        _ if matches!(declared(field), "enum" | "set") => {
            "CAST(? AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin".to_owned()
        }
        _ => "?".to_owned(),
    }
}

/// What orders rows by these columns, to stand behind ORDER BY.
pub(crate) fn order_by(relation: &Relation, columns: &[usize]) -> String {
    columns.iter().map(|&column| expression(relation.columns().field(column))).collect::<Vec<_>>().join(",")
}

/// The condition for rows on one side of `edge`, one row with the values of `columns` in that order; parameters are
/// appended.
///
/// It is written out as `a >= ? AND (a > ? OR b > ?)`, because the server uses no index for `(a, b) > (?, ?)`.
///
/// # Errors
/// `Data` when the edge holds a NULL; `Bug` for a type that cannot be a key.
pub(crate) fn beside(
    relation: &Relation,
    columns: &[usize],
    side: Side,
    edge: &RecordBatch,
    params: &mut Vec<Value>,
) -> Result<String> {
    let (strict, last) = match side {
        Side::Above => (">", ">"),
        Side::From => (">", ">="),
        Side::UpTo => ("<", "<="),
    };
    let mut condition = String::new();
    let mut open = 0;
    for (i, &column) in columns.iter().enumerate() {
        let field = relation.columns().field(column);
        let (expression, placeholder) = (expression(field), placeholder(field));
        let value = parameter(field, edge.column(i).as_ref())?;
        if i + 1 == columns.len() {
            condition.push_str(&format!("{expression} {last} {placeholder}"));
        } else {
            condition.push_str(&format!(
                "({expression} {strict}= {placeholder} AND ({expression} {strict} {placeholder} OR "
            ));
            params.push(value.clone());
            open += 2;
        }
        params.push(value);
    }
    condition.push_str(&")".repeat(open));
    Ok(condition)
}

/// The condition for rows that have the values of one row of `keys` in `columns`; parameters are appended.
///
/// The last key stands in it as often as it takes to make their number a power of two: the server keeps few statements
/// prepared then.
///
/// # Errors
/// As [`beside`].
pub(crate) fn among(
    relation: &Relation,
    columns: &[usize],
    keys: &RecordBatch,
    params: &mut Vec<Value>,
) -> Result<String> {
    let fields: Vec<&Field> = columns.iter().map(|&column| relation.columns().field(column)).collect();
    let one = fields.iter().map(|field| placeholder(field)).collect::<Vec<_>>().join(",");
    let count = keys.num_rows().next_power_of_two();
    for row in 0..count {
        let row = row.min(keys.num_rows() - 1);
        for (field, cells) in fields.iter().zip(keys.columns()) {
            params.push(parameter(field, cells.slice(row, 1).as_ref())?);
        }
    }
    let one = if fields.len() == 1 { one } else { format!("({one})") };
    let all = vec![one; count].join(",");
    let expressions = order_by(relation, columns);
    Ok(if fields.len() == 1 { format!("{expressions} IN ({all})") } else { format!("({expressions}) IN ({all})") })
}

/// The only cell of an array, as [`placeholder`] takes it.
pub(crate) fn parameter(field: &Field, cell: &dyn Array) -> Result<Value> {
    if cell.is_empty() || cell.is_null(0) {
        return Err(Error::new(
            ErrorKind::Data,
            format!("key column {} holds NULL, or a date that does not exist", field.name()),
        )
        .with_hint("set `zero_dates: text`, or order the reading by other columns: `key`"));
    }
    Ok(match cell.data_type() {
        DataType::Boolean => Value::Int(i64::from(cell.as_boolean().value(0))),
        DataType::Int8 => Value::Int(cell.as_primitive::<Int8Type>().value(0).into()),
        DataType::Int16 => Value::Int(cell.as_primitive::<Int16Type>().value(0).into()),
        DataType::Int32 => Value::Int(cell.as_primitive::<Int32Type>().value(0).into()),
        DataType::Int64 => Value::Int(cell.as_primitive::<Int64Type>().value(0)),
        DataType::UInt8 => Value::UInt(cell.as_primitive::<UInt8Type>().value(0).into()),
        DataType::UInt16 => Value::UInt(cell.as_primitive::<UInt16Type>().value(0).into()),
        DataType::UInt32 => Value::UInt(cell.as_primitive::<UInt32Type>().value(0).into()),
        DataType::UInt64 => Value::UInt(cell.as_primitive::<UInt64Type>().value(0)),
        DataType::Float32 => Value::Double(cell.as_primitive::<Float32Type>().value(0).into()),
        DataType::Float64 => Value::Double(cell.as_primitive::<Float64Type>().value(0)),
        DataType::Decimal128(..) => text(cell.as_primitive::<Decimal128Type>().value_as_string(0)),
        DataType::Decimal256(..) => text(cell.as_primitive::<Decimal256Type>().value_as_string(0)),
        DataType::Date32 => {
            let us = i64::from(cell.as_primitive::<Date32Type>().value(0)) * DAY_US;
            text(instant(us)?.format("%Y-%m-%d").to_string())
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let us = cell.as_primitive::<TimestampMicrosecondType>().value(0);
            text(instant(us)?.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            text(duration(cell.as_primitive::<DurationMicrosecondType>().value(0)))
        }
        DataType::Utf8 => text(cell.as_string::<i32>().value(0).to_owned()),
        DataType::Binary => {
            let hex: String = cell.as_binary::<i32>().value(0).iter().map(|byte| format!("{byte:02x}")).collect();
            text(hex)
        }
        other => return Err(Error::bug(format!("key column {} has the type {other}", field.name()))),
    })
}

fn text(text: String) -> Value {
    Value::Bytes(text.into_bytes())
}

fn instant(us: i64) -> Result<DateTime<chrono::Utc>> {
    DateTime::from_timestamp_micros(us).ok_or_else(|| Error::bug("a key's date is outside of the calendar"))
}

fn duration(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    let us = us.unsigned_abs();
    let seconds = us / 1_000_000;
    format!("{sign}{}:{:02}:{:02}.{:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60, us % 1_000_000)
}
