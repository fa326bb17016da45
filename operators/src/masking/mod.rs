//! `Masking`: hides personal data, deterministically.
//!
//! Equal values give equal results, in every batch, run and table, so joins and changelogs still work. NULL stays NULL.
//! It never refuses a row: refused rows would carry the plain values into the dead letters.

mod config;
mod keyed;
mod numbers;
mod operator;
mod presets;
mod rule;
#[cfg(test)]
mod tests;
mod text;

pub use config::{DateShift, Hash, Keep, MaskingConfig, Missing, Noise, Preset, Pseudonym, Redact, Rule};
pub use operator::ENTRY;
