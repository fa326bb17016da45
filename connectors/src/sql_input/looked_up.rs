//! What a [`Reader`] reads, as a table to look rows up in.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::block::ReadLimits;
use super::reading::{Described, Reader, Span};
use crate::lookup::{LookupTable, Question};

/// Rows come in blocks of about this size.
const BLOCK: ReadLimits = ReadLimits { rows: 8_192, bytes: 8 << 20 };

/// See the module.
pub(crate) struct LookedUp<R>(pub R);

#[async_trait]
impl<R: Reader> LookupTable for LookedUp<R> {
    async fn open(&mut self) -> Result<Arc<Relation>> {
        Ok(self.0.open().await?.relation)
    }

    async fn prepare(&mut self, question: &Question) -> Result<()> {
        self.0.narrow(&question.relation).await
    }

    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let described = Described { relation: question.relation.clone(), key: Vec::new() };
        let among = Some(((0..question.key_columns).collect(), keys.clone()));
        let span = Span { order: Vec::new(), bounds: Vec::new(), among, not_null: None, rows: None };
        self.0.start(&described, &span).await?;
        let mut rows = Vec::new();
        while let Some(block) = self.0.next(BLOCK).await? {
            block.complete(&question.relation)?;
            rows.push(block.rows);
        }
        Ok(rows)
    }

    async fn close(&mut self) {
        self.0.close().await;
    }
}
