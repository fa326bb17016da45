//! Which column of a table is which, when the log names columns and the catalogs may be ahead of it.
//!
//! Columns keep their number for life, and the log lists them in the order of their numbers. The catalogs give numbers by
//! the names of today: they are believed where nothing speaks against it. Where something does, columns are told by their
//! names and their order; one of which it cannot be said whether it was there before is taken for a new one whose rows
//! have to be read again, so that nothing is lost in silence.

use aqueduct_model::Relation;

use crate::postgres::column_type::number_of;

/// A column that the log names, with what the catalogs say of that name today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub name: String,
    /// Its number; 0 when there is no such column any more.
    pub number: i16,
    /// It has the type that the log says.
    pub has_same_type: bool,
}

/// A column that is none of those before, as far as that can be told.
pub(crate) const NEW: i16 = -1;
/// A column that was there before, and whose number was not known then.
pub(crate) const UNKNOWN: i16 = 0;

/// The columns' numbers. `others_from`: the lowest number of a column of today that the log does not name.
pub(crate) fn numbers(before: &Relation, logged: &[Named], others_from: Option<i16>) -> Vec<i16> {
    if agrees(logged, others_from) {
        return logged.iter().map(|column| column.number).collect();
    }
    by_order(before, logged)
}

/// Whether a column that is none of those before may nevertheless have values in the rows that were there before: its name
/// stood for another column, or its number is too low for one that was just added, or nothing is known of it.
pub(crate) fn may_be_filled(before: &Relation, name: &str, number: i16) -> bool {
    let fields = before.columns().fields();
    number <= 0 || fields.iter().any(|field| field.name() == name || number_of(field).is_some_and(|of| of > number))
}

/// Whether nothing says that the catalogs are ahead: names that were given to other columns meanwhile are out of order, or
/// leave a lower number to a column that the log does not name.
fn agrees(logged: &[Named], others_from: Option<i16>) -> bool {
    let last = logged.last().map_or(0, |column| column.number);
    logged.iter().all(|column| column.number > 0 && column.has_same_type)
        && logged.windows(2).all(|pair| pair[0].number < pair[1].number)
        && others_from.is_none_or(|from| from > last)
}

/// The longest run of names that both lists have in one order keeps its numbers. What lies between two of them are the
/// same columns under other names when there are as many on both sides; all else is new.
fn by_order(before: &Relation, logged: &[Named]) -> Vec<i16> {
    let fields = before.columns().fields();
    let number = |place: usize| number_of(&fields[place]).filter(|number| *number > 0).unwrap_or(UNKNOWN);
    let mut numbers = vec![NEW; logged.len()];
    let (mut from_old, mut from_new) = (0, 0);
    for (old, new) in common(before, logged) {
        if old - from_old == new - from_new {
            for between in 0..new - from_new {
                numbers[from_new + between] = number(from_old + between);
            }
        }
        numbers[new] = number(old);
        (from_old, from_new) = (old + 1, new + 1);
    }
    numbers
}

/// The longest common subsequence of names, as pairs of places.
fn common(before: &Relation, logged: &[Named]) -> Vec<(usize, usize)> {
    let fields = before.columns().fields();
    let is_same = |old: usize, new: usize| *fields[old].name() == logged[new].name;
    let mut lengths = vec![vec![0usize; logged.len() + 1]; fields.len() + 1];
    for old in (0..fields.len()).rev() {
        for new in (0..logged.len()).rev() {
            lengths[old][new] = if is_same(old, new) {
                lengths[old + 1][new + 1] + 1
            } else {
                lengths[old + 1][new].max(lengths[old][new + 1])
            };
        }
    }
    let (mut old, mut new, mut pairs) = (0, 0, Vec::new());
    while old < fields.len() && new < logged.len() {
        if is_same(old, new) {
            pairs.push((old, new));
            (old, new) = (old + 1, new + 1);
        } else if lengths[old + 1][new] >= lengths[old][new + 1] {
            old += 1;
        } else {
            new += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::column_type::ColumnType;
    use aqueduct_model::RelationName;
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    fn table(columns: &[(&str, i16)]) -> Relation {
        let text = ColumnType { text: "text".to_owned(), base: 25, modifier: -1 };
        let fields: Vec<Field> = columns.iter().map(|(name, number)| text.field(name, *number, false)).collect();
        Relation::new(RelationName::table("t"), Arc::new(Schema::new(fields)), &[] as &[&str], 1).unwrap()
    }

    fn found(before: &[(&str, i16)], logged: &[(&str, i16)], others_from: Option<i16>) -> Vec<i16> {
        let named = |(name, number): &(&str, i16)| Named { name: (*name).into(), number: *number, has_same_type: true };
        numbers(&table(before), &logged.iter().map(named).collect::<Vec<_>>(), others_from)
    }

    const OLD: [(&str, i16); 3] = [("id", 1), ("b", 2), ("c", 3)];

    #[test]
    fn case_068_the_catalogs_are_believed_when_they_agree_with_the_log() {
        assert_eq!(found(&OLD, &[("id", 1), ("c", 2), ("b", 3)], None), [1, 2, 3], "names that were swapped");
        assert_eq!(found(&OLD, &[("id", 1), ("c", 3), ("b", 4)], None), [1, 3, 4], "dropped and added again");
        assert_eq!(found(&OLD, &[("id", 1), ("b", 2), ("c", 3)], Some(4)), [1, 2, 3], "one more was added since");
    }

    #[test]
    fn case_072_catalogs_that_are_ahead_are_not_believed() {
        // Swapped here, and swapped back since: the names of today have the numbers of before.
        assert_eq!(found(&OLD, &[("id", 1), ("c", 3), ("b", 2)], None), [1, 3, NEW]);
        // Nothing has changed here; since then b was renamed, and another b was added.
        assert_eq!(found(&OLD, &[("id", 1), ("b", 4), ("c", 3)], Some(2)), [1, 2, 3]);
        // Renamed here, and again since.
        assert_eq!(found(&OLD, &[("id", 1), ("x", 0), ("c", 3)], Some(2)), [1, 2, 3]);
        // At the end a new column and a new name look alike.
        assert_eq!(found(&OLD, &[("id", 1), ("b", 2), ("x", 0)], Some(3)), [1, 2, NEW]);
        assert_eq!(found(&[("id", 1), ("n", NEW)], &[("id", 1), ("n", 0)], None), [1, UNKNOWN]);
    }

    #[test]
    fn rows_of_columns_that_may_not_be_new_are_read_again() {
        let old = table(&OLD);
        for (name, number, is_filled) in [("x", 4, false), ("x", NEW, true), ("x", 2, true), ("b", 4, true)] {
            assert_eq!(may_be_filled(&old, name, number), is_filled, "{name} {number}");
        }
    }
}
