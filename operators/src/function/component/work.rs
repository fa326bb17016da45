//! Calling a component's function for the rows of a batch.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, HumanDuration, Relation, Result};
use aqueduct_wasm::{Failed, Value};

use super::super::config::{ComponentConfig, Limits};
use super::super::made::{Gathered, Made, fail_all};
use super::super::returned::Output;
use super::cells::{Cells, given, is_visible};
use super::load::{Call, check, load};
use crate::projection::Projected;

/// A component and what is called in it.
#[derive(Debug)]
pub(in super::super) struct Component {
    config: ComponentConfig,
    outputs: Vec<Output>,
    limits: Limits,
    /// Set when the task has started.
    loaded: Option<Arc<dyn Call>>,
}

/// A component's function that knows its input's columns.
pub(in super::super) struct BoundComponent {
    function: Arc<dyn Call>,
    /// The column of each argument.
    arguments: Vec<usize>,
    made: Made,
    time: HumanDuration,
}

impl Component {
    /// A component that is not read yet.
    ///
    /// # Errors
    /// `Config` in a build that runs no components.
    pub(in super::super) fn new(config: &ComponentConfig, outputs: Vec<Output>, limits: Limits) -> Result<Self> {
        check(&limits)?;
        Ok(Self { config: config.clone(), outputs, limits, loaded: None })
    }

    /// Reads the file, compiles and checks it. Blocking.
    ///
    /// # Errors
    /// `Config` when it is not there, or no component with this function.
    pub(in super::super) fn load(&mut self) -> Result<()> {
        self.loaded = Some(Arc::new(load(&self.config, &self.limits)?));
        Ok(())
    }

    /// Prepares the function for the rows of one relation.
    ///
    /// # Errors
    /// `Config` when an argument is no column, or one that a component cannot get.
    pub(in super::super) fn bind(&self, relation: &Relation) -> Result<BoundComponent> {
        let Some(function) = &self.loaded else { return Err(Error::bug("a component is called before it is read")) };
        bind(function.clone(), &self.config.arguments, relation, self.outputs.clone(), self.limits.time)
            .map_err(|error| error.with_setting("component.arguments"))
    }
}

pub(super) fn bind(
    function: Arc<dyn Call>,
    names: &[String],
    relation: &Relation,
    outputs: Vec<Output>,
    time: HumanDuration,
) -> Result<BoundComponent> {
    let mut arguments = Vec::with_capacity(names.len());
    for name in names {
        let (index, field) = relation.column(name)?;
        if !is_visible(field.data_type()) {
            let text = format!("a component cannot get {name}: its type is {}", field.data_type());
            return Err(Error::config(text).with_hint("convert it by SQL before: `cast(… as varchar)`"));
        }
        arguments.push(index);
    }
    let made = Made::new(relation, outputs, arguments.clone()).map_err(|error| error.with_setting("returns"))?;
    Ok(BoundComponent { function, arguments, made, time })
}

impl BoundComponent {
    /// The relation of what comes out.
    pub(in super::super) fn output(&self) -> &Arc<Relation> {
        self.made.output()
    }

    /// See [`Made::translate`].
    pub(in super::super) fn translate(&self, input: &Relation, change: &Change) -> Option<Change> {
        self.made.translate(input, change)
    }

    /// Computes the columns. Where an argument is absent, the function is not called, and what it gives is absent.
    ///
    /// # Errors
    /// `Timeout` when a row takes too long, `Unavailable` when the program cannot run it.
    pub(in super::super) fn apply(&self, batch: &Batch) -> Result<Projected> {
        let mut cells = Vec::with_capacity(self.arguments.len());
        for &column in &self.arguments {
            cells.push(Cells::of(batch.rows().column(column))?);
        }
        let mut arguments: Vec<Value> = Vec::with_capacity(cells.len());
        self.made.apply(batch, |row, given| {
            arguments.clear();
            for cells in &cells {
                match cells.value(row) {
                    Ok(value) => arguments.push(value),
                    Err(why) => {
                        fail_all(given, row, &format!("an argument is {why}"));
                        return Ok(());
                    }
                }
            }
            match self.function.call(&arguments) {
                Ok(values) => distribute(values, row, given),
                Err(Failed::Row(why)) => fail_all(given, row, &why),
                Err(Failed::Time) => return Err(self.too_slow()),
                Err(Failed::Host(why)) => {
                    return Err(Error::new(ErrorKind::Unavailable, format!("cannot run the component: {why}")));
                }
            }
            Ok(())
        })
    }

    fn too_slow(&self) -> Error {
        Error::new(ErrorKind::Timeout, format!("a component takes more than {} for one row", self.time))
            .with_setting("limits.time")
            .with_hint("lower `limits.fuel`, so that such a row is a bad row, or raise `limits.time`")
    }
}

/// Hands what the function gave for a row to its columns.
fn distribute(values: Vec<Value>, row: usize, columns: &mut [Gathered<'_>]) {
    if values.len() != columns.len() {
        let why = format!("the component gives {} values, and `returns` names {}", values.len(), columns.len());
        return fail_all(columns, row, &why);
    }
    for (column, value) in columns.iter_mut().zip(values) {
        column.take(row, Some(given(value)));
    }
}
