//! Sums over rows that each side of a comparison can compute where the rows are.

use std::sync::Arc;

use crate::Relation;

/// A count of rows and a sum of their digests, in which the order of the rows plays no part.
///
/// ```
/// use aqueduct_model::Checksum;
/// let (mut one, mut other) = (Checksum::default(), Checksum::default());
/// one.add(7);
/// one.add(u64::MAX);
/// other.add(u64::MAX);
/// other.add(9);
/// other.take(9);
/// other.add(7);
/// assert_eq!(one, other);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    /// The number of rows.
    pub rows: i64,
    /// The sum of the rows' 64-bit digests, modulo 2^64.
    pub sum: u64,
}

impl Checksum {
    /// Counts a row in.
    pub fn add(&mut self, digest: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(digest);
    }

    /// Takes a row out.
    pub fn take(&mut self, digest: u64) {
        self.rows -= 1;
        self.sum = self.sum.wrapping_sub(digest);
    }

    /// Counts the rows of another sum in.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// What a scan knows of one table that it was to sum up.
#[derive(Debug, Clone)]
pub struct TableChecksum {
    /// The table, with the columns that the rows' digests are made of, in this order.
    pub relation: Arc<Relation>,
    /// The sum; `None` when it was given up on the way, so that the rows have to be read.
    pub checksum: Option<Checksum>,
}
