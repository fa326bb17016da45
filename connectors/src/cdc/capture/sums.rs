//! A table's checksum as the log moves on: what the chunks' sums do not show is taken out and put in, row by row.

use aqueduct_model::{Batch, Checksum, Op, Relation, Result, TableChecksum};
use std::sync::Arc;

use crate::row_checksum::{CellText, cell_texts, digests};

/// The sum over a table's chunks and what came after them.
pub(super) struct Sums {
    texts: Vec<CellText>,
    total: Checksum,
    /// A change was not told whole, so the sum is not known any more.
    given_up: bool,
}

impl Sums {
    /// An empty sum; `None` for a table whose rows have no digest.
    pub(super) fn new(relation: &Relation) -> Option<Self> {
        Some(Self { texts: cell_texts(relation)?, total: Checksum::default(), given_up: false })
    }

    /// Counts a chunk in.
    pub(super) fn add(&mut self, chunk: Checksum) {
        self.total.merge(chunk);
    }

    /// Takes those changes of a batch that the chunks do not show (`hidden`, one per row) into the sum.
    ///
    /// # Errors
    /// `Bug` when the batch has other columns.
    pub(super) fn fold(&mut self, batch: &Batch, hidden: &[bool]) -> Result<()> {
        let rows: Vec<usize> = (0..batch.num_rows()).filter(|&row| hidden.get(row) == Some(&true)).collect();
        if self.given_up || rows.is_empty() {
            return Ok(());
        }
        if !rows.iter().all(|&row| is_whole(batch, row)) {
            tracing::info!(
                table = %batch.relation().name(),
                fix = "ALTER TABLE … REPLICA IDENTITY FULL, or binlog_row_image = FULL",
                "rows are compared one by one, for the log does not tell changed rows whole"
            );
            self.given_up = true;
            return Ok(());
        }
        let digests = digests(&self.texts, batch.rows())?;
        for row in rows {
            match batch.op(row) {
                Op::Insert | Op::UpdateAfter => self.total.add(digests[row]),
                Op::UpdateBefore | Op::Delete => self.total.take(digests[row]),
            }
        }
        Ok(())
    }

    /// What is known.
    pub(super) fn result(&self, relation: &Arc<Relation>) -> TableChecksum {
        TableChecksum { relation: relation.clone(), checksum: (!self.given_up).then_some(self.total) }
    }
}

/// True when all values of a row are there, and of an update also the old row: its halves stand side by side, even if
/// the chunks show one of them.
fn is_whole(batch: &Batch, row: usize) -> bool {
    let is_lone = batch.op(row) == Op::UpdateAfter && (row == 0 || batch.op(row - 1) != Op::UpdateBefore);
    let mut columns = 0..batch.rows().num_columns();
    !is_lone && columns.all(|column| batch.present(column).is_none_or(|there| there.value(row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aqueduct_model::RelationName;
    use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
    use arrow::datatypes::{DataType, Field, Schema};

    fn relation() -> Arc<Relation> {
        let columns =
            Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]);
        Arc::new(Relation::new(RelationName::table("t"), Arc::new(columns), &["id"], 1).unwrap())
    }

    fn batch(rows: &[(Op, i64, &str)]) -> Batch {
        let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        let names = StringArray::from_iter_values(rows.iter().map(|row| row.2));
        let columns = RecordBatch::try_new(relation().columns().clone(), vec![Arc::new(ids), Arc::new(names)]).unwrap();
        Batch::changes(relation(), columns, UInt8Array::from_iter_values(rows.iter().map(|row| row.0 as u8))).unwrap()
    }

    fn sum(batches: &[Batch]) -> Option<Checksum> {
        let mut sums = Sums::new(&relation()).unwrap();
        for batch in batches {
            sums.fold(batch, &vec![true; batch.num_rows()]).unwrap();
        }
        sums.result(&relation()).checksum
    }

    #[test]
    fn changes_lead_to_the_sum_of_what_is_left() {
        let left = sum(&[batch(&[(Op::Insert, 1, "b"), (Op::Insert, 4, "d")])]);
        let changed = [
            batch(&[(Op::Insert, 1, "a"), (Op::Insert, 2, "b"), (Op::Insert, 3, "c")]),
            batch(&[(Op::UpdateBefore, 1, "a"), (Op::UpdateAfter, 1, "b"), (Op::Delete, 2, "b")]),
            batch(&[(Op::UpdateBefore, 3, "c"), (Op::UpdateAfter, 4, "d")]),
        ];
        assert_eq!(sum(&changed), left);
        assert_eq!(left.map(|sum| sum.rows), Some(2));
        assert_ne!(sum(&[batch(&[(Op::Insert, 1, "d"), (Op::Insert, 4, "b")])]), left);
    }

    #[test]
    fn what_was_not_told_whole_gives_the_sum_up() {
        let insert = || batch(&[(Op::Insert, 1, "a")]);
        let no_old_row = batch(&[(Op::UpdateAfter, 1, "b")]);
        let key_only = batch(&[(Op::Delete, 1, "")]).with_present(1, BooleanArray::from(vec![false])).unwrap();
        assert_eq!(sum(&[insert(), no_old_row]), None);
        assert_eq!(sum(&[insert(), key_only]), None);
        assert!(sum(&[insert()]).is_some());
    }

    #[test]
    fn what_the_chunks_show_is_left_out() {
        let mut sums = Sums::new(&relation()).unwrap();
        // The row moved from a chunk that was read before into one that was read after.
        let moved = batch(&[(Op::UpdateBefore, 1, "a"), (Op::UpdateAfter, 9, "a")]);
        sums.add(sum(&[batch(&[(Op::Insert, 1, "a"), (Op::Insert, 9, "a")])]).unwrap());
        sums.fold(&moved, &[true, false]).unwrap();
        sums.fold(&batch(&[(Op::UpdateAfter, 9, "b")]), &[false]).unwrap();
        assert_eq!(sums.result(&relation()).checksum, sum(&[batch(&[(Op::Insert, 9, "a")])]));
    }
}
