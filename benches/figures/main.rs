//! The figures of `benches/README.md`: each one measured, printed in one line, and compared with its bound.
//!
//! `cargo bench --workspace --features failpoints --bench figures -- chain startup` measures two of them; without names
//! it measures all. What is compared runs in turn, A B A B, in one run on one machine.

mod backpressure;
mod bounded_memory;
mod cdc_apply;
mod chain;
mod checkpoints;
mod csv_data;
mod csv_to_parquet;
mod daemon;
mod figure;
mod joined;
mod latency;
mod nexmark;
mod pipeline;
mod plain_datafusion;
mod read_tables;
mod sql_bounded;
mod startup;
mod stream_changes;
mod totals;
mod usage;

use figure::Figure;

/// A name, and what measures it.
type Measure = (&'static str, fn() -> Vec<Figure>);

const MEASURES: [Measure; 14] = [
    ("chain", chain::measure),
    ("checkpoints", checkpoints::measure),
    ("csv_to_parquet", csv_to_parquet::measure),
    ("cdc_apply", cdc_apply::measure),
    ("read_tables", read_tables::measure),
    ("stream_changes", stream_changes::measure),
    ("latency", latency::measure),
    ("bounded_memory", bounded_memory::measure),
    ("nexmark", nexmark::measure),
    ("joined", joined::measure),
    ("totals", totals::measure),
    ("sql_bounded", sql_bounded::measure),
    ("startup", startup::measure),
    ("backpressure", backpressure::measure),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, csv, parquet] = arguments.as_slice()
        && first == plain_datafusion::ARGUMENT
    {
        return plain_datafusion::run(csv, parquet);
    }
    // cargo adds `--bench`.
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|name| MEASURES.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
        eprintln!("{unknown} is not a figure; figures are: {}", known.join(", "));
        std::process::exit(2);
    }
    figure::print_surroundings();
    let mut missed = 0;
    for (name, measure) in MEASURES {
        if names.is_empty() || names.iter().any(|wanted| *wanted == name) {
            for figure in measure() {
                println!("{figure}");
                missed += usize::from(!figure.passes());
            }
        }
    }
    println!("{missed} missed");
}
