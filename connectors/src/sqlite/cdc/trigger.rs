//! The triggers that write the change log, as SQL.
//!
//! They run inside the application's own transactions, so they do as little as they can: one row per change. They use
//! nothing newer than SQLite 3.15 because they run in whatever SQLite the application links.

use crate::sqlite::connection::quote;
use crate::sqlite::table::{Identity, Part, Table};

use super::log::{Names, op};

/// A trigger: its name and the statement that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    /// Unquoted.
    pub(super) name: String,
    /// `CREATE TRIGGER …`, exactly as SQLite keeps it.
    pub(super) sql: String,
}

/// The triggers of one version of one table.
pub(super) fn triggers(names: &Names, id: i64, version: u32, table: &Table) -> Vec<Trigger> {
    let log = Log { names, id, version, table };
    let mut all = vec![log.insert(), log.update(), log.delete()];
    if !table.unique.is_empty() {
        all.push(log.before_insert());
        all.push(log.before_update());
    }
    all
}

struct Log<'a> {
    names: &'a Names,
    id: i64,
    version: u32,
    table: &'a Table,
}

impl Log<'_> {
    fn trigger(&self, suffix: &str, event: &str, condition: &str, body: &str) -> Trigger {
        let name = format!("{}{}_{suffix}", self.names.prefix(), self.table.name);
        let (quoted, on) = (quote(&name), quote(&self.table.name));
        let sql = format!("CREATE TRIGGER {quoted} {event} ON {on} {condition}BEGIN {body}; END");
        Trigger { name, sql }
    }

    /// `INSERT INTO log(…)`, with columns for `images` images.
    fn into(&self, images: usize) -> String {
        let cells: String = (0..images * self.table.columns.len()).map(|i| format!(",c{i}")).collect();
        format!("INSERT INTO {}(tbl,version,op,rid0,rid1{cells})", self.names.changes())
    }

    fn head(&self, op: i64, old: Option<&str>, new: Option<&str>) -> String {
        let rid = |row: Option<&str>| match (row, &self.table.identity) {
            (Some(row), Identity::Rowid { name, .. }) => format!("{row}.{}", quote(name)),
            _ => "NULL".to_owned(),
        };
        format!("{},{},{op},{},{}", self.id, self.version, rid(old), rid(new))
    }

    fn image(&self, row: &str) -> String {
        self.table.columns.iter().map(|column| format!(",{row}.{}", quote(&column.name))).collect()
    }

    fn insert(&self) -> Trigger {
        let values = format!("{}{}", self.head(op::INSERT, None, Some("new")), self.image("new"));
        self.trigger("i", "AFTER INSERT", "", &format!("{} VALUES ({values})", self.into(1)))
    }

    fn update(&self) -> Trigger {
        let head = self.head(op::UPDATE, Some("old"), Some("new"));
        let values = format!("{head}{}{}", self.image("old"), self.image("new"));
        self.trigger("u", "AFTER UPDATE", "", &format!("{} VALUES ({values})", self.into(2)))
    }

    fn delete(&self) -> Trigger {
        let values = format!("{}{}", self.head(op::DELETE, Some("old"), None), self.image("old"));
        self.trigger("d", "AFTER DELETE", "", &format!("{} VALUES ({values})", self.into(1)))
    }

    /// REPLACE removes rows without a delete trigger; this notes every row that it would remove. Whether it did is
    /// known once the new row follows in the log, because two such rows cannot both be there.
    fn before_insert(&self) -> Trigger {
        self.trigger("b", "BEFORE INSERT", "", &self.candidates(&self.conflict()))
    }

    /// As [`Self::before_insert`], for UPDATE OR REPLACE.
    fn before_update(&self) -> Trigger {
        let mut columns: Vec<usize> = self.table.unique.iter().flatten().map(|part| part.column).collect();
        columns.sort_unstable();
        columns.dedup();
        let column = |i: &usize| quote(&self.table.columns[*i].name);
        let of: Vec<String> = columns.iter().map(column).collect();
        let changed: Vec<String> = of.iter().map(|name| format!("old.{name} IS NOT new.{name}")).collect();
        let other = match &self.table.identity {
            Identity::Rowid { name, .. } => format!("r.{0} <> old.{0}", quote(name)),
            Identity::Key(parts) => format!("NOT ({})", self.equal(parts, "old")),
        };
        let event = format!("BEFORE UPDATE OF {}", of.join(","));
        let condition = format!("WHEN {} ", changed.join(" OR "));
        self.trigger("c", &event, &condition, &self.candidates(&format!("({}) AND {other}", self.conflict())))
    }

    fn candidates(&self, condition: &str) -> String {
        format!(
            "{} SELECT {}{}{} FROM {} AS r WHERE {condition}",
            self.into(2),
            self.head(op::CANDIDATE, Some("r"), Some("new")),
            self.image("r"),
            self.image("new"),
            quote(&self.table.name)
        )
    }

    fn conflict(&self) -> String {
        let sets: Vec<String> = self.table.unique.iter().map(|set| format!("({})", self.equal(set, "new"))).collect();
        sets.join(" OR ")
    }

    fn equal(&self, parts: &[Part], other: &str) -> String {
        let column = |part: &Part| {
            let name = quote(&self.table.columns[part.column].name);
            let collate = match part.collation.as_str() {
                "BINARY" => String::new(),
                collation => format!(" COLLATE {}", quote(collation)),
            };
            format!("r.{name}{collate} = {other}.{name}")
        };
        parts.iter().map(column).collect::<Vec<_>>().join(" AND ")
    }
}
