//! The versions of the captured tables, as the log remembers them.
//!
//! A change of a table's shape is a row of the log like any other change, so that a replay meets it at the same place,
//! and a log row is always decoded with the columns of its own time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Relation, RelationName, Result};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::sqlite::Dates;
use crate::sqlite::connection::failed;
use crate::sqlite::table::Table;
use crate::sqlite::value::Layout;

use super::log::Names;

/// What must be read again when a version begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reread {
    /// Nothing: the log holds everything.
    No = 0,
    /// All rows, as updates: the log holds every change, but rows may lack the values of new columns.
    Upsert = 1,
    /// All rows, after emptying the target: changes went by unseen.
    Replace = 2,
}

impl Reread {
    fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::No),
            1 => Some(Self::Upsert),
            2 => Some(Self::Replace),
            _ => None,
        }
    }
}

/// What made a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ddl {
    /// The table is captured from here on.
    Create,
    /// Columns were added, by name.
    AddColumns(Vec<String>),
    /// Columns were dropped, by name.
    DropColumns(Vec<String>),
    /// A column has another name.
    RenameColumn {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// Columns have other types, by name.
    AlterColumns(Vec<String>),
    /// The table has another name.
    RenameTable {
        /// Before.
        from: String,
    },
    /// The table is gone.
    Drop,
    /// The columns are the same; the triggers were made anew.
    Recapture,
}

impl Ddl {
    /// What the stream says of it; `None` for what is ours alone.
    pub(super) fn announcement(&self) -> Option<Change> {
        Some(match self {
            Self::Create => Change::CreateTable,
            Self::AddColumns(names) => Change::AddColumns(names.clone()),
            Self::DropColumns(names) => Change::DropColumns(names.clone()),
            Self::RenameColumn { from, to } => Change::RenameColumn { from: from.clone(), to: to.clone() },
            Self::AlterColumns(names) => Change::AlterColumns(names.clone()),
            Self::RenameTable { from } => Change::RenameTable { from: RelationName::table(from) },
            Self::Drop => Change::DropTable,
            Self::Recapture => return None,
        })
    }
}

/// One version of one captured table.
#[derive(Debug)]
pub(super) struct Version {
    /// The table's number in the log.
    pub(super) id: i64,
    /// The version's number, from 1.
    pub(super) version: u32,
    /// The log row that begins it.
    pub(super) from_seq: i64,
    /// What must be read again then.
    pub(super) reread: Reread,
    /// What made it.
    pub(super) ddl: Ddl,
    /// The columns.
    pub(super) table: Table,
    /// As the stream knows them.
    pub(super) relation: Arc<Relation>,
    /// How they are decoded.
    pub(super) layout: Layout,
}

impl Version {
    /// A version outside any log: for reading a table that nobody captures.
    pub(super) fn of_table(table: Table, dates: Dates) -> Result<Self> {
        let (relation, layout) = table.relation(1, dates)?;
        Ok(Self { id: -1, version: 1, from_seq: 0, reread: Reread::No, ddl: Ddl::Create, table, relation, layout })
    }
}

/// All versions.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: HashMap<(i64, u32), Arc<Version>>,
    latest: BTreeMap<i64, u32>,
}

impl History {
    /// Reads all versions.
    ///
    /// # Errors
    /// `State` when the log's own table holds what this program did not write.
    pub(super) fn load(connection: &Connection, names: &Names, dates: Dates) -> Result<Self> {
        let doing = "cannot read the versions of the captured tables";
        let sql = format!(
            "SELECT id, version, from_seq, reread, change, definition FROM {} ORDER BY id, version",
            names.tables()
        );
        let mut statement = connection.prepare_cached(&sql).map_err(|e| failed(doing, e))?;
        let mut rows = statement.query([]).map_err(|e| failed(doing, e))?;
        let mut history = Self::default();
        while let Some(row) = rows.next().map_err(|e| failed(doing, e))? {
            let read = || -> rusqlite::Result<(i64, u32, i64, i64, String, String)> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            };
            let (id, version, from_seq, reread, ddl, definition) = read().map_err(|e| failed(doing, e))?;
            let damaged = || Error::new(ErrorKind::State, format!("{doing}: table {id} version {version} is damaged"));
            let table: Table = serde_json::from_str(&definition).map_err(|e| damaged().with_source(e))?;
            let (relation, layout) = table.relation(version, dates)?;
            let ddl = serde_json::from_str(&ddl).map_err(|e| damaged().with_source(e))?;
            let reread = Reread::from_number(reread).ok_or_else(damaged)?;
            let entry = Version { id, version, from_seq, reread, ddl, table, relation, layout };
            history.latest.insert(id, version);
            history.versions.insert((id, version), Arc::new(entry));
        }
        Ok(history)
    }

    /// One version.
    pub(super) fn get(&self, id: i64, version: u32) -> Option<&Arc<Version>> {
        self.versions.get(&(id, version))
    }

    /// One version that a position names.
    ///
    /// # Errors
    /// `LostPosition` when the log does not know it.
    pub(super) fn named(&self, id: i64, version: u32) -> Result<&Arc<Version>> {
        self.get(id, version)
            .ok_or_else(|| super::log::lost(format!("the change log does not know version {version} of table {id}")))
    }

    /// The newest version of a table, also when it is dropped.
    pub(super) fn latest(&self, id: i64) -> Option<&Arc<Version>> {
        self.latest.get(&id).and_then(|&version| self.get(id, version))
    }

    /// The version that a table had before change `seq`; `None` when it was not captured then or gone.
    pub(super) fn before(&self, id: i64, seq: i64) -> Option<&Arc<Version>> {
        let versions = (1..).map_while(|number| self.get(id, number));
        versions.take_while(|version| version.from_seq < seq).last().filter(|version| version.ddl != Ddl::Drop)
    }

    /// The numbers of all tables that were ever captured.
    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.latest.keys().copied()
    }

    /// The newest versions of the tables that are still there, by number.
    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.latest.keys().filter_map(|&id| self.latest(id)).filter(|version| version.ddl != Ddl::Drop)
    }

    /// Versions newer than the given one, oldest first.
    pub(super) fn later(&self, version: &Version) -> impl Iterator<Item = &Arc<Version>> {
        let id = version.id;
        (version.version + 1..).map_while(move |number| self.get(id, number))
    }

    /// All names that a table ever had.
    pub(super) fn names_of(&self, id: i64) -> impl Iterator<Item = &str> {
        (1..).map_while(move |number| self.get(id, number)).map(|version| version.table.name.as_str())
    }

    /// The highest number in use.
    pub(super) fn last_id(&self) -> i64 {
        self.latest.keys().next_back().copied().unwrap_or(0)
    }

    /// How many value columns the log has at least.
    pub(super) fn cells(&self) -> usize {
        self.versions.values().map(|version| 2 * version.table.columns.len()).max().unwrap_or(0)
    }
}
