//! Positions that are lost are never gone on from.

use aqueduct_model::{Error, ErrorKind};
use aqueduct_test_servers::Options;

use super::*;

async fn refused(settings: &Settings, from: &PostgresMark) -> Error {
    let mut system = PostgresSystem::new(settings.clone());
    system.connect().await.unwrap_or_else(|error| panic!("{error:?}"));
    let error = system.start(from, &[]).await.expect_err("the position is lost");
    system.close().await.expect("a close");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn case_081_083_slots_and_servers_that_are_not_the_ones_that_were_left() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "lost")).await;
        capture.system.close().await.expect("a close");
        let (settings, begin, slot) = (capture.settings.clone(), capture.begin.clone(), capture.settings.slot());
        let other = |change: fn(&mut PostgresMark)| {
            let mut mark = begin.clone();
            change(&mut mark);
            mark
        };
        for (from, text) in [
            (other(|mark| mark.log.system = "1".into()), "another server"),
            (other(|mark| mark.log.timeline = 9), "timeline"),
            (other(|mark| mark.lsn.0 += 1 << 40), "older backup"),
        ] {
            let error = refused(&settings, &from).await;
            assert_eq!(error.kind(), ErrorKind::LostPosition);
            assert!(error.to_string().contains(text), "{error}");
        }
        // Moved on by somebody else.
        database.sql("INSERT INTO t VALUES (1)");
        database.sql(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"));
        assert!(refused(&settings, &begin).await.to_string().contains("begins at"));
        // Dropped, and made anew by somebody.
        database.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
        let error = refused(&settings, &begin).await;
        assert!(error.to_string().contains("no longer exists"), "{error}");
        assert_eq!(error.setting(), Some("on_lost_position"));
        database.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
        assert!(refused(&settings, &begin).await.to_string().contains("made anew"));
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_082_a_slot_that_the_server_gave_up_is_made_anew_only_for_a_new_beginning() {
    for kind in KINDS {
        let options = Options::new()
            .config("max_slot_wal_keep_size='1MB'")
            .config("min_wal_size='32MB'")
            .config("max_wal_size='32MB'");
        let server = tokio::task::spawn_blocking(move || Server::start(kind, options)).await.expect("a server");
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (v text)");
        let mut settings = settings(&database, "given-up");
        settings.tables = vec!["t".to_owned()];
        let mut capture = Capture::begin(settings).await;
        capture.system.close().await.expect("a close");
        for _ in 0..3 {
            database.sql("INSERT INTO other SELECT repeat(md5(i::text), 30) FROM generate_series(1, 20000) i; SELECT pg_switch_wal(); CHECKPOINT");
        }
        let error = refused(&capture.settings, &capture.begin).await;
        assert_eq!(error.kind(), ErrorKind::LostPosition);
        assert!(error.to_string().contains("gave the replication slot"), "{error}");
        let mut again = Capture::begin(capture.settings.clone()).await;
        database.sql("INSERT INTO t VALUES (1, 'a')");
        assert_eq!(again.texts().await, ["t + 1|a"]);
        again.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_084_a_slot_in_use_names_its_reader() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let capture = Capture::begin(settings(&database, "in-use")).await;
        let error = refused(&capture.settings, &capture.begin).await;
        assert_eq!(error.kind(), ErrorKind::Throttled);
        let slot = capture.settings.slot();
        let pid = database.text(&format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'"));
        assert!(error.to_string().contains(&format!("with pid {pid}")), "{error}");
        let findings = crate::postgres::doctor::check(&capture.settings).await;
        let said = findings.iter().find(|finding| finding.what.contains("is active for the session of"));
        assert!(said.is_some_and(|said| said.what.contains(&pid) && said.fix.is_some()), "{findings:?}");
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_097_a_server_that_restarts_is_gone_on_from() {
    let server =
        tokio::task::spawn_blocking(|| Server::start(Kind::Postgres15, Options::new())).await.expect("a server");
    let database = server.database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut capture = Capture::begin(settings(&database, "restart")).await;
    let mut from = capture.begin.clone();
    for id in 0..4 {
        // An orderly stop waits until the readers of the log have confirmed all of it.
        let (mut bad, system) = (bad_rows(), &mut capture.system);
        let broken = async {
            loop {
                match system.next(&budget(false), &mut bad).await {
                    Ok(item) => {
                        if let Some(mark) = boundary(&item) {
                            system.durable(mark).await.expect("durable");
                            from = mark.clone();
                        }
                    }
                    Err(error) => return error,
                }
            }
        };
        let error = std::thread::scope(|scope| {
            let stopper = scope.spawn(|| if id % 2 == 0 { server.kill() } else { server.stop() });
            let error = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(broken));
            stopper.join().expect("a stop");
            error
        });
        assert_eq!(error.kind().directive(), aqueduct_model::Directive::Retry, "{error:?}");
        server.restart();
        let mut again = PostgresSystem::new(capture.settings.clone());
        again.connect().await.unwrap_or_else(|error| panic!("{error:?}"));
        let tables = relations(&mut again).await;
        again.start(&from, &tables).await.unwrap_or_else(|error| panic!("{error:?}"));
        capture.system = again;
        database.sql(&format!("INSERT INTO t VALUES ({id})"));
        let items = capture.read().await;
        assert_eq!(texts(&items), [format!("t + {id}")]);
        from = items.iter().filter_map(boundary).next_back().expect("a mark").clone();
        capture.system.durable(&from).await.expect("durable");
    }
    capture.end().await;
}
