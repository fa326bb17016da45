//! The SELECT list that makes every column arrive as its Arrow type is decoded.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::datatypes::{DataType, Field};
use tokio_postgres::Client;
use tokio_postgres::types::{Kind, Type};

use crate::postgres::error::failed;
use crate::postgres::row_text;
use crate::row_checksum::cell_texts;

/// A name between quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name, with its schema where it has one.
pub(crate) fn table_name(name: &RelationName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.table)),
        None => quoted(&name.table),
    }
}

/// What is read, and how each column is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    /// Behind SELECT.
    list: String,
    /// Each column by itself, without a name; labels as texts.
    expressions: Vec<String>,
    /// Behind FROM.
    from: String,
}

impl Select {
    /// Looks at the columns of `from` (a table's name, or a query in parentheses with a name) that the relation has.
    ///
    /// # Errors
    /// `Schema` when a column is gone or has another type than the relation's.
    pub(crate) async fn plan(client: &Client, from: &str, relation: &Relation) -> Result<Self> {
        let doing = format!("cannot read {}", relation.name());
        let names: Vec<String> = relation.columns().fields().iter().map(|field| quoted(field.name())).collect();
        let sql = format!("SELECT {} FROM {from}", names.join(","));
        let statement = client.prepare(&sql).await.map_err(|error| failed(&doing, error))?;
        let types: Vec<&Type> = statement.columns().iter().map(|column| column.type_()).collect();
        let outputs = output_functions(client, &types, &doing).await?;
        let (mut list, mut expressions) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for ((i, field), (name, column)) in relation.columns().fields().iter().enumerate().zip(names.iter().zip(&types))
        {
            if !is_decoded(field.data_type(), column) {
                let text = format!("{doing}: column {} is of another type than before", field.name());
                return Err(Error::new(ErrorKind::Schema, text));
            }
            match as_text(field, name, column, &outputs) {
                // A result column that is called like a column of the table would be what ORDER BY means.
                Some(text) => {
                    list.push(format!("{text} AS {}", quoted(&unused_name(relation, i))));
                    expressions.push(text);
                }
                None => {
                    list.push(name.clone());
                    let is_enum = matches!(column.kind(), Kind::Enum(_));
                    expressions.push(if is_enum { format!("{name}::text") } else { name.clone() });
                }
            }
        }
        Ok(Self { list: list.join(","), expressions, from: from.to_owned() })
    }

    /// `SELECT … FROM …`, to be followed by WHERE, ORDER BY, LIMIT.
    pub(crate) fn sql(&self) -> String {
        format!("SELECT {} FROM {}", self.list, self.from)
    }

    /// Sums the rows up, as `SELECT … FROM …`; `None` where their texts are not those of other systems.
    pub(crate) fn checksum_sql(&self, relation: &Relation) -> Option<String> {
        let texts = cell_texts(relation)?;
        let cells = self.expressions.iter().zip(texts).map(|(expression, text)| row_text::cell(expression, text));
        Some(row_text::query(&cells.collect::<Option<Vec<_>>>()?, &format!("FROM {}", self.from)))
    }
}

/// Whether the binary form of a type is what the column's builder reads; every type can be had as text.
fn is_decoded(wanted: &DataType, found: &Type) -> bool {
    match wanted {
        DataType::Utf8 => true,
        DataType::Boolean => *found == Type::BOOL,
        DataType::Int16 => *found == Type::INT2,
        DataType::Int32 => *found == Type::INT4,
        DataType::Int64 => *found == Type::INT8,
        DataType::UInt32 => *found == Type::OID,
        DataType::Float32 => *found == Type::FLOAT4,
        DataType::Float64 => *found == Type::FLOAT8,
        DataType::Decimal128(..) | DataType::Decimal256(..) => *found == Type::NUMERIC,
        DataType::Binary => *found == Type::BYTEA,
        DataType::Date32 => *found == Type::DATE,
        DataType::Time64(_) => *found == Type::TIME,
        DataType::Timestamp(_, None) => *found == Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => *found == Type::TIMESTAMPTZ,
        _ => false,
    }
}

/// Texts are asked for by the type's output function, as the log has them: a cast to text of its own would write
/// another text for inet, character and xml. `None` where the binary form is what is wanted.
fn as_text(field: &Field, name: &str, column: &Type, outputs: &BTreeMap<u32, String>) -> Option<String> {
    let is_text = matches!(*column, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON);
    if *field.data_type() != DataType::Utf8 || is_text || matches!(column.kind(), Kind::Enum(_)) {
        return None;
    }
    Some(match outputs.get(&column.oid()) {
        Some(function) => format!("pg_catalog.textin({function}({name}))"),
        None => format!("{name}::text"),
    })
}

/// A name that no column of the relation has.
fn unused_name(relation: &Relation, column: usize) -> String {
    let mut name = format!("text {column}");
    while relation.columns().index_of(&name).is_ok() {
        name.push('_');
    }
    name
}

/// The output functions of scalar types. Arrays, ranges, composite types and enums have no cast to text of their own.
async fn output_functions(client: &Client, types: &[&Type], doing: &str) -> Result<BTreeMap<u32, String>> {
    let oids: Vec<u32> = types.iter().map(|column| column.oid()).collect();
    let rows = client.query(OUTPUTS, &[&oids]).await.map_err(|error| failed(doing, error))?;
    Ok(rows.iter().map(|row| (row.get("oid"), row.get("output"))).collect())
}

const OUTPUTS: &str = "
SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(p.proname) AS output
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'b' AND t.typcategory <> 'A'";
