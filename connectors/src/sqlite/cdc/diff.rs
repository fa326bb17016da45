//! What happened to a table: one step per change of its shape.

use crate::sqlite::table::{Column, Table};

use super::history::Ddl;

/// One step from a version of a table to the next.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// What was done.
    pub(super) ddl: Ddl,
    /// The table after it.
    pub(super) table: Table,
}

/// What happened to a table whose triggers are still in place: columns cannot have been dropped (SQLite refuses that
/// while a trigger reads them) nor moved, so the same place is the same column.
pub(super) fn kept(old: &Table, new: &Table) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut table = old.clone();
    if table.name != new.name {
        let from = std::mem::replace(&mut table.name, new.name.clone());
        steps.push(Step { ddl: Ddl::RenameTable { from }, table: table.clone() });
    }
    for (i, column) in new.columns.iter().enumerate().take(old.columns.len()) {
        if table.columns[i].name != column.name {
            let from = std::mem::replace(&mut table.columns[i].name, column.name.clone());
            steps.push(Step { ddl: Ddl::RenameColumn { from, to: column.name.clone() }, table: table.clone() });
        }
    }
    let added: Vec<String> = new.columns.iter().skip(old.columns.len()).map(|column| column.name.clone()).collect();
    if !added.is_empty() {
        steps.push(Step { ddl: Ddl::AddColumns(added), table: new.clone() });
    }
    finish(steps, new)
}

/// What happened to a table that lost its triggers: it may have been made anew, so columns are told apart by name.
/// `None` when its key is another one: then it is another table.
pub(super) fn lost(old: &Table, new: &Table) -> Option<Vec<Step>> {
    let key = |table: &Table| table.key.iter().map(|&i| table.columns[i].name.clone()).collect::<Vec<_>>();
    if key(old) != key(new) {
        return None;
    }
    let (mut steps, mut table) = (Vec::new(), old.clone());
    let has = |columns: &[Column], name: &str| columns.iter().any(|column| column.name == name);
    let dropped = names(&old.columns, |column| !has(&new.columns, &column.name));
    if !dropped.is_empty() {
        table.columns.retain(|column| has(&new.columns, &column.name));
        table.key = key(old).iter().filter_map(|k| table.columns.iter().position(|c| &c.name == k)).collect();
        steps.push(Step { ddl: Ddl::DropColumns(dropped), table: table.clone() });
    }
    let added = names(&new.columns, |column| !has(&old.columns, &column.name));
    let altered = names(&new.columns, |column| {
        old.columns.iter().any(|known| known.name == column.name && known.declared != column.declared)
    });
    if !added.is_empty() {
        table.columns.extend(new.columns.iter().filter(|column| !has(&old.columns, &column.name)).cloned());
        steps.push(Step { ddl: Ddl::AddColumns(added), table: table.clone() });
    }
    if !altered.is_empty() {
        steps.push(Step { ddl: Ddl::AlterColumns(altered), table: new.clone() });
    }
    Some(finish(steps, new))
}

fn names(columns: &[Column], wanted: impl Fn(&Column) -> bool) -> Vec<String> {
    columns.iter().filter(|column| wanted(column)).map(|column| column.name.clone()).collect()
}

/// The last version is the table as it is; when nothing else changed it is still a version of its own.
fn finish(mut steps: Vec<Step>, new: &Table) -> Vec<Step> {
    match steps.last_mut() {
        Some(last) => last.table = new.clone(),
        None => steps.push(Step { ddl: Ddl::Recapture, table: new.clone() }),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::table::Identity;

    fn table(name: &str, columns: &[&str]) -> Table {
        let columns = columns
            .iter()
            .map(|name| Column { name: (*name).into(), declared: "TEXT".into(), default: None })
            .collect();
        let identity = Identity::Rowid { name: "rowid".into(), stable: false };
        Table { name: name.into(), columns, key: vec![0], identity, unique: Vec::new(), partial_unique: false }
    }

    fn ddl(steps: Vec<Step>) -> Vec<Ddl> {
        steps.into_iter().map(|step| step.ddl).collect()
    }

    #[test]
    fn each_change_is_a_step() {
        let rename = |from: &str, to: &str| Ddl::RenameColumn { from: from.into(), to: to.into() };
        assert_eq!(
            ddl(kept(&table("a", &["id", "x"]), &table("b", &["id", "y", "z"]))),
            [Ddl::RenameTable { from: "a".into() }, rename("x", "y"), Ddl::AddColumns(vec!["z".into()])]
        );
        assert_eq!(ddl(kept(&table("a", &["id"]), &table("a", &["id"]))), [Ddl::Recapture]);
        assert_eq!(
            ddl(lost(&table("a", &["id", "x"]), &table("a", &["z", "id"])).unwrap_or_default()),
            [] as [Ddl; 0],
            "another key is another table"
        );
        let mut moved = table("a", &["z", "id"]);
        moved.key = vec![1];
        assert_eq!(
            ddl(lost(&table("a", &["id", "x"]), &moved).unwrap()),
            [Ddl::DropColumns(vec!["x".into()]), Ddl::AddColumns(vec!["z".into()])]
        );
    }
}
