//! One seed's life: a random flow over random logs, killed and failed at random places until everything is through.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aqueduct_model::*;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::disk::{END, Outside, Rows, changes_before};
use super::plugins::Plugins;
use super::random::Random;
use super::scheduler::Scheduler;
use super::store::{Folder, SimulatedStore};
use crate::plan::{ChannelSettings, CheckpointSettings, Plan, PlannedEdge, PlannedTask, RestartSettings, StoreKind};
use crate::receipts::ReceiptKind;
use crate::runtime::coordinator::{Ended, Outcome};
use crate::runtime::launch::{Assembly, Surroundings, assemble};
use crate::runtime::progress::Progress;
use crate::runtime::pulse::Pulse;
use crate::runtime::status::CheckpointStatus;

/// Transactions that are written over a life.
const TRANSACTIONS_MAX: usize = 60;
/// A flow that was refused so often would be for ever: it stops for good, with nothing lost in silence.
const REFUSALS_MAX: u64 = 5;
/// Steps without an end mean that the flow is stuck.
const STEPS_MAX: usize = 200_000;

/// What one life came to.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) violations: Vec<String>,
    /// How often each place was struck.
    pub(super) strikes: BTreeMap<&'static str, u64>,
    pub(super) processes: u64,
    /// 1 when the flow could not go on with its copy of the folder, and said so.
    pub(super) refused: u64,
    pub(super) commits: u64,
}

/// The outcome of a task or of the coordinator.
enum Exit {
    Task(Result<()>),
    Coordinator(Box<Ended>),
}

/// A process that runs the flow.
struct Process {
    outside: Outside,
    scheduler: Scheduler<Exit>,
    beats: mpsc::Sender<()>,
    stop: watch::Sender<bool>,
    switch: Option<crate::runtime::cancel::CancelSwitch>,
    outcome: Option<Outcome>,
    failed: bool,
}

struct World {
    random: Random,
    plan: Arc<Plan>,
    runtime: Handle,
    outside: Outside,
    folder: Arc<Mutex<Folder>>,
    poll_rows: usize,
    transactions_left: usize,
    /// The logs are closed some time, and the flow comes to its end by itself.
    bounded: bool,
    life: Life,
}

/// Lives one seed.
pub(super) fn live(seed: u64, runtime: &Handle) -> Life {
    let mut random = Random(seed);
    let bounded = random.one_in(2);
    let plan = Arc::new(plan(&mut random, bounded));
    let outside = Outside::default();
    {
        let mut disk = outside.lock();
        disk.script.random = Random(random.draw());
        disk.script.left = random.below(12) as u32;
        disk.script.one_in = [5, 20, 60, 200][random.below(4)];
        disk.holds = plan.tasks.iter().any(|task| task.id.starts_with("hold"));
    }
    let mut world = World {
        poll_rows: 1 + random.below(5),
        transactions_left: 1 + random.below(TRANSACTIONS_MAX),
        bounded,
        plan,
        runtime: runtime.clone(),
        outside,
        folder: Arc::default(),
        life: Life::default(),
        random,
    };
    world.run();
    let disk = world.outside.lock();
    Life { violations: disk.violations.clone(), strikes: disk.strikes.clone(), commits: disk.commits, ..world.life }
}

impl World {
    fn run(&mut self) {
        let mut zombies: Vec<Process> = Vec::new();
        let mut steps = 0;
        loop {
            let mut process = match self.start() {
                Ok(process) => process,
                Err(error) => return self.outside.lock().violation(format!("cannot start: {}", error.chain())),
            };
            self.life.processes += 1;
            // How long this process lives before it is frozen while another one takes over a copy of its folder.
            let mut patience = if self.random.one_in(6) { self.random.below(2_000) } else { usize::MAX };
            while !process.scheduler.is_done() && !process.outside.is_dead() && patience > 0 {
                patience -= usize::from(patience != usize::MAX);
                steps += 1;
                if steps > STEPS_MAX {
                    return self.outside.lock().violation("stuck: the flow does not come to an end".to_owned());
                }
                self.step(&mut process);
                let chosen = self.random.below(zombies.len() * 4);
                if let Some(zombie) = zombies.get_mut(chosen) {
                    zombie.step(&mut self.random);
                }
            }
            match process.outcome {
                Some(Outcome::Stopped) if self.bounded => continue,
                Some(outcome) => return self.check_end(outcome),
                None => {}
            }
            if self.outside.lock().refusals >= REFUSALS_MAX {
                self.life.refused = 1;
                return;
            }
            if patience == 0 {
                let copy = self.folder.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
                self.folder = Arc::new(Mutex::new(copy));
                self.outside.lock().takeovers += 1;
                zombies.push(process);
            }
        }
    }

    fn start(&mut self) -> Result<Process> {
        let outside = self.outside.for_new_process();
        let (beats, told) = mpsc::channel(1);
        let around = Surroundings {
            runs: None,
            plan: self.plan.clone(),
            factory: Arc::new(Plugins { outside: outside.clone(), poll_rows: self.poll_rows }),
            runtime: self.runtime.clone(),
            progress: Arc::new(self.plan.tasks.iter().map(|_| Arc::new(Progress::default())).collect()),
            checkpoint: watch::channel(CheckpointStatus::default()).0,
            leaves_trace: false,
        };
        let store = Box::new(SimulatedStore { outside: outside.clone(), folder: self.folder.clone() });
        let Assembly { tasks, coordinator, stop, switch } = assemble(&around, store, Pulse::Told(told))?;
        let tasks = tasks.into_iter().map(|task| Box::pin(async { Exit::Task(task.await) }) as _);
        let coordinator = Box::pin(async { Exit::Coordinator(Box::new(coordinator.run().await)) }) as _;
        let scheduler = Scheduler::new(tasks.chain(std::iter::once(coordinator)));
        Ok(Process { outside, scheduler, beats, stop, switch: Some(switch), outcome: None, failed: false })
    }

    /// Something happens: a transaction at a source, a beat, the wish to stop, or a step of the process.
    fn step(&mut self, process: &mut Process) {
        if self.transactions_left > 0 && self.random.one_in(12) {
            self.transactions_left -= 1;
            let source = self.random.below(self.sources().count());
            let name = self.sources().nth(source).unwrap_or_default();
            let mut disk = self.outside.lock();
            let log = disk.logs.entry(name).or_default();
            if !log.closed {
                log.write(&mut self.random);
                log.closed = self.bounded && self.random.one_in(20);
            }
        } else if self.transactions_left == 0 && self.bounded && self.random.one_in(20) {
            let sources: Vec<String> = self.sources().collect();
            let name = sources[self.random.below(sources.len())].clone();
            self.outside.lock().logs.entry(name).or_default().closed = true;
        }
        let stepped = process.step(&mut self.random);
        if !stepped || self.random.one_in(15) {
            // A full channel holds a beat already.
            let _ = process.beats.try_send(());
        }
        let stops = match self.bounded {
            true => self.random.one_in(500),
            false => self.transactions_left == 0 && self.random.one_in(20) && self.is_through(),
        };
        if stops {
            process.stop.send_replace(true);
        }
    }

    fn sources(&self) -> impl Iterator<Item = String> {
        let tasks: Vec<String> = self
            .plan
            .tasks
            .iter()
            .filter(|task| task.kind() == PluginKind::Source)
            .map(|task| task.id.clone())
            .collect();
        tasks.into_iter()
    }

    /// True when every target shows all that was written.
    fn is_through(&self) -> bool {
        let disk = self.outside.lock();
        disk.targets.values().all(|target| {
            let cut = target.recorded.as_ref().map(|recorded| &recorded.cut);
            disk.logs.iter().all(|(source, log)| {
                cut.and_then(|cut| cut.positions.get(source)).map_or(0, changes_before) == log.changes.len()
            })
        })
    }

    fn check_end(&mut self, outcome: Outcome) {
        let logs_end = !self.bounded || self.outside.lock().logs.values().all(|log| log.closed);
        if !logs_end || !self.is_through() || (!self.bounded && self.transactions_left > 0) {
            self.outside.lock().violation("the flow ended before everything was through".to_owned());
        }
        if outcome == Outcome::Finished {
            let ends = self.ends();
            self.outside.lock().check_end(&ends);
        }
    }

    /// The rows that the counters gave at the end: how many rows each had seen, those of the counters before it too.
    fn ends(&self) -> Rows {
        let mut seen: i64 = self.outside.lock().logs.values().map(|log| log.changes.len() as i64).sum();
        let mut ends = Rows::new();
        for task in self.plan.tasks.iter().filter(|task| task.id.starts_with("count")) {
            if seen > 0 {
                ends.insert((format!("{END}{}", task.id), 0), seen);
                seen += 1;
            }
        }
        ends
    }
}

impl Process {
    /// Polls one future. False when none wants to be polled.
    fn step(&mut self, random: &mut Random) -> bool {
        let Some(polled) = self.scheduler.step(random) else { return false };
        match polled {
            None => {}
            Some(Exit::Task(Ok(()))) => {}
            Some(Exit::Coordinator(ended)) if ended.0.is_ok() => self.outcome = ended.0.ok(),
            // One for all: the rest is torn down, and a new process goes on.
            Some(Exit::Task(Err(_)) | Exit::Coordinator(_)) => {
                self.failed = true;
                if let Some(switch) = self.switch.take() {
                    switch.cancel();
                }
            }
        }
        true
    }
}

/// Never built: the world makes the plugins, the entry only says what kind they are.
fn entry(build: Build) -> PluginEntry {
    PluginEntry {
        name: "Simulated",
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

fn task(id: String, build: Build, properties: Properties, inputs: Vec<usize>) -> PlannedTask {
    PlannedTask {
        turn: 0,
        id,
        entry: entry(build),
        config: serde_json::Value::Null,
        properties,
        inputs: inputs.into_iter().map(|task| PlannedEdge { task, port: 0 }).collect(),
        tables: Vec::new(),
        on_bad_row: BadRowPolicy::Fail,
        max_bad_rows: 10,
        retry: None,
        delay: Duration::ZERO,
        timeout: None,
    }
}

/// One to three sources, up to two counters one behind the other, one to three sinks of both kinds; where the logs are
/// closed some time, perhaps one that holds rows back.
fn plan(random: &mut Random, bounded: bool) -> Plan {
    let mut tasks = Vec::new();
    let sources = 1 + random.below(3);
    for i in 0..sources {
        let build = Build::Source { build: |_| unbuilt(), scan: |_| None };
        tasks.push(task(format!("log_{i}"), build, Properties::source(), Vec::new()));
    }
    let mut inputs: Vec<usize> = (0..sources).collect();
    let holder = (bounded && random.one_in(3)).then(|| random.below(3));
    for i in 0..random.below(3) {
        let build = Build::Operator { build: |_| unbuilt() };
        let (name, cardinality) = match holder == Some(i) {
            true => ("hold", Cardinality::Any),
            false => ("count", Cardinality::OneToOne),
        };
        let properties = Properties { cardinality, stateful: true, ..Properties::operator() };
        tasks.push(task(format!("{name}_{i}"), build, properties, inputs));
        inputs = vec![tasks.len() - 1];
    }
    for i in 0..=random.below(3) {
        let transactional = random.one_in(2);
        let name = if transactional { "table" } else { "files" };
        let build = Build::Sink { build: |_| unbuilt(), inspect: |_| None };
        let properties = Properties { transactional, ..Properties::sink() };
        tasks.push(task(format!("{name}_{i}"), build, properties, inputs.clone()));
    }
    Plan {
        file: std::path::PathBuf::new(),
        hooks: Vec::new(),
        params: std::collections::BTreeMap::new(),
        flow: "simulated".to_owned(),
        state_dir: PathBuf::from("/nonexistent/simulated"),
        delivery: Delivery::ExactlyOnce,
        tasks,
        checkpoint: CheckpointSettings {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(86_400),
            receipts: ReceiptKind::None,
            store: StoreKind::Sled,
        },
        restart: RestartSettings::default(),
        channel: ChannelSettings { rows: 1 + random.below(20) as u32, bytes: 1 << 20 },
        batch_rows: 8,
    }
}
