//! Joins by event time, over inputs that may be endless.
//!
//! Rows wait in the state until the watermark says that nothing can come any more that they would meet. So the state is as
//! long as the times that are joined, not as the tables; what comes out are inserts only, and never changes.
//!
//! * `interval` joins rows whose times lie close together: a pair goes out when its second row has come.
//! * `as_of` joins a row of the left table with the last row of the right table at its time, once the watermark has passed it.
//! * `kept` is the state: the rows of both tables by what has to be equal and by time, and queues of them by time alone.
//! * `operator` is what both share: reading rows, what is late, and when rows go out.

mod as_of;
mod interval;
mod kept;
mod operator;
#[cfg(test)]
mod tests;

use aqueduct_model::{Operator, Result};

use super::config::JoinConfig;
use as_of::LastAtTime;
use interval::CloseInTime;
use operator::TimedJoin;

/// Makes a join by event time.
///
/// # Errors
/// `Config` for settings that were not checked.
pub(super) fn build(config: JoinConfig) -> Result<Box<dyn Operator>> {
    let kind = config.kind;
    let tolerance = config.as_of.as_ref().and_then(|as_of| as_of.tolerance);
    Ok(match config.interval.clone() {
        Some(interval) => Box::new(TimedJoin::new(config, CloseInTime::new(&interval, kind))?),
        None => Box::new(TimedJoin::new(config, LastAtTime::new(tolerance, kind))?),
    })
}
