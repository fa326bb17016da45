//! Brings both sides to one position: waits until the target has come to where the source was read.

use std::time::{Duration, Instant};

use aqueduct_engine::control::{Request, request};
use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Epoch, ErrorKind, Result};

use super::Options;
use super::pipeline::Part;
use super::target::Target;

/// How long to wait for a running flow that commits nothing.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long to wait for a running flow that is behind, in all.
const WAIT_MAX: Duration = Duration::from_secs(1_800);
/// How often the target is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a flow that has to be paused for a look runs in between: at first, and at most.
const RUN: Duration = Duration::from_millis(500);
const RUN_MAX: Duration = Duration::from_secs(10);

/// Opens a view of the target at a position that the sources can be computed as of, and fixes them there. A daemon is
/// paused meanwhile, and as long as the second value lives, where its target allows one process only or is to be mended.
///
/// # Errors
/// `Unavailable` when the flow does not run, or commits nothing, and the target is behind the source.
pub(super) fn meet(
    host: &Host,
    plan: &Plan,
    task: &PlannedTask,
    part: &Part,
    options: Options,
) -> Result<Option<(Target, Option<Paused>)>> {
    let mut alone = options.repair;
    let start = Instant::now();
    let mut last_move: (Option<Epoch>, Instant) = (None, start);
    let mut run = RUN;
    let mut paused = None;
    loop {
        if alone && paused.is_none() {
            // A flow that does not run has nothing to be paused.
            paused = Paused::pause(plan).ok();
        }
        let target = match host.wait_on(Target::open(plan, task)) {
            // A daemon that was just paused may need a moment to let go of a file.
            Err(error) if error.kind() == ErrorKind::Unavailable && is_waiting(plan, last_move.1) => {
                alone = true;
                std::thread::sleep(LOOK);
                continue;
            }
            opened => opened?,
        };
        let Some(target) = target else { return Ok(None) };
        let behind = match part.sources.fix(host, &target.cut.positions) {
            Ok(()) => return Ok(Some((target, paused))),
            Err(error) if error.kind() != ErrorKind::Unavailable || part.sources.is_spent() => return Err(error),
            Err(error) => error,
        };
        if last_move.0 != Some(target.cut.epoch) {
            last_move = (Some(target.cut.epoch), Instant::now());
        }
        drop(target);
        paused = None;
        if !is_running(plan) {
            return Err(behind.with_hint("start the flow with `aqueduct run FLOW`, and verify while it runs"));
        }
        if last_move.1.elapsed() > IDLE_MAX || start.elapsed() > WAIT_MAX {
            return Err(behind);
        }
        std::thread::sleep(if alone { run } else { LOOK });
        run = RUN_MAX.min(run * 2);
    }
}

/// True while there is something to wait for.
fn is_waiting(plan: &Plan, last_move: Instant) -> bool {
    last_move.elapsed() < IDLE_MAX && is_running(plan)
}

fn is_running(plan: &Plan) -> bool {
    request(&plan.state_dir, Request::Status).is_ok()
}

/// A daemon that is paused while this lives.
pub(super) struct Paused(std::path::PathBuf);

impl Paused {
    fn pause(plan: &Plan) -> Result<Self> {
        request(&plan.state_dir, Request::Pause)?;
        tracing::info!("the flow is paused while its target is read");
        Ok(Self(plan.state_dir.clone()))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Err(error) = request(&self.0, Request::Resume) {
            tracing::warn!("the flow could not be resumed: {}", error.chain());
        }
    }
}
