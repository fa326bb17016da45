//! Expressions over two rows, one of each of two tables.

use std::ops::ControlFlow;
use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{Expr, Ident, visit_expressions, visit_expressions_mut};

use super::bound::BoundExpression;
use super::expression::Expression;
use super::names::find;

/// A table of a pair: its columns, and what it may be called in front of them.
pub(crate) struct PairSide<'a> {
    pub(crate) columns: &'a SchemaRef,
    pub(crate) names: Vec<&'a str>,
}

impl Expression {
    /// The last parts of the names in it: columns that it may need.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let _: ControlFlow<()> = visit_expressions(self.syntax(), |part| {
            match part {
                Expr::Identifier(ident) => names.push(ident.value.clone()),
                Expr::CompoundIdentifier(parts) => names.extend(parts.iter().map(|part| part.value.clone())),
                _ => {}
            }
            ControlFlow::Continue(())
        });
        names
    }

    /// Prepares the expression for rows that have the columns of the left table and then those of the right one.
    ///
    /// # Errors
    /// `Config` when a name is in both tables or in none, or types do not fit.
    pub(crate) fn bind_pair(&self, sides: [PairSide<'_>; 2]) -> Result<BoundExpression> {
        let first = |side: usize| sides[side].names.first().copied().unwrap_or_default();
        let prefixes = if first(0) == first(1) { ["left", "right"] } else { [first(0), first(1)] };
        let column =
            |side: usize, index: usize| format!("{}.{}", prefixes[side], sides[side].columns.field(index).name());
        let mut syntax = self.syntax().clone();
        let resolved: ControlFlow<Error> = visit_expressions_mut(&mut syntax, |part| {
            let found: Vec<String> = match part {
                Expr::Identifier(ident) => {
                    let in_side = |side: usize| find(sides[side].columns, ident).map(|index| column(side, index));
                    (0..2).filter_map(in_side).collect()
                }
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [table, ident] => {
                        let is_it = |side: &usize| {
                            sides[*side].names.iter().any(|name| name.eq_ignore_ascii_case(&table.value))
                        };
                        let sides_of = (0..2).filter(is_it).take(1);
                        sides_of.filter_map(|side| Some(column(side, find(sides[side].columns, ident)?))).collect()
                    }
                    _ => Vec::new(),
                },
                _ => return ControlFlow::Continue(()),
            };
            match found.as_slice() {
                [] => ControlFlow::Continue(()),
                [one] => {
                    *part = Expr::Identifier(Ident::with_quote('"', one));
                    ControlFlow::Continue(())
                }
                [one, ..] => ControlFlow::Break(
                    Error::config(format!("both tables have the column {part}")).with_hint(format!("write `{one}`")),
                ),
            }
        });
        if let ControlFlow::Break(error) = resolved {
            return Err(error);
        }
        let mut fields = Vec::new();
        for (side, table) in sides.iter().enumerate() {
            let named = |(i, field): (usize, &Arc<datafusion::arrow::datatypes::Field>)| {
                field.as_ref().clone().with_name(column(side, i))
            };
            fields.extend(table.columns.fields().iter().enumerate().map(named));
        }
        let none: [&str; 0] = [];
        let pair = Relation::new(RelationName::table("the pair"), Arc::new(Schema::new(fields)), &none, 1)?;
        Expression::from_syntax(syntax).bind(&pair)
    }
}
