//! ALTER TABLE.

use aqueduct_model::RelationName;

use super::column::{ColumnDefinition, Place, column_definition, default_expression, place};
use super::column_type::charset_name;
use super::create::{Definition, KeyDefinition, charset_option, key_definition};
use super::cursor::Cursor;
use crate::mysql::column_default::ColumnDefault;

/// One part of an ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AlterAction {
    AddColumn {
        column: ColumnDefinition,
        place: Option<Place>,
        if_not_exists: bool,
    },
    DropColumn {
        name: String,
    },
    /// MODIFY, and CHANGE with another name.
    ChangeColumn {
        from: String,
        column: ColumnDefinition,
        place: Option<Place>,
    },
    RenameColumn {
        from: String,
        to: String,
    },
    SetDefault {
        column: String,
        default: ColumnDefault,
    },
    RenameTable {
        to: RelationName,
    },
    /// Every text column gets it.
    ConvertCharset {
        charset: Option<String>,
        collation: Option<String>,
    },
    /// New text columns get it.
    DefaultCharset {
        charset: Option<String>,
        collation: Option<String>,
    },
    AddPrimaryKey {
        columns: Vec<String>,
    },
    DropPrimaryKey,
    AddUnique {
        name: Option<String>,
        columns: Vec<String>,
    },
    DropIndex {
        name: String,
    },
    /// A foreign key by which rows change when those of another table do.
    AddCascade {
        name: Option<String>,
    },
    /// Rows come or go without being in the log: a partition is dropped, truncated or exchanged, a tablespace imported.
    MovesRows {
        /// The keywords.
        what: &'static str,
        /// The other table of an exchange.
        with: Option<RelationName>,
    },
    /// Changes neither columns nor rows.
    Other,
}

/// Reads everything behind the table's name. `None` when it is not understood.
pub(super) fn alter_actions(cursor: &mut Cursor<'_>) -> Option<Vec<AlterAction>> {
    let mut actions = Vec::new();
    while !cursor.is_at_end() {
        let mut item = cursor.item();
        if item.is("PARTITION") && item.is_nth(1, "BY") {
            break;
        }
        alter_item(&mut item, &mut actions)?;
    }
    Some(actions)
}

fn alter_item(item: &mut Cursor<'_>, actions: &mut Vec<AlterAction>) -> Option<()> {
    if item.eat("ADD") {
        return add(item, actions);
    }
    if item.eat("DROP") {
        actions.push(drop_(item)?);
        return Some(());
    }
    if item.eat("MODIFY") {
        item.eat("COLUMN");
        item.eat_all(&["IF", "EXISTS"]);
        let column = column_definition(item)?;
        let from = column.name.clone();
        actions.push(AlterAction::ChangeColumn { from, column, place: place(item)? });
        return Some(());
    }
    if item.eat("CHANGE") {
        item.eat("COLUMN");
        item.eat_all(&["IF", "EXISTS"]);
        let from = item.name()?;
        let column = column_definition(item)?;
        actions.push(AlterAction::ChangeColumn { from, column, place: place(item)? });
        return Some(());
    }
    if item.eat("RENAME") {
        actions.push(rename(item)?);
        return Some(());
    }
    if item.eat_all(&["CONVERT", "TO"]) {
        let mut options = Definition::default();
        while !item.is_at_end() {
            if !charset_option(item, &mut options) {
                item.next();
            }
        }
        let Definition { charset, collation, .. } = options;
        actions.push(AlterAction::ConvertCharset { charset, collation });
        return Some(());
    }
    if item.is("ALTER") {
        actions.push(alter_column(*item).unwrap_or(AlterAction::Other));
        return Some(());
    }
    if let Some(action) = moves_rows(item) {
        actions.push(action);
        return Some(());
    }
    options(item, actions);
    Some(())
}

/// `ALTER c SET DEFAULT …` and `ALTER c DROP DEFAULT`. `None` for what is about indexes, constraints and visibility.
fn alter_column(mut item: Cursor<'_>) -> Option<AlterAction> {
    item.eat("ALTER");
    item.eat("COLUMN");
    item.eat_all(&["IF", "EXISTS"]);
    let column = item.name()?;
    let default = if item.eat_all(&["SET", "DEFAULT"]) {
        default_expression(&mut item)
    } else if item.eat_all(&["DROP", "DEFAULT"]) {
        ColumnDefault::Null
    } else {
        return None;
    };
    Some(AlterAction::SetDefault { column, default })
}

/// Table options, one behind the other without commas.
fn options(item: &mut Cursor<'_>, actions: &mut Vec<AlterAction>) {
    let mut options = Definition::default();
    while !item.is_at_end() {
        if !charset_option(item, &mut options) {
            item.next();
        }
    }
    let Definition { charset, collation, .. } = options;
    actions.push(if charset.is_some() || collation.is_some() {
        AlterAction::DefaultCharset { charset: charset.map(|name| charset_name(&name)), collation }
    } else {
        AlterAction::Other
    });
}

fn add(item: &mut Cursor<'_>, actions: &mut Vec<AlterAction>) -> Option<()> {
    if item.is("PARTITION") {
        actions.push(AlterAction::Other);
        return Some(());
    }
    if item.is("SYSTEM") && item.is_nth(1, "VERSIONING") {
        return None;
    }
    if !item.eat("COLUMN") {
        match key_definition(item)? {
            Some(KeyDefinition::Primary(columns)) => {
                actions.push(AlterAction::AddPrimaryKey { columns });
                return Some(());
            }
            Some(KeyDefinition::Unique(name, columns)) => {
                actions.push(AlterAction::AddUnique { name, columns });
                return Some(());
            }
            Some(KeyDefinition::Cascade(name)) => {
                actions.push(AlterAction::AddCascade { name });
                return Some(());
            }
            Some(KeyDefinition::Other) => {
                actions.push(AlterAction::Other);
                return Some(());
            }
            None => {}
        }
    }
    let if_not_exists = item.eat_all(&["IF", "NOT", "EXISTS"]);
    if !item.is_symbol('(') {
        return add_column(item, if_not_exists, actions);
    }
    let mut inside = item.parentheses()?;
    while !inside.is_at_end() {
        let mut one = inside.item();
        match key_definition(&mut one)? {
            Some(KeyDefinition::Primary(columns)) => actions.push(AlterAction::AddPrimaryKey { columns }),
            Some(KeyDefinition::Unique(name, columns)) => actions.push(AlterAction::AddUnique { name, columns }),
            Some(KeyDefinition::Cascade(name)) => actions.push(AlterAction::AddCascade { name }),
            Some(KeyDefinition::Other) => actions.push(AlterAction::Other),
            None => add_column(&mut one, if_not_exists, actions)?,
        }
    }
    Some(())
}

fn add_column(item: &mut Cursor<'_>, if_not_exists: bool, actions: &mut Vec<AlterAction>) -> Option<()> {
    let column = column_definition(item)?;
    let place = place(item)?;
    if column.cascades {
        actions.push(AlterAction::AddCascade { name: None });
    }
    let (name, is_primary, is_unique) = (column.name.clone(), column.primary_key, column.unique);
    actions.push(AlterAction::AddColumn { column, place, if_not_exists });
    if is_primary {
        actions.push(AlterAction::AddPrimaryKey { columns: vec![name] });
    } else if is_unique {
        actions.push(AlterAction::AddUnique { name: Some(name.clone()), columns: vec![name] });
    }
    Some(())
}

fn drop_(item: &mut Cursor<'_>) -> Option<AlterAction> {
    if item.eat_all(&["PRIMARY", "KEY"]) {
        return Some(AlterAction::DropPrimaryKey);
    }
    if item.is("PARTITION") {
        return Some(AlterAction::MovesRows { what: "DROP PARTITION", with: None });
    }
    if item.is("SYSTEM") && item.is_nth(1, "VERSIONING") {
        return None;
    }
    // A column may be called by one of these words only in quotes.
    if item.eat_any(&["INDEX", "KEY"]) {
        item.eat_all(&["IF", "EXISTS"]);
        return Some(AlterAction::DropIndex { name: item.name()? });
    }
    if item.eat("CONSTRAINT") {
        item.eat_all(&["IF", "EXISTS"]);
        return Some(AlterAction::DropIndex { name: item.name()? });
    }
    if item.is("FOREIGN") && item.is_nth(1, "KEY") || item.is("CHECK") || item.is("PERIOD") && item.is_nth(1, "FOR") {
        return Some(AlterAction::Other);
    }
    item.eat("COLUMN");
    item.eat_all(&["IF", "EXISTS"]);
    Some(AlterAction::DropColumn { name: item.name()? })
}

fn rename(item: &mut Cursor<'_>) -> Option<AlterAction> {
    if item.eat("COLUMN") {
        item.eat_all(&["IF", "EXISTS"]);
        let from = item.name()?;
        return if item.eat("TO") { Some(AlterAction::RenameColumn { from, to: item.name()? }) } else { None };
    }
    if item.is_any(&["INDEX", "KEY"]) {
        item.next();
        item.eat_all(&["IF", "EXISTS"]);
        // The name of an index is kept only where it is the key's; renaming it is as good as nothing.
        return Some(AlterAction::Other);
    }
    if !item.eat_any(&["TO", "AS"]) {
        item.eat_symbol('=');
    }
    Some(AlterAction::RenameTable { to: item.table()? })
}

/// Statements about partitions and tablespaces that move rows.
fn moves_rows(item: &mut Cursor<'_>) -> Option<AlterAction> {
    let what = if item.is_nth(1, "PARTITION") {
        match () {
            () if item.is("TRUNCATE") => "TRUNCATE PARTITION",
            () if item.is("EXCHANGE") => "EXCHANGE PARTITION",
            () if item.is("DISCARD") => "DISCARD PARTITION",
            () if item.is("IMPORT") => "IMPORT PARTITION",
            () if item.is("CONVERT") => "CONVERT PARTITION",
            () => return None,
        }
    } else if item.is("CONVERT") && item.is_nth(1, "TABLE") {
        "CONVERT TABLE"
    } else if item.is_nth(1, "TABLESPACE") && item.is_any(&["DISCARD", "IMPORT"]) {
        "IMPORT TABLESPACE"
    } else {
        return None;
    };
    let mut with = None;
    while !item.is_at_end() {
        if item.eat("TABLE") {
            with = item.table();
            break;
        }
        item.next();
    }
    Some(AlterAction::MovesRows { what, with })
}
