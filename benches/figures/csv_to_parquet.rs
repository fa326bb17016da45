//! CSV → filter and projection → Parquet, against plain DataFusion; and the memory that it takes, for ten times as
//! many rows too.
//!
//! `AQUEDUCT_FIGURES_ROWS` sets the number of rows (2,000,000); memory is measured at that and at ten times that.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::csv_data::{self, COLUMNS, QUERY, ROW_GROUP_ROWS};
use crate::daemon;
use crate::figure::{Bound, Figure, progress};
use crate::plain_datafusion;
use crate::usage::{Usage, run_to_end};

const PAIRS: usize = 7;
const MEMORY: Bound = Bound::AtMost(300.0);

pub fn measure() -> Vec<Figure> {
    let rows = std::env::var("AQUEDUCT_FIGURES_ROWS").map_or(2_000_000, |rows| rows.parse().expect("a number of rows"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    csv_data::write(&folder.join("orders.csv"), rows);
    let (mut ratios, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (ours, plain) = (run_flow(folder), run_plain(folder));
        assert_eq!(rows_below(&folder.join("lake")), rows_in(&folder.join("plain.parquet")), "both sides do the same");
        progress(&format!("csv_to_parquet: Aqueduct {}, DataFusion {}", show(&ours), show(&plain)));
        ratios.push(ours.cpu_seconds / plain.cpu_seconds);
        memory.push(ours.peak_mib);
    }
    csv_data::write(&folder.join("orders.csv"), rows * 10);
    let large = run_flow(folder);
    progress(&format!("csv_to_parquet: Aqueduct, {} rows: {}", rows * 10, show(&large)));
    vec![
        Figure::new(format!("csv_to_parquet: {rows} rows"), "x DataFusion's CPU", Bound::AtMost(1.15), ratios),
        Figure::new(format!("csv_to_parquet: {rows} rows"), "MiB at most", MEMORY, memory),
        Figure::new(format!("csv_to_parquet: {} rows", rows * 10), "MiB at most", MEMORY, vec![large.peak_mib]),
    ]
}

fn run_flow(folder: &Path) -> Usage {
    for leftover in ["state", "lake"] {
        // Missing before the first run.
        let _ = std::fs::remove_dir_all(folder.join(leftover));
    }
    let flow = format!(
        "flow: figures
checkpoint: {{ interval: 10s }}
tasks:
  - {{ id: read, plugin: CSVInput, config: {{ path: orders.csv, columns: {COLUMNS} }} }}
  - {{ id: shape, plugin: SQL, from: read, config: {{ query: \"{QUERY}\" }} }}
  - {{ id: store, plugin: ParquetOutput, from: shape, config: {{ path: lake, row_group_rows: {ROW_GROUP_ROWS} }} }}
"
    );
    std::fs::write(folder.join("flow.yaml"), flow).expect("a flow");
    run_to_end(&mut daemon::command(folder))
}

fn run_plain(folder: &Path) -> Usage {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.current_dir(folder).args([plain_datafusion::ARGUMENT, "orders.csv", "plain.parquet"]).stderr(Stdio::null());
    run_to_end(&mut command)
}

fn show(usage: &Usage) -> String {
    format!("{:.2} CPU-seconds, {:.2} s, {:.0} MiB", usage.cpu_seconds, usage.seconds, usage.peak_mib)
}

fn rows_in(file: &Path) -> i64 {
    let reader = SerializedFileReader::new(File::open(file).expect("a Parquet file")).expect("a Parquet file");
    reader.metadata().file_metadata().num_rows()
}

/// Rows of all Parquet files below a folder.
fn rows_below(folder: &Path) -> i64 {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rows += rows_below(&path);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            rows += rows_in(&path);
        }
    }
    rows
}
