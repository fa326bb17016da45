//! What one target was given in one epoch: counts, and a digest that does not depend on batches.

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, Op, Relation, Result};
use arrow_row::{RowConverter, SortField};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::ReceiptKind;

/// Rows by what happened to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// New rows.
    pub inserts: u64,
    /// Changed rows.
    pub updates: u64,
    /// Removed rows.
    pub deletes: u64,
    /// Changes of a table's shape.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub schema_changes: u64,
    /// The sum modulo 2^128 of the rows' hashes, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Meters what goes into one target.
pub(crate) struct ContentMeter {
    kind: ReceiptKind,
    content: Content,
    sum: u128,
    /// By relation: kept while its `Arc` is, which is as long as the source knows the shape.
    converters: HashMap<String, (Arc<Relation>, RowConverter)>,
}

impl ContentMeter {
    pub(crate) fn new(kind: ReceiptKind) -> Self {
        Self { kind, content: Content::default(), sum: 0, converters: HashMap::new() }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// `Bug` when the rows have a type that has no bytes.
    pub(crate) fn rows(&mut self, batch: &Batch) -> Result<()> {
        if self.kind == ReceiptKind::None {
            return Ok(());
        }
        if batch.is_append_only() {
            self.content.inserts += batch.num_rows() as u64;
        } else {
            for i in 0..batch.num_rows() {
                match batch.op(i) {
                    Op::Insert => self.content.inserts += 1,
                    Op::UpdateAfter => self.content.updates += 1,
                    Op::Delete => self.content.deletes += 1,
                    Op::UpdateBefore => {}
                }
            }
        }
        if self.kind == ReceiptKind::Digests { self.digest(batch) } else { Ok(()) }
    }

    /// Adds a change of shape.
    pub(crate) fn schema_change(&mut self) {
        self.content.schema_changes += 1;
    }

    /// Ends the epoch.
    pub(crate) fn take(&mut self) -> Content {
        let digest = (self.kind == ReceiptKind::Digests).then(|| format!("{:032x}", std::mem::take(&mut self.sum)));
        Content { digest, ..std::mem::take(&mut self.content) }
    }

    fn digest(&mut self, batch: &Batch) -> Result<()> {
        let relation = batch.relation();
        let name = relation.name().to_string();
        let unfit = |error| Error::bug(format!("rows of {name} cannot be digested")).with_source(error);
        if !self.converters.get(&name).is_some_and(|(known, _)| Arc::ptr_eq(known, relation)) {
            let fields = relation.columns().fields().iter().map(|field| SortField::new(field.data_type().clone()));
            let converter = RowConverter::new(fields.collect()).map_err(unfit)?;
            self.converters.insert(name.clone(), (relation.clone(), converter));
        }
        let Some((_, converter)) = self.converters.get_mut(&name) else { return Ok(()) };
        let rows = converter.convert_columns(batch.rows().columns()).map_err(unfit)?;
        let masks: Vec<_> = (0..batch.rows().num_columns()).filter_map(|i| Some((i, batch.present(i)?))).collect();
        for (i, row) in rows.iter().enumerate() {
            let mut hash = Xxh3::new();
            hash.update(name.as_bytes());
            hash.update(&[0, batch.op(i) as u8]);
            hash.update(row.as_ref());
            for (column, _) in masks.iter().filter(|(_, present)| !present.value(i)) {
                hash.update(&(*column as u32).to_le_bytes());
            }
            self.sum = self.sum.wrapping_add(hash.digest128());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::testing::batch;

    #[test]
    fn a_digest_does_not_depend_on_batches_and_sees_every_row() {
        let whole = batch(100);
        let digest = |parts: &[Batch]| {
            let mut meter = ContentMeter::new(ReceiptKind::Digests);
            parts.iter().for_each(|part| meter.rows(part).unwrap());
            meter.take()
        };
        let expected = digest(std::slice::from_ref(&whole));
        assert_eq!(expected.inserts, 100);
        assert_eq!(digest(&[whole.slice(60, 40), whole.slice(0, 60)]), expected);
        assert_ne!(digest(&[whole.slice(0, 99)]).digest, expected.digest);
        assert_ne!(digest(&[whole.slice(0, 99), whole.slice(0, 1)]).digest, expected.digest);
    }

    #[test]
    fn counts_cost_no_digest_and_none_counts_nothing() {
        for (kind, inserts) in [(ReceiptKind::None, 0), (ReceiptKind::Counts, 7)] {
            let mut meter = ContentMeter::new(kind);
            meter.rows(&batch(7)).unwrap();
            assert_eq!(meter.take(), Content { inserts, ..Content::default() });
        }
    }
}
