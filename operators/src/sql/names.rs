//! Column names in SQL text: found exactly first, then without case when only one column fits.

use std::ops::ControlFlow;

use aqueduct_model::{Error, Relation, Result};
use datafusion::arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions_mut};

/// How unlike a word may be to be offered as what was meant: 0 is the same, 1 is nothing alike.
const LIKENESS_MIN: f64 = 0.75;

/// The candidate that is most like `word`, when one is like it at all.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)))
        .map(|(_, candidate)| candidate)
}

/// The index of the column that `ident` names; `None` when there is none or several fit only without case.
pub(super) fn find(columns: &Schema, ident: &Ident) -> Option<usize> {
    if let Ok(index) = columns.index_of(&ident.value) {
        return Some(index);
    }
    if ident.quote_style.is_some() {
        return None;
    }
    let wanted = ident.value.to_lowercase();
    let mut fitting = columns.fields().iter().enumerate().filter(|(_, field)| field.name().to_lowercase() == wanted);
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first.0)
}

/// The index of the column that `ident` names.
///
/// # Errors
/// `Config` that lists the columns and what was probably meant.
pub(super) fn resolve(relation: &Relation, ident: &Ident) -> Result<usize> {
    find(relation.columns(), ident).ok_or_else(|| unknown(relation, &ident.value))
}

/// That there is no such column.
pub(super) fn unknown(relation: &Relation, name: &str) -> Error {
    let names: Vec<&str> = relation.columns().fields().iter().map(|field| field.name().as_str()).collect();
    let same = names.iter().filter(|candidate| candidate.eq_ignore_ascii_case(name)).count();
    let list = names.join(", ");
    let hint = match nearest(name, names.into_iter()) {
        _ if same > 1 => format!("several columns differ in case only: write it exactly; columns are: {list}"),
        Some(near) => format!("did you mean {near}? columns are: {list}"),
        None => format!("columns are: {list}; text is written in single quotes"),
    };
    Error::config(format!("{} has no column {name}", relation.name())).with_hint(hint)
}

/// Rewrites column names to the relation's own, and removes the table's name in front of them (`orders.amount`).
/// What cannot be resolved stays as it is: the planner says what is wrong with it.
pub(super) fn qualify(expression: &mut Expr, relation: &Relation, tables: &[&str]) {
    let columns = relation.columns();
    let exact = |index: usize| Ident::with_quote('"', columns.field(index).name());
    let _: ControlFlow<()> = visit_expressions_mut(expression, |part| {
        match part {
            Expr::Identifier(ident) => {
                if let Some(index) = find(columns, ident) {
                    *ident = exact(index);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some(index) = parts.first().and_then(|first| find(columns, first)) {
                    parts[0] = exact(index);
                } else if let Some(index) = parts.get(1).and_then(|second| find(columns, second))
                    && tables.iter().any(|table| table.eq_ignore_ascii_case(&parts[0].value))
                {
                    parts.remove(0);
                    parts[0] = exact(index);
                    if let [only] = parts.as_slice() {
                        *part = Expr::Identifier(only.clone());
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
}
