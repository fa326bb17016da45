//! Running a script over the rows of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, Relation, Result};
use rhai::{Dynamic, Map, Scope};

use super::super::made::{Gathered, Made, fail_all};
use super::super::returned::Output;
use super::cells::{Cells, is_visible};
use super::given::value;
use super::reason::{Failed, reason};
use super::sandbox::{Program, Sandbox};
use crate::projection::Projected;

/// The name of the row as a map.
const ROW: &str = "row";

/// A script that was compiled.
#[derive(Debug, Clone)]
pub(in super::super) struct Script {
    sandbox: Sandbox,
    program: Program,
    text: Arc<str>,
    outputs: Vec<Output>,
    /// The script gives a map of columns, and not the value of one.
    is_map: bool,
}

/// A script that knows its input's columns.
pub(in super::super) struct BoundScript {
    script: Script,
    /// For each name that the script takes from outside.
    inputs: Vec<Input>,
    made: Made,
}

/// What a name in a script is.
enum Input {
    Column(usize),
    /// All columns that a script can see.
    Row(Vec<(String, usize)>),
}

impl Script {
    /// A script that gives a map with these columns.
    ///
    /// # Errors
    /// `Config` with line and column in the script.
    pub(in super::super) fn of_map(sandbox: &Sandbox, text: &str, outputs: Vec<Output>) -> Result<Self> {
        let program = sandbox.compile(text)?;
        Ok(Self { sandbox: sandbox.clone(), program, text: text.into(), outputs, is_map: true })
    }

    /// A script that gives the value of one column.
    ///
    /// # Errors
    /// `Config` with line and column in the script.
    pub(in super::super) fn of_value(sandbox: &Sandbox, text: &str, output: Output) -> Result<Self> {
        Ok(Self { is_map: false, ..Self::of_map(sandbox, text, vec![output])? })
    }

    /// The setting that a mistake is in.
    fn setting(&self) -> String {
        if self.is_map { "script".to_owned() } else { format!("columns.{}", self.outputs[0].name) }
    }

    /// Prepares the script for the rows of one relation.
    ///
    /// # Errors
    /// `Config` when it names a column that is not there, or that it cannot see.
    pub(in super::super) fn bind(&self, relation: &Relation) -> Result<BoundScript> {
        self.bound(relation).map_err(|error| error.with_setting(self.setting()))
    }

    fn bound(&self, relation: &Relation) -> Result<BoundScript> {
        let fields = relation.columns().fields();
        let mut used: Vec<usize> = Vec::new();
        let mut inputs = Vec::with_capacity(self.program.names.len());
        for name in &self.program.names {
            if name == ROW {
                let visible = (0..fields.len()).filter(|&i| is_visible(fields[i].data_type()));
                let columns: Vec<(String, usize)> = visible.map(|i| (fields[i].name().clone(), i)).collect();
                used.extend(columns.iter().map(|(_, i)| *i));
                inputs.push(Input::Row(columns));
                continue;
            }
            let (index, field) = relation.column(name)?;
            if !is_visible(field.data_type()) {
                let text = format!("a script cannot see {name}: its type is {}", field.data_type());
                return Err(Error::config(text).with_hint("convert it by SQL before: `cast(… as varchar)`"));
            }
            used.push(index);
            inputs.push(Input::Column(index));
        }
        let made = Made::new(relation, self.outputs.clone(), used)?;
        Ok(BoundScript { script: self.clone(), inputs, made })
    }
}

impl BoundScript {
    /// The relation of what comes out.
    pub(in super::super) fn output(&self) -> &Arc<Relation> {
        self.made.output()
    }

    /// See [`Made::translate`].
    pub(in super::super) fn translate(&self, input: &Relation, change: &Change) -> Option<Change> {
        self.made.translate(input, change)
    }

    /// Computes the columns. Where a value that the script names is absent, it does not run, and what it gives is absent.
    ///
    /// # Errors
    /// `Timeout` when a row takes too long.
    pub(in super::super) fn apply(&self, batch: &Batch) -> Result<Projected> {
        let mut cells: BTreeMap<usize, Cells> = BTreeMap::new();
        for &column in self.made.used() {
            cells.insert(column, Cells::of(batch.rows().column(column))?);
        }
        let mut scope = Scope::new();
        self.made.apply(batch, |row, given| {
            match self.run(&cells, row, &mut scope) {
                Ok(value) => self.distribute(value, row, given),
                Err(Failed::Row(why)) => fail_all(given, row, &why),
                Err(Failed::Time) => return Err(self.too_slow()),
            }
            Ok(())
        })
    }

    fn run(&self, cells: &BTreeMap<usize, Cells>, row: usize, scope: &mut Scope<'_>) -> Result<Dynamic, Failed> {
        let value = |column: usize| cells.get(&column).map_or(Dynamic::UNIT, |cells| cells.value(row));
        scope.clear();
        for (name, input) in self.script.program.names.iter().zip(&self.inputs) {
            let value = match input {
                Input::Column(index) => value(*index),
                Input::Row(columns) => {
                    let entries = columns.iter().map(|(name, index)| (name.as_str().into(), value(*index)));
                    Dynamic::from_map(entries.collect::<Map>())
                }
            };
            scope.push_dynamic(name.as_str(), value);
        }
        let result = self.script.sandbox.run(&self.script.program, scope);
        result.map_err(|error| reason(&error, &self.script.text))
    }

    /// Hands what a script gave for a row to its columns.
    fn distribute(&self, got: Dynamic, row: usize, given: &mut [Gathered<'_>]) {
        if !self.script.is_map {
            let got = value(got);
            given.iter_mut().for_each(|one| one.take(row, Some(got.clone())));
            return;
        }
        let mut map = match got.try_cast_result::<Map>() {
            Ok(map) => map,
            Err(other) => {
                let what = value(other).kind();
                let why = format!("the script gives {what}, and not a map such as `#{{ name: value }}`");
                return fail_all(given, row, &why);
            }
        };
        let values: Vec<Option<Dynamic>> = given.iter().map(|one| map.remove(one.name())).collect();
        if !map.is_empty() {
            return fail_all(given, row, "the script gives a column that `returns` does not name");
        }
        for (one, got) in given.iter_mut().zip(values) {
            one.take(row, got.map(value));
        }
    }

    fn too_slow(&self) -> Error {
        let limit = self.script.sandbox.limits.time;
        Error::new(ErrorKind::Timeout, format!("a script takes more than {limit} for one row"))
            .with_setting("limits.time")
            .with_hint("lower `limits.operations`, so that such a row is a bad row, or raise `limits.time`")
    }
}
