//! `Masking`: hides personal data, deterministically.
//!
//! Equal values give equal results, in every batch, run and table, so joins and changelogs still work. NULL stays NULL.
//! Only `tokenize` refuses rows, and a refused row goes to the dead letters masked.

mod config;
mod keyed;
mod numbers;
mod operator;
mod presets;
mod rule;
#[cfg(test)]
mod tests;
mod text;
mod tokens;

pub use config::{
    Alphabet, DateShift, Hash, Keep, MaskingConfig, Missing, Noise, Preset, Pseudonym, Redact, Rule, Tokenize,
};
pub use operator::ENTRY;
