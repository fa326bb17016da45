//! What a task costs that does nothing: ten of them in a chain against one.

use std::time::Duration;

use crate::figure::{Bound, Figure, progress};
use crate::pipeline::{Pipeline, rows_in};

/// CPU time is shown in hundredths of a second, and the machine does other things too.
const RUN_SECONDS: f64 = 8.0;
const PAIRS: usize = 9;

pub fn measure() -> Vec<Figure> {
    let rows = rows_in(RUN_SECONDS);
    let run = |operators| Pipeline { operators, rows, checkpoint_interval: Duration::from_secs(1) }.run().cpu_seconds;
    let ratios = (0..PAIRS)
        .map(|_| {
            let (one, ten) = (run(1), run(10));
            progress(&format!("chain: one {one:.2}, ten {ten:.2} CPU-seconds for {rows} rows"));
            ten / one
        })
        .collect();
    vec![Figure::new("chain: ten no-ops / one", "x CPU", Bound::AtMost(1.15), ratios)]
}
