//! Running a script over the rows of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, Relation, Result};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use rhai::{Dynamic, Map, Scope};

use super::cells::{Cells, is_visible};
use super::reason::{Failed, reason};
use super::returned::{Column, Output, kind};
use super::sandbox::{Program, Sandbox};
use crate::predicate::present;
use crate::projection::{Compute, Origin, Projected, Projection};
use crate::sql::Evaluated;

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
    projection: Projection,
    /// For each name that the script takes from outside.
    inputs: Vec<Input>,
    /// Indices of the input columns that it needs, rising.
    used: Vec<usize>,
    /// For each output, its place among the columns.
    places: Vec<usize>,
}

/// What a name in a script is.
enum Input {
    Column(usize),
    /// All columns that a script can see.
    Row(Vec<(String, usize)>),
}

/// A column that stands in a projection for what a script gives.
#[derive(Debug)]
struct Given {
    data_type: DataType,
    columns: Vec<usize>,
}

impl Compute for Given {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn compute(&self, _rows: &RecordBatch) -> Result<Evaluated> {
        Err(Error::bug("a column of a script is computed with the others of its script"))
    }
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
        used.sort_unstable();
        used.dedup();
        let mut columns: Vec<(String, Origin)> =
            fields.iter().enumerate().map(|(i, field)| (field.name().clone(), Origin::Column(i))).collect();
        let mut places = Vec::with_capacity(self.outputs.len());
        for output in &self.outputs {
            let given = Given { data_type: output.data_type.clone(), columns: used.clone() };
            let given = (output.name.clone(), Origin::Made(Box::new(given)));
            let known = columns.iter().position(|(name, _)| *name == output.name);
            places.push(known.unwrap_or(columns.len()));
            match known {
                Some(place) => columns[place] = given,
                None => columns.push(given),
            }
        }
        let projection = Projection::new(relation, relation.name().clone(), columns)?;
        Ok(BoundScript { script: self.clone(), projection, inputs, used, places })
    }
}

impl BoundScript {
    /// The relation of what comes out.
    pub(in super::super) fn output(&self) -> &Arc<Relation> {
        self.projection.output()
    }

    /// See [`Projection::translate`].
    pub(in super::super) fn translate(&self, input: &Relation, change: &Change) -> Option<Change> {
        self.projection.translate(input, change, true)
    }

    /// Computes the columns. Where a value that the script names is absent, it does not run, and what it gives is absent.
    ///
    /// # Errors
    /// `Timeout` when a row takes too long.
    pub(in super::super) fn apply(&self, batch: &Batch) -> Result<Projected> {
        let known = present(&self.used, batch);
        let evaluated = self.evaluate(batch.rows(), known.as_ref())?;
        let made: BTreeMap<usize, Evaluated> = self.places.iter().copied().zip(evaluated).collect();
        self.projection.apply_made(batch, made)
    }

    fn evaluate(&self, rows: &RecordBatch, known: Option<&BooleanArray>) -> Result<Vec<Evaluated>> {
        let mut cells: BTreeMap<usize, Cells> = BTreeMap::new();
        for &column in &self.used {
            cells.insert(column, Cells::of(rows.column(column))?);
        }
        let mut given = Vec::with_capacity(self.script.outputs.len());
        for output in &self.script.outputs {
            given.push(Gathered { output, column: output.column()?, failed: Vec::new() });
        }
        let mut scope = Scope::new();
        for row in 0..rows.num_rows() {
            if known.is_some_and(|known| !known.value(row)) {
                given.iter_mut().for_each(|one| one.column.put_null());
                continue;
            }
            match self.run(&cells, row, &mut scope) {
                Ok(value) => self.distribute(value, row, &mut given),
                Err(Failed::Row(why)) => given.iter_mut().for_each(|one| one.fail(row, why.clone())),
                Err(Failed::Time) => return Err(self.too_slow()),
            }
        }
        given.into_iter().map(Gathered::finish).collect()
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
    fn distribute(&self, value: Dynamic, row: usize, given: &mut [Gathered<'_>]) {
        if !self.script.is_map {
            given.iter_mut().for_each(|one| one.take(row, Some(value.clone())));
            return;
        }
        let what = kind(&value);
        let Some(mut map) = value.try_cast::<Map>() else {
            let why = format!("the script gives {what}, and not a map such as `#{{ name: value }}`");
            given.iter_mut().for_each(|one| one.fail(row, why.clone()));
            return;
        };
        let values: Vec<Option<Dynamic>> = given.iter().map(|one| map.remove(one.output.name.as_str())).collect();
        for (one, value) in given.iter_mut().zip(values) {
            if map.is_empty() {
                one.take(row, value);
            } else {
                one.fail(row, "the script gives a column that `returns` does not name".to_owned());
            }
        }
    }

    fn too_slow(&self) -> Error {
        let limit = self.script.sandbox.limits.time;
        Error::new(ErrorKind::Timeout, format!("a script takes more than {limit} for one row"))
            .with_setting("limits.time")
            .with_hint("lower `limits.operations`, so that such a row is a bad row, or raise `limits.time`")
    }
}

/// A column under way.
struct Gathered<'a> {
    output: &'a Output,
    column: Column,
    failed: Vec<(usize, String)>,
}

impl Gathered<'_> {
    fn take(&mut self, row: usize, value: Option<Dynamic>) {
        let Some(value) = value else { return self.fail(row, "the script does not give it".to_owned()) };
        if let Err(why) = self.column.put(value) {
            self.fail(row, self.output.mismatch(why));
        }
    }

    fn fail(&mut self, row: usize, why: String) {
        self.column.put_null();
        self.failed.push((row, why));
    }

    fn finish(self) -> Result<Evaluated> {
        let (values, unread) = self.column.finish()?;
        let mut failed = self.failed;
        failed.extend(unread.into_iter().map(|row| (row, self.output.mismatch("a text that is none"))));
        failed.sort_by_key(|(row, _)| *row);
        Ok(Evaluated { values, failed })
    }
}
