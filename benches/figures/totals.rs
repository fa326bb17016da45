//! Totals per group over a million changes, beside a full recomputation in DuckDB at a hundred cuts; at every tenth the
//! operator is dropped and goes on from its checkpoint.
//!
//! `AQUEDUCT_FIGURES_TOTALS_CHANGES` sets the number (1,000,000): 60 % inserts, 30 % updates, 10 % deletes; updates come
//! without their old row, deletes by key, so that every row is remembered.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::*;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use futures::executor::block_on;

use crate::csv_data::scatter;
use crate::figure::{Bound, Figure, progress};
use crate::usage::own_cpu_seconds;

const CUTS: u64 = 100;
const CUTS_PER_RESTART: u64 = 10;
const BATCH: u64 = 2_000;
const REGIONS: u64 = 500;
const SQL: &str = "SELECT region, count(*), sum(amount)::BIGINT, min(amount), max(amount), count(DISTINCT amount),
    count(*) FILTER (WHERE amount > 500) FROM orders GROUP BY region";

/// A row: its region and amount.
type Row = (u64, i64);
/// Groups by region, their totals as text.
type Totals = BTreeMap<String, Vec<Option<String>>>;

pub fn measure() -> Vec<Figure> {
    let changes =
        std::env::var("AQUEDUCT_FIGURES_TOTALS_CHANGES").map_or(1_000_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let duck = duckdb::Connection::open_in_memory().expect("DuckDB");
    duck.execute_batch(
        "CREATE TABLE orders (id BIGINT, region VARCHAR, amount BIGINT);
         CREATE TABLE stage (id BIGINT, region VARCHAR, amount BIGINT, gone BOOLEAN)",
    )
    .expect("tables");
    let relation = relation();
    let mut made = Made { ids: Vec::new(), rows: HashMap::new(), next: 0 };
    let mut operator = open(folder.path(), None);
    let (mut found, mut touched, mut cpu, mut cuts) = (Folded::default(), HashMap::new(), 0.0, 0);
    let mut done = 0;
    while done < changes {
        let size = BATCH.min(changes - done);
        let batch = made.batch(&relation, done, size, &mut touched);
        let begun = own_cpu_seconds();
        block_on(operator.process(InputPort(0), batch, &mut found)).expect("a batch");
        cpu += own_cpu_seconds() - begun;
        done += size;
        // A random one of the batches between two cuts.
        if done * CUTS / changes > cuts
            && (scatter(done).is_multiple_of(3) || done == changes || (done + BATCH) * CUTS / changes > cuts + 1)
        {
            cuts += 1;
            let begun = own_cpu_seconds();
            let state = block_on(operator.snapshot(Epoch(cuts))).expect("a checkpoint");
            cpu += own_cpu_seconds() - begun;
            if cuts.is_multiple_of(CUTS_PER_RESTART) {
                drop(operator);
                operator = open(folder.path(), Some(state));
            }
            assert_eq!(found.totals(), recomputed(&duck, &mut touched), "at {done} changes");
        }
    }
    let rate = done as f64 / cpu;
    progress(&format!(
        "totals: {done} changes, {} rows left in {} groups, {cuts} cuts equal to DuckDB's, {:.2} CPU-seconds per million changes",
        made.rows.len(),
        found.totals().len(),
        cpu * 1e6 / done as f64
    ));
    vec![Figure::new(
        "totals: changes into Group, state on disk",
        "changes/CPU-s",
        Bound::AtLeast(300_000.0),
        vec![rate],
    )]
}

fn relation() -> Arc<Relation> {
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("region", DataType::Utf8, false),
        Field::new("amount", DataType::Int64, false),
    ]);
    Arc::new(Relation::new(RelationName::table("orders"), Arc::new(columns), &["id"], 1).expect("a relation"))
}

fn open(folder: &Path, state: Option<State>) -> Box<dyn Operator> {
    let entry = aqueduct_operators::ENTRIES.iter().find(|entry| entry.name == "Group").expect("built in");
    let Build::Operator { build } = entry.build else { panic!("Group is an operator") };
    let config = serde_json::json!({
        "by": ["region"],
        "totals": {
            "orders": "count(*)", "revenue": "sum(amount)", "least": "min(amount)", "dearest": "max(amount)",
            "prices": "count(distinct amount)", "large": "count(*) filter (where amount > 500)",
        },
    });
    let mut operator = build(&config).expect("good settings");
    let context = OperatorContext { state_dir: Some(folder.to_owned()), ..OperatorContext::default() };
    block_on(operator.open(&context, state)).expect("opens");
    operator
}

/// The table that is changed.
struct Made {
    ids: Vec<u64>,
    rows: HashMap<u64, Row>,
    next: u64,
}

impl Made {
    fn batch(
        &mut self,
        relation: &Arc<Relation>,
        first: u64,
        size: u64,
        touched: &mut HashMap<u64, Option<Row>>,
    ) -> Batch {
        let (mut ops, mut ids, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for n in first..first + size {
            let bits = scatter(n);
            let row: Row = ((bits >> 8) % REGIONS, (bits >> 20) as i64 % 1_000);
            let at = (bits >> 32) as usize % self.ids.len().max(1);
            let (op, id, row) = match bits % 10 {
                0 if !self.ids.is_empty() => (Op::Delete, self.ids.swap_remove(at), None),
                1..=3 if !self.ids.is_empty() => (Op::UpdateAfter, self.ids[at], Some(row)),
                _ => {
                    self.next += 1;
                    self.ids.push(self.next);
                    (Op::Insert, self.next, Some(row))
                }
            };
            match row {
                Some(row) => self.rows.insert(id, row),
                None => self.rows.remove(&id),
            };
            touched.insert(id, row);
            ops.push(op as u8);
            ids.push(id as i64);
            rows.push(row);
        }
        let present = BooleanArray::from(rows.iter().map(Option::is_some).collect::<Vec<_>>());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| region(row.unwrap_or_default().0)))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.unwrap_or_default().1))),
        ];
        let rows = RecordBatch::try_new(relation.columns().clone(), columns).expect("rows");
        let batch = Batch::changes(relation.clone(), rows, UInt8Array::from(ops)).expect("changes");
        [1, 2].into_iter().fold(batch, |batch, column| batch.with_present(column, present.clone()).expect("a mask"))
    }
}

fn region(number: u64) -> String {
    format!("region {number}")
}

/// What a target would hold.
#[derive(Default)]
struct Folded(Totals);

impl Folded {
    fn totals(&self) -> Totals {
        self.0.clone()
    }
}

#[async_trait]
impl Output for Folded {
    async fn emit(&mut self, _: OutputPort, batch: Batch) -> Result<()> {
        let texts: Vec<ArrayRef> =
            batch.rows().columns().iter().map(|column| cast(column, &DataType::Utf8).expect("text")).collect();
        for i in 0..batch.num_rows() {
            let mut cells = texts.iter().map(|text| {
                let text = text.as_string::<i32>();
                text.is_valid(i).then(|| text.value(i).to_owned())
            });
            let key = cells.next().flatten().expect("a region");
            match batch.op(i) {
                Op::Insert | Op::UpdateAfter => self.0.insert(key, cells.collect()),
                Op::UpdateBefore | Op::Delete => self.0.remove(&key),
            };
        }
        Ok(())
    }

    async fn announce(&mut self, _: OutputPort, _: SchemaChange) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        Err(Error::bug(format!("a row was refused: {:?}", row.reasons)))
    }
}

/// All groups, by DuckDB, from the rows as they are now.
fn recomputed(duck: &duckdb::Connection, touched: &mut HashMap<u64, Option<Row>>) -> Totals {
    duck.execute_batch("DELETE FROM stage").expect("an empty stage");
    let mut stage = duck.appender("stage").expect("an appender");
    for (id, row) in touched.drain() {
        let (number, amount) = row.unwrap_or_default();
        stage.append_row(duckdb::params![id, region(number), amount, row.is_none()]).expect("a row");
    }
    drop(stage);
    duck.execute_batch(
        "DELETE FROM orders WHERE id IN (SELECT id FROM stage);
         INSERT INTO orders SELECT id, region, amount FROM stage WHERE NOT gone",
    )
    .expect("the changes");
    let mut statement = duck.prepare(SQL).expect("a query");
    let rows = statement.query_map([], |row| {
        let number = |i: usize| row.get::<_, i64>(i).map(|number| Some(number.to_string()));
        Ok((row.get::<_, String>(0)?, (1..7).map(number).collect::<duckdb::Result<Vec<_>>>()?))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}
