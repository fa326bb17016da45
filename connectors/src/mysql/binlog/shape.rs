//! Does a table, as the log lays it out, agree with its relation, as schema history has it?

use aqueduct_model::{Error, ErrorKind, Relation, Result};
use arrow::datatypes::{DataType, Field, TimeUnit};

use super::charset::Charset;
use super::convert::{Column, Conversion};
use super::missing::Missing;
use super::table_map::{Packing, TableMap};
use super::temporal::DateForm;
use crate::mysql::column_type::{SOURCE_CHARSET, SOURCE_TYPE, base};
use crate::mysql::rows::{TextForm, ZeroDates};

/// How each column of the table is read.
///
/// # Errors
/// `Schema` when the columns are others: of another number, of other names, or of types that the relation's cannot hold.
pub(super) fn columns(relation: &Relation, map: &TableMap, zero_dates: ZeroDates) -> Result<Vec<Column>> {
    let fields = relation.columns().fields();
    if fields.len() != map.columns.len() {
        return Err(disagree(relation, format!("{} columns where {} are known", map.columns.len(), fields.len())));
    }
    let mut columns = Vec::with_capacity(fields.len());
    for (i, field) in fields.iter().enumerate() {
        if let Some(name) = map.metadata.names.get(i).filter(|name| *name != field.name()) {
            return Err(disagree(relation, format!("a column {name} where {} is known", field.name())));
        }
        let known = map.metadata.collations.get(i).copied().flatten();
        let Some(conversion) = conversion(field, map.columns[i], known, zero_dates) else {
            let declared = field.metadata().get(SOURCE_TYPE).map_or("an unknown type", String::as_str);
            return Err(disagree(relation, format!("another type of column {} than {declared}", field.name())));
        };
        if is_other_sign(field, map.metadata.unsigned.get(i).copied().flatten()) {
            return Err(disagree(relation, format!("another sign of column {} than is known", field.name())));
        }
        columns.push(Column {
            packing: map.columns[i],
            conversion,
            nullable: field.is_nullable(),
            missing: Missing::of(field, zero_dates),
        });
    }
    Ok(columns)
}

fn disagree(relation: &Relation, what: String) -> Error {
    Error::new(ErrorKind::Schema, format!("the binary log has {what}, in rows of {}", relation.name())).with_hint(
        "the table was changed by a statement that is not in the log (sql_log_bin = 0), or before the log that is read \
         began: take a new snapshot of this table",
    )
}

/// True when the log says that a whole number has the other sign than its field's type.
fn is_other_sign(field: &Field, unsigned: Option<bool>) -> bool {
    let is_unsigned = match field.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => false,
        DataType::UInt8 | DataType::UInt32 | DataType::UInt64 => true,
        // UInt16 is YEAR, too.
        _ => return false,
    };
    unsigned.is_some_and(|unsigned| unsigned != is_unsigned)
}

/// How values of that packing become values of that field; `None` when they cannot.
fn conversion(field: &Field, packing: Packing, collation: Option<u16>, zero_dates: ZeroDates) -> Option<Conversion> {
    let declared = field.metadata().get(SOURCE_TYPE).map_or("", String::as_str);
    let is_text = *field.data_type() == DataType::Utf8;
    let date = Conversion::Date(DateForm { zero_dates, text: is_text.then(|| TextForm::of(field)) });
    let is_plain = match (packing, field.data_type()) {
        (Packing::Int(1), DataType::Int8 | DataType::UInt8)
        | (Packing::Int(2), DataType::Int16 | DataType::UInt16)
        | (Packing::Int(3 | 4), DataType::Int32 | DataType::UInt32)
        | (Packing::Int(8), DataType::Int64 | DataType::UInt64)
        | (Packing::Float, DataType::Float32)
        | (Packing::Double, DataType::Float64)
        | (Packing::Year, DataType::UInt16)
        | (Packing::Bit(1), DataType::Boolean)
        | (Packing::Bit(_), DataType::UInt64)
        | (Packing::Time(_) | Packing::OldTime, DataType::Duration(TimeUnit::Microsecond)) => true,
        (
            Packing::Decimal { precision, scale },
            &DataType::Decimal128(digits, places) | &DataType::Decimal256(digits, places),
        ) => digits == precision && i16::from(places) == i16::from(scale),
        _ => false,
    };
    if is_plain {
        return Some(Conversion::Plain);
    }
    match (packing, field.data_type()) {
        (Packing::Date, DataType::Date32 | DataType::Utf8) => Some(date),
        (Packing::DateTime(_) | Packing::OldDateTime, DataType::Timestamp(_, None) | DataType::Utf8) => Some(date),
        (Packing::Timestamp(_) | Packing::OldTimestamp, DataType::Timestamp(_, Some(_)) | DataType::Utf8) => Some(date),
        (Packing::Enum(_), DataType::Utf8) if base(declared) == "enum" => Some(Conversion::Labels(labels(declared)?)),
        (Packing::Set(_), DataType::Utf8) if base(declared) == "set" => Some(Conversion::Labels(labels(declared)?)),
        (Packing::Json(_), DataType::Utf8) => Some(Conversion::Json),
        (Packing::Geometry(_) | Packing::Vector(_), DataType::Binary) => Some(Conversion::Bytes),
        (
            Packing::String { .. } | Packing::Blob(_) | Packing::CompressedString { .. } | Packing::CompressedBlob(_),
            DataType::Utf8 | DataType::Binary,
        ) => string(field, &base(declared), packing, collation),
        _ => None,
    }
}

/// The conversion of values that are bytes behind a length.
fn string(field: &Field, base: &str, packing: Packing, collation: Option<u16>) -> Option<Conversion> {
    if *field.data_type() == DataType::Binary {
        return Some(match packing {
            Packing::String { max, .. } if base == "binary" => Conversion::Padded(usize::from(max)),
            _ => Conversion::Bytes,
        });
    }
    match (base, packing) {
        ("uuid", Packing::String { .. }) => return Some(Conversion::Uuid),
        ("inet4", Packing::String { .. }) => return Some(Conversion::Inet4),
        ("inet6", Packing::String { .. }) => return Some(Conversion::Inet6),
        ("enum" | "set" | "date" | "datetime" | "timestamp", _) => return None,
        _ => {}
    }
    // What the log says of these very bytes counts before what is remembered.
    let charset = match collation.and_then(Charset::of_collation) {
        Some(Charset::Binary) => return None,
        Some(charset) => charset,
        None => match field.metadata().get(SOURCE_CHARSET) {
            Some(name) => Charset::named(name)?,
            None => Charset::Utf8,
        },
    };
    Some(Conversion::Text(charset))
}

/// The labels of `enum('a','it''s')`: quotes are doubled inside, nothing else is escaped.
pub(crate) fn labels(declared: &str) -> Option<Box<[String]>> {
    let mut labels = Vec::new();
    let mut characters = declared.split_once('(')?.1.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_ascii_whitespace() || *c == ',').is_some() {}
        match characters.next()? {
            ')' => return Some(labels.into()),
            '\'' => {}
            _ => return None,
        }
        let mut label = String::new();
        loop {
            match characters.next()? {
                '\'' if characters.next_if_eq(&'\'').is_some() => label.push('\''),
                '\'' => break,
                other => label.push(other),
            }
        }
        labels.push(label);
    }
}
