//! Rules, checked: what breaks them, what is told of it, and what they are called.

use aqueduct_model::{Error, Result};

use super::condition::{condition, no_bound, no_column};
use super::config::{Check, CheckerConfig, Reference, RowCount, Rule};
use crate::duplicate::check_memory;
use crate::sql::Expression;

/// A rule that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) test: Test,
    /// What is told of a row that breaks it; free of cell values.
    pub(super) reason: String,
    /// What it is called in metrics; unique in its task.
    pub(super) name: String,
}

/// How it is found out whether a row breaks a rule.
#[derive(Debug)]
pub(super) enum Test {
    /// By the row alone: true when it breaks the rule. NULL does not break it, as in SQL's CHECK.
    Row(Box<Expression>),
    /// By the other rows of its table: these columns have to differ.
    Unique(Vec<String>),
    /// By the rows of another input.
    Reference(ReferenceTest),
    /// Not by a row: the table has so many of them.
    RowCount(RowCount),
}

/// What has to be found in another input.
#[derive(Debug, Clone)]
pub(super) struct ReferenceTest {
    pub(super) columns: Vec<String>,
    pub(super) input: String,
    /// The columns of the input, in the same order.
    pub(super) in_columns: Vec<String>,
}

impl Test {
    /// What the state of a rule that needs other rows depends on; `None` for one that needs none.
    pub(super) fn remembers(&self) -> Option<String> {
        match self {
            Self::Row(_) => None,
            Self::Unique(columns) => Some(format!("unique {columns:?}")),
            Self::Reference(ReferenceTest { columns, input, in_columns }) => {
                Some(format!("reference {columns:?} in {input:?} {in_columns:?}"))
            }
            Self::RowCount(_) => Some("row_count".to_owned()),
        }
    }
}

/// Checks the rules.
///
/// # Errors
/// `Config` with the setting.
pub(super) fn checked(config: &CheckerConfig) -> Result<Vec<Checked>> {
    check_memory(config.state_memory)?;
    if config.rules.is_empty() {
        return Err(Error::config("there is no rule")
            .with_setting("rules")
            .with_hint("write `rules: [{ column: id, check: not_null }]`"));
    }
    let mut checked: Vec<Checked> = Vec::with_capacity(config.rules.len());
    for (i, rule) in config.rules.iter().enumerate() {
        let (test, told) = test(rule).map_err(|error| error.with_setting(format!("rules[{i}]")))?;
        let reason = match &rule.name {
            Some(name) => format!("{name}: {told}"),
            None => told,
        };
        let plain = rule.name.clone().unwrap_or_else(|| called(rule));
        let taken = |name: &String| checked.iter().any(|other: &Checked| other.name == *name);
        let numbered = (2..).map(|n| format!("{plain} #{n}"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or_default();
        checked.push(Checked { test, reason, name });
    }
    Ok(checked)
}

/// How it is found out whether a row breaks the rule, and what is told of one that does.
fn test(rule: &Rule) -> Result<(Test, String)> {
    match &rule.check {
        Check::Unique => {
            let columns = several(rule)?;
            let told = match columns.as_slice() {
                [one] => format!("{one} is not unique"),
                several => format!("{} are not unique together", several.join(", ")),
            };
            Ok((Test::Unique(columns), told))
        }
        Check::Reference(reference) => {
            let test = referenced(rule, reference)?;
            let told = match test.columns.as_slice() {
                [one] => format!("{one} is not in {}", test.input),
                several => format!("{} are not together in {}", several.join(", "), test.input),
            };
            Ok((Test::Reference(test), told))
        }
        Check::RowCount(count) => {
            if rule.column.is_some() || !rule.columns.is_empty() {
                return Err(Error::config("`row_count` checks the table, not a column").with_hint("remove `column`"));
            }
            match (count.min, count.max) {
                (None, None) => Err(no_bound("row_count: { min: 1 }")),
                (Some(min), Some(max)) if min > max => {
                    Err(Error::config("`min` is above `max`").with_hint("write the smaller one as `min`"))
                }
                _ => Ok((Test::RowCount(*count), "the number of rows is out of bounds".to_owned())),
            }
        }
        _ if !rule.columns.is_empty() => Err(Error::config("`columns` goes with `unique` and `reference` only")
            .with_hint("write a rule for each column: `column: amount`")),
        _ => {
            let (broken, told) = condition(rule)?;
            Ok((Test::Row(Box::new(Expression::parse(&broken)?)), told))
        }
    }
}

/// The columns of a rule that may have several.
fn several(rule: &Rule) -> Result<Vec<String>> {
    match (&rule.column, rule.columns.as_slice()) {
        (Some(column), []) => Ok(vec![column.clone()]),
        (None, []) => Err(no_column()),
        (None, columns) => Ok(columns.to_vec()),
        (Some(_), _) => Err(Error::config("the rule has both `column` and `columns`")
            .with_hint("keep one of them: `columns` is for several that are checked together")),
    }
}

fn referenced(rule: &Rule, reference: &Reference) -> Result<ReferenceTest> {
    let columns = several(rule)?;
    let in_columns = if reference.in_columns.is_empty() { columns.clone() } else { reference.in_columns.clone() };
    if columns.len() != in_columns.len() {
        let text = format!("{} columns are checked, and {} are named in `in`", columns.len(), in_columns.len());
        return Err(Error::config(text)
            .with_hint(format!("name the column of {} for each of them, in the same order", reference.input)));
    }
    if reference.input.trim().is_empty() {
        return Err(Error::config("the input of the reference has no name")
            .with_hint("name one of the task's inputs: `reference: { input: customers, in: [id] }`"));
    }
    Ok(ReferenceTest { columns, input: reference.input.clone(), in_columns })
}

/// What a rule without a name is called: `amount range`.
fn called(rule: &Rule) -> String {
    let check = match &rule.check {
        Check::NotNull => "not_null",
        Check::Range(_) => "range",
        Check::Set(_) => "set",
        Check::Regex(_) => "regex",
        Check::Length(_) => "length",
        Check::Type(_) => "type",
        Check::Expression(_) => "expression",
        Check::Freshness(_) => "freshness",
        Check::Unique => "unique",
        Check::Reference(_) => "reference",
        Check::RowCount(_) => "row_count",
    };
    let columns: Vec<&str> = rule.column.iter().chain(&rule.columns).map(String::as_str).collect();
    if columns.is_empty() { check.to_owned() } else { format!("{} {check}", columns.join(", ")) }
}
