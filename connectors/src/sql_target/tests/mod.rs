//! Tests that every transactional SQL sink passes: run against the real databases by their own `tests`.

mod all;
mod basics;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod checksums;
mod conformance;
mod evolution;
mod modes;
mod origins;
mod property;
#[cfg(feature = "failpoints")]
mod protocol;
#[cfg(all(any(feature = "mysql", feature = "postgres"), feature = "failpoints"))]
mod servers;
#[cfg(all(feature = "mysql", feature = "postgres"))]
mod type_maps;
mod values;
mod versions;

#[cfg(any(feature = "duckdb", feature = "sqlite"))]
pub(crate) use all::IN_FILES;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use all::ON_SERVERS;
pub(crate) use all::check;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Build, Claim, Cut, Epoch, PluginEntry, Position, Recorded, Relation, RelationName,
    Result, SchemaChange, Sink, SinkContext, SinkInput, Token,
};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Dialect;

/// A database under test.
pub(crate) struct Kit {
    /// Its output.
    pub entry: PluginEntry,
    /// Its SQL.
    pub dialect: Dialect,
    /// Makes an empty database, in that folder if it is a file: the settings that lead to it.
    pub place: fn(&Path) -> Value,
    /// Runs SQL by another connection, and returns the rows with their cells joined by `|`.
    pub sql: fn(&Value, &str) -> Vec<String>,
    /// Random histories per mode.
    pub cases: u64,
    /// Columns of `values` whose extremes it refuses.
    pub refuses: &'static [&'static str],
}

/// One target and the flow that writes it.
pub(crate) struct Bench<'a> {
    pub kit: &'a Kit,
    pub folder: Arc<tempfile::TempDir>,
    /// The settings that lead to the target.
    pub place: Value,
    pub context: SinkContext,
    pub config: Value,
}

/// Flow names are unique, so that faults of one test do not hit another.
static FLOWS: AtomicU32 = AtomicU32::new(0);

/// Runs a future as the engine runs a task that blocks: on a thread of its own beside the runtime's.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME
        .get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    runtime.block_on(future)
}

impl<'a> Bench<'a> {
    pub fn new(kit: &'a Kit, config: Value) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let flow = format!("flow{}", FLOWS.fetch_add(1, Ordering::Relaxed));
        let place = (kit.place)(folder.path());
        Self { kit, folder, place, context: SinkContext { flow, task: "store".into(), state_dir: None }, config }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("target.db")
    }

    pub fn sql(&self, sql: &str) -> Vec<String> {
        (self.kit.sql)(&self.place, sql)
    }

    /// The names of a table's columns; none when there is no table.
    pub fn columns(&self, table: &str) -> Vec<String> {
        let rows = self.sql(&self.kit.dialect.columns_query().replace("?1", &format!("'{table}'")));
        rows.iter().map(|row| row.split('|').next().unwrap_or_default().to_owned()).collect()
    }

    pub fn settings(&self) -> Value {
        let mut settings = self.place.clone();
        for (name, value) in self.config.as_object().unwrap() {
            settings[name] = value.clone();
        }
        (self.kit.entry.check)(&settings).unwrap();
        settings
    }

    pub fn sink(&self) -> Box<dyn Sink> {
        let Build::Sink { build, .. } = self.kit.entry.build else { panic!("not a sink") };
        build(&self.settings()).unwrap()
    }

    /// Opens and claims with the next token; `None` before the first claim.
    pub fn start(&self) -> (Writer, Option<Recorded>) {
        self.try_start().unwrap()
    }

    /// As [`Bench::start`], where the target may be out of reach.
    pub fn try_start(&self) -> Result<(Writer, Option<Recorded>)> {
        let mut sink = self.sink();
        let recorded = block_on(sink.open(&self.context))?;
        let claim = match &recorded {
            Some(recorded) => Claim { token: recorded.token.next(), cut: recorded.cut.clone() },
            None => Claim { token: Token(1), cut: Cut::default() },
        };
        block_on(sink.claim(&claim))?;
        Ok((Writer { sink, epoch: claim.cut.epoch, bad: BadRows::new(BadRowPolicy::DeadLetter, 1_000) }, recorded))
    }

    /// All rows of a table that the flow wrote, sorted, cells joined by `|`; with the view's cut.
    pub fn read(&self, table: &str) -> (Option<Cut>, Vec<String>) {
        let (cut, batches) = self.read_batches(table);
        let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
        rows.sort();
        (cut, rows)
    }

    pub fn read_batches(&self, table: &str) -> (Option<Cut>, Vec<RecordBatch>) {
        let Build::Sink { inspect, .. } = self.kit.entry.build else { panic!("not a sink") };
        let mut inspect = inspect(&self.settings()).unwrap().unwrap();
        block_on(async {
            let view = inspect.open(&self.context).await.unwrap();
            let mut batches = Vec::new();
            if let Some(relation) = view.tables.iter().find(|relation| relation.name().table == table) {
                inspect.start(relation.name()).await.unwrap();
                while let Some(batch) = inspect.next().await.unwrap() {
                    assert_eq!(batch.schema().fields(), relation.columns().fields());
                    batches.push(batch);
                }
            }
            (view.cut, batches)
        })
    }
}

/// A claimed sink.
pub(crate) struct Writer {
    pub sink: Box<dyn Sink>,
    pub epoch: Epoch,
    pub bad: BadRows,
}

impl Writer {
    pub fn write(&mut self, batch: Batch) {
        self.try_write(SinkInput::Batch(batch)).unwrap();
    }

    pub fn ddl(&mut self, change: SchemaChange) {
        self.try_write(SinkInput::Schema(change)).unwrap();
    }

    pub fn try_write(&mut self, input: SinkInput) -> Result<()> {
        block_on(self.sink.write(input, &mut self.bad))
    }

    pub fn try_flush(&mut self) -> Result<()> {
        let cut = cut(self.epoch.0 + 1);
        assert!(block_on(self.sink.flush(&cut, &mut self.bad))?.is_none());
        self.epoch = cut.epoch;
        Ok(())
    }

    pub fn flush(&mut self) {
        self.try_flush().unwrap();
    }

    pub fn close(mut self) {
        block_on(self.sink.close()).unwrap();
    }
}

/// The cut of an epoch: its position is its number.
pub(crate) fn cut(epoch: u64) -> Cut {
    Cut { epoch: Epoch(epoch), positions: [("source".to_owned(), Position::single("", json!(epoch)))].into() }
}

pub(crate) fn relation(table: &str, columns: &[(&str, DataType)], key: &[&str]) -> Arc<Relation> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    Arc::new(Relation::new(RelationName::table(table), Arc::new(Schema::new(fields)), key, 1).unwrap())
}

/// `orders(id, item)`, with `id` as its key.
pub(crate) fn orders() -> Arc<Relation> {
    relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8)], &["id"])
}

/// Rows of `(op, id, item)`.
pub(crate) fn batch(relation: &Arc<Relation>, rows: &[(u8, i64, &str)]) -> Batch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let items: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)));
    let ops = UInt8Array::from_iter_values(rows.iter().map(|row| row.0));
    let rows = RecordBatch::try_new(relation.columns().clone(), vec![ids, items]).unwrap();
    Batch::changes(relation.clone(), rows, ops).unwrap()
}

/// A batch's rows as text, `NULL` for null.
pub(crate) fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    // Arrow cannot show moments of a named zone without a zone database.
    let shown: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Timestamp(_, Some(_)) => arrow::compute::cast(column, &DataType::Int64).unwrap(),
            _ => column.clone(),
        })
        .collect();
    let formatters: Vec<_> =
        shown.iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| formatters.iter().map(|formatter| formatter.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}
