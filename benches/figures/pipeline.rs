//! Generated rows → operators that do nothing → a sink that does nothing, inside this process: what is left is the
//! engine itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_engine::plan::{ChannelSettings, CheckpointSettings, Plan, PlannedEdge, PlannedTask, RestartSettings};
use aqueduct_engine::runtime::{FlowState, Host, PluginFactory};
use aqueduct_model::*;
use async_trait::async_trait;

use crate::usage::own_cpu_seconds;

/// One run.
pub struct Pipeline {
    pub operators: usize,
    pub rows: u64,
    pub checkpoint_interval: Duration,
}

/// What it cost.
pub struct Cost {
    pub cpu_seconds: f64,
    pub seconds: f64,
}

/// Rows that tell how fast this build is on this machine.
const TRIAL_ROWS: u64 = 50_000_000;

/// About how many rows take so many seconds with one operator, in whole millions.
pub fn rows_in(seconds: f64) -> u64 {
    let trial = Pipeline { operators: 1, rows: TRIAL_ROWS, checkpoint_interval: Duration::from_secs(1) }.run();
    let millions = TRIAL_ROWS as f64 / trial.seconds * seconds / 1e6;
    millions.ceil() as u64 * 1_000_000
}

impl Pipeline {
    /// Runs it to its end, on a fresh runtime and in a fresh folder.
    pub fn run(&self) -> Cost {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plan = self.plan(folder.path());
        let host = Host::new().expect("a runtime");
        let (cpu, started) = (own_cpu_seconds(), Instant::now());
        let end = host.block_on(|starter| async move {
            let flow = starter.start(plan, Arc::new(Idlers)).await.expect("the flow starts");
            flow.wait().await
        });
        let cost = Cost { cpu_seconds: own_cpu_seconds() - cpu, seconds: started.elapsed().as_secs_f64() };
        assert_eq!(end, FlowState::Finished);
        cost
    }

    fn plan(&self, folder: &std::path::Path) -> Plan {
        let faker = *aqueduct_connectors::ENTRIES.iter().find(|entry| entry.name == "FakerInput").expect("built in");
        let config = serde_json::json!({ "dataset": "numbers", "rows": self.rows, "seed": 1 });
        let source = (faker.check)(&config).expect("good settings");
        let operator = Properties { cardinality: Cardinality::OneToOne, ..Properties::operator() };
        let mut tasks = vec![task("numbers", faker, config, source, None)];
        for i in 0..self.operators {
            tasks.push(task(&format!("idle_{i}"), OPERATOR, serde_json::Value::Null, operator.clone(), Some(i)));
        }
        tasks.push(task("nothing", SINK, serde_json::Value::Null, Properties::sink(), Some(self.operators)));
        Plan {
            file: std::path::PathBuf::new(),
            hooks: Vec::new(),
            params: std::collections::BTreeMap::new(),
            flow: "figures".into(),
            state_dir: folder.to_owned(),
            delivery: Delivery::BestEffort,
            tasks,
            checkpoint: CheckpointSettings { interval: self.checkpoint_interval, ..CheckpointSettings::default() },
            restart: RestartSettings { max: 0, ..RestartSettings::default() },
            channel: ChannelSettings::default(),
            batch_rows: 8_192,
        }
    }
}

fn task(
    id: &str,
    entry: PluginEntry,
    config: serde_json::Value,
    properties: Properties,
    input: Option<usize>,
) -> PlannedTask {
    PlannedTask {
        turn: 0,
        id: id.to_owned(),
        entry,
        config,
        properties,
        inputs: input.map(|task| PlannedEdge { task, port: 0 }).into_iter().collect(),
        tables: Vec::new(),
        on_bad_row: BadRowPolicy::Fail,
        max_bad_rows: 0,
        retry: None,
        delay: Duration::ZERO,
        timeout: None,
    }
}

const OPERATOR: PluginEntry = entry(Build::Operator { build: |_| Ok(Box::new(Idle)) });
const SINK: PluginEntry = entry(Build::Sink { build: |_| Ok(Box::new(Idle)), inspect: |_| None });

const fn entry(build: Build) -> PluginEntry {
    PluginEntry {
        name: "Idle",
        aliases: &[],
        summary: "",
        notes: "",
        example: "",
        schema: || schemars::schema_for!(u8),
        placed: None,
        check: |_| Ok(Properties::operator()),
        doctor: |_| Vec::new(),
        retire: |_, _| Ok(Vec::new()),
        build,
    }
}

/// Makes what the plan's entries say.
struct Idlers;

impl PluginFactory for Idlers {}

/// Passes batches on, or drops them.
struct Idle;

#[async_trait]
impl Operator for Idle {
    async fn open(&mut self, _: &OperatorContext, _: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        out.emit(OutputPort::MAIN, batch).await
    }
}

#[async_trait]
impl Sink for Idle {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
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
