//! Planning a whole query over kept rows, and running it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, Waker};

use aqueduct_model::{Error, Relation, Result};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::physical_planner::DefaultPhysicalPlanner;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use futures::StreamExt;

use super::super::stack::with_room;
use super::explain::{failed, is_memory, unplanned};
use super::query::{WholeQuery, text_of};
use super::session::{Context, joining_by_order, session};
use super::shares::Shares;
use super::table::Kept;
use crate::spool::View;

/// A side of a join by hash takes about so many times its bytes.
const HASH_FACTOR: u64 = 4;
/// How often planning may be asked to go on; it waits for nothing.
const POLLS_MAX: usize = 100_000;

/// What a query may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Memory for its work, in bytes.
    pub(crate) memory_bytes: usize,
    /// Where it may write what does not fit.
    pub(crate) spill: Option<PathBuf>,
}

/// A table of a query: what it is, and its rows.
pub(crate) type Input = (Arc<Relation>, View);

impl WholeQuery {
    /// The columns that come out; `tables` are those of the query, in its order.
    ///
    /// # Errors
    /// `Config` when the query does not fit its tables.
    pub(crate) fn columns(&self, tables: &[Input]) -> Result<SchemaRef> {
        let limits = Limits { memory_bytes: 0, spill: None };
        let (columns, _) = with_room(|| {
            let session = session(&limits, Arc::new(Shares::of(limits.memory_bytes)))?;
            let plan = self.plan(tables, &session)?;
            Ok((plain(plan.schema().as_arrow()), plan))
        })?;
        distinct(&columns)?;
        Ok(columns)
    }

    fn plan(&self, tables: &[Input], session: &SessionState) -> Result<LogicalPlan> {
        let relations: Vec<&Relation> = tables.iter().map(|(relation, _)| relation.as_ref()).collect();
        let mut statement = self.statement.clone();
        let columns: BTreeSet<String> = relations
            .iter()
            .flat_map(|relation| relation.columns().fields().iter().map(|field| field.name().clone()))
            .collect();
        let names = self.tables.iter().flat_map(|table| [table.table().to_owned(), text_of(table)]);
        super::names::settle(&mut statement, columns, names.collect());
        let sources = self.tables.iter().zip(tables);
        let sources = sources.map(|(name, (_, view))| (name.clone(), provider_as_source(Arc::new(Kept(view.clone())))));
        let context = Context { session, tables: sources.collect() };
        let parser = &session.config_options().sql_parser;
        let options = ParserOptions::default()
            .with_parse_float_as_decimal(parser.parse_float_as_decimal)
            .with_enable_ident_normalization(parser.enable_ident_normalization)
            .with_map_string_types_to_utf8view(parser.map_string_types_to_utf8view);
        let planned = SqlToRel::new_with_options(&context, options).sql_statement_to_plan(statement);
        let optimized = planned.and_then(|plan| session.optimize(&plan));
        optimized.map_err(|error| unplanned(error, &relations))
    }
}

/// A query at work.
pub(crate) struct Running {
    query: WholeQuery,
    tables: Vec<Input>,
    limits: Limits,
    columns: SchemaRef,
    stream: SendableRecordBatchStream,
    joins_by_hash: bool,
    has_given_rows: bool,
}

impl Running {
    /// Begins; `tables` are those of the query, in its order.
    ///
    /// # Errors
    /// `Config` when the query does not fit its tables.
    pub(crate) fn begin(query: &WholeQuery, tables: Vec<Input>, limits: Limits) -> Result<Self> {
        let bytes: Vec<u64> = tables.iter().map(|(_, view)| view.num_bytes()).collect();
        // All but the largest may have to be held at once.
        let held = bytes.iter().sum::<u64>() - bytes.iter().max().copied().unwrap_or(0);
        let joins_by_hash = held.saturating_mul(HASH_FACTOR) <= limits.memory_bytes as u64;
        let (columns, stream) = start(query, &tables, &limits, joins_by_hash)?;
        distinct(&columns)?;
        Ok(Self { query: query.clone(), tables, limits, columns, stream, joins_by_hash, has_given_rows: false })
    }

    /// The columns that come out.
    pub(crate) fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// `Data` when a row cannot be computed or memory does not suffice.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.stream.next().await {
                None => return Ok(None),
                Some(Ok(rows)) if rows.num_rows() == 0 => {}
                Some(Ok(rows)) => {
                    self.has_given_rows = true;
                    return retyped(&rows, &self.columns).map(Some);
                }
                // Nothing came out yet, so it can begin again with joins that need less memory.
                Some(Err(error)) if is_memory(&error) && self.joins_by_hash && !self.has_given_rows => {
                    self.joins_by_hash = false;
                    (_, self.stream) = start(&self.query, &self.tables, &self.limits, false)?;
                }
                Some(Err(error)) => return Err(failed(error)),
            }
        }
    }
}

fn start(
    query: &WholeQuery,
    tables: &[Input],
    limits: &Limits,
    joins_by_hash: bool,
) -> Result<(SchemaRef, SendableRecordBatchStream)> {
    let (columns, physical, session) = with_room(|| {
        let memory = Arc::new(Shares::of(limits.memory_bytes));
        let session = session(limits, memory.clone())?;
        let plan = query.plan(tables, &session)?;
        let relations: Vec<&Relation> = tables.iter().map(|(relation, _)| relation.as_ref()).collect();
        let physical = match joins_by_hash || is_null_aware(&plan)? {
            true => settled(session.query_planner().create_physical_plan(&plan, &session))?,
            false => by_order(&plan, &session)?,
        };
        let physical: Arc<dyn ExecutionPlan> = physical.map_err(|error| unplanned(error, &relations))?;
        memory.cut_for(physical.as_ref());
        Ok((plain(plan.schema().as_arrow()), physical, session))
    })?;
    let stream = execute_stream(physical, session.task_ctx()).map_err(failed)?;
    Ok((columns, stream))
}

/// The plan whose joins sort both sides, which can be done in files.
fn by_order(plan: &LogicalPlan, session: &SessionState) -> Result<Result<Arc<dyn ExecutionPlan>, DataFusionError>> {
    let first = joining_by_order(session);
    let planned = settled(first.query_planner().create_physical_plan(plan, &first))?;
    Ok(planned.and_then(|plan| DefaultPhysicalPlanner::default().optimize_physical_plan(plan, session, |_, _| {})))
}

/// True for `not in` over a column that may be NULL: only a join by hash knows what that means.
fn is_null_aware(plan: &LogicalPlan) -> Result<bool> {
    let found = plan.exists(|node| Ok(matches!(node, LogicalPlan::Join(join) if join.null_aware)));
    found.map_err(|error| Error::bug("a plan cannot be walked").with_source(error))
}

/// What a future says that waits for nothing: planning is async only for tables that lie elsewhere.
fn settled<T>(future: impl Future<Output = Result<T, DataFusionError>>) -> Result<Result<T, DataFusionError>> {
    let mut future = std::pin::pin!(future);
    let mut poller = Poller::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(done) = future.as_mut().poll(&mut poller) {
            return Ok(done);
        }
    }
    Err(Error::bug("planning a query waits for something"))
}

/// The columns in types that every sink knows.
fn plain(columns: &Schema) -> SchemaRef {
    let fields = columns.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn distinct(columns: &Schema) -> Result<()> {
    for (i, field) in columns.fields().iter().enumerate() {
        if columns.fields()[..i].iter().any(|other| other.name() == field.name()) {
            return Err(Error::config(format!("two columns are named {}", field.name()))
                .with_hint(format!("name one of them otherwise: `{} as other`", field.name())));
        }
        if *field.data_type() == DataType::Null {
            return Err(Error::config(format!("the column {} has no type", field.name()))
                .with_hint("give it one: `cast(null as varchar)`"));
        }
    }
    Ok(())
}

fn retyped(rows: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let failed = |error| Error::bug("rows of a query do not have its columns").with_source(error);
    let cells = rows.columns().iter().zip(columns.fields());
    let cells = cells.map(|(cells, field)| match cells.data_type() == field.data_type() {
        true => Ok(cells.clone()),
        false => cast(cells, field.data_type()),
    });
    RecordBatch::try_new(columns.clone(), cells.collect::<Result<_, _>>().map_err(failed)?).map_err(failed)
}
