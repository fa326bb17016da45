//! A row that is read from a table is the row that the binary log has, bit for bit.

use std::time::Duration;

use aqueduct_model::{BadRowPolicy, BadRows};
use arrow::compute::concat_batches;

use super::*;
use crate::cdc::capture::{LogBudget, LogItem, System};
use crate::mysql::cdc::{Cascade, MysqlSettings, MysqlSystem};

/// Captures all tables of a database.
fn system(database: &Database<'_>) -> MysqlSystem {
    MysqlSystem::new(MysqlSettings {
        address: Address::parse(&Secret::new(database.url("cdc")), Tls::default()).unwrap(),
        tables: vec![format!("{}.*", database.name())],
        zero_dates: ZeroDates::Null,
        cascade: Cascade::Refuse,
        server_id: None,
        heartbeat: std::time::Duration::from_secs(10),
    })
}

/// The rows that the log has from here to its end, by table.
async fn streamed(system: &mut MysqlSystem) -> Vec<aqueduct_model::Batch> {
    let end = system.end_of_log().await.unwrap();
    let budget = LogBudget {
        max_rows: 8_192,
        max_bytes: 8 << 20,
        max_wait: Duration::from_millis(100),
        single: false,
        until: None,
    };
    let mut bad = BadRows::new(BadRowPolicy::Fail, 1);
    let mut all = Vec::new();
    loop {
        let boundary = match system.next(&budget, &mut bad).await.unwrap() {
            LogItem::Rows { batches, boundary, .. } => {
                all.extend(batches);
                boundary
            }
            LogItem::Quiet(mark) => Some(mark),
            _ => panic!("rows alone were written"),
        };
        if boundary.is_some_and(|boundary| system.reached(&boundary, &end)) {
            return all;
        }
    }
}

#[tokio::test]
async fn a_row_that_is_read_is_the_row_of_the_log() {
    for server in SERVERS {
        let database = shared(server).database();
        (0..TYPES.len()).for_each(|case| drop(database.sql(&statements(case).0)));
        let mut system = system(&database);
        system.connect().await.unwrap();
        let relations: Vec<_> = system.tables().await.unwrap().into_iter().map(|table| table.relation).collect();
        let start = system.end_of_log().await.unwrap();
        system.start(&start, &relations).await.unwrap();
        (0..TYPES.len()).for_each(|case| drop(database.sql(&statements(case).1)));
        let batches = streamed(&mut system).await;
        system.close().await.unwrap();
        for (case, (column_type, _)) in TYPES.iter().enumerate() {
            let table = format!("t{case}");
            let (relation, read) = read(&database, &table, ZeroDates::Null).await;
            let of_table = batches.iter().filter(|batch| batch.relation().name().table == table);
            let logged: Vec<RecordBatch> = of_table.map(|batch| batch.rows().clone()).collect();
            let logged = concat_batches(relation.columns(), &logged).unwrap();
            let read = concat_batches(relation.columns(), &read).unwrap();
            assert_eq!(read, logged, "{server:?} {column_type}");
        }
    }
}
