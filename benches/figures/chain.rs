//! What a task costs that does nothing: ten of them in a chain against one.

use std::time::Duration;

use crate::figure::{Bound, Figure, progress};
use crate::pipeline::Pipeline;

const ROWS: u64 = 50_000_000;
const PAIRS: usize = 9;

pub fn measure() -> Vec<Figure> {
    let run =
        |operators| Pipeline { operators, rows: ROWS, checkpoint_interval: Duration::from_secs(1) }.run().cpu_seconds;
    let ratios = (0..PAIRS)
        .map(|_| {
            let (one, ten) = (run(1), run(10));
            progress(&format!("chain: one {one:.2}, ten {ten:.2} CPU-seconds for {ROWS} rows"));
            ten / one
        })
        .collect();
    vec![Figure::new("chain: ten no-ops / one", "x CPU", Bound::AtMost(1.15), ratios)]
}
