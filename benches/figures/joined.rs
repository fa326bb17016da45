//! A join of two tables over a million changes, beside a full recomputation in DuckDB at a hundred cuts; at
//! every tenth the operator is dropped and goes on from its checkpoint.
//!
//! `AQUEDUCT_FIGURES_JOIN_CHANGES` sets the number (1,000,000): 60 % inserts, 30 % updates, 10 % deletes, one in twenty of
//! them of a customer, the others of an order. Updates come without their old row, deletes by key.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::*;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt8Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use async_trait::async_trait;
use futures::executor::block_on;

use crate::csv_data::scatter;
use crate::figure::{Bound, Figure, progress};
use crate::usage::own_cpu_seconds;

const CUTS: u64 = 100;
const CUTS_PER_RESTART: u64 = 10;
const BATCH: u64 = 2_000;
/// One in so many changes is of a customer.
const CUSTOMERS_EVERY: u64 = 20;
const CUSTOMERS: u64 = 50_000;
const REGIONS: u64 = 500;
const JOIN: &str =
    "SELECT o.id, o.a AS customer, o.b AS amount, c.a AS region FROM orders o JOIN customers c ON o.a = c.id";

/// What a row has besides its key: a customer and an amount, or a region and nothing.
type Row = (i64, i64);
/// Rows that changed since the last cut.
type Touched = HashMap<i64, Option<Row>>;

pub fn measure() -> Vec<Figure> {
    let changes =
        std::env::var("AQUEDUCT_FIGURES_JOIN_CHANGES").map_or(1_000_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let duck = duckdb::Connection::open_in_memory().expect("DuckDB");
    duck.execute_batch(
        "CREATE TABLE orders (id BIGINT, a BIGINT, b BIGINT); CREATE TABLE customers (id BIGINT, a BIGINT, b BIGINT);
         CREATE TABLE found (id BIGINT, customer BIGINT, amount BIGINT, region BIGINT)",
    )
    .expect("tables");
    let mut tables = [Made::new("orders", ["customer", "amount"]), Made::new("customers", ["region", "rank"])];
    let mut operator = open(folder.path(), None);
    let (mut found, mut cpu, mut cuts, mut done) = (Found::default(), 0.0, 0, 0);
    while done < changes {
        let size = BATCH.min(changes - done);
        let of_customers = size / CUSTOMERS_EVERY;
        let batches =
            [tables[0].batch(done, size - of_customers), tables[1].batch(done + size - of_customers, of_customers)];
        let begun = own_cpu_seconds();
        for (port, batch) in batches.into_iter().enumerate() {
            block_on(operator.process(InputPort(port), batch, &mut found)).expect("a batch");
        }
        cpu += own_cpu_seconds() - begun;
        done += size;
        // A random one of the batches between two cuts.
        let is_last = done == changes || (done + BATCH) * CUTS / changes > cuts + 1;
        if done * CUTS / changes > cuts && (is_last || scatter(done).is_multiple_of(3)) {
            cuts += 1;
            let begun = own_cpu_seconds();
            let state = block_on(operator.snapshot(Epoch(cuts))).expect("a checkpoint");
            cpu += own_cpu_seconds() - begun;
            if cuts.is_multiple_of(CUTS_PER_RESTART) {
                drop(operator);
                operator = open(folder.path(), Some(state));
            }
            assert_eq!(differences(&duck, &mut tables, &mut found), 0, "at {done} changes");
        }
    }
    let pairs: i64 = duck.query_row("SELECT count(*) FROM found", [], |row| row.get(0)).expect("a number");
    progress(&format!(
        "joined: {done} changes, {pairs} pairs left, {} changes out, {cuts} cuts equal to DuckDB's, {:.2} CPU-seconds per million",
        found.changes,
        cpu * 1e6 / done as f64
    ));
    let rate = done as f64 / cpu;
    vec![Figure::new("joined: changes into Join, on disk", "changes/CPU-s", Bound::AtLeast(100_000.0), vec![rate])]
}

fn open(folder: &Path, state: Option<State>) -> Box<dyn Operator> {
    let entry = aqueduct_operators::ENTRIES.iter().find(|entry| entry.name == "Join").expect("built in");
    let Build::Operator { build } = entry.build else { panic!("Join is an operator") };
    let config = serde_json::json!({
        "mode": "changelog", "on": [{ "customer": "id" }], "select": ["id", "customer", "amount", "region"],
    });
    let mut operator = build(&config).expect("good settings");
    let context = OperatorContext {
        inputs: vec!["orders".into(), "customers".into()],
        state_dir: Some(folder.to_owned()),
        ..OperatorContext::default()
    };
    block_on(operator.open(&context, state)).expect("opens");
    operator
}

/// A table that is changed.
struct Made {
    relation: Arc<Relation>,
    is_orders: bool,
    ids: Vec<i64>,
    next: i64,
    touched: Touched,
}

impl Made {
    fn new(name: &str, others: [&str; 2]) -> Self {
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let columns = Arc::new(Schema::new(vec![number("id"), number(others[0]), number(others[1])]));
        let relation = Relation::new(RelationName::table(name), columns, &["id"], 1).expect("a relation");
        let is_orders = name == "orders";
        Self { relation: Arc::new(relation), is_orders, ids: Vec::new(), next: 0, touched: Touched::new() }
    }

    fn batch(&mut self, first: u64, size: u64) -> Batch {
        let (mut ops, mut ids, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for n in first..first + size {
            let bits = scatter(n);
            let one = (bits >> 8) as i64;
            let row = match self.is_orders {
                true => (one % CUSTOMERS as i64 + 1, (bits >> 20) as i64 % 1_000),
                false => (one % REGIONS as i64, 0),
            };
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
            self.touched.insert(id, row);
            ops.push(op as u8);
            ids.push(id);
            rows.push(row);
        }
        let present = BooleanArray::from(rows.iter().map(Option::is_some).collect::<Vec<_>>());
        let cells = |cell: fn(Row) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| cell(row.unwrap_or_default()))))
        };
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), cells(|row| row.0), cells(|row| row.1)];
        let rows = RecordBatch::try_new(self.relation.columns().clone(), columns).expect("rows");
        let batch = Batch::changes(self.relation.clone(), rows, UInt8Array::from(ops)).expect("changes");
        [1, 2].into_iter().fold(batch, |batch, column| batch.with_present(column, present.clone()).expect("a mask"))
    }
}

/// Pairs that changed since the last cut, by the order's id.
#[derive(Default)]
struct Found {
    touched: HashMap<i64, Option<[i64; 3]>>,
    changes: u64,
}

#[async_trait]
impl Output for Found {
    async fn emit(&mut self, _: OutputPort, batch: Batch) -> Result<()> {
        assert_eq!(batch.relation().key(), [0], "one pair per order");
        let column = |i: usize| batch.rows().column(i).as_primitive::<Int64Type>().values();
        for i in 0..batch.num_rows() {
            let pair = match batch.op(i) {
                Op::Insert | Op::UpdateAfter => Some([column(1)[i], column(2)[i], column(3)[i]]),
                Op::UpdateBefore | Op::Delete => None,
            };
            self.touched.insert(column(0)[i], pair);
        }
        self.changes += batch.num_rows() as u64;
        Ok(())
    }

    async fn announce(&mut self, _: OutputPort, _: SchemaChange) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        Err(Error::bug(format!("a row was refused: {:?}", row.reasons)))
    }
}

/// In how many rows what came out differs from the join of the tables as they are, by DuckDB.
fn differences(duck: &duckdb::Connection, tables: &mut [Made; 2], found: &mut Found) -> i64 {
    for (name, made) in ["orders", "customers"].into_iter().zip(tables) {
        let rows = made.touched.drain().map(|(id, row)| (id, row.map(|(a, b)| vec![a, b])));
        bring_up(duck, name, rows);
    }
    bring_up(duck, "found", found.touched.drain().map(|(id, pair)| (id, pair.map(|pair| pair.to_vec()))));
    let sql = format!(
        "SELECT count(*) FROM ((({JOIN}) EXCEPT ALL (FROM found)) UNION ALL ((FROM found) EXCEPT ALL ({JOIN})))"
    );
    duck.query_row(&sql, [], |row| row.get(0)).expect("a number")
}

/// Replaces rows by id; those without cells go.
fn bring_up(duck: &duckdb::Connection, table: &str, rows: impl Iterator<Item = (i64, Option<Vec<i64>>)>) {
    duck.execute_batch(&format!("CREATE OR REPLACE TEMP TABLE stage AS SELECT *, false AS gone FROM {table} LIMIT 0"))
        .expect("an empty stage");
    let width: usize = duck
        .query_row("SELECT count(*) FROM duckdb_columns() WHERE table_name = 'stage'", [], |row| row.get(0))
        .expect("a number");
    let mut stage = duck.appender("stage").expect("an appender");
    for (id, cells) in rows {
        let gone = cells.is_none();
        let mut row: Vec<Box<dyn duckdb::ToSql>> = vec![Box::new(id)];
        let cells = cells.unwrap_or_else(|| vec![0; width - 2]);
        row.extend(cells.into_iter().map(|cell| Box::new(cell) as Box<dyn duckdb::ToSql>));
        row.push(Box::new(gone));
        stage.append_row(duckdb::appender_params_from_iter(row)).expect("a row");
    }
    drop(stage);
    duck.execute_batch(&format!(
        "DELETE FROM {table} WHERE id IN (SELECT id FROM stage);
         INSERT INTO {table} SELECT * EXCLUDE (gone) FROM stage WHERE NOT gone"
    ))
    .expect("the changes");
}
