//! The changes of a place, one by one.

use aqueduct_model::{Batch, Change, Op};
use arrow::datatypes::DataType;

use super::cell;
use super::expectation::ExpectedChange;
use super::recorder::Seen;
use super::rows::Row;
use super::table_state::Text;

/// A row with the names and types of its columns; columns that were not sent are left out.
#[derive(Debug, Clone)]
pub(super) struct Values(pub(super) Vec<(String, DataType, Text)>);

/// A change that happened.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    Insert(Values),
    Update(Values, Values),
    Upsert(Values),
    Delete(Values),
    Ddl(&'static str),
}

/// All changes, in order.
pub(super) fn happened(seen: &[Seen]) -> Vec<Happened> {
    let mut changes = Vec::new();
    for seen in seen {
        match seen {
            Seen::Rows(batch) => of_batch(batch, &mut changes),
            Seen::Schema(change) => changes.push(Happened::Ddl(ddl_name(&change.change))),
            Seen::Refused(_) => {}
        }
    }
    changes
}

fn of_batch(batch: &Batch, changes: &mut Vec<Happened>) {
    let columns: Vec<Vec<Text>> = batch.rows().columns().iter().map(cell::texts).collect();
    let fields = batch.relation().columns().fields();
    let values = |row: usize| {
        let is_present = |column: usize| batch.present(column).is_none_or(|present| present.value(row));
        let sent = (0..columns.len()).filter(|&column| is_present(column));
        Values(
            sent.map(|i| (fields[i].name().clone(), fields[i].data_type().clone(), columns[i][row].clone())).collect(),
        )
    };
    let mut before = None;
    for row in 0..batch.num_rows() {
        changes.push(match (batch.op(row), before.take()) {
            (Op::UpdateBefore, _) => {
                before = Some(values(row));
                continue;
            }
            (Op::UpdateAfter, Some(before)) => Happened::Update(before, values(row)),
            (Op::UpdateAfter, None) => Happened::Upsert(values(row)),
            (Op::Insert, _) => Happened::Insert(values(row)),
            (Op::Delete, _) => Happened::Delete(values(row)),
        });
    }
}

fn ddl_name(change: &Change) -> &'static str {
    match change {
        Change::CreateTable => "create_table",
        Change::AddColumns(_) => "add_columns",
        Change::DropColumns(_) => "drop_columns",
        Change::RenameColumn { .. } => "rename_column",
        Change::AlterColumns(_) => "alter_columns",
        Change::DropTable => "drop_table",
        Change::RenameTable { .. } => "rename_table",
        Change::Truncate => "truncate",
        _ => "other",
    }
}

impl Happened {
    /// Whether it is what was expected; columns that the expectation does not name may be anything.
    pub(super) fn fits(&self, expected: &ExpectedChange) -> bool {
        match (self, expected) {
            (Self::Insert(row), ExpectedChange::Insert(expected))
            | (Self::Upsert(row), ExpectedChange::Upsert(expected))
            | (Self::Delete(row), ExpectedChange::Delete(expected)) => row.fits(expected),
            (Self::Update(before, after), ExpectedChange::Update(old, new)) => {
                old.as_ref().is_none_or(|old| before.fits(old)) && after.fits(new)
            }
            (Self::Ddl(kind), ExpectedChange::Ddl(expected)) => kind == expected,
            _ => false,
        }
    }

    /// The kind of the change, and its rows.
    pub(super) fn show(&self) -> (String, String) {
        let (kind, text) = match self {
            Self::Insert(row) => ("insert", row.show()),
            Self::Update(before, after) => ("update", format!("{} → {}", before.show(), after.show())),
            Self::Upsert(row) => ("upsert", row.show()),
            Self::Delete(row) => ("delete", row.show()),
            Self::Ddl(kind) => ("ddl", (*kind).to_owned()),
        };
        (kind.to_owned(), text)
    }

    pub(super) fn show_expected(expected: &ExpectedChange) -> (String, String) {
        let show = |row: &Row| {
            let cell = |(name, cell): &(String, super::rows::Cell)| pair(name, &cell.text);
            row.cells.iter().map(cell).collect::<Vec<_>>().join(" ")
        };
        let (kind, text) = match expected {
            ExpectedChange::Insert(row) => ("insert", show(row)),
            ExpectedChange::Update(Some(before), after) => ("update", format!("{} → {}", show(before), show(after))),
            ExpectedChange::Update(None, after) => ("update", show(after)),
            ExpectedChange::Upsert(row) => ("upsert", show(row)),
            ExpectedChange::Delete(row) => ("delete", show(row)),
            ExpectedChange::Ddl(kind) => ("ddl", kind.clone()),
        };
        (kind.to_owned(), text)
    }
}

impl Values {
    fn fits(&self, expected: &Row) -> bool {
        expected.cells.iter().all(|(name, expected)| {
            let found = self.0.iter().find(|(column, ..)| column == name);
            found.is_some_and(|(_, data_type, text)| *text == cell::expected(expected.text.clone(), data_type))
        })
    }

    fn show(&self) -> String {
        self.0.iter().map(|(name, _, text)| pair(name, text)).collect::<Vec<_>>().join(" ")
    }
}

fn pair(name: &str, text: &Text) -> String {
    format!("{name}={}", text.as_deref().unwrap_or("NULL"))
}
