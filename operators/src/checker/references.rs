//! The inputs that rules refer to: every value of them is kept before the first row is checked.

use aqueduct_model::{Batch, Change, Error, ErrorKind, InputPort, OperatorContext, Relation, Result, SchemaChange};

use super::kept::{Kept, Keys, Value};
use super::rule::{Checked, ReferenceTest, Test};
use crate::bindings::Bindings;

/// See the module. By input port.
#[derive(Default)]
pub(super) struct References(Vec<Input>);

/// One input of the task.
struct Input {
    /// The rules that refer to it; none for an input with rows to check.
    rules: Vec<Referring>,
    bound: Bindings<Vec<Keys>>,
}

/// A rule `reference`.
struct Referring {
    /// Its number among those.
    number: usize,
    /// Its place among all rules.
    place: usize,
    test: ReferenceTest,
}

impl Referring {
    fn bind(&self, relation: &Relation) -> Result<Keys> {
        let keys = Keys::bind(relation, &self.test.in_columns);
        keys.map_err(|error| error.with_setting(format!("rules[{}].check.reference.in", self.place)))
    }
}

impl References {
    /// Finds the inputs of the rules.
    ///
    /// # Errors
    /// `Config` when a rule refers to an input that the task does not have.
    pub(super) fn new(rules: &[Checked], context: &OperatorContext) -> Result<Self> {
        let inputs = context.inputs.iter().map(|_| Input { rules: Vec::new(), bound: Bindings::default() });
        let mut references = Self(inputs.collect());
        let tests = rules.iter().enumerate().filter_map(|(place, rule)| match &rule.test {
            Test::Reference(test) => Some((place, test)),
            _ => None,
        });
        for (number, (place, test)) in tests.enumerate() {
            let port = context.inputs.iter().position(|input| *input == test.input).ok_or_else(|| {
                Error::config(format!("the task has no input {}", test.input))
                    .with_setting(format!("rules[{place}].check.reference.input"))
                    .with_hint("name it in `from` too")
            })?;
            references.0[port].rules.push(Referring { number, place, test: test.clone() });
        }
        Ok(references)
    }

    /// Whether rules refer to an input.
    pub(super) fn has(&self, port: InputPort) -> bool {
        self.0.get(port.0).is_some_and(|input| !input.rules.is_empty())
    }

    /// Keeps the values of a batch.
    ///
    /// # Errors
    /// `Data` for updates, deletes and values that were not sent; `Config` for columns that do not exist.
    pub(super) fn learn(&mut self, port: InputPort, batch: &Batch, kept: &mut Kept) -> Result<()> {
        let name = batch.relation().name();
        let Some(input) = self.0.get_mut(port.0) else { return Err(Error::bug("rows by an input that is not there")) };
        if !batch.is_append_only() {
            let text = format!("an update or delete of {name}, to which a rule refers");
            return Err(Error::new(ErrorKind::Data, text)
                .with_hint("read the table as it is, not its changes (such as MySQLInput instead of CdcInput)"));
        }
        let rules = &input.rules;
        let bound = input.bound.get(batch.relation(), || {
            rules.iter().map(|rule| rule.bind(batch.relation())).collect::<Result<Vec<_>>>()
        })?;
        for (rule, keys) in rules.iter().zip(bound) {
            let types = keys.types();
            match kept.types(rule.number)? {
                Some(known) if known == types => {}
                Some(known) => {
                    let text = format!("{name} has values of type {types}, and what came before has {known}");
                    return Err(Error::new(ErrorKind::Schema, text)
                        .with_setting(format!("rules[{}].check.reference.in", rule.place))
                        .with_hint("name an input with one table"));
                }
                None => kept.put_types(rule.number, &types)?,
            }
            let values = keys.of(batch)?;
            for row in 0..batch.num_rows() {
                match values.get(row) {
                    Value::Is(value) => kept.add(rule.number, value)?,
                    Value::Null => {}
                    Value::Absent => {
                        return Err(Error::new(ErrorKind::Data, format!("a new row of {name} lacks values"))
                            .with_hint("let the source send whole rows"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows DDL of an input that rules refer to.
    ///
    /// # Errors
    /// `Schema` when rows to which others may refer are taken away.
    pub(super) fn follow(&self, change: &SchemaChange) -> Result<()> {
        if !matches!(change.change, Change::Truncate | Change::DropTable) {
            return Ok(());
        }
        let text = format!("{} was emptied while a rule refers to it", change.relation.name());
        Err(Error::new(ErrorKind::Schema, text)
            .with_hint("start over with `aqueduct checkpoint reset`, so that all rows are checked anew"))
    }
}
