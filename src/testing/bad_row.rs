//! Rows that tasks refused, compared with those that a test expects.

use aqueduct_engine::definition::{Node, Report, check_keys};
use aqueduct_model::BadRow;

use super::case::Case;
use super::compare::Difference;
use super::keys;
use super::rows::{Row, row};

/// A refusal that is expected; what is not named may be anything.
pub(super) struct ExpectedBad {
    task: Option<String>,
    reason: Option<String>,
    row: Option<Row>,
}

/// A refusal that happened.
pub(super) struct Refusal {
    pub(super) task: String,
    pub(super) row: BadRow,
}

/// Reads `bad_rows`.
pub(super) fn expected(case: &Case, report: &mut Report) -> Vec<ExpectedBad> {
    let items = case.node.get("bad_rows").map(Node::items).unwrap_or_default();
    let one = |item: &Node| {
        check_keys(item, keys::BAD_ROW, "the bad row", "bad_rows.", report);
        ExpectedBad {
            task: item.get("task").and_then(Node::text).map(str::to_owned),
            reason: item.get("reason").and_then(Node::text).map(str::to_owned),
            row: item.get("row").and_then(|node| row(node, report)),
        }
    };
    items.iter().map(one).collect()
}

/// Every refusal must be expected, and every expected one must have happened.
pub(super) fn compare(expected: &[ExpectedBad], refusals: &[Refusal]) -> Option<Difference> {
    let mut left: Vec<&Refusal> = refusals.iter().collect();
    let mut rows = Vec::new();
    for expectation in expected {
        match left.iter().position(|refusal| expectation.fits(refusal)) {
            Some(at) => drop(left.remove(at)),
            None => rows.push(('-', expectation.show())),
        }
    }
    rows.extend(left.into_iter().map(|refusal| ('+', refusal.show())));
    let columns = ["task", "reason", "row"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| Difference { title: "bad rows differ".to_owned(), columns, rows })
}

impl ExpectedBad {
    fn fits(&self, refusal: &Refusal) -> bool {
        let values = |row: &Row| {
            row.cells.iter().all(|(name, cell)| match refusal.row.row.get(name) {
                Some(serde_json::Value::Null) | None => cell.text.is_none(),
                Some(serde_json::Value::String(text)) => cell.text.as_deref() == Some(text),
                Some(other) => cell.text == Some(other.to_string()),
            })
        };
        self.task.as_ref().is_none_or(|task| *task == refusal.task)
            && self.reason.as_ref().is_none_or(|part| refusal.row.reasons.iter().any(|reason| reason.contains(part)))
            && self.row.as_ref().is_none_or(values)
    }

    fn show(&self) -> Vec<String> {
        let any = || "(any)".to_owned();
        let row = self.row.as_ref().map(|row| {
            let cell = |(name, cell): &(String, super::rows::Cell)| {
                format!("{name}={}", cell.text.as_deref().unwrap_or("NULL"))
            };
            row.cells.iter().map(cell).collect::<Vec<_>>().join(" ")
        });
        vec![self.task.clone().unwrap_or_else(any), self.reason.clone().unwrap_or_else(any), row.unwrap_or_else(any)]
    }
}

impl Refusal {
    /// Its cells: task, reasons, row.
    fn show(&self) -> Vec<String> {
        let cells = self.row.row.as_object().into_iter().flatten();
        let cell = |(name, value): (&String, &serde_json::Value)| match value {
            serde_json::Value::Null => format!("{name}=NULL"),
            serde_json::Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        vec![self.task.clone(), self.row.reasons.join("; "), cells.map(cell).collect::<Vec<_>>().join(" ")]
    }
}
