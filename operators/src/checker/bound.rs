//! The rules, bound to one version of a table.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};

use super::kept::Keys;
use super::rejected;
use super::rule::{Checked, Test};
use crate::predicate::Predicate;

/// See the module.
pub(super) struct Bound {
    /// One for each rule.
    pub(super) tests: Vec<BoundTest>,
    /// What comes out on the port `rejected`.
    pub(super) rejected: Arc<Relation>,
    /// The table's key, where a rule has to tell its rows apart and it has one.
    pub(super) row: Option<Keys>,
    /// What the state of the table depends on.
    pub(super) shape: String,
}

/// A rule, bound.
pub(super) enum BoundTest {
    Row(Predicate),
    Unique(Keys),
    Reference(Keys),
    RowCount,
}

impl Bound {
    /// Binds the rules.
    ///
    /// # Errors
    /// `Config` when one does not fit the table.
    pub(super) fn new(rules: &[Checked], reasons_column: &str, relation: &Relation) -> Result<Self> {
        let mut tests = Vec::with_capacity(rules.len());
        for (i, rule) in rules.iter().enumerate() {
            let test = BoundTest::new(&rule.test, relation);
            tests.push(test.map_err(|error| error.with_setting(format!("rules[{i}]")))?);
        }
        let unique: Vec<String> = tests.iter().filter_map(BoundTest::unique).map(Keys::types).collect();
        let has_key = !unique.is_empty() && !relation.key().is_empty();
        let row = has_key.then(|| Keys::bind(relation, &relation.key_names())).transpose()?;
        let shape = match &row {
            Some(row) => format!("{unique:?} by {:?} ({})", relation.key_names(), row.types()),
            None => format!("{unique:?}"),
        };
        Ok(Self { tests, rejected: rejected::relation(relation, reasons_column)?, row, shape })
    }

    /// Whether a rule needs the other rows of the table.
    pub(super) fn has_unique(&self) -> bool {
        self.tests.iter().any(|test| test.unique().is_some())
    }
}

impl BoundTest {
    fn new(test: &Test, relation: &Relation) -> Result<Self> {
        Ok(match test {
            Test::Row(broken) => Self::Row(Predicate::bind(broken, relation)?),
            Test::Unique(columns) => Self::Unique(Keys::bind(relation, columns)?),
            Test::Reference(reference) => Self::Reference(Keys::bind(relation, &reference.columns)?),
            Test::RowCount(_) => Self::RowCount,
        })
    }

    fn unique(&self) -> Option<&Keys> {
        if let Self::Unique(keys) = self { Some(keys) } else { None }
    }

    /// The columns that it needs.
    pub(super) fn columns(&self) -> &[usize] {
        match self {
            Self::Row(predicate) => predicate.columns(),
            Self::Unique(keys) | Self::Reference(keys) => keys.columns(),
            Self::RowCount => &[],
        }
    }
}
