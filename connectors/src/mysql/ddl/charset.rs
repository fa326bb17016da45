//! Which character set and collation a column has when its definition does not say.

/// A character set and, where known, a collation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CharsetDefault {
    pub charset: Option<String>,
    pub collation: Option<String>,
}

/// Collations that are not `…_general_ci`.
const DEFAULT_COLLATIONS: [(&str, &str); 19] = [
    ("latin1", "latin1_swedish_ci"),
    ("big5", "big5_chinese_ci"),
    ("gbk", "gbk_chinese_ci"),
    ("gb2312", "gb2312_chinese_ci"),
    ("gb18030", "gb18030_chinese_ci"),
    ("sjis", "sjis_japanese_ci"),
    ("ujis", "ujis_japanese_ci"),
    ("cp932", "cp932_japanese_ci"),
    ("eucjpms", "eucjpms_japanese_ci"),
    ("euckr", "euckr_korean_ci"),
    ("latin5", "latin5_turkish_ci"),
    ("tis620", "tis620_thai_ci"),
    ("dec8", "dec8_swedish_ci"),
    ("hp8", "hp8_english_ci"),
    ("swe7", "swe7_swedish_ci"),
    ("binary", "binary"),
    ("utf8mb3", "utf8mb3_general_ci"),
    ("ascii", "ascii_general_ci"),
    ("ucs2", "ucs2_general_ci"),
];

/// The collation that a character set has when none is named, with the servers' own settings.
fn default_collation(charset: &str, mariadb: bool) -> String {
    if charset == "utf8mb4" {
        return if mariadb { "utf8mb4_general_ci" } else { "utf8mb4_0900_ai_ci" }.to_owned();
    }
    let found = DEFAULT_COLLATIONS.iter().find(|(name, _)| *name == charset);
    found.map_or_else(|| format!("{charset}_general_ci"), |(_, collation)| (*collation).to_owned())
}

/// The character set of a collation; `None` for MariaDB's `uca1400_…`, which fit several.
fn charset_of(collation: &str) -> Option<String> {
    if collation.starts_with("uca1400") {
        return None;
    }
    Some(super::column_type::charset_name(collation.split('_').next()?))
}

impl CharsetDefault {
    /// What results when `charset` and `collation` are named, or not, where this is the default.
    pub fn with(&self, charset: Option<&str>, collation: Option<&str>, mariadb: bool) -> Self {
        let named = charset.map(str::to_owned).or_else(|| collation.and_then(charset_of));
        let result = named.clone().or_else(|| self.charset.clone());
        let collation = match collation {
            Some(collation) => Some(collation.replace("utf8_", "utf8mb3_")),
            None if named.is_none() || named == self.charset => {
                self.collation.clone().or_else(|| result.as_deref().map(|charset| default_collation(charset, mariadb)))
            }
            None => named.map(|charset| default_collation(&charset, mariadb)),
        };
        Self { charset: result, collation }
    }
}
