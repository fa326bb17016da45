//! A look into the targets, through the door that `verify` uses.

use std::fs;
use std::path::Path;

use aqueduct_model::{Build, Error, RelationName, Result, SinkContext};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use serde_json::json;

/// The first rows of a table of the warehouse, drawn as a table. Columns that it lacks are left out.
pub(super) async fn sample(warehouse: &Path, table: &str, columns: &[&str], rows: usize) -> Result<String> {
    let catalogue = crate::catalogue()?;
    let Some(Build::Sink { inspect, .. }) = catalogue.get("DuckDBOutput").map(|entry| entry.build) else {
        return Err(Error::bug("this build has no DuckDBOutput"));
    };
    let settings = json!({ "path": warehouse });
    let mut target = inspect(&settings).ok_or_else(|| Error::bug("DuckDBOutput cannot be read back"))??;
    let context = SinkContext { flow: super::story::FLOW.to_owned(), task: "warehouse".to_owned(), state_dir: None };
    target.open(&context).await?;
    target.start(&RelationName::table(table)).await?;
    let Some(batch) = target.next().await? else { return Ok(String::new()) };
    let drawn = |error| Error::bug("cannot draw rows of the warehouse").with_source(error);
    let shown: Vec<usize> = columns.iter().filter_map(|column| batch.schema().index_of(column).ok()).collect();
    let batch: RecordBatch = batch.slice(0, rows.min(batch.num_rows())).project(&shown).map_err(drawn)?;
    Ok(pretty_format_batches(&[batch]).map_err(drawn)?.to_string())
}

/// How many Parquet files there are below a folder, and their size in bytes. A folder that cannot be read is empty.
pub(super) fn parquet_files(folder: &Path) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let (more_files, more_bytes) = parquet_files(&path);
            files += more_files;
            bytes += more_bytes;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files += 1;
            bytes += entry.metadata().map_or(0, |metadata| metadata.len());
        }
    }
    (files, bytes)
}
