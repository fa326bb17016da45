//! The settings of `Str`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::mapping::Ordered;

/// Which columns are made, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrConfig {
    /// The columns that are made, by name. One with the name of a column replaces it, a new name is a further column.
    /// All of them read the columns as they came in.
    pub columns: Ordered<StrColumn>,
}

/// How one column is made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrColumn {
    /// The column that is read; by default the one of the same name.
    #[serde(default)]
    pub from: Option<String>,
    /// Begins with several columns put together, in place of `from`.
    #[serde(default)]
    pub concat: Option<Concat>,
    /// Begins with a text that names columns in braces, in place of `from`: `{first} {last}`. Write `{{` for a brace.
    /// The result is NULL when one of the columns is.
    #[serde(default)]
    pub template: Option<String>,
    /// What is done with the text, in this order: `[{ trim: both }, { case: lower }]`. NULL stays NULL.
    #[serde(default, rename = "do")]
    pub actions: Vec<Action>,
}

/// Columns that are put together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The columns, in order; those that are NULL are left out.
    pub columns: Vec<String>,
    /// What stands between them.
    #[serde(default)]
    pub separator: String,
}

/// One thing that is done with a text. Places and lengths count characters, not bytes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum Action {
    /// Takes white space away at `both` ends, or at the `left` or `right`.
    Trim(Side),
    /// Takes some characters away at the ends.
    Strip(Strip),
    /// Changes the case: `upper`, `lower`, or `title` (the first letter of each word).
    Case(Case),
    /// Fills a text up to a length; a longer one stays.
    Pad(Pad),
    /// Replaces every occurrence of a text.
    Replace(Replace),
    /// Takes the first match of a regular expression; NULL when there is none.
    RegexExtract(RegexExtract),
    /// Replaces every match of a regular expression.
    RegexReplace(RegexReplace),
    /// Takes a part by its place.
    Substring(Substring),
    /// Takes the n-th part between separators; NULL when there are fewer.
    Split(SplitPart),
    /// Replaces a text by its hash in hex: `md5`, `sha256` or `sha512`. To hide a text use Masking: without a key,
    /// hashes of short texts are guessed.
    Hash(HashKind),
    /// Writes a text in `base64`, `base64url` (without padding), `hex` or `url` (percent) form.
    Encode(Coding),
    /// Reads a text in `base64`, `base64url`, `hex` or `url` form; one that is not, or is not UTF-8, is a bad row.
    Decode(Coding),
}

/// An end of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Both ends.
    #[default]
    Both,
    /// The beginning.
    Left,
    /// The end.
    Right,
}

/// Characters that are taken away.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Strip {
    /// The characters, in any order.
    pub chars: String,
    /// Where: `both`, `left` or `right`.
    #[serde(default)]
    pub side: Side,
}

/// A case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Capital letters.
    Upper,
    /// Small letters.
    Lower,
    /// A capital letter at the beginning of each word, small ones behind it.
    Title,
}

/// How texts are filled up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// The length, in characters: 1 to 100000.
    pub length: usize,
    /// The character to fill with.
    #[serde(default = "blank")]
    pub with: char,
    /// Where it is put: `left` (the text stands at the right) or `right`.
    #[serde(default)]
    pub side: PadSide,
}

/// Where a text is filled up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PadSide {
    /// At the beginning.
    #[default]
    Left,
    /// At the end.
    Right,
}

/// What is replaced.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The text that is looked for.
    pub from: String,
    /// What stands in its place; by default nothing.
    #[serde(default)]
    pub to: String,
}

/// What is taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexExtract {
    /// The regular expression, in the syntax of Rust's `regex`.
    pub pattern: String,
    /// Which group is taken, 0 for the whole match; by default the first group, or the whole match where there is none.
    #[serde(default)]
    pub group: Option<usize>,
}

/// What matches are replaced by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexReplace {
    /// The regular expression, in the syntax of Rust's `regex`.
    pub pattern: String,
    /// What stands in place of each match; `$1` or `${name}` is a group, `$$` a dollar sign.
    #[serde(default)]
    pub with: String,
}

/// A part by its place.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Substring {
    /// The first character, counted from 1; negative from the end: -4 begins with the last four.
    pub start: i64,
    /// How many characters; by default all to the end.
    #[serde(default)]
    pub length: Option<usize>,
}

/// A part between separators.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitPart {
    /// The separator.
    pub by: String,
    /// Which part, counted from 1; negative from the end: -1 is the last one.
    pub part: i64,
}

/// A hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashKind {
    /// MD5, 32 characters; for comparing with other systems only.
    Md5,
    /// SHA-256, 64 characters.
    Sha256,
    /// SHA-512, 128 characters.
    Sha512,
}

/// A way to write bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Base 64 of RFC 4648, section 4, with padding.
    Base64,
    /// Base 64 of RFC 4648, section 5, without padding; padding is accepted.
    Base64url,
    /// Lower-case hex; upper case is accepted.
    Hex,
    /// Percent-encoding of RFC 3986: all but letters, digits and `-._~`.
    Url,
}

fn blank() -> char {
    ' '
}
