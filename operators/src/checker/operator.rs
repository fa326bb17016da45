//! `Checker`: rules over a changelog, with a port for the rows that break one.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, Epoch, Error, ErrorKind, FirstInput, InputPort, Op, Operator, OperatorContext,
    OperatorPlugin, Output, OutputPort, PluginEntry, Properties, Result, RuleCounter, SchemaChange, State, operator,
};
use arrow::array::{BooleanArray, StringArray};
use async_trait::async_trait;

use super::bound::Bound;
use super::config::{Check, CheckerConfig, RowCount};
use super::judge::{Judged, judge};
use super::kept::Kept;
use super::references::References;
use super::rejected;
use super::rule::{Checked, Test, checked};
use crate::bindings::Bindings;
use crate::verdicts::{Verdicts, reject};

/// The entry of `Checker`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// The port of the rows that break a rule.
const REJECTED: OutputPort = OutputPort(1);

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Checker";
    const SUMMARY: &'static str =
        "Checks rows by rules; those that break one go to a port of their own with all reasons.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = CheckerConfig;

    fn properties(config: &CheckerConfig) -> Properties {
        let checks = || config.rules.iter().map(|rule| &rule.check);
        let remembers = checks().any(|check| matches!(check, Check::Unique | Check::Reference(_) | Check::RowCount(_)));
        let first_inputs = checks().enumerate().filter_map(|(i, check)| match check {
            Check::Reference(reference) => Some(FirstInput {
                input: reference.input.clone(),
                setting: format!("rules[{i}].check.reference.input"),
            }),
            _ => None,
        });
        Properties {
            inputs: (1, usize::MAX),
            outputs: vec!["out".to_owned(), "rejected".to_owned()],
            first_inputs: first_inputs.collect(),
            // The fewest rows are known when all have come.
            needs_end: checks().any(|check| matches!(check, Check::RowCount(RowCount { min: Some(_), .. }))),
            stateful: remembers,
            blocking: remembers,
            // An update without its old image is also a delete on the other port.
            cardinality: Cardinality::Any,
            ..Properties::operator()
        }
    }

    fn validate(config: &CheckerConfig) -> Result<()> {
        checked(config).map(drop)
    }

    fn build(config: CheckerConfig) -> Result<Box<dyn Operator>> {
        let rules = checked(&config)?;
        Ok(Box::new(Checker {
            rules,
            reasons_column: config.reasons_column,
            memory_bytes: config.state_memory.0 as usize,
            bound: Bindings::default(),
            kept: None,
            references: References::default(),
            counters: Vec::new(),
        }))
    }
}

struct Checker {
    rules: Vec<Checked>,
    reasons_column: String,
    memory_bytes: usize,
    bound: Bindings<Arc<Bound>>,
    /// What the rules remember; `None` where none does.
    kept: Option<Kept>,
    references: References,
    /// By rule.
    counters: Vec<Arc<RuleCounter>>,
}

impl Checker {
    /// The rules `row_count`, with their places.
    fn row_counts(&self) -> Vec<(usize, RowCount)> {
        let row_count = |(i, rule): (usize, &Checked)| match rule.test {
            Test::RowCount(count) => Some((i, count)),
            _ => None,
        };
        self.rules.iter().enumerate().filter_map(row_count).collect()
    }

    /// Counts the rows that a table has after each row of a batch.
    fn count_rows(&mut self, bound: &Bound, batch: &Batch) -> Result<()> {
        let limits = self.row_counts();
        let Some(kept) = self.kept.as_mut().filter(|_| !limits.is_empty()) else { return Ok(()) };
        let name = batch.relation().name();
        let mut table = kept.table(name, &bound.shape)?;
        for row in 0..batch.num_rows() {
            match batch.op(row) {
                Op::Insert => table.rows += 1,
                Op::Delete => table.rows -= 1,
                Op::UpdateBefore | Op::UpdateAfter => continue,
            }
            for (i, limit) in &limits {
                let is_over = |max: &u64| u64::try_from(table.rows).is_ok_and(|rows| rows > *max);
                if let Some(max) = limit.max.filter(is_over) {
                    return Err(out_of_bounds(*i, format!("{name} has more than {max} rows")));
                }
            }
        }
        kept.put_table(name, &table)
    }

    /// Checks at the end of all inputs that no table has too few rows.
    fn check_row_counts(&self) -> Result<()> {
        let limits = self.row_counts();
        let Some(kept) = self.kept.as_ref().filter(|_| !limits.is_empty()) else { return Ok(()) };
        let tables = kept.tables()?;
        for (i, limit) in limits {
            let Some(min) = limit.min.filter(|min| *min > 0) else { continue };
            if tables.is_empty() {
                return Err(out_of_bounds(i, format!("no row came at all, and there have to be {min}")));
            }
            let too_few = tables.iter().find(|(_, table)| u64::try_from(table.rows).unwrap_or_default() < min);
            if let Some((name, table)) = too_few {
                return Err(out_of_bounds(i, format!("{name} has {} rows, fewer than {min}", table.rows)));
            }
        }
        Ok(())
    }
}

/// Sends the rows of a batch where the rules want them.
async fn send(batch: Batch, bound: &Bound, judged: Judged, out: &mut dyn Output) -> Result<()> {
    let Judged { passed, rejected, reasons, refused, .. } = judged;
    if batch.is_append_only() && passed.iter().all(|passed| *passed) {
        return out.emit(OutputPort::MAIN, batch).await;
    }
    let with_reasons = rejected::batch(&batch, &bound.rejected, StringArray::from(reasons))?;
    reject(&batch, &refused, out)?;
    for (port, rows, keep) in [(OutputPort::MAIN, batch, passed), (REJECTED, with_reasons, rejected)] {
        let verdicts = Verdicts { keep: BooleanArray::from(keep), refused: refused.clone() };
        let rows = verdicts.apply(&rows)?;
        if rows.num_rows() > 0 {
            out.emit(port, rows).await?;
        }
    }
    Ok(())
}

/// The failure of a flow whose table has too many or too few rows.
fn out_of_bounds(rule: usize, text: String) -> Error {
    Error::new(ErrorKind::Data, text)
        .with_setting(format!("rules[{rule}]"))
        .with_hint("look at what the source gave; what earlier epochs wrote is there, what came since is not")
}

#[async_trait]
impl Operator for Checker {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.counters = self.rules.iter().map(|rule| context.rules.of(&rule.name)).collect();
        self.references = References::new(&self.rules, context)?;
        let remembering: Vec<String> = self.rules.iter().filter_map(|rule| rule.test.remembers()).collect();
        if !remembering.is_empty() {
            self.kept = Some(Kept::open(context, state.as_ref(), self.memory_bytes, &remembering)?);
        }
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if let (true, Some(kept)) = (self.references.has(port), &mut self.kept) {
            return self.references.learn(port, &batch, kept);
        }
        let (rules, column) = (&self.rules, &self.reasons_column);
        let bind = || Bound::new(rules, column, batch.relation()).map(Arc::new);
        let bound = self.bound.get(batch.relation(), bind)?.clone();
        self.count_rows(&bound, &batch)?;
        let judged = judge(&self.rules, &bound, &batch, self.kept.as_mut())?;
        for (counter, (checked, broken)) in self.counters.iter().zip(&judged.counts) {
            counter.add(*checked, *broken);
        }
        send(batch, &bound, judged, out).await
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if self.references.has(port) {
            return self.references.follow(&change);
        }
        if let Some(kept) = &mut self.kept {
            kept.follow(&change)?;
        }
        // A rule that lost its column must stop the flow at the DDL, not at some later row.
        let rejected = match change.change {
            Change::DropTable => rejected::relation(&change.relation, &self.reasons_column)?,
            _ => {
                let (rules, column) = (&self.rules, &self.reasons_column);
                let bind = || Bound::new(rules, column, &change.relation).map(Arc::new);
                self.bound.get(&change.relation, bind)?.rejected.clone()
            }
        };
        out.announce(OutputPort::MAIN, change.clone()).await?;
        out.announce(REJECTED, SchemaChange { relation: rejected, ..change }).await
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.kept.as_mut().map_or_else(|| Ok(State::default()), Kept::snapshot)
    }

    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        self.check_row_counts()
    }
}
