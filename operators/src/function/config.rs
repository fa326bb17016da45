//! The settings of `Function`.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use aqueduct_model::{ByteSize, Error, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::component::Component;
use super::returned::{Giver, Output};
use super::script::{Sandbox, Script};
use crate::mapping::{Ordered, Typed};
use crate::sql::Expression;

/// Which columns are computed, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionConfig {
    /// The columns, by name, in this order: an SQL expression, `{ value: …, type: … }`, or `{ script: …, type: … }`.
    /// Each may use the ones before it; one with the name of a column replaces it for those behind it too.
    #[serde(default)]
    pub columns: Ordered<Computed>,
    /// A script (rhai) that gives several columns at once, as a map: `#{ net: a - b, big: a > 10 }`. It comes before
    /// `columns`, which may use what it gives.
    #[serde(default)]
    pub script: Option<String>,
    /// A WebAssembly component that gives several columns at once. It comes before `columns`, which may use what it
    /// gives. Only in builds with the feature `wasm`.
    #[serde(default)]
    pub component: Option<ComponentConfig>,
    /// The columns in the map of `script`, or the values of `component` in this order, with their SQL types:
    /// `{ net: "decimal(18,2)", big: boolean }`.
    #[serde(default)]
    pub returns: Ordered<String>,
    /// What scripts and components may take for one row.
    #[serde(default)]
    pub limits: Limits,
    /// What happens to a row for which a column cannot be computed.
    #[serde(default)]
    pub on_error: OnError,
}

/// A computed column.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Computed {
    /// An SQL expression: `amount * 0.19`.
    Expression(String),
    /// An SQL expression and the type to convert it to.
    Typed(Typed),
    /// A script and the type of what it gives.
    Scripted(Scripted),
}

/// A script that gives one value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// The script (rhai): its last expression is the value.
    pub script: String,
    /// The SQL type: `bigint`, `decimal(12,2)`, `varchar`, `timestamp`. Nothing is converted silently.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// A function of a WebAssembly component.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentConfig {
    /// The component's file, binary or as text (WAT). It is read when the task starts.
    pub file: PathBuf,
    /// The function: `score`, or with the interface that exports it `shop:prices/scoring#score`.
    pub function: String,
    /// The columns that it gets, in this order.
    pub arguments: Vec<String>,
}

/// What scripts and components may take for one row.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most steps of a script. A row that takes more is one that cannot be computed.
    pub operations: NonZeroU32,
    /// The deepest call of functions that a script defines.
    pub calls: NonZeroU32,
    /// The longest text of a script.
    pub text: ByteSize,
    /// The most items of a list or a map of a script, those in lists inside it counted too.
    pub items: NonZeroU32,
    /// The most fuel of a component: about one for each instruction. A row that takes more is one that cannot be
    /// computed.
    pub fuel: NonZeroU64,
    /// The most memory of a component, and the most that what it gives takes; 4 GiB at most. A row that takes more is
    /// one that cannot be computed.
    pub memory: ByteSize,
    /// The longest time. As it is not the same for every run, a row that takes longer stops the flow instead of being
    /// a bad row; `operations` or `fuel` is meant to be reached first.
    pub time: HumanDuration,
}

/// So many steps take some 10 ms.
const OPERATIONS: NonZeroU32 = NonZeroU32::new(100_000).expect("a hundred thousand is not zero");
/// What fits the stack of a thread in builds without optimisation too.
const CALLS: NonZeroU32 = NonZeroU32::new(16).expect("16 is not zero");
/// Sizes are looked at with every step that changes a list, so that one of n items costs n² looks.
const ITEMS: NonZeroU32 = NonZeroU32::new(1_000).expect("a thousand is not zero");
/// So many instructions take some 10 ms.
const FUEL: NonZeroU64 = NonZeroU64::new(20_000_000).expect("twenty million is not zero");

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations: OPERATIONS,
            calls: CALLS,
            text: ByteSize(1 << 20),
            items: ITEMS,
            fuel: FUEL,
            memory: ByteSize(16 << 20),
            time: HumanDuration::from_secs(10),
        }
    }
}

/// What happens to a row for which an expression cannot be computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is a bad row.
    #[default]
    Reject,
    /// The column is NULL.
    SetNull,
}

/// One step of the work: its setting, and what it computes.
#[derive(Debug)]
pub(super) enum Step {
    /// One column by SQL.
    Sql(String, Box<Expression>),
    /// One or more columns by a script.
    Script(Box<Script>),
    /// One or more columns by a function of a component.
    Component(Box<Component>),
}

impl FunctionConfig {
    /// True when a script or a component runs: it may take longer than a shared thread allows.
    pub(super) fn may_be_slow(&self) -> bool {
        self.script.is_some()
            || self.component.is_some()
            || self.columns.0.iter().any(|(_, column)| matches!(column, Computed::Scripted(_)))
    }

    /// The steps, in order. A component is not read yet.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn steps(&self) -> Result<Vec<Step>> {
        self.check_together()?;
        let sandbox = Sandbox::new(&self.limits);
        let mut steps = Vec::with_capacity(self.columns.0.len() + 1);
        if let Some(text) = &self.script {
            let outputs = Output::all(&self.returns.0, Giver::Script)?;
            let script = Script::of_map(&sandbox, text, outputs).map_err(|error| error.with_setting("script"))?;
            steps.push(Step::Script(Box::new(script)));
        }
        if let Some(component) = &self.component {
            let outputs = Output::all(&self.returns.0, Giver::Component)?;
            steps.push(Step::Component(Box::new(Component::new(component, outputs, self.limits)?)));
        }
        for (name, column) in &self.columns.0 {
            let step = step(&sandbox, name, column);
            steps.push(step.map_err(|error| error.with_setting(format!("columns.{name}")))?);
        }
        Ok(steps)
    }

    /// Which settings go together.
    fn check_together(&self) -> Result<()> {
        let giver = match (&self.script, &self.component) {
            (Some(_), Some(_)) => {
                return Err(Error::config("`script` and `component` both give the columns of `returns`")
                    .with_setting("component")
                    .with_hint("use two tasks, one behind the other"));
            }
            (Some(_), None) => Some("script"),
            (None, Some(_)) => Some("component"),
            (None, None) => None,
        };
        if self.columns.is_empty() && giver.is_none() {
            return Err(Error::config("no column is computed")
                .with_setting("columns")
                .with_hint("write `columns: { total: \"price * quantity\" }`"));
        }
        if giver.is_some() == self.returns.is_empty() {
            let (text, setting) = match giver {
                Some(giver) => (format!("the columns that `{giver}` gives are not named"), giver),
                None => {
                    ("`returns` names the columns of a `script` or `component`, and there is none".into(), "returns")
                }
            };
            return Err(Error::config(text).with_setting(setting).with_hint(format!(
                "write for example `returns: {{ net: \"decimal(18,2)\" }}` beside `{}`",
                giver.unwrap_or("script")
            )));
        }
        Ok(())
    }
}

fn step(sandbox: &Sandbox, name: &str, column: &Computed) -> Result<Step> {
    let sql = |expression| Step::Sql(name.to_owned(), Box::new(expression));
    match column {
        Computed::Expression(text) => Expression::parse(text).map(sql),
        Computed::Typed(typed) => Expression::parse(&typed.value)?.cast_to(&typed.sql_type).map(sql),
        Computed::Scripted(scripted) => {
            let output = Output::new(name, &scripted.sql_type, Giver::Script)?;
            Ok(Step::Script(Box::new(Script::of_value(sandbox, &scripted.script, output)?)))
        }
    }
}
