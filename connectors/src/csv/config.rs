//! Settings of `CSVInput`.

use aqueduct_model::{ByteSize, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::dialect::Dialect;
use crate::text_files::{
    Compression, FileSettings, Format, Paths, TypedColumns, encoding_of, infer_rows, max_decompressed_bytes, max_files,
    max_line_bytes, utf8, watch_interval, wrong,
};

/// Which files are read, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CsvInputConfig {
    /// A file, a pattern such as `in/*.csv` (`*`, `?`, `[a-z]`, `**` for folders), or a list of them. Files are read in
    /// the order of their names.
    pub(crate) path: Paths,
    /// The relation that rows belong to. Absent: each file's name without folder and extension.
    #[serde(default)]
    pub(crate) table: Option<String>,
    /// The first record of each file holds the column names; files may then have them in different orders.
    #[serde(default = "yes")]
    pub(crate) header: bool,
    /// What stands between cells: one ASCII character, or `tab`.
    #[serde(default = "comma")]
    pub(crate) delimiter: String,
    /// What cells with delimiters or line breaks are enclosed in: one ASCII character. A doubled one stands for
    /// itself. Empty: there is none.
    #[serde(default = "double_quote")]
    pub(crate) quote: String,
    /// Inside quotes, what takes the meaning off the next character, in addition to doubling: one ASCII character.
    #[serde(default)]
    pub(crate) escape: Option<String>,
    /// Lines that begin with this are skipped: one ASCII character.
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// Texts that mean NULL. In a string column they do so only without quotes: `""` is an empty text.
    #[serde(default = "empty_is_null")]
    pub(crate) null_values: Vec<String>,
    /// Take white space off both ends of cells that are not quoted.
    #[serde(default)]
    pub(crate) trim: bool,
    /// The files' encoding as the WHATWG names it: `utf-8`, `utf-16`, `gbk`, `gb18030`, `big5`, `shift_jis`, `latin1`
    /// (which is windows-1252) and so on. A byte order mark wins over it.
    #[serde(default = "utf8")]
    pub(crate) encoding: String,
    /// How the files are compressed.
    #[serde(default)]
    pub(crate) compression: Compression,
    /// Types of columns. Columns that are not named here are inferred. Without a header the order counts and all
    /// columns must be given.
    #[serde(default)]
    pub(crate) columns: TypedColumns,
    /// How many rows of a table's first file are looked at to infer types.
    #[serde(default = "infer_rows")]
    pub(crate) infer_rows: usize,
    /// Read these columns only, in this order. The others are not parsed, and may differ from file to file. Empty: all.
    #[serde(default)]
    pub(crate) select: Vec<String>,
    /// The columns that identify a row. A row without a value in one of them is refused.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// Go on for ever: read files that appear and lines that are appended. A last line without its line break waits.
    #[serde(default)]
    pub(crate) watch: bool,
    /// How often `watch` looks for new files and lines.
    #[serde(default = "watch_interval")]
    pub(crate) watch_interval: HumanDuration,
    /// Longest record, line breaks in quotes included.
    #[serde(default = "max_line_bytes")]
    pub(crate) max_line_bytes: ByteSize,
    /// Most that one compressed file may expand to.
    #[serde(default = "max_decompressed_bytes")]
    pub(crate) max_decompressed_bytes: ByteSize,
    /// Most files at a time; each one has an entry in every checkpoint.
    #[serde(default = "max_files")]
    pub(crate) max_files: usize,
}

fn yes() -> bool {
    true
}

fn comma() -> String {
    ",".to_owned()
}

fn double_quote() -> String {
    "\"".to_owned()
}

fn empty_is_null() -> Vec<String> {
    vec![String::new()]
}

impl CsvInputConfig {
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

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        Dialect::new(self)?;
        self.files()?.validate()?;
        if self.table.as_deref() == Some("") {
            return wrong("table", "a relation has no empty name", "leave `table` out, or name the relation");
        }
        if self.infer_rows == 0 {
            return wrong("infer_rows", "types cannot be inferred from no rows", "give a number above 0");
        }
        for (setting, names) in [("select", &self.select), ("key", &self.key)] {
            if let Some(twice) =
                names.iter().enumerate().find_map(|(i, name)| names[..i].contains(name).then_some(name))
            {
                return wrong(setting, &format!("column {twice} is named twice"), "name each column once");
            }
        }
        if let Some(lost) = self.key.iter().find(|name| !self.select.is_empty() && !self.select.contains(name)) {
            return wrong("key", &format!("key column {lost} is not selected"), "add it to `select`");
        }
        let columns = &self.columns.0;
        if let Some((twice, _)) = columns
            .iter()
            .enumerate()
            .find_map(|(i, column)| columns[..i].iter().any(|other| other.0 == column.0).then_some(column))
        {
            return wrong("columns", &format!("column {twice} is given twice"), "give each column once");
        }
        Ok(())
    }
}
