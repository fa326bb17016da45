//! Calls of aggregate functions, read from SQL.

use aqueduct_model::{Error, Result};
use datafusion::sql::sqlparser::ast::{DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::expression::{Expression, parse_all};
use super::names::nearest;
use super::stack::with_room;
use super::{functions, session};

const NAMES: [(&str, Aggregate); 5] = [
    ("count", Aggregate::Count),
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
];

/// What is computed over the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// How many.
    Count,
    /// The total.
    Sum,
    /// The mean.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
}

/// `sum(amount * quantity)`, `count(distinct customer_id)`, `count(*) filter (where paid)`.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCall {
    pub(crate) aggregate: Aggregate,
    /// `None` for `count(*)`.
    pub(crate) argument: Option<Expression>,
    /// Every value counts once.
    pub(crate) distinct: bool,
    /// Rows for which it is not true do not count.
    pub(crate) condition: Option<Expression>,
}

impl AggregateCall {
    /// True for the name of a function that there is.
    pub(super) fn is_one(name: &str) -> bool {
        NAMES.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Reads a call.
    ///
    /// # Errors
    /// `Config`, with what can be written instead.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        with_room(|| {
            let Expr::Function(function) = parse_all(text, |parser| parser.parse_expr())? else {
                return Err(Error::config(format!("`{text}` is not a call of an aggregate function")).with_hint(
                    "write for example `sum(amount)`; compute with the result in a Function task behind this one",
                ));
            };
            let name = function.name.to_string().to_lowercase();
            let Some((_, aggregate)) = NAMES.iter().find(|(known, _)| *known == name).copied() else {
                let near = nearest(&name, NAMES.iter().map(|(known, _)| *known));
                let known = NAMES.map(|(known, _)| known).join(", ");
                let hint = near
                    .map_or(format!("there are: {known}"), |near| format!("did you mean `{near}`? there are: {known}"));
                return Err(Error::config(format!("there is no aggregate function `{name}`")).with_hint(hint));
            };
            let refused = |what: &str| Error::config(format!("`{text}`: {what} is not possible here"));
            let FunctionArguments::List(list) = &function.args else { return Err(refused("a query as argument")) };
            if function.over.is_some() || !function.within_group.is_empty() || !list.clauses.is_empty() {
                return Err(refused("`over`, `within group` or an order of the arguments"));
            }
            let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
            let session = session::session();
            let expression = |expr: &Expr| {
                functions::check(expr, &session)?;
                Ok::<_, Error>(Expression::from_syntax(expr.clone()))
            };
            let argument = match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if aggregate == Aggregate::Count && !distinct => None,
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expression(expr)?),
                _ => {
                    return Err(
                        refused("anything but one argument").with_hint("write for example `sum(amount)` or `count(*)`")
                    );
                }
            };
            if distinct && aggregate != Aggregate::Count && !matches!(aggregate, Aggregate::Min | Aggregate::Max) {
                return Err(
                    refused("`distinct`").with_hint("`count(distinct …)` is; the others go behind a task `Unique`")
                );
            }
            let condition = function.filter.as_deref().map(expression).transpose()?;
            Ok(Self { aggregate, argument, distinct: distinct && aggregate == Aggregate::Count, condition })
        })
    }
}
