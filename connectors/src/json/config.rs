//! Settings of `JSONInput`.

use std::collections::BTreeMap;

use aqueduct_model::{ByteSize, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::template::{TableTemplate, steps};
use crate::text_files::{
    Compression, FileSettings, Format, Paths, TypedColumns, encoding_of, infer_rows, max_decompressed_bytes, max_files,
    max_line_bytes, utf8, watch_interval, wrong,
};

/// Which files are read, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonInputConfig {
    /// A file, a pattern such as `in/*.jsonl` (`*`, `?`, `[a-z]`, `**` for folders), or a list of them. Files are read in
    /// the order of their names.
    pub(crate) path: Paths,
    /// The relation that rows belong to. Absent: each file's name without folder and extension. With a field in braces,
    /// as in `{event_type}`, that field of each line says it, and `tables` has the columns.
    #[serde(default)]
    pub(crate) table: Option<String>,
    /// The columns to read with their types, each the field of its name unless `paths` says otherwise; other fields are
    /// left out. Empty: all fields of the outermost object, with inferred types.
    #[serde(default)]
    pub(crate) columns: TypedColumns,
    /// Where columns are, if not in the field of their name: field names from the outside in, with points between them, as
    /// in `price: bid.price`.
    #[serde(default)]
    pub(crate) paths: BTreeMap<String, String>,
    /// The columns that identify a row. A row without a value in one of them is refused.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// The tables that `table` leads to, by name.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, JsonTable>,
    /// What happens to lines of a table that `tables` does not name.
    #[serde(default)]
    pub(crate) other_tables: OtherTables,
    /// How many lines of a table's first file are looked at to infer types.
    #[serde(default = "infer_rows")]
    pub(crate) infer_rows: usize,
    /// The files' encoding as the WHATWG names it: `utf-8`, `utf-16`, `gbk` and so on. A byte order mark wins over it.
    #[serde(default = "utf8")]
    pub(crate) encoding: String,
    /// How the files are compressed.
    #[serde(default)]
    pub(crate) compression: Compression,
    /// Go on for ever: read files that appear and lines that are appended. A last line without its line break waits.
    #[serde(default)]
    pub(crate) watch: bool,
    /// How often `watch` looks for new files and lines.
    #[serde(default = "watch_interval")]
    pub(crate) watch_interval: HumanDuration,
    /// Longest line.
    #[serde(default = "max_line_bytes")]
    pub(crate) max_line_bytes: ByteSize,
    /// Most that one compressed file may expand to.
    #[serde(default = "max_decompressed_bytes")]
    pub(crate) max_decompressed_bytes: ByteSize,
    /// Most files at a time; each one has an entry in every checkpoint.
    #[serde(default = "max_files")]
    pub(crate) max_files: usize,
}

/// One of several tables in the same files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonTable {
    /// Its columns with their types.
    pub(crate) columns: TypedColumns,
    /// Where columns are, if not in the field of their name.
    #[serde(default)]
    pub(crate) paths: BTreeMap<String, String>,
    /// The columns that identify a row.
    #[serde(default)]
    pub(crate) key: Vec<String>,
}

/// What happens to lines of a table that is not named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OtherTables {
    /// They are bad rows.
    #[default]
    Refuse,
    /// They are left out.
    Drop,
}

impl JsonInputConfig {
    /// What all inputs of text files have.
    ///
    /// # Errors
    /// `Config` for an encoding that nobody knows.
    pub(crate) fn files(&self) -> Result<FileSettings> {
        Ok(FileSettings {
            path: self.path.clone(),
            watch: self.watch,
            watch_interval: self.watch_interval.0,
            max_line_bytes: usize::try_from(self.max_line_bytes.0).unwrap_or(usize::MAX),
            max_files: self.max_files,
            format: Format {
                compression: self.compression,
                encoding: encoding_of(&self.encoding)?,
                max_decompressed: self.max_decompressed_bytes.0,
                growing: self.watch,
            },
        })
    }

    /// The field that says which table a line belongs to.
    ///
    /// # Errors
    /// `Config` when `table` is no template and no name.
    pub(super) fn template(&self) -> Result<Option<TableTemplate>> {
        self.table.as_deref().map_or(Ok(None), TableTemplate::parse)
    }

    /// The columns of the settings themselves.
    pub(super) fn own_table(&self) -> JsonTable {
        JsonTable { columns: self.columns.clone(), paths: self.paths.clone(), key: self.key.clone() }
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        self.files()?.validate()?;
        if self.infer_rows == 0 {
            return wrong("infer_rows", "types cannot be inferred from no lines", "give a number above 0");
        }
        if self.table.as_deref() == Some("") {
            return wrong("table", "a relation has no empty name", "leave `table` out, or name the relation");
        }
        if self.template()?.is_none() {
            if !self.tables.is_empty() {
                return wrong(
                    "tables",
                    "no field says which line is whose",
                    "write for example table: \"{event_type}\"",
                );
            }
            let own = self.own_table();
            let is_inferred = own.columns.0.is_empty();
            if is_inferred && !own.paths.is_empty() {
                return wrong("paths", "they are of columns that are not given", "give their types in `columns`");
            }
            return own.validate(is_inferred);
        }
        if self.tables.is_empty() {
            return wrong(
                "tables",
                "the columns of the tables are not given",
                "write tables: { name: { columns: {…} } }",
            );
        }
        if !self.columns.0.is_empty() || !self.paths.is_empty() || !self.key.is_empty() {
            return wrong(
                "columns",
                "each table has columns of its own",
                "write columns, paths and key below `tables`",
            );
        }
        for (name, table) in &self.tables {
            if name.is_empty() || table.columns.0.is_empty() {
                return wrong(
                    "tables",
                    &format!("table {name:?} has no columns"),
                    "give its `columns` with their types",
                );
            }
            table.validate(false)?;
        }
        Ok(())
    }
}

impl JsonTable {
    /// The path of a column, field names from the outside in.
    pub(super) fn path<'a>(&'a self, column: &'a str) -> Vec<&'a str> {
        self.paths.get(column).map_or_else(|| vec![column], |path| steps(path))
    }

    fn validate(&self, is_inferred: bool) -> Result<()> {
        let columns = &self.columns.0;
        for (i, (name, _)) in columns.iter().enumerate() {
            if columns[..i].iter().any(|other| other.0 == *name) {
                return wrong("columns", &format!("column {name} is given twice"), "give each column once");
            }
        }
        let is_column = |name: &String| columns.iter().any(|column| column.0 == *name);
        for (name, path) in &self.paths {
            if !is_column(name) {
                return wrong("paths", &format!("there is no column {name}"), "give its type in `columns`");
            }
            if steps(path).contains(&"") {
                let hint = "write field names with single points between them, as in bid.price";
                return wrong("paths", &format!("the path of column {name} has an empty field name"), hint);
            }
        }
        for (i, name) in self.key.iter().enumerate() {
            if self.key[..i].contains(name) {
                return wrong("key", &format!("column {name} is named twice"), "name each column once");
            }
            if !is_inferred && !is_column(name) {
                return wrong("key", &format!("key column {name} is not among the columns"), "add it to `columns`");
            }
        }
        Ok(())
    }
}
