//! `Switch`: conditions over a changelog, one output port each.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, Error, InputPort, Op, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use arrow::array::BooleanArray;
use async_trait::async_trait;

use super::config::SwitchConfig;
use crate::bindings::Bindings;
use crate::predicate::{Answer, Predicate};
use crate::sql::Expression;
use crate::verdicts::{Refused, Verdicts, reject};

/// The entry of `Switch`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Switch";
    const SUMMARY: &'static str = "Sends each row to the port of the first SQL condition that holds.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SwitchConfig;

    fn properties(config: &SwitchConfig) -> Properties {
        properties(config)
    }

    fn validate(config: &SwitchConfig) -> Result<()> {
        config.conditions().map(drop)
    }

    fn build(config: SwitchConfig) -> Result<Box<dyn Operator>> {
        make(&config, |i| format!("cases[{i}].when"))
    }
}

/// What the planner has to know of a switch.
pub(crate) fn properties(config: &SwitchConfig) -> Properties {
    Properties {
        inputs: (1, usize::MAX),
        outputs: config.ports(),
        // An update without its old image is also a delete on every other port.
        cardinality: Cardinality::Any,
        ..Properties::operator()
    }
}

/// Makes a switch. `setting`: the setting that a case's condition comes from.
///
/// # Errors
/// `Config` when a condition cannot be read.
pub(crate) fn make(config: &SwitchConfig, setting: fn(usize) -> String) -> Result<Box<dyn Operator>> {
    let conditions = config.conditions()?;
    let ports = config.ports();
    let place = |port: &str| {
        let place = ports.iter().position(|known| known == port);
        place.ok_or_else(|| Error::bug("a port of a case is not in the list of ports"))
    };
    let mut cases = Vec::with_capacity(conditions.len());
    for (case, condition) in config.cases.iter().zip(conditions) {
        cases.push((condition, place(&case.port)?));
    }
    let default = config.default_port().map(place).transpose()?;
    Ok(Box::new(Switch { cases, default, ports: ports.len(), setting, bound: Bindings::default() }))
}

struct Switch {
    cases: Vec<(Expression, usize)>,
    default: Option<usize>,
    ports: usize,
    setting: fn(usize) -> String,
    bound: Bindings<Vec<Predicate>>,
}

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// To one port.
    To(usize),
    /// To none.
    Nowhere,
    /// To all of them: an old row of which it is not known where it went when it was new.
    Everywhere,
    /// Refused: it stays downstream as it was.
    Refused,
}

impl Switch {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&[Predicate]> {
        let (cases, setting) = (&self.cases, self.setting);
        let bind = || {
            let bound = cases.iter().enumerate().map(|(i, (condition, _))| {
                Predicate::bind(condition, relation).map_err(|error| error.with_setting(setting(i)))
            });
            bound.collect()
        };
        self.bound.get(relation, bind).map(Vec::as_slice)
    }

    /// Where each row goes, and why rows are refused.
    fn routes(&mut self, batch: &Batch) -> Result<(Vec<Route>, Refused)> {
        let default = self.default.map_or(Route::Nowhere, Route::To);
        let ports: Vec<usize> = self.cases.iter().map(|(_, port)| *port).collect();
        let predicates = self.bind(batch.relation())?;
        let answers = predicates.iter().map(|predicate| predicate.answer(batch)).collect::<Result<Vec<_>>>()?;
        let mut routes = vec![default; batch.num_rows()];
        let mut refused = Vec::new();
        for (row, route) in routes.iter_mut().enumerate() {
            let old = matches!(batch.op(row), Op::Delete | Op::UpdateBefore);
            let decisive = answers.iter().enumerate().map(|(i, answers)| (i, answers.get(row)));
            let Some((case, answer)) = decisive.into_iter().find(|(_, answer)| *answer != Answer::No) else { continue };
            *route = match answer {
                Answer::Unknown if old => Route::Everywhere,
                // It was refused when it was new: there is nothing to take back.
                Answer::Failed(_) if old => Route::Nowhere,
                Answer::Unknown => {
                    refused.push((row, predicates[case].absent_reason(batch, row)));
                    Route::Refused
                }
                Answer::Failed(index) => {
                    refused.push((row, answers[case].reason(index).to_owned()));
                    Route::Refused
                }
                Answer::Yes | Answer::No => Route::To(ports[case]),
            };
        }
        Ok((routes, refused))
    }
}

#[async_trait]
impl Operator for Switch {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let (routes, refused) = self.routes(&batch)?;
        reject(&batch, &refused, out)?;
        for port in 0..self.ports {
            let keep = routes.iter().map(|route| matches!(route, Route::Everywhere) || *route == Route::To(port));
            let verdicts = Verdicts { keep: BooleanArray::from(keep.collect::<Vec<_>>()), refused: refused.clone() };
            let rows = verdicts.apply(&batch)?;
            if rows.num_rows() > 0 {
                out.emit(OutputPort(port), rows).await?;
            }
        }
        Ok(())
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        // A condition that lost its column must stop the flow at the DDL, not at some later row.
        if change.change != Change::DropTable {
            self.bind(&change.relation)?;
        }
        for port in 0..self.ports {
            out.announce(OutputPort(port), change.clone()).await?;
        }
        Ok(())
    }
}
