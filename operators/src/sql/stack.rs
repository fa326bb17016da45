//! Room for planners that recurse.

use aqueduct_model::{Error, Result};

/// The stack for reading and planning one SQL text, in bytes. The parser takes 100 KiB per level of nesting when it is
/// compiled without optimisation, the planner some per word of a long chain; memory is used only as far as they go.
const STACK_BYTES: usize = 256 << 20;

/// Runs `work` on a stack of its own and waits for it.
///
/// # Errors
/// Those of `work`; `Unavailable` when the machine has no thread to give; `Bug` when `work` panicked.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sql planner".to_owned()).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, work).map_err(|error| {
            Error::new(aqueduct_model::ErrorKind::Unavailable, "cannot start a thread for planning").with_source(error)
        })?;
        running.join().unwrap_or_else(|_| Err(Error::bug("the planner panicked on an SQL text")))
    })
}
