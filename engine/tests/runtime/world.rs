//! A source, an operator and three kinds of sink on a pretend disk, which fail by a seeded script.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aqueduct_engine::plan::{
    ChannelSettings, CheckpointSettings, Plan, PlannedEdge, PlannedTask, RestartSettings, StoreKind,
};
use aqueduct_engine::runtime::PluginFactory;
use aqueduct_model::*;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;

/// What survives a crash, and what the script still has in store.
#[derive(Default)]
pub struct Disk {
    pub sinks: BTreeMap<String, Target>,
    /// What each source was told is safe: rows before this one.
    pub acked: BTreeMap<String, i64>,
    /// What a source was told before it was true.
    pub told_too_early: Vec<String>,
    pub faults: Faults,
    /// Opened sources and sinks of all generations.
    pub opens: u64,
}

/// One sink's target.
#[derive(Default, Clone)]
pub struct Target {
    pub rows: Vec<(String, i64)>,
    pub recorded: Option<Recorded>,
    /// Durable but invisible, by epoch.
    staged: BTreeMap<u64, Vec<(String, i64)>>,
}

/// A seeded script: each possible fault happens with this chance, until `left` is used up.
#[derive(Default)]
pub struct Faults {
    pub seed: u64,
    pub one_in: u64,
    pub left: u32,
    pub panics: bool,
    /// Strikes at this place only.
    pub place: Option<&'static str>,
}

impl Faults {
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn strike(&mut self) -> Option<u64> {
        if self.left == 0 || self.one_in == 0 || !self.draw().is_multiple_of(self.one_in) {
            return None;
        }
        self.left -= 1;
        Some(self.draw())
    }
}

pub type SharedDisk = Arc<Mutex<Disk>>;

fn lock(disk: &SharedDisk) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Fails here if the script says so.
fn fault(disk: &SharedDisk, place: &str) -> Result<()> {
    let mut disk = lock(disk);
    if disk.faults.place.is_some_and(|only| only != place) {
        return Ok(());
    }
    let Some(draw) = disk.faults.strike() else { return Ok(()) };
    let panics = disk.faults.panics && draw % 4 == 0;
    drop(disk);
    assert!(!panics, "scripted panic in {place}");
    Err(Error::new(ErrorKind::Unavailable, format!("scripted fault in {place}")))
}

/// Numbers `0..rows` in transactions of 1 to 7 rows.
struct Numbers {
    disk: SharedDisk,
    task: String,
    rows: i64,
    next: i64,
    /// Rows handed out at once; a transaction may take several polls.
    batch: i64,
}

/// The first row of the transaction behind the one that holds `row`.
fn transaction_end(row: i64) -> i64 {
    // Transactions of 1, 2, … 7 rows in turn: 28 rows a round.
    let (round, within) = (row / 28, row % 28);
    let mut end = 0;
    for size in 1..=7 {
        end += size;
        if within < end {
            break;
        }
    }
    round * 28 + end
}

#[async_trait]
impl Source for Numbers {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        fault(&self.disk, "source open")?;
        lock(&self.disk).opens += 1;
        self.task = context.task.clone();
        self.next = resume.map_or(0, row_of);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        fault(&self.disk, "poll")?;
        if self.next >= self.rows {
            return Ok(Polled::Finished);
        }
        let mut end = (self.next + self.batch).min(transaction_end(self.next)).min(self.rows);
        if let Some(until) = &budget.until {
            end = end.min(row_of(until));
        }
        if end == self.next {
            return Ok(Polled::Idle);
        }
        let values = Int64Array::from_iter_values(self.next..end);
        self.next = end;
        tokio::task::yield_now().await;
        let relation = relation(&self.task);
        let rows = RecordBatch::try_new(relation.columns().clone(), vec![Arc::new(values)])
            .map_err(|e| Error::bug(e.to_string()))?;
        Ok(Polled::Batch(Batch::inserts(relation, rows)?))
    }

    fn position(&self) -> Option<Position> {
        let boundary = self.next == 0 || self.next == self.rows || transaction_end(self.next - 1) == self.next;
        boundary.then(|| Position::single("", self.next.into()))
    }

    async fn on_checkpoint_durable(&mut self, _: Epoch, position: &Position) -> Result<()> {
        let (row, mut disk) = (row_of(position), lock(&self.disk));
        let mut told_too_early = Vec::new();
        for (task, target) in disk.sinks.iter().filter(|(task, _)| task.as_str() != "loose") {
            let held = target.rows.iter().filter(|(source, _)| *source == self.task).count() as i64;
            if held < row {
                told_too_early
                    .push(format!("{} was told that {row} rows are safe, but {task} holds {held}", self.task));
            }
        }
        disk.told_too_early.extend(told_too_early);
        disk.acked.insert(self.task.clone(), row);
        Ok(())
    }
}

fn row_of(position: &Position) -> i64 {
    position.offset("").and_then(serde_json::Value::as_i64).unwrap_or(0)
}

fn relation(table: &str) -> Arc<Relation> {
    let columns = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    Arc::new(Relation::new(RelationName::table(table), columns, &["n"], 1).expect("the key is a column"))
}

/// Passes rows on and counts them; its state must match what it passes after every restart.
struct Counter {
    disk: SharedDisk,
    seen: BTreeMap<String, i64>,
    /// Takes the first row of a source as it comes: a finished flow that runs again starts with fresh operators.
    lenient: bool,
}

#[async_trait]
impl Operator for Counter {
    async fn open(&mut self, _: &OperatorContext, state: Option<State>) -> Result<()> {
        fault(&self.disk, "operator open")?;
        if let Some(state) = state {
            self.seen = serde_json::from_slice(&state.0).map_err(|e| Error::bug("state").with_source(e))?;
        }
        Ok(())
    }

    async fn process(&mut self, _: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        fault(&self.disk, "process")?;
        for (table, n) in values(&batch) {
            let next = self.seen.entry(table).or_insert(if self.lenient { n } else { 0 });
            if *next != n {
                return Err(Error::bug(format!("row {n} came to an operator whose state expects {next}")));
            }
            *next += 1;
        }
        out.emit(OutputPort::MAIN, batch).await
    }

    async fn snapshot(&mut self, _: Epoch) -> Result<State> {
        fault(&self.disk, "snapshot")?;
        Ok(State(serde_json::to_vec(&self.seen).expect("a map of numbers is JSON")))
    }
}

fn values(batch: &Batch) -> Vec<(String, i64)> {
    let table = &batch.relation().name().table;
    batch.rows().column(0).as_primitive::<Int64Type>().values().iter().map(|n| (table.clone(), *n)).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum SinkKind {
    Transactional,
    Staged,
    Loose,
}

struct Shelf {
    disk: SharedDisk,
    kind: SinkKind,
    task: String,
    token: Token,
    previous: Epoch,
    open: Vec<(String, i64)>,
}

impl Shelf {
    fn target<T>(&self, work: impl FnOnce(&mut Target) -> T) -> T {
        work(lock(&self.disk).sinks.entry(self.task.clone()).or_default())
    }

    fn check_token(&self) -> Result<()> {
        let current = self.target(|target| target.recorded.clone().unwrap_or_default());
        if current.token != self.token || (self.kind == SinkKind::Transactional && current.cut.epoch != self.previous) {
            return Err(Error::new(ErrorKind::State, "fenced"));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Shelf {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        fault(&self.disk, "sink open")?;
        self.task = context.task.clone();
        lock(&self.disk).opens += 1;
        Ok(self.target(|target| target.recorded.clone()).filter(|_| self.kind != SinkKind::Loose))
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        fault(&self.disk, "claim")?;
        self.token = claim.token;
        self.previous = claim.cut.epoch;
        let claim = claim.clone();
        self.target(|target| {
            if target.recorded.as_ref().is_some_and(|recorded| recorded.token >= claim.token) {
                return Err(Error::new(ErrorKind::State, "a lower token"));
            }
            target.staged.retain(|epoch, _| *epoch <= claim.cut.epoch.0);
            target.recorded = Some(Recorded { token: claim.token, cut: claim.cut });
            Ok(())
        })
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        fault(&self.disk, "write")?;
        if let SinkInput::Batch(batch) = input {
            self.open.extend(values(&batch));
        }
        Ok(())
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        fault(&self.disk, "flush before")?;
        let rows = std::mem::take(&mut self.open);
        match self.kind {
            SinkKind::Loose => {
                self.target(|target| target.rows.extend(rows));
                return Ok(None);
            }
            SinkKind::Transactional => {
                self.check_token()?;
                let recorded = Recorded { token: self.token, cut: cut.clone() };
                self.target(|target| {
                    target.rows.extend(rows);
                    target.recorded = Some(recorded);
                });
                self.previous = cut.epoch;
                fault(&self.disk, "flush after the commit")?;
                Ok(None)
            }
            SinkKind::Staged => {
                self.target(|target| target.staged.insert(cut.epoch.0, rows));
                fault(&self.disk, "flush after staging")?;
                Ok(Some(PreparedCommit(cut.epoch.0.into())))
            }
        }
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        fault(&self.disk, "commit before")?;
        assert_eq!(prepared.0, epoch.0, "a prepared commit belongs to its epoch");
        self.check_token()?;
        self.target(|target| {
            if let Some(rows) = target.staged.remove(&epoch.0) {
                target.rows.extend(rows);
            }
        });
        fault(&self.disk, "commit after")
    }
}

/// Makes the world's plugins by task id.
pub struct World {
    pub disk: SharedDisk,
    pub rows: i64,
    pub batch: i64,
    pub lenient: bool,
}

impl PluginFactory for World {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        let (disk, task) = (self.disk.clone(), task.id.clone());
        Ok(Box::new(Numbers { disk, task, rows: self.rows, next: 0, batch: self.batch }))
    }

    fn operator(&self, _: &PlannedTask) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Counter { disk: self.disk.clone(), seen: BTreeMap::new(), lenient: self.lenient }))
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        let kind = match task.id.as_str() {
            "staged" => SinkKind::Staged,
            "loose" => SinkKind::Loose,
            _ => SinkKind::Transactional,
        };
        let disk = self.disk.clone();
        Ok(Box::new(Shelf { disk, kind, task: task.id.clone(), token: Token(0), previous: Epoch(0), open: Vec::new() }))
    }
}

/// Never built: the world makes the plugins, the entry only says what kind they are.
fn entry(build: Build) -> PluginEntry {
    PluginEntry {
        name: "World",
        aliases: &[],
        summary: "",
        notes: "",
        example: "",
        schema: || schemars::schema_for!(u8),
        placed: None,
        check: |_| Ok(Properties::source()),
        doctor: |_| Vec::new(),
        retire: |_, _| Ok(Vec::new()),
        build,
    }
}

fn unbuilt<T>() -> Result<T> {
    Err(Error::bug("the world makes the plugins"))
}

fn task(id: &str, entry: PluginEntry, properties: Properties, inputs: &[usize]) -> PlannedTask {
    PlannedTask {
        turn: 0,
        id: id.to_owned(),
        entry,
        config: serde_json::Value::Null,
        properties,
        inputs: inputs.iter().map(|&task| PlannedEdge { task, port: 0 }).collect(),
        tables: Vec::new(),
        on_bad_row: BadRowPolicy::Fail,
        max_bad_rows: 10,
        retry: None,
        delay: Duration::ZERO,
        timeout: None,
    }
}

/// Two sources → one operator that aligns them → a transactional sink twice, a staged and a loose one.
pub fn plan(folder: &std::path::Path, interval: Duration) -> Plan {
    let source = entry(Build::Source { build: |_| unbuilt(), scan: |_| None });
    let operator = entry(Build::Operator { build: |_| unbuilt() });
    let sink = entry(Build::Sink { build: |_| unbuilt(), inspect: |_| None });
    let transactional = Properties { transactional: true, ..Properties::sink() };
    let counting = Properties { cardinality: Cardinality::OneToOne, stateful: true, ..Properties::operator() };
    Plan {
        file: std::path::PathBuf::new(),
        hooks: Vec::new(),
        params: std::collections::BTreeMap::new(),
        flow: "world".into(),
        state_dir: folder.to_owned(),
        delivery: Delivery::ExactlyOnce,
        tasks: vec![
            task("left", source, Properties::source(), &[]),
            task("right", source, Properties::source(), &[]),
            task("count", operator, counting, &[0, 1]),
            task("table", sink, transactional.clone(), &[2]),
            task("other_table", sink, transactional, &[2]),
            task("staged", sink, Properties::sink(), &[2]),
            task("loose", sink, Properties::sink(), &[2]),
        ],
        checkpoint: CheckpointSettings {
            interval,
            timeout: Duration::from_secs(60),
            store: StoreKind::Sled,
            ..CheckpointSettings::default()
        },
        restart: RestartSettings {
            max: u32::MAX,
            window: Duration::from_secs(60),
            delay: Duration::from_micros(100),
            delay_max: Duration::from_millis(1),
        },
        channel: ChannelSettings { rows: 16, bytes: 1 << 20 },
        batch_rows: 8,
    }
}

/// What a sink's target holds of each source, in order.
pub fn held(disk: &SharedDisk, sink: &str) -> BTreeMap<String, Vec<i64>> {
    let mut by_source = BTreeMap::<String, Vec<i64>>::new();
    for (source, n) in &lock(disk).sinks.get(sink).cloned().unwrap_or_default().rows {
        by_source.entry(source.clone()).or_default().push(*n);
    }
    by_source
}

/// Plants the protocol bug that the environment names, if it does: see `planted_bugs`.
fn plant() {
    if let Ok(bug) = std::env::var("AQUEDUCT_PLANTED") {
        fail::cfg(bug, "return").expect("a script that fail understands");
    }
}

/// A disk with this script.
pub fn disk(seed: u64, one_in: u64, left: u32, panics: bool) -> SharedDisk {
    plant();
    Arc::new(Mutex::new(Disk { faults: Faults { seed, one_in, left, panics, place: None }, ..Disk::default() }))
}

/// A disk that fails at one place, every third time.
pub fn disk_failing_at(place: &'static str) -> SharedDisk {
    let disk = disk(7, 3, 10, false);
    lock(&disk).faults.place = Some(place);
    disk
}

/// Opens of all generations so far.
pub fn opens(disk: &SharedDisk) -> u64 {
    lock(disk).opens
}

/// Where a sink's own ledger says that each source ended.
pub fn recorded_rows(disk: &SharedDisk, sink: &str) -> BTreeMap<String, i64> {
    let target = lock(disk).sinks.get(sink).cloned().unwrap_or_default();
    let positions = target.recorded.unwrap_or_default().cut.positions;
    positions.iter().map(|(source, position)| (source.clone(), row_of(position))).collect()
}

/// What sources were told before it was true.
pub fn told_too_early(disk: &SharedDisk) -> Vec<String> {
    lock(disk).told_too_early.clone()
}
