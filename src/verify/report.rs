//! What a comparison found.

use aqueduct_model::{Checksum, Epoch, RelationName};
use serde::Serialize;

use super::compare::DifferingKey;
use super::digest::Sum;

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Difference {
    /// The target does not have it.
    Missing,
    /// Only the target has it.
    Extra,
    /// Both have it, with other values (or another number of times).
    Different,
}

/// One key that differs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeyReport {
    pub(crate) difference: Difference,
    /// `id=7`.
    pub(crate) key: String,
    /// The columns with other values, where both sides have the key.
    pub(crate) columns: Vec<String>,
}

impl KeyReport {
    fn of(key: &DifferingKey) -> Self {
        Self { difference: key.what, key: key.text.clone(), columns: key.columns.clone() }
    }
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ComparedBy {
    /// Sums that the two systems computed themselves.
    Checksum,
    /// The rows of both.
    Rows,
}

/// What was found in one table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TableReport {
    pub(crate) sink: String,
    pub(crate) table: String,
    /// The target's epoch, whose source position the source was read at.
    pub(crate) epoch: Epoch,
    pub(crate) source_rows: i64,
    pub(crate) target_rows: i64,
    pub(crate) compared_by: ComparedBy,
    /// Rows of both sides that were fetched for it, at first sight.
    pub(crate) rows_read: u64,
    /// Order-independent sums, hexadecimal: of 128 bits, or of 64 that the systems computed.
    pub(crate) source_checksum: String,
    pub(crate) target_checksum: String,
    pub(crate) missing: usize,
    pub(crate) extra: usize,
    pub(crate) different: usize,
    /// The first differing keys.
    pub(crate) keys: Vec<KeyReport>,
    pub(crate) repaired: bool,
}

impl TableReport {
    pub(super) fn equal(sink: &str, table: &RelationName, epoch: Epoch, sum: Sum) -> Self {
        Self::new(sink, table, epoch, (sum, sum), &[], 0)
    }

    /// Both systems answered with the same sum.
    pub(super) fn by_checksum(sink: &str, table: &RelationName, epoch: Epoch, sum: Checksum) -> Self {
        let rows = Sum { rows: sum.rows, digest: 0 };
        let text = format!("{:016x}", sum.sum);
        Self {
            compared_by: ComparedBy::Checksum,
            source_checksum: text.clone(),
            target_checksum: text,
            ..Self::equal(sink, table, epoch, rows)
        }
    }

    /// Notes how many rows were read.
    pub(super) fn having_read(self, rows: Option<u64>) -> Self {
        Self { rows_read: rows.unwrap_or_default(), ..self }
    }

    pub(crate) fn is_by_checksum(&self) -> bool {
        self.compared_by == ComparedBy::Checksum
    }

    pub(super) fn new(
        sink: &str,
        table: &RelationName,
        epoch: Epoch,
        (source, target): (Sum, Sum),
        found: &[DifferingKey],
        show: usize,
    ) -> Self {
        let count = |what| found.iter().filter(|key| key.what == what).count();
        Self {
            sink: sink.to_owned(),
            table: table.to_string(),
            epoch,
            source_rows: source.rows,
            target_rows: target.rows,
            compared_by: ComparedBy::Rows,
            rows_read: 0,
            source_checksum: format!("{:032x}", source.digest),
            target_checksum: format!("{:032x}", target.digest),
            missing: count(Difference::Missing),
            extra: count(Difference::Extra),
            different: count(Difference::Different),
            keys: found.iter().take(show).map(KeyReport::of).collect(),
            repaired: false,
        }
    }

    /// True when nothing differs.
    pub(crate) fn is_equal(&self) -> bool {
        self.missing + self.extra + self.different == 0
    }
}

/// What was found in all tables.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) tables: Vec<TableReport>,
    /// Sinks whose target cannot be read back, and tables that the source does not have.
    pub(crate) skipped: Vec<String>,
}

impl Report {
    /// True when nothing differs anywhere, or what did was mended.
    pub(crate) fn is_good(&self) -> bool {
        self.tables.iter().all(|table| table.is_equal() || table.repaired)
    }

    /// Missing, extra and different keys over all tables.
    pub(crate) fn totals(&self) -> (usize, usize, usize) {
        self.tables.iter().fold((0, 0, 0), |(missing, extra, different), table| {
            (missing + table.missing, extra + table.extra, different + table.different)
        })
    }
}
