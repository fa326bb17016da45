//! Owns one task: waits for its exit (a value, an error or a panic) and reports it as a message.

use actix::prelude::*;
use aqueduct_model::Result;
use tokio::task::{AbortHandle, JoinHandle};

use super::flow_actor::{FlowActor, TaskExited};

/// See the module.
pub(crate) struct PluginActor {
    task: usize,
    generation: u64,
    work: Option<JoinHandle<Result<()>>>,
    abort: AbortHandle,
    flow: Addr<FlowActor>,
}

/// Ends the task at its next await, whatever it is doing. A task that blocks its own thread cannot be ended.
pub(crate) struct Abort;

impl Message for Abort {
    type Result = ();
}

impl PluginActor {
    pub(crate) fn new(task: usize, generation: u64, work: JoinHandle<Result<()>>, flow: Addr<FlowActor>) -> Self {
        let abort = work.abort_handle();
        Self { task, generation, work: Some(work), abort, flow }
    }
}

impl Actor for PluginActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let Some(work) = self.work.take() else { return };
        let (task, generation, flow) = (self.task, self.generation, self.flow.clone());
        let report = async move {
            let exit = match work.await {
                Ok(result) => TaskExit::Returned(result),
                Err(error) if error.is_panic() => TaskExit::Panicked(panic_message(error.into_panic())),
                Err(_) => TaskExit::Aborted,
            };
            // A flow actor that is gone has no use for the report.
            let _ = flow.send(TaskExited { task, generation, exit }).await;
        };
        context.spawn(report.into_actor(self).map(|(), _, context| context.stop()));
    }
}

impl Handler<Abort> for PluginActor {
    type Result = ();

    fn handle(&mut self, _: Abort, _: &mut Self::Context) {
        self.abort.abort();
    }
}

/// How a task ended.
#[derive(Debug)]
pub(crate) enum TaskExit {
    Returned(Result<()>),
    Panicked(String),
    Aborted,
}

/// The text that a panic was raised with.
pub(crate) fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().map_or_else(|| "panic".to_owned(), |text| (*text).to_owned()),
    }
}
