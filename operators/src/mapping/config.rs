//! The settings of `Mapping`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::ordered::Ordered;
use crate::sql::Expression;

/// What the output columns are. `columns` gives the whole list; without it the steps `select`, `rename`, `add`,
/// `constants`, `cast`, `drop` are taken in this order, each with the names that the one before it left, and what they
/// do not name stays.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// All output columns in order, by name: an SQL expression over the input's columns, or `{ value: …, type: … }`.
    #[serde(default)]
    pub columns: Ordered<Column>,
    /// The input columns to keep, in their new order.
    #[serde(default)]
    pub select: Vec<String>,
    /// New names, by old name.
    #[serde(default)]
    pub rename: Ordered<String>,
    /// Further columns, by name, as SQL expressions; one with the name of a column replaces it.
    #[serde(default)]
    pub add: Ordered<Column>,
    /// Further columns that have one value for all rows: text, number, true, false or null.
    #[serde(default)]
    pub constants: Ordered<Value>,
    /// New types, by column, in SQL: `bigint`, `decimal(12,2)`, `varchar`, `timestamp`. A value that cannot be
    /// converted makes its row a bad row.
    #[serde(default)]
    pub cast: Ordered<String>,
    /// Columns to leave out; expressions of `add` may still use them.
    #[serde(default)]
    pub drop: Vec<String>,
    /// A further key column that says which table a row comes from: for tables of one shape that become one, such as
    /// shards. Rows of different tables never meet then, and emptying one at the source leaves the others alone.
    #[serde(default)]
    pub origin: Option<OriginColumn>,
    /// The name of the output table; by default the input table's.
    #[serde(default)]
    pub table: Option<String>,
}

/// A column that says which table a row comes from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginColumn {
    /// The name of the column.
    pub column: String,
    /// Which part of the table's name it holds.
    #[serde(default)]
    pub part: NamePart,
}

/// A part of a table's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamePart {
    /// The catalog; empty where the source has none.
    Catalog,
    /// The schema, which in MySQL and MariaDB is the database; empty where the source has none.
    #[default]
    Schema,
    /// The table.
    Table,
}

/// A computed column.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    /// An SQL expression: `amount * 0.19`.
    Expression(String),
    /// An SQL expression and the type to convert it to.
    Typed(Typed),
}

/// An SQL expression with a type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    /// The SQL expression.
    pub value: String,
    /// The SQL type: `bigint`, `decimal(12,2)`, `varchar`, `timestamp`.
    #[serde(rename = "type")]
    pub sql_type: String,
}

impl Column {
    pub(crate) fn expression(&self) -> Result<Expression> {
        match self {
            Self::Expression(text) => Expression::parse(text),
            Self::Typed(typed) => Expression::parse(&typed.value)?.cast_to(&typed.sql_type),
        }
    }
}

/// The settings with their expressions read.
#[derive(Debug)]
pub(super) enum Steps {
    /// The whole list of output columns.
    List(Vec<(String, Expression)>),
    /// Changes to the input's columns.
    Changes {
        select: Vec<String>,
        rename: Vec<(String, String)>,
        add: Vec<(String, Expression)>,
        cast: Vec<(String, String)>,
        drop: Vec<String>,
    },
}

impl MappingConfig {
    /// Reads the expressions.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn steps(&self) -> Result<Steps> {
        let changes_nothing = self.select.is_empty()
            && self.rename.is_empty()
            && self.add.is_empty()
            && self.constants.is_empty()
            && self.cast.is_empty()
            && self.drop.is_empty();
        if !self.columns.is_empty() {
            if !changes_nothing {
                return Err(Error::config(
                    "`columns` is the whole list of output columns, so nothing else can change it",
                )
                .with_setting("columns")
                .with_hint("use `add` in place of `columns` to keep the other columns"));
            }
            return Ok(Steps::List(expressions("columns", &self.columns)?));
        }
        if changes_nothing && self.table.is_none() && self.origin.is_none() {
            return Err(Error::config("a mapping that changes nothing").with_hint(
                "give `columns`, or some of `select`, `rename`, `add`, `constants`, `cast`, `drop`, `origin`, `table`",
            ));
        }
        let mut add = expressions("add", &self.add)?;
        for (name, value) in &self.constants.0 {
            let constant =
                Expression::constant(value).map_err(|error| error.with_setting(format!("constants.{name}")))?;
            add.push((name.clone(), constant));
        }
        for (name, sql_type) in &self.cast.0 {
            let probe = Expression::column(name).cast_to(sql_type);
            probe.map_err(|error| error.with_setting(format!("cast.{name}")))?;
        }
        Ok(Steps::Changes {
            select: self.select.clone(),
            rename: self.rename.0.clone(),
            add,
            cast: self.cast.0.clone(),
            drop: self.drop.clone(),
        })
    }
}

fn expressions(setting: &str, columns: &Ordered<Column>) -> Result<Vec<(String, Expression)>> {
    let mut read = Vec::with_capacity(columns.0.len());
    for (name, column) in &columns.0 {
        let expression = column.expression().map_err(|error| error.with_setting(format!("{setting}.{name}")))?;
        read.push((name.clone(), expression));
    }
    Ok(read)
}
