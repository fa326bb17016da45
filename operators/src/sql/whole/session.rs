//! DataFusion for whole queries: its planner, optimizer and operators, with a budget of memory.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use datafusion::arrow::datatypes::DataType;
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::prelude::SessionConfig;
use datafusion::sql::TableReference;

use super::arithmetic::CheckedArithmetic;
use super::run::Limits;
use super::shares::Shares;
use super::sum;
use crate::sql::session::give_zone;

/// What a sort holds back for putting its files together, at most.
const MERGE_BYTES: usize = 8 << 20;

/// A batch of a query may take this part of its memory, if a row takes a hundred bytes or so: files are put together a
/// batch of each at a time.
const BATCHES_IN_MEMORY: usize = 80;
const ROW_BYTES: usize = 100;
const BATCH_ROWS: std::ops::RangeInclusive<usize> = 256..=8_192;

/// A session without tables, files or table functions.
pub(super) fn session(limits: &Limits, memory: Arc<Shares>) -> Result<SessionState> {
    // One partition: the same rows give the same result in the same order.
    let mut config = SessionConfig::new().with_create_default_catalog_and_schema(false).with_target_partitions(1);
    let options = config.options_mut();
    // Names are matched by us, see `names`.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.sort_spill_reservation_bytes = MERGE_BYTES.min(limits.memory_bytes / 8);
    let rows = limits.memory_bytes / (BATCHES_IN_MEMORY * ROW_BYTES);
    options.execution.batch_size = rows.clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end());
    let disk = match &limits.spill {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::Disabled,
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(memory)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
        .build_arc()
        .map_err(|error| Error::bug("a query cannot be given memory").with_source(error))?;
    let mut planners: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(CheckedArithmetic::default())];
    planners.extend(SessionStateDefaults::default_expr_planners());
    let mut aggregates = SessionStateDefaults::default_aggregate_functions();
    aggregates.push(sum::checked_sum());
    let mut session = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(aggregates)
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_expr_planners(planners)
        .build();
    give_zone(&mut session);
    Ok(session)
}

/// A session that plans joins by order, and optimizes nothing: that is for the session that it is made of.
///
/// DataFusion joins by hash wherever there is one partition only. So this one says two, and keeps everything else from
/// being cut into partitions.
pub(super) fn joining_by_order(session: &SessionState) -> SessionState {
    let mut config = session.config().clone().with_target_partitions(2);
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    options.optimizer.repartition_joins = true;
    options.optimizer.repartition_aggregations = false;
    options.optimizer.repartition_windows = false;
    SessionStateBuilder::new_from_existing(session.clone())
        .with_config(config)
        .with_physical_optimizer_rules(Vec::new())
        .build()
}

/// What the planner may ask for.
pub(super) struct Context<'a> {
    pub(super) session: &'a SessionState,
    pub(super) tables: Vec<(TableReference, Arc<dyn TableSource>)>,
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let found = self.tables.iter().find(|(known, _)| *known == name);
        let none = || DataFusionError::Plan(format!("there is no table {name}"));
        found.map(|(_, table)| table.clone()).ok_or_else(none)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.session.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.session.scalar_functions().get(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.session.higher_order_functions().get(&name.to_lowercase()).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.session.aggregate_functions().get(&name.to_lowercase()).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.session.window_functions().get(&name.to_lowercase()).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.session.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.session.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.session.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.session.window_functions().keys().cloned().collect()
    }
}
