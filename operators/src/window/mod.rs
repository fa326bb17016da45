//! `Window`: totals per window of event time.
//!
//! * `frame` is where windows begin and end. Rows are added up in *panes*, the parts that no window edge cuts: a tumbling
//!   window is one pane, a hopping one several, and of a session every instant is one. So a row is counted once, whatever
//!   the number of windows that it is in, and can be taken away again.
//! * `panes` puts rows into panes and says which rows are late. The totals are those of `Group`.
//! * `close` makes the rows of windows that the watermark has passed, and forgets what no window needs any more.
//! * `sliding` carries the totals of hopping windows from one to the next.

mod bound;
mod close;
mod config;
mod frame;
mod operator;
mod panes;
mod sliding;
#[cfg(test)]
mod tests;

pub use config::{Late, WindowConfig};
pub use operator::ENTRY;
