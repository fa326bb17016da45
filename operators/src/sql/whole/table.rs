//! Kept rows as a table of DataFusion.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, project_schema,
};

use crate::spool::View;

/// One table of a query.
#[derive(Debug)]
pub(super) struct Kept(pub(super) View);

#[async_trait]
impl TableProvider for Kept {
    fn schema(&self) -> SchemaRef {
        self.0.columns().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = project_schema(self.0.columns(), projection)?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(columns.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(Scan {
            view: self.0.clone(),
            projection: projection.cloned(),
            columns,
            properties: Arc::new(properties),
        }))
    }
}

/// Reads the rows.
#[derive(Debug)]
struct Scan {
    view: View,
    projection: Option<Vec<usize>>,
    columns: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for Scan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptRows: rows={}", self.view.num_rows())
    }
}

impl ExecutionPlan for Scan {
    fn name(&self) -> &str {
        "KeptRows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("kept rows have no inputs") }
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let projection = self.projection.clone();
        let rows = self.view.read().map(move |rows| {
            let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
            match &projection {
                Some(projection) => Ok(rows.project(projection)?),
                None => Ok(rows),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.columns.clone(), futures::stream::iter(rows))))
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        let all = self.view.columns().fields().len().max(1);
        let bytes = self.view.num_bytes() as usize / all * self.columns.fields().len();
        Ok(Arc::new(Statistics {
            num_rows: Precision::Exact(self.view.num_rows() as usize),
            total_byte_size: Precision::Inexact(bytes),
            column_statistics: Statistics::unknown_column(&self.columns),
        }))
    }
}
