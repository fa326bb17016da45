//! `Str`: makes texts of texts, row by row: trims, pads, replaces, cuts, joins, hashes, encodes.
//!
//! * `config`: the settings; `step`: one thing that is done with one text; `column`: a whole column.

mod coding;
mod column;
mod config;
mod operator;
mod step;
mod template;
#[cfg(test)]
mod tests;

pub use config::{Action, Case, Coding, Concat, HashKind, Pad, PadSide, RegexExtract, RegexReplace, Replace};
pub use config::{Side, SplitPart, StrColumn, StrConfig, Strip, Substring};
pub use operator::ENTRY;
