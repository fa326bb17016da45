//! The settings of `ParquetInput`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `ParquetInput`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParquetInputConfig {
    /// A file, a glob such as `warehouse/orders/*.parquet`, or a list of them. Files are read in the order of their paths; a glob skips names that start with `.` or `_`.
    pub(super) path: Paths,
    /// The table that the rows belong to. Default: the name of the first file, or of its folder where `path` is a glob.
    #[serde(default)]
    pub(super) table: Option<String>,
    /// The names of the key columns, for sinks that update by key.
    #[serde(default)]
    pub(super) key: Vec<String>,
    /// The columns to read, in this order; the others are not even decoded. Default: all.
    #[serde(default)]
    pub(super) columns: Vec<String>,
    /// Comparisons that a row must all pass; row groups whose statistics rule it out are skipped.
    #[serde(default)]
    pub(super) filter: Vec<Comparison>,
    /// Finish without rows when no file matches, instead of refusing to start.
    #[serde(default)]
    pub(super) allow_empty: bool,
}

/// One path or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Paths {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Paths {
    pub(super) fn patterns(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

/// A comparison of a column with a value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Comparison {
    /// The column's name.
    pub(super) column: String,
    /// How it is compared.
    pub(super) op: CompareOp,
    /// What it is compared with, as a text, number or truth value that the column's type can take; none for `is_null` and `not_null`.
    #[serde(default)]
    pub(super) value: Option<serde_json::Value>,
}

/// How a column is compared. A NULL passes `is_null` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// NULL.
    IsNull,
    /// Not NULL.
    NotNull,
}

impl ParquetInputConfig {
    pub(super) fn validate(&self) -> Result<()> {
        if self.path.patterns().is_empty() || self.path.patterns().iter().any(String::is_empty) {
            return Err(Error::config("no file is named").with_setting("path"));
        }
        for pattern in self.path.patterns() {
            glob::Pattern::new(pattern)
                .map_err(|error| Error::config("the path is not a glob").with_setting("path").with_source(error))?;
        }
        for (i, comparison) in self.filter.iter().enumerate() {
            let alone = matches!(comparison.op, CompareOp::IsNull | CompareOp::NotNull);
            let scalar = comparison
                .value
                .as_ref()
                .is_some_and(|value| value.is_string() || value.is_number() || value.is_boolean());
            let fits = if alone { comparison.value.is_none() } else { scalar };
            if !fits {
                return Err(Error::config("the comparison has no value, or one that it cannot take")
                    .with_setting(format!("filter[{i}].value"))
                    .with_hint("give a text, number or truth value; none for is_null and not_null"));
            }
        }
        Ok(())
    }

    /// The table's name, given the first file.
    pub(super) fn table_name(&self, first: &std::path::Path) -> String {
        if let Some(table) = &self.table {
            return table.clone();
        }
        let is_glob = self.path.patterns().first().is_some_and(|path| path.contains(['*', '?', '[']));
        let named = match (is_glob, first.parent()) {
            (true, Some(folder)) if folder.file_name().is_some() => folder.file_name(),
            _ => first.file_stem(),
        };
        named.map_or_else(|| "rows".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}
