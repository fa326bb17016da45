//! Rows in order within windows of event time: given when the watermark has passed the end of their window.

mod bound;
mod kept;
mod operator;
#[cfg(test)]
mod tests;

pub(super) use operator::Windowed;
