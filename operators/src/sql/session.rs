//! The part of DataFusion that is used: its scalar functions and its expression planner.

use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

/// A session without tables, files or table functions. Aggregate and window functions are known by name only, to be
/// refused with a good message.
pub(super) fn session() -> SessionState {
    let mut config = SessionConfig::new().with_create_default_catalog_and_schema(false);
    let parser = &mut config.options_mut().sql_parser;
    // Columns are matched by us, see `names`.
    parser.enable_ident_normalization = false;
    // `amount * 0.19` on a decimal stays a decimal.
    parser.parse_float_as_decimal = true;
    // Sinks bind Utf8.
    parser.map_string_types_to_utf8view = false;
    let mut session = SessionStateBuilder::new()
        .with_config(config)
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_analyzer_rules(Vec::new())
        .with_optimizer_rules(Vec::new())
        .with_physical_optimizer_rules(Vec::new())
        .build();
    give_zone(&mut session);
    session
}

/// Has the type `timestamptz` a zone. Functions are made already, so `to_timestamp` gives timestamps without one.
pub(super) fn give_zone(session: &mut SessionState) {
    session.config_mut().options_mut().execution.time_zone = Some(ZONE.to_owned());
}

/// Instants are told in it, as those of the sources.
const ZONE: &str = "UTC";
