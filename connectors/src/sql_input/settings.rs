//! What the settings of the plugins have in common.

use std::num::NonZeroUsize;
use std::sync::Arc;

use aqueduct_model::{Error, Properties, Relation, RelationName, Replay, Result};
use arrow::datatypes::{Field, Schema};

use super::incremental::Incremental;
use super::reading::Described;

/// Rows per statement where the settings give no number.
pub(crate) fn default_fetch_rows() -> NonZeroUsize {
    NonZeroUsize::new(50_000).expect("fifty thousand is not zero")
}

/// What the settings ask for, as far as every system has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub table: Option<&'a str>,
    pub query: Option<&'a str>,
    pub has_key: bool,
    pub unordered: bool,
    pub incremental: Option<&'a Incremental>,
    pub polls: bool,
}

impl Wanted<'_> {
    /// What the planner has to know.
    pub(crate) fn properties(&self) -> Properties {
        let overlaps = self.unordered || self.incremental.is_some_and(|incremental| incremental.lookback > 0);
        Properties {
            unbounded: self.polls,
            replay: if overlaps { Replay::Overlap } else { Replay::Exact },
            ..Properties::source()
        }
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        let empty = |text: Option<&str>| text.is_some_and(|text| text.trim().is_empty());
        match (self.table, self.query) {
            (Some(_), Some(_)) => {
                return Err(Error::config("`table` and `query` exclude each other").with_setting("query"));
            }
            (None, None) => return Err(Error::config("nothing to read: set `table` or `query`").with_setting("table")),
            _ if empty(self.table) => return Err(Error::config("`table` is empty").with_setting("table")),
            _ if empty(self.query) => return Err(Error::config("`query` is empty").with_setting("query")),
            _ => {}
        }
        if self.query.is_some() && !self.has_key && !self.unordered {
            return Err(no_key("`query`"));
        }
        if self.unordered && (self.has_key || self.incremental.is_some()) {
            return Err(Error::config("`unordered` reads without a key, and so without `incremental`")
                .with_setting("unordered")
                .with_hint("leave out `unordered`, or `key` and `incremental`"));
        }
        if self.polls && self.incremental.is_none() {
            return Err(Error::config("`poll_interval` needs `incremental`: new rows are told by a column that grows")
                .with_setting("poll_interval")
                .with_hint("for example `incremental: { column: id }`"));
        }
        Ok(())
    }
}

fn no_key(what: &str) -> Error {
    Error::config(format!("{what} has no key: reading cannot go on behind the last row after a restart"))
        .with_setting("key")
        .with_hint(
            "name the columns that tell rows apart in `key`, or set `unordered: true`: a restart reads all again",
        )
}

/// Gives a relation the key, and the name, that the settings ask for.
///
/// # Errors
/// `Config` when a column does not exist, or there is no key.
pub(crate) fn with_key(relation: &Relation, key: &[String], unordered: bool, name: Option<&str>) -> Result<Described> {
    for column in key {
        relation.column(column).map_err(|error| error.with_setting("key"))?;
    }
    let names: Vec<String> = match key {
        [] => relation.key_names().into_iter().map(str::to_owned).collect(),
        key => key.to_vec(),
    };
    if names.is_empty() && !unordered {
        return Err(no_key(&relation.name().to_string()));
    }
    // A key that the settings name is without NULLs because they say so.
    let fields = relation.columns().fields().iter().map(|field| {
        let in_key = key.contains(field.name());
        Field::clone(field).with_nullable(field.is_nullable() && !in_key)
    });
    let columns =
        Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), relation.columns().metadata().clone()));
    let name = name.map_or_else(|| relation.name().clone(), RelationName::table);
    let relation = Arc::new(Relation::new(name, columns, &names, relation.version())?);
    let key = if unordered { Vec::new() } else { relation.key().to_vec() };
    Ok(Described { relation, key })
}
