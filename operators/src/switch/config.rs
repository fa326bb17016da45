//! The settings of `Switch`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sql::Expression;

/// The value of `default` that leaves rows out.
const DROP: &str = "drop";

/// Conditions and ports.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchConfig {
    /// The conditions in order; the first that holds for a row says where it goes. Several may name the same port.
    pub cases: Vec<Case>,
    /// The port of rows for which no condition holds (`rest`), or `drop` to leave them out.
    #[serde(default = "rest")]
    pub default: String,
}

/// A condition and where its rows go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The output port; tasks behind it name it as `from: <task>.<port>`. The first case's port is the main one.
    pub port: String,
    /// The condition as an SQL expression: `amount > 1000`.
    pub when: String,
}

fn rest() -> String {
    "rest".to_owned()
}

impl SwitchConfig {
    /// The ports in order, each once; the default's last.
    pub(super) fn ports(&self) -> Vec<String> {
        let default = self.default_port().into_iter();
        let mut ports: Vec<String> = Vec::new();
        for port in self.cases.iter().map(|case| case.port.as_str()).chain(default) {
            if !ports.iter().any(|known| known == port) {
                ports.push(port.to_owned());
            }
        }
        ports
    }

    /// The port of rows for which no condition holds; `None`: they are left out.
    pub(super) fn default_port(&self) -> Option<&str> {
        (self.default != DROP).then_some(self.default.as_str())
    }

    /// The conditions.
    ///
    /// # Errors
    /// `Config` when there is none, a port's name is not one, or a condition cannot be read.
    pub(super) fn conditions(&self) -> Result<Vec<Expression>> {
        if self.cases.is_empty() {
            return Err(Error::config("a switch without a case")
                .with_setting("cases")
                .with_hint("write `cases: [{ port: big, when: \"amount > 1000\" }]`"));
        }
        if !is_port(&self.default) {
            return Err(bad_port(&self.default).with_setting("default"));
        }
        let mut conditions = Vec::with_capacity(self.cases.len());
        for (i, case) in self.cases.iter().enumerate() {
            if !is_port(&case.port) || case.port == DROP {
                return Err(bad_port(&case.port).with_setting(format!("cases[{i}].port")));
            }
            let condition = Expression::parse(&case.when);
            conditions.push(condition.map_err(|error| error.with_setting(format!("cases[{i}].when")))?);
        }
        Ok(conditions)
    }
}

fn is_port(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn bad_port(name: &str) -> Error {
    Error::config(format!("`{name}` cannot be the name of a port"))
        .with_hint("use letters, digits, `_` and `-`; `drop` is kept for `default: drop`")
}
