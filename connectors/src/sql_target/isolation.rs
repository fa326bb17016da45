//! Finding the rows that a target refuses among those that it takes.

use std::ops::Range;

use aqueduct_model::{Error, Result};
use arrow::array::RecordBatch;

use super::Refused;

/// Writes runs of rows. A run that is refused is halved until the rows at fault are alone; these are tried again after
/// the others, for one may take a unique value that another one of the same epoch gives up.
///
/// `write` writes a run whole, or leaves the target as it was and says why.
pub(crate) fn write_isolated(
    runs: impl IntoIterator<Item = Range<usize>>,
    mut write: impl FnMut(Range<usize>) -> Result<Option<String>>,
) -> Result<Vec<Refused>> {
    let mut refused: Vec<Refused> = Vec::new();
    for run in runs {
        // The first half is taken first, so that rows are written in their order.
        let mut open = vec![run];
        while let Some(run) = open.pop() {
            if run.is_empty() {
                continue;
            }
            let Some(reason) = write(run.clone())? else { continue };
            if run.len() == 1 {
                refused.push(Refused { row: run.start, reason });
                continue;
            }
            let middle = run.start + run.len() / 2;
            open.push(middle..run.end);
            open.push(run.start..middle);
        }
    }
    loop {
        let before = refused.len();
        let mut again = Vec::new();
        for row in refused {
            if let Some(reason) = write(row.row..row.row + 1)? {
                again.push(Refused { row: row.row, reason });
            }
        }
        refused = again;
        if refused.is_empty() || refused.len() == before {
            return Ok(refused);
        }
    }
}

/// Cuts rows into runs of at most so many rows and about so many bytes.
pub(crate) fn runs(
    rows: usize,
    rows_max: usize,
    bytes_max: usize,
    bytes: impl Fn(usize) -> usize,
) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut size) = (0, 0);
    for row in 0..rows {
        let next = bytes(row);
        if row > start && (row - start >= rows_max || size + next > bytes_max) {
            runs.push(start..row);
            (start, size) = (row, 0);
        }
        size += next;
    }
    if start < rows {
        runs.push(start..rows);
    }
    runs
}

/// Several batches as one; `None` when there are no rows.
///
/// # Errors
/// `Bug` when they have different columns.
pub(crate) fn one_batch(batches: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    let batch = match batches {
        [] => return Ok(None),
        [one] => one.clone(),
        [first, ..] => arrow::compute::concat_batches(&first.schema(), batches)
            .map_err(|error| Error::bug("cannot join batches").with_source(error))?,
    };
    Ok(Some(batch).filter(|batch| batch.num_rows() > 0))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_the_rows_at_fault_are_refused() {
        let taken = RefCell::new(BTreeSet::new());
        let refused = write_isolated([0..100, 100..101], |run| {
            // 7 never goes in; 3 only after 60.
            let late = run.contains(&3) && !taken.borrow().contains(&60);
            if run.contains(&7) || late {
                return Ok(Some("no".to_owned()));
            }
            taken.borrow_mut().extend(run);
            Ok(None)
        });
        assert_eq!(refused.unwrap(), [Refused { row: 7, reason: "no".to_owned() }]);
        assert_eq!(taken.borrow().len(), 100);
    }

    #[test]
    fn runs_end_by_rows_and_by_bytes() {
        assert_eq!(runs(5, 2, 100, |_| 1), [0..2, 2..4, 4..5]);
        assert_eq!(runs(4, 10, 10, |row| [4, 5, 100, 1][row]), [0..2, 2..3, 3..4]);
        assert!(runs(0, 2, 2, |_| 1).is_empty());
    }
}
