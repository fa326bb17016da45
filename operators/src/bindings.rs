//! What an operator prepared for each relation that it has seen.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};

/// How many bindings are kept; beyond it the oldest relation is bound anew when it comes back.
const BINDINGS_MAX: usize = 256;

/// One `T` per relation and version, made when the relation is first seen.
pub(crate) struct Bindings<T>(Vec<(Arc<Relation>, T)>);

impl<T> Default for Bindings<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Bindings<T> {
    /// The binding of `relation`, made by `bind` when it is not known yet.
    pub(crate) fn get(&mut self, relation: &Arc<Relation>, bind: impl FnOnce() -> Result<T>) -> Result<&T> {
        // Batches of one version share one Arc, so the deep comparison is only for a relation met for the first time.
        let same = self.0.iter().position(|(seen, _)| Arc::ptr_eq(seen, relation));
        let known = same.or_else(|| self.0.iter().position(|(seen, _)| seen == relation));
        let index = match known {
            Some(index) => index,
            None => {
                let bound = bind()?;
                if self.0.len() == BINDINGS_MAX {
                    self.0.remove(0);
                }
                self.0.push((relation.clone(), bound));
                self.0.len() - 1
            }
        };
        Ok(&self.0[index].1)
    }
}
