//! What rules remember, through checkpoints; what became of a row, as bytes.

use aqueduct_model::{Change, ErrorKind, OperatorContext, RelationName, SchemaChange};
use proptest::prelude::*;

use super::{Kept, Place};
use crate::tests::relation;

fn open(state: Option<&aqueduct_model::State>, rules: &[&str]) -> aqueduct_model::Result<Kept> {
    let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    Kept::open(&OperatorContext::default(), state, 1 << 20, &rules)
}

fn keys() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..6)), 0..4)
}

proptest! {
    #[test]
    fn a_place_is_read_as_it_was_written(keys in keys(), broken in prop::collection::vec(any::<bool>(), 0..4)) {
        for place in [Place::Passed(keys), Place::Refused(broken)] {
            prop_assert_eq!(Place::read(&place.write()).unwrap(), place);
        }
    }

    #[test]
    fn other_bytes_are_no_place_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Err(error) = Place::read(&bytes) {
            prop_assert_eq!(error.kind(), ErrorKind::State);
        }
    }
}

#[test]
fn a_key_is_free_once_its_row_is_gone() {
    let mut kept = open(None, &["unique"]).unwrap();
    let name = RelationName::table("t");
    let table = kept.table(&name, "s").unwrap();
    let place = Place::Passed(vec![Some(b"k".to_vec()), None]);
    kept.keep(&table, Some(b"1"), &place).unwrap();
    assert_eq!(kept.holder(&table, 0, b"k").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(kept.holder(&table, 1, b"k").unwrap(), None);
    let state = kept.snapshot().unwrap();
    kept.free(&table, b"1", &place).unwrap();
    assert_eq!((kept.holder(&table, 0, b"k").unwrap(), kept.place(&table, b"1").unwrap()), (None, None));
    let mut kept = open(Some(&state), &["unique"]).unwrap();
    assert_eq!(kept.place(&table, b"1").unwrap(), Some(place));
}

#[test]
fn a_table_that_is_renamed_keeps_its_keys_and_an_emptied_one_does_not() {
    let mut kept = open(None, &["unique"]).unwrap();
    let mut table = kept.table(relation().name(), "s").unwrap();
    table.rows = 1;
    kept.put_table(relation().name(), &table).unwrap();
    kept.keep(&table, None, &Place::Passed(vec![Some(b"k".to_vec())])).unwrap();
    let renamed = std::sync::Arc::new(relation().renamed(RelationName::table("u")));
    let from = relation().name().clone();
    kept.follow(&SchemaChange::new(renamed.clone(), Change::RenameTable { from })).unwrap();
    let table = kept.table(renamed.name(), "s").unwrap();
    assert_eq!((table.rows, kept.holder(&table, 0, b"k").unwrap()), (1, Some(Vec::new())));
    kept.follow(&SchemaChange::new(renamed.clone(), Change::Truncate)).unwrap();
    let table = kept.table(renamed.name(), "s").unwrap();
    assert_eq!((table.rows, kept.holder(&table, 0, b"k").unwrap()), (0, None));
    kept.follow(&SchemaChange::new(renamed, Change::DropTable)).unwrap();
    assert_eq!(kept.tables().unwrap(), Vec::new());
}

#[test]
fn other_rules_and_other_columns_than_those_of_the_checkpoint_are_refused() {
    let mut kept = open(None, &["unique"]).unwrap();
    let name = RelationName::table("t");
    kept.table(&name, "one").unwrap();
    let changed = kept.table(&name, "two").unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Schema);
    let state = kept.snapshot().unwrap();
    assert!(open(Some(&state), &["unique"]).is_ok());
    for rules in [vec![], vec!["unique", "reference"], vec!["reference"]] {
        let refused = open(Some(&state), &rules).err().unwrap();
        assert!(refused.kind() == ErrorKind::State && refused.setting() == Some("rules"), "{refused:?}");
    }
    // A checkpoint of a time without such rules.
    assert!(open(Some(&aqueduct_model::State::default()), &["unique"]).is_err());
}
