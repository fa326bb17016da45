//! The settings that every transactional SQL sink has.

use aqueduct_model::{Error, RelationName, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How changes become rows of the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Inserts only; an update or a delete stops the flow.
    Append,
    /// Inserts and updates by key, deletes applied: the target stays in step. A table without a key takes inserts as
    /// they come and matches updates and deletes by the whole old row.
    #[default]
    Upsert,
    /// As `upsert`; the first epoch of a fresh flow empties each table first.
    Replace,
    /// As `upsert`, and exact: a fresh flow refuses a table that already holds rows, unless `replace_existing` is set.
    Mirror,
    /// As `upsert`, but a deleted row stays with `_cdc_deleted` set. Needs a key.
    SoftDelete,
    /// Keeps every version of a row (slowly changing dimension, type 2): a change closes the current version
    /// (`valid_to`, `is_current`) and inserts the new one, a delete only closes. Needs a key.
    Scd2,
}

impl Mode {
    /// Rows of one key may be there several times.
    pub(crate) fn repeats_keys(self) -> bool {
        matches!(self, Self::Append | Self::Scd2)
    }

    /// Needs a key to do what it says.
    pub(crate) fn needs_key(self) -> bool {
        matches!(self, Self::SoftDelete | Self::Scd2)
    }

    /// The name in a flow file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Upsert => "upsert",
            Self::Replace => "replace",
            Self::Mirror => "mirror",
            Self::SoftDelete => "soft_delete",
            Self::Scd2 => "scd2",
        }
    }
}

/// What to do when a table changes its columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaPolicy {
    /// Change the target alike: add, drop, rename and widen columns, rename and truncate tables. Tables are never
    /// dropped.
    #[default]
    Evolve,
    /// Leave the target as it is; columns that it lacks are left out.
    Ignore,
    /// Stop the flow.
    Fail,
}

/// The name of each table in the target; `{catalog}`, `{schema}` and `{table}` are the parts of the source's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableTemplate {
    text: String,
    /// It is in the flow file: that tables of different schemas become one is what was asked for.
    asked_for: bool,
}

impl TableTemplate {
    /// True when the flow file says so.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.asked_for
    }
}

impl Default for TableTemplate {
    fn default() -> Self {
        Self { text: "{table}".to_owned(), asked_for: false }
    }
}

impl From<String> for TableTemplate {
    fn from(text: String) -> Self {
        Self { text, asked_for: true }
    }
}

impl<'de> Deserialize<'de> for TableTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// For the default in the documentation.
impl Serialize for TableTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl JsonSchema for TableTemplate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Settings of a target, free of its connection.
#[derive(Debug, Clone)]
pub(crate) struct TargetOptions {
    /// The template of table names.
    pub table: TableTemplate,
    /// How changes become rows.
    pub mode: Mode,
    /// What to do when a table changes its columns.
    pub schema_change: SchemaPolicy,
    /// Mirror only: empty tables that hold rows of someone else.
    pub replace_existing: bool,
    /// Rows are buffered up to about this many bytes before they go into the open transaction.
    pub staging_bytes: u64,
}

impl TargetOptions {
    /// The target's table for a relation.
    pub fn table_name(&self, relation: &RelationName) -> String {
        let mut name = self.table.text.replace("{table}", &relation.table);
        for (placeholder, part) in [("{schema}", &relation.schema), ("{catalog}", &relation.catalog)] {
            name = match part {
                Some(part) => name.replace(placeholder, part),
                // `{schema}_{table}` of a source without schemas is `orders`, not `_orders`.
                None => [format!("{placeholder}_"), format!("{placeholder}.")]
                    .iter()
                    .fold(name, |name, with_joint| name.replace(with_joint, ""))
                    .replace(placeholder, ""),
            };
        }
        name
    }

    /// Checks the template and the bounds.
    pub fn validate(&self) -> Result<()> {
        let bare = ["{catalog}", "{schema}", "{table}"].iter().fold(self.table.text.clone(), |t, p| t.replace(p, "x"));
        if bare.is_empty() || bare.contains(['{', '}', '\0']) {
            return Err(Error::config("the table template has an unknown placeholder or is empty")
                .with_setting("table")
                .with_hint("use {catalog}, {schema} and {table}, for example \"{schema}_{table}\""));
        }
        if self.staging_bytes == 0 {
            return Err(Error::config("staging_bytes must be at least 1").with_setting("staging_bytes"));
        }
        if self.replace_existing && self.mode != Mode::Mirror {
            return Err(Error::config("replace_existing is a setting of mode mirror")
                .with_setting("replace_existing")
                .with_hint("set `mode: mirror`, or `mode: replace` to empty tables without asking"));
        }
        Ok(())
    }
}

/// The default of `staging_bytes`: 64 MiB.
pub(crate) const fn default_staging_bytes() -> aqueduct_model::ByteSize {
    aqueduct_model::ByteSize(64 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(table: &str) -> TargetOptions {
        TargetOptions {
            table: table.to_owned().into(),
            mode: Mode::Upsert,
            schema_change: SchemaPolicy::Evolve,
            replace_existing: false,
            staging_bytes: 1,
        }
    }

    #[test]
    fn names_come_from_the_template() {
        let full = RelationName { catalog: Some("c".into()), schema: Some("s".into()), table: "t".into() };
        for (template, of_full, of_bare) in [
            ("{table}", "t", "t"),
            ("{schema}_{table}", "s_t", "t"),
            ("{catalog}.{schema}.{table}", "c.s.t", "t"),
            ("raw_{table}", "raw_t", "raw_t"),
            ("all", "all", "all"),
        ] {
            assert_eq!(options(template).table_name(&full), of_full, "{template}");
            assert_eq!(options(template).table_name(&RelationName::table("t")), of_bare, "{template}");
        }
    }

    #[test]
    fn a_bad_template_is_refused() {
        for template in ["", "{tabel}", "x}", "a\0b"] {
            assert_eq!(options(template).validate().unwrap_err().setting(), Some("table"), "{template}");
        }
        options("{schema}_{table}").validate().unwrap();
    }
}
