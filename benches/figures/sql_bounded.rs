//! Group, join and sort of many rows, beside the same query in DataFusion alone over the same batches; then a sort and a
//! join of five times their memory, which have to go through files.
//!
//! `AQUEDUCT_FIGURES_SQL_ROWS` sets the number (5,000,000). Both sides run on one partition, A B A B, and their rows are
//! counted and dropped. Ours includes taking the rows in.

use std::sync::Arc;

use aqueduct_model::*;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::csv_data::scatter;
use crate::figure::{Bound, Figure, progress};
use crate::usage::own_cpu_seconds;

const BATCH: u64 = 8_192;
const RUNS: usize = 9;
/// Rows of `orders` for each one of `customers`.
const ORDERS_PER_CUSTOMER: u64 = 10;
const REGIONS: u64 = 5_000;

const GROUP: &str = "select region, count(*) as orders, sum(amount) as total from orders group by region";
const JOIN: &str = "select o.id, o.amount, c.name from orders o join customers c on o.customer = c.id";
const SORT: &str = "select id, customer, region, amount from orders order by amount desc, id";

pub fn measure() -> Vec<Figure> {
    let rows = std::env::var("AQUEDUCT_FIGURES_SQL_ROWS").map_or(5_000_000, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tables = [orders(rows), customers(rows / ORDERS_PER_CUSTOMER)];
    let bytes: usize = tables.iter().flatten().map(Batch::memory_bytes).sum();
    let mut figures = Vec::new();
    for (name, query) in [("group", GROUP), ("join", JOIN), ("sort", SORT)] {
        let mut ratios = Vec::new();
        for _ in 0..RUNS {
            let begun = own_cpu_seconds();
            let got = runtime.block_on(ours(query, 8 << 30, &tables));
            let of_ours = own_cpu_seconds() - begun;
            let begun = own_cpu_seconds();
            let expected = runtime.block_on(plain(query, &tables));
            let of_plain = own_cpu_seconds() - begun;
            assert_eq!(got, expected, "rows of {name}");
            progress(&format!(
                "sql_bounded {name}: {of_ours:.3} CPU-seconds, plain DataFusion {of_plain:.3}, {got} rows out"
            ));
            ratios.push(of_ours / of_plain);
        }
        figures.push(Figure::new(
            format!("sql_bounded: {name} / DataFusion"),
            "CPU ratio",
            Bound::AtMost(1.15),
            ratios,
        ));
    }
    for (name, query) in [("join", JOIN), ("sort", SORT)] {
        let memory = bytes / 5;
        let begun = own_cpu_seconds();
        let got = runtime.block_on(ours(query, memory, &tables));
        assert_eq!(got, rows, "rows of {name} through files");
        let rate = rows as f64 / (own_cpu_seconds() - begun);
        progress(&format!("sql_bounded {name} of {} MiB in {} MiB done", bytes >> 20, memory >> 20));
        let title = format!("sql_bounded: {name} of 5 x its memory");
        figures.push(Figure::new(title, "rows/CPU-s", Bound::AtLeast(300_000.0), vec![rate]));
    }
    figures
}

fn table(
    name: &str,
    columns: Vec<Field>,
    rows: u64,
    cells: impl Fn(std::ops::Range<u64>) -> Vec<ArrayRef>,
) -> Vec<Batch> {
    let columns = Arc::new(Schema::new(columns));
    let relation = Relation::new(RelationName::table(name), columns.clone(), &["id"], 1).expect("a relation");
    let relation = Arc::new(relation);
    let batch = |from: u64| {
        let rows = RecordBatch::try_new(columns.clone(), cells(from..(from + BATCH).min(rows))).expect("rows");
        Batch::inserts(relation.clone(), rows).expect("a batch")
    };
    (0..rows).step_by(BATCH as usize).map(batch).collect()
}

fn orders(rows: u64) -> Vec<Batch> {
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let columns = vec![number("id"), number("customer"), Field::new("region", DataType::Utf8, false), number("amount")];
    let customers = (rows / ORDERS_PER_CUSTOMER).max(1);
    table("orders", columns, rows, |ids| {
        let numbers =
            |of: &dyn Fn(u64) -> u64| Arc::new(Int64Array::from_iter_values(ids.clone().map(|n| of(n) as i64)));
        vec![
            numbers(&|n| n),
            numbers(&|n| scatter(n) % customers),
            Arc::new(StringArray::from_iter_values(
                ids.clone().map(|n| format!("region {}", (scatter(n) >> 20) % REGIONS)),
            )),
            numbers(&|n| (scatter(n) >> 40) % 1_000_000),
        ]
    })
}

fn customers(rows: u64) -> Vec<Batch> {
    let columns = vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, false)];
    table("customers", columns, rows.max(1), |ids| {
        vec![
            Arc::new(Int64Array::from_iter_values(ids.clone().map(|n| n as i64))),
            Arc::new(StringArray::from_iter_values(ids.map(|n| format!("customer number {n}")))),
        ]
    })
}

/// Counts the rows.
#[derive(Default)]
struct Counted(u64);

#[async_trait]
impl Output for Counted {
    async fn emit(&mut self, _: OutputPort, batch: Batch) -> Result<()> {
        self.0 += batch.num_rows() as u64;
        Ok(())
    }

    async fn announce(&mut self, _: OutputPort, _: SchemaChange) -> Result<()> {
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        Err(Error::bug(format!("a row was refused: {:?}", row.reasons)))
    }
}

/// How many rows the operator `SQL` makes.
async fn ours(query: &str, memory: usize, tables: &[Vec<Batch>]) -> u64 {
    let entry = aqueduct_operators::ENTRIES.iter().find(|entry| entry.name == "SQL").expect("built in");
    let Build::Operator { build } = entry.build else { panic!("SQL is an operator") };
    let config: Value = json!({ "query": query, "memory": memory.to_string() });
    let mut operator = build(&config).expect("good settings");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let context = OperatorContext { state_dir: Some(folder.path().to_owned()), ..Default::default() };
    operator.open(&context, None).await.expect("opens");
    let mut counted = Counted::default();
    for (port, table) in tables.iter().enumerate() {
        for batch in table {
            // What a query does not name passes: it is not counted.
            if query.contains(&batch.relation().name().table) {
                operator.process(InputPort(port), batch.clone(), &mut counted).await.expect("a batch");
            }
        }
    }
    operator.finish(&mut counted).await.expect("an end");
    counted.0
}

/// How many rows DataFusion alone makes.
async fn plain(query: &str, tables: &[Vec<Batch>]) -> u64 {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for table in tables {
        let relation = table[0].relation();
        let rows = table.iter().map(|batch| batch.rows().clone()).collect();
        let rows = MemTable::try_new(relation.columns().clone(), vec![rows]).expect("rows");
        context.register_table(relation.name().table.as_str(), Arc::new(rows)).expect("a table");
    }
    let frame = context.sql(query).await.expect("the query is understood");
    let mut rows = frame.execute_stream().await.expect("the query starts");
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.expect("rows").num_rows() as u64;
    }
    count
}
