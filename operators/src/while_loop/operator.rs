//! `While`: an item is a row of runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    Batch, Error, ErrorKind, HumanDuration, Operator, OperatorPlugin, PluginEntry, Properties, Result, RunFailure,
    RunRequest, Runs, cell_value, operator,
};
use serde_json::Value;

use super::config::{Emit, WhileConfig};
use crate::predicate::{Answer, Predicate};
use crate::runs::{ByRuns, Ending, ItemEnd, Job, OnError, Queue, Rules, params, rows_of, run_once};
use crate::sql::Expression;
use crate::sub_flow::{given, runs_flows};

/// The entry of `While`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "While";
    const SUMMARY: &'static str = "Runs another flow again and again, while a condition over its last row holds.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = WhileConfig;

    fn properties(_: &WhileConfig) -> Properties {
        runs_flows()
    }

    fn validate(config: &WhileConfig) -> Result<()> {
        condition(config).map(drop)
    }

    fn build(config: WhileConfig) -> Result<Box<dyn Operator>> {
        let rules = Rules { parallel: config.parallel.get(), keep: config.keep.clone() };
        let condition = condition(&config)?;
        Ok(Box::new(ByRuns { queue: Queue::new(Arc::new(Loop { config: Arc::new(config), condition }), rules) }))
    }
}

fn condition(config: &WhileConfig) -> Result<Expression> {
    Expression::parse(&config.condition).map_err(|error| error.with_setting("while"))
}

struct Loop {
    config: Arc<WhileConfig>,
    condition: Expression,
}

impl Job for Loop {
    fn work(&self, runs: Arc<dyn Runs>, name: String, row: &Batch) -> Result<Ending> {
        let (given, declared_only) = given(self.config.params.as_ref(), row)?;
        let (config, condition) = (self.config.clone(), self.condition.clone());
        Ok(Box::pin(async move {
            let mut rounds = Rounds { config, condition, end: ItemEnd::nothing(), last: None };
            rounds.all(runs.as_ref(), &name, given, declared_only).await?;
            Ok(rounds.end)
        }))
    }
}

/// The runs of one item.
struct Rounds {
    config: Arc<WhileConfig>,
    condition: Expression,
    end: ItemEnd,
    /// The last row that was handed back.
    last: Option<Batch>,
}

impl Rounds {
    /// Runs that have ended before a crash give their ends again: the same way is gone once more.
    async fn all(
        &mut self,
        runs: &dyn Runs,
        name: &str,
        mut given: BTreeMap<String, String>,
        declared_only: bool,
    ) -> Result<()> {
        loop {
            let request = RunRequest {
                name: format!("{name}/{:06}", self.end.runs),
                flow: self.config.flow.clone(),
                params: given.clone(),
                declared_only,
            };
            let end = run_once(runs, request, self.config.on_error).await?;
            self.end.runs += 1;
            self.end.rows += rows_of(&end.returned);
            self.end.took_ms += end.took_ms;
            self.end.failure = end.failure;
            let last = end.returned.last().filter(|batch| batch.num_rows() > 0);
            self.last = last.map(|batch| batch.slice(batch.num_rows() - 1, 1));
            match (self.config.emit, &self.last) {
                (Emit::All, _) => self.end.returned.extend(end.returned),
                (Emit::Last, Some(last)) => self.end.returned = vec![last.clone()],
                (Emit::Last, None) => {}
            }
            if self.end.failure.is_some() || !self.goes_on()? {
                return Ok(());
            }
            if let Some(failure) = self.over_the_cap() {
                return self.fail(name, failure);
            }
            self.carry(&mut given)?;
        }
    }

    fn goes_on(&self) -> Result<bool> {
        let Some(last) = &self.last else { return Ok(false) };
        let condition =
            Predicate::bind(&self.condition, last.relation()).map_err(|error| error.with_setting("while"))?;
        let answers = condition.answer(last)?;
        match answers.get(0) {
            Answer::Failed(index) => {
                Err(Error::new(ErrorKind::Data, answers.reason(index).to_owned()).with_setting("while"))
            }
            answer => Ok(answer == Answer::Yes),
        }
    }

    fn over_the_cap(&self) -> Option<RunFailure> {
        let failure = |kind, message, setting: &str| {
            let hint = Some(format!("raise `{setting}`, or mend `while`"));
            Some(RunFailure { kind, task: None, message, hint })
        };
        if self.end.runs >= self.config.max_runs.get() {
            let text = format!("the condition still holds after {} runs", self.end.runs);
            return failure(ErrorKind::Data, text, "max_runs");
        }
        let HumanDuration(max) = self.config.max_time?;
        if Duration::from_millis(self.end.took_ms) < max {
            return None;
        }
        let text = format!("the condition still holds after {}", HumanDuration(max));
        failure(ErrorKind::Timeout, text, "max_time")
    }

    fn fail(&mut self, name: &str, failure: RunFailure) -> Result<()> {
        if self.config.on_error == OnError::Fail {
            // Not to be tried again by itself: the same would come of it.
            let error = Error::new(ErrorKind::Data, format!("item {name}: {}", failure.message));
            return Err(error.with_hint(failure.hint.unwrap_or_default()));
        }
        self.end.failure = Some(failure);
        Ok(())
    }

    fn carry(&self, given: &mut BTreeMap<String, String>) -> Result<()> {
        let Some(last) = &self.last else { return Ok(()) };
        let mut values = serde_json::Map::new();
        for (param, column) in &self.config.carry {
            let (index, _) = last.relation().column(column).map_err(|error| error.with_setting("carry"))?;
            given.remove(param);
            values.insert(param.clone(), cell_value(last.rows().column(index).as_ref(), 0)?);
        }
        given.extend(params(Value::Object(values)));
        Ok(())
    }
}
