//! The map itself: what changed since the last file, what was used last, and the files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{Result, State};

use super::cursor::Merged;
use super::held::{Held, entry_bytes};
use super::manifest::Manifest;
use super::merge::{Merge, RUNS_MAX_BESIDE};
use super::run::{self, Run, Value, Writer, unwritable};

/// Changes up to this size stand in the checkpoint itself; more of them become a file.
const REST_BYTES_MAX: usize = 64 << 10;
/// Files are kept while one of this many last checkpoints names them: as many as its journal holds, and some more.
const CHECKPOINTS_KEPT: usize = 24;

/// Where a store lies and how much memory it takes.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// The operator's own folder; `None`: all stays in memory, and in the checkpoint.
    pub(crate) folder: Option<PathBuf>,
    /// About how many bytes of values are held in memory.
    pub(crate) memory_bytes: usize,
}

/// See the module `state`.
pub(crate) struct Store {
    settings: StoreSettings,
    /// What no file has yet.
    dirty: BTreeMap<Vec<u8>, Value>,
    dirty_bytes: usize,
    held: Held,
    /// The oldest first.
    runs: Vec<Arc<Run>>,
    next_id: u64,
    merge: Option<Merge>,
    /// The files that the last checkpoints name.
    named: VecDeque<BTreeSet<u64>>,
}

impl Store {
    /// The map as it was when a checkpoint was made; empty without one.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged.
    pub(crate) fn open(settings: StoreSettings, state: Option<&State>) -> Result<Self> {
        let manifest = state.map(Manifest::parse).transpose()?.unwrap_or_default();
        let mut store = Self {
            held: Held::new(settings.memory_bytes),
            settings,
            dirty_bytes: manifest.rest.iter().map(|(key, value)| entry_bytes(key.len(), value)).sum(),
            dirty: manifest.rest,
            runs: Vec::new(),
            next_id: manifest.next,
            merge: None,
            named: VecDeque::new(),
        };
        if let Some(folder) = store.settings.folder.clone() {
            std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
            store.runs = manifest.runs.into_iter().map(|name| Run::open(&folder, name)).collect::<Result<_>>()?;
        }
        store.named.push_back(store.ids());
        store.remove_unnamed()?;
        store.begin_merge()?;
        Ok(store)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `State` when a file is damaged.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.dirty.get(key).or_else(|| self.held.get(key)) {
            return Ok(value.clone());
        }
        if self.runs.is_empty() {
            return Ok(None);
        }
        let (mut found, hash) = (None, Run::hash(key));
        for run in self.runs.iter().rev() {
            found = run.get(key, hash)?;
            if found.is_some() {
                break;
            }
        }
        let value = found.flatten();
        self.held.hold(key.to_vec(), value.clone());
        Ok(value)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// `Unavailable` when memory is full and the disk too.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.set(key, Some(value))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(crate) fn remove(&mut self, key: Vec<u8>) -> Result<()> {
        self.set(key, None)
    }

    fn set(&mut self, key: Vec<u8>, value: Value) -> Result<()> {
        self.held.forget(&key);
        let (key_bytes, new_bytes) = (key.len(), entry_bytes(key.len(), &value));
        // No file could have what is removed, where there is none.
        let is_gone = value.is_none() && self.runs.is_empty();
        let old = if is_gone { self.dirty.remove(&key) } else { self.dirty.insert(key, value) };
        if let Some(old) = old {
            self.dirty_bytes -= entry_bytes(key_bytes, &old);
        }
        if !is_gone {
            self.dirty_bytes += new_bytes;
        }
        if self.settings.folder.is_some() && self.dirty_bytes > self.settings.memory_bytes {
            self.spill()?;
            self.take_merged()?;
        }
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.dirty.clear();
        self.dirty_bytes = 0;
        self.held.clear();
        self.runs.clear();
        self.merge = None;
    }

    /// Shows the entries whose keys begin with `prefix`, in order, until `visit` says false.
    ///
    /// # Errors
    /// Those of `visit`, and `State` when a file is damaged.
    pub(crate) fn scan(&self, prefix: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        self.scan_from(prefix, prefix, visit)
    }

    /// As [`Store::scan`], only the entries at or behind a key.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub(crate) fn scan_from(
        &self,
        prefix: &[u8],
        key: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let mut files = Merged::from(&self.runs, key)?;
        let mut dirty = self.dirty.range(key.to_vec()..).peekable();
        loop {
            let in_files = files.peek().filter(|(key, _)| key.starts_with(prefix));
            let in_memory = dirty.peek().map(|(key, value)| (key.as_slice(), value.as_deref()));
            let in_memory = in_memory.filter(|(key, _)| key.starts_with(prefix));
            // What is in memory is newer.
            let (is_file, is_memory) = match (in_files, in_memory) {
                (None, None) => return Ok(()),
                (Some((file, _)), Some((memory, _))) => (file <= memory, memory <= file),
                (file, memory) => (file.is_some(), memory.is_some()),
            };
            let next = if is_memory { in_memory } else { in_files };
            if let Some((key, Some(value))) = next
                && !visit(key, value)?
            {
                return Ok(());
            }
            if is_file {
                files.advance()?;
            }
            if is_memory {
                dirty.next();
            }
        }
    }

    /// What a checkpoint has to keep to have the map as it is now.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        if self.settings.folder.is_some() && self.dirty_bytes > REST_BYTES_MAX {
            self.spill()?;
        }
        self.take_merged()?;
        let manifest = Manifest {
            next: self.next_id,
            runs: self.runs.iter().map(|run| run.name.clone()).collect(),
            rest: self.dirty.clone(),
        };
        self.named.push_back(self.ids());
        if self.named.len() > CHECKPOINTS_KEPT {
            self.named.pop_front();
            self.remove_unnamed()?;
        }
        manifest.state()
    }

    /// Writes what no file has into one.
    fn spill(&mut self) -> Result<()> {
        let Some(folder) = self.settings.folder.clone() else { return Ok(()) };
        let mut writer = Writer::new(&folder, self.next_id)?;
        self.next_id += 1;
        for (key, value) in &self.dirty {
            writer.push(key, value.as_deref())?;
        }
        if let Some(name) = writer.finish()? {
            self.runs.push(Run::open(&folder, name)?);
        }
        self.dirty_bytes = 0;
        for (key, value) in std::mem::take(&mut self.dirty) {
            self.held.hold(key, value);
        }
        Ok(())
    }

    /// Puts a merged file into the place of those that it was made of, and begins the next merge. While there are far too
    /// many files it waits for that: every read would pay for them.
    fn take_merged(&mut self) -> Result<()> {
        let Some(folder) = self.settings.folder.clone() else { return Ok(()) };
        loop {
            let is_late = self.runs.len() > RUNS_MAX_BESIDE;
            if let Some(merge) = self.merge.take_if(|merge| is_late || merge.is_done()) {
                let (from, count) = (merge.from, merge.count);
                let made = merge.finish()?.map(|name| Run::open(&folder, name)).transpose()?;
                self.runs.splice(from..from + count, made);
            }
            self.begin_merge()?;
            if self.runs.len() <= RUNS_MAX_BESIDE || self.merge.is_none() {
                return Ok(());
            }
        }
    }

    /// Begins to merge files beside the stream, where they are many.
    fn begin_merge(&mut self) -> Result<()> {
        let Some(folder) = &self.settings.folder else { return Ok(()) };
        if self.merge.is_none() {
            self.merge = Merge::begin(folder, &self.runs, self.next_id)?;
            self.next_id += u64::from(self.merge.is_some());
        }
        Ok(())
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.runs.iter().map(|run| run.name.id).collect()
    }

    /// Removes the files that nothing names.
    fn remove_unnamed(&self) -> Result<()> {
        let Some(folder) = &self.settings.folder else { return Ok(()) };
        let mut named = self.ids();
        named.extend(self.named.iter().flatten());
        named.extend(self.merge.iter().map(|merge| merge.id));
        let kept: BTreeSet<PathBuf> = named.into_iter().map(|id| run::path(folder, id)).collect();
        let failed = |error| unwritable(folder, error);
        for file in std::fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }
}
