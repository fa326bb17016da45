//! Going on from every place.

use super::*;

/// Rows and boundaries: after which number of rows each boundary stands.
fn boundaries(items: &[Item]) -> Vec<(usize, PostgresMark)> {
    let mut rows = 0;
    let mut found = Vec::new();
    for item in items {
        rows += texts(std::slice::from_ref(item)).len();
        found.extend(boundary(item).map(|mark| (rows, mark.clone())));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn case_053_every_boundary_is_gone_on_from_without_gap_or_overlap() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "resume")).await;
        let mut session = database.connect();
        for id in 0..12 {
            session.sql(&format!("INSERT INTO t VALUES ({id}, 'a'), ({}, 'b')", id + 100));
            session.sql(&format!(
                "BEGIN; UPDATE t SET v = 'c' WHERE id = {id}; DELETE FROM t WHERE id = {}; COMMIT",
                id + 100
            ));
        }
        let end = capture.system.end_of_log().await.expect("the end");
        let items = read_to(&mut capture.system, &end, true).await;
        let all = texts(&items);
        assert_eq!(all.len(), 12 * 4);
        let tables = relations(&mut capture.system).await;
        let places = boundaries(&items);
        assert!(places.len() >= 24, "{}", places.len());
        for (rows, mark) in &places {
            let mark: PostgresMark = serde_json::from_str(&serde_json::to_string(mark).expect("JSON")).expect("a mark");
            capture.system.start(&mark, &tables).await.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(texts(&read_to(&mut capture.system, &end, false).await), all[*rows..], "from {}", mark.lsn);
        }
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_ends_exactly_where_it_is_told_to() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut capture = Capture::begin(settings(&database, "until")).await;
    for id in 0..6 {
        database.sql(&format!("INSERT INTO t VALUES ({id})"));
    }
    let end = capture.system.end_of_log().await.expect("the end");
    let items = read_to(&mut capture.system, &end, true).await;
    let all = texts(&items);
    let tables = relations(&mut capture.system).await;
    for (rows, mark) in boundaries(&items) {
        for single in [false, true] {
            capture.system.start(&capture.begin, &tables).await.expect("a start");
            let until = LogBudget { until: Some(mark.clone()), ..budget(single) };
            let (mut got, mut bad) = (Vec::new(), bad_rows());
            loop {
                let item = capture.system.next(&until, &mut bad).await.expect("an item");
                let is_end = matches!(&item, LogItem::Quiet(at) if *at == mark);
                got.push(item);
                if is_end {
                    break;
                }
            }
            assert_eq!(texts(&got), all[..rows], "until {}", mark.lsn);
            let rest = read_to(&mut capture.system, &end, false).await;
            assert_eq!(texts(&rest), all[rows..], "behind {}", mark.lsn);
        }
    }
    capture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_087_the_server_hears_of_durable_positions_and_of_no_others() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut capture = Capture::begin(settings(&database, "durable")).await;
    let slot = capture.settings.slot();
    let confirmed = || {
        let sql = format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");
        database.text(&sql).parse::<super::super::mark::Lsn>().expect("a place")
    };
    let before = confirmed();
    database.sql("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
    let items = capture.read().await;
    let marks: Vec<PostgresMark> = items.iter().filter_map(boundary).cloned().collect();
    assert!(confirmed() <= capture.begin.lsn.max(before), "nothing is durable yet");
    let last = marks.last().expect("a mark").clone();
    capture.system.durable(&last).await.expect("durable");
    capture.system.close().await.expect("a close");
    assert_eq!(confirmed(), last.lsn, "told at the latest when the stream ends");
    // Further back is gone now, and that is said.
    let mut again = PostgresSystem::new(capture.settings.clone());
    again.connect().await.expect("a connection");
    let error = again.start(&capture.begin, &[]).await.expect_err("a lost position");
    assert_eq!(error.kind(), aqueduct_model::ErrorKind::LostPosition);
    again.start(&last, &[]).await.expect("a start");
    again.close().await.expect("a close");
    capture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_086_an_idle_table_does_not_hold_the_log_back() {
    let server = shared(Kind::Postgres15);
    let (database, busy) = (server.database(), server.database());
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    busy.sql("CREATE TABLE t (id int)");
    let mut capture = Capture::begin(settings(&database, "idle")).await;
    for _ in 0..3 {
        busy.sql("INSERT INTO t SELECT * FROM generate_series(1, 5000)");
        let end = capture.system.end_of_log().await.expect("the end");
        let items = read_to(&mut capture.system, &end, false).await;
        assert!(items.iter().all(|item| matches!(item, LogItem::Quiet(_))));
        let mark = boundary(items.last().expect("an item")).expect("a mark");
        assert!(mark.lsn >= end.lsn);
        capture.system.durable(mark).await.expect("durable");
    }
    capture.end().await;
}
