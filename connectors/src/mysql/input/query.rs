//! What the rows of a query look like, by the protocol's description of its columns.

use mysql_async::Column;
use mysql_async::consts::{ColumnFlags, ColumnType};

use crate::mysql::column_type::ColumnSpec;

/// The number of the character set `binary`.
const BINARY: u16 = 63;

/// A column of a result, as `information_schema` would describe a column of its type.
pub(super) fn column_spec(column: &Column) -> ColumnSpec {
    ColumnSpec {
        name: column.name_str().into_owned(),
        source_type: source_type(column),
        nullable: !column.flags().contains(ColumnFlags::NOT_NULL_FLAG),
        ..ColumnSpec::default()
    }
}

fn source_type(column: &Column) -> String {
    let flags = column.flags();
    let unsigned = if flags.contains(ColumnFlags::UNSIGNED_FLAG) { " unsigned" } else { "" };
    let is_binary = column.character_set() == BINARY;
    let length = column.column_length();
    let word = match column.column_type() {
        ColumnType::MYSQL_TYPE_TINY => "tinyint",
        ColumnType::MYSQL_TYPE_SHORT => "smallint",
        ColumnType::MYSQL_TYPE_INT24 => "mediumint",
        ColumnType::MYSQL_TYPE_LONG => "int",
        ColumnType::MYSQL_TYPE_LONGLONG => "bigint",
        ColumnType::MYSQL_TYPE_FLOAT => "float",
        ColumnType::MYSQL_TYPE_DOUBLE => "double",
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => {
            let scale = u32::from(column.decimals());
            // The length counts the sign and the point.
            let extra = u32::from(scale > 0) + u32::from(unsigned.is_empty());
            return format!("decimal({},{scale}){unsigned}", length.saturating_sub(extra).max(scale).max(1));
        }
        ColumnType::MYSQL_TYPE_BIT => return format!("bit({length})"),
        ColumnType::MYSQL_TYPE_YEAR => return "year(4)".to_owned(),
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => return "date".to_owned(),
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_DATETIME2 => return with_digits("datetime", column),
        ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => {
            return with_digits("timestamp", column);
        }
        ColumnType::MYSQL_TYPE_TIME | ColumnType::MYSQL_TYPE_TIME2 => return with_digits("time", column),
        ColumnType::MYSQL_TYPE_JSON => return "json".to_owned(),
        ColumnType::MYSQL_TYPE_GEOMETRY => return "geometry".to_owned(),
        ColumnType::MYSQL_TYPE_VECTOR => return "vector".to_owned(),
        _ if flags.contains(ColumnFlags::ENUM_FLAG) => return "enum".to_owned(),
        _ if flags.contains(ColumnFlags::SET_FLAG) => return "set".to_owned(),
        _ if is_binary => return format!("varbinary({length})"),
        _ => return format!("varchar({length})"),
    };
    format!("{word}{unsigned}")
}

/// Digits of a fraction of a second; more than six stand for "unknown".
fn with_digits(word: &str, column: &Column) -> String {
    match column.decimals() {
        0 => word.to_owned(),
        digits => format!("{word}({})", digits.min(6)),
    }
}
