//! `Watermark`: says how far event time has come, for the windows behind it.
//!
//! The watermark is the greatest event time so far less `out_of_order`: rows behind it are late. It is exact by row, not
//! by batch: before a row that lies behind the watermark, the watermark is sent, so that whether a row is late depends on
//! the order of the rows alone and a replay decides as the first run did.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::WatermarkConfig;
pub use operator::ENTRY;
