//! Missing rights and settings: all of them at once, each with its statement.

use aqueduct_model::ErrorKind;
use aqueduct_test_servers::Options;

use super::*;
use crate::mysql::doctor::findings;

/// A user with these rights on the whole server and on the database.
fn user(database: &Database<'_>, name: &str, global: &str, local: &str) -> String {
    database.sql(&format!("DROP USER IF EXISTS {name}; CREATE USER {name} IDENTIFIED BY '{name}'"));
    if !global.is_empty() {
        database.sql(&format!("GRANT {global} ON *.* TO {name}"));
    }
    if !local.is_empty() {
        database.sql(&format!("GRANT {local} ON `{}`.* TO {name}", database.name()));
    }
    database.url(name)
}

#[tokio::test]
async fn every_missing_right_is_named_with_its_grant() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
        let monitor = if kind == Kind::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
        let name = format!("u_{}", database.name());
        let table = format!("{}.t", database.name());
        let both = format!("REPLICATION SLAVE, {monitor}");
        for (global, local, missing) in [
            ("", "", &["REPLICATION SLAVE", monitor, "SELECT"][..]),
            (both.as_str(), "", &["SELECT"][..]),
            ("REPLICATION SLAVE", "SELECT", &[monitor][..]),
            (monitor, "SELECT", &["REPLICATION SLAVE"][..]),
            (both.as_str(), "INSERT", &["SELECT"][..]),
        ] {
            let url = user(&database, &name, global, local);
            let mut system = MysqlSystem::new(settings(&url, &[&table]));
            let error = system.connect().await.expect_err("rights are missing");
            assert_eq!(error.kind(), ErrorKind::Auth, "{kind:?} {global} {local}: {error:?}");
            let hint = error.hint().expect("a hint");
            for privilege in missing {
                let target =
                    if *privilege == "SELECT" { format!("`{}`.`t`", database.name()) } else { "*.*".to_owned() };
                let grant = format!("GRANT {privilege} ON {target} TO '{name}'@'%';");
                assert!(hint.contains(&grant), "{kind:?}: {grant} is not in:\n{hint}");
            }
            assert_eq!(hint.lines().count(), missing.len(), "{kind:?}: nothing else: {hint}");
            // What the hint says helps.
            for statement in hint.lines() {
                database.sql(statement.trim_end_matches(';'));
            }
            let mut system = MysqlSystem::new(settings(&url, &[&table]));
            system.connect().await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            let relations = relations(&mut system).await;
            assert_eq!(relations.len(), 1);
            let mark = system.end_of_log().await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            system.start(&mark, &relations).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            read_all(&mut system, false).await;
            let mut reader = system.reader().await.expect("a reader");
            let all = crate::cdc::capture::KeyRange { after: None, up_to: None };
            use crate::cdc::capture::TableReader;
            reader
                .read_chunk(&relations[0], &all, &mark, &mut Vec::new())
                .await
                .unwrap_or_else(|error| panic!("{kind:?}: no more rights are needed: {error:?}"));
            system.close().await.expect("closes");
        }
        database.sql(&format!("DROP USER {name}"));
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named_with_its_statement() {
    for (kind, line, statement) in [
        (Kind::MariaDb, "skip-log-bin", "log_bin=binlog"),
        (Kind::MySql8, "skip-log-bin", "log_bin=binlog"),
        (Kind::MariaDb, "binlog-format=MIXED", "SET GLOBAL binlog_format='ROW';"),
        (Kind::MySql8, "binlog-format=STATEMENT", "SET GLOBAL binlog_format='ROW';"),
        (Kind::MySql8, "binlog-row-value-options=PARTIAL_JSON", "SET GLOBAL binlog_row_value_options='';"),
        (Kind::MariaDb, "binlog-ignore-db=shop", "remove binlog_ignore_db=shop"),
        (Kind::MySql8, "binlog-do-db=other", "put binlog_do_db=shop"),
        (Kind::MySql8, "server-id=0", "SET GLOBAL server_id=1;"),
    ] {
        let server = Server::start(kind, Options::new().config(line));
        let database = server.named_database("shop");
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let mut system = MysqlSystem::new(settings(&database.url("cdc"), &["shop.t"]));
        let error = system.connect().await.expect_err(line);
        assert_eq!(error.kind(), ErrorKind::Config, "{kind:?} {line}: {error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains(statement)), "{kind:?} {line}: {error:?}");
    }
}

#[tokio::test]
async fn limits_are_found_and_do_not_prevent() {
    for (kind, line, statement) in [
        (Kind::MariaDb, "binlog-row-image=MINIMAL", "SET GLOBAL binlog_row_image='FULL';"),
        (Kind::MySql8, "binlog-row-image=NOBLOB", "SET GLOBAL binlog_row_image='FULL';"),
        (Kind::MySql8, "binlog-expire-logs-seconds=3600", "SET GLOBAL binlog_expire_logs_seconds=604800;"),
        (Kind::MariaDb, "expire-logs-days=0.01", "SET GLOBAL binlog_expire_logs_seconds=604800;"),
    ] {
        let server = Server::start(kind, Options::new().config(line));
        let database = server.named_database("shop");
        database.sql("CREATE TABLE t (id int) ENGINE=MyISAM");
        let settings = settings(&database.url("cdc"), &["shop.t"]);
        MysqlSystem::new(settings.clone()).connect().await.unwrap_or_else(|error| panic!("{kind:?} {line}: {error:?}"));
        let found = findings(&settings).await;
        for fix in [statement, "ENGINE=InnoDB", "PRIMARY KEY"] {
            let is_found = found
                .iter()
                .any(|finding| !finding.ok && finding.fix.as_deref().is_some_and(|have| have.contains(fix)));
            assert!(is_found, "{kind:?} {line}: {fix} is not in {found:#?}");
        }
    }
}

#[tokio::test]
async fn cascades_are_never_silent() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql(
            "CREATE TABLE p (id int PRIMARY KEY);
             CREATE TABLE c (id int PRIMARY KEY, p int, CONSTRAINT fk_cp FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
        );
        let pattern = format!("{}.*", database.name());
        let refuse = settings(&database.url("cdc"), &[&pattern]);
        let error = MysqlSystem::new(refuse.clone()).connect().await.expect_err("a cascade");
        let fix = format!("ALTER TABLE `{}`.`c` DROP FOREIGN KEY `fk_cp`;", database.name());
        assert!(error.hint().is_some_and(|hint| hint.contains(&fix)), "{error:?}");
        let warn = MysqlSettings { cascade: Cascade::Warn, ..refuse };
        MysqlSystem::new(warn).connect().await.expect("a warning only");
    }
}
