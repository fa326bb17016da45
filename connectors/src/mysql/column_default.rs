//! What a column gets from a row that does not name it, as far as that is constant.
//!
//! With `binlog_row_image=MINIMAL` or `NOBLOB` the log leaves such columns out of inserted rows, so that the table's
//! definition has to say what they hold. It is kept in the field, and so in the schema history.

use std::collections::HashMap;

use super::column_type::base;

/// Metadata: the literal that is the column's default. Without it, and without [`SOURCE_DEFAULT_COMPUTED`], the default
/// is NULL; in a column without NULLs it is the zero of its type.
pub(crate) const SOURCE_DEFAULT: &str = "source.default";
/// Metadata: `true` for a column whose default is not known to be constant.
pub(crate) const SOURCE_DEFAULT_COMPUTED: &str = "source.default_computed";

/// A column's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ColumnDefault {
    /// None, or NULL.
    #[default]
    Null,
    /// A literal between quotes: `'abc'`.
    Text(String),
    /// A literal without quotes: `-1.50`, `TRUE` as `1`.
    Number(String),
    /// Bits: the digits of `b'101'`.
    Bits(String),
    /// An expression, or something that was not understood.
    Computed,
}

impl ColumnDefault {
    /// Keeps the default of a column of that type; what was kept before is gone.
    pub(crate) fn keep(&self, source_type: &str, metadata: &mut HashMap<String, String>) {
        metadata.remove(SOURCE_DEFAULT);
        metadata.remove(SOURCE_DEFAULT_COMPUTED);
        if *self == Self::Null {
            return;
        }
        match self.literal(&base(source_type)) {
            Some(literal) => metadata.insert(SOURCE_DEFAULT.to_owned(), literal),
            None => metadata.insert(SOURCE_DEFAULT_COMPUTED.to_owned(), "true".to_owned()),
        };
    }

    /// The value's text, where the type leaves no doubt about it.
    fn literal(&self, base: &str) -> Option<String> {
        match (self, base) {
            (Self::Bits(digits), "bit") => Some(digits.clone()),
            // It depends on the time zone of the session that ran the statement, unless it is no time at all.
            (Self::Text(text), "timestamp") => text.starts_with("0000-00-00").then(|| text.clone()),
            // What bytes a text stands for depends on the session's character set.
            (_, "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob") => None,
            // The number of a label, in both.
            (Self::Number(_), "enum" | "set") => None,
            (Self::Text(text), "char") => Some(text.trim_end_matches(' ').to_owned()),
            (Self::Text(text) | Self::Number(text), _) => Some(text.clone()),
            _ => None,
        }
    }
}
