//! Keeps log, triggers and tables in agreement: the one place that changes the source database's schema.
//!
//! Everything happens in one write transaction, so that at every moment either the old triggers and the old versions
//! are in place or the new ones. It may run in several processes at once: the second finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::{Error, ErrorKind, Result, SourceContext};
use rusqlite::{Connection, TransactionBehavior};

use crate::sqlite::connection::{failed, quote};
use crate::sqlite::table::{self, Table};

use super::config::Settings;
use super::diff::{self, Step};
use super::history::{Ddl, History, Reread, Version};
use super::log::{self, Head, Names, op};
use super::trigger::{self, triggers};

/// Most columns that a captured table can have: the log holds two images, SQLite allows 2,000 columns.
const COLUMNS_MAX: usize = 990;

/// Who asks, and up to where it knows the database to have been in agreement.
pub(super) struct Asker<'a> {
    /// The flow and task, kept in the log so that its changes are not pruned.
    pub(super) reader: &'a SourceContext,
    /// `PRAGMA schema_version` and the last change at that time.
    pub(super) seen: Option<(i64, i64)>,
}

impl Asker<'_> {
    /// True when the log keeps what this reader still needs.
    pub(super) fn is_registered(&self, connection: &Connection, names: &Names) -> Result<bool> {
        let kept_from = log::durable_seq(connection, names, self.reader)?;
        Ok(kept_from.is_some_and(|kept| self.seen.is_none_or(|(_, seen)| kept <= seen)))
    }
}

/// Makes the log where it is missing, captures tables that are new, and notes what DDL did to the others.
///
/// # Errors
/// `Auth` when the database cannot be written, `Unavailable` when someone holds its lock, `Schema` for a table that
/// cannot be captured.
pub(super) fn sync(writer: &mut Connection, names: &Names, settings: &Settings, asker: &Asker<'_>) -> Result<()> {
    fail::fail_point!("ddl.apply_before");
    let doing = "cannot install the triggers that capture changes";
    let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| no_access(doing, e))?;
    let new_log = !log::exists(&tx, names)?;
    if new_log {
        log::create(&tx, names).map_err(|e| no_access(doing, e))?;
    }
    let head = Head::read(&tx, names)?.ok_or_else(|| Error::bug("the change log has no head"))?;
    if !asker.is_registered(&tx, names)? {
        let needs_no_longer = asker.seen.map_or(head.last_seq, |(_, seen)| seen.min(head.last_seq));
        log::register(&tx, names, asker.reader, needs_no_longer).map_err(|e| failed(doing, e))?;
    }
    let verified_seq = match asker.seen {
        Some((cookie, seq)) if cookie == head.synced_cookie => seq.max(head.synced_seq),
        _ => head.synced_seq,
    };
    let history = History::load(&tx, names, settings.dates)?;
    let (tables, unreadable) = table::list(&tx)?;
    if let Some(unreadable) = unreadable.iter().find(|table| settings.names(&table.name)) {
        return Err(Error::new(
            ErrorKind::Schema,
            format!("{} cannot be captured: {}", unreadable.name, unreadable.reason),
        )
        .with_setting("tables"));
    }
    let work = Work { connection: &tx, names, settings, history: &history, verified_seq };
    let found = found_triggers(&tx, names)?;
    let plans = work.plan(&tables, &found)?;
    work.apply(&plans, &found).map_err(|e| no_access(doing, e))?;
    tx.execute(
        &format!("UPDATE {} SET cookie = ?1, synced_seq = ?2", names.meta()),
        (log::schema_version(&tx)?, last_change(&tx, names)?),
    )
    .map_err(|e| failed(doing, e))?;
    tx.commit().map_err(|e| no_access(doing, e))?;
    fail::fail_point!("ddl.apply_after");
    Ok(())
}

fn no_access(doing: &str, error: rusqlite::Error) -> Error {
    failed(doing, error)
        .with_hint("capture works by triggers: this user needs write access to the database file and to its folder")
}

fn last_change(connection: &Connection, names: &Names) -> Result<i64> {
    Ok(Head::read(connection, names)?.map_or(0, |head| head.last_seq))
}

/// A trigger of ours as the database has it: on which table, and its text.
struct Found {
    on: String,
    sql: String,
}

fn found_triggers(connection: &Connection, names: &Names) -> Result<BTreeMap<String, Found>> {
    let doing = "cannot list the triggers";
    let all: BTreeMap<String, Found> = connection
        .prepare("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut statement| {
            let found = statement.query_map([], |row| Ok((row.get(0)?, Found { on: row.get(1)?, sql: row.get(2)? })));
            found?.collect()
        })
        .map_err(|e| failed(doing, e))?;
    Ok(all.into_iter().filter(|(name, _)| names.own(name)).collect())
}

/// True when nothing needs to be done: for a restart while a writer holds the lock.
pub(super) fn is_settled(connection: &Connection, names: &Names, settings: &Settings) -> Result<bool> {
    let Some(head) = Head::read(connection, names)? else { return Ok(false) };
    if head.cookie != head.synced_cookie {
        return Ok(false);
    }
    let history = History::load(connection, names, settings.dates)?;
    let captured: BTreeSet<&str> = history.live().map(|version| version.table.name.as_str()).collect();
    let (tables, _) = table::list(connection)?;
    Ok(tables.iter().all(|table| captured.contains(table.name.as_str()) || !settings.names(&table.name)))
}

/// What is to be done about one table.
struct Plan {
    id: i64,
    /// The version before the first step; 0 for a table that is new.
    version: u32,
    steps: Vec<Step>,
    reread: Reread,
}

/// Plans in an order in which no table takes a name that another still has: tables go before others take their names.
/// Names that go in a circle have no such order.
fn in_order<'p>(plans: &'p [Plan], history: &History) -> Vec<&'p Plan> {
    let name_before = |plan: &Plan| history.get(plan.id, plan.version).map(|version| version.table.name.clone());
    let name_after =
        |plan: &Plan| plan.steps.last().filter(|step| step.ddl != Ddl::Drop).map(|step| step.table.name.clone());
    let mut waiting: Vec<&Plan> = plans.iter().collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let is_free = |plan: &&Plan| {
            let wanted = name_after(plan);
            wanted.is_none() || !waiting.iter().any(|other| other.id != plan.id && name_before(other) == wanted)
        };
        let next = waiting.iter().position(is_free).unwrap_or(0);
        ordered.push(waiting.remove(next));
    }
    ordered
}

struct Work<'a> {
    connection: &'a Connection,
    names: &'a Names,
    settings: &'a Settings,
    history: &'a History,
    verified_seq: i64,
}

impl Work<'_> {
    fn plan(&self, tables: &[Table], found: &BTreeMap<String, Found>) -> Result<Vec<Plan>> {
        let mut plans = Vec::new();
        let mut claimed: BTreeSet<&str> = BTreeSet::new();
        let mut orphans = Vec::new();
        for version in self.history.live() {
            match self.still_on(version, found).and_then(|on| tables.iter().find(|table| table.name == on)) {
                Some(table) => {
                    claimed.insert(&table.name);
                    plans.extend(self.kept(version, table, found)?);
                }
                None => orphans.push(version),
            }
        }
        let mut next_id = self.history.last_id();
        for version in orphans {
            let table = tables.iter().find(|table| table.name == version.table.name && !claimed.contains(&*table.name));
            let steps = match table.and_then(|table| diff::lost(&version.table, table)) {
                Some(steps) => {
                    claimed.extend(table.map(|table| table.name.as_str()));
                    steps
                }
                None => vec![Step { ddl: Ddl::Drop, table: version.table.clone() }],
            };
            plans.push(Plan { id: version.id, version: version.version, steps, reread: Reread::Replace });
        }
        for table in tables.iter().filter(|table| !claimed.contains(&*table.name) && self.settings.names(&table.name)) {
            next_id += 1;
            let steps = vec![Step { ddl: Ddl::Create, table: table.clone() }];
            plans.push(Plan { id: next_id, version: 0, steps, reread: Reread::No });
        }
        match plans.iter().flat_map(|plan| &plan.steps).find(|step| step.table.columns.len() > COLUMNS_MAX) {
            Some(step) => Err(Error::new(
                ErrorKind::Schema,
                format!("{} cannot be captured: it has more than {COLUMNS_MAX} columns", step.table.name),
            )
            .with_setting("tables")),
            None => Ok(plans),
        }
    }

    /// The table that all triggers of a version are on: it goes along when the table is renamed.
    fn still_on(&self, version: &Version, found: &BTreeMap<String, Found>) -> Option<String> {
        let mut on = triggers(self.names, version.id, version.version, &version.table)
            .into_iter()
            .map(|trigger| found.get(&trigger.name).map(|found| found.on.clone()));
        let first = on.next()??;
        on.all(|other| other.as_ref() == Some(&first)).then_some(first)
    }

    fn kept(&self, version: &Version, table: &Table, found: &BTreeMap<String, Found>) -> Result<Option<Plan>> {
        let plan = |steps, reread| Some(Plan { id: version.id, version: version.version, steps, reread });
        let old = &version.table;
        if old == table {
            let intact = triggers(self.names, version.id, version.version, table)
                .iter()
                .all(|trigger| found.get(&trigger.name).is_some_and(|found| found.sql == trigger.sql));
            return Ok(if intact { None } else { plan(diff::kept(old, table), Reread::Replace) });
        }
        // A row can only have been removed by a new unique index or written without a new column if something was
        // logged since the schema was last seen to be the old one.
        let new_unique = table.unique.iter().any(|set| !old.unique.contains(set));
        let added = &table.columns[old.columns.len().min(table.columns.len())..];
        let blank = added
            .iter()
            .all(|column| column.default.as_deref().is_none_or(|default| default.eq_ignore_ascii_case("null")));
        let reread = if new_unique && self.logged(version.id, &[op::INSERT, op::UPDATE])? {
            Reread::Replace
        } else if added.is_empty() || (blank && !self.logged(version.id, &[op::INSERT, op::UPDATE])?) {
            Reread::No
        } else if table.key.is_empty() {
            Reread::Replace
        } else {
            Reread::Upsert
        };
        Ok(plan(diff::kept(old, table), reread))
    }

    fn logged(&self, id: i64, ops: &[i64]) -> Result<bool> {
        let ops: Vec<String> = ops.iter().map(i64::to_string).collect();
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE seq > ?1 AND tbl = ?2 AND op IN ({}))",
            self.names.changes(),
            ops.join(",")
        );
        self.connection
            .query_row(&sql, (self.verified_seq, id), |row| row.get(0))
            .map_err(|e| failed("cannot look at the latest changes", e))
    }

    fn apply(&self, plans: &[Plan], found: &BTreeMap<String, Found>) -> rusqlite::Result<()> {
        let planned: BTreeSet<i64> = plans.iter().map(|plan| plan.id).collect();
        let untouched = self.history.live().filter(|version| !planned.contains(&version.id));
        let keep: BTreeSet<String> = untouched
            .flat_map(|version| triggers(self.names, version.id, version.version, &version.table))
            .map(|trigger| trigger.name)
            .collect();
        // All go before any comes: after a renaming, a new trigger may bear the name of an old one.
        for name in found.keys().filter(|name| !keep.contains(*name)) {
            self.connection.execute_batch(&format!("DROP TRIGGER {}", quote(name)))?;
        }
        let widest = plans.iter().flat_map(|plan| &plan.steps).map(|step| 2 * step.table.columns.len()).max();
        log::widen(self.connection, self.names, widest.unwrap_or(0))?;
        for plan in in_order(plans, self.history) {
            self.apply_plan(plan)?;
        }
        Ok(())
    }

    fn apply_plan(&self, plan: &Plan) -> rusqlite::Result<()> {
        let mut version = plan.version;
        for (i, step) in plan.steps.iter().enumerate() {
            version += 1;
            let last = i + 1 == plan.steps.len();
            let reread = if last { plan.reread } else { Reread::No };
            self.connection.execute(
                &format!("INSERT INTO {}(tbl, version, op) VALUES (?1, ?2, ?3)", self.names.changes()),
                (plan.id, version, op::SCHEMA),
            )?;
            let from_seq = self.connection.last_insert_rowid();
            let json = |result: serde_json::Result<String>| {
                result.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
            };
            self.connection.execute(
                &format!(
                    "INSERT INTO {}(id, version, from_seq, reread, change, definition) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    self.names.tables()
                ),
                (
                    plan.id,
                    version,
                    from_seq,
                    reread as i64,
                    json(serde_json::to_string(&step.ddl))?,
                    json(serde_json::to_string(&step.table))?,
                ),
            )?;
            tracing::info!(table = step.table.name, version, change = ?step.ddl, ?reread, "schema change noted in the change log");
            if last && step.ddl != Ddl::Drop {
                for trigger in triggers(self.names, plan.id, version, &step.table) {
                    let trigger::Trigger { sql, .. } = trigger;
                    self.connection.execute_batch(&sql)?;
                }
            }
        }
        Ok(())
    }
}
