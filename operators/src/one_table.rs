//! The one table whose rows an operator keeps in windows: its last version, and the settings bound to it.

use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Relation, Result};

use crate::bindings::Bindings;
use crate::kept_relation;
use crate::state::Store;

/// The key under which the state says what it depends on.
const SHAPE: &[u8] = b"S";
/// The key of the table's relation.
const RELATION: &[u8] = b"I";

/// Settings that are bound to a version of a table.
pub(crate) trait Shaped {
    /// What the state depends on: what was kept under one shape is nothing under another.
    fn shape(&self) -> &str;
}

/// What people are told of an operator and its tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// What would become of the rows of two tables: `sorted together`.
    pub(crate) together: &'static str,
    /// What may be wanted of several tables: `sort several as one`.
    pub(crate) as_one: &'static str,
    /// What the shape is made of: `the order, or the columns`.
    pub(crate) shape: &'static str,
}

/// See the module.
pub(crate) struct OneTable<B> {
    words: Words,
    /// The last version.
    relation: Option<Arc<Relation>>,
    bound: Bindings<Arc<B>>,
}

impl<B: Shaped> OneTable<B> {
    /// No table yet.
    pub(crate) fn new(words: Words) -> Self {
        Self { words, relation: None, bound: Bindings::default() }
    }

    /// Takes up the table of a state.
    ///
    /// # Errors
    /// `State` when it cannot be read.
    pub(crate) fn restore(&mut self, store: &mut Store) -> Result<()> {
        self.relation = store.get(RELATION)?.map(|bytes| kept_relation::read(&bytes)).transpose()?;
        Ok(())
    }

    /// The last version; `None` when no row and no schema ever came.
    pub(crate) fn last(&self) -> Option<Arc<Relation>> {
        self.relation.clone()
    }

    /// Lets go of a table that has another name from now on.
    pub(crate) fn follow(&mut self, change: &Change) {
        if let Change::RenameTable { from } = change
            && self.relation.as_ref().is_some_and(|relation| relation.name() == from)
        {
            self.relation = None;
        }
    }

    /// The settings, bound to a version of the table.
    ///
    /// # Errors
    /// `Config` for another table; `Schema` when the state is of another shape; those of `make`.
    pub(crate) fn bind(
        &mut self,
        relation: &Arc<Relation>,
        store: &mut Store,
        make: impl FnOnce() -> Result<B>,
    ) -> Result<Arc<B>> {
        if let Some(last) = self.relation.as_ref().filter(|last| last.name() != relation.name()) {
            let Words { together, as_one, .. } = self.words;
            let text = format!("rows of two tables, {} and {}, would be {together}", last.name(), relation.name());
            return Err(Error::config(text).with_setting("tables").with_hint(format!(
                "name one of them: `tables: [orders]`; to {as_one}, put them into one table first (`Union`)"
            )));
        }
        let mut is_new = false;
        let bound = self.bound.get(relation, || {
            is_new = true;
            make().map(Arc::new)
        })?;
        let bound = bound.clone();
        let is_last = self.relation.as_ref().is_some_and(|last| Arc::ptr_eq(last, relation) || last == relation);
        if is_new || !is_last {
            self.keep(relation, store, &bound)?;
        }
        Ok(bound)
    }

    /// Puts what the state depends on into it, and what is needed before the input has sent a row again.
    ///
    /// # Errors
    /// `Schema` when the state is of another shape; those of the store.
    pub(crate) fn keep(&mut self, relation: &Arc<Relation>, store: &mut Store, bound: &B) -> Result<()> {
        if store.get(SHAPE)?.is_some_and(|shape| shape != bound.shape().as_bytes()) {
            let text = format!("{} of {} are others now", self.words.shape, relation.name());
            return Err(Error::new(ErrorKind::Schema, text)
                .with_hint("put the settings back, or start over with `aqueduct checkpoint reset`"));
        }
        store.put(SHAPE.to_vec(), bound.shape().as_bytes().to_vec())?;
        store.put(RELATION.to_vec(), kept_relation::write(relation)?)?;
        self.relation = Some(relation.clone());
        Ok(())
    }
}
