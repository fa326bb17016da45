//! Aqueduct: keeps data moving between databases, brokers, files and warehouses, and proves that it did.
//!
//! This library is thin: the catalogue of plugins that the binary ships, and the command line on top of the engine.
//! To write a plugin, see `aqueduct-model`.

pub mod cli;
mod daemon;
pub mod demo;
mod graph;
mod metrics_page;
mod registry;
mod replay;
mod testing;
mod thousands;
mod torture;
mod trace;
mod verify;

pub use registry::catalogue;
