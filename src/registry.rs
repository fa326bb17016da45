//! The plugins that this program ships: the only place that knows connectors, operators and the engine's own.

use aqueduct_model::{Catalogue, Result};

/// All plugins.
///
/// # Errors
/// `Bug` when two of them share a name.
pub fn catalogue() -> Result<Catalogue> {
    let entries =
        aqueduct_connectors::ENTRIES.iter().chain(aqueduct_operators::ENTRIES).chain(aqueduct_engine::ENTRIES);
    Catalogue::new(entries.copied())
}
