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

/// Captures a whole database from now on, with a table `p` and a table `c` in it.
async fn with_parent(database: &Database<'_>, cascade: Cascade) -> MysqlSystem {
    database.sql("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int)");
    let settings = MysqlSettings { cascade, ..settings(&database.url("cdc"), &[&format!("{}.*", database.name())]) };
    let mut system = MysqlSystem::new(settings);
    system.connect().await.expect("connects");
    let relations = relations(&mut system).await;
    let mark = system.end_of_log().await.expect("the end");
    system.start(&mark, &relations).await.expect("starts");
    system
}

#[tokio::test]
async fn a_cascade_that_ddl_adds_is_never_silent() {
    for kind in KINDS {
        for (ddl, key) in [
            ("ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL", "`fk`"),
            ("ALTER TABLE c ADD COLUMN w int, ADD FOREIGN KEY (p) REFERENCES p (id) ON UPDATE CASCADE", "its name"),
        ] {
            let database = server(kind).database();
            let mut system = with_parent(&database, Cascade::Refuse).await;
            database.sql(ddl);
            let items = read_all(&mut system, true).await;
            let failed = items.iter().find_map(|item| match item {
                LogItem::Failed { table, error, .. } => Some((table.table.as_str(), error)),
                _ => None,
            });
            let Some(("c", error)) = failed else { panic!("{kind:?} {ddl}: {items:?}") };
            let hint = error.hint().expect("a hint");
            assert!(hint.contains(&format!("ALTER TABLE `{}`.`c` DROP FOREIGN KEY {key};", database.name())), "{hint}");
            assert!(hint.contains("`cascade: warn`"), "{hint}");
            system.close().await.expect("closes");

            let database = server(kind).database();
            let mut system = with_parent(&database, Cascade::Warn).await;
            database.sql(&format!("{ddl}; INSERT INTO p VALUES (1)"));
            let read = texts(&read_all(&mut system, true).await);
            assert_eq!(read.last().map(String::as_str), Some("+p 1"), "{kind:?} {ddl}");
            system.close().await.expect("closes");
        }
        // One that changes no rows of the child is nobody's affair.
        let database = server(kind).database();
        let mut system = with_parent(&database, Cascade::Refuse).await;
        database
            .sql("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id) ON DELETE RESTRICT; INSERT INTO p VALUES (1)");
        assert_eq!(texts(&read_all(&mut system, true).await), ["+p 1"], "{kind:?}");
        // A new table is refused while it has such a key, and not when it has none any more.
        database.sql("CREATE TABLE n (id int PRIMARY KEY, p int, CONSTRAINT fk_n FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)");
        let end = system.end_of_log().await.expect("the end");
        let error = try_read_to(&mut system, &end, true).await.expect_err("a cascade");
        let fix = format!("ALTER TABLE `{}`.`n` DROP FOREIGN KEY `fk_n`;", database.name());
        assert!(error.hint().is_some_and(|hint| hint.contains(&fix)), "{kind:?}: {error:?}");
        system.close().await.expect("closes");
    }
}

/// Everything that can be wrong with one server and one account at the same time.
#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    for (kind, lines, statements) in [
        (
            Kind::MySql8,
            &[
                "gtid-mode=OFF",
                "enforce-gtid-consistency=OFF",
                "binlog-format=STATEMENT",
                "binlog-row-image=MINIMAL",
                "binlog-row-value-options=PARTIAL_JSON",
                "binlog-expire-logs-seconds=3600",
                "sync-binlog=0",
                "server-id=0",
            ][..],
            &[
                "SET GLOBAL binlog_format='ROW';",
                "SET GLOBAL binlog_row_image='FULL';",
                "SET GLOBAL binlog_row_value_options='';",
                "SET GLOBAL binlog_expire_logs_seconds=604800;",
                "SET GLOBAL sync_binlog=1;",
                "SET GLOBAL server_id=1;",
                "SET GLOBAL gtid_mode=ON;",
                "GRANT REPLICATION CLIENT ON *.* TO 'poor'@'%';",
            ][..],
        ),
        (
            Kind::MariaDb,
            &[
                "binlog-format=MIXED",
                "binlog-row-image=MINIMAL",
                "binlog-annotate-row-events=OFF",
                "expire-logs-days=0.01",
                "sync-binlog=0",
            ][..],
            &[
                "SET GLOBAL binlog_format='ROW';",
                "SET GLOBAL binlog_row_image='FULL';",
                "SET GLOBAL binlog_annotate_row_events=ON;",
                "SET GLOBAL binlog_expire_logs_seconds=604800;",
                "SET GLOBAL sync_binlog=1;",
                "GRANT BINLOG MONITOR ON *.* TO 'poor'@'%';",
            ][..],
        ),
    ] {
        let mut options = Options::new();
        for line in lines {
            options = options.config(*line);
        }
        let server = Server::start(kind, options);
        let database = server.named_database("shop");
        database.sql(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE m (id int) ENGINE=MyISAM;
             CREATE TABLE c (id int PRIMARY KEY, p int, CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE);
             CREATE USER poor IDENTIFIED BY 'poor'; GRANT INSERT ON shop.* TO poor; GRANT SELECT ON shop.m TO poor",
        );
        let url = database.url("poor");
        let found = findings(&settings(&url, &["shop.*", "shop.gone", "else.*"])).await;
        let fixes: Vec<&str> =
            found.iter().filter(|finding| !finding.ok).filter_map(|finding| finding.fix.as_deref()).collect();
        let of_tables = [
            "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%';",
            "GRANT SELECT ON `shop`.`p` TO 'poor'@'%';",
            "GRANT SELECT ON `shop`.`gone` TO 'poor'@'%';",
            "GRANT SELECT ON `else`.* TO 'poor'@'%';",
            "ALTER TABLE `shop`.`m` ENGINE=InnoDB;",
            "ALTER TABLE `shop`.`m` ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY;",
            "ALTER TABLE `shop`.`c` DROP FOREIGN KEY `fk`;",
        ];
        for statement in statements.iter().chain(&of_tables) {
            assert!(fixes.iter().any(|fix| fix.contains(statement)), "{kind:?}: {statement} is not in {found:#?}");
        }
        let error = MysqlSystem::new(settings(&url, &["shop.*"])).connect().await.expect_err("nothing fits");
        assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    }
}
