//! Kept rows against a plain list of them, through crashes and with damaged files.

use std::path::Path;
use std::sync::Arc;

use aqueduct_model::{ErrorKind, Relation, RelationName, State};
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;

use super::table::Table;
use super::{Spool, SpoolSettings};

fn relation(table: &str) -> Arc<Relation> {
    let columns = Schema::new(vec![Field::new("n", DataType::Int64, false), Field::new("s", DataType::Utf8, true)]);
    Arc::new(Relation::new(RelationName::table(table), Arc::new(columns), &["n"], 1).unwrap())
}

fn rows(numbers: &[i64]) -> RecordBatch {
    let texts: StringArray = numbers.iter().map(|n| (n % 3 != 0).then(|| format!("text {n}"))).collect();
    let columns = relation("a").columns().clone();
    RecordBatch::try_new(columns, vec![Arc::new(Int64Array::from(numbers.to_vec())), Arc::new(texts)]).unwrap()
}

fn open(folder: Option<&Path>, memory_bytes: usize, state: Option<&State>) -> aqueduct_model::Result<Spool> {
    Spool::open(SpoolSettings { folder: folder.map(Into::into), memory_bytes }, state)
}

fn numbers(spool: &Spool, table: &Table) -> Vec<i64> {
    let mut found = Vec::new();
    for batch in spool.view(table).read() {
        let batch = batch.unwrap();
        let numbers: Vec<i64> = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(batch, rows(&numbers));
        found.extend(numbers);
    }
    assert_eq!(found.len() as u64, table.num_rows());
    found
}

#[derive(Debug, Clone)]
enum Step {
    /// To one of three tables, so many rows.
    Push(usize, usize),
    Clear(usize),
    Checkpoint,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..3, 0usize..300).prop_map(|(table, rows)| Step::Push(table, rows)),
        1 => (0usize..3).prop_map(Step::Clear),
        3 => Just(Step::Checkpoint),
        2 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn what_a_checkpoint_names_comes_back(steps in steps(), on_disk: bool, small: bool) {
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let memory = if small && on_disk { 3_000 } else { 1 << 30 };
        let mut spool = open(folder, memory, None).unwrap();
        let names = ["a", "b", "c"];
        let mut model: [Vec<i64>; 3] = Default::default();
        let (mut saved, mut saved_model) = (None, model.clone());
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push(table, count) => {
                    let new: Vec<i64> = (next..next + count as i64).collect();
                    next += count as i64;
                    let place = spool.table(table % 2, &relation(names[table])).unwrap();
                    spool.push(place, rows(&new)).unwrap();
                    model[table].extend(new);
                }
                Step::Clear(table) => {
                    if let Some(place) = spool.place(table % 2, relation(names[table]).name()) {
                        spool.clear(place);
                    }
                    model[table].clear();
                }
                Step::Checkpoint => {
                    saved = Some(spool.snapshot().unwrap());
                    saved_model = model.clone();
                }
                Step::Crash => {
                    drop(spool);
                    spool = open(folder, memory, saved.as_ref()).unwrap();
                    model = saved_model.clone();
                }
            }
            for (i, expected) in model.iter().enumerate() {
                let found = spool.place(i % 2, relation(names[i]).name()).map(|place| numbers(&spool, &spool.tables()[place]));
                prop_assert_eq!(found.unwrap_or_default(), expected.clone());
            }
            if small && on_disk {
                prop_assert!(spool.held_bytes() <= memory + 3 * 2_048);
            }
        }
    }
}

#[test]
fn damage_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(Some(folder.path()), 1_000, None).unwrap();
    let place = spool.table(0, &relation("a")).unwrap();
    for from in 0..20 {
        spool.push(place, rows(&(from * 50..(from + 1) * 50).collect::<Vec<_>>())).unwrap();
    }
    let state = spool.snapshot().unwrap();
    drop(spool);
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "{files:?}");
    let whole = std::fs::read(&files[0]).unwrap();
    let all = |state: &State| -> aqueduct_model::Result<usize> {
        let spool = open(Some(folder.path()), 1_000, Some(state))?;
        let read = spool.view(&spool.tables()[0]).read().collect::<aqueduct_model::Result<Vec<_>>>()?;
        Ok(read.iter().map(RecordBatch::num_rows).sum())
    };
    assert_eq!(all(&state).unwrap(), 1_000);
    for at in [0, 9, 17, 25, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&files[0], bytes).unwrap();
        assert_eq!(all(&state).unwrap_err().kind(), ErrorKind::State, "byte {at}");
    }
    std::fs::write(&files[0], &whole[..whole.len() - 1]).unwrap();
    assert_eq!(all(&state).unwrap_err().kind(), ErrorKind::State);
    std::fs::write(&files[0], &whole).unwrap();
    let mut bytes = state.0.clone();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(all(&State(bytes)).unwrap_err().kind(), ErrorKind::State);
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(all(&state).unwrap_err().kind(), ErrorKind::State);
}

#[test]
fn an_older_checkpoint_can_be_gone_back_to_and_old_files_go_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(Some(folder.path()), 1 << 30, None).unwrap();
    let place = spool.table(0, &relation("a")).unwrap();
    spool.push(place, rows(&[1, 2, 3])).unwrap();
    let first = spool.snapshot().unwrap();
    spool.clear(place);
    for n in 0..20 {
        spool.push(place, rows(&[n])).unwrap();
        spool.snapshot().unwrap();
    }
    drop(spool);
    let mut spool = open(Some(folder.path()), 1 << 30, Some(&first)).unwrap();
    assert_eq!(numbers(&spool, &spool.tables()[0]), [1, 2, 3]);
    spool.clear(0);
    for _ in 0..30 {
        spool.snapshot().unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn rows_of_other_columns_and_rows_that_do_not_fit_are_refused() {
    let mut spool = open(None, 100, None).unwrap();
    let place = spool.table(0, &relation("a")).unwrap();
    let error = spool.push(place, rows(&(0..100).collect::<Vec<_>>())).unwrap_err();
    assert!(error.hint().unwrap().contains("raise `memory`"), "{error:?}");
    let other = Arc::new(Schema::new(vec![Field::new("n", DataType::Utf8, false)]));
    let other = Arc::new(Relation::new(RelationName::table("a"), other, &["n"], 2).unwrap());
    assert_eq!(spool.table(0, &other).unwrap_err().kind(), ErrorKind::Schema);
    assert_eq!(spool.table(1, &other).unwrap(), 1);
}
