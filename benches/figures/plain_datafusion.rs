//! The yardstick: the same query in DataFusion alone, in a process of its own (this program, called by itself).

use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::prelude::{CsvReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::csv_data::{QUERY, ROW_GROUP_ROWS};

/// The first argument that makes this program the yardstick; the CSV and the Parquet file follow.
pub const ARGUMENT: &str = "plain-datafusion";

fn columns() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name, kind| Field::new(name, kind, true);
    Schema::new(vec![
        field("id", DataType::Int64),
        field("customer_id", DataType::Int64),
        field("product", DataType::Utf8),
        field("quantity", DataType::Int32),
        field("amount", DataType::Decimal128(12, 2)),
        field("status", DataType::Utf8),
        field("created_at", time),
    ])
}

/// Reads, filters, projects and writes, on one partition and one thread.
pub fn run(csv: &str, parquet: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = runtime.block_on(copy(csv, parquet));
    eprintln!("{rows} rows");
}

async fn copy(csv: &str, parquet: &str) -> u64 {
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(8_192);
    let context = SessionContext::new_with_config(config);
    let schema = columns();
    context.register_csv("orders", csv, CsvReadOptions::new().schema(&schema)).await.expect("the file is read");
    let frame = context.sql(QUERY).await.expect("the query is understood");
    let mut rows = frame.execute_stream().await.expect("the query starts");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(64 << 20))
        .build();
    let file = File::create(parquet).expect("a Parquet file");
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&rows.schema()), Some(properties)).expect("known types");
    let mut written = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.expect("rows that can be read");
        written += batch.num_rows() as u64;
        writer.write(&batch).expect("room on the disk");
    }
    writer.into_inner().expect("room on the disk").sync_all().expect("room on the disk");
    written
}
