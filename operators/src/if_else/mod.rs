//! `If`: `Switch` with one condition.

use aqueduct_model::{Operator, OperatorPlugin, PluginEntry, Properties, Result, operator};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sql::Expression;
use crate::switch::{Case, SwitchConfig, make, properties};

/// The entry of `If`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

/// A condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IfConfig {
    /// The condition as an SQL expression: `amount > 1000`. Rows for which it holds go to the port `then`, the others,
    /// and those for which it is NULL, to the port `else`.
    pub condition: String,
}

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "If";
    const SUMMARY: &'static str = "Sends rows for which an SQL condition holds one way, and the others another.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = IfConfig;

    fn properties(config: &IfConfig) -> Properties {
        properties(&cases(config))
    }

    fn validate(config: &IfConfig) -> Result<()> {
        Expression::parse(&config.condition).map(drop).map_err(|error| error.with_setting("condition"))
    }

    fn build(config: IfConfig) -> Result<Box<dyn Operator>> {
        make(&cases(&config), |_| "condition".to_owned())
    }
}

fn cases(config: &IfConfig) -> SwitchConfig {
    let case = Case { port: "then".to_owned(), when: config.condition.clone() };
    SwitchConfig { cases: vec![case], default: "else".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::ENTRY;
    use crate::tests::{
        Event, Row, batch, changelog, cut, fold, fold_events, ops_and_cells, refusal, relation, row, rows, run, shown,
    };
    use aqueduct_model::Op;

    fn port(row: &Row) -> usize {
        usize::from(row.1.is_none_or(|n| n <= 5))
    }

    proptest! {
        #[test]
        fn each_row_goes_where_its_condition_says(rows in rows(), size in 1usize..20) {
            let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
            let out = run(ENTRY, &json!({ "condition": "n > 5" }), &cut(&events, size)).unwrap();
            for at in 0..2 {
                let got: Vec<_> = out.port(at).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect();
                let expected: Vec<_> =
                    rows.iter().filter(|row| port(row) == at).flat_map(|row| shown([row.clone()])).collect();
                prop_assert_eq!(got, expected);
            }
        }

        #[test]
        fn folding_each_port_is_its_part_of_the_table(events in changelog(), size in 1usize..20) {
            let out = run(ENTRY, &json!({ "condition": "n > 5" }), &cut(&events, size)).unwrap();
            for at in 0..2 {
                let expected = shown(fold_events(&events).into_iter().filter(|row| port(row) == at));
                prop_assert_eq!(fold(&out.port(at)), expected);
            }
        }
    }

    #[test]
    fn rows_go_one_of_two_ways() {
        let relation = relation();
        let rows = [row(1, 5, "a"), row(2, 50, "b"), row(3, None, "c")];
        let rows: Vec<_> = rows.into_iter().map(|row| (Op::Insert, row, false)).collect();
        let out = run(ENTRY, &json!({ "condition": "n > 10" }), &[batch(&relation, &rows)]).unwrap();
        let count = |port: usize| out.port(port).iter().map(aqueduct_model::Batch::num_rows).sum::<usize>();
        assert_eq!((count(0), count(1)), (1, 2), "NULL goes to `else`");
    }

    #[test]
    fn a_bad_condition_is_refused() {
        assert!(refusal((ENTRY.check)(&json!({ "condition": "n >" }))).contains("condition"));
    }
}
