//! What the runtime does and does not do.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

use crate::limits::Limits;

/// The most of each that a component may consist of: one that a compiler made has one memory and a few modules.
const MEMORIES_MAX: u32 = 4;
const MODULES_MAX: u32 = 16;
const TABLES_MAX: u32 = 16;
/// The most elements of all tables, which hold functions to be called by a number.
pub(super) const TABLE_ELEMENTS_MAX: usize = 100_000;
/// The deepest stack: a thread that runs a task has four times that.
const STACK_BYTES_MAX: usize = 512 << 10;
/// Up to so many bytes are set back by writing to them. For the few pages that a row touches that costs half of asking
/// the system (6 and 13 µs a row), and for a megabyte three times as much.
const KEPT_BYTES: usize = 64 << 10;

/// An engine for one component, in which one instance runs at a time.
///
/// # Errors
/// When this machine cannot run it.
pub(super) fn engine(limits: Limits) -> Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1)
        .max_core_instances_per_component(MODULES_MAX)
        .total_core_instances(MODULES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .total_memories(MEMORIES_MAX)
        .max_memory_size(limits.memory_bytes)
        .linear_memory_keep_resident(KEPT_BYTES)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .total_tables(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .signals_based_traps(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        .memory_reservation(limits.memory_bytes as u64)
        .memory_guard_size(0)
        .memory_may_move(false)
        .concurrency_support(false)
        // Nobody sees where in a component something failed: its names may be missing, and reasons have to be short.
        .wasm_backtrace_max_frames(None)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}
