//! The plugins that this program ships: the only place that knows both connectors and operators.

use aqueduct_model::{Catalogue, Result};

/// All plugins.
///
/// # Errors
/// `Bug` when two of them share a name.
pub fn catalogue() -> Result<Catalogue> {
    Catalogue::new(aqueduct_connectors::ENTRIES.iter().chain(aqueduct_operators::ENTRIES).copied())
}
