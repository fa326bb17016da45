//! What happened to a table's columns, from two descriptions of it.
//!
//! The log tells only that a table has other columns now. Columns keep their number for life, whatever they are called, and
//! new ones have higher numbers than any before: so a new name at an old place is a rename, and nothing else is.

use std::sync::Arc;

use aqueduct_model::{Change, Relation, Result, SchemaChange};
use arrow::datatypes::{Field, FieldRef, Schema};

use super::numbering::{NEW, UNKNOWN};
use crate::postgres::column_type::{SOURCE_TYPE, number_of};

/// The steps from one shape to another, in an order in which each can be done; the last one's relation is the new shape.
/// Empty when nothing changed but descriptions.
///
/// # Errors
/// `Schema` when a shape is no table.
pub(crate) fn steps(old: &Relation, new: &Relation) -> Result<Vec<SchemaChange>> {
    let mut steps = Steps::new(old);
    let pairs = pairs(old, new);
    let dropped: Vec<String> = names(old, |i| !pairs.iter().any(|pair| pair.0 == Some(i)));
    if !dropped.is_empty() {
        steps.fields.retain(|field| !dropped.contains(field.name()));
        steps.push(Change::DropColumns(dropped))?;
    }
    steps.rename(old, new, &pairs)?;
    let added: Vec<String> = names(new, |i| pairs[i].0.is_none());
    if !added.is_empty() {
        steps.fields.extend(new.columns().fields().iter().filter(|field| added.contains(field.name())).cloned());
        steps.push(Change::AddColumns(added))?;
    }
    let mut altered: Vec<String> = Vec::new();
    for (i, of_old) in pairs.iter().enumerate() {
        if of_old.0.is_some_and(|of_old| is_other(old.columns().field(of_old), new.columns().field(i))) {
            altered.push(new.columns().field(i).name().clone());
        }
    }
    let key: Vec<String> = new.key_names().into_iter().map(str::to_owned).collect();
    if altered.is_empty() && steps.key != key {
        altered = if key.is_empty() { steps.key.clone() } else { key.clone() };
    }
    steps.key = key;
    steps.fields = new.columns().fields().iter().cloned().collect();
    if !altered.is_empty() {
        steps.push(Change::AlterColumns(altered))?;
    }
    steps.finish(new)
}

/// For each new column the old one that it was.
struct Pair(Option<usize>);

/// By number; by name where the new column's number is not known although it was there. A column of the old shape whose
/// number was not known is another one as soon as the catalogs can be believed again: what it held meanwhile may be wrong.
fn pairs(old: &Relation, new: &Relation) -> Vec<Pair> {
    let old_fields = old.columns().fields();
    let found = |field: &FieldRef| match number_of(field).unwrap_or_default() {
        NEW => None,
        UNKNOWN => old_fields.iter().position(|old| old.name() == field.name()),
        number => old_fields.iter().position(|old| number_of(old) == Some(number)),
    };
    new.columns().fields().iter().map(|field| Pair(found(field))).collect()
}

/// The columns of `new` that `old` does not have.
pub(crate) fn added(old: &Relation, new: &Relation) -> Vec<usize> {
    let pairs = pairs(old, new).into_iter().enumerate();
    pairs.filter(|(_, pair)| pair.0.is_none()).map(|(column, _)| column).collect()
}

fn names(relation: &Relation, is_wanted: impl Fn(usize) -> bool) -> Vec<String> {
    let fields = relation.columns().fields().iter().enumerate();
    fields.filter(|(i, _)| is_wanted(*i)).map(|(_, field)| field.name().clone()).collect()
}

fn is_other(old: &Field, new: &Field) -> bool {
    old.data_type() != new.data_type() || old.metadata().get(SOURCE_TYPE) != new.metadata().get(SOURCE_TYPE)
}

/// The table between two steps.
struct Steps {
    now: Relation,
    fields: Vec<FieldRef>,
    key: Vec<String>,
    made: Vec<SchemaChange>,
}

impl Steps {
    fn new(old: &Relation) -> Self {
        Self {
            now: old.clone(),
            fields: old.columns().fields().iter().cloned().collect(),
            key: old.key_names().into_iter().map(str::to_owned).collect(),
            made: Vec::new(),
        }
    }

    /// One rename at a time; a name that another column still has is given through a name of our own.
    fn rename(&mut self, old: &Relation, new: &Relation, pairs: &[Pair]) -> Result<()> {
        let mut renames: Vec<(String, String)> = Vec::new();
        for (i, pair) in pairs.iter().enumerate() {
            let Some(of_old) = pair.0 else { continue };
            let (from, to) = (old.columns().field(of_old).name(), new.columns().field(i).name());
            if from != to {
                renames.push((from.clone(), to.clone()));
            }
        }
        while !renames.is_empty() {
            let is_taken = |to: &str, fields: &[FieldRef]| fields.iter().any(|field| field.name() == to);
            match renames.iter().position(|(_, to)| !is_taken(to, &self.fields)) {
                Some(free) => {
                    let (from, to) = renames.swap_remove(free);
                    self.rename_one(from, to)?;
                }
                None => {
                    let from = renames[0].0.clone();
                    let between = format!("{from}_renamed");
                    renames[0].0.clone_from(&between);
                    self.rename_one(from, between)?;
                }
            }
        }
        Ok(())
    }

    fn rename_one(&mut self, from: String, to: String) -> Result<()> {
        for field in &mut self.fields {
            if *field.name() == from {
                *field = Arc::new(field.as_ref().clone().with_name(to.clone()));
            }
        }
        self.key.iter_mut().filter(|name| **name == from).for_each(|name| name.clone_from(&to));
        self.push(Change::RenameColumn { from, to })
    }

    fn push(&mut self, change: Change) -> Result<()> {
        self.key.retain(|name| self.fields.iter().any(|field| field.name() == name));
        let columns = Arc::new(Schema::new(self.fields.clone()));
        self.now = Relation::new(self.now.name().clone(), columns, &self.key, self.now.version() + 1)?;
        self.made.push(SchemaChange::new(Arc::new(self.now.clone()), change));
        Ok(())
    }

    /// The last step leads to exactly the new shape.
    fn finish(mut self, new: &Relation) -> Result<Vec<SchemaChange>> {
        if let Some(last) = self.made.last_mut() {
            let relation =
                Relation::new(new.name().clone(), new.columns().clone(), &new.key_names(), self.now.version())?;
            last.relation = Arc::new(relation);
        }
        Ok(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::column_type::ColumnType;
    use aqueduct_model::RelationName;

    /// `name:number:type`, the first being the key.
    fn table(columns: &[(&str, i16, &str)]) -> Relation {
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(i, (name, number, text))| {
                let base = if *text == "integer" { 23 } else { 25 };
                ColumnType { text: (*text).to_owned(), base, modifier: -1 }.field(name, *number, i == 0)
            })
            .collect();
        let key = [fields[0].name().clone()];
        Relation::new(RelationName::table("t"), Arc::new(Schema::new(fields)), &key, 1).unwrap()
    }

    fn changes(old: &[(&str, i16, &str)], new: &[(&str, i16, &str)]) -> Vec<Change> {
        let (old, new) = (table(old), table(new));
        let steps = steps(&old, &new).unwrap();
        if let Some(last) = steps.last() {
            assert_eq!((last.relation.columns(), last.relation.key()), (new.columns(), new.key()));
            assert_eq!(last.relation.version() as usize, 1 + steps.len());
        }
        steps.into_iter().map(|step| step.change).collect()
    }

    fn renamed(from: &str, to: &str) -> Change {
        Change::RenameColumn { from: from.into(), to: to.into() }
    }

    #[test]
    fn case_066_to_069_columns_added_dropped_renamed_altered() {
        let old = [("id", 1, "integer"), ("a", 2, "text"), ("b", 3, "text")];
        assert_eq!(changes(&old, &old), []);
        let added = [("id", 1, "integer"), ("a", 2, "text"), ("b", 3, "text"), ("c", 4, "text")];
        assert_eq!(changes(&old, &added), [Change::AddColumns(vec!["c".into()])]);
        assert_eq!(changes(&old, &[("id", 1, "integer"), ("b", 3, "text")]), [Change::DropColumns(vec!["a".into()])]);
        assert_eq!(changes(&old, &[("id", 1, "integer"), ("x", 2, "text"), ("b", 3, "text")]), [renamed("a", "x")]);
        let wider = [("id", 1, "integer"), ("a", 2, "character varying(9)"), ("b", 3, "text")];
        assert_eq!(changes(&old, &wider), [Change::AlterColumns(vec!["a".into()])]);
        assert_eq!(changes(&old, &[("key", 1, "integer"), ("a", 2, "text"), ("b", 3, "text")]), [renamed("id", "key")]);
    }

    #[test]
    fn case_067_a_column_dropped_and_added_again_is_another_one() {
        let old = [("id", 1, "integer"), ("a", 2, "text")];
        assert_eq!(
            changes(&old, &[("id", 1, "integer"), ("a", 3, "integer")]),
            [Change::DropColumns(vec!["a".into()]), Change::AddColumns(vec!["a".into()])]
        );
    }

    #[test]
    fn case_068_names_that_are_swapped() {
        let old = [("id", 1, "integer"), ("a", 2, "text"), ("b", 3, "integer")];
        assert_eq!(
            changes(&old, &[("id", 1, "integer"), ("b", 2, "text"), ("a", 3, "integer")]),
            [renamed("a", "a_renamed"), renamed("b", "a"), renamed("a_renamed", "b")]
        );
    }

    #[test]
    fn case_072_columns_without_a_number() {
        let old = [("id", 1, "integer"), ("a", 2, "text"), ("b", 3, "text")];
        let unknown = [("id", 1, "integer"), ("a", 2, "text"), ("b", NEW, "text")];
        assert_eq!(
            changes(&old, &unknown),
            [Change::DropColumns(vec!["b".into()]), Change::AddColumns(vec!["b".into()])],
            "what may be another column is one"
        );
        assert_eq!(changes(&unknown, &[("id", 1, "integer"), ("a", 2, "text"), ("b", UNKNOWN, "text")]), []);
        assert_eq!(
            changes(&unknown, &old),
            [Change::DropColumns(vec!["b".into()]), Change::AddColumns(vec!["b".into()])],
            "until it has a number"
        );
    }
}
