//! `run`: a flow in the foreground, with progress, signals and a summary.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_engine::control::ControlServer;
use aqueduct_engine::runtime::{FlowHandle, FlowStarter, FlowState, Host, PlannedPlugins, PluginFactory};
use aqueduct_model::{Error, ErrorKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::arguments::RunArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use super::progress::{Meter, summary};
use crate::metrics_page;

/// How often progress is shown and metrics are refreshed.
const REFRESH: Duration = Duration::from_millis(500);

/// Runs a flow until it has finished or is stopped.
pub(super) fn run(arguments: &RunArguments, log: &Log) -> Result<Exit, Failure> {
    run_with(arguments, Arc::new(PlannedPlugins), log)
}

/// The same with other plugins around the flow's own.
pub(super) fn run_with(arguments: &RunArguments, plugins: Arc<dyn PluginFactory>, log: &Log) -> Result<Exit, Failure> {
    let planned = load(&arguments.flow, log)?;
    let host = Host::new()?;
    host.block_on(|starter| async move {
        let state_dir = planned.plan.state_dir.clone();
        let metrics = match arguments.metrics_listen {
            Some(address) => Some(metrics_page::listen(address).await?),
            None => None,
        };
        let starter = starter.with_plugins(crate::catalogue()?);
        let flow = starter.start(planned.plan, plugins).await?;
        let control = ControlServer::bind(&state_dir)?;
        let mut helpers = vec![starter.runtime().spawn(control.serve(flow.clone())), stop_on_signals(&starter, &flow)?];
        if let Some(listener) = metrics {
            helpers.push(starter.runtime().spawn(metrics_page::serve(listener, flow.clone())));
        }
        let end = watch(&flow, arguments, log).await;
        for helper in helpers {
            helper.abort();
        }
        match end {
            FlowState::Failed { report } => Err(report.into()),
            _ => Ok(Exit::Ok),
        }
    })
}

/// Shows progress until the end, then the summary.
async fn watch(flow: &FlowHandle, arguments: &RunArguments, log: &Log) -> FlowState {
    let mut meter = Meter::start(arguments.progress);
    log.step_around(meter.bar());
    let mut tick = tokio::time::interval(REFRESH);
    let end = loop {
        tokio::select! {
            end = flow.wait() => break end,
            _ = tick.tick() => meter.show(&flow.status()),
        }
    };
    log.step_around(None);
    meter.clear();
    eprintln!("{}", log.redact(&summary(&flow.status(), meter.elapsed())));
    end
}

/// The first SIGTERM or SIGINT drains, the second ends at once.
fn stop_on_signals(starter: &FlowStarter, flow: &FlowHandle) -> Result<JoinHandle<()>, Failure> {
    let failed = |error| Error::new(ErrorKind::Unavailable, "cannot listen for signals").with_source(error);
    let _inside = starter.runtime().enter();
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let flow = flow.clone();
    Ok(starter.runtime().spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            flow.stop().await;
        }
    }))
}
