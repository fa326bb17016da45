//! Events of the generator, as batches and as lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::*;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use arrow::json::LineDelimitedWriter;
use futures::executor::block_on;

/// Everything that `FakerInput` makes.
pub fn batches(count: u64) -> Vec<Batch> {
    let faker = aqueduct_connectors::ENTRIES.iter().find(|entry| entry.name == "FakerInput").expect("built in");
    let Build::Source { build, .. } = faker.build else { panic!("FakerInput is a source") };
    let mut source = build(&serde_json::json!({ "dataset": "nexmark", "events": count, "seed": 7 })).expect("settings");
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let mut batches = Vec::new();
    block_on(source.open(&SourceContext::default(), None)).expect("opens");
    loop {
        match block_on(source.poll(&PollBudget::default(), &mut bad)).expect("rows") {
            Polled::Batch(batch) => batches.push(batch),
            Polled::Finished => return batches,
            Polled::Schema(_) | Polled::Idle => {}
        }
    }
}

/// Writes events in the order of their times, one a line with its table in `event_type`. The bytes written.
pub fn write(file: &Path, batches: &[Batch]) -> u64 {
    let mut lines: Vec<(i64, Vec<u8>)> = Vec::new();
    for batch in batches {
        let (times, rows) = shown(batch);
        let mut text = LineDelimitedWriter::new(Vec::new());
        text.write(&rows).expect("rows that can be shown");
        text.finish().expect("an end");
        let text = text.into_inner();
        lines.extend(times.into_iter().zip(text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec)));
    }
    lines.sort();
    let mut out = BufWriter::new(std::fs::File::create(file).expect("a file"));
    for (_, line) in &lines {
        out.write_all(line).expect("room on the disk");
    }
    out.into_inner().expect("room on the disk").sync_all().expect("room on the disk");
    lines.iter().map(|(_, line)| line.len() as u64).sum()
}

/// The times of rows, and the rows with their table in front. Times lose their zone: Arrow cannot show one by name.
fn shown(batch: &Batch) -> (Vec<i64>, RecordBatch) {
    let table = batch.relation().name().table.clone();
    let mut fields = vec![Field::new("event_type", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from_iter_values(std::iter::repeat_n(table, batch.num_rows())))];
    let mut times = Vec::new();
    for (field, column) in batch.rows().schema().fields().iter().zip(batch.rows().columns()) {
        let column: ArrayRef = match column.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(moments) => Arc::new(moments.clone().with_timezone_opt(None::<&str>)),
            None => column.clone(),
        };
        if field.name() == "date_time" {
            times = column.as_primitive::<TimestampMicrosecondType>().values().to_vec();
        }
        fields.push(Field::new(field.name(), column.data_type().clone(), field.is_nullable()));
        columns.push(column);
    }
    (times, RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows"))
}
