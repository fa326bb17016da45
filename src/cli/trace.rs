//! `trace`: one row's way.

use std::sync::Arc;

use aqueduct_engine::runtime::{FlowState, Host};
use aqueduct_model::Error;

use super::arguments::TraceArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use crate::trace::{Key, TracePlugins, show};

/// Follows a row; fails when it is not found.
pub(super) fn trace(arguments: &TraceArguments, log: &Log) -> Result<Exit, Failure> {
    let mut plan = load(&arguments.flow, log)?.plan;
    let key = Key::parse(&arguments.key, arguments.table.as_deref())?;
    let shown = plan.clone();
    let plugins = Arc::new(TracePlugins::new(&mut plan, key, arguments.rows.max(1), arguments.from.clone()));
    let running = plugins.clone();
    let end = Host::new()?.block_on(|starter| async move { starter.start_without_trace(plan, running).wait().await });
    let way = show(&shown, plugins.log());
    if let Some(way) = &way {
        print!("{}", log.redact(way));
    }
    match (end, way) {
        (FlowState::Failed { report }, _) => Err(report.into()),
        (_, Some(_)) => Ok(Exit::Ok),
        (_, None) => Err(Error::new(aqueduct_model::ErrorKind::Data, "no source gave a row with this key")
            .with_hint(
                "a table with several key columns, or none, needs `column=value` pairs: region=north,id=42; `--rows` \
                        reads more, `--table` names other tables",
            )
            .into()),
    }
}
