//! `Split`: a row for each part.

use aqueduct_model::{
    Batch, InputPort, Op, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry, Properties,
    Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{Empty, SplitConfig};
use super::layout::{Layout, Picked, translate};
use super::parts::{Cutter, Parts};
use crate::bindings::Bindings;
use crate::verdicts::{Refused, reject};

/// The entry of `Split`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// How many rows go out at a time.
const BATCH_ROWS: usize = 8_192;
/// The most parts of one value; one with more is a bad row.
const PARTS_MAX: usize = 100_000;

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Split";
    const SUMMARY: &'static str = "Makes a row for each part of a text, or element of an array.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SplitConfig;

    fn properties(_: &SplitConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), ..Properties::operator() }
    }

    fn validate(config: &SplitConfig) -> Result<()> {
        config.cutter().map(drop)
    }

    fn build(config: SplitConfig) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Split { cutter: config.cutter()?, config, bound: Bindings::default() }))
    }
}

struct Split {
    config: SplitConfig,
    cutter: Cutter,
    bound: Bindings<Layout>,
}

/// How many rows a row becomes, given the range of its parts: at least one where rows without parts are kept.
fn count(empty: Empty, (from, to): (usize, usize)) -> usize {
    match empty {
        Empty::Keep => (to - from).max(1),
        Empty::Drop => to - from,
    }
}

/// One change of the input: the places of its old and its new row.
struct Step {
    old: Option<usize>,
    new: Option<usize>,
}

impl Step {
    /// The change that begins in a row, and the row behind it.
    fn at(batch: &Batch, row: usize) -> (Self, usize) {
        match batch.op(row) {
            Op::Insert | Op::UpdateAfter => (Self { old: None, new: Some(row) }, row + 1),
            Op::Delete => (Self { old: Some(row), new: None }, row + 1),
            Op::UpdateBefore => (Self { old: Some(row), new: Some(row + 1) }, row + 2),
        }
    }

    /// Why it cannot be split, with the row that is refused.
    fn refusal(&self, batch: &Batch, layout: &Layout, parts: &Parts) -> Option<(usize, String)> {
        let rows = [self.old, self.new].into_iter().flatten();
        let name = batch.relation().columns().field(layout.column).name();
        let full = "have it send full rows (replica identity full, binlog_row_image=FULL)";
        for row in rows {
            if batch.present(layout.column).is_some_and(|present| !present.value(row)) {
                let why = format!("the source did not send the value of {name}, so its parts are not known; {full}");
                return Some((self.new.unwrap_or(row), why));
            }
            if parts.ranges[row].1 - parts.ranges[row].0 > PARTS_MAX {
                return Some((self.new.unwrap_or(row), format!("{name} has more than {PARTS_MAX} parts")));
            }
        }
        match (self.old, self.new) {
            (None, Some(row)) if batch.op(row) == Op::UpdateAfter => {
                let why =
                    format!("the source did not send the row as it was, so its old parts of {name} are not known");
                Some((row, format!("{why}; {full}")))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Operator for Split {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let (config, cutter) = (&self.config, &self.cutter);
        let layout = self.bound.get(batch.relation(), || Layout::new(config, cutter, batch.relation()))?;
        let parts = Parts::new(cutter, config, batch.rows().column(layout.column))?;
        let (mut picked, mut refused): (Picked, Refused) = (Picked::default(), Vec::new());
        let mut row = 0;
        while row < batch.num_rows() {
            let (step, next) = Step::at(&batch, row);
            row = next;
            if let Some(refusal) = step.refusal(&batch, layout, &parts) {
                refused.push(refusal);
                continue;
            }
            let counted = |row: Option<usize>| row.map_or(0, |row| count(config.empty, parts.ranges[row]));
            let part = |row: usize, i: usize| Some(parts.ranges[row].0 + i).filter(|part| *part < parts.ranges[row].1);
            let (before, after) = (counted(step.old), counted(step.new));
            for i in 0..before.max(after) {
                let old = step.old.filter(|_| i < before);
                let new = step.new.filter(|_| i < after);
                match (old, new) {
                    (Some(old), Some(new)) => {
                        picked.push(old, part(old, i), i, Op::UpdateBefore);
                        picked.push(new, part(new, i), i, Op::UpdateAfter);
                    }
                    (Some(old), None) => picked.push(old, part(old, i), i, Op::Delete),
                    (None, Some(new)) => picked.push(new, part(new, i), i, Op::Insert),
                    (None, None) => {}
                }
                if picked.len() >= BATCH_ROWS {
                    out.emit(OutputPort::MAIN, layout.batch(&batch, &parts, std::mem::take(&mut picked))?).await?;
                }
            }
        }
        reject(&batch, &refused, out)?;
        out.emit(OutputPort::MAIN, layout.batch(&batch, &parts, picked)?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let (config, cutter) = (&self.config, &self.cutter);
        let layout = self.bound.get(&change.relation, || Layout::new(config, cutter, &change.relation))?;
        let (relation, translated) = (layout.output.clone(), translate(config, change.change));
        out.announce(OutputPort::MAIN, SchemaChange { relation, change: translated, ..change }).await
    }
}
