//! One test, from its plan to its verdict.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_engine::definition::{Diagnostics, Lookup, Report, Secrets};
use aqueduct_engine::plan::{Plan, PlannedTask, RestartSettings};
use aqueduct_engine::planner::{PlanOptions, Planned, plan_document};
use aqueduct_engine::runtime::{FailureReport, FlowState, Host};
use aqueduct_model::{Catalogue, PluginKind};

use super::bad_row::{self, Refusal};
use super::case::Case;
use super::compare::{self, Difference};
use super::coverage::Coverage;
use super::expectation::{self, At};
use super::given::{Giver, compose};
use super::plugins::TestPlugins;
use super::recorder::{Recorder, Seen};
use super::suite::Suite;
use super::table_state::Tables;

/// A test that takes longer has failed.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How soon an epoch begins once a source waits for it.
const EPOCH_EVERY: Duration = Duration::from_millis(1);

/// How a test ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    /// What came is not what was expected.
    Differs(Vec<Difference>),
    /// The flow failed, and not as expected.
    Failed(FailureReport),
    /// The test or its flow has mistakes.
    Refused(Diagnostics),
    /// The flow did not end.
    TookTooLong,
}

/// What came at a place.
pub(crate) struct Came {
    pub(super) at: At,
    pub(super) seen: Vec<Seen>,
}

/// A test that was run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    /// What must not be shown.
    pub(crate) secrets: Secrets,
    /// What came at the places whose tables, and whose changes, the test looks at; of all targets, where it names none.
    pub(super) tables: Vec<Came>,
    pub(super) changes: Vec<Came>,
    pub(super) refusals: Vec<Refusal>,
}

/// Runs one test of a suite; what it saw goes into the coverage.
pub(crate) fn run_case(
    suite: &Suite,
    case: &Case,
    host: &Host,
    catalogue: &Catalogue,
    coverage: &mut Coverage,
) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome {
        verdict: Verdict::Passed,
        took: Duration::ZERO,
        secrets: Secrets::default(),
        tables: Vec::new(),
        changes: Vec::new(),
        refusals: Vec::new(),
    };
    outcome.verdict = match verdict(suite, case, host, catalogue, coverage, &mut outcome) {
        Ok(verdict) => verdict,
        Err(mistakes) => Verdict::Refused(mistakes),
    };
    outcome.took = started.elapsed();
    outcome
}

fn verdict(
    suite: &Suite,
    case: &Case,
    host: &Host,
    catalogue: &Catalogue,
    coverage: &mut Coverage,
    outcome: &mut Outcome,
) -> Result<Verdict, Diagnostics> {
    let Planned { mut plan, secrets, .. } = plan_case(suite, case, catalogue)?;
    outcome.secrets = secrets;
    let sources: Vec<Giver> = givers(&plan);
    let mut report = Report::new(suite.tests.source());
    let script = compose(&case.node, &sources, &mut report);
    let states = expectation::states(case, &plan, &mut report);
    let changes = expectation::changes(case, &plan, &mut report);
    let bad_rows = bad_row::expected(case, &mut report);
    if report.has_errors() {
        return Err(report.finish(&outcome.secrets));
    }
    prepare(&mut plan);
    let recorder = Recorder::default();
    let plugins = Arc::new(TestPlugins::new(&mut plan, script, recorder.clone()));
    let Some(end) = run(host, plan.clone(), plugins.clone()) else { return Ok(Verdict::TookTooLong) };
    coverage.add(&suite.flow_path, &plan, &plugins, &recorder);
    let came = |at: &At| Came { at: at.clone(), seen: plugins.at(&plan.tasks[at.task], at.place) };
    outcome.tables = match (states.is_empty(), changes.is_empty() && bad_rows.is_empty() && case.error.is_none()) {
        (true, true) => expectation::targets(&plan).iter().map(came).collect(),
        _ => states.iter().map(|state| came(&state.at)).collect(),
    };
    outcome.changes = changes.iter().map(|changes| came(&changes.at)).collect();
    let refused = |task: &String| {
        let of_task = task.clone();
        recorder.refused(task).into_iter().map(move |row| Refusal { task: of_task.clone(), row })
    };
    outcome.refusals = of_kind(&plan, PluginKind::Operator).iter().flat_map(refused).collect();
    let mut differences = Vec::new();
    for (state, came) in states.iter().zip(&outcome.tables) {
        differences.extend(compare::state(state, &Tables::of(&came.seen)));
    }
    for (expected, came) in changes.iter().zip(&outcome.changes) {
        differences.extend(compare::changes(&expected.at.label, &expected.changes, &came.seen));
    }
    match (end, &case.error) {
        (FlowState::Failed { report }, Some(expected)) if !says(&report, expected) => {
            return Ok(Verdict::Failed(report));
        }
        (FlowState::Failed { report }, None) => return Ok(Verdict::Failed(report)),
        // The row at which a flow fails is no surprise then.
        (FlowState::Failed { .. }, Some(_)) if case.node.get("bad_rows").is_none() => {}
        (FlowState::Failed { .. }, Some(_)) => differences.extend(bad_row::compare(&bad_rows, &outcome.refusals)),
        (_, Some(expected)) => {
            let title = format!("the flow did not fail; expected an error with {expected:?}");
            differences.push(Difference { title, columns: Vec::new(), rows: Vec::new() });
        }
        (_, None) => differences.extend(bad_row::compare(&bad_rows, &outcome.refusals)),
    }
    Ok(if differences.is_empty() { Verdict::Passed } else { Verdict::Differs(differences) })
}

fn says(report: &FailureReport, expected: &str) -> bool {
    report.message.contains(expected) || report.hint.as_ref().is_some_and(|hint| hint.contains(expected))
}

/// Plans the flow with the test's parameters and environment.
fn plan_case(suite: &Suite, case: &Case, catalogue: &Catalogue) -> Result<Planned, Diagnostics> {
    // Nothing is kept there: checkpoints are in memory.
    let options = PlanOptions { state_root: PathBuf::from("."), params: case.params.clone(), ..PlanOptions::default() };
    let process = Lookup::of_process(&case.params);
    let env = |name: &str| case.env.get(name).cloned().or_else(|| (process.env)(name));
    let lookup = Lookup { params: &case.params, env: &env, file: process.file };
    plan_document(&suite.flow, catalogue, &options, &lookup)
}

fn givers(plan: &Plan) -> Vec<Giver> {
    let sources = plan.tasks.iter().filter(|task| task.kind() == PluginKind::Source);
    let giver = |task: &PlannedTask| Giver {
        id: task.id.clone(),
        plugin: task.entry.name,
        changes: task.properties.emits_changes,
    };
    sources.map(giver).collect()
}

fn of_kind(plan: &Plan, kind: PluginKind) -> Vec<String> {
    plan.tasks.iter().filter(|task| task.kind() == kind).map(|task| task.id.clone()).collect()
}

/// What differs from a run: ends in memory, epochs when a source asks for them, restarts at once.
fn prepare(plan: &mut Plan) {
    plan.checkpoint.interval = EPOCH_EVERY;
    plan.restart = RestartSettings { max: u32::MAX, delay: Duration::ZERO, ..RestartSettings::default() };
    for task in &mut plan.tasks {
        task.retry = None;
        task.delay = Duration::ZERO;
        task.timeout = None;
        if task.kind() != PluginKind::Operator {
            task.properties.blocking = false;
            task.properties.transactional = false;
            task.properties.replay = aqueduct_model::Replay::Exact;
        }
    }
}

fn run(host: &Host, plan: Plan, plugins: Arc<TestPlugins>) -> Option<FlowState> {
    host.block_on(|starter| async move {
        let flow = starter.start_without_trace(plan, plugins);
        tokio::time::timeout(WAIT_MAX, flow.wait()).await.ok()
    })
}
