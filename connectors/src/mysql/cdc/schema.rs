//! DDL, applied to the captured tables in the order of the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Relation, RelationName, Result, SchemaChange};

use super::settings::{Cascade, MysqlSettings};
use super::tables::Tables;
use crate::cdc::capture::is_wanted;
use crate::mysql::binlog::Query;
use crate::mysql::ddl::{
    ApplySettings, CharsetDefault, Dialect, Effect, KnownTables, Statement, TableDdl, apply, difference, parse,
};
use crate::mysql::rows::{ZeroDates, quoted, table_name};
use crate::mysql::server::Server;

/// How the tables are called that online schema changes work with (gh-ost; pt-online-schema-change).
const GHOST_ENDS: [&str; 5] = ["_gho", "_ghc", "_del", "_new", "_old"];
/// Tables that are remembered beside the captured ones, in case that one of them takes a captured one's name.
const REMEMBERED_MAX: usize = 10_000;

/// What has to be known to apply DDL.
pub(super) struct Schemas {
    patterns: Vec<String>,
    dialect: Dialect,
    zero_dates: ZeroDates,
    /// What texts of new tables have, by database.
    charsets: HashMap<String, CharsetDefault>,
    cascade: Cascade,
    /// The server logs what foreign keys do.
    logs_cascades: bool,
    /// Tables that are not captured, and whose shape the log told.
    remembered: BTreeMap<RelationName, Arc<Relation>>,
}

/// What a statement leads to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// For the one that captures.
    Change(SchemaChange),
    /// The table's rows are no longer those that the log tells of.
    Failed(RelationName, Error),
    /// The server has to be asked for this table's shape; what it is called a change of then.
    Ask(RelationName, Change),
}

/// Whether a table is captured: by its name, and not one that an online schema change works with, unless such a name is
/// asked for in so many words.
pub(super) fn is_captured(patterns: &[String], name: &RelationName) -> bool {
    is_wanted(patterns, name) && (!is_ghost(&name.table) || patterns.iter().any(|pattern| *pattern == name.to_string()))
}

fn is_ghost(table: &str) -> bool {
    table.starts_with('_') && GHOST_ENDS.iter().any(|end| table.ends_with(end))
}

impl Schemas {
    pub fn new(settings: &MysqlSettings, server: &Server, charsets: HashMap<String, CharsetDefault>) -> Self {
        let lower_case_names = server.setting("lower_case_table_names").is_some_and(|value| value != "0");
        let dialect = Dialect { lower_case_names, ..Dialect::of_server(&server.version_text) };
        Self {
            patterns: settings.tables.clone(),
            dialect,
            zero_dates: settings.zero_dates,
            charsets,
            cascade: settings.cascade,
            logs_cascades: server.logs_cascades(),
            remembered: BTreeMap::new(),
        }
    }

    /// Reads a statement as the session that ran it meant it.
    pub fn parse(&self, query: &Query<'_>) -> Statement {
        parse(&query.sql(), &query.database, self.dialect_of(query))
    }

    fn dialect_of(&self, query: &Query<'_>) -> Dialect {
        Dialect {
            ansi_quotes: query.session.ansi_quotes(),
            no_backslash_escapes: query.session.no_backslash_escapes(),
            ..self.dialect
        }
    }

    /// Whether a statement in that database can concern a captured table: it runs in the table's database, or names
    /// both.
    pub fn may_concern(&self, tables: &Tables, database: &str, sql: &str) -> bool {
        let lower = sql.to_lowercase();
        let names = |name: &str| lower.contains(&name.to_lowercase());
        tables.relations().any(|relation| {
            let name = relation.name();
            name.schema.as_deref().is_none_or(|schema| schema == database || names(schema) && names(&name.table))
        })
    }

    /// Applies a statement about tables: `tables` and what is remembered have their new shapes then.
    ///
    /// # Errors
    /// `Schema` for a statement that is not understood and names a captured table, or does not fit what is known.
    pub fn apply(&mut self, tables: &mut Tables, statement: &Statement, query: &Query<'_>) -> Result<Vec<Outcome>> {
        let ddl = match statement {
            Statement::Tables(ddl) => ddl,
            Statement::Unknown(names) => {
                return match names.iter().find(|name| tables.get(name).is_some() || is_captured(&self.patterns, name)) {
                    Some(name) => Err(not_understood(name, &query.sql())),
                    None => Ok(Vec::new()),
                };
            }
            _ => return Ok(Vec::new()),
        };
        let sql = query.sql();
        let settings = ApplySettings { dialect: self.dialect_of(query), zero_dates: self.zero_dates, statement: &sql };
        let effects = {
            let known = Known { schemas: self, tables };
            apply(ddl, &known, &settings)?
        };
        let replacement = self.replaced_by_ghost(tables, ddl);
        let replaced = match &replacement {
            Some(replacement) => self.take_ghost(tables, replacement, &sql)?,
            None => Vec::new(),
        };
        let mut outcomes = Vec::new();
        for effect in effects {
            outcomes.extend(self.take(tables, effect, ddl, replacement.is_some())?);
        }
        outcomes.extend(replaced);
        Ok(outcomes)
    }

    /// The captured table that gives way to its ghost in this statement, and the ghost.
    fn replaced_by_ghost(&self, tables: &Tables, ddl: &[TableDdl]) -> Option<(RelationName, RelationName)> {
        ddl.iter().find_map(|one| match one {
            TableDdl::Rename { from, to } if is_ghost(&from.table) && tables.get(to).is_some() => {
                Some((to.clone(), from.clone()))
            }
            _ => None,
        })
    }

    /// The table goes on under its name, with its ghost's columns and rows, which are its own.
    fn take_ghost(
        &mut self,
        tables: &mut Tables,
        (name, ghost): &(RelationName, RelationName),
        sql: &str,
    ) -> Result<Vec<Outcome>> {
        let Some(before) = tables.get(name).cloned() else { return Ok(Vec::new()) };
        let Some(ghost) = self.remembered.remove(ghost) else {
            return Ok(vec![Outcome::Ask(name.clone(), Change::AlterColumns(Vec::new()))]);
        };
        self.becomes(tables, &before, &ghost.renamed(name.clone()), Some(sql))
    }

    /// A captured table has another shape, found otherwise than by its DDL.
    fn becomes(
        &self,
        tables: &mut Tables,
        before: &Arc<Relation>,
        after: &Relation,
        sql: Option<&str>,
    ) -> Result<Vec<Outcome>> {
        let steps = difference(before, after)?;
        if let Some((relation, _)) = steps.last() {
            let has_transactions = tables.has_transactions(before.name());
            tables.put(relation.clone(), has_transactions)?;
        }
        let statement = sql.map(str::to_owned);
        let change = |(relation, change)| SchemaChange { relation, change, statement: statement.clone() };
        Ok(steps.into_iter().map(|step| Outcome::Change(change(step))).collect())
    }

    fn take(
        &mut self,
        tables: &mut Tables,
        effect: Effect,
        ddl: &[TableDdl],
        by_ghost: bool,
    ) -> Result<Option<Outcome>> {
        match effect {
            Effect::Change(change) => {
                let name = change.relation.name().clone();
                if by_ghost && matches!(change.change, Change::RenameTable { .. }) {
                    return Ok(None);
                }
                self.take_change(tables, change, &name)
            }
            Effect::Remember(relation) => {
                if tables.get(relation.name()).is_some() {
                    let has_transactions = tables.has_transactions(relation.name());
                    tables.put(relation, has_transactions)?;
                } else {
                    self.remember(relation);
                }
                Ok(None)
            }
            Effect::Undescribed(name) => {
                if by_ghost || !is_captured(&self.patterns, &name) {
                    return Ok(None);
                }
                let renamed = ddl.iter().rev().find_map(|one| match one {
                    TableDdl::Rename { from, to } if *to == name => Some(Change::RenameTable { from: from.clone() }),
                    _ => None,
                });
                Ok(Some(Outcome::Ask(name, renamed.unwrap_or(Change::CreateTable))))
            }
            Effect::Cascades { table, key } => Ok(self.take_cascade(tables, table, key)),
            Effect::MovesRows { table, what } => {
                if tables.get(&table).is_none() {
                    return Ok(None);
                }
                tables.remove(&table);
                let error =
                    Error::new(ErrorKind::Data, format!("{what} moved rows of {table} that are not in the binary log"))
                        .with_hint(
                            "read the table again: take it out of `tables`, start the flow, and put it in again",
                        );
                Ok(Some(Outcome::Failed(table, error)))
            }
        }
    }

    /// A captured table's rows change from now on without the log telling.
    fn take_cascade(&self, tables: &mut Tables, table: RelationName, key: Option<String>) -> Option<Outcome> {
        tables.get(&table).filter(|_| !self.logs_cascades)?;
        let name = table_name(&table);
        let (shown, fix) = match &key {
            Some(key) => (format!(" {key}"), format!("ALTER TABLE {name} DROP FOREIGN KEY {};", quoted(key))),
            None => {
                (String::new(), format!("SHOW CREATE TABLE {name}; and ALTER TABLE {name} DROP FOREIGN KEY its name;"))
            }
        };
        let what = format!("{table} got a foreign key{shown} whose cascades the binary log does not hold");
        if self.cascade == Cascade::Warn {
            tracing::warn!(fix, "{what}");
            return None;
        }
        tables.remove(&table);
        let hint = format!(
            "{fix} then read the table again: take it out of `tables`, start the flow, and put it in again; or set \
             `cascade: warn` to miss those changes"
        );
        Some(Outcome::Failed(table, Error::new(ErrorKind::Data, what).with_setting("cascade").with_hint(hint)))
    }

    fn take_change(
        &mut self,
        tables: &mut Tables,
        change: SchemaChange,
        name: &RelationName,
    ) -> Result<Option<Outcome>> {
        let mut was_captured = tables.get(name).is_some();
        let mut has_transactions = tables.has_transactions(name);
        if let Change::RenameTable { from } = &change.change {
            was_captured = tables.get(from).is_some();
            has_transactions = tables.has_transactions(from);
            tables.remove(from);
            self.remembered.remove(from);
        }
        if change.change == Change::DropTable {
            tables.remove(name);
            self.remembered.remove(name);
            return Ok(was_captured.then_some(Outcome::Change(change)));
        }
        if is_captured(&self.patterns, name) {
            self.remembered.remove(name);
            tables.put(change.relation.clone(), has_transactions)?;
            return Ok(Some(Outcome::Change(change)));
        }
        self.remember(change.relation.clone());
        Ok(was_captured.then_some(Outcome::Change(change)))
    }

    fn remember(&mut self, relation: Arc<Relation>) {
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.insert(relation.name().clone(), relation);
        }
    }

    /// The server's answer to [`Outcome::Ask`]; `None` when the table is gone by now.
    pub fn described(
        &mut self,
        tables: &mut Tables,
        found: Option<Arc<Relation>>,
        name: &RelationName,
        change: Change,
    ) -> Result<Vec<Outcome>> {
        let Some(found) = found else {
            let before = tables.get(name).cloned();
            tables.remove(name);
            let gone = before.map(|relation| Outcome::Change(SchemaChange::new(relation, Change::DropTable)));
            return Ok(gone.into_iter().collect());
        };
        match tables.get(name).cloned() {
            Some(before) if matches!(change, Change::AlterColumns(_)) => self.becomes(tables, &before, &found, None),
            _ => {
                tables.put(found.clone(), true)?;
                Ok(vec![Outcome::Change(SchemaChange::new(found, change))])
            }
        }
    }
}

fn not_understood(name: &RelationName, sql: &str) -> Error {
    let words: Vec<&str> = sql.split_whitespace().take(2).collect();
    Error::new(
        ErrorKind::Schema,
        format!("a statement that may change {name} is not understood: {} …", words.join(" ")),
    )
    .with_hint("take the table out of `tables`, start the flow, and put it in again: it is then read anew")
}

/// All tables whose shape is known at a place of the log.
struct Known<'a> {
    schemas: &'a Schemas,
    tables: &'a Tables,
}

impl KnownTables for Known<'_> {
    fn relation(&self, table: &RelationName) -> Option<Arc<Relation>> {
        self.tables.get(table).or_else(|| self.schemas.remembered.get(table)).cloned()
    }

    fn tables_of(&self, database: &str) -> Vec<RelationName> {
        let all = self.tables.relations().map(|relation| relation.name()).chain(self.schemas.remembered.keys());
        all.filter(|name| name.schema.as_deref() == Some(database)).cloned().collect()
    }

    fn charset_of(&self, database: &str) -> CharsetDefault {
        self.schemas.charsets.get(database).cloned().unwrap_or_default()
    }
}
