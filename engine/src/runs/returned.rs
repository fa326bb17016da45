//! `Return`: hands rows back to the flow that runs this one.
//!
//! Rows are staged: a file per epoch, which counts once it is committed.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_model::{
    BadRows, Batch, ChangeSupport, Claim, Cut, Delivery, Epoch, Error, ErrorKind, PluginEntry, PreparedCommit,
    Properties, Recorded, Relation, RelationName, Result, Sink, SinkContext, SinkInput, SinkPlugin, sink,
};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ended::{sync_folder, unwritable};

/// The entry of `Return`.
pub const ENTRY: PluginEntry = sink::<Plugin>();

/// A run may hand back as much.
const BYTES_MAX: u64 = 64 << 20;
/// The key in a file's metadata under which the relation is.
const RELATION: &str = "aqueduct.relation";
const STAGED: &str = "staged";
const COMMITTED: &str = "arrows";

struct Plugin;

/// `Return` has no settings.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnConfig {}

impl SinkPlugin for Plugin {
    const NAME: &'static str = "Return";
    const SUMMARY: &'static str = "Hands rows back to the flow that runs this one.";
    const NOTES: &'static str = include_str!("return_notes.md");
    const EXAMPLE: &'static str = include_str!("return_example.yaml");
    type Config = ReturnConfig;

    fn properties(_: &ReturnConfig) -> Properties {
        Properties { delivery: Delivery::ExactlyOnce, changes: ChangeSupport::AppendOnly, ..Properties::sink() }
    }

    fn build(_: ReturnConfig) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Nowhere))
    }
}

/// A flow that nobody runs but a person: there is nobody to hand rows to.
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        tracing::info!("no flow runs this one: the rows of Return are dropped");
        Ok(None)
    }

    async fn claim(&mut self, _: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, _: SinkInput, _: &mut BadRows) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self, _: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        Ok(None)
    }
}

#[derive(Serialize, Deserialize)]
struct Name {
    name: RelationName,
    key: Vec<String>,
}

/// Writes the rows of a run into its folder.
pub(super) struct Returned {
    folder: PathBuf,
    /// The files of this epoch: one per relation, in the order in which they came.
    open: Vec<(Arc<Relation>, StreamWriter<BufWriter<File>>)>,
    parts: usize,
    bytes: u64,
}

impl Returned {
    pub(super) fn into(folder: PathBuf) -> Self {
        Self { folder, open: Vec::new(), parts: 0, bytes: 0 }
    }

    fn draft(&self, part: usize) -> PathBuf {
        self.folder.join(format!("{part}.draft"))
    }

    fn part(&self, epoch: Epoch, part: usize, state: &str) -> PathBuf {
        self.folder.join(format!("{:012}-{part:06}.{state}", epoch.0))
    }

    fn append(&mut self, batch: &Batch) -> Result<()> {
        self.bytes += batch.memory_bytes() as u64;
        if self.bytes > BYTES_MAX {
            return Err(Error::config(format!("a run hands back more than {} MiB", BYTES_MAX >> 20))
                .with_hint("write the rows to a table or a file in the sub-flow, and hand back its name or key"));
        }
        let is_last = self.open.last().is_some_and(|(relation, _)| Arc::ptr_eq(relation, batch.relation()));
        if !is_last {
            let relation = batch.relation();
            let name = Name {
                name: relation.name().clone(),
                key: relation.key_names().into_iter().map(str::to_owned).collect(),
            };
            let name = serde_json::to_string(&name).map_err(|error| Error::bug("a name").with_source(error))?;
            let metadata = [(RELATION.to_owned(), name)].into();
            let schema = Schema::new_with_metadata(batch.rows().schema().fields().clone(), metadata);
            let path = self.draft(self.parts);
            self.parts += 1;
            let file = File::create(&path).map_err(|error| unwritable(&path, error))?;
            let writer = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(damaged)?;
            self.open.push((relation.clone(), writer));
        }
        let Some((_, writer)) = self.open.last_mut() else { return Err(Error::bug("a file was just opened")) };
        writer.write(batch.rows()).map_err(damaged)
    }
}

#[async_trait]
impl Sink for Returned {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        std::fs::create_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, error))?;
        Ok(None)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        for path in files(&self.folder)? {
            let epoch = epoch_of(&path);
            // Staged files of the epoch itself may be rolled forward.
            if epoch.is_none_or(|epoch| epoch > claim.cut.epoch) {
                std::fs::remove_file(&path).map_err(|error| unwritable(&path, error))?;
                continue;
            }
            self.bytes += std::fs::metadata(&path).map_err(|error| unwritable(&path, error))?.len();
        }
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        match input {
            SinkInput::Batch(batch) if batch.is_append_only() => self.append(&batch),
            SinkInput::Batch(_) => Err(Error::new(ErrorKind::Data, "an update or delete cannot be handed back")
                .with_hint("hand back rows of a source that emits inserts only")),
            SinkInput::Schema(_) => Ok(()),
        }
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        let parts = std::mem::take(&mut self.parts);
        for (_, mut writer) in self.open.drain(..) {
            writer.finish().map_err(damaged)?;
            let file = writer.into_inner().map_err(damaged)?.into_inner();
            let file = file.map_err(|error| unwritable(&self.folder, error.into_error()))?;
            file.sync_all().map_err(|error| unwritable(&self.folder, error))?;
        }
        for part in 0..parts {
            let staged = self.part(cut.epoch, part, STAGED);
            std::fs::rename(self.draft(part), &staged).map_err(|error| unwritable(&staged, error))?;
        }
        if parts == 0 {
            return Ok(None);
        }
        sync_folder(&self.folder)?;
        Ok(Some(PreparedCommit(json!({ "parts": parts }))))
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        let parts = prepared.0["parts"].as_u64().unwrap_or_default() as usize;
        for part in 0..parts {
            let (staged, committed) = (self.part(epoch, part, STAGED), self.part(epoch, part, COMMITTED));
            match std::fs::rename(&staged, &committed) {
                // Done before the crash.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && committed.exists() => {}
                renamed => renamed.map_err(|error| unwritable(&staged, error))?,
            }
        }
        sync_folder(&self.folder)
    }
}

/// The rows that a run has handed back, by task and in the order in which they came.
///
/// # Errors
/// `State` when a file is damaged.
pub(super) fn read(folder: &Path) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    for task in files(folder)? {
        for path in files(&task)?.iter().filter(|path| path.extension().is_some_and(|ending| ending == COMMITTED)) {
            let file = File::open(path).map_err(|error| unwritable(path, error))?;
            let reader = StreamReader::try_new(BufReader::new(file), None).map_err(damaged)?;
            let metadata = reader.schema().metadata().get(RELATION).cloned().unwrap_or_default();
            let Name { name, key } = serde_json::from_str(&metadata).map_err(|error| {
                Error::new(ErrorKind::State, format!("{} is not a file of returned rows", path.display()))
                    .with_source(error)
            })?;
            let columns = Arc::new(Schema::new(reader.schema().fields().clone()));
            let relation = Arc::new(Relation::new(name, columns.clone(), &key, 1)?);
            for rows in reader {
                let cells = rows.map_err(damaged)?.columns().to_vec();
                let rows = RecordBatch::try_new(columns.clone(), cells).map_err(damaged)?;
                batches.push(Batch::inserts(relation.clone(), rows)?);
            }
        }
    }
    Ok(batches)
}

/// What is in a folder, by name; nothing, where there is none.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unwritable(folder, error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>().map_err(|error| unwritable(folder, error))?;
    paths.sort();
    Ok(paths)
}

/// `None` for a draft.
fn epoch_of(path: &Path) -> Option<Epoch> {
    let name = path.file_name()?.to_str()?;
    name.split_once('-')?.0.parse().ok().map(Epoch)
}

fn damaged(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::State, "returned rows cannot be written or read").with_source(error)
}
