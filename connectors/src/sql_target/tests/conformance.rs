//! The suite that every sink runs against itself.

use std::sync::Arc;

use aqueduct_model::conformance::{SinkCase, SinkTarget, Tables, check_sink, record_texts};
use aqueduct_model::{Build, Result, SinkContext};
use serde_json::json;

use super::{Kit, block_on};

pub(crate) fn keeps_every_promise(kit: &Kit) {
    for (mode, staging) in [("upsert", "64MiB"), ("upsert", "4KiB"), ("mirror", "64MiB"), ("soft_delete", "64MiB")] {
        let (entry, place) = (kit.entry, kit.place);
        let name = format!("{} mode {mode}, staging {staging}", entry.name);
        let target = move || {
            let folder = Arc::new(tempfile::tempdir().unwrap());
            let mut settings = place(folder.path());
            settings["mode"] = json!(mode);
            settings["staging_bytes"] = json!(staging);
            let Build::Sink { build, inspect } = entry.build else { panic!("not a sink") };
            let for_build = settings.clone();
            Ok(SinkTarget::new(
                move || build(&for_build),
                move || {
                    let _kept = &folder;
                    read_all(inspect(&settings).unwrap()?)
                },
            ))
        };
        let case = SinkCase { large_rows: 5_000, seeds: 3, ..SinkCase::transactional(&name, target) };
        assert_eq!(block_on(check_sink(&case)).into_result().err().unwrap_or_default(), [""; 0]);
    }
}

/// All that the suite's flow wrote. Runs on a thread of its own: the suite calls it from inside a runtime.
fn read_all(mut inspect: Box<dyn aqueduct_model::Inspect>) -> Result<Tables> {
    let reading = std::thread::spawn(move || {
        block_on(async move {
            let context = SinkContext { flow: "conformance".to_owned(), task: "sink".to_owned(), state_dir: None };
            let view = inspect.open(&context).await?;
            let mut tables = Tables::new();
            for relation in &view.tables {
                inspect.start(relation.name()).await?;
                let rows = tables.entry(relation.name().table.clone()).or_default();
                while let Some(batch) = inspect.next().await? {
                    rows.extend(record_texts(&batch)?);
                }
            }
            Ok(tables)
        })
    });
    reading.join().unwrap()
}
