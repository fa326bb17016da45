//! How each column of a table goes over the wire.

use aqueduct_model::Result;
use arrow::datatypes::DataType;
use tokio_postgres::types::Type;

use crate::sql_target::cells::{Kind, kind};
use crate::sql_target::{Dialect, Table, TargetColumn, quote_ident};

/// One column of a table that is written.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its quoted name.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// The type that its cells are sent as.
    pub wire: Type,
    /// An array of them.
    pub array: Type,
    /// The type that texts are turned into by the server, where the target's column is no text.
    pub cast: Option<String>,
    /// COPY takes the cells as they are sent.
    pub copies: bool,
}

/// The columns of a table, in its order.
pub(super) fn columns(table: &Table) -> Result<Vec<Column>> {
    table.columns.fields().iter().zip(&table.target).map(|(field, target)| column(field.data_type(), target)).collect()
}

fn column(data_type: &DataType, target: &TargetColumn) -> Result<Column> {
    let kind = kind(data_type);
    let (wire, array) = wire(kind, data_type);
    let base = without_modifier(&target.sql);
    let is_text = matches!(base.as_str(), "text" | "character varying" | "character");
    // An explicit cast to varchar(3) cuts a text; an assignment refuses it.
    let cast =
        (kind == Kind::Text && !is_text).then(|| if base == "bit" { "bit varying".to_owned() } else { base.clone() });
    let copies = if kind == Kind::Text { is_text } else { base == type_name(&wire) };
    Ok(Column { name: quote_ident(Dialect::Postgres, &target.name)?, kind, wire, array, cast, copies })
}

fn wire(kind: Kind, data_type: &DataType) -> (Type, Type) {
    match (kind, data_type) {
        (Kind::Bool, _) => (Type::BOOL, Type::BOOL_ARRAY),
        (Kind::Int, DataType::Int8 | DataType::UInt8 | DataType::Int16) => (Type::INT2, Type::INT2_ARRAY),
        (Kind::Int, DataType::UInt16 | DataType::Int32) => (Type::INT4, Type::INT4_ARRAY),
        (Kind::Int, _) => (Type::INT8, Type::INT8_ARRAY),
        (Kind::UInt64 | Kind::Decimal { .. }, _) => (Type::NUMERIC, Type::NUMERIC_ARRAY),
        (Kind::Float32, _) => (Type::FLOAT4, Type::FLOAT4_ARRAY),
        (Kind::Float64, _) => (Type::FLOAT8, Type::FLOAT8_ARRAY),
        (Kind::Text, _) => (Type::TEXT, Type::TEXT_ARRAY),
        (Kind::Bytes, _) => (Type::BYTEA, Type::BYTEA_ARRAY),
        (Kind::Date, _) => (Type::DATE, Type::DATE_ARRAY),
        (Kind::Stamp { utc: true }, _) => (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
        (Kind::Stamp { utc: false }, _) => (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
        (Kind::Time, _) => (Type::TIME, Type::TIME_ARRAY),
        (Kind::Duration, _) => (Type::INTERVAL, Type::INTERVAL_ARRAY),
    }
}

/// As `format_type` spells it.
fn type_name(wire: &Type) -> &'static str {
    match *wire {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::NUMERIC => "numeric",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::BYTEA => "bytea",
        Type::DATE => "date",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIME => "time without time zone",
        Type::INTERVAL => "interval",
        _ => "text",
    }
}

/// `numeric(12,2)[]` without its `(12,2)`; what stands in quotes is a name.
fn without_modifier(sql: &str) -> String {
    let mut bare = String::with_capacity(sql.len());
    let (mut quoted, mut depth) = (false, 0);
    for letter in sql.chars() {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            _ => {}
        }
        if depth == 0 {
            bare.push(letter);
        }
        if letter == ')' && !quoted {
            depth -= 1;
        }
    }
    bare
}

impl Column {
    /// A cell of an unnested array, as the target's type.
    pub fn given(&self, i: usize) -> String {
        match &self.cast {
            Some(cast) => format!("u.c{i}::{cast}"),
            None => format!("u.c{i}"),
        }
    }

    /// A stored cell, as it is read back.
    pub fn read(&self, alias: &str) -> String {
        let name = &self.name;
        let as_text = matches!(self.kind, Kind::Text | Kind::UInt64 | Kind::Decimal { .. });
        if as_text { format!("{alias}{name}::text") } else { format!("{alias}{name}") }
    }

    /// "The stored cell is this one, or both are NULL", also for types that have no `=`.
    pub fn same(&self, alias: &str, i: usize) -> String {
        let (name, given) = (&self.name, self.given(i));
        match self.cast {
            Some(_) => format!("{alias}{name}::text IS NOT DISTINCT FROM ({given})::text"),
            None => format!("{alias}{name} IS NOT DISTINCT FROM {given}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_left_out() {
        for (sql, bare) in [
            ("numeric(12,2)[]", "numeric[]"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("\"my(type)\"", "\"my(type)\""),
            ("text", "text"),
        ] {
            assert_eq!(without_modifier(sql), bare);
        }
    }
}
