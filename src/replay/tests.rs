use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Change, Epoch, PollBudget, Polled, Position, Relation, RelationName, Result,
    SchemaChange, Source, SourceContext,
};
use arrow::array::{BooleanArray, Int64Array, RecordBatch, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use serde_json::json;

use super::recorded_source::RecordedSource;
use super::recording::RecordingSource;

/// A source that gives numbers up to a limit, two to a transaction.
struct Numbers {
    next: i64,
}

fn relation() -> Arc<Relation> {
    let columns =
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false), Field::new("v", DataType::Int64, true)]));
    let name = RelationName { catalog: None, schema: Some("s".into()), table: "t".into() };
    Arc::new(Relation::new(name, columns, &["n"], 3).expect("a relation"))
}

#[async_trait]
impl Source for Numbers {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.next = resume.and_then(|position| position.offset("n")).and_then(serde_json::Value::as_i64).unwrap_or(0);
        Ok(())
    }

    async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        self.next += 1;
        if self.next == 7 {
            let change = SchemaChange::new(relation(), Change::RenameTable { from: RelationName::table("old") });
            return Ok(Polled::Schema(SchemaChange { statement: Some("ALTER".into()), ..change }));
        }
        let (n, v) = (Int64Array::from(vec![self.next]), Int64Array::from(vec![None]));
        let rows = RecordBatch::try_new(relation().columns().clone(), vec![Arc::new(n), Arc::new(v)]).expect("rows");
        let batch = Batch::changes(relation(), rows, UInt8Array::from(vec![2]))?.with_ingested_at_ms(5);
        Ok(Polled::Batch(batch.with_present(1, BooleanArray::from(vec![false]))?))
    }

    fn position(&self) -> Option<Position> {
        (self.next % 2 == 0).then(|| Position::single("n", json!(self.next)))
    }
}

async fn read(source: &mut dyn Source, polls: usize) -> Vec<Polled> {
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let mut all = VecDeque::new();
    for _ in 0..polls {
        all.push_back(source.poll(&PollBudget::default(), &mut bad).await.expect("an element"));
        source.position();
    }
    all.into()
}

fn shown(polled: &Polled) -> String {
    match polled {
        Polled::Batch(batch) => format!(
            "{} {:?} {:?} {:?} {} {:?}",
            batch.relation().name(),
            batch.relation().key_names(),
            batch.rows().columns(),
            (0..batch.num_rows()).map(|row| batch.op(row)).collect::<Vec<_>>(),
            batch.ingested_at_ms(),
            batch.present(1)
        ),
        Polled::Schema(change) => format!("{:?} {:?} {:?}", change.relation, change.change, change.statement),
        other => format!("{other:?}"),
    }
}

/// Runs go on from where an epoch was committed: what they read twice is recorded once.
#[tokio::test]
async fn a_recording_is_what_a_run_without_restarts_would_have_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = || RecordingSource {
        inner: Box::new(Numbers { next: 0 }),
        folder: folder.path().join("rows"),
        files: Mutex::new(None),
    };
    let context = SourceContext::default();
    let at = |n: i64| Position::single("n", json!(n));
    let mut first = recording();
    first.open(&context, None).await.expect("open");
    read(&mut first, 5).await;
    first.on_checkpoint_durable(Epoch(2), &at(4)).await.expect("noted");
    let mut second = recording();
    second.open(&context, Some(&at(4))).await.expect("open");
    read(&mut second, 6).await;
    let mut unknown = recording();
    assert!(unknown.open(&context, Some(&at(40))).await.expect_err("a gap").hint().is_some());
    let mut plain = Numbers { next: 0 };
    let expected: Vec<String> = read(&mut plain, 10).await.iter().map(shown).collect();
    let mut replayed = RecordedSource::new(folder.path(), "rows");
    replayed.open(&context, None).await.expect("open");
    let found = read(&mut replayed, 11).await;
    assert_eq!(found[..10].iter().map(shown).collect::<Vec<_>>(), expected);
    assert!(matches!(found[10], Polled::Finished) && replayed.position().is_some());
    // A flow that starts over begins its recording anew.
    let mut over = recording();
    over.open(&context, None).await.expect("open");
    read(&mut over, 2).await;
    let mut replayed = RecordedSource::new(folder.path(), "rows");
    replayed.open(&context, Some(&Position::single("element", json!(1)))).await.expect("open");
    assert!(matches!(read(&mut replayed, 2).await[..], [Polled::Batch(_), Polled::Finished]));
}
