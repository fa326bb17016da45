//! All kept rows of an operator.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result, State};
use arrow::array::RecordBatch;

use super::manifest::{Manifest, TableState};
use super::reader::View;
use super::segment::{self, unwritable};
use super::table::Table;

/// Files are kept while one of this many last checkpoints names them: as many as its journal holds, and some more.
const CHECKPOINTS_KEPT: usize = 24;
/// The most tables of which rows are kept.
const TABLES_MAX: usize = 1_000;

/// Where rows are kept and how much memory they take.
#[derive(Debug, Clone)]
pub(crate) struct SpoolSettings {
    /// A folder of the spool's own; `None`: all stays in memory, and in the checkpoint.
    pub(crate) folder: Option<PathBuf>,
    /// About how many bytes of rows are held in memory.
    pub(crate) memory_bytes: usize,
}

/// See the module `spool`.
#[derive(Debug)]
pub(crate) struct Spool {
    settings: SpoolSettings,
    tables: Vec<Table>,
    next_id: u64,
    /// Files below this number are in the folder durably.
    durable_id: u64,
    /// The files that the last checkpoints name.
    named: VecDeque<BTreeSet<u64>>,
}

impl Spool {
    /// The rows as they were when a checkpoint was made; none without one.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged.
    pub(crate) fn open(settings: SpoolSettings, state: Option<&State>) -> Result<Self> {
        let manifest = state.map(Manifest::parse).transpose()?.unwrap_or_default();
        if let Some(folder) = &settings.folder {
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
        }
        let mut tables = Vec::new();
        for TableState { port, relation, segments, held } in manifest.tables {
            if settings.folder.is_none() && !segments.is_empty() {
                return Err(Error::new(
                    ErrorKind::State,
                    "the checkpoint names files, and there is no folder for them",
                ));
            }
            tables.push(Table::restored(port, relation, settings.folder.as_deref(), segments, held)?);
        }
        let mut spool =
            Self { settings, tables, next_id: manifest.next, durable_id: manifest.next, named: VecDeque::new() };
        spool.named.push_back(spool.ids());
        spool.remove_unnamed()?;
        Ok(spool)
    }

    /// The tables, in the order in which they were first seen.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The rows of a table as they are now.
    pub(crate) fn view(&self, table: &Table) -> View {
        table.view(self.settings.folder.as_deref())
    }

    /// The bytes of rows in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.tables.iter().map(Table::held_bytes).sum()
    }

    /// The place of a table in [`Spool::tables`], which is there from now on, with or without rows. `relation` has the
    /// columns that are kept.
    ///
    /// # Errors
    /// `Schema` when rows are kept that have other columns; `Data` when there are too many tables.
    pub(crate) fn table(&mut self, port: usize, relation: &Arc<Relation>) -> Result<usize> {
        let Some(place) = self.place(port, relation.name()) else {
            if self.tables.len() == TABLES_MAX {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!("rows of more than {TABLES_MAX} tables would be kept"),
                )
                .with_hint("limit the task by `tables: […]`"));
            }
            self.tables.push(Table::new(port, relation.clone()));
            return Ok(self.tables.len() - 1);
        };
        let table = &mut self.tables[place];
        let fields = |relation: &Relation| {
            let fields = relation.columns().fields().iter();
            fields.map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
        };
        if !Arc::ptr_eq(&table.relation, relation) && fields(&table.relation) != fields(relation) {
            if table.num_rows() > 0 {
                let text =
                    format!("the columns of {} are others than those of its rows that are kept", relation.name());
                return Err(Error::new(ErrorKind::Schema, text)
                    .with_hint("put the settings back, or start over with `aqueduct checkpoint reset`"));
            }
            self.tables[place] = Table::new(port, relation.clone());
        }
        Ok(place)
    }

    /// The place of a table that was seen.
    pub(crate) fn place(&self, port: usize, name: &RelationName) -> Option<usize> {
        self.tables.iter().position(|table| table.port == port && table.relation.name() == name)
    }

    /// Keeps rows of the table at a place; they have its columns.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full; `Data` when there is no folder and the rows do not fit memory.
    pub(crate) fn push(&mut self, place: usize, rows: RecordBatch) -> Result<()> {
        let table = self.tables.get_mut(place).ok_or_else(|| Error::bug("rows of a table that was not opened"))?;
        let columns = table.relation.columns();
        let rows = if rows.schema_ref() == columns { rows } else { retyped(rows, table.relation())? };
        table.push(rows);
        if table.wants_files()
            && let Some(folder) = &self.settings.folder
        {
            table.write(folder, &mut self.next_id)?;
        }
        if self.held_bytes() <= self.settings.memory_bytes {
            return Ok(());
        }
        let Some(folder) = &self.settings.folder else {
            let text = format!("more than {} bytes of rows are to be kept in memory", self.settings.memory_bytes);
            return Err(Error::new(ErrorKind::Data, text)
                .with_setting("memory")
                .with_hint("raise `memory`, or run the flow with a checkpoint folder: rows go to disk there"));
        };
        for table in &mut self.tables {
            table.leave_memory(folder, &mut self.next_id)?;
        }
        Ok(())
    }

    /// Removes the rows of the table at a place.
    pub(crate) fn clear(&mut self, place: usize) {
        if let Some(table) = self.tables.get_mut(place) {
            table.clear();
        }
    }

    /// Forgets a table.
    pub(crate) fn remove(&mut self, place: usize) {
        if place < self.tables.len() {
            self.tables.remove(place);
        }
    }

    /// What a checkpoint has to keep to have the rows as they are now.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        if let Some(folder) = &self.settings.folder {
            for table in &mut self.tables {
                table.write(folder, &mut self.next_id)?;
                if let Some(last) = &mut table.last {
                    last.make_durable()?;
                }
            }
            if self.next_id > self.durable_id {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(folder, error))?;
                self.durable_id = self.next_id;
            }
        }
        let tables = self.tables.iter().map(|table| TableState {
            port: table.port,
            relation: table.relation.clone(),
            segments: table.segments(),
            held: table.unwritten().cloned().collect(),
        });
        let state = Manifest { next: self.next_id, tables: tables.collect() }.state()?;
        self.named.push_back(self.ids());
        if self.named.len() > CHECKPOINTS_KEPT {
            self.named.pop_front();
            self.remove_unnamed()?;
        }
        Ok(state)
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.tables.iter().flat_map(Table::ids).collect()
    }

    /// Removes the files that nothing names.
    fn remove_unnamed(&self) -> Result<()> {
        let Some(folder) = &self.settings.folder else { return Ok(()) };
        let mut named = self.ids();
        named.extend(self.named.iter().flatten());
        let kept: BTreeSet<PathBuf> = named.into_iter().map(|id| segment::path(folder, id)).collect();
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

/// The same rows under the columns of the table: only marks and nullability may differ.
fn retyped(rows: RecordBatch, relation: &Relation) -> Result<RecordBatch> {
    RecordBatch::try_new(relation.columns().clone(), rows.columns().to_vec()).map_err(|error| {
        Error::new(ErrorKind::Schema, format!("rows of {} do not have the columns that are kept", relation.name()))
            .with_source(error)
            .with_hint("start over with `aqueduct checkpoint reset`")
    })
}
