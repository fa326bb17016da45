//! Places that the log no longer has are always noticed, and never read past.

use aqueduct_model::{Error, ErrorKind};
use aqueduct_test_servers::Options;

use super::*;
use crate::mysql::cdc::mark::LogPlace;

/// Starts at a mark and reads; what comes of it.
async fn outcome(database: &Database<'_>, mark: &MysqlMark) -> Result<Vec<Item>> {
    let mut system = super::system(database);
    system.connect().await?;
    let relations = relations(&mut system).await;
    system.start(mark, &relations).await?;
    let end = system.end_of_log().await?;
    let read = try_read_to(&mut system, &end, false).await;
    system.close().await?;
    read
}

async fn must_be_lost(database: &Database<'_>, mark: &MysqlMark, situation: &str) -> Error {
    let error = match outcome(database, mark).await {
        Ok(items) => panic!("{situation}: went on, with {:?}", texts(&items)),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::LostPosition, "{situation}: {error:?}");
    assert_eq!(error.setting(), Some("on_lost_position"), "{situation}");
    assert!(error.to_string().contains(&mark.place.file), "{situation}: names what was wanted: {error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("on_lost_position: resnapshot")), "{situation}");
    error
}

/// A table, some rows, and a mark in the middle.
async fn marked(database: &Database<'_>) -> MysqlMark {
    database.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let (mut system, mark) = streaming(database).await;
    system.close().await.expect("closes");
    database.sql("INSERT INTO t VALUES (2)");
    mark
}

/// Deletes all files of the log but the newest, whose name it gives.
fn purge(database: &Database<'_>) -> String {
    let files =
        || -> Vec<String> { database.sql("SHOW BINARY LOGS").iter().filter_map(|row| row[0].clone()).collect() };
    let newest = files().pop().expect("a file");
    let dumps = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    // What a dump still reads is kept, and the server does not notice at once that a reader left.
    while files() != [newest.clone()] {
        for row in database.sql(dumps) {
            let id = row[0].clone().unwrap_or_default();
            drop(database.connect().run(&format!("KILL {id}")));
        }
        database.sql(&format!("PURGE BINARY LOGS TO '{newest}'"));
    }
    newest
}

#[tokio::test]
async fn a_purged_log() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new());
        let database = server.database();
        let mark = marked(&database).await;
        database.sql("FLUSH BINARY LOGS; INSERT INTO t VALUES (3); FLUSH BINARY LOGS");
        let newest = purge(&database);
        let error = must_be_lost(&database, &mark, "purged").await;
        assert!(error.to_string().contains(&newest), "{kind:?}: names the oldest that is there: {error}");
    }
}

#[tokio::test]
async fn a_reset_log() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new());
        let database = server.database();
        database.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
        let mark = marked(&database).await;
        database.sql("RESET MASTER");
        must_be_lost(&database, &mark, "reset").await;
        // As many transactions as before, and more: the names and numbers exist again.
        let values: Vec<String> = (100..200).map(|id| format!("INSERT INTO t VALUES ({id})")).collect();
        database.sql(&format!(
            "{}; FLUSH BINARY LOGS; {}",
            values.join(";"),
            values.join(";").replace("VALUES (1", "VALUES (2")
        ));
        database.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS; FLUSH BINARY LOGS");
        must_be_lost(&database, &mark, "reset and grown").await;
    }
}

#[tokio::test]
async fn an_older_copy_of_the_data() {
    for kind in KINDS {
        let database = server(kind).database();
        let mark = marked(&database).await;
        let beyond = |gtids: String, position: u64| MysqlMark {
            gtids,
            place: LogPlace::new(&mark.place.file, position),
            ..mark.clone()
        };
        let later = match kind {
            Kind::MariaDb => "0-1-999999999".to_owned(),
            _ => format!("{}:1-999999999", mark.gtids.split(':').next().expect("a uuid")),
        };
        must_be_lost(&database, &beyond(later.clone(), mark.place.position), "GTIDs that were never executed").await;
        must_be_lost(&database, &beyond(mark.gtids.clone(), 4_000_000_000), "behind the end of the file").await;
        must_be_lost(&database, &beyond(mark.gtids.clone(), mark.place.position + 1), "inside an event").await;
        let file = MysqlMark { place: LogPlace::new("binlog.999999", 4), ..mark.clone() };
        must_be_lost(&database, &file, "a file that is still to come").await;
        let elsewhere = MysqlMark { server: "another".to_owned(), gtids: later, ..mark.clone() };
        must_be_lost(&database, &elsewhere, "another server that lags behind").await;
    }
}

#[tokio::test]
async fn another_server() {
    for kind in KINDS {
        let database = server(kind).database();
        let mark = marked(&database).await;
        let without = MysqlMark { server: "another".to_owned(), gtids: String::new(), ..mark.clone() };
        let error = must_be_lost(&database, &without, "no GTIDs").await;
        assert!(error.to_string().contains("without GTIDs"), "{error}");
        let prepared = vec![super::super::mark::Prepared { xid: "61".to_owned(), at: Some(mark.place.clone()) }];
        let open = MysqlMark { server: "another".to_owned(), prepared, ..mark.clone() };
        must_be_lost(&database, &open, "XA transactions that were open elsewhere").await;
        // With GTIDs it is a failover, and nothing is lost.
        let with = MysqlMark { server: "another".to_owned(), place: LogPlace::new("other.000007", 99), ..mark };
        let items = outcome(&database, &with).await.unwrap_or_else(|error| panic!("{kind:?} {error:?}"));
        assert_eq!(texts(&items), ["+t 2"], "{kind:?}");
    }
}

#[tokio::test]
async fn gtids_that_mariadb_does_not_know() {
    let database = server(Kind::MariaDb).database();
    let mark = marked(&database).await;
    let unknown = MysqlMark { server: "another".to_owned(), gtids: "77-7-5".to_owned(), ..mark };
    must_be_lost(&database, &unknown, "an unknown domain").await;
}

#[tokio::test]
async fn a_purged_log_without_gtids() {
    let options = Options::new().config("gtid-mode=OFF").config("enforce-gtid-consistency=OFF");
    let server = Server::start(Kind::MySql8, options);
    let database = server.database();
    let mark = marked(&database).await;
    assert!(mark.gtids.is_empty());
    let items = outcome(&database, &mark).await.expect("it is there");
    assert_eq!(texts(&items), ["+t 2"]);
    database.sql("FLUSH BINARY LOGS; INSERT INTO t VALUES (3); FLUSH BINARY LOGS");
    let newest = purge(&database);
    let error = must_be_lost(&database, &mark, "purged").await;
    assert!(error.to_string().contains(&newest), "{error}");
}

#[tokio::test]
async fn a_second_reader_with_our_number_is_reported() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let numbered = || {
            let settings = settings(&database.url("cdc"), &[&format!("{}.t", database.name())]);
            MysqlSystem::new(MysqlSettings { server_id: Some(4_242), ..settings })
        };
        let mut systems = [numbered(), numbered()];
        for system in &mut systems {
            system.connect().await.expect("connects");
            let relations = relations(system).await;
            let mark = system.end_of_log().await.expect("the end");
            system.start(&mark, &relations).await.expect("starts");
            database.sql(&format!(
                "INSERT INTO t VALUES ({})",
                relations.len() + 1 + usize::from(database.number("SELECT COUNT(*) FROM t") > 0)
            ));
            let end = system.end_of_log().await.expect("the end");
            read_to(system, &end, false).await;
        }
        database.sql("INSERT INTO t VALUES (100)");
        let [first, second] = &mut systems;
        let end = second.end_of_log().await.expect("the end");
        assert_eq!(texts(&read_to(second, &end, false).await), ["+t 100"], "{kind:?}: the newer one goes on");
        let later = MysqlMark { place: LogPlace::new("binlog.999999", 4), ..end };
        let error = try_read_to(first, &later, false).await.expect_err("the older one was ended");
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("server_id")), "{kind:?}: {error:?}");
    }
}
