//! Statements, and what they do to relations.

mod alter;
mod parse;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Change, Relation, RelationName};

use super::{ApplySettings, CharsetDefault, Dialect, Effect, KnownTables, Statement, apply, parse};
use crate::mysql::rows::ZeroDates;

fn mysql() -> Dialect {
    Dialect::of_server("8.0.31")
}

fn mariadb() -> Dialect {
    Dialect::of_server("10.11.19-MariaDB-0+deb12u1-log")
}

fn name(text: &str) -> RelationName {
    let (schema, table) = text.split_once('.').unwrap_or(("d", text));
    RelationName { catalog: None, schema: Some(schema.to_owned()), table: table.to_owned() }
}

/// Tables as a capture remembers them.
#[derive(Default, Clone)]
struct Known(BTreeMap<RelationName, Arc<Relation>>);

impl KnownTables for Known {
    fn relation(&self, table: &RelationName) -> Option<Arc<Relation>> {
        self.0.get(table).cloned()
    }

    fn tables_of(&self, database: &str) -> Vec<RelationName> {
        self.0.keys().filter(|name| name.schema.as_deref() == Some(database)).cloned().collect()
    }

    fn charset_of(&self, _database: &str) -> CharsetDefault {
        CharsetDefault { charset: Some("utf8mb4".into()), collation: None }
    }
}

impl Known {
    /// Runs statements about tables; says what they did, each as `change of table`.
    fn run(&mut self, dialect: Dialect, statements: &str) -> Vec<String> {
        let mut done = Vec::new();
        for sql in statements.split(";;").map(str::trim).filter(|sql| !sql.is_empty()) {
            let Statement::Tables(ddl) = parse(sql, "d", dialect) else { panic!("no DDL of tables: {sql}") };
            let settings = ApplySettings { dialect, zero_dates: ZeroDates::Null, statement: sql };
            for effect in apply(&ddl, self, &settings).unwrap() {
                done.push(self.take(effect));
            }
        }
        done
    }

    fn take(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Change(change) => {
                let name = change.relation.name().clone();
                if let Change::RenameTable { from } = &change.change {
                    self.0.remove(from);
                }
                if change.change == Change::DropTable {
                    self.0.remove(&name);
                } else {
                    self.0.insert(name.clone(), change.relation);
                }
                format!("{} {}", shown(&change.change), name.table)
            }
            Effect::Remember(relation) => {
                let text = format!("remember {}", relation.name().table);
                self.0.insert(relation.name().clone(), relation);
                text
            }
            Effect::Undescribed(table) => format!("undescribed {}", table.table),
            Effect::Cascades { table, key } => format!("cascade {} {}", key.unwrap_or_default(), table.table),
            Effect::MovesRows { table, what } => format!("{what} {}", table.table),
        }
    }

    /// `name type` of each column, `!` behind those without NULLs, and the key.
    fn shape(&self, table: &str) -> String {
        let relation = &self.0[&name(table)];
        let columns: Vec<String> = relation
            .columns()
            .fields()
            .iter()
            .map(|field| {
                let declared = &field.metadata()["source.type"];
                let charset = field.metadata().get("source.charset").map(|c| format!("/{c}")).unwrap_or_default();
                let mark = if field.is_nullable() { "" } else { "!" };
                let filled = if field.metadata().contains_key("source.backfilled") { "+" } else { "" };
                format!("{} {declared}{charset}{mark}{filled}", field.name())
            })
            .collect();
        format!("{} [{}]", columns.join(", "), relation.key_names().join(","))
    }
}

fn shown(change: &Change) -> String {
    match change {
        Change::CreateTable => "create".into(),
        Change::AddColumns(names) => format!("add {}", names.join("+")),
        Change::DropColumns(names) => format!("drop {}", names.join("+")),
        Change::RenameColumn { from, to } => format!("rename {from}>{to}"),
        Change::AlterColumns(names) => format!("alter {}", names.join("+")),
        Change::DropTable => "drop table".into(),
        Change::RenameTable { from } => format!("rename table {}>", from.table),
        Change::Truncate => "truncate".into(),
        other => format!("{other:?}"),
    }
}
