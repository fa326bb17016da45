//! SQL expressions: text, then syntax, then bound to a relation.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, Result};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_expr::expressions::{BinaryExpr, cast};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::sql::sqlparser::ast::{self, CastKind, ExprWithAlias, Ident, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::bound::BoundExpression;
use super::stack::with_room;
use super::{functions, names, session};

/// The longest text that is read as SQL, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The most words and signs in one SQL text: planners recurse, and the stack is not endless.
const TOKENS_MAX: usize = 2_000;
/// How deep one SQL text may be nested.
const DEPTH_MAX: usize = 50;

/// An SQL expression whose syntax was checked: what `where` takes, or one column of a `select`.
///
/// Columns are matched exactly first and then without case, if only one fits; `"Name"` matches exactly only. The
/// table's name may stand in front (`orders.amount`). The functions are DataFusion's scalar functions, except those
/// that give another value each time (`now()`, `random()`, `uuid()`): rows read again after a crash must not change.
/// Numbers with a point are decimals. A number that does not fit its type is an error of its row, never wrapped.
///
/// ```
/// use aqueduct_operators::sql::Expression;
/// assert!(Expression::parse("amount * 1.19 > 100 and status = 'paid'").is_ok());
/// let error = Expression::parse("amount >").unwrap_err();
/// assert_eq!(error.kind(), aqueduct_model::ErrorKind::Config);
/// ```
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    syntax: ast::Expr,
}

impl Expression {
    /// Reads an expression. Checks syntax and functions; columns are checked by [`Expression::bind`].
    ///
    /// # Errors
    /// `Config` with the cause and its line and column in the text.
    pub fn parse(text: &str) -> Result<Self> {
        with_room(|| {
            let syntax = parse_all(text, |parser| parser.parse_expr())?;
            functions::check(&syntax, &session::session())?;
            Ok(Self { text: text.trim().to_owned(), syntax })
        })
    }

    /// A column by its exact name.
    pub fn column(name: &str) -> Self {
        Self { text: name.to_owned(), syntax: ast::Expr::Identifier(Ident::with_quote('"', name)) }
    }

    /// A constant: text, number, true, false or NULL.
    ///
    /// # Errors
    /// `Config` for a list or an object.
    pub fn constant(value: &serde_json::Value) -> Result<Self> {
        let literal = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Boolean(*value),
            serde_json::Value::String(text) => Value::SingleQuotedString(text.clone()),
            serde_json::Value::Number(number) => return Self::parse(&number.to_string()),
            _ => return Err(Error::config("a constant is a text, a number, true, false or null")),
        };
        Ok(Self { text: "a constant".to_owned(), syntax: ast::Expr::Value(literal.into()) })
    }

    /// The expression converted to an SQL type (`bigint`, `decimal(12,2)`, `timestamp`, …); a value that cannot be
    /// converted is an error of its row.
    ///
    /// # Errors
    /// `Config` when the type is not one.
    pub fn cast_to(self, sql_type: &str) -> Result<Self> {
        let data_type = parse_all(sql_type, |parser| parser.parse_data_type())?;
        let syntax = ast::Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(ast::Expr::Nested(Box::new(self.syntax))),
            data_type,
            array: false,
            format: None,
        };
        Ok(Self { text: self.text, syntax })
    }

    /// An expression out of a query.
    pub(super) fn from_syntax(syntax: ast::Expr) -> Self {
        Self { text: syntax.to_string(), syntax }
    }

    /// The syntax tree.
    pub(super) fn syntax(&self) -> &ast::Expr {
        &self.syntax
    }

    /// The text, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Prepares the expression for the rows of one relation.
    ///
    /// # Errors
    /// `Config` when a column does not exist (with the columns that do) or types do not fit.
    pub fn bind(&self, relation: &Relation) -> Result<BoundExpression> {
        self.bind_as(relation, &[&relation.name().table])
    }

    /// As [`Expression::bind`]; the relation may be called by any of `tables`.
    pub(super) fn bind_as(&self, relation: &Relation, tables: &[&str]) -> Result<BoundExpression> {
        with_room(|| self.plan(relation, tables))
    }

    fn plan(&self, relation: &Relation, tables: &[&str]) -> Result<BoundExpression> {
        let mut expression = self.syntax.clone();
        names::qualify(&mut expression, relation, tables);
        let columns = relation.columns();
        let (physical, mut data_type) = plan(expression, columns).map_err(|error| self.explain(error, relation))?;
        let physical = match plain_text(&data_type) {
            Some(text) => {
                data_type = text;
                cast(physical, columns, data_type.clone()).map_err(|error| self.explain(error, relation))?
            }
            None => physical,
        };
        let nullable = physical.nullable(columns).map_err(|error| self.explain(error, relation))?;
        let mut used: Vec<usize> = collect_columns(&physical).iter().map(|column| column.index()).collect();
        used.sort_unstable();
        used.dedup();
        Ok(BoundExpression { physical, data_type, nullable, columns: used })
    }

    fn explain(&self, error: DataFusionError, relation: &Relation) -> Error {
        if let DataFusionError::SchemaError(cause, _) = error.find_root()
            && let SchemaError::FieldNotFound { field, .. } = cause.as_ref()
        {
            return names::unknown(relation, &field.name);
        }
        let columns: Vec<String> =
            relation.columns().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        Error::config(format!("`{}` does not fit the columns of {}", self.text, relation.name()))
            .with_source(error.strip_backtrace())
            .with_hint(format!("convert with `cast(… as …)` where types differ; columns are: {}", columns.join(", ")))
    }
}

/// Reads `text` from its first word to its last.
pub(super) fn parse_all<T>(text: &str, parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::config(format!(
            "an SQL text of {} bytes is over the limit of {TEXT_BYTES_MAX}",
            text.len()
        )));
    }
    if text.trim().is_empty() {
        return Err(Error::config("the SQL text is empty").with_hint("write an expression, for example `amount > 100`"));
    }
    let dialect = GenericDialect {};
    let tokens: Vec<TokenWithSpan> =
        Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| refused(text, &error.to_string()))?;
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count();
    if words > TOKENS_MAX {
        return Err(Error::config(format!("an SQL text of {words} words is over the limit of {TOKENS_MAX}"))
            .with_hint("split the work over several tasks, or use `in (…)` for long lists of values"));
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens);
    let parsed = parse(&mut parser).map_err(|error| match error {
        ParserError::TokenizerError(cause) | ParserError::ParserError(cause) => refused(text, &cause),
        ParserError::RecursionLimitExceeded => refused(text, "it is nested too deeply"),
    })?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(refused(text, &format!("expected the end, found {}{}", rest.token, rest.span.start)));
    }
    Ok(parsed)
}

fn refused(text: &str, cause: &str) -> Error {
    let shown: String = text.trim().chars().take(200).collect();
    Error::config(format!("cannot read `{shown}` as SQL: {cause}")).with_hint(
        "text is written in single quotes, odd column names in double quotes: \"unit price\" > 2 and city = 'Rome'",
    )
}

/// Plans one expression: names to columns, types made equal, constants folded, arithmetic checked.
fn plan(expression: ast::Expr, columns: &Arc<Schema>) -> Result<(Arc<dyn PhysicalExpr>, DataType), DataFusionError> {
    let session = session::session();
    let schema = DFSchema::try_from(columns.clone())?;
    let logical =
        session.create_logical_expr_from_sql_expr(ExprWithAlias { expr: expression, alias: None }, &schema)?;
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(session.config_options().clone())
        .build();
    let simplifier = ExprSimplifier::new(context);
    let logical = simplifier.simplify(simplifier.coerce(logical, &schema)?)?;
    let physical = create_physical_expr(&logical, &schema, session.execution_props())?;
    let checked = physical.transform_up(|part| {
        Ok(match part.downcast_ref::<BinaryExpr>() {
            Some(binary) => {
                Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>)
            }
            None => Transformed::no(part),
        })
    })?;
    let data_type = checked.data.data_type(columns)?;
    Ok((checked.data, data_type))
}

/// The type that every sink knows, for a type that only engines use among themselves.
fn plain_text(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::Binary),
        _ => None,
    }
}
