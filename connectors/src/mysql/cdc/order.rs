//! Keys compared by the server, in the order of the table's own columns.

use aqueduct_model::{Relation, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, DurationMicrosecondType, Field, TimestampMicrosecondType};
use mysql_async::Value;

use crate::mysql::column_type::{SOURCE_CHARSET, SOURCE_COLLATION, SOURCE_TYPE, base};
use crate::mysql::rows::{parameter, placeholder};

/// A query of one row with a number per row of `keys`: 1 where it is at most `edge`.
pub(super) fn at_most_query(
    relation: &Relation,
    keys: &RecordBatch,
    edge: &RecordBatch,
) -> Result<(String, Vec<Value>)> {
    let mut params = Vec::new();
    let mut conditions = Vec::with_capacity(keys.num_rows());
    for row in 0..keys.num_rows() {
        conditions.push(at_most(relation, &keys.slice(row, 1), edge, &mut params)?);
    }
    Ok((format!("SELECT {}", conditions.join(",")), params))
}

/// `a < ? OR (a = ? AND b <= ?)`.
fn at_most(relation: &Relation, key: &RecordBatch, edge: &RecordBatch, params: &mut Vec<Value>) -> Result<String> {
    let mut condition = String::new();
    let columns = relation.key();
    for (i, &column) in columns.iter().enumerate() {
        let field = relation.columns().field(column);
        let typed = typed(field);
        let (value, bound) = (value(field, key.column(i))?, value(field, edge.column(i))?);
        let mut compare = |operator: &str| {
            params.extend([value.clone(), bound.clone()]);
            format!("{typed} {operator} {typed}")
        };
        if i + 1 == columns.len() {
            condition.push_str(&compare("<="));
        } else {
            condition.push_str(&format!("({} OR ({} AND ", compare("<"), compare("=")));
        }
    }
    condition.push_str(&"))".repeat(columns.len().saturating_sub(1)));
    Ok(condition)
}

/// A key's value. Dates and times are compared as the numbers that they are: MySQL 8.0 takes two parameters that are
/// cast to TIME for texts.
fn value(field: &Field, cell: &ArrayRef) -> Result<Value> {
    let number = match cell.data_type() {
        _ if cell.is_null(0) => None,
        DataType::Date32 => Some(i64::from(cell.as_primitive::<Date32Type>().value(0))),
        DataType::Timestamp(..) => Some(cell.as_primitive::<TimestampMicrosecondType>().value(0)),
        DataType::Duration(_) => Some(cell.as_primitive::<DurationMicrosecondType>().value(0)),
        _ => None,
    };
    number.map_or_else(|| parameter(field, cell), |number| Ok(Value::Int(number)))
}

/// A parameter with the column's type, charset and collation.
fn typed(field: &Field) -> String {
    if matches!(field.data_type(), DataType::Date32 | DataType::Timestamp(..) | DataType::Duration(_)) {
        return "?".to_owned();
    }
    let metadata = |name: &str| field.metadata().get(name).map(String::as_str);
    let plain = placeholder(field);
    if *field.data_type() != DataType::Utf8 {
        return plain;
    }
    match base(metadata(SOURCE_TYPE).unwrap_or_default()).as_str() {
        // Compared as the ranges of the table are: see `rows::order_by`.
        "enum" | "set" => plain,
        kind @ ("uuid" | "inet4" | "inet6") => format!("CAST(? AS {kind})"),
        _ => match (metadata(SOURCE_CHARSET), metadata(SOURCE_COLLATION)) {
            (Some(charset), Some(collation)) if is_word(charset) && is_word(collation) => {
                format!("CONVERT(? USING {charset}) COLLATE {collation}")
            }
            _ => plain,
        },
    }
}

/// Names of charsets and collations are put into SQL as they are.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aqueduct_model::RelationName;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Schema;

    use super::*;

    #[test]
    fn texts_are_compared_under_their_collation() {
        let collation =
            [(SOURCE_CHARSET, "latin1"), (SOURCE_COLLATION, "latin1_swedish_ci"), (SOURCE_TYPE, "varchar(9)")];
        let metadata = collation.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let columns = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Utf8, false).with_metadata(metadata),
            Field::new("b", DataType::Int64, false),
        ]));
        let relation = Relation::new(RelationName::table("t"), columns.clone(), &["a", "b"], 1).expect("a relation");
        let cells: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["x"])), Arc::new(Int64Array::from(vec![1]))];
        let key = RecordBatch::try_new(columns, cells).expect("a key");
        let (sql, params) = at_most_query(&relation, &key, &key).expect("a query");
        let text = "CONVERT(? USING latin1) COLLATE latin1_swedish_ci";
        assert_eq!(sql, format!("SELECT ({text} < {text} OR ({text} = {text} AND ? <= ?))"));
        assert_eq!(params.len(), 6);
    }
}
