//! Which functions an expression may call, and that it has no query inside.

use std::ops::ControlFlow;

use aqueduct_model::{Error, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{DuplicateTreatment, Expr, Function, FunctionArguments, visit_expressions};

use super::names::nearest;

/// Checks every function call of an expression.
///
/// # Errors
/// `Config`, with what to use instead.
pub(super) fn check(expression: &Expr, session: &SessionState) -> Result<()> {
    let found = visit_expressions(expression, |part| match check_part(part, session) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

fn check_part(part: &Expr, session: &SessionState) -> Result<()> {
    match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            Err(Error::config("a query inside an expression needs other rows than the current one")
                .with_hint("join the tables with a task of their own in front of this one"))
        }
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
            Err(Error::config("`*` is not a value").with_hint("name one column"))
        }
        Expr::Function(function) => check_function(function, session),
        _ => Ok(()),
    }
}

/// As [`check`] for one part of a query that sees all rows: there may be aggregates, window functions and queries inside.
///
/// # Errors
/// `Config`, with what to use instead.
pub(super) fn check_of_whole_query(part: &Expr, session: &SessionState) -> Result<()> {
    let Expr::Function(function) = part else { return Ok(()) };
    let name = name_of(function);
    let is_distinct = matches!(&function.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
    if name == "sum" && is_distinct {
        return Err(Error::config("`sum(distinct …)` would wrap where it does not fit its type")
            .with_hint("sum over a query: `select sum(x) as s from (select distinct x from t) as d`"));
    }
    if is_of_several_rows(part, session) {
        return Ok(());
    }
    let aggregates = session.aggregate_functions().keys();
    let others: Vec<&str> = aggregates.chain(session.window_functions().keys()).map(String::as_str).collect();
    check_scalar(&name, session, &others)
}

/// True when a part of a query needs more rows than one.
pub(super) fn is_of_several_rows(part: &Expr, session: &SessionState) -> bool {
    match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
        Expr::Function(function) => {
            let name = name_of(function);
            let is_scalar = session.scalar_functions().contains_key(&name);
            let is_known =
                session.aggregate_functions().contains_key(&name) || session.window_functions().contains_key(&name);
            function.over.is_some() || (is_known && !is_scalar) || name == "unnest"
        }
        _ => false,
    }
}

fn name_of(function: &Function) -> String {
    function.name.to_string().replace('"', "").to_lowercase()
}

fn check_function(function: &Function, session: &SessionState) -> Result<()> {
    if function.over.is_some() {
        return Err(Error::config(format!(
            "`{}(…) over (…)` needs several rows; an expression sees one at a time",
            name_of(function)
        ))
        .with_hint("write it in the `query` of a task `SQL` over a bounded input"));
    }
    check_scalar(&name_of(function), session, &[])
}

/// `others` are functions that may have been meant too.
fn check_scalar(name: &str, session: &SessionState, others: &[&str]) -> Result<()> {
    if let Some(known) = session.scalar_functions().get(name) {
        if known.signature().volatility == Volatility::Immutable {
            return Ok(());
        }
        return Err(Error::config(format!(
            "`{name}()` gives another value each time, so rows read again after a crash would differ"
        ))
        .with_hint("use a column of the source instead, for example its own time stamp"));
    }
    if session.higher_order_functions().contains_key(name) || matches!(name, "map" | "make_map" | "struct") {
        return Ok(());
    }
    if session.aggregate_functions().contains_key(name) || session.window_functions().contains_key(name) {
        return Err(Error::config(format!("`{name}` needs several rows; an expression sees one at a time"))
            .with_hint("write it in the `query` of a task `SQL` over a bounded input, or total with a task `Group`"));
    }
    if name == "unnest" {
        return Err(Error::config("`unnest` makes several rows of one; an expression makes one value")
            .with_hint("take one element instead, for example `tags[1]`"));
    }
    let known = session.scalar_functions().keys().map(String::as_str).chain(others.iter().copied());
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "the functions are those of DataFusion: https://datafusion.apache.org/user-guide/sql/scalar_functions.html"
                .to_owned()
        }
    };
    Err(Error::config(format!("there is no function `{name}`")).with_hint(hint))
}
