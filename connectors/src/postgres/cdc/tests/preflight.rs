//! What is missing is said all at once, each with its statement.

use aqueduct_model::ErrorKind;
use aqueduct_test_servers::Options;

use super::*;
use crate::postgres::doctor;

async fn error_of(settings: &Settings) -> (ErrorKind, String) {
    let mut system = PostgresSystem::new(settings.clone());
    let error = system.connect().await.expect_err("something is missing");
    system.close().await.expect("a close");
    (error.kind(), format!("{error}\n{}", error.hint().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn case_094_every_missing_right_names_its_statement() {
    on_all(async |server| {
        let database = server.database();
        let role = format!("r_{}", database.name());
        database.sql(&format!(
            "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE ROLE {role} LOGIN;
             ALTER TABLE b ENABLE ROW LEVEL SECURITY; GRANT SELECT ON b TO {role}"
        ));
        let mut settings = settings(&database, "rights");
        settings.address = Address::parse(&database.url(&role)).expect("a URL");
        let (kind, text) = error_of(&settings).await;
        assert_eq!(kind, ErrorKind::Auth);
        let name = database.name();
        for statement in [
            format!("ALTER ROLE \"{role}\" REPLICATION;"),
            format!("GRANT USAGE ON SCHEMA \"public\" TO \"{role}\"; GRANT SELECT ON \"public\".\"a\" TO \"{role}\";"),
            format!("ALTER ROLE \"{role}\" BYPASSRLS;"),
            format!("GRANT CREATE ON DATABASE \"{name}\" TO \"{role}\";"),
            format!("ALTER TABLE \"public\".\"a\" OWNER TO \"{role}\";"),
            format!("ALTER TABLE \"public\".\"b\" OWNER TO \"{role}\";"),
        ] {
            assert!(text.contains(&statement), "{statement} is not in:\n{text}");
        }
        let findings = doctor::check(&settings).await;
        assert_eq!(findings.iter().filter(|finding| !finding.ok).count(), 6, "{findings:?}");
        // Each statement run as it stands, all is well.
        for finding in findings.iter().filter(|finding| !finding.ok) {
            let fix = finding.fix.as_deref().expect("a statement");
            database.sql(fix.split(" -- ").next().expect("a statement"));
        }
        let findings = doctor::check(&settings).await;
        assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
        let mut capture = Capture::begin(settings).await;
        database.sql("INSERT INTO a VALUES (1)");
        assert_eq!(capture.texts().await, ["a + 1"]);
        capture.end().await;
        database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_021_tables_whose_updates_would_fail_are_refused_with_their_statement() {
    on_all(async |server| {
        let database = server.database();
        database.sql(
            "CREATE TABLE keyless (v int); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
             CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
        );
        let settings = settings(&database, "identity");
        let (kind, text) = error_of(&settings).await;
        assert_eq!(kind, ErrorKind::Config);
        for statement in [
            "ALTER TABLE \"public\".\"keyless\" REPLICA IDENTITY FULL;",
            "ALTER TABLE \"public\".\"nothing\" REPLICA IDENTITY DEFAULT;",
            "ALTER TABLE \"public\".\"unlogged\" SET LOGGED;",
        ] {
            assert!(text.contains(statement), "{statement} is not in:\n{text}");
        }
        assert_eq!(database.text("SELECT count(*) FROM pg_publication"), "0", "nothing was made");
        database.sql("UPDATE keyless SET v = 1");
        // The same for a publication that is too small.
        database.sql("DROP TABLE keyless, nothing, unlogged; CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION p WITH (publish = 'insert')");
        let (_, text) = error_of(&Settings { publication: Some("p".to_owned()), ..settings }).await;
        assert!(text.contains("ALTER PUBLICATION \"p\" ADD TABLE \"public\".\"t\";"), "{text}");
        assert!(text.contains("ALTER PUBLICATION \"p\" SET (publish = 'insert, update, delete, truncate');"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_095_settings_of_the_server() {
    for kind in KINDS {
        let options =
            Options::new().config("wal_level=replica").config("max_replication_slots=0").config("max_wal_senders=0");
        let server = tokio::task::spawn_blocking(move || Server::start(kind, options)).await.expect("a server");
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let (_, text) = error_of(&settings(&database, "settings")).await;
        for statement in [
            "ALTER SYSTEM SET wal_level = 'logical';",
            "ALTER SYSTEM SET max_replication_slots = 4;",
            "ALTER SYSTEM SET max_wal_senders = 4;",
        ] {
            assert!(text.contains(statement), "{statement} is not in:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_without_a_line_in_pg_hba_names_the_line() {
    let options = Options::new().hba("host all nobody 127.0.0.1/32 reject");
    let server = tokio::task::spawn_blocking(move || Server::start(Kind::Postgres15, options)).await.expect("a server");
    let database = server.database();
    database.sql("CREATE ROLE nobody LOGIN");
    let mut settings = settings(&database, "hba");
    settings.address = Address::parse(&database.url("nobody")).expect("a URL");
    let (kind, text) = error_of(&settings).await;
    assert_eq!(kind, ErrorKind::Auth);
    assert!(text.contains(&format!("host {} nobody", database.name())) && text.contains("pg_hba.conf"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_094_logins_that_are_refused_name_their_statement() {
    on_all(async |server| {
        let database = server.database();
        let (name, role) = (database.name(), format!("l_{}", database.name()));
        database.sql(&format!("CREATE ROLE {role} REPLICATION"));
        let mut settings = settings(&database, "logins");
        settings.address = Address::parse(&database.url(&role)).expect("a URL");
        for (refuse, statement) in [
            (String::new(), format!("ALTER ROLE \"{role}\" LOGIN;")),
            (
                format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
                format!("GRANT CONNECT ON DATABASE \"{name}\" TO \"{role}\";"),
            ),
            (format!("ALTER ROLE {role} CONNECTION LIMIT 0"), format!("ALTER ROLE \"{role}\" CONNECTION LIMIT -1;")),
        ] {
            database.sql(&refuse);
            let (_, text) = error_of(&settings).await;
            assert!(text.contains(&statement), "{statement} is not in:\n{text}");
            database.sql(&statement);
        }
        let (_, text) = error_of(&settings).await;
        assert!(text.contains("GRANT CREATE ON DATABASE"), "it is let in: {text}");
        database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    })
    .await;
}
