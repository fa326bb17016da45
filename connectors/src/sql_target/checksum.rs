//! Which columns of a written table a checksum is made of.

use aqueduct_model::Relation;
use arrow::datatypes::FieldRef;

use super::table::TargetColumn;
use super::{Dialect, WrittenTable, catalog, quote_ident};
use crate::row_checksum::CellText;

/// A column of the target that goes into a row's digest.
pub(crate) struct SummedColumn<'a> {
    /// Its quoted name.
    pub name: String,
    /// How its values are written.
    pub text: CellText,
    /// The column as the target has it.
    #[cfg_attr(not(any(feature = "duckdb", feature = "mysql", feature = "postgres")), allow(dead_code))]
    pub stored: &'a TargetColumn,
}

/// The target's columns in the order of `asked`; `None` unless the table was written from exactly these columns, of
/// these types, and each has a text.
pub(crate) fn summed_columns<'a>(
    dialect: Dialect,
    written: &WrittenTable,
    stored: &'a [TargetColumn],
    asked: &Relation,
) -> Option<Vec<SummedColumn<'a>>> {
    let of_flow = written.relation.columns();
    if of_flow.fields().len() != asked.columns().fields().len()
        || written.relation.columns().metadata().contains_key(catalog::ALSO)
    {
        return None;
    }
    let column = |field: &FieldRef| {
        let (_, own) = of_flow.column_with_name(field.name())?;
        let text = CellText::of(field)?;
        if own.data_type() != field.data_type() || CellText::of(own)? != text {
            return None;
        }
        let stored = stored.iter().find(|column| match dialect.folds_names() {
            true => column.name.eq_ignore_ascii_case(field.name()),
            false => column.name == *field.name(),
        })?;
        Some(SummedColumn { name: quote_ident(dialect, field.name()).ok()?, text, stored })
    };
    asked.columns().fields().iter().map(column).collect()
}
