//! The source of a test: gives what the test says, lets epochs end where it says so, and fails where it says `restart`.
//!
//! A source is at a transaction boundary only at the start, at a `checkpoint` and at the end; and only until the epoch
//! that ends there is committed. So the barriers of all sources stand at the same step, in every run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRows, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;
use serde_json::json;

use super::script::{Gift, Script, Stage, Step};

/// How long a poll waits where there is nothing to do but to listen to the coordinator, which is heard between polls.
const PACE: Duration = Duration::from_micros(200);
/// The split of a test's position.
const SPLIT: &str = "step";
/// The message of a planned failure.
const PLANNED: &str = "the test restarts the flow here";

/// See the module.
pub(super) struct ScriptedSource {
    script: Arc<Script>,
    /// Where it meets the other sources for restarts, if it does.
    stage: Option<Arc<Stage>>,
    gifts: BTreeMap<usize, Gift>,
    /// The next step.
    next: usize,
    /// Standing at a boundary whose epoch is not committed.
    waiting: bool,
    arrived: bool,
}

impl ScriptedSource {
    pub(super) fn new(task: &str, script: Arc<Script>, stage: Option<Arc<Stage>>) -> Self {
        let gifts = script.gifts.get(task).cloned().unwrap_or_default();
        Self { script, stage, gifts, next: 0, waiting: true, arrived: false }
    }

    fn has_ended(&self) -> bool {
        self.next >= self.script.steps.len()
    }
}

#[async_trait]
impl Source for ScriptedSource {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let step = resume.and_then(|position| position.offset(SPLIT)).and_then(serde_json::Value::as_u64);
        self.next = step.unwrap_or(0) as usize;
        self.waiting = true;
        Ok(())
    }

    async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        loop {
            if self.waiting && !self.has_ended() {
                tokio::time::sleep(PACE).await;
                return Ok(Polled::Idle);
            }
            let Some(step) = self.script.steps.get(self.next) else { return Ok(Polled::Finished) };
            match step {
                Step::Gift => {
                    let gift = self.gifts.get(&self.next).cloned();
                    self.next += 1;
                    match gift {
                        Some(Gift::Batch(batch)) => return Ok(Polled::Batch(batch)),
                        Some(Gift::Schema(change)) => return Ok(Polled::Schema(change)),
                        None => {}
                    }
                }
                Step::Checkpoint => {
                    self.next += 1;
                    self.waiting = true;
                }
                Step::Restart => {
                    let Some(stage) = self.stage.as_ref().filter(|stage| stage.is_ahead(self.next)) else {
                        self.next += 1;
                        continue;
                    };
                    if !self.arrived {
                        self.arrived = true;
                        if stage.arrive(self.next) {
                            return Err(Error::new(ErrorKind::Unavailable, PLANNED));
                        }
                    }
                    tokio::time::sleep(PACE).await;
                    return Ok(Polled::Idle);
                }
            }
        }
    }

    fn position(&self) -> Option<Position> {
        (self.waiting || self.has_ended()).then(|| Position::single(SPLIT, json!(self.next)))
    }

    async fn on_checkpoint_durable(&mut self, _: Epoch, position: &Position) -> Result<()> {
        if position.offset(SPLIT) == Some(&json!(self.next)) {
            self.waiting = false;
        }
        Ok(())
    }
}
