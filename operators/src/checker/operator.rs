//! `Checker`: rules over a changelog, with a port for the rows that break one.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, InputPort, Op, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use arrow::array::{BooleanArray, StringArray};
use async_trait::async_trait;

use super::config::CheckerConfig;
use super::rejected;
use super::rule::{Checked, checked};
use crate::bindings::Bindings;
use crate::predicate::{Answer, Answers, Predicate};
use crate::verdicts::{Refused, Verdicts, reject};

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

    fn properties(_: &CheckerConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            outputs: vec!["out".to_owned(), "rejected".to_owned()],
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
        Ok(Box::new(Checker { rules, reasons_column: config.reasons_column, bound: Bindings::default() }))
    }
}

struct Checker {
    rules: Vec<Checked>,
    reasons_column: String,
    bound: Bindings<Bound>,
}

/// The rules, bound to one relation.
struct Bound {
    broken: Vec<Predicate>,
    rejected: Arc<Relation>,
}

/// What is said of one row.
enum Verdict {
    /// It keeps all rules.
    Passed,
    /// It breaks some; the reasons.
    Rejected(String),
    /// A value that a rule needs was not sent, and no other rule is broken; the rule.
    Unknown(usize),
}

impl Bound {
    fn new(rules: &[Checked], reasons_column: &str, relation: &Relation) -> Result<Self> {
        let broken = rules.iter().enumerate().map(|(i, rule)| {
            Predicate::bind(&rule.broken, relation).map_err(|error| error.with_setting(format!("rules[{i}]")))
        });
        Ok(Self { broken: broken.collect::<Result<_>>()?, rejected: rejected::relation(relation, reasons_column)? })
    }
}

fn verdict(rules: &[Checked], answers: &[Answers], row: usize) -> Verdict {
    let mut reasons: Vec<String> = Vec::new();
    let mut unknown = None;
    for (i, (rule, answers)) in rules.iter().zip(answers).enumerate() {
        match answers.get(row) {
            Answer::No => {}
            Answer::Yes => reasons.push(rule.reason.clone()),
            // A row that cannot be checked is not a good one.
            Answer::Failed(index) => reasons.push(format!("{} ({})", rule.reason, answers.reason(index))),
            Answer::Unknown => unknown = unknown.or(Some(i)),
        }
    }
    match (reasons.is_empty(), unknown) {
        (false, _) => Verdict::Rejected(reasons.join("; ")),
        (true, Some(rule)) => Verdict::Unknown(rule),
        (true, None) => Verdict::Passed,
    }
}

#[async_trait]
impl Operator for Checker {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let (rules, column) = (&self.rules, &self.reasons_column);
        let bound = self.bound.get(batch.relation(), || Bound::new(rules, column, batch.relation()))?;
        let answers = bound.broken.iter().map(|broken| broken.answer(&batch)).collect::<Result<Vec<_>>>()?;
        if batch.is_append_only() && answers.iter().all(Answers::is_never) {
            return out.emit(OutputPort::MAIN, batch).await;
        }
        let mut refused: Refused = Vec::new();
        let (mut passed, mut broken) = (vec![false; batch.num_rows()], vec![false; batch.num_rows()]);
        let mut reasons: Vec<Option<String>> = vec![None; batch.num_rows()];
        for row in 0..batch.num_rows() {
            let old = matches!(batch.op(row), Op::Delete | Op::UpdateBefore);
            match verdict(rules, &answers, row) {
                Verdict::Passed => passed[row] = true,
                Verdict::Rejected(why) => {
                    broken[row] = true;
                    reasons[row] = Some(why);
                }
                // Nobody knows which way it went when it was new, and deleting what is not there changes nothing.
                Verdict::Unknown(_) if old => (passed[row], broken[row]) = (true, true),
                Verdict::Unknown(rule) => refused.push((row, bound.broken[rule].absent_reason(&batch, row))),
            }
        }
        let with_reasons = rejected::batch(&batch, &bound.rejected, StringArray::from(reasons))?;
        reject(&batch, &refused, out)?;
        for (port, rows, keep) in [(OutputPort::MAIN, batch, passed), (REJECTED, with_reasons, broken)] {
            let verdicts = Verdicts { keep: BooleanArray::from(keep), refused: refused.clone() };
            let rows = verdicts.apply(&rows)?;
            if rows.num_rows() > 0 {
                out.emit(port, rows).await?;
            }
        }
        Ok(())
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        // A rule that lost its column must stop the flow at the DDL, not at some later row.
        let rejected = match change.change {
            Change::DropTable => rejected::relation(&change.relation, &self.reasons_column)?,
            _ => {
                let (rules, column) = (&self.rules, &self.reasons_column);
                self.bound.get(&change.relation, || Bound::new(rules, column, &change.relation))?.rejected.clone()
            }
        };
        out.announce(OutputPort::MAIN, change.clone()).await?;
        out.announce(REJECTED, SchemaChange { relation: rejected, ..change }).await
    }
}
