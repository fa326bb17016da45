//! H. Connections and privileges.

use std::time::Duration;

use aqueduct_test_servers::{Direction, Fault, Kind, Options, Proxy, Server, certificates, shared_with};

use super::conformance::{each, on_each};
use super::g_positions::{fill, running};
use super::list::CASES;
use crate::harness::captured::Captured;

#[test]
fn case_092_tls() {
    on_each(CASES, 92, |kind| {
        let files = certificates();
        let options = |certificate| {
            let options = Options::new().tls_with(certificate);
            if kind.is_mysql() {
                options
            } else {
                options
                    .hba("hostnossl all tls_only 127.0.0.1/32 reject")
                    .hba("hostssl all certified 127.0.0.1/32 cert map=any")
            }
        };
        let server = shared_with(kind, options("server"));
        let tls = |server, user: &str, authority: &std::path::Path| {
            let case = verified(Captured::on(server), user, authority);
            fill(&case);
            case
        };
        let mut good = tls(server, "tls_only", &files.authority);
        if kind.is_mysql() {
            good.sql("CREATE USER IF NOT EXISTS 'tls_only'@'%' IDENTIFIED BY 'tls_only' REQUIRE SSL; GRANT ALL ON *.* TO 'tls_only'@'%'");
        } else {
            good.sql("DO $$BEGIN CREATE ROLE tls_only SUPERUSER REPLICATION LOGIN PASSWORD 'tls_only'; EXCEPTION WHEN duplicate_object THEN NULL; END$$");
        }
        good.start();
        good.settle();
        tls(server, "cdc", &files.other_authority).is_refused(&["certificate"]);
        let mut plain = Captured::on(server);
        fill(&plain);
        let url = plain.database.url("tls_only");
        if kind.is_mysql() {
            plain = plain.url(url).setting("tls: disabled");
        } else {
            plain = plain.url(format!("{url}?sslmode=disable"));
        }
        plain.start();
        plain.fails();
        for wrong in ["expired", "wrong-name"] {
            tls(shared_with(kind, options(wrong)), "cdc", &files.authority).is_refused(&["certificate"]);
        }
        let without = if kind == Kind::MySql8 { Options::new().config("tls-version=") } else { Options::new() };
        let server = shared_with(kind, without);
        let mut refused = tls(server, "cdc", &files.authority);
        refused.start();
        refused.fails();
    });
}

/// Over TLS only, and only to a server whose certificate this authority signed for this host.
pub fn verified<'a>(case: Captured<'a>, user: &str, authority: &std::path::Path) -> Captured<'a> {
    let url = case.database.url(user);
    if case.database.server().kind().is_mysql() {
        return case.url(url).setting("tls: verify_identity").setting(&format!("tls_ca: {authority:?}"));
    }
    case.url(format!("{url}?sslmode=verify-full&sslrootcert={}", authority.display()))
}

#[test]
fn case_093_password_plugins_and_odd_passwords() {
    on_each(CASES, 93, |kind| {
        let server = shared_with(
            kind,
            if kind == Kind::MariaDb { Options::new().config("plugin-load-add=auth_ed25519") } else { Options::new() },
        );
        let password = "p@ss:w/rd%#?é";
        let encoded = "p%40ss%3Aw%2Frd%25%23%3F%C3%A9";
        let users: &[(&str, &str)] = match kind {
            Kind::MariaDb => &[
                ("native", "VIA mysql_native_password USING PASSWORD('{}')"),
                ("ed", "VIA ed25519 USING PASSWORD('{}')"),
            ],
            Kind::MySql8 => {
                &[("native", "WITH mysql_native_password BY '{}'"), ("sha2", "WITH caching_sha2_password BY '{}'")]
            }
            _ => &[("scram", "scram-sha-256"), ("md5user", "md5")],
        };
        for (user, how) in users {
            let mut case = Captured::on(server);
            fill(&case);
            if kind.is_mysql() {
                let how = how.replace("{}", password);
                case.sql(&format!(
                    "CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED {how}; GRANT ALL ON *.* TO '{user}'@'%'"
                ));
            } else {
                case.sql(&format!("SET password_encryption = '{how}'; CREATE ROLE {user} SUPERUSER REPLICATION LOGIN PASSWORD '{password}'"));
            }
            let scheme = if kind.is_mysql() { "mysql" } else { "postgres" };
            case.change_url(format!(
                "{scheme}://{user}:{encoded}@127.0.0.1:{}/{}",
                server.port(),
                case.database.name()
            ));
            case.start();
            case.settle();
            case.crash();
            case.settle();
            assert!(!case.log().contains(password) && !case.log().contains(encoded), "no password in the log");
        }
        // A wrong password is not tried again and again.
        let mut wrong = Captured::on(server);
        fill(&wrong);
        let url = wrong.database.url("cdc").replace("cdc:cdc@", "cdc:wrong@");
        wrong.change_url(url);
        wrong.start();
        let log = wrong.fails();
        assert!(!log.contains("cdc:wrong"), "{log}");
    });
}

#[test]
fn case_094_missing_privileges_name_the_grant() {
    each(94, |server| {
        let kind = server.kind();
        let case = Captured::on(server);
        fill(&case);
        let user = format!("u{}", case.database.name());
        let (create, all): (String, Vec<(&str, &str)>) = if kind.is_mysql() {
            let client = if kind == Kind::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
            (
                format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{user}'"),
                vec![("SELECT", "SELECT"), ("REPLICATION SLAVE", "REPLICATION SLAVE"), ("REPLICATION CLIENT", client)],
            )
        } else {
            (
                format!("CREATE ROLE {user} LOGIN PASSWORD '{user}'"),
                vec![
                    ("REPLICATION", "REPLICATION"),
                    ("SELECT", "GRANT SELECT ON"),
                    ("CREATE", "GRANT CREATE ON DATABASE"),
                ],
            )
        };
        case.sql(&create);
        let url = case.database.url(&user);
        let case = case.url(url);
        let doctor = case.command(&["doctor", "flow.yaml"]);
        let said = format!("{}{}", doctor.stdout, doctor.stderr);
        assert_ne!(doctor.code, Some(0), "{said}");
        for (_, statement) in all {
            assert!(said.contains(statement), "{statement} is missing in:\n{said}");
        }
        assert!(said.contains(&user), "the user is named: {said}");
    });
}

#[test]
fn case_095_wrong_settings_are_listed_all_at_once() {
    on_each(CASES, 95, |kind| {
        let (options, words): (Options, &[&str]) = if kind.is_mysql() {
            (Options::new().config("binlog-format=STATEMENT").config("binlog-row-image=MINIMAL"), &["binlog_format"])
        } else {
            (
                Options::new()
                    .config("wal_level=replica")
                    .config("max_replication_slots=0")
                    .config("max_wal_senders=0"),
                &["wal_level", "max_replication_slots", "max_wal_senders"],
            )
        };
        let server = shared_with(kind, options);
        let mut case = Captured::on(server);
        fill(&case);
        let doctor = case.command(&["doctor", "flow.yaml"]);
        let said = format!("{}{}", doctor.stdout, doctor.stderr);
        for word in words {
            assert!(said.contains(word), "{word} is missing in:\n{said}");
        }
        case.is_refused(words);
        assert!(
            !case.work.file("copy.db").exists() || case.copied_number("SELECT count(*) FROM t") == 0,
            "nothing is written before"
        );
        if kind.is_mysql() {
            let server = shared_with(kind, Options::new().config("skip-log-bin"));
            let mut case = Captured::on(server);
            fill(&case);
            case.is_refused(&["log_bin"]);
        }
    });
}

#[test]
fn case_096_privileges_revoked_while_running() {
    each(96, |server| {
        let mut case = Captured::on(server);
        fill(&case);
        let user = format!("r{}", case.database.name());
        let mysql = server.kind().is_mysql();
        if mysql {
            case.sql(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{user}'; GRANT ALL ON *.* TO '{user}'@'%'"));
        } else {
            case.sql(&format!("CREATE ROLE {user} SUPERUSER REPLICATION LOGIN PASSWORD '{user}'"));
        }
        let url = case.database.url(&user);
        case.change_url(url);
        case.start();
        case.settle();
        if mysql {
            case.sql(&format!("REVOKE ALL ON *.* FROM '{user}'@'%'"));
            for row in case.sql(&format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'")) {
                // A session that has just ended is no error.
                let _ = case.database.connect().run(&format!("KILL {}", row[0].clone().unwrap_or_default()));
            }
        } else {
            case.sql(&format!("ALTER ROLE {user} NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'"));
        }
        case.sql("INSERT INTO t VALUES (10, 'meanwhile')");
        case.fails();
        if mysql {
            case.sql(&format!("GRANT ALL ON *.* TO '{user}'@'%'"));
        } else {
            case.sql(&format!("ALTER ROLE {user} LOGIN"));
        }
        case.start();
        case.settle();
    });
}

#[test]
fn case_098_the_network_is_cut_anywhere() {
    each(98, |server| {
        let proxy = Proxy::to(server.port());
        let mut case = Captured::on(server);
        fill(&case);
        let url = case.database.url_through(proxy.port(), "cdc");
        case.change_url(url);
        case.start();
        case.settle();
        let mut id = 100;
        let write = |case: &Captured<'_>, id: &mut i32| {
            let rows: Vec<String> = (0..50).map(|n| format!("({}, 'xxxxxxxxxxxxxxxxxxxxxxxx')", *id + n)).collect();
            *id += 50;
            case.sql(&format!(
                "BEGIN; INSERT INTO t VALUES {}; UPDATE t SET v = 'u{id}' WHERE id = 1; COMMIT",
                rows.join(",")
            ));
        };
        for round in 0..6 {
            write(&case, &mut id);
            proxy.cut();
            write(&case, &mut id);
            case.settle();
            // Every new connection dies after so many bytes from the server: in the greeting, in a row, at an edge.
            proxy.set(Fault::CutAfter(Direction::ToClient, 40 + round * 977));
            proxy.cut();
            write(&case, &mut id);
            std::thread::park_timeout(Duration::from_millis(300));
            proxy.set(Fault::None);
            proxy.cut();
            restarted(&mut case);
            case.settle();
        }
        proxy.set(Fault::Delay(Duration::from_millis(20)));
        write(&case, &mut id);
        case.settle();
        proxy.set(Fault::Refuse);
        write(&case, &mut id);
        std::thread::park_timeout(Duration::from_millis(500));
        proxy.set(Fault::None);
        restarted(&mut case);
        case.settle();
    });
}

/// Starts the daemon again if it has given up, which after many failures in a short time is its right.
pub fn restarted(case: &mut Captured<'_>) {
    if case.daemon().has_ended() {
        case.crash();
    }
}

#[test]
fn case_103_reading_from_a_replica() {
    on_each(CASES, 103, |kind| {
        let primary = Server::start(kind, Options::new());
        let shop = primary.named_database("shop");
        shop.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); CREATE TABLE zz_marker (id INT PRIMARY KEY)");
        let follow = format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='cdc', MASTER_PASSWORD='cdc', MASTER_USE_GTID=slave_pos; START SLAVE",
            primary.port()
        );
        // A replica that does not write what it is sent into its own log would show nothing.
        let silent = Server::start(kind, Options::new().config("log-slave-updates=0"));
        silent.admin(&follow);
        let case = Captured::on(&silent);
        let doctor = case.command(&["doctor", "flow.yaml"]);
        let said = format!("{}{}", doctor.stdout, doctor.stderr);
        assert!(said.contains("log_slave_updates"), "{said}");
        // What the test itself writes on the replica is in a domain of its own.
        let replica = Server::start(kind, Options::new().config("log-slave-updates=1").config("gtid-domain-id=7"));
        replica.admin(&follow);
        shop.sql("INSERT INTO t VALUES (1, 'a')");
        let position = primary.connect().text("SELECT @@gtid_binlog_pos");
        replica.admin(&format!("SELECT MASTER_GTID_WAIT('{position}', 60)"));
        let mut case = running_on_replica(&replica, &primary);
        shop.sql("INSERT INTO t VALUES (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1");
        case.until("what the primary wrote", |case| case.copied("SELECT * FROM t ORDER BY id") == "1|c\n2|b");
    });
}

fn running_on_replica<'a>(replica: &'a Server, primary: &Server) -> Captured<'a> {
    assert_ne!(replica.port(), primary.port());
    let mut case = Captured::on(replica).url(format!("mysql://cdc:cdc@127.0.0.1:{}/shop", replica.port()));
    case.tables = vec!["shop.*".to_owned()];
    case.start();
    case.until("the first row", |case| case.copied_number("SELECT count(*) FROM t") == 1);
    case
}

#[test]
fn case_104_clocks_and_time_zones_decide_nothing() {
    on_each(CASES, 104, |kind| {
        let server = Server::start(kind, Options::new().environment("TZ", "Pacific/Auckland"));
        let mut case = running(&server);
        if kind.is_mysql() {
            server.admin("SET GLOBAL time_zone = '-11:00'");
            let mut session = case.database.connect();
            session.sql("SET timestamp = 100000; INSERT INTO t VALUES (10, 'long ago'); SET timestamp = 4000000000 % 2147483647; INSERT INTO t VALUES (11, 'later'); SET timestamp = 200000; UPDATE t SET v = 'back' WHERE id = 10");
        } else {
            server.admin("ALTER SYSTEM SET timezone = 'Pacific/Kiritimati'");
            server.admin("SELECT pg_reload_conf()");
            case.sql("INSERT INTO t VALUES (10, 'a'); UPDATE t SET v = 'back' WHERE id = 10");
        }
        case.settle();
        case.set_environment("TZ", "America/Adak");
        case.crash();
        case.sql("INSERT INTO t VALUES (12, 'x')");
        case.settle();
    });
}
